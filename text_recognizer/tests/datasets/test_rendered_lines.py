"""Lines rendered from fonts: fonts, noise, lexicons."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.drawing.changes import turned, with_noise
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT, Font, characters_of, needs_shaping
from text_recognizer.datasets.formats.font_cmap import characters_of_font
from text_recognizer.datasets.formats.lexicon import LexiconEntry, read_lexicon
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset, Rendering
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.font_files import default_font, font_with, woff

POEMS, WENKAI, CAVEAT = "THUOCL_poem.txt", "lxgw-wenkai/LXGWWenKai-Regular.ttf", "caveat/Caveat-Regular.ttf"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))


def test_the_font_of_pillow_has_ascii_and_nothing_else_that_is_written():
    assert set(range(32, 127)) <= characters_of(DEFAULT_FONT)
    assert not set(map(ord, "日é")) & characters_of(DEFAULT_FONT)


def test_both_kinds_of_character_maps_are_read():
    # Format 4: 'a' to 'c' by a delta, 'x' to 'z' by a list of glyphs in which y has none.
    segments = struct.pack(">HHHHHHH", 4, 0, 0, 6, 0, 0, 0)
    segments += struct.pack(">3HH3H3H3H", 0x63, 0x7A, 0xFFFF, 0, 0x61, 0x78, 0xFFFF, 1, 0, 1, 0, 4, 0)
    segments += struct.pack(">3H", 5, 0, 6)
    assert characters_of_font(font_with(4, segments)) == set(map(ord, "abcxz"))
    groups = struct.pack(">HHIII", 12, 0, 0, 0, 1) + struct.pack(">III", 0x20000, 0x20002, 7)
    assert characters_of_font(font_with(12, groups)) == {0x20000, 0x20001, 0x20002}


def test_a_font_whose_ranges_overlap_is_refused_after_as_many_codes_as_there_are():
    # 27,000 ranges of all of Unicode would be 30 billion codes.
    groups = struct.pack(">HHIII", 12, 0, 0, 0, 27_000) + struct.pack(">III", 0, 0x10FFFF, 7) * 27_000
    with pytest.raises(DataError, match="the ranges of its cmap table overlap"):
        characters_of_font(font_with(12, groups))
    count = 8000
    segments = struct.pack(">HHHHHHH", 4, 0, 0, 2 * count, 0, 0, 0) + struct.pack(f">{count}H", *[0xFFFE] * count)
    segments += bytes(2 + 2 * count) + bytes(2 * count) + struct.pack(">H", 2 * count) * count + bytes(0x20200)
    with pytest.raises(DataError, match="the ranges of its cmap table overlap"):
        characters_of_font(font_with(4, segments))


def _with_word(table, position, value, content=None):
    """The font of Pillow, or another, with another 16-bit word in one of its tables."""
    content = bytearray(content or default_font())
    for index in range(int.from_bytes(content[4:6], "big")):
        tag, _, offset, _ = struct.unpack_from(">4sIII", content, 12 + 16 * index)
        if tag == table:
            struct.pack_into(">h", content, offset + position, value)
    return bytes(content)


def test_a_font_that_draws_larger_than_fonts_do_is_refused_before_it_draws(tmp_path):
    (tmp_path / "high.ttf").write_bytes(_with_word(b"hhea", 4, 32767))
    with pytest.raises(DataError, match=r"high\.ttf makes lines [\d.]+ times its size high"):
        Font(str(tmp_path / "high.ttf"), 40).draw("a")
    (tmp_path / "large.ttf").write_bytes(_with_word(b"head", 18, 16))  # units of an em: all is 60 times as large
    with pytest.raises(DataError, match=r"large\.ttf (makes lines|draws)"):
        Font(str(tmp_path / "large.ttf"), 40).draw("a")


def test_glyphs_that_lie_below_their_line_are_cut_off_as_a_whole(tmp_path):
    (tmp_path / "low.ttf").write_bytes(_with_word(b"hhea", 4, 5000, _with_word(b"hhea", 6, 4500)))
    low = Font(str(tmp_path / "low.ttf"), 40)
    assert 0 < low.height < low.ascent
    assert low.draw("a").max() == 0


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\0\1\0\0\0\1", b"\0\1\0\0" + bytes(60)])
def test_what_is_no_font_is_refused(tmp_path, content):
    (tmp_path / "a.ttf").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.ttf is damaged or not a TrueType, OpenType or WOFF font"):
        RenderedLinesDataset(fonts=(str(tmp_path / "a.ttf"),)).prepare()
    with pytest.raises(DataError, match=r"cannot read the font .*b\.ttf: No such file"):
        RenderedLinesDataset(fonts=(str(tmp_path / "b.ttf"),)).prepare()


@pytest.mark.parametrize("form", [bytes, woff])
def test_a_font_that_is_cut_short_is_refused(tmp_path, form):
    (tmp_path / "a.ttf").write_bytes(form(default_font())[:-1000])
    with pytest.raises(DataError, match=r"a\.ttf is damaged .*: it is cut short: [\d,]+ of at least"):
        RenderedLinesDataset(fonts=(str(tmp_path / "a.ttf"),)).prepare()


def test_a_woff_font_has_the_characters_of_the_font_in_it_and_draws_them_alike(tmp_path):
    (tmp_path / "a.woff").write_bytes(woff(default_font()))
    assert characters_of(str(tmp_path / "a.woff")) == characters_of(DEFAULT_FONT)
    drawn = Font(str(tmp_path / "a.woff"), 30).draw("Ab 17!")
    assert np.array_equal(drawn, Font(DEFAULT_FONT, 30).draw("Ab 17!"))


def test_woff_fonts_that_unpack_to_less_than_they_say_or_to_gigabytes_are_refused():
    groups = struct.pack(">HHIII", 12, 0, 0, 0, 900) + struct.pack(">III", 65, 90, 1) * 900
    content = woff(font_with(12, groups))
    assert characters_of_font(content) == set(range(65, 91))
    for at, new, reason in (
        (56, struct.pack(">I", 20_000), "has 10,828 bytes instead of 20,000"),
        (56, struct.pack(">I", 1 << 31), "unpack to 2,147,483,648 bytes"),
        (64, bytes(20), "damaged or not a TrueType, OpenType or WOFF font"),
    ):
        with pytest.raises(DataError, match=reason):
            characters_of_font(content[:at] + new + content[at + len(new) :])
    with pytest.raises(DataError, match="WOFF2 is not read; convert it to WOFF or TrueType"):
        characters_of_font(b"wOF2" + content[4:])


def test_texts_for_which_a_font_has_only_empty_glyphs_are_rejected(tmp_path):
    content = bytearray(default_font())
    for index in range(int.from_bytes(content[4:6], "big")):
        tag, _, offset, length = struct.unpack_from(">4sIII", content, 12 + 16 * index)
        if tag == b"loca":  # where the outline of each glyph begins: now all end where they begin
            content[offset : offset + length] = bytes(length)
    (tmp_path / "empty.ttf").write_bytes(content)
    dataset = RenderedLinesDataset(texts=lexicon(tmp_path, "ab a\nb\nc"), fonts=(str(tmp_path / "empty.ttf"),))
    with pytest.raises(DataError, match="6 x its font draws nothing for some characters"):
        dataset.prepare()


def test_a_text_put_together_from_kept_glyphs_looks_like_one_drawn_whole():
    font = Font(DEFAULT_FONT, 30)
    for text in ("AVAST To. fly, 17!", "office affiliate"):
        pieces, whole = font.draw(text), font._drawn_whole(text)
        assert abs(pieces.shape[1] - whole.shape[1]) <= 2
        width = min(pieces.shape[1], whole.shape[1])
        # Half a pixel here and there; one pixel to the side would be 0.74.
        assert np.corrcoef(pieces[:, :width].ravel(), whole[:, :width].ravel())[0, 1] > 0.9


def test_scripts_whose_letters_join_are_drawn_whole():
    assert [needs_shaping(character) for character in "aé日\u0627\u0301\u0915"] == [
        False,
        False,
        False,
        True,
        True,
        True,
    ]


# Rendering


def test_a_turned_line_keeps_its_height_and_all_its_ink():
    line = Font(DEFAULT_FONT, 26).draw("a long line of text that would reach beyond")
    for degrees in (-8, -2, 0.5, 3, 20):
        result = turned(line, degrees)
        assert result.shape[0] == line.shape[0]
        columns = np.flatnonzero(result.any(axis=0))
        assert columns[0] > 0
        assert columns[-1] < result.shape[1] - 1
    left, right = np.array_split(turned(line, 3), 2, axis=1)

    def middle(half):
        return (half.sum(axis=1) * np.arange(len(half))).sum() / half.sum()

    assert middle(right) < middle(left)  # counter-clockwise


@pytest.mark.parametrize(
    ("kind", "changes_paper"), [("gaussian", True), ("poisson", False), ("salt", False), ("pepper", True)]
)
def test_each_kind_of_noise_does_what_its_name_says(kind, changes_paper):
    line = np.zeros((32, 200), np.uint8)
    line[:, 50:150] = 128
    noisy = with_noise(line, kind, np.random.default_rng(0))
    assert noisy.dtype == np.uint8
    assert noisy.shape == line.shape
    assert (noisy[:, :50] != 0).any() == changes_paper
    ink = noisy[:, 50:150].astype(int)
    if kind in ("salt", "pepper"):
        assert 0.005 < (ink != 128).mean() < 0.04
        assert set(np.unique(ink)) == {128, 0 if kind == "salt" else 255}
    else:
        assert 2 < ink.std() < 80
        assert abs(ink.mean() - 128) < 5


def test_lines_are_rendered_out_of_the_box(tmp_path):
    dataset = RenderedLinesDataset(num_texts=60)
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 120
    texts = [set(dataset.split(name).texts) for name in SPLIT_NAMES]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 60  # no text is in two splits
    assert dataset.data_spec.input_shape == (32, None, 1)
    assert dataset.rejected == []
    train = dataset.split("train")
    clean = [position for position, name in enumerate(train.ids) if name.endswith("_0")]
    assert len(clean) * 2 == len(train)
    assert np.mean([train.image(position)[:, :2].max() for position in clean]) < 30


def test_a_second_rendering_is_identical_whatever_the_number_of_processes(tmp_path, monkeypatch):
    found = []
    for processes in (1, 2):
        monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / f"data{processes}"))
        dataset = RenderedLinesDataset(num_texts=300)
        monkeypatch.setattr(dataset, "processes", processes)
        dataset.prepare()
        found.append(dataset.pool.store.content_hash)
    assert found[0] == found[1]


def lexicon(tmp_path, content):
    (tmp_path / "texts.txt").write_text(content, encoding="utf-8")
    return str(tmp_path / "texts.txt")


def test_a_lexicon_may_have_counts_and_mixed_line_endings(tmp_path):
    path = Path(lexicon(tmp_path, "\ufeffabc\t3\r\nxy\r\n\nabc\t4\nbad\tmany\n"))
    assert read_lexicon(path) == [
        LexiconEntry("abc", 7),
        LexiconEntry("xy"),
        LexiconEntry("bad", 1, "its count is no whole number of at most 15 digits: 'many'"),
    ]
    # Digits to str.isdigit, but not to int; and more of them than int takes.
    for count in ("²", "", "9" * 5000):
        assert read_lexicon(Path(lexicon(tmp_path, f"abc\t{count}\n")))[0].problem
    assert read_lexicon(Path(lexicon(tmp_path, "abc\t٢\n"))) == [LexiconEntry("abc", 2)]
    with pytest.raises(DataError, match="holds no texts"):
        read_lexicon(Path(lexicon(tmp_path, "\n")))


def test_repetitions_noise_and_names_are_those_of_the_older_generator(tmp_path):
    path = lexicon(tmp_path, "one\ntwo\nthree\nfour\nfive\n")
    dataset = RenderedLinesDataset(texts=path, repetitions=3)
    dataset.prepare()
    names = {name for split in map(dataset.split, SPLIT_NAMES) for name in split.ids}
    assert names == {f"{text}/{time}_{noisy}" for text in range(5) for time in range(3) for noisy in (0, 1)}
    clean = RenderedLinesDataset(texts=path, repetitions=3, noise=())
    clean.prepare()
    assert sum(clean.sizes().values()) == 15


def test_texts_that_no_font_can_draw_are_rejected_before_anything_is_drawn(tmp_path):
    path = lexicon(tmp_path, "one\ntwo\nthree\n更上一层楼\nbad\tmany\n")
    dataset = RenderedLinesDataset(texts=path)
    dataset.prepare()
    assert {one.name: one.reason for one in dataset.rejected} == {
        "3": "no font has all its characters: '一' (U+4E00), '上' (U+4E0A), '层' (U+5C42), …",
        "4": "its count is no whole number of at most 15 digits: 'many'",
    }
    assert "更" not in dataset.data_spec.classes
    assert RenderedLinesDataset(texts=path).data_spec == dataset.data_spec


def test_texts_are_drawn_by_their_counts_where_that_is_asked_for(tmp_path):
    rows = [f"often{index}\t1000" for index in range(10)] + [f"rare{index}\t1" for index in range(90)]
    path = lexicon(tmp_path, "\n".join(rows))
    dataset = RenderedLinesDataset(texts=path, num_texts=12, by_count=True, noise=())
    dataset.prepare()
    texts = [text for name in SPLIT_NAMES for text in dataset.split(name).texts]
    assert len(texts) == len(set(texts)) == 12
    assert sum(text.startswith("often") for text in texts) >= 9
    few = lexicon(tmp_path, "a\t5\nb\t5\nc\tx\nd\ty\ne\tz\nf\t5\n")
    assert RenderedLinesDataset(texts=few, num_texts=3, by_count=True).data_spec.classes == ("", "a", "b", "f")
    assert RenderedLinesDataset(texts=few, num_texts=4, by_count=True).data_spec.classes == ("", "a", "b", "f")
    with pytest.raises(SpecError, match="by_count draws num_texts texts"):
        RenderedLinesDataset(by_count=True)


def test_lines_longer_than_the_one_width_are_made_smaller(tmp_path):
    path = lexicon(tmp_path, "a\nab\nabc\n" + "wide " * 9)
    dataset = RenderedLinesDataset(texts=path, width=100, ink="dark", noise=(), rotation_deg=0)
    dataset.prepare()
    batch = dataset.split("train").batch(np.arange(len(dataset.split("train"))))
    assert batch["image"].shape[1:] == (32, 100, 1)
    assert batch["width"].max() <= 100
    assert (batch["image"][:, 0] == 255).all()


def test_real_verses_are_rendered_with_a_chinese_font_and_not_with_a_latin_one():
    poems = str(shared_data("thuocl") / POEMS)
    fonts = shared_data("fonts")
    dataset = RenderedLinesDataset(texts=poems, fonts=(str(fonts / CAVEAT), str(fonts / WENKAI)), num_texts=150)
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 300
    assert len(dataset.data_spec.classes) > 300
    assert dataset.data_spec.max_length in range(1, 21)
    latin = RenderedLinesDataset(texts=poems, fonts=(str(fonts / CAVEAT),), num_texts=20)
    with pytest.raises(DataError, match="none of its lines can be used. 20 lines rejected: 20 x no font has all"):
        latin.prepare()


def test_rendering_is_many_times_faster_than_drawing_each_line_from_scratch(tmp_path):
    from PIL import Image, ImageDraw, ImageFont

    font = shared_data("fonts") / WENKAI
    texts = [entry.text for entry in read_lexicon(shared_data("thuocl") / POEMS)][:400]

    def from_scratch(text, random):
        image = Image.new("RGB", (len(text) * 30, 50), "white")
        ImageDraw.Draw(image).text((0, 0), text, font=ImageFont.truetype(font, 30), fill="black")
        image = image.rotate(random.uniform(-2, 2))
        noisy = np.asarray(image) + random.normal(0, 16, (50, len(text) * 30, 3))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(tmp_path / "a.jpg")

    random = np.random.default_rng(0)
    rendering = Rendering(32, None, 2.0, ("gaussian", "poisson", "salt", "pepper"))
    for text in texts:
        rendering.draw(text, str(font), True, random)  # keeps the glyphs
    ours, theirs = [], []
    for _ in range(3):
        begin = time.process_time()
        for text in texts:
            rendering.draw(text, str(font), True, random)
        ours.append((time.process_time() - begin) / len(texts))
        begin = time.process_time()
        for text in texts[:40]:
            from_scratch(text, random)
        theirs.append((time.process_time() - begin) / 40)
    assert min(theirs) / min(ours) > 3  # 20 on an idle machine: see the benchmarks
