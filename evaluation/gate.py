"""Regression gate: a bundle must be as accurate on its test split as recorded, and as the bundles it replaces."""

from collections.abc import Sequence

from evaluation.result import Evaluation
from text_recognizer.errors import DataError
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle

ALLOWED_SAMPLES = 1.5  # additional errors: other processors sum in another order, which may flip a sample


def shortfall(bundle: Bundle, model: Model, result: Evaluation, replaced: Sequence[Bundle] = ()) -> str | None:
    """How much worse than recorded a bundle is, beyond noise; else None. Raises DataError: it has no recorded metric.

    Args:
        result: evaluation on the test split of the same data as recorded.
        replaced: bundles that it must not be worse than, if they were evaluated on the same data.
    """
    metric = model.metrics[0]
    name, found = f"test_{metric.name}", result.metrics[metric.name]
    if name not in bundle.metrics:
        raise DataError(f"the bundle {bundle.folder} has no recorded {name} to compare with. Train it again.")
    same_data = [one for one in replaced if one.dataset_fingerprint == bundle.dataset_fingerprint]
    sign = 1 if metric.larger_is_better else -1
    best = max([bundle, *(one for one in same_data if name in one.metrics)], key=lambda one: sign * one.metrics[name])
    if sign * (best.metrics[name] - found) <= ALLOWED_SAMPLES / result.count:
        return None
    return f"{metric.name} is {found:.4f}, recorded was {best.metrics[name]:.4f} (run {best.run_id})"
