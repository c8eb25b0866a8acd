"""What a decoder knows of its language: characters after one another, and words."""

import itertools
from collections import Counter

import numpy as np
import pytest

from text_recognizer.decoding.language_model import CharacterLanguageModel
from text_recognizer.decoding.lexicon import Lexicon, words_of
from text_recognizer.decoding.line_decoder import LineDecoder
from text_recognizer.errors import DataError
from text_recognizer.tests.models.decoding_support import text_score


def test_a_language_model_predicts_what_it_has_seen():
    # "ab" three times, "ac" once: after a, b is the likelier; the distribution adds up to one.
    labels = [np.array([1, 2])] * 3 + [np.array([1, 3])]
    model = CharacterLanguageModel.learn(labels, classes=4, order=3)
    state, _ = model.step(np.array([model.start]), np.array([1]))
    after = [float(model.step(state, np.array([one]))[1][0]) for one in (1, 2, 3, 4)]
    assert np.exp(after[1]) > np.exp(after[2]) > np.exp(after[0])
    assert sum(np.exp(after)) == pytest.approx(1.0, abs=1e-6)
    assert text_score(model, np.array([1, 2])) > text_score(model, np.array([1, 3]))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_all_texts_together_have_a_probability_of_one(order):
    # Every text of at most 8 characters over one letter: what is left for longer ones vanishes.
    model = CharacterLanguageModel.learn([np.array([1, 1]), np.array([1])], classes=2, order=order)
    total = sum(np.exp(text_score(model, np.ones(length, int))) for length in range(60))
    assert total == pytest.approx(1.0, abs=1e-4)


class KneserNey:
    """The formulas of modified Kneser-Ney smoothing, one n-gram after the other."""

    def __init__(self, texts, letters, order):
        self.order, self.letters = order, letters
        grams = Counter(
            tuple(text[end - length : end + 1])
            for text in (["<", *text, ">"] for text in texts)
            for end in range(1, len(text))
            for length in range(min(order, end + 1))
        )
        kinds = Counter(gram[1:] for gram in grams)
        self.counts = {
            gram: count if len(gram) == order or gram[0] == "<" else kinds[gram] for gram, count in grams.items()
        }

    def discount(self, gram):
        count = min(self.counts[gram], 3)
        of = Counter(value for other, value in self.counts.items() if len(other) == len(gram))
        if not all(of[value] for value in (1, 2, 3, 4)):
            return count / 2
        found = count - (count + 1) * of[1] / (of[1] + 2 * of[2]) * of[count + 1] / of[count]
        return found if 0 < found < count else count / 2

    def probability(self, context, letter):
        shorter = self.probability(context[1:], letter) if context else 1 / self.letters
        after = [gram for gram in self.counts if gram[:-1] == context]
        if not after:
            return shorter
        total, gram = sum(self.counts[one] for one in after), (*context, letter)
        own = self.counts[gram] - self.discount(gram) if gram in self.counts else 0
        return own / total + sum(map(self.discount, after)) / total * shorter

    def log_probability(self, text):
        marked = ["<", *text, ">"]
        contexts = [tuple(marked[max(0, end - self.order + 1) : end]) for end in range(1, len(marked))]
        return sum(np.log(self.probability(*one)) for one in zip(contexts, marked[1:], strict=True))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("texts", [["abab", "ba", "abcab"], ["abcd", "aab", "caba", "abacaba", "aadaa", "baa", "ca"]])
def test_a_language_model_is_smoothed_as_kneser_and_ney_do(texts, order):
    expected = KneserNey(texts, 5, order)
    model = CharacterLanguageModel.learn([np.array([" abcd".index(one) for one in text]) for text in texts], 5, order)
    for text in ("", "a", "abab", "dcba", "abcabd"):
        label = np.array([" abcd".index(one) for one in text], int)
        assert text_score(model, label) == pytest.approx(expected.log_probability(text), abs=1e-5)


def test_a_language_model_keeps_its_numbers_in_its_file(tmp_path):
    model = CharacterLanguageModel.learn([np.array([1, 2, 3, 1])], classes=4, order=4)
    model.save(tmp_path / "model.npz")
    read = CharacterLanguageModel.load(tmp_path / "model.npz", 4)
    label = np.array([1, 2, 2, 3])
    assert text_score(read, label) == text_score(model, label)
    with pytest.raises(DataError, match="it is of 4 classes, the charset has 5"):
        CharacterLanguageModel.load(tmp_path / "model.npz", 5)
    (tmp_path / "model.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        CharacterLanguageModel.load(tmp_path / "model.npz", 4)
    with pytest.raises(DataError, match="cannot be read"):
        CharacterLanguageModel.load(tmp_path / "missing.npz", 4)


@pytest.fixture
def stored_model(tmp_path):
    """A file of a small model, and a function that writes it anew with other arrays."""
    path = tmp_path / "model.npz"
    labels = [np.array([1, 2, 3, 1]), np.array([2, 1])]
    CharacterLanguageModel.learn(labels, classes=4, order=4).save(path)
    with np.load(path) as file:
        arrays = dict(file)

    def write(**changes):
        np.savez_compressed(path, **{**arrays, **changes})
        return path

    return arrays, write


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("numbers", [4, 5, 0], "it is of 5 classes, the charset has 4"),
        ("numbers", [99, 4, 0], "its order is 99"),
        ("numbers", [4, 4, 999], "it starts in the context 999"),
        ("numbers", [4, 4, -1], "it starts in the context -1"),
        ("arc_states", 10**6, "'arc_states' leads to contexts that there are not"),
        ("single_states", -1, "'single_states' leads to contexts that there are not"),
        ("backoff_states", 3, "'backoff_states' does not lead back to the beginning"),
        ("arcs", 0, "'arcs' is not sorted"),
        ("arc_scores", np.nan, "'arc_scores' has values that are no scores"),
        ("backoff_scores", np.inf, "'backoff_scores' has values that are no scores"),
    ],
)
def test_a_tampered_language_model_is_refused(name, value, reason, stored_model):
    arrays, write = stored_model
    tampered = np.full_like(arrays[name], value) if np.isscalar(value) else np.array(value)
    with pytest.raises(DataError, match=f"cannot be read: {reason}"):
        CharacterLanguageModel.load(write(**{name: tampered}), 4)


def test_arrays_of_a_language_model_have_the_kinds_and_lengths_that_they_must(stored_model):
    arrays, write = stored_model
    wrong = [
        *({name: array[:-1]} for name, array in arrays.items()),
        *({name: array[None]} for name, array in arrays.items()),
        *({name: array.astype(np.float64)} for name, array in arrays.items() if name != "numbers"),
        *({name: np.array(["x"] * len(array))} for name, array in arrays.items()),
        {"backoff_scores": np.zeros(0, np.float32), "backoff_states": np.zeros(0, np.int32)},
    ]
    for changes in wrong:
        with pytest.raises(DataError, match="cannot be read"):
            CharacterLanguageModel.load(write(**changes), 4)


def test_a_language_model_that_unpacks_to_far_more_than_it_takes_is_not_unpacked(stored_model, monkeypatch):
    _, write = stored_model
    path = write(arcs=np.zeros(1 << 24, np.int64))  # 128 MiB in 128 KiB
    monkeypatch.setattr("zipfile.ZipFile.read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(DataError, match="it unpacks to 134,21"):
        CharacterLanguageModel.load(path, 4)


def test_a_language_model_with_any_byte_changed_is_read_or_refused(stored_model):
    _, write = stored_model
    path = write()
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            model = CharacterLanguageModel.load(path, 4)
        except DataError:
            continue
        assert np.isfinite(text_score(model, np.array([1, 2, 3])))


@pytest.mark.parametrize(
    "content",
    [
        '{"weights": {"language": NaN}}',
        '{"weights": {"words": 1e300}}',
        '{"weights": {"length": "x"}}',
        "[",
        "[" * 99999,
    ],
)
def test_damaged_weights_of_a_decoder_are_a_sentence(content, tmp_path):
    (tmp_path / "decoding.json").write_text(content)
    with pytest.raises(DataError, match="the decoder in .* is damaged"):
        LineDecoder(["", "a"], 5, None, lexicon=False).load(tmp_path)


def test_words_are_runs_of_letters():
    assert list(words_of("L'an 1914, à Paris")) == ["L", "an", "à", "Paris"]


def lexicon_cost(lexicon, classes, text):
    states, total = np.array([lexicon.start]), 0.0
    for one in text:
        states, scores = lexicon.step(states, np.array([classes.index(one)]))
        total += float(scores[0])
    return total + float(lexicon.finish(states)[0])


def test_a_lexicon_charges_for_words_it_does_not_have():
    classes = ["", *"abc "]
    lexicon = Lexicon(["ab", "abc"], classes)

    assert [lexicon_cost(lexicon, classes, text) for text in ("ab", "abc", "ab abc", "")] == [0, 0, 0, 0]
    assert [lexicon_cost(lexicon, classes, text) for text in ("a", "cab", "ab ca", "ba ca")] == [-1, -1, -1, -2]


def test_a_lexicon_knows_every_word_that_can_be_written_and_no_other():
    classes = ["", *"abA"]
    words = ["".join(one) for length in (1, 2, 3) for one in itertools.product("ab", repeat=length)][::2]
    lexicon = Lexicon([*words, "ax", "", "a" * 100_000], classes)

    def is_known(text):
        states, cost = np.array([lexicon.start]), 0.0
        for one in text:
            states, scores = lexicon.step(states, np.array([classes.index(one)]))
            cost += float(scores[0])
        return cost + float(lexicon.finish(states)[0]) == 0

    known = {*words, *(word[0].upper() + word[1:] for word in words if word[0] == "a")}
    texts = {"".join(one) for length in (1, 2, 3, 4) for one in itertools.product("abA", repeat=length)}
    assert {text for text in texts if is_known(text)} == known


def test_a_lexicon_spells_words_with_the_characters_of_the_charset():
    classes = ["", *"caf", "e\u0301", "e"]
    lexicon = Lexicon.of_texts(["cafe\u0301"], classes)

    def cost(label):
        states, total = np.array([lexicon.start]), 0.0
        for one in label:
            states, scores = lexicon.step(states, np.array([one]))
            total += float(scores[0])
        return total + float(lexicon.finish(states)[0])

    assert [cost([1, 2, 3, 4]), cost([1, 2, 3, 5])] == [0, -1]
