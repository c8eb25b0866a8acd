"""A small, fast network for thousands of classes of characters."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from text_recognizer.networks.base import KerasModel, Network, Shape, Share

_STAGES = ((64, 3), (128, 3), (192, 2))  # channels and residual blocks, each stage at half the resolution


@dataclass(frozen=True)
class HanziNet(Network):
    """Bottleneck blocks and a learned weighted pooling: 1.5 million parameters for 64 x 64 pixels, 3,755 classes.

    Half of the parameters are in the last layer, which reads `embedding` features instead of all pixels of the last
    feature map. Sources: He, Zhang, Ren and Sun (2016), "Deep Residual Learning for Image Recognition" (blocks);
    Melnyk, You and Li (2020), "A High-Performance CNN Method for Offline Handwritten Chinese Character Recognition and
    Visualization" (weighted pooling).

    Args:
        embedding: number of input features of the classifier.
        dropout_amount: share of these features dropped during training.
        batch_norm_momentum: momentum of the running means. At 0.97, which suits trainings of an hour, they lag behind
            in trainings of a few dozen steps, so validation shows no progress.
    """

    smallest_side_px = 16
    embedding: Annotated[int, Ge(8)] = 192
    dropout_amount: Share = 0.1
    batch_norm_momentum: Share = 0.9

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        return tuple(-(-side // 16) for side in input_shape[:2])

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        from text_recognizer.networks.layers import BatchNormalization

        def conv(x: Any, filters: int, size: int, strides: int = 1, relu: bool = True) -> Any:
            x = keras.layers.Conv2D(filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
            x = BatchNormalization(momentum=self.batch_norm_momentum)(x)
            return keras.layers.ReLU()(x) if relu else x

        image = keras.Input(input_shape)
        x = conv(image, 24, 3, 2)  # (B, H/2, W/2, 24)
        for channels, blocks in _STAGES:
            x = conv(x, channels, 3, 2)
            for _ in range(blocks):
                inner = conv(conv(x, channels // 2, 1), channels // 2, 3)
                x = keras.layers.ReLU()(keras.layers.Add()([x, conv(inner, channels, 1, relu=False)]))
        # (B, H/16, W/16, 192): one filter per channel, as large as the map, weights its positions.
        x = keras.layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, name="weighted_pooling")(x)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(self.embedding, use_bias=False)(x) if self.embedding != x.shape[-1] else x
        x = BatchNormalization(momentum=self.batch_norm_momentum)(x)
        x = keras.layers.Dropout(self.dropout_amount)(x)
        return keras.Model(image, keras.layers.Dense(output_shape[0], dtype="float32")(x), name="hanzi_net")
