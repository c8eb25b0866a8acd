"""Inception-v3 for images of one character."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from text_recognizer.networks.base import KerasModel, Network, Shape

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Inception(Network):
    """Inception-v3 with a stem for 74 x 74 pixels and fewer blocks, or the original for 299 x 299.

    While training, a second classifier on the blocks of 17 x 17 helps; the model weights its loss. Source: Szegedy,
    Vanhoucke, Ioffe, Shlens and Wojna (2016), "Rethinking the Inception Architecture for Computer Vision"; the small
    variant: the recogniser of CASIA HWDB1.1 in dongwang218/models.

    Args:
        original: stem and blocks of the paper; for images of at least 107 x 107 pixels.
        dropout_amount: share of the features dropped before the classifier while training.
        batch_norm_momentum: of the running means; 0.9997 as published needs tens of thousands of steps.
    """

    original: bool = False
    dropout_amount: Annotated[float, Ge(0), Lt(1)] = 0.2
    batch_norm_momentum: Annotated[float, Gt(0), Lt(1)] = 0.99

    def check(self, input_shape: Shape, output_shape: Shape) -> None:  # noqa: ARG002 - any output
        smallest = 139 if self.original else 67
        if min(input_shape[:2]) < smallest:
            raise ValueError(
                f"needs images of at least {smallest} x {smallest} pixels, the dataset's have "
                f"{input_shape[0]} x {input_shape[1]}. Set dataset_args.side"
            )

    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        import keras

        classes = output_shape[0]
        image = keras.Input(input_shape)
        x = self._stem(keras.layers.Rescaling(2.0, -1.0)(image))  # (B, 33, 33, 192) of 74 x 74
        x = self._wide(x, 32)
        for _ in range(2 if self.original else 1):
            x = self._wide(x, 64)
        x = self._to_17(x)  # (B, 16, 16, 768)
        for width in (128, 160, 160, 192) if self.original else (160, 192):
            x = self._factorised(x, width)
        auxiliary = self._auxiliary(x, classes)
        x = self._to_8(x)  # (B, 7, 7, 1280)
        if self.original:
            x = self._widest(x, keras.layers.AveragePooling2D)
        x = self._widest(x, keras.layers.MaxPooling2D)  # (B, 7, 7, 2048)
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dropout(self.dropout_amount)(x)
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
        return keras.Model(image, {"logits": logits, "auxiliary": auxiliary}, name="inception")

    def _conv(self, x: Any, filters: int, size: Size, strides: int = 1, padding: str = "same") -> Any:
        import keras

        x = keras.layers.Conv2D(filters, size, strides, padding, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=self.batch_norm_momentum, scale=False)(x)
        return keras.layers.ReLU()(x)

    def _chain(self, x: Any, *steps: tuple[int, Size]) -> Any:
        for filters, size in steps:
            x = self._conv(x, filters, size)
        return x

    def _stem(self, x: Any) -> Any:
        import keras

        pool = keras.layers.MaxPooling2D
        if self.original:
            x = self._conv(x, 32, 3, 2, "valid")
            x = self._conv(x, 32, 3, padding="valid")
            x = pool(3, 2)(self._conv(x, 64, 3))
            x = self._conv(x, 80, 1, padding="valid")
        else:
            x = self._conv(x, 32, 3, padding="valid")
            x = self._conv(x, 80, 3, padding="valid")
        return pool(3, 2)(self._conv(x, 192, 3, padding="valid"))

    def _wide(self, x: Any, pool_filters: int) -> Any:
        import keras

        pooled = keras.layers.AveragePooling2D(3, 1, "same")(x)
        return keras.layers.Concatenate()(
            [
                self._conv(x, 64, 1),
                self._chain(x, (48, 1), (64, 5)),
                self._chain(x, (64, 1), (96, 3), (96, 3)),
                self._conv(pooled, pool_filters, 1),
            ]
        )

    def _to_17(self, x: Any) -> Any:
        import keras

        return keras.layers.Concatenate()(
            [
                self._conv(x, 384, 3, 2, "valid"),
                self._conv(self._chain(x, (64, 1), (96, 3)), 96, 3, 2, "valid"),
                keras.layers.MaxPooling2D(3, 2)(x),
            ]
        )

    def _factorised(self, x: Any, width: int) -> Any:
        import keras

        pooled = keras.layers.AveragePooling2D(3, 1, "same")(x)
        twice = ((width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7)))
        return keras.layers.Concatenate()(
            [
                self._conv(x, 192, 1),
                self._chain(x, (width, 1), (width, (1, 7)), (192, (7, 1))),
                self._chain(x, *twice),
                self._conv(pooled, 192, 1),
            ]
        )

    def _auxiliary(self, x: Any, classes: int) -> Any:
        import keras

        x = keras.layers.AveragePooling2D(5, 3)(x)
        x = self._conv(x, 128, 1)
        x = self._conv(x, 768, x.shape[1:3], padding="valid")
        x = keras.layers.Flatten()(x)
        return keras.layers.Dense(classes, dtype="float32", name="auxiliary")(x)

    def _to_8(self, x: Any) -> Any:
        import keras

        return keras.layers.Concatenate()(
            [
                self._conv(self._conv(x, 192, 1), 320, 3, 2, "valid"),
                self._conv(self._chain(x, (192, 1), (192, (1, 7)), (192, (7, 1))), 192, 3, 2, "valid"),
                keras.layers.MaxPooling2D(3, 2)(x),
            ]
        )

    def _widest(self, x: Any, pool: Any) -> Any:
        import keras

        once, twice = self._conv(x, 384, 1), self._chain(x, (448, 1), (384, 3))
        halves = [self._conv(branch, 384, size) for branch in (once, twice) for size in ((1, 3), (3, 1))]
        return keras.layers.Concatenate()([self._conv(x, 320, 1), *halves, self._conv(pool(3, 1, "same")(x), 192, 1)])
