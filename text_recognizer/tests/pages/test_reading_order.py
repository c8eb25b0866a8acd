"""Right-to-left scripts: texts and labels in their two orders, in datasets, drawn lines, readings and lexicons."""

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont, features

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset
from text_recognizer.decoding.lexicon import Lexicon
from text_recognizer.errors import DataError
from text_recognizer.models.line import LineModel
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.base import FrameNetwork, Network
from text_recognizer.reading_order import has_right_to_left, logical_order, visual_order
from text_recognizer.tests.datasets.line_files import write_list
from text_recognizer.tests.models.test_language_model import lexicon_cost

# Editors turn Hebrew and Arabic round when they show them; so letters stand here by their names.
ALEF, BET, GIMEL, DALET, QAMATS = "\u05d0", "\u05d1", "\u05d2", "\u05d3", "\u05b8"
SEEN, LAM, MEEM = "\u0633", "\u0644", "\u0645"
ABG = ALEF + BET + GIMEL
GBA = ABG[::-1]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("logical", "visual"),
    [
        (ABG, GBA),
        (f"{ABG} 123", f"123 {GBA}"),
        (f"{ABG} 1,000.50% {DALET}", f"{DALET} 1,000.50% {GBA}"),
        (f"{ABG} 12-05-2020", f"12-05-2020 {GBA}"),
        (f"{SEEN}{LAM} 12-05-2020", f"2020-05-12 {LAM}{SEEN}"),  # after Arabic letters a hyphen parts numbers
        (f"{SEEN}{LAM} \u0661\u0662 {MEEM}", f"{MEEM} \u0661\u0662 {LAM}{SEEN}"),
        (f"({ALEF}{BET})", f"({BET}{ALEF})"),  # the bracket at the left end opens, as it is seen
        (f"ab (c) {ABG}", f"{GBA} ab (c)"),
        (f"IBM {ABG}{DALET}", f"{DALET}{GBA} IBM"),  # most letters are Hebrew, although the first one is not
        (f"the word {ABG} means (12)", f"the word {GBA} means (12)"),
        (f"the words {ABG} 12 {BET} mean", f"the words {BET} 12 {GBA} mean"),
        (f"{ALEF}{QAMATS}{BET} e\u0301x", f"e\u0301x {BET}{ALEF}{QAMATS}"),  # marks stay behind their letters
    ],
)
def test_a_line_goes_into_visual_order_and_back(logical, visual):
    assert ascii(visual_order(logical)) == ascii(visual)
    assert ascii(logical_order(visual)) == ascii(logical)


@pytest.mark.parametrize("text", ["", "abc (d)", "日本é", "\u0301", "a \ufeff\ufd3e 12"])
def test_a_text_without_right_to_left_letters_is_the_same_object(text):
    assert not has_right_to_left(text)
    assert visual_order(text) is text
    assert logical_order(text) is text


def test_any_text_that_is_seen_says_a_text_that_looks_like_it():
    random = np.random.default_rng(0)
    letters = [*ABG, *"abc", *"12", *"  "]
    for length in random.integers(1, 14, 300).tolist():
        seen = visual_order("".join(random.choice(letters, length).tolist()).strip())
        assert visual_order(logical_order(seen)) == seen


def test_labels_are_visual_and_texts_logical(tmp_path):
    rows = [("0.png", f"{ABG} ({DALET} 12", "train"), ("1.png", "ab", "validation"), ("2.png", "b", "test")]
    path = write_list(tmp_path / "lines", rows, "file\ttext\tsplit")
    dataset = LineListDataset(str(path), height=8)
    # The bracket that opens is seen as one that closes: it is this one that the charset must have.
    assert dataset.data_spec.classes == ("", " ", ")", "1", "2", "a", "b", *ABG, DALET)
    dataset.prepare()
    split = dataset.split("train")
    assert split.texts == [f"{ABG} ({DALET} 12"]
    assert "".join(dataset.data_spec.classes[one] for one in split.label(0)) == f"12 {DALET}) {GBA}"


class Frames(FrameNetwork):
    def frames(self, width):
        return width

    def build(self, input_shape, output_shape):
        raise AssertionError("not built here")


class Positions(Network):
    def build(self, input_shape, output_shape):
        raise AssertionError("not built here")


def test_models_read_from_left_to_right_and_say_it_in_logical_order():
    classes = ("", *ABG, "1", "2", " ")
    label = [4, 5, 6, 3, 2, 1]  # 12, a blank, then the letters from the last to the first
    outputs = 20.0 * np.eye(7, dtype=np.float32)[label][None]
    for model in (
        LineModelCtc(DataSpec((8, None, 1), classes, "line"), Frames()),
        LineModelCtc(DataSpec((8, None, 1), classes, "line"), Frames(), decoding="beam"),
        LineModel(DataSpec((8, 60, 1), classes, "line", max_length=6), Positions()),
    ):
        reading = model.decode(outputs)[0]
        assert reading.text == reading.alternatives[0][0] == f"{ABG} 12"
        assert [one.text for one in reading.characters] == [*"12 ", *GBA]
        assert all(one.right_px <= other.right_px for one, other in pairwise(reading.characters))
        assert model.texts(outputs, np.array([6])) == [f"{ABG} 12"]
        given = model.readings(outputs)[0]
        assert [one.text for one in given.characters] == [*f"{ABG} 12"]
        assert [(one.text, one.left_px) for one in given.words] == [
            (ABG, given.characters[2].left_px),
            ("12", given.characters[4].left_px),
        ]


def test_a_lexicon_sees_words_as_labels_do():
    classes = ["", *ABG, " "]
    lexicon = Lexicon.of_texts([f"{ABG} {ALEF}{BET}"], classes)
    assert lexicon.words == sorted([GBA, BET + ALEF])

    assert [lexicon_cost(lexicon, classes, text) for text in (GBA, ABG)] == [0, -1]


def font_with(tmp_path, codes):
    """Pillow's font, its letters now standing for these characters."""
    face: Any = ImageFont.load_default(10)
    content = bytearray(face.path.getvalue())
    groups = b"".join(struct.pack(">III", code, code, 36 + index) for index, code in enumerate(sorted(codes)))
    table = struct.pack(">HHHHI", 0, 1, 3, 10, 12)
    table += struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(codes)) + groups
    for index in range(int.from_bytes(content[4:6], "big")):
        if content[12 + 16 * index :][:4] == b"cmap":
            struct.pack_into(">II", content, 12 + 16 * index + 8, len(content), len(table))
    path = tmp_path / f"{len(codes)}.ttf"
    path.write_bytes(bytes(content) + table)
    return str(path)


@pytest.mark.skipif(not features.check("raqm"), reason="this Pillow cannot shape texts")
@pytest.mark.parametrize("first", ["", "1", "12"])
def test_a_label_begins_with_the_character_at_the_left_end_of_the_picture(tmp_path, first):
    path = font_with(tmp_path, [*map(ord, "12 "), *range(0x5D0, 0x5EB)])
    texts = [ABG + DALET, f"{DALET}{GIMEL} {first}", f"{first} {ABG}"]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    dataset = RenderedLinesDataset(
        texts=str(tmp_path / "texts.txt"), fonts=(path,), noise=(), rotation_deg=0, font_size=24
    )
    dataset.prepare()
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        for position in range(len(split)):
            label = [dataset.data_spec.classes[one] for one in split.label(position)]
            line = _inked(split.image(position)[..., 0])
            for end, character in ((slice(None), label[0]), (slice(None, None, -1), label[-1])):
                glyph = _inked(dataset.rendering.draw(character, path, False, np.random.default_rng(0)))
                seen = line[:, end][:, : glyph.shape[1]]
                assert np.corrcoef(seen.ravel(), glyph[:, end].ravel())[0, 1] > 0.95


def _inked(picture):
    """A picture without the paper on its left and right."""
    columns = np.flatnonzero(picture.any(axis=0))
    return picture[:, columns[0] : columns[-1] + 1]


def test_made_up_texts_are_of_the_letters_that_a_font_has(tmp_path):
    hebrew = [*range(0x20, 0x41), *range(0x5D0, 0x5EB), 0xFB1D, *map(ord, "abc")]
    dataset = RenderedLinesDataset(fonts=(font_with(tmp_path, hebrew),), num_texts=50)
    assert set(dataset.data_spec.classes[1:]) == set(map(chr, range(0x5D0, 0x5EB)))
    symbols = font_with(tmp_path, [*range(0xF021, 0xF060), *range(0x30, 0x3A)])
    with pytest.raises(DataError, match="the font has no letters to make up texts of: .*ttf. Give texts"):
        _ = RenderedLinesDataset(fonts=(symbols,)).data_spec
