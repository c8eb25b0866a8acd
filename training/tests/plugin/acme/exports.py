"""Forms of export from outside: of a dataset, and of a model."""

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.base import DatasetExport
from text_recognizer.exports.base import ModelExport


class Texts(DatasetExport):
    """The texts alone, one a line.

    Args:
        upper: in capitals.
    """

    def __init__(self, upper: bool = False) -> None:
        self.upper = upper

    def write(self, dataset, output):
        texts = [text for name in SPLIT_NAMES for text in dataset.split(name).texts]
        output.write_text("\n".join(text.upper() if self.upper else text for text in texts), encoding="utf-8")


class Whole(ModelExport):
    """Network and weights in one file of Keras."""

    suffix = ".keras"

    def write(self, model, bundle, output, samples):
        model.keras_model.save(output)

    def load(self, output):
        import keras

        return keras.saving.load_model(output).predict_on_batch
