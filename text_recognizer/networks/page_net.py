"""A light network for large pages: a class for every pixel."""

from dataclasses import dataclass
from typing import Any

from text_recognizer.networks.base import Count, KerasModel, Network, Shape


@dataclass(frozen=True)
class PageNet(Network):
    """Convolutions at 1/4, 1/8 and 1/16 of the page's resolution: 255,155 parameters for three classes.

    Those at 1/16 are dilated, so that the class of a pixel depends on about 270 pixels in every direction. The logits
    are computed at 1/4 and upsampled.

    Source: architecture of Ronneberger, Fischer and Brox (2015), "U-Net: convolutional networks for biomedical image
    segmentation"; line cores as classes as in Grüning, Leifert, Strauß, Michael and Labahn (2019), "A two-stage method
    for text line detection in historical documents".

    Args:
        filters: filters of the first convolution; the others have 2 to 4 times as many.
    """

    filters: Count = 16

    def check(self, input_shape: Shape, output_shape: Shape) -> None:  # noqa: ARG002 - any output
        if input_shape[0] % 16 or input_shape[1] % 16:
            raise ValueError(
                f"needs pages whose sides are multiples of 16 pixels, the dataset's have {input_shape[:2]}"
            )

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        from text_recognizer.networks.layers import BatchNormalization

        def convolution(x: Any, filters: int, kernel: int = 3, strides: int = 1, dilation: int = 1) -> Any:
            layer = keras.layers.Conv2D(
                filters, kernel, strides=strides, padding="same", use_bias=False, dilation_rate=dilation
            )
            return keras.layers.ReLU()(BatchNormalization(momentum=0.9)(layer(x)))

        def enlarged(x: Any, factor: int) -> Any:
            return keras.layers.UpSampling2D(factor, interpolation="bilinear")(x)

        image = keras.Input(input_shape)
        x = convolution(image, self.filters, 5, 2)
        quarter = x = convolution(x, 2 * self.filters, 3, 2)
        x = convolution(x, 3 * self.filters, 3, 2)
        eighth = x = keras.layers.Add()([x, convolution(x, 3 * self.filters)])
        x = convolution(x, 4 * self.filters, 3, 2)
        for dilation in (1, 2, 4, 1):
            x = keras.layers.Add()([x, convolution(x, 4 * self.filters, dilation=dilation)])
        x = keras.layers.Concatenate()([enlarged(x, 2), eighth])
        x = convolution(convolution(x, 3 * self.filters, 1), 3 * self.filters)
        x = keras.layers.Concatenate()([enlarged(x, 2), quarter])
        x = convolution(convolution(x, 2 * self.filters, 1), 2 * self.filters)
        logits = keras.layers.Conv2D(output_shape[-1], 1, dtype="float32")(x)
        return keras.Model(image, enlarged(logits, 4), name="page_net")
