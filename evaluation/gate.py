"""A gate: a bundle must read its test split as well as it did when it was made."""

from evaluation.result import Evaluation
from text_recognizer.errors import DataError
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle

ALLOWED_SAMPLES = 1.5  # that may be wrong now: other processors sum in another order, and one may tip over


def shortfall(bundle: Bundle, model: Model, result: Evaluation) -> str | None:
    """How much worse than recorded a bundle is, beyond noise; else None. Raises DataError: it has no record.

    Args:
        result: of the test split, on the data that it was recorded on.
    """
    metric = model.metrics[0]
    recorded, found = bundle.metrics.get(f"test_{metric.name}"), result.metrics[metric.name]
    if recorded is None:
        raise DataError(
            f"the bundle {bundle.folder} has no record of test_{metric.name} to hold it to. Train it again."
        )
    worse_by = recorded - found if metric.larger_is_better else found - recorded
    if worse_by <= ALLOWED_SAMPLES / result.count:
        return None
    return f"{metric.name} is {found:.4f}, recorded is {recorded:.4f}"
