"""How the reason of an error stands in the sentence of another."""

import ast
import errno
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from text_recognizer.datasets.remote.fetch import disk_errors
from text_recognizer.errors import DataError, keep_places, places_of, reason, system_errors

REPOSITORY = Path(__file__).resolve().parents[2]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
MISSING = FileNotFoundError(errno.ENOENT, "No such file or directory", "words.txt")


@pytest.mark.parametrize(
    ("error", "places", "said"),
    [
        (ValueError("it must be at most 1. Received: 2."), (), "it must be at most 1. Received: 2"),
        (KeyError("a"), (), "'a'"),
        (ValueError(), (), "ValueError"),
        (UnicodeDecodeError("utf-8", b"gr\xfc", 2, 3, "invalid start byte"), (), "it is not UTF-8 text"),
        (MISSING, (), "[Errno 2] No such file or directory: 'words.txt'"),
        (MISSING, (Path("words.txt"),), "No such file or directory"),
        (FULL, (Path("/wide/a"), Path("/wide/b")), "No space left on device"),
        (FULL, (Path("/wide/a"),), "No space left on device (1,073,741,824 bytes are free in /wide)"),
        (FULL, (Path("/wide/a"), Path("/narrow/a/b")), "No space left on device (12 bytes are free in /narrow)"),
        (FULL, (Path("/private/a"), Path("/narrow/a")), "No space left on device (12 bytes are free in /narrow)"),
        (FULL, (Path("/private/a"),), "No space left on device"),
    ],
)
def test_a_reason_stands_inside_a_sentence_and_knows_how_much_is_free(error, places, said, monkeypatch):
    def is_dir(path):
        if "private" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return len(path.parts) == 2

    monkeypatch.setattr(Path, "is_dir", is_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda at: SimpleNamespace(free={"wide": 1 << 30, "narrow": 12}[at.name]))
    assert reason(error, *places) == said


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space, or set TEXT_RECOGNIZER_DATA to a folder on a larger disk."),
        (errno.EDQUOT, "Free some space, or set TEXT_RECOGNIZER_DATA to a folder on a larger disk."),
        (errno.EACCES, "Make it writable for this user, or set TEXT_RECOGNIZER_DATA to a folder that is."),
        (errno.EROFS, "Make it writable for this user, or set TEXT_RECOGNIZER_DATA to a folder that is."),
        (errno.EFBIG, "Set TEXT_RECOGNIZER_DATA to a folder that can be written."),
    ],
)
def test_the_advice_on_a_folder_that_cannot_be_written_fits_the_error(number, advice, tmp_path):
    for guard in (disk_errors(tmp_path), system_errors("write", setting="TEXT_RECOGNIZER_DATA", place=tmp_path)):
        with pytest.raises(DataError) as caught, guard:
            raise OSError(number, os.strerror(number))
        assert str(caught.value).endswith(f". {advice}")


def test_no_sentence_ends_in_two_full_stops_because_the_error_in_it_has_one():
    found = [
        f"{path.relative_to(REPOSITORY)}:{text.lineno}"
        for room in ("text_recognizer", "evaluation", "training")
        for path in (REPOSITORY / room).rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for part, after in zip(text.values, text.values[1:], strict=False)
        if isinstance(part, ast.FormattedValue) and re.match(r"error$|received\(|str\(error", ast.unparse(part.value))
        if isinstance(after, ast.Constant) and str(after.value).startswith(".")
    ]
    assert found == [], "write reason(error) for what may end in a full stop"


def test_an_error_may_have_places_of_its_own():
    error = ValueError("two places")
    vars(error)["places"] = {"here": 1}
    assert places_of(error) == []
    keep_places(error)
    assert vars(error)["places"] == {"here": 1}
