"""Text Recognizer: an offline-first laboratory for handwriting recognition.

`import text_recognizer as tr` is the whole of it from Python, in the words of the command line; each name is imported
when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from text_recognizer.datasets.base import Dataset as Dataset
    from text_recognizer.datasets.base import DataSpec as DataSpec
    from text_recognizer.datasets.base import Split as Split
    from text_recognizer.errors import TextRecognizerError as TextRecognizerError
    from text_recognizer.models.base import Model as Model
    from text_recognizer.models.base import Prediction as Prediction
    from text_recognizer.models.metric import Metric as Metric
    from text_recognizer.networks.base import Network as Network
    from text_recognizer.spec import ExperimentSpec as ExperimentSpec
    from training.api.experiments import SweepResult as SweepResult
    from training.api.experiments import run_experiment as run_experiment
    from training.api.experiments import run_sweep as run_sweep
    from training.api.predictors import load_predictor as load_predictor
    from training.api.run import Run as Run
    from training.api.run import Runs as Runs
    from training.api.run import runs as runs
    from training.api.samples import draw_samples as draw_samples

__version__ = "0.1.0"

_WHERE = {
    "DataSpec": "text_recognizer.datasets.base:DataSpec",
    "Dataset": "text_recognizer.datasets.base:Dataset",
    "ExperimentSpec": "text_recognizer.spec:ExperimentSpec",
    "Metric": "text_recognizer.models.metric:Metric",
    "Model": "text_recognizer.models.base:Model",
    "Network": "text_recognizer.networks.base:Network",
    "Prediction": "text_recognizer.models.base:Prediction",
    "Run": "training.api.run:Run",
    "Runs": "training.api.run:Runs",
    "Split": "text_recognizer.datasets.base:Split",
    "SweepResult": "training.api.experiments:SweepResult",
    "TextRecognizerError": "text_recognizer.errors:TextRecognizerError",
    "draw_samples": "training.api.samples:draw_samples",
    "load_predictor": "training.api.predictors:load_predictor",
    "run_experiment": "training.api.experiments:run_experiment",
    "run_sweep": "training.api.experiments:run_sweep",
    "runs": "training.api.run:runs",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'text_recognizer' has no attribute '{name}'")
    import importlib

    module, _, attribute = _WHERE[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
