"""Charset: ids, normalisation, graphemes, unknown characters; charsets in files of every kind."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_recognizer.arguments import check_value, to_json
from text_recognizer.charset import Charset, graphemes, tidy_text
from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.formats.char_dict import read_char_dict, write_char_dict
from text_recognizer.datasets.formats.charset_files import read_characters, read_charset
from text_recognizer.errors import DataError
from text_recognizer.models.bundle import Bundle
from text_recognizer.settings import weights_folder

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"  # é as one code point and as two


def encoded(charset: Charset, text: str) -> list[int]:
    return list(charset.encode_all([tidy_text(text, charset.normalization)])[0])


def test_ids_count_from_one_and_zero_is_the_blank():
    charset = Charset("cab")
    assert charset.classes == ("", "c", "a", "b")
    assert encoded(charset, "abc") == [2, 3, 1]
    assert charset.encode_all(["abc"])[0].dtype == np.int32


def test_the_characters_of_texts_are_sorted_whatever_the_order_of_the_texts():
    assert Charset.from_texts(["ba", "c a"]).characters == (" ", "a", "b", "c")
    assert Charset.from_texts(["c a", "ba"]) == Charset.from_texts(["ba", "c a"])


def test_normalisation_makes_two_spellings_one_character_or_two():
    assert Charset.from_texts([COMPOSED, DECOMPOSED], "NFC").characters == (COMPOSED,)
    assert Charset.from_texts([COMPOSED, DECOMPOSED], "NFD").characters == ("e", "\u0301")
    assert Charset.from_texts([COMPOSED, DECOMPOSED], "none").characters == ("e", COMPOSED, "\u0301")
    assert Charset.from_texts(["ﬁ²"], "NFKC").characters == ("2", "f", "i")
    assert Charset.from_texts(["ﬁ"], "NFC").characters == ("ﬁ",)
    assert encoded(Charset([COMPOSED], "NFC"), DECOMPOSED) == [1]


def test_graphemes_keep_marks_and_joined_signs_with_their_base():
    assert graphemes("e\u0301a") == [DECOMPOSED, "a"]
    assert graphemes("\u0915\u093f") == ["\u0915\u093f"]  # a Devanagari letter with its vowel sign
    assert graphemes("\U0001f469\u200d\U0001f52c!") == ["\U0001f469\u200d\U0001f52c", "!"]


def test_the_longest_grapheme_that_fits_is_taken():
    assert encoded(Charset(["e", DECOMPOSED]), f"e{DECOMPOSED}e") == [1, 2, 1]


@pytest.mark.parametrize("characters", ["cab ", ["a", "b", "ab", " "]])
def test_many_texts_are_encoded_like_one_after_another(characters):
    charset = Charset(characters)
    texts = ["ab", "", "b a", "cx"]
    ids, offsets = charset.encode_all(texts)
    for index, text in enumerate(texts):
        assert ids[offsets[index] : offsets[index + 1]].tolist() == encoded(charset, text)
    assert -1 in ids[offsets[3] :]


def test_the_sentence_on_unknown_characters_names_sample_characters_and_charset():
    expected = "line 'a01-03' has 'é' (U+00E9), '?' (U+200B), not in the charset (3 characters)."
    assert Charset("abc").describe_unknown("aéb\u200b", "a01-03") == expected


def test_the_sentence_on_unknown_characters_names_the_form_in_which_there_are_none():
    said = Charset("ae\u0301", "NFC").describe_unknown("\u00e9a", "1.png")
    assert said.endswith("(3 characters). In NFD all are: dataset_args.normalization chooses the form.")
    assert Charset("a\u00e9", "none").describe_unknown("e\u0301a", "1.png").count("In NFC all are") == 1


def test_an_unknown_character_is_dropped_or_replaced_where_that_is_asked_for():
    charset = Charset("ab?")
    assert (charset.replacement_id("drop"), charset.replacement_id("?")) == (0, 3)
    with pytest.raises(DataError, match="cannot be replaced by '!'"):
        charset.replacement_id("!")


def test_an_extended_charset_keeps_the_ids_it_had():
    charset = Charset("zb", "NFC").extended(["cab"])
    assert charset.characters == ("z", "b", "a", "c")
    assert charset.normalization == "NFC"


def test_a_charset_comes_back_from_the_classes_of_a_dataset():
    charset = Charset(["a", "¶", DECOMPOSED], "NFD")
    data_spec = DataSpec((32, None, 1), charset.classes, "line", normalization="NFD")
    assert check_value("it", DataSpec, to_json(data_spec))[0].charset == charset
    with pytest.raises(DataError, match="first class of a charset is the blank"):
        _ = DataSpec((28, 28, 1), ("a", "b")).charset


def test_the_description_of_an_older_bundle_is_read_with_defaults():
    older = {"input_shape": [28, 28, 1], "classes": ["a"], "target": "character", "ink": "light", "margin_px": 2}
    data_spec, problems = check_value("it", DataSpec, older)
    assert problems == []
    assert (data_spec.max_length, data_spec.normalization, data_spec.preprocessing) == (None, "none", ())
    assert {key: to_json(data_spec)[key] for key in older} == older


@pytest.mark.parametrize(
    ("characters", "normalization", "expected"),
    [
        ("aba", "none", r"'a' \(U\+0061\) twice"),
        (["a", ""], "none", "must be text that is not empty"),
        ([DECOMPOSED], "NFC", r"which NFC turns into 'é' \(U\+00E9\)"),
    ],
)
def test_a_charset_that_cannot_work_is_refused(characters, normalization, expected):
    with pytest.raises(DataError, match=expected):
        Charset(characters, normalization)


def test_white_space_of_any_kind_is_one_blank_between_words():
    assert tidy_text("  a\t\u00a0b\r\nc \u3000d ") == "a b c d"


def test_what_no_picture_shows_is_not_in_a_tidy_text():
    assert tidy_text("\ufeffa \u2060 b\x07\x9f", "NFC") == "a b"
    assert tidy_text("e\ufeff\u0301", "NFC") == COMPOSED
    assert tidy_text("\u0645\u06cc\u200c\u062e \u00ad") == "\u0645\u06cc\u200c\u062e \u00ad"  # these can be seen


@given(st.text())
def test_any_text_comes_back_from_its_own_charset(text):
    tidy = tidy_text(text, "NFC")
    charset = Charset.from_texts([text], "NFC")
    assert "".join(charset.classes[one] for one in encoded(charset, text)) == tidy


def test_char_dict_and_maps_are_written_as_older_recognisers_read_them(tmp_path):
    write_char_dict(tmp_path, "日d")
    assert json.loads((tmp_path / "char_dict.json").read_text()) == {"26085": "日", "100": "d"}
    assert json.loads((tmp_path / "ord_2_index_map.json").read_text()) == {"26085": "0", "100": "1"}
    assert json.loads((tmp_path / "index_2_ord_map.json").read_text()) == {"0": "26085", "1": "100"}


def test_the_later_form_of_char_dict_and_ord_map_is_written_as_well(tmp_path):
    write_char_dict(tmp_path, "日d", form="ord_map")
    assert json.loads((tmp_path / "char_dict.json").read_text()) == {"26085_ord": "日", "100_ord": "d"}
    assert json.loads((tmp_path / "ord_map.json").read_text()) == {
        "0_index": "26085",
        "1_index": "100",
        "26085_ord": "0",
        "100_ord": "1",
    }


@pytest.mark.parametrize("form", ["maps", "ord_map"])
def test_the_order_of_the_ids_comes_back_from_both_forms(tmp_path, form):
    characters = tuple("日d a𠀀b")
    write_char_dict(tmp_path, characters, form)
    assert read_char_dict(tmp_path) == characters
    assert tuple(read_characters(tmp_path / "char_dict.json")) == characters


def _spoiled(folder: Path, name: str, key: str, value: str | None) -> None:
    content = json.loads((folder / name).read_text())
    content[key] = value
    (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("name", "key", "value", "expected"),
    [
        ("index_2_ord_map.json", "1", None, "count from 0 without gaps.* id 1 is code point none"),
        ("ord_2_index_map.json", "98", "2", "id 1 is code point 98, whose id is 2"),
        ("char_dict.json", "98", None, "id 1 is code point 98, whose id is 1 and whose character None"),
        ("char_dict.json", "98", "c", "key '98' holds 'c', expected the code point's text"),
    ],
)
def test_maps_that_contradict_each_other_are_refused(tmp_path, name, key, value, expected):
    write_char_dict(tmp_path, "abc")
    _spoiled(tmp_path, name, key, value)
    with pytest.raises(DataError, match=expected):
        read_char_dict(tmp_path)


def test_a_char_dict_cannot_hold_graphemes(tmp_path):
    with pytest.raises(DataError, match="single code points only"):
        write_char_dict(tmp_path, [DECOMPOSED])


def test_a_charset_is_read_from_our_json_a_bundle_a_list_and_one_character_a_line(tmp_path):
    charset = Charset("b a", "NFC")
    (tmp_path / "mine.json").write_text(json.dumps(charset.to_json()))
    (tmp_path / "bundle").mkdir()
    data_spec = DataSpec((32, None, 1), charset.classes, "line")
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps({"data_spec": to_json(data_spec)}))
    (tmp_path / "lines.txt").write_bytes("\ufeffb\r\n \na\n".encode())
    for path in ("mine.json", "bundle", "bundle/bundle.json", "lines.txt"):
        assert read_charset(str(tmp_path / path), "NFC", "x").characters == ("b", " ", "a")
    assert read_charset(["b", " ", "a"], "NFC", "x") == charset
    assert len(read_charset("hanzi-reader", "none", "x")) == 3755
    assert read_charset("line-reader", "NFC", "x") == Bundle.read(weights_folder() / "line-reader").data_spec.charset


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("abc", None, r"there is no file '.*abc'. A charset is a list of characters, like \[\"a\", \"b\"\]"),
        ("a.json", b"[", "is not JSON"),
        ("a.json", b"{}", "holds no charset"),
        ("a.txt", b"abcdefghij\n", "line 1: expected one character a line. Received: 'abcdefghij'"),
        ("a.txt", b"\xe9\n", "line 1 is not utf-8 text"),
        ("n" * 300, None, "there is no file '.*nnn'"),
        ("a\0b", None, "there is no file"),
        ("a.json", b'{"data_spec": {"classes": ["", "a"], "target": "pixels"}}', "of pages, which has no charset"),
        ("a.json", b'{"data_spec": {"classes": ["a"], "target": "line"}}', "the first class of a charset is the blank"),
        ("a.json", b'["a", 3]', "must be text that is not empty. Received: 3"),
    ],
)
def test_a_file_without_a_charset_says_what_is_wrong(tmp_path, name, content, expected):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        read_charset(str(tmp_path / name), "none", "dataset 'X'")
    assert str(caught.value).startswith("dataset 'X': charset: ")
