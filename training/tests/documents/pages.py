"""The pages of the documentation, their fenced blocks, and a folder for each page in which its commands run."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.tests.datasets.character_files import idx_files, part
from text_recognizer.tests.datasets.iam_files import fsdl_archive

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(page.relative_to(REPOSITORY)) for page in (REPOSITORY / "docs").rglob("*.md")),
]
# Tasks are run by CI itself, and there is no W&B to send anything to.
NOT_RUN = ("#", "tasks/", "wandb sync")
# What documents train, smaller: fewer and shorter trials, a network that is quickly built, fewer and shorter lines.
SMALLER = {
    "training/sweep_digits.yaml": {"run_cap: 20": "run_cap: 4", "min_iter: 4": "min_iter: 2", "value: 24": "value: 6"},
    "training/experiments/records.json": {'"hanzi_net"': '"lenet"'},
    "make_pages.py": {"range(10)": "range(3)", "rng.randint(4, 6)": "rng.randint(1, 2)"},
}
Arrays = dict[str, tuple[NDArray[np.uint8], NDArray[Any]]]


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        language: "" where none is named.
        title: the file that it is, as in ```python title="my_networks.py"; "" for none.
    """

    language: str
    title: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for indent, info, content in re.findall(r"^( *)```([^\n`]*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        title = re.search(r'title="([^"]+)"', info)
        lines = [line.removeprefix(indent) for line in content.splitlines()]
        yield Block((info.split() or [""])[0], title[1] if title else "", "\n".join(lines) + "\n")


def commands(page: str) -> list[str]:
    """The lines of its blocks of the language sh; one that ends in a backslash goes on in the next."""
    text = "".join(block.text for block in blocks(page) if block.language == "sh" and not block.title)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith(NOT_RUN)]


def make_place(folder: Path, page: str) -> None:
    """Where a reader of a page stands: what it names lies there, and everything is small.

    That is its blocks with a title, the files of the folder beside it that has its name, the repository's own
    experiments, and some foreign files.
    """
    (folder / "text_recognizer").symlink_to(REPOSITORY / "text_recognizer")
    for room in ("training", "training/experiments"):
        (folder / room).unlink(missing_ok=True)
        (folder / room).mkdir()
        for entry in (REPOSITORY / room).iterdir():
            (folder / room / entry.name).symlink_to(entry)
    (folder / "scanned").mkdir()
    for name, content in idx_files(part([index % 10 for index in range(40)]), part(list(range(10)))).items():
        (folder / "scanned" / name).write_bytes(content)
    for place, image in enumerate(np.random.default_rng(0).integers(0, 256, (120, 20, 16), np.uint8)):
        file = folder / "letters" / str(place % 10) / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    _publish(folder)
    _prepare_few_digits(folder)
    files = (REPOSITORY / page).with_suffix("")
    if files.is_dir():
        shutil.copytree(files, folder, dirs_exist_ok=True)
    for block in blocks(page):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")
    for name in SMALLER:
        if (folder / name).exists():
            make_smaller(folder, name)


def environ_of(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TEXT_RECOGNIZER_DATA": str(folder / "data"),
        "TEXT_RECOGNIZER_METADATA": str(folder / "metadata.toml"),
        "TEXT_RECOGNIZER_MODELS": str(folder / "models"),
        "TEXT_RECOGNIZER_RUNS": "runs",
        "TEXT_RECOGNIZER_WEIGHTS": str(REPOSITORY / "text_recognizer" / "weights"),
    }


def make_smaller(folder: Path, name: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    path.unlink()  # it may be a link
    for value, smaller in SMALLER[name].items():
        assert value in text
        text = text.replace(value, smaller)
    path.write_text(text, encoding="utf-8")


def _publish(folder: Path) -> None:
    """mnist, emnist and iam of the registry, in miniature."""
    digits = idx_files(
        part([index % 10 for index in range(100)]), part([index % 10 for index in range(20)]), "", "t10k"
    )
    letters = idx_files(part([index % 62 for index in range(620)]), part(list(range(62))), "emnist-byclass-")
    tables = []
    for table, files in (("mnist", digits), ("emnist", letters), ("iam", {"iamdb.zip": fsdl_archive()})):
        tables.append(f'[{table}]\ntitle = "{table} in miniature"\n')
        for name, content in files.items():
            (folder / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            url = (folder / name).as_uri()
            tables.append(f'[[{table}.files]]\nurl = "{url}"\nfilename = "{name}"\nsha256 = "{digest}"\n')
    (folder / "metadata.toml").write_text("\n".join(tables))


def _prepare_few_digits(folder: Path) -> None:
    """The default dataset as it is found prepared: a part of it."""
    whole = DigitsDataset.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_RECOGNIZER_DATA", str(folder / "data"))
        patch.setattr(DigitsDataset, "read", lambda self: _part_of(whole(self)))
        DigitsDataset().prepare()


def _part_of(whole: Arrays) -> Arrays:
    return {name: (images[::3], labels[::3]) for name, (images, labels) in whole.items()}
