"""The images and pages to read: files, folders, addresses, standard input."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import realpath  # unlike Path.resolve, it does not raise for circular links
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from text_recognizer.datasets.storage.file_states import files_below
from text_recognizer.errors import DataError
from text_recognizer.images.grey import KINDS, OTHER_SUFFIXES, pages_of_tiff, read_grey
from text_recognizer.images.grey import SUFFIXES as IMAGE_SUFFIXES
from text_recognizer.images.read import ImageSource
from text_recognizer.predictors.given_page import image_given_by
from text_recognizer.wording import counted
from training.terminal.command_line import say

_WEB = ("http://", "https://")


@dataclass(frozen=True)
class Source:
    """One image, or the XML file of a page with given lines.

    Args:
        name: name as given.
        place: path of its output file in the results folder, without an ending.
        path: None if it is not a file.
        frame: page of a TIFF file with several.
    """

    name: str
    place: PurePosixPath
    path: Path | None = None
    frame: int | None = None

    @property
    def is_xml(self) -> bool:
        return self.path is not None and self.path.suffix.lower() == ".xml"

    def image(self, allowed_hosts: Sequence[str]) -> ImageSource:
        """The image to read.

        Raises:
            DataError: standard input is empty.
            RefusedError: an address is not allowed, or does not respond.
        """
        if self.path is not None:
            return self.path if self.frame is None else read_grey(self.path, self.frame)
        if self.name.startswith(_WEB):
            import asyncio

            from text_recognizer.serving.addresses import AllowList
            from text_recognizer.serving.fetching import Fetcher

            return asyncio.run(Fetcher(AllowList.of(list(allowed_hosts))).fetch(self.name))
        content = sys.stdin.buffer.read()
        if not content:
            raise DataError("standard input is empty. Pipe an image into it: predict - < line.png.")
        return content


def sources_of(asked: Sequence[str]) -> list[Source]:
    """All sources, with the contents of folders. Raises DataError: a folder has nothing to read."""
    return [source for one in asked for source in _sources(one)]


def _sources(asked: str) -> list[Source]:
    if asked == "-":
        return [Source(asked, PurePosixPath("stdin"))]
    if asked.startswith(_WEB):
        return [Source(asked, PurePosixPath(_stem_of(asked) or "address"))]
    path = Path(asked)
    if not path.is_dir():
        return _pages(Source(asked, PurePosixPath(path.stem), path))
    files = files_below(path)
    images = {one: image_given_by(one) for one in files if one.suffix.lower() == ".xml"}
    xml = {one: image for one, image in images.items() if image is not None}
    stems = {one.with_suffix("") for one in xml}
    given = set(map(realpath, xml.values()))  # images with given lines: these are not searched for
    found = [
        page
        for one in files
        if one in xml
        or (one.suffix.lower() in IMAGE_SUFFIXES and one.with_suffix("") not in stems and realpath(one) not in given)
        for page in _pages(Source(str(one), PurePosixPath(one.relative_to(path).with_suffix("").as_posix()), one))
    ]
    others = [one for one in files if one.suffix.lower() in OTHER_SUFFIXES]
    if others:
        say(f"warning: {counted(len(others), 'file')} in {asked}, like {others[0].name}, cannot be read ({KINDS} can).")
    if not found:
        raise DataError(f"{asked} holds no images ({', '.join(IMAGE_SUFFIXES)}) and no pages (ALTO or PAGE XML).")
    return found


def _pages(source: Source) -> list[Source]:
    """A file, or each page of a TIFF file of several."""
    assert source.path is not None
    is_tiff = source.path.suffix.lower() in (".tif", ".tiff")
    frames: Sequence[int | None] = (pages_of_tiff(source.path) if is_tiff else []) or [None]
    if len(frames) == 1:
        return [replace(source, frame=frames[0])]
    return [
        replace(source, name=f"{source.name}, page {page}", place=PurePosixPath(f"{source.place}-{page}"), frame=frame)
        for page, frame in enumerate(frames, 1)
    ]


def _stem_of(url: str) -> str:
    try:
        return PurePosixPath(unquote(urlsplit(url).path).replace("\0", "")).stem
    except ValueError:  # it is refused when it is requested
        return ""
