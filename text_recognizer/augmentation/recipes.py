"""Augmentations by name: random changes of training images, one draw an image, made inside the training graph."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import SpecError
from text_recognizer.recipes import AugmentationRecipe

if TYPE_CHECKING:
    import keras

Degrees = Annotated[float, Ge(0), Lt(60)]
Share = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True)
class Affine(AugmentationRecipe):
    """Rotation, shear, zoom and shift in one interpolation; brightness and contrast after it.

    Of images with a class for every pixel, the classes move along.
    """

    rotation_degrees: float
    shear_degrees: float
    zoom_fraction: float
    shift_fraction: float
    brightness_fraction: float
    contrast_fraction: float
    flip: bool = False

    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        """A layer from the columns of a batch that it names in `columns` to the same columns, changed."""
        changes: dict[str, Any] = {
            "rotation_degrees": self.rotation_degrees,
            "shear_degrees": self.shear_degrees,
            "zoom_fraction": self.zoom_fraction,
            "shift_fraction": self.shift_fraction,
            "brightness_fraction": self.brightness_fraction,
            "contrast_fraction": self.contrast_fraction,
            "background": 0 if data_spec.ink == "light" else 255,
            "seed": seed,
        }
        if data_spec.target == "line":
            from text_recognizer.augmentation.random_line import RandomLine

            return RandomLine(**changes, local_fraction=0.0, stroke_amount=0.0, noise_fraction=0.0)
        if data_spec.target == "pixels":
            from text_recognizer.augmentation.random_page import RandomPage

            return RandomPage(**changes, flip=self.flip)
        from text_recognizer.augmentation.random_affine import RandomAffine

        return RandomAffine(**changes)


@dataclass(frozen=True)
class Line(AugmentationRecipe):
    """What another hand, pen or paper changes in a line; see text_recognizer.augmentation.random_line."""

    rotation_degrees: float
    shear_degrees: float
    zoom_fraction: float
    shift_fraction: float
    local_fraction: float
    stroke_amount: float
    brightness_fraction: float
    contrast_fraction: float
    noise_fraction: float

    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        """A layer from the columns "image" and "width" of a batch to the same columns, changed.

        Raises:
            SpecError: the dataset's images are no lines.
        """
        if data_spec.target != "line":
            raise SpecError(
                f"train_args.augmentation changes lines of text, but the dataset's images show a {data_spec.target}. "
                f"Use 'affine'."
            )
        from text_recognizer.augmentation.random_line import RandomLine

        return RandomLine(**self.__dict__, background=0 if data_spec.ink == "light" else 255, seed=seed)


def augmented(batch: dict[str, Any], layer: Any) -> dict[str, Any]:
    """A batch with the columns that an augmentation changes, changed."""
    columns = getattr(layer, "columns", ("image",))
    changed = layer(*(batch[name] for name in columns), training=True)
    return {**batch, **dict(zip(columns, changed if len(columns) > 1 else (changed,), strict=True))}


def none() -> AugmentationRecipe | None:
    """Images as they are."""
    return None


def affine(
    rotation_degrees: Annotated[float, Ge(0), Lt(180)] = 10.0,
    shear_degrees: Degrees = 10.0,
    zoom_fraction: Share = 0.1,
    shift_fraction: Share = 0.08,
    brightness_fraction: Share = 0.0,
    contrast_fraction: Share = 0.0,
) -> Affine:
    """Each value is the largest change, drawn evenly from -value to +value for each image."""
    return Affine(
        rotation_degrees, shear_degrees, zoom_fraction, shift_fraction, brightness_fraction, contrast_fraction
    )


def page_affine(
    rotation_degrees: Degrees = 2.0,
    shear_degrees: Degrees = 3.0,
    zoom_fraction: Share = 0.1,
    shift_fraction: Share = 0.06,
    brightness_fraction: Share = 0.1,
    contrast_fraction: Share = 0.1,
    flip: bool = True,
) -> Affine:
    """The same for pages with a class for every pixel; `flip` mirrors every other page from left to right."""
    return Affine(
        rotation_degrees, shear_degrees, zoom_fraction, shift_fraction, brightness_fraction, contrast_fraction, flip
    )


def line_affine(
    rotation_degrees: Degrees = 1.5,
    shear_degrees: Degrees = 10.0,
    zoom_fraction: Share = 0.1,
    shift_fraction: Share = 0.05,
    brightness_fraction: Share = 0.05,
    contrast_fraction: Share = 0.2,
) -> Line:
    """Changes of a line as a whole; each value is the largest change, drawn evenly from -value to +value."""
    return Line(
        rotation_degrees,
        shear_degrees,
        zoom_fraction,
        shift_fraction,
        0.0,
        0.0,
        brightness_fraction,
        contrast_fraction,
        0.0,
    )


def line_elastic(
    rotation_degrees: Degrees = 1.5,
    shear_degrees: Degrees = 10.0,
    zoom_fraction: Share = 0.1,
    shift_fraction: Share = 0.05,
    local_fraction: Share = 0.05,
    stroke_amount: Annotated[float, Ge(0), Le(1)] = 0.5,
    brightness_fraction: Share = 0.05,
    contrast_fraction: Share = 0.2,
    noise_fraction: Share = 0.05,
) -> Line:
    """line_affine, and slant, height, place and baseline that wander along the line, strokes that change, noise.

    Args:
        local_fraction: standard deviation of what wanders, as a share of the line's height.
        stroke_amount: 1 makes strokes up to a pixel thicker or thinner on either side.
        noise_fraction: largest standard deviation of a pixel's noise.
    """
    return Line(
        rotation_degrees,
        shear_degrees,
        zoom_fraction,
        shift_fraction,
        local_fraction,
        stroke_amount,
        brightness_fraction,
        contrast_fraction,
        noise_fraction,
    )
