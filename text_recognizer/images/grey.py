"""Image files as grey arrays."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError

_ORIENTATION = 0x0112  # the EXIF tag
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif")


def as_grey(image: Any) -> NDArray[np.uint8]:
    """A PIL image as grey levels (H, W), upright as its EXIF tag says; what is transparent becomes white."""
    from PIL import Image, ImageOps

    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return (np.asarray(image, np.uint16) >> 8).astype(np.uint8)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(image.convert("L"))


def read_grey(path: Path) -> NDArray[np.uint8]:
    """A grey image (H, W); see `as_grey`.

    Raises:
        DataError: no such file, no image, or one that is cut short. The message is about what the image shows.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            file.draft("L", file.size)  # a JPEG decoder can leave out the colours
            return as_grey(file)
    except FileNotFoundError:
        raise DataError(f"its image file is missing: {path}.") from None
    except UnidentifiedImageError:
        raise DataError(
            f"its file is no image that can be read (PNG, JPEG, TIFF, BMP, GIF, WebP can): {path}."
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"its image is damaged: {path}: {error}.") from error
