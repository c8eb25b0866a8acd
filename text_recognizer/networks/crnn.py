"""The convolutional recurrent network for scene text, also used for rendered and handwritten lines."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from text_recognizer.networks.base import Count, FrameNetwork, KerasModel, Shape, Share, columns_as_frames


@dataclass(frozen=True)
class Crnn(FrameNetwork):
    """Seven convolutions and two bidirectional LSTMs, four pixels per frame: 8.73 million parameters for 37 classes.

    For 3,790 classes it has 10.65 million. Made for lines 32 pixels high. Batch normalisation follows every
    convolution, as in later releases of CRNN_Tensorflow; earlier ones had it only after the fifth and sixth.

    Source: Shi, Bai and Yao (2017), "An end-to-end trainable neural network for image-based sequence recognition", with
    the pooling of MaybeShewill's CRNN_Tensorflow.

    Args:
        units: units of each LSTM in each direction.
        dropout_amount: share of the units dropped after each LSTM during training.
        batch_norm_momentum: momentum of the running means. At 0.99, runs of a few hundred steps are validated with
            statistics that lag behind and look useless.
        lstm_l2: weight of the sum of squares of the LSTMs' kernels in the loss; ucloud's crnn_chinese has 0.001.
    """

    smallest_height_px = 16
    former_names = {"momentum": "batch_norm_momentum"}  # noqa: RUF012 - as in its base
    only_in_training = (*FrameNetwork.only_in_training, "lstm_l2")
    units: Count = 256
    dropout_amount: Share = 0.5
    batch_norm_momentum: Share = 0.9
    lstm_l2: Annotated[float, Ge(0)] = 0.0

    def frames(self, width: Any) -> Any:
        return width // 2 // 2

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return ((input_shape[0] // 16 + 1) // 2,)

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        from text_recognizer.networks.layers import Bidirectional

        def convolution(x: Any, filters: int, kernel: int = 3, strides: int | tuple[int, int] = 1) -> Any:
            x = keras.layers.Conv2D(filters, kernel, strides=strides, padding="same")(x)
            x = keras.layers.BatchNormalization(momentum=self.batch_norm_momentum)(x)
            return keras.layers.ReLU()(x)

        image = keras.Input(input_shape)  # (B, H, W, C)
        x = keras.layers.MaxPooling2D(2)(convolution(image, 64))
        x = keras.layers.MaxPooling2D(2)(convolution(x, 128))  # (B, H/4, W/4, 128)
        x = convolution(convolution(x, 256), 256)
        x = keras.layers.MaxPooling2D((2, 1))(x)
        x = convolution(convolution(x, 512), 512)
        x = keras.layers.MaxPooling2D((2, 1))(x)  # (B, H/16, W/4, 512)
        x = convolution(x, 512, 2, (2, 1))
        x = columns_as_frames(x)  # (B, T, H/32 512)
        for _ in range(2):
            x = Bidirectional(self.units, self.lstm_l2)(x)
            x = keras.layers.Dropout(self.dropout_amount)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[-1], dtype="float32")(x), name="crnn")
