"""A fully convolutional network: a class for every pixel."""

from typing import Any

from text_recognizer.networks.base import KerasModel, Network, Shape

DILATIONS = (3, 3, 3, 3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7)


class Fcn(Network):
    """Seven residual blocks of two dilated 7 x 7 convolutions with 16 filters: 165,795 parameters for three classes.

    The class of a pixel depends on 246 pixels in every direction: on nearly all of a page of 256 x 256.

    Source: the FSDL text recogniser's network of this name, after He et al. (2016), "Deep residual learning for image
    recognition", and Yu and Koltun (2016), "Multi-scale context aggregation by dilated convolutions".
    """

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        def convolution(x: Any, dilation: int, activation: str | None) -> Any:
            return keras.layers.Conv2D(16, 7, padding="same", dilation_rate=dilation, activation=activation)(x)

        image = keras.Input(input_shape)
        x = image
        for first, second in zip(DILATIONS[::2], DILATIONS[1::2], strict=True):
            shortcut = keras.layers.Conv2D(16, 1)(x)
            x = convolution(x, first, "relu")
            x = convolution(x, second, None)
            x = keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))
        return keras.Model(image, keras.layers.Conv2D(output_shape[-1], 1, dtype="float32")(x), name="fcn")
