"""Text Recognizer: an offline-first laboratory for handwriting recognition.

`import text_recognizer as tr` offers the functions of the command line under the same names. Each name is imported on
first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from text_recognizer.datasets.base import Dataset as Dataset
    from text_recognizer.datasets.base import DataSpec as DataSpec
    from text_recognizer.datasets.base import Split as Split
    from text_recognizer.errors import TextRecognizerError as TextRecognizerError
    from text_recognizer.models.base import Model as Model
    from text_recognizer.models.metric import Metric as Metric
    from text_recognizer.models.prediction import Prediction as Prediction
    from text_recognizer.networks.base import Network as Network
    from text_recognizer.spec import ExperimentSpec as ExperimentSpec
    from training.api.experiments import SweepResult as SweepResult
    from training.api.experiments import run_experiment as run_experiment
    from training.api.experiments import run_sweep as run_sweep
    from training.api.run import Run as Run
    from training.api.run import Runs as Runs
    from training.api.run import load_predictor as load_predictor
    from training.api.run import runs as runs
    from training.api.samples import draw_samples as draw_samples

__version__ = "0.1.0"

_NAMES = {
    "text_recognizer.datasets.base": ("DataSpec", "Dataset", "Split"),
    "text_recognizer.errors": ("TextRecognizerError",),
    "text_recognizer.models.base": ("Model",),
    "text_recognizer.models.metric": ("Metric",),
    "text_recognizer.models.prediction": ("Prediction",),
    "text_recognizer.networks.base": ("Network",),
    "text_recognizer.spec": ("ExperimentSpec",),
    "training.api.experiments": ("SweepResult", "run_experiment", "run_sweep"),
    "training.api.run": ("Run", "Runs", "load_predictor", "runs"),
    "training.api.samples": ("draw_samples",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'text_recognizer' has no attribute '{name}'")
    import importlib

    globals()[name] = value = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
