"""Lines joined from handwritten characters, and the sentences that they show."""

import numpy as np
import pytest

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.characters.emnist import BYCLASS
from text_recognizer.datasets.lines.emnist_lines import EmnistLinesDataset, joined_glyphs
from text_recognizer.datasets.lines.sentences import WORDS, SentenceSource, words_of
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.character_files import idx_files
from text_recognizer.tests.datasets.file_server import file_entry, write_registry

POEMS, WENKAI, CAVEAT = "THUOCL_poem.txt", "lxgw-wenkai/LXGWWenKai-Regular.ttf", "caveat/Caveat-Regular.ttf"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))


@pytest.fixture
def glyphs(tmp_path):
    """Ten glyphs of each of the 62 classes for training and four for the test; the first two pixels say which."""

    def part(count, first):
        labels = np.repeat(np.arange(62), count).astype(np.uint8)
        images = np.zeros((len(labels), 28, 28), np.uint8)
        images[:, 8:20, 8:20] = 100
        images[:, 0, 0], images[:, 0, 1] = labels + 1, first + np.arange(len(labels)) % count
        return images, labels

    entries = []
    for name, content in idx_files(part(10, 1), part(4, 101), "emnist-byclass-").items():
        (tmp_path / name).write_bytes(content)
        entries.append(file_entry(name, content, (tmp_path / name).as_uri()))
    write_registry(tmp_path / "metadata.toml", {"mine": entries})


def emnist_lines(**args):
    counts = {"num_train": 60, "num_validation": 20, "num_test": 20}
    dataset = EmnistLinesDataset(**(counts | {"source": "mine", "orientation": "upright"} | args))
    dataset.prepare()
    return dataset


def test_glyphs_that_overlap_add_up_their_ink_to_at_most_255():
    glyphs = np.array([[[200, 200]], [[100, 50]], [[10, 250]]], np.uint8)
    assert joined_glyphs(glyphs, 1).tolist() == [[200, 255, 60, 250]]
    assert joined_glyphs(glyphs, 2).tolist() == [[200, 200, 100, 50, 10, 250]]
    assert joined_glyphs(glyphs[:1], 1).tolist() == [[200, 200]]


@pytest.mark.parametrize("step", [9, 14, 20, 28])
def test_joining_is_adding_one_glyph_after_the_other(step):
    glyphs = np.random.default_rng(0).integers(0, 256, (7, 5, 28), np.uint8)
    expected = np.zeros((5, 6 * step + 28), int)
    for index, glyph in enumerate(glyphs):
        expected[:, index * step : index * step + 28] += glyph
    assert np.array_equal(joined_glyphs(glyphs, step), np.minimum(expected, 255))


def test_a_line_of_emnist_has_a_new_glyph_for_every_occurrence_and_its_split(glyphs):
    dataset = emnist_lines(min_overlap=0, max_overlap=0)
    split = dataset.split("train")
    assert dataset.sizes() == {"train": 60, "validation": 20, "test": 20}
    assert dataset.data_spec.input_shape == (28, 28 * 34, 1)
    chosen: dict[str, list[int]] = {}
    for position, text in enumerate(split.texts):
        image = split.image(position)[..., 0]
        assert image.shape[1] == 28 * len(text)
        for index, character in enumerate(text):
            if character in BYCLASS:
                assert image[0, 28 * index] == BYCLASS.index(character) + 1
                chosen.setdefault(character, []).append(int(image[0, 28 * index + 1]))
    assert set(chosen["e"]) <= set(range(1, 11))  # of the training glyphs, of which one in ten is for validation
    assert len(set(chosen["e"])) >= 8
    test = dataset.split("test")
    first = next(position for position in range(20) if test.text(position)[0] in BYCLASS)
    assert test.image(first)[0, 1, 0] > 100


def test_punctuation_appears_and_is_drawn_anew_each_time(glyphs):
    dataset = emnist_lines(max_overlap=0, num_train=400)
    split = dataset.split("train")
    assert set(",.'\"!?:;()-") <= set("".join(split.texts))
    commas = [
        split.image(position)[:, 28 * text.index(",") : 28 * text.index(",") + 28, 0].tobytes()
        for position, text in enumerate(split.texts)
        if "," in text
    ]
    assert len(set(commas)) >= 8
    assert all(np.frombuffer(comma, np.uint8).max() > 100 for comma in commas)


def test_glyphs_overlap_by_the_share_that_was_asked_for(glyphs):
    dataset = emnist_lines(min_overlap=0.25, max_overlap=0.5)
    split = dataset.split("train")
    steps = [
        (width - 28) / (len(text) - 1) for width, text in zip(split.widths, split.texts, strict=True) if len(text) > 1
    ]
    assert min(steps) >= 14
    assert max(steps) <= 21
    assert len(set(steps)) > 4
    with pytest.raises(SpecError, match=r"min_overlap must be at most max_overlap, 0\.33"):
        EmnistLinesDataset(min_overlap=0.5)


def test_a_batch_of_emnist_lines_has_one_width_and_says_the_true_ones(glyphs):
    dataset = emnist_lines(max_length=10)
    batch = dataset.split("train").batch(np.arange(8))
    assert batch["image"].shape == (8, 28, 280, 1)
    assert batch["label"].max() <= 79
    for image, width in zip(batch["image"], batch["width"], strict=True):
        assert image[:, width:].max(initial=0) == 0


def test_emnist_lines_are_the_same_a_second_time_and_others_with_another_seed(glyphs, tmp_path, monkeypatch):
    first = emnist_lines()
    other = emnist_lines(seed=1)
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "elsewhere"))
    assert emnist_lines().fingerprint == first.fingerprint != other.fingerprint


def test_sentences_of_a_text_file_are_runs_of_its_words_and_splits_share_none(glyphs, tmp_path):
    words = [f"w{index}" for index in range(100)]
    (tmp_path / "text.txt").write_text(" ".join(words))
    dataset = emnist_lines(texts=str(tmp_path / "text.txt"), max_length=12)
    found = [{word for text in dataset.split(name).texts for word in text.split()} for name in SPLIT_NAMES]
    assert found[0] <= set(words[:80])
    assert found[1] <= set(words[80:90])
    assert found[2] <= set(words[90:])
    assert all("".join(text.split()) for text in dataset.split("train").texts)


def test_a_character_without_glyph_or_font_is_named(glyphs):
    with pytest.raises(DataError, match="mine has no examples of 日, nor has the font that draws what it lacks"):
        emnist_lines(charset=["a", " ", "日"])


def test_a_charset_without_the_blank_and_with_characters_of_two_code_points_makes_lines(glyphs, tmp_path):
    (tmp_path / "text.txt").write_text("chin inch hich " * 20)
    dataset = emnist_lines(texts=str(tmp_path / "text.txt"), charset=["ch", "i", "n", "h"], max_length=6)
    split = dataset.split("train")
    assert max(len(split.label(position)) for position in range(len(split))) == 6  # of up to eight letters
    assert all("inchhich".startswith(text) for text in split.texts if text.startswith("inchh"))
    assert "".join(dataset.data_spec.classes[one] for one in split.label(0)) == split.text(0)


def test_charsets_that_look_alike_when_joined_have_stores_of_their_own(glyphs):
    keys = [EmnistLinesDataset(source="mine", charset=one).depends_on()["characters"] for one in (["ch"], ["c", "h"])]
    assert keys == [["ch"], "ch"]


def test_arguments_that_are_kept_in_another_form_are_not_shown_as_if_they_were_the_defaults():
    assert repr(EmnistLinesDataset(num_train=5, seed=2)) == "EmnistLinesDataset(seed=2, …)"


def test_made_up_sentences_keep_to_a_charset_without_digits():
    letters = "abcdefghijklmnopqrstuvwxyz "
    sentences = SentenceSource(letters).sentences(500, 30, np.random.default_rng(0))
    assert set("".join(sentences)) <= set(letters)


def test_made_up_sentences_fit_and_use_every_character_of_the_charset():
    characters = "".join(sorted(" !\"#&'()*+,-./:;?" + BYCLASS))
    sentences = list(SentenceSource(characters).sentences(3000, 34, np.random.default_rng(0)))
    assert {len(text) for text in sentences} >= set(range(15, 35))
    assert max(map(len, sentences)) == 34
    assert min(map(len, sentences)) >= 1
    assert all(text == text.strip() for text in sentences)
    assert set("".join(sentences)) == set(characters)
    words = {word for text in sentences for word in text.lower().split()}
    assert len(words - set(WORDS)) > 1000  # a list of words alone would be learnt by heart


def test_sentences_for_another_script_are_strings_of_its_characters():
    sentences = list(SentenceSource("一二三").sentences(50, 6, np.random.default_rng(0)))
    assert set("".join(sentences)) == set("一二三")
    assert {len(text) for text in sentences} == {2, 3, 4, 5, 6}


def test_a_text_file_without_a_word_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(DataError, match="holds no words"):
        words_of(tmp_path / "a.txt")
    with pytest.raises(DataError, match="no word that can be written with the charset"):
        SentenceSource("a", ["b"])
    with pytest.raises(DataError, match="the charset has none but the blank"):
        SentenceSource(" ")


def test_real_handwriting_of_62_classes_makes_lines(tmp_path):
    folder = shared_data("handwritten62")
    entries = [file_entry(path.name, path.read_bytes(), path.as_uri()) for path in sorted(folder.glob("*.gz"))]
    write_registry(tmp_path / "metadata.toml", {"handwritten62": entries})
    dataset = emnist_lines(source="handwritten62", num_train=300)
    inked = np.mean([(dataset.split("train").image(index) > 128).mean() for index in range(50)])
    assert 0.04 < inked < 0.3
