"""Reads image files as grey arrays."""

import math
import warnings
from contextlib import suppress
from os import PathLike
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError, reason
from text_recognizer.whole_files import lfs_advice

# A page of A3 at 600 dpi has 70 million, the largest cameras of archives make 102 million.
MOST_PIXELS = 120_000_000
KINDS = "PNG, JPEG, TIFF, BMP, GIF, WebP, PNM"
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".pbm", ".pgm", ".ppm", ".pnm")
OTHER_SUFFIXES = (".jp2", ".jpx", ".j2k", ".pdf", ".djvu", ".heic", ".heif", ".avif")  # unsupported formats of scans
# An explicit list: for some other formats, Pillow starts external programs.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM")
_MOST_SCANS = 100  # of a JPEG, each over all of its pixels; ten are usual
_MOST_COMMENTS = 1000
_SLOW_CODECS = {"ppm", "ppm_plain", "bmp_rle"}  # implemented in Python by Pillow
_MOST_SLOW_PIXELS = 1_000_000
_TILE_SIDES, _SUBFILE_TYPE = (322, 323), 254  # TIFF tags
_MOST_FRAMES = 10_000  # of a TIFF file
_ORIENTATION = 0x0112  # the EXIF tag: 1 to 4 keep the sides of the image, 5 to 8 swap them
_FIRST_QUARTER_TURN = 5
_STRIP_PIXELS = 1 << 22
_SENSOR_BITS = 12  # of scanners and cameras whose levels are stored unscaled in 16 bits


class _TooLargeError(Exception):
    """An image has more pixels than the limit, by its header; the message says how many."""


class _SeveralPagesError(Exception):
    """A file has several pages and none was chosen; the message says how many."""


def pages_of_tiff(path: str | PathLike[str]) -> list[int]:
    """The frames of a TIFF file that are pages, without thumbnails; empty for other files."""
    from PIL import Image

    with suppress(Exception), Image.open(path, formats=("TIFF",)) as image:  # reading it will report the problem
        return _page_frames(image)
    return []


def read_grey(source: str | PathLike[str] | IO[bytes], frame: int | None = None) -> NDArray[np.uint8]:
    """The grey image (H, W) of a file; see `as_grey`.

    Args:
        frame: frame of a file that has several.
    Raises:
        DataError: not an image, too large or truncated; or a TIFF file of several pages without a frame.
    """
    from PIL import Image, UnidentifiedImageError

    def refused(what: str, more: str = ".") -> DataError:
        where = f": {source}" if isinstance(source, (str, PathLike)) else ""
        return DataError(f"{what}{where}{more}", common=what + more)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit applies
            with Image.open(source, formats=_FORMATS) as image:
                _check(image, frame)
                image.draft("L", image.size)  # a JPEG decoder can skip the colours
                return as_grey(image)
    except FileNotFoundError:
        raise refused("the image file is missing") from None
    except UnidentifiedImageError:
        advice = lfs_advice(source) if isinstance(source, (str, PathLike)) else ""
        raise refused(f"the file is not an image that can be read ({KINDS} can)", f".{advice}") from None
    except _SeveralPagesError as error:
        raise refused(f"the image file holds {error} pages", ". Save each page as a file of its own.") from None
    except (Image.DecompressionBombError, _TooLargeError) as error:
        pixels = str(error) if isinstance(error, _TooLargeError) else f"more than {MOST_PIXELS:,}"
        raise refused(
            "the image is too large",
            f": {pixels} pixels. At most {MOST_PIXELS:,} can be read (WebP: half of that): make it smaller, or cut it "
            f"into pages.",
        ) from None
    except Exception as error:
        raise refused("the image cannot be read", f": {reason(error)}.") from error


def has_quarter_turn(path: str | PathLike[str]) -> bool:
    """Whether the EXIF orientation of an image file swaps width and height."""
    from PIL import Image

    with suppress(Exception), Image.open(path, formats=_FORMATS) as image:  # reading it reports the problem
        return int(image.getexif().get(_ORIENTATION, 1)) >= _FIRST_QUARTER_TURN
    return False


def as_grey(image: Any) -> NDArray[np.uint8]:
    """A PIL image as grey levels (H, W), rotated upright by its EXIF tag; transparent pixels become white."""
    from PIL import Image, ImageOps

    image.load()
    orientation = image.getexif().get(_ORIENTATION, 1)
    grey = np.empty((image.height, image.width), np.uint8)
    rows = max(1, _STRIP_PIXELS // max(1, image.width))  # a whole colour page would be in memory three times
    strips = [(0, top, image.width, min(top + rows, image.height)) for top in range(0, image.height, rows)]
    bits = 16
    if image.mode.startswith("I") and max(np.asarray(image.crop(box)).max() for box in strips) < 1 << _SENSOR_BITS:
        bits = _SENSOR_BITS
    for box in strips:
        grey[box[1] : box[3]] = _grey_strip(image.crop(box), bits)
    if orientation == 1:
        return grey
    turned = Image.fromarray(grey)
    turned.getexif()[_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(turned))


def _page_frames(image: Any) -> list[int]:
    pages = []
    with suppress(Exception):  # frames that cannot be found are not pages
        for frame in range(min(image.n_frames, _MOST_FRAMES)):
            image.seek(frame)
            if not image.tag_v2.get(_SUBFILE_TYPE, 0) & 1:
                pages.append(frame)
    return pages


def _check(image: Any, frame: int | None) -> None:
    """Seeks to a frame; refuses by its header whatever would take more memory or time than an image of its size."""
    if frame is None and image.format == "TIFF" and len(pages := _page_frames(image)) > 1:
        raise _SeveralPagesError(len(pages))
    if frame is not None or image.format == "TIFF":
        image.seek(frame or 0)
        image.filename = ""  # Pillow maps an uncompressed file into memory, in rows of the width after a quarter turn
    pixels = image.width * image.height
    most_pixels = MOST_PIXELS // 2 if image.format == "WEBP" else MOST_PIXELS  # WebP takes 16 bytes per pixel
    if pixels > most_pixels:
        raise _TooLargeError(f"{image.width:,} x {image.height:,}")
    if image.format in ("JPEG", "MPO") and _count(image.fp, b"\xff\xda") > _MOST_SCANS:
        raise ValueError(f"it has more than {_MOST_SCANS} scans")
    if image.format == "TIFF":
        tile_pixels = math.prod(image.tag_v2.get(tag, 1) for tag in _TILE_SIDES)
        if tile_pixels > max(4 * pixels, _STRIP_PIXELS):
            raise ValueError(f"its tiles have {tile_pixels:,} pixels each, the whole image {pixels:,}")
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise ValueError("its pixels have 32 bits, and nothing defines which value is white; save it with 8 or 16 bits")
    codecs = {tile[0] for tile in image.tile}
    if codecs & _SLOW_CODECS and pixels > _MOST_SLOW_PIXELS:
        raise ValueError(f"more than {_MOST_SLOW_PIXELS:,} pixels in plain text, odd levels or runs; save it as a PNG")
    if "ppm_plain" in codecs and _count(image.fp, b"#") > _MOST_COMMENTS:
        raise ValueError(f"it has more than {_MOST_COMMENTS:,} comments")


def _count(file: Any, mark: bytes) -> int:
    """Counts markers in a file: a scan of a JPEG takes time but hardly a byte, and so do comments."""
    back = file.tell()
    file.seek(0)
    count, piece = 0, b""
    while content := file.read(1 << 20):
        piece = piece[len(piece) - len(mark) + 1 :] + content  # a marker may span two pieces
        count += piece.count(mark)
    file.seek(back)
    return count


def _grey_strip(strip: Any, bits: int) -> NDArray[np.uint8]:
    from PIL import Image

    if strip.mode.startswith("I"):  # 16 bits, which PNM files store in 32: `_check` refuses other levels
        return (np.asarray(strip, np.uint16) >> (bits - 8)).astype(np.uint8)
    if strip.mode == "LAB":  # Pillow converts it only with colour profiles; its lightness needs none
        return np.asarray(strip.getchannel("L"))
    if strip.mode in ("RGBA", "LA", "PA") or "transparency" in strip.info:
        rgba = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(strip.convert("L"))
