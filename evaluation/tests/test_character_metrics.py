import tracemalloc

import numpy as np
import pytest

from evaluation.characters import class_fields, class_figures
from evaluation.compare import PairedComparison, compare_predictions, mcnemar_p_value
from evaluation.intervals import wilson_interval
from text_recognizer.models.character import rank_of_label

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [1 / 3, 1 / 3, 1 / 3]], dtype=np.float32)


def test_the_rank_of_a_label_counts_the_classes_that_are_more_probable():
    assert rank_of_label(np.array([0, 0, 1, 2], dtype=np.int32), PROBABILITIES).tolist() == [0, 2, 0, 2]
    assert rank_of_label(np.array([1, 0, 2, 2], dtype=np.int32), PROBABILITIES).tolist() == [1, 2, 2, 2]


def test_a_constant_output_earns_one_class_not_all():
    labels = np.array([0, 1, 2], dtype=np.int32)
    assert (rank_of_label(labels, np.full((3, 3), 0.5, dtype=np.float32)) < 1).sum() == 1


def test_nan_is_never_right():
    assert rank_of_label(np.array([0], dtype=np.int32), np.full((1, 3), np.nan, dtype=np.float32)) > 0


def test_the_wilson_interval_equals_published_values():
    # 10 of 10: lower bound n / (n + z²) = 10 / 13.8415; 0 of 10 is its mirror image.
    low, high = wilson_interval(10, 10)
    assert [low, high] == pytest.approx([10 / (10 + 1.959964**2), 1.0], abs=1e-6)
    assert list(wilson_interval(0, 10)) == pytest.approx([0.0, 1 - low])
    # Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662; 15 of 148 gives 0.0624 to 0.1605.
    assert list(wilson_interval(81, 263)) == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert list(wilson_interval(15, 148)) == pytest.approx([0.0624, 0.1605], abs=5e-5)


@pytest.mark.parametrize(("successes", "count"), [(1, 0), (-1, 3), (4, 3)])
def test_an_impossible_rate_is_refused(successes, count):
    with pytest.raises(ValueError, match="expected 0 <= successes"):
        wilson_interval(successes, count)


def test_figures_of_each_class_come_from_the_pairs_that_occur():
    pairs = {("a", "a"): 2, ("a", "b"): 1, ("b", "b"): 1, ("b", "a"): 1}
    first, second, third = class_figures(pairs, ("a", "b", "c"))
    assert first == {"class": "a", "count": 3} | dict.fromkeys(("precision", "recall", "f1"), pytest.approx(2 / 3))
    assert second == {"class": "b", "count": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert third == {"class": "c", "count": 0, "precision": None, "recall": None, "f1": None}
    [never_right] = class_figures({("a", "b"): 1, ("b", "a"): 1}, ("a",))
    assert never_right == {"class": "a", "count": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_figures_of_many_classes_take_memory_for_the_pairs_that_occur_only():
    classes = [chr(0x4E00 + number) for number in range(20_000)]
    read = {classes[0]: classes[1]}
    rows = [{"label": label, "predicted": read.get(label, label)} for label in classes] * 2
    tracemalloc.start()
    found = class_fields(rows, classes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # a table of all pairs has 400 million cells
    assert found["confusions"] == [(classes[0], classes[1], 2)]
    assert [figures["recall"] for figures in found["classes"][:3]] == [0, 1, 1]


def test_confusions_are_the_fifty_most_frequent():
    rows = [{"label": f"{number:02}", "predicted": "x"} for number in range(60)] + [{"label": "59", "predicted": "x"}]
    found = class_fields(rows, [])["confusions"]
    assert (len(found), found[0], found[-1]) == (50, ("59", "x", 2), ("48", "x", 1))


def test_mcnemar_doubles_the_binomial_tail():
    # 1 against 9: (C(10,0) + C(10,1)) / 2**10 = 11/1024, doubled.
    assert mcnemar_p_value(1, 9) == mcnemar_p_value(9, 1) == pytest.approx(22 / 1024)
    assert mcnemar_p_value(5, 5) == 1.0
    assert mcnemar_p_value(0, 0) == 1.0


def _rows(predicted):
    return [{"position": i, "label": "a", "predicted": text} for i, text in enumerate(predicted)]


def test_two_readings_of_the_same_samples_are_compared_pair_by_pair():
    comparison = compare_predictions(_rows("aaab"), _rows("abbb"))
    assert isinstance(comparison, PairedComparison)
    assert (comparison.count, comparison.only_first, comparison.only_second) == (4, 2, 0)
    assert "the first is better, which may be chance" in comparison.in_words()
    assert compare_predictions(_rows("aa"), _rows("aab")) is None
    equal = compare_predictions(_rows("ab"), _rows("ba"))
    assert equal is not None
    assert "equally many correct" in equal.in_words()
