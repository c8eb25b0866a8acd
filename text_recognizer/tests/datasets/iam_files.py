"""The IAM database in its layout, with a handful of made-up forms: ascii, xml, lines, forms, the lists of its task."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.lines.iam import IamDataset
from text_recognizer.tests.datasets.line_files import picture, save

TASK = "largeWriterIndependentTextLineRecognitionTask"

# form: writer, and its lines: segmentation, words as lines.txt has them, text as the XML has it.
FORMS: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "a01-000u": (
        "000",
        [
            ("ok", "A|MOVE|to|stop|Mr.|Gaitskell|from", "A MOVE to stop Mr. Gaitskell from"),
            ("err", "nominating|any|more|Labour", "nominating any more Labour"),
            ("ok", 'he|said|,|"|yes|"|.', 'he said, "yes".'),
        ],
    ),
    "a01-003": ("002", [("ok", "Though|they|may|gather|some", "Though they may gather some")]),
    "b02-045": ("010", [("ok", "0|1 2|3", "0 12 3"), ("ok", ".|.|.", "...")]),
    "c03-000a": ("050", [("ok", "This|is|a|test", "This is a test"), ("err", "of|the|task", "of the task")]),
    "d04-001": ("060", [("ok", "left|out|by|the|task", "left out by the task")]),
}
LISTS = {
    "trainset": ["a01-000u-00", "a01-000u-01", "a01-000u-02"],
    "validationset1": ["a01-003-00"],
    "validationset2": ["b02-045-00", "b02-045-01"],
    "testset": ["c03-000a-00", "c03-000a-01"],
}
AS_IT_IS: dict[str, Any] = {"height": 24, "ink": "dark", "preprocessing": ()}


def write_iam(root: Path) -> Path:
    """All folders of the official download, unpacked."""
    (root / "ascii").mkdir(parents=True)
    (root / "xml").mkdir()
    (root / TASK).mkdir()
    (root / "ascii" / "lines.txt").write_text(lines_txt(), encoding="utf-8")
    (root / "ascii" / "forms.txt").write_text(forms_txt(), encoding="utf-8")
    for form in FORMS:
        (root / "xml" / f"{form}.xml").write_text(form_xml(form), encoding="utf-8")
        save(root / "forms" / f"{form}.png", form_image(form))
        for index in range(len(FORMS[form][1])):
            name = f"{form}-{index:02}"
            save(root / "lines" / form[:3] / form[:7].rstrip("u") / f"{name}.png", line_image(name))
    for name, members in LISTS.items():
        (root / TASK / f"{name}.txt").write_text("\n".join(members) + "\n\n", encoding="utf-8")
    return root


def fsdl_archive() -> bytes:
    """iamdb.zip, as the Full Stack Deep Learning recogniser packed IAM: JPEG forms of half the size, and XML files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for form in FORMS:
            page = io.BytesIO()
            Image.fromarray(form_image(form)).resize((200, 150), Image.Resampling.NEAREST).save(page, "JPEG")
            archive.writestr(f"iamdb/forms/{form}.jpg", page.getvalue())
            archive.writestr(f"iamdb/xml/{form}.xml", form_xml(form))
    return file.getvalue()


def line_image(name: str) -> np.ndarray:
    return picture(60 + sum(map(ord, name)) % 40, 24, seed=sum(map(ord, name)))


def box(index: int) -> tuple[int, int, int, int]:
    """x, y, width, height of a line in its form."""
    return 40 + 10 * index, 60 + 40 * index, 200 - 20 * index, 30


def form_image(form: str) -> np.ndarray:
    """400 x 300 pixels: printed text above, then the lines, each in its box."""
    image = np.full((300, 400), 250, np.uint8)
    image[10:30, 20:380:2] = 0
    random = np.random.default_rng(sum(map(ord, form)))
    for index in range(len(FORMS[form][1])):
        x, y, width, height = box(index)
        image[y : y + height, x : x + width] = random.choice([20, 250], (1, width // 2)).repeat(2, axis=1)
        image[y, x : x + width] = image[y + height - 1, x : x + width] = 20 + index
    return image


def lines_txt() -> str:
    rows = ["#--- lines.txt ---#", "#", "# format: a01-000u-00 ok 154 19 408 746 1661 89 A|MOVE"]
    for form, (_, lines) in FORMS.items():
        for index, (status, words, _) in enumerate(lines):
            rows.append(f"{form}-{index:02} {status} 154 19 {' '.join(map(str, box(index)))} {words}")
    return "\n".join(rows) + "\n"


def forms_txt() -> str:
    rows = [f"{form} {writer} 2 prt {len(lines)} {len(lines)} 9 9" for form, (writer, lines) in FORMS.items()]
    return "\n".join(["#--- forms.txt ---#", *rows]) + "\n"


def form_xml(form: str) -> str:
    writer, lines = FORMS[form]
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<form created="2001" height="300" id="{form}" width="400" writer-id="{writer}">
  <machine-printed-part><machine-print-line text="not this"/></machine-printed-part>
  <handwritten-part>
{"".join(line_xml(form, index) for index in range(len(lines)))}  </handwritten-part>
</form>
"""


def line_xml(form: str, index: int) -> str:
    status, _, text = FORMS[form][1][index]
    x, y, width, height = box(index)
    half = width // 2
    escaped = text.replace('"', "&amp;quot;")
    return f"""    <line id="{form}-{index:02}" segmentation="{status}" text="{escaped}" threshold="154">
      <word id="w0" tag="AT" text="A"><cmp x="{x}" y="{y}" width="{half}" height="{height}"/></word>
      <word id="w1" tag="AT" text="B"><cmp x="{x + half}" y="{y + 5}" width="{width - half}" height="{height - 5}"/>
        <cmp x="0" y="0" width="0" height="0"/></word>
    </line>
"""


def prepared(root, **args):
    dataset = IamDataset(str(root), **(AS_IT_IS | args))
    dataset.prepare()
    return dataset


def texts(dataset):
    return {
        name: text
        for split in map(dataset.split, SPLIT_NAMES)
        for name, text in zip(split.ids, split.texts, strict=True)
    }


def members(dataset):
    return {name: dataset.split(name).ids for name in SPLIT_NAMES}
