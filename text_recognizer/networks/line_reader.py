"""The default line reader: light enough for two processor cores."""

from dataclasses import dataclass
from typing import Any

from text_recognizer.networks.base import Count, FrameNetwork, KerasModel, Shape, Share


@dataclass(frozen=True)
class LineReader(FrameNetwork):
    """Five convolutions and two bidirectional LSTMs, four pixels per frame: 868,260 parameters for 102 classes.

    Made for lines 40 pixels high that keep their aspect ratio. Its parts and their sources:

    - the strongest feature of every column instead of all of them stacked, and an auxiliary output by one convolution
      that is used only in training: Retsinas, Sfikas, Gatos and Nikou (2022), "Best practices for a handwritten text
      recognition system";
    - few filters at full size, a first convolution that halves the image, and dropout between convolutions and LSTMs:
      Puigcerver (2017), "Are multidimensional recurrent layers really necessary for handwritten text recognition?";
    - batch normalisation with fast running means, for short runs: Ioffe and Szegedy (2015), with a momentum of 0.9.

    Args:
        filters: filters of the first convolution; the others have 2 to 4.7 times as many.
        units: units of each LSTM in each direction.
        layers: number of LSTMs.
        dropout_amount: share of the features dropped before and after each LSTM during training.
    """

    smallest_height_px = 16
    filters: Count = 24
    units: Count = 128
    layers: Count = 2
    dropout_amount: Share = 0.2

    def frames(self, width: Any) -> Any:
        return (width + 1) // 2 // 2

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        from text_recognizer.networks.layers import Bidirectional

        def convolution(x: Any, filters: int, kernel: int = 3, strides: int = 1) -> Any:
            x = keras.layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
            return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

        classes = output_shape[-1]
        image = keras.Input(input_shape)
        x = convolution(image, self.filters, 5, 2)
        x = keras.layers.MaxPooling2D(2)(convolution(x, 2 * self.filters))
        x = convolution(x, 8 * self.filters // 3)
        x = keras.layers.MaxPooling2D((2, 1))(convolution(x, 10 * self.filters // 3))
        x = convolution(x, 14 * self.filters // 3)
        x = keras.ops.max(keras.layers.Dropout(self.dropout_amount)(x), axis=1)  # (B, T, F)
        shortcut = keras.layers.Conv1D(classes, 3, padding="same", dtype="float32", name="shortcut")(x)
        for _ in range(self.layers):
            x = Bidirectional(self.units)(x)
            x = keras.layers.Dropout(self.dropout_amount)(x)
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
        return keras.Model(image, {"logits": logits, "shortcut": shortcut}, name="line_reader")
