"""Small convolutional networks for Chinese characters, from tutorials of 2016."""

from dataclasses import dataclass
from typing import Literal

from text_recognizer.networks.base import KerasModel, Network, Shape, Share

_FILTERS = {"blog": (32, 64), "repository": (64, 128, 256)}


@dataclass(frozen=True)
class HanziCnn(Network):
    """3 x 3 convolutions, each with a pooling, and a dense layer, which is large for many classes.

    For 64 x 64 pixels and 3,755 classes "blog" has 61,544,491 parameters and "repository" 20,996,779. Source: the two
    networks of burness/tensorflow-101, which read the characters of CASIA HWDB1.1.

    Args:
        variant: "blog" has 32 and 64 filters; "repository" 64, 128 and 256, and a hidden layer of 1,024 units.
        dropout_amount: share of the units dropped before and after the hidden layer during training.
    """

    variant: Literal["blog", "repository"] = "repository"
    dropout_amount: Share = 0.2

    @property
    def smallest_side_px(self) -> int:
        return 1 << len(_FILTERS[self.variant])  # each pooling halves it

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return (input_shape[0] // self.smallest_side_px * (input_shape[1] // self.smallest_side_px),)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        image = x = keras.Input(input_shape)
        for filters in _FILTERS[self.variant]:
            x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = keras.layers.MaxPooling2D(2)(x)  # (B, H/2, W/2, filters)
        x = keras.layers.Flatten()(x)
        if self.variant == "repository":
            x = keras.layers.Dropout(self.dropout_amount)(x)
            x = keras.layers.Dense(1024, activation="tanh")(x)
            x = keras.layers.Dropout(self.dropout_amount)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[0], dtype="float32")(x), name="hanzi_cnn")
