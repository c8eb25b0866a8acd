import numpy as np
import pytest

from evaluation.compare import PairedErrorRates, compare_error_rates, compare_predictions
from evaluation.intervals import bootstrap_intervals, rate_intervals, wilson_interval
from evaluation.lines import confusions, flor2020_rates, fsdl_rates, positional_rates
from evaluation.result import Evaluation
from evaluation.tests.rates import pooled_rates
from text_recognizer.decoding.edits import edit_distances, line_errors
from text_recognizer.models.line_detector import box_overlaps, matched_boxes

TEXTS = ["ab", "abcdefgh"]
READINGS = ["ax", "abcdefgh"]


def test_pooled_rates_weigh_lines_by_length():
    # 1 edit in 2 characters, 0 in 8: pooled 1/10; the mean of lines would be 1/4.
    rates = pooled_rates(TEXTS, READINGS)
    assert rates == {
        "character_error_rate": pytest.approx(0.1),
        "word_error_rate": pytest.approx(0.5),
        "sentence_error_rate": pytest.approx(0.5),
    }


def test_words_are_compared_as_wholes():
    # "the" is right, "cat" is read as "cut", "sat" is left out and "on" put in twice over: 1 + 2 edits of 3 words.
    assert line_errors(["the cat sat"], ["the cut on on"])[0, 1].tolist() == [3, 3]
    _, words, lines = line_errors(["a b"], ["a  b"])[0].tolist()
    assert words == [0, 2]  # white space of any length parts words
    assert lines == [1, 1]


def test_readings_longer_than_their_texts_can_be_worse_than_wrong():
    assert pooled_rates(["a"], ["xyz"])["character_error_rate"] == 3.0


def test_nothing_is_stripped_or_folded():
    assert line_errors(["A b"], ["a b "])[0, 0].tolist() == [2, 3]


def test_edit_distances_are_those_of_a_table_filled_by_hand():
    def distance(a, b):
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            row, before = [i], row
            for j, y in enumerate(b, 1):
                row.append(min(row[-1] + 1, before[j] + 1, before[j - 1] + (x != y)))
        return row[-1]

    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("abé字"), random.integers(0, 9))) for _ in range(60)]
    readings = texts[1:] + texts[:1]
    assert edit_distances(texts, readings).tolist() == [distance(*pair) for pair in zip(texts, readings, strict=True)]


def test_every_text_needs_a_reading():
    with pytest.raises(ValueError, match="expected a reading for each of 1 texts. Received: 2"):
        line_errors(["a"], ["a", "b"])


def test_the_profiles_of_the_older_systems_by_hand():
    texts, readings = ["Ab cd", "x"], ["ab ce", "xyz"]
    # Lower-cased: 1 edit of max(5, 5), 2 of max(1, 3); words 1 of 2, 1 of 1.
    assert flor2020_rates(texts, readings) == {
        "character_error_rate": pytest.approx((1 / 5 + 2 / 3) / 2),
        "word_error_rate": pytest.approx((1 / 2 + 1) / 2),
        "sentence_error_rate": pytest.approx(1.0),
    }
    # Stripped of " |_": "ab" against "ab" is right; 1 - 2/1 is below 0.
    assert fsdl_rates(["ab__", "x"], [" ab|", "xyz"]) == {"character_accuracy": pytest.approx((1 + (1 - 2)) / 2)}
    # One character too many at the front spoils the rest.
    assert positional_rates(["abcd", "", "ab"], ["xabcd", "", "ab"]) == {
        "positional_accuracy": pytest.approx((0 + 1 + 1) / 3)
    }


def test_the_same_readings_have_different_numbers_by_different_profiles():
    texts, readings = ["ab", "abcdefgh"], ["abc", "abcdefgx"]
    corpus = pooled_rates(texts, readings)["character_error_rate"]
    flor = flor2020_rates(texts, readings)["character_error_rate"]
    assert [corpus, flor] == pytest.approx([2 / 10, (1 / 3 + 1 / 8) / 2])


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        wrong = random.random((60, 10)) < 0.3
        errors = line_errors(["a" * 10] * 60, ["".join("x" if w else "a" for w in row) for row in wrong])
        low, high = bootstrap_intervals(errors, resamples=200)[0]
        held += low <= 0.3 <= high
    assert 180 <= held <= 199  # of 200, at 95 %


def test_lines_of_one_hand_are_drawn_together():
    # Of two hands one is read and the other not: by hands nearly nothing is known, by lines a good deal.
    texts, readings = ["aaaa"] * 40, ["aaaa"] * 20 + ["xxxx"] * 20
    errors = line_errors(texts, readings)
    by_line = bootstrap_intervals(errors)[0]
    by_hand = bootstrap_intervals(errors, ["one"] * 20 + ["two"] * 20)[0]
    assert by_hand == (0.0, 1.0)
    assert 0.3 < by_line[0] < 0.5 < by_line[1] < 0.7
    assert rate_intervals(errors, ["one"] * 20 + ["two"] * 20)[0] == by_hand
    assert rate_intervals(errors, ["one"] * 40)[0] == by_line


def test_few_hands_that_are_read_alike_do_not_make_a_share_certain():
    # Each of three hands has 4 of 5 samples right, so whichever are drawn, 12 of 15 are.
    right = np.array([1, 1, 1, 1, 0] * 3, np.float64)
    parts = np.stack([right, np.ones(15)], axis=-1)[:, None]  # (15, 1, 2)
    hands = ["one"] * 5 + ["two"] * 5 + ["three"] * 5
    assert bootstrap_intervals(parts, hands) == [(0.8, 0.8)]
    assert rate_intervals(parts, hands) == [wilson_interval(12, 15)]
    # By one hand all are right, by the other none: then the hands say more.
    assert rate_intervals(np.sort(parts, axis=0), ["one"] * 3 + ["two"] * 12)[0] == pytest.approx((0.0, 1.0), abs=1e-9)


def test_intervals_are_the_same_every_time():
    errors = line_errors(["abc", "de", "f"], ["abx", "de", ""])
    assert bootstrap_intervals(errors) == bootstrap_intervals(errors)


def test_confusions_count_what_was_read_left_out_and_put_in():
    assert confusions(["hat", "hat", "at"], ["bat", "ba", "aat"]) == [("h", "b", 2), ("", "a", 1), ("t", "", 1)]


def _rows(texts, readings):
    errors = line_errors(texts, readings)[:, 0, 0].astype(int).tolist()
    return [
        {"position": position, "label": text, "predicted": reading, "char_errors": count}
        for position, (text, reading, count) in enumerate(zip(texts, readings, errors, strict=True))
    ]


def test_two_readings_of_the_same_lines_are_compared_by_their_character_errors():
    texts = ["aaaaaaaaaa"] * 30
    comparison = compare_predictions(_rows(texts, texts), _rows(texts, ["xaaaaaaaaa"] * 30))
    assert isinstance(comparison, PairedErrorRates)
    assert [comparison.first, comparison.second] == pytest.approx([0.0, 0.1])
    assert comparison.in_words().startswith("of 30 lines, CER 0.00 % and 10.00 % (corpus profile): the first is better")
    assert "the first is better, which is unlikely to be chance" in comparison.in_words()


def test_a_difference_that_hangs_on_few_lines_may_be_chance():
    first, second = [0] * 30, [0] * 29 + [3]
    assert "may be chance" in compare_error_rates(first, second, [10] * 30).in_words()
    same = compare_error_rates(first, first, [10] * 30)
    assert "both have CER 0.00 %" in same.in_words()


def test_the_headline_of_lines_names_profile_and_interval():
    evaluation = Evaluation(
        "test",
        1234,
        {"loss": 1.0, "character_error_rate": 0.12345},
        {"character_error_rate": (0.1, 0.15)},
        unit="line",
        headline_metric="character_error_rate",
        details={"profile": "corpus", "resampled": "13 groups"},
    )
    assert evaluation.headline() == (
        "test character error rate 0.1235 (95 % interval 0.1000 to 0.1500, 1,234 lines), corpus profile, "
        "interval over 13 groups"
    )


def test_boxes_are_matched_once_each_and_best_first():
    right = np.array([[0, 0, 10, 10], [0, 20, 10, 30]])
    found = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [0, 26, 10, 36]])
    overlaps = box_overlaps(found, right)
    assert overlaps[0, 0] == pytest.approx(0.9)
    assert overlaps[2, 1] == pytest.approx(40 / 160)
    assert matched_boxes(found, right) == 1  # the third shares a quarter of the area only
    assert matched_boxes(np.zeros((0, 4), np.int32), right) == 0
