"""Inception-v3 for images of one character."""

from dataclasses import dataclass
from typing import Any

from text_recognizer.networks.base import KerasModel, Network, Shape, Share

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Inception(Network):
    """Inception-v3 with a stem for 74 x 74 pixels and fewer blocks, or the original for 299 x 299.

    In training, a second classifier on the blocks of 17 x 17 helps; the model weights its loss. Source: Szegedy,
    Vanhoucke, Ioffe, Shlens and Wojna (2016), "Rethinking the Inception Architecture for Computer Vision"; the small
    variant: the recogniser of CASIA HWDB1.1 in dongwang218/models.

    Args:
        original: stem and blocks of the paper; for images of at least 107 x 107 pixels.
        dropout_amount: share of the features dropped before the classifier during training.
        batch_norm_momentum: momentum of the running means; 0.9997 as published needs tens of thousands of steps.
    """

    original: bool = False
    dropout_amount: Share = 0.2
    batch_norm_momentum: Share = 0.99

    @property
    def smallest_side_px(self) -> int:
        return 107 if self.original else 67

    def sizes_in_weights(self, input_shape: Shape) -> Shape:
        stem = ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2)) if self.original else ((3, 1), (3, 1), (3, 1), (3, 2))
        sides = input_shape[:2]  # of the feature map covered by the second classifier's last convolution
        for size, stride in (*stem, (3, 2), (5, 3)):
            sides = tuple((side - size) // stride + 1 for side in sides)
        return sides

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:  # noqa: C901 - a function for each block
        import keras

        layers, classes = keras.layers, output_shape[0]

        def conv(x: Any, filters: int, size: Size, strides: int = 1, padding: str = "same") -> Any:
            x = layers.Conv2D(filters, size, strides, padding, use_bias=False)(x)
            x = layers.BatchNormalization(momentum=self.batch_norm_momentum, scale=False)(x)
            return layers.ReLU()(x)

        def chain(x: Any, *steps: tuple[int, Size]) -> Any:
            for filters, size in steps:
                x = conv(x, filters, size)
            return x

        def joined(*branches: Any) -> Any:
            return layers.Concatenate()(list(branches))

        def mean(x: Any) -> Any:
            return layers.AveragePooling2D(3, 1, "same")(x)

        def stem(x: Any) -> Any:
            if self.original:
                x = conv(x, 32, 3, 2, "valid")
                x = conv(x, 32, 3, padding="valid")
                x = layers.MaxPooling2D(3, 2)(conv(x, 64, 3))
                x = conv(x, 80, 1, padding="valid")
            else:
                x = conv(x, 32, 3, padding="valid")
                x = conv(x, 80, 3, padding="valid")
            return layers.MaxPooling2D(3, 2)(conv(x, 192, 3, padding="valid"))

        def wide(x: Any, pool_filters: int) -> Any:
            thrice = ((64, 1), (96, 3), (96, 3))
            return joined(conv(x, 64, 1), chain(x, (48, 1), (64, 5)), chain(x, *thrice), conv(mean(x), pool_filters, 1))

        def to_17(x: Any) -> Any:
            short, deep = conv(x, 384, 3, 2, "valid"), chain(x, (64, 1), (96, 3))
            return joined(short, conv(deep, 96, 3, 2, "valid"), layers.MaxPooling2D(3, 2)(x))

        def factorised(x: Any, width: int) -> Any:
            once = (width, 1), (width, (1, 7)), (192, (7, 1))
            twice = (width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7))
            return joined(conv(x, 192, 1), chain(x, *once), chain(x, *twice), conv(mean(x), 192, 1))

        def second_classifier(x: Any) -> Any:
            x = conv(layers.AveragePooling2D(5, 3)(x), 128, 1)
            x = layers.Flatten()(conv(x, 768, x.shape[1:3], padding="valid"))
            return layers.Dense(classes, dtype="float32", name="auxiliary")(x)

        def to_8(x: Any) -> Any:
            short = conv(conv(x, 192, 1), 320, 3, 2, "valid")
            deep = chain(x, (192, 1), (192, (1, 7)), (192, (7, 1)))
            return joined(short, conv(deep, 192, 3, 2, "valid"), layers.MaxPooling2D(3, 2)(x))

        def widest(x: Any, pool: Any) -> Any:
            once, twice = conv(x, 384, 1), chain(x, (448, 1), (384, 3))
            halves = [conv(branch, 384, size) for branch in (once, twice) for size in ((1, 3), (3, 1))]
            return joined(conv(x, 320, 1), *halves, conv(pool(3, 1, "same")(x), 192, 1))

        image = keras.Input(input_shape)
        x = stem(layers.Rescaling(2.0, -1.0)(image))  # (B, 33, 33, 192) of 74 x 74
        for pool_filters in (32, 64, 64) if self.original else (32, 64):
            x = wide(x, pool_filters)
        x = to_17(x)  # (B, 16, 16, 768)
        for width in (128, 160, 160, 192) if self.original else (160, 192):
            x = factorised(x, width)
        auxiliary = second_classifier(x)
        x = to_8(x)  # (B, 7, 7, 1280)
        if self.original:
            x = widest(x, layers.AveragePooling2D)
        x = widest(x, layers.MaxPooling2D)  # (B, 7, 7, 2048)
        x = layers.Dropout(self.dropout_amount)(layers.GlobalAveragePooling2D()(x))
        logits = layers.Dense(classes, dtype="float32", name="logits")(x)
        return keras.Model(image, {"logits": logits, "auxiliary": auxiliary}, name="inception")
