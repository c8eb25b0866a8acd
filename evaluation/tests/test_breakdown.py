"""Where errors are; values counted by hand."""

import pytest

from evaluation.breakdown import by_character, by_group, by_length, folded
from evaluation.compare import changes
from evaluation.lines import folded_lines


def row(position, label, predicted, char_errors=None):
    found = {"position": position, "label": label, "predicted": predicted}
    return found if char_errors is None else {**found, "char_errors": char_errors}


WRITERS = ("anna", "anna", "bert")


def test_errors_are_counted_by_length_of_the_text():
    rows = [row(0, "abcde", "abcdx", 1), row(1, "ab", "ab", 0), row(2, "abcdef", "abc", 3)]
    short, longer = by_length(rows)
    assert short == {"from": 0, "to": 5, "samples": 2, "errors": 1, "of": 7, "rate": pytest.approx(1 / 7)}
    assert (longer["from"], longer["to"], longer["rate"]) == (6, 10, 0.5)
    assert by_length([row(0, "a" * 99, "", 99)])[0]["to"] is None


def test_errors_are_counted_by_writer_the_worst_first():
    lines = [row(0, "ab", "ab", 0), row(1, "abcd", "abc", 1), row(2, "ab", "xy", 2)]
    assert [(one["group"], one["errors"], one["of"]) for one in by_group(lines, WRITERS)] == [
        ("bert", 2, 2),
        ("anna", 1, 6),
    ]
    characters = [row(0, "a", "a"), row(1, "a", "b"), row(2, "a", "a")]
    assert [(one["group"], one["rate"]) for one in by_group(characters, WRITERS)] == [("anna", 0.5), ("bert", 0.0)]
    assert by_group(lines[:2], WRITERS) == []  # one writer is no breakdown


def test_of_each_character_it_is_counted_how_often_it_is_lost_and_read_in_vain():
    rows = [row(0, "aab", "ab"), row(1, "b", "a")]  # an a is left out; a b is read as a
    assert by_character(rows) == [
        {"character": "a", "count": 2, "lost": 1, "invented": 1, "rate": 0.5},
        {"character": "b", "count": 2, "lost": 1, "invented": 0, "rate": 0.5},
    ]


def test_case_and_look_alikes_are_folded():
    assert folded("O0o") == "ooo"
    assert folded("I1l|") == "iiii"
    assert folded("„a\u2014b\u201d") == '"a-b"'
    left = folded_lines(["O1d", "cat"], ["0ld", "cut"])
    assert left["character_error_rate_folded"] == pytest.approx(1 / 6)
    assert left["confusions_folded"] == [{"label": "a", "predicted": "u", "count": 1}]


def test_what_a_second_run_reads_better_and_worse_is_listed_the_largest_change_first():
    first = [row(0, "abc", "abx", 1), row(1, "abc", "xyz", 3), row(2, "abc", "abc", 0), row(3, "ab", "ab", 0)]
    second = [row(0, "abc", "abc", 0), row(1, "abc", "abz", 1), row(2, "abc", "abx", 1), row(3, "ab", "ab", 0)]
    found = changes(first, [{**one, "id": f"line{one['position']}"} for one in second])
    assert (found["better"]["count"], found["worse"]["count"]) == (2, 1)
    assert [(one["sample"], one["errors"]) for one in found["better"]["largest"]] == [(1, [3, 1]), (0, [1, 0])]
    assert found["worse"]["largest"][0] == {
        "sample": 2,
        "label": "abc",
        "first": "abc",
        "second": "abx",
        "errors": [0, 1],
    }
    characters = changes([row(0, "a", "a")], [row(0, "a", "b")])
    assert characters["worse"]["largest"][0]["errors"] == [0, 1]
