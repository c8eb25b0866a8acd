"""Augmentations by name: random changes of training images, drawn per image inside the training graph."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, Lt

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import SpecError
from text_recognizer.recipes import AugmentationRecipe

if TYPE_CHECKING:
    import keras

    from text_recognizer.augmentation.random_line import RandomLine

Degrees = Annotated[float, Ge(0), Lt(60)]
Share = Annotated[float, Ge(0), Lt(1)]


def none() -> AugmentationRecipe | None:
    """Images as they are."""
    return None


@dataclass(frozen=True)
class Affine(AugmentationRecipe):
    """Each value is the largest change, drawn uniformly from -value to +value for each image.

    Rotation, shear, zoom and shift are one interpolation; brightness and contrast follow. Pixel classes are transformed
    with their images.

    Args:
        rotation_degrees, shear_degrees: angles.
        zoom_fraction: share by which height and width change, independently.
        shift_fraction: shift as a share of height and of width.
        brightness_fraction: brightness added, as a share of the range from black to white.
        contrast_fraction: share by which the distance from the image's mean changes.
    """

    rotation_degrees: Annotated[float, Ge(0), Lt(180)] = 10.0
    shear_degrees: Degrees = 10.0
    zoom_fraction: Share = 0.1
    shift_fraction: Share = 0.08
    brightness_fraction: Share = 0.0
    contrast_fraction: Share = 0.0
    flip: bool = field(default=False, init=False)

    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        if data_spec.target == "line":
            values = (self.rotation_degrees, self.shear_degrees, self.zoom_fraction, self.shift_fraction)
            return LineAffine(*values, self.brightness_fraction, self.contrast_fraction).build(data_spec, seed)
        from text_recognizer.augmentation.random_affine import RandomAffine, RandomPage

        layer = RandomPage if data_spec.target == "pixels" else RandomAffine
        return layer(self, data_spec.background, seed)


@dataclass(frozen=True)
class PageAffine(Affine):
    """affine, for pages with pixel classes.

    Args:
        flip: mirrors every other page horizontally.
    """

    rotation_degrees: Degrees = 2.0
    shear_degrees: Degrees = 3.0
    shift_fraction: Share = 0.06
    brightness_fraction: Share = 0.1
    contrast_fraction: Share = 0.1
    flip: bool = True


@dataclass(frozen=True)
class LineAffine(AugmentationRecipe):
    """Changes of a line as a whole; each value is the largest change, drawn uniformly from -value to +value.

    Args:
        rotation_degrees: angle of the line; less for long lines, so that they stay in the image.
        shear_degrees: slant of the letters.
        zoom_fraction: share by which height and width change, independently.
        shift_fraction: shift up or down, as a share of the height.
        brightness_fraction: ink added everywhere, as a share of full ink.
        contrast_fraction: share by which ink becomes darker or lighter.
        stretch_fraction: share by which only the width grows, or shrinks by its inverse.
        margin_fraction: paper added above and below, as a share of the height, so that the line becomes smaller.
    """

    rotation_degrees: Degrees = 1.5
    shear_degrees: Degrees = 10.0
    zoom_fraction: Share = 0.1
    shift_fraction: Share = 0.05
    brightness_fraction: Share = 0.05
    contrast_fraction: Share = 0.2
    stretch_fraction: Share = 0.0
    margin_fraction: Share = 0.0
    local_fraction: Share = field(default=0.0, init=False)
    stroke_amount: Annotated[float, Ge(0), Le(1)] = field(default=0.0, init=False)
    noise_fraction: Share = field(default=0.0, init=False)

    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        """Maps "image" and "width" of a batch. Raises SpecError: the images are not lines."""
        if data_spec.target != "line":
            raise SpecError(
                f"train_args.augmentation changes lines of text, but the dataset's images show a {data_spec.target}. "
                f"Use 'affine'."
            )
        return self._layer()(self, data_spec.background, seed, data_spec.input_shape[1] is not None)

    def _layer(self) -> "type[RandomLine]":
        from text_recognizer.augmentation.random_line import RandomLine

        return RandomLine


@dataclass(frozen=True)
class LineElastic(LineAffine):
    """line_affine, and slant, height, position and baseline that vary along the line, stroke width, noise.

    Args:
        local_fraction: standard deviation of what varies: of position and baseline as a share of the line's height, of
            slant as a slope, of height as a share.
        stroke_amount: 1 makes strokes up to a pixel thicker or thinner on either side.
        noise_fraction: largest standard deviation of a pixel's noise.
    """

    local_fraction: Share = 0.05
    stroke_amount: Annotated[float, Ge(0), Le(1)] = 0.5
    noise_fraction: Share = 0.05


@dataclass(frozen=True)
class LineWorn(LineElastic):
    """line_elastic, and the damage of worn pages: blur, shade, stains, intruding neighbouring lines, masked spans.

    Args:
        mask_heights: maximum length of each of four spans without ink, in heights of the line.
        blur_amount: 1 replaces a pixel by the mean of the nine around it.
        shade_fraction: how dark the paper becomes in waves along the line, as a share of full ink.
        stain_fraction: share of the lines with a stain, of up to half of full ink.
        intrusion_fraction: share of the lines into which another line intrudes from above, and from below.
    """

    mask_heights: Annotated[float, Ge(0), Le(4)] = 0.4
    blur_amount: Annotated[float, Ge(0), Le(1)] = 0.7
    shade_fraction: Share = 0.15
    stain_fraction: Share = 0.15
    intrusion_fraction: Share = 0.3

    def _layer(self) -> "type[RandomLine]":
        from text_recognizer.augmentation.random_line import RandomWornLine

        return RandomWornLine


@dataclass(frozen=True)
class CharacterElastic(LineElastic):
    """Single characters as if by other writers: rotation, slant, shifted and bent parts, stroke width, noise.

    Args:
        local_fraction: standard deviation of the shifts of a character's parts, as a share of its side.
        stroke_amount: 1 makes strokes up to a pixel thicker or thinner on either side.
        noise_fraction: largest standard deviation of a pixel's noise.
        parts_amount: how unevenly the parts of a character are stretched, from left to right and from top to bottom:
            the standard deviation of the logarithm of each quarter's size.
        blur_amount: 1 replaces a pixel by the mean of the nine around it.
        fit: scales the changed character to the whole image and its ink to full strength, as datasets do with images.
        flip: mirrors every other character horizontally; hardly any script allows it.
    """

    rotation_degrees: Degrees = 8.0
    shear_degrees: Degrees = 15.0
    zoom_fraction: Share = 0.15
    local_fraction: Share = 0.04
    stroke_amount: Annotated[float, Ge(0), Le(1)] = 0.8
    parts_amount: Annotated[float, Ge(0), Le(1)] = 0.0
    blur_amount: Annotated[float, Ge(0), Le(1)] = 0.0
    fit: bool = False
    flip: bool = False
    stretch_fraction: Share = field(default=0.0, init=False)
    margin_fraction: Share = field(default=0.0, init=False)

    def build(self, data_spec: DataSpec, seed: int) -> "keras.layers.Layer":
        """Maps "image" of a batch. Raises SpecError: the images are not single characters."""
        if data_spec.target != "character":
            raise SpecError(
                f"train_args.augmentation changes single characters, but the dataset's images show a "
                f"{data_spec.target}. Use 'line_elastic' for lines."
            )
        from text_recognizer.augmentation.random_character import RandomCharacter

        return RandomCharacter(self, data_spec.background, seed, data_spec.margin_px)


def augmented(batch: dict[str, Any], layer: Any) -> dict[str, Any]:
    """A batch after an augmentation."""
    columns = getattr(layer, "columns", ("image",))
    changed = layer(*(batch[name] for name in columns), training=True)
    return {**batch, **dict(zip(columns, changed if len(columns) > 1 else (changed,), strict=True))}
