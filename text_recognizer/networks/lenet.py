"""A small convolutional network for characters."""

from dataclasses import dataclass

from text_recognizer.networks.base import Count, KerasModel, Network, Shape, Share


@dataclass(frozen=True)
class Lenet(Network):
    """Two convolutions, a pooling and a hidden layer: 1,208,912 parameters for 28 x 28 pixels and 80 classes.

    Source: the FSDL text recogniser's network of this name, after LeCun et al. (1998), "Gradient-based learning
    applied to document recognition".

    Args:
        layer_size: units of the hidden layer.
        dropout_amount: share of the units dropped after the pooling and the hidden layer during training.
    """

    smallest_side_px = 6
    layer_size: Count = 128
    dropout_amount: Share = 0.2

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return ((input_shape[0] - 4) // 2 * ((input_shape[1] - 4) // 2),)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        image = keras.Input(input_shape)
        x = keras.layers.Conv2D(32, 3, activation="relu")(image)  # (B, H-2, W-2, 32)
        x = keras.layers.Conv2D(64, 3, activation="relu")(x)  # (B, H-4, W-4, 64)
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(self.dropout_amount)(x)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(self.layer_size, activation="relu")(x)
        x = keras.layers.Dropout(self.dropout_amount)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[0], dtype="float32")(x), name="lenet")
