"""Lines of pages that were transcribed in ALTO, PAGE XML or hOCR."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.transcribed.alto_files import WHOLE_REGION, AltoFiles
from text_recognizer.datasets.transcribed.page_images import LinesOfPage


@dataclass(eq=False, repr=False)
class AltoLinesDataset(LineDataset):
    """Lines cut out of scanned pages, as ALTO 2 to 4, PAGE XML and hOCR describe them.

    An image is looked for at the path that its XML file names; beside the file under the same name; beside its folder
    `page` or `alto`, as Transkribus exports them; and at that path from the folder above, as in an OCR-D workspace. The
    pages of a file of several are those of the TIFF file that it names, in their order. Outlines in millimetres or
    inches (ALTO) need the size of their page. Lines that slope, bend or run vertically are straightened along their
    baseline or, without one, along the slope of their outline. Folders called train, validation or test define the
    splits; otherwise whole pages, or writers, are held out.

    Args:
        path: a folder, searched recursively, or one XML file. A .hocr file counts if no XML file has its name.
        image_folder: folder of the images, if they are not beside the XML files; either flat or with the same
            subfolders.
        crop: "polygon" whitens what lies outside a line's outline, "box" keeps the whole box around it.
        line_types: use only lines of these types (tags of ALTO, structure types of PAGE, classes of hOCR); null uses
            all.
        writer_pattern: a regular expression for the name of an XML file without its ending. What it finds (its first
            group, if it has one; at least one character) is the writer, whose pages all go into one split. Without it,
            a page is a group.
    """

    recipe_version = 6
    straightened = True

    path: str
    image_folder: str | None = None
    crop: Literal["polygon", "box"] = "polygon"
    line_types: tuple[str, ...] | None = None
    writer_pattern: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.files = AltoFiles(self.path, self.image_folder, self.line_types, self.writer_pattern)

    def depends_on(self) -> dict[str, Any]:
        return {**self.files.key, "images": self.files.image_state, "crop": self.crop}

    def outlook(self) -> str | None:
        known = super().outlook()  # None: its files are not here
        return known and (self.files.lacking_images() or known)

    @property
    def texts_key(self) -> dict[str, Any]:
        return self.files.key

    def sources(self) -> Iterator[LineSource]:
        for page in self.files.pages:
            if page.problem:
                sample = LineSample(page.name, "", problem=page.problem, noun="page")
                yield LinesOfPage((sample,), page.image, ((),))
            else:
                yield page.cut(along_outline=self.crop == "polygon")
                regions = [
                    LineSample(f"{page.name}#{name}", "", problem=WHOLE_REGION, noun="region")
                    for name in page.text.whole_regions
                ]
                if regions:
                    yield LinesOfPage(regions, page.image, ((),) * len(regions))
