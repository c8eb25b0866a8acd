"""Labels of lines: the charset, unknown characters, what is no label."""

import pytest

from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.line_files import AS_IT_IS, picture, prepared, save, with_splits


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def test_a_label_with_half_a_surrogate_pair_is_rejected(tmp_path):
    folder = tmp_path / "lines"
    for index in range(5):
        save(folder / f"{index}.png", picture(20 + index))
    entries = ", ".join(f'{{"file": "{index}.png", "text": "a"}}' for index in range(1, 5))
    (folder / "lines.json").write_text(f'[{{"file": "0.png", "text": "a\\ud800"}}, {entries}]')
    dataset = prepared(folder / "lines.json")
    reason = "its label is no valid Unicode: it holds half of a surrogate pair"
    assert [(one.name, one.reason) for one in dataset.rejected] == [("0.png", reason)]


def test_the_charset_is_the_same_before_and_after_preparing(tmp_path):
    path = with_splits(tmp_path, ["ab", "xyz", ""])
    (tmp_path / "lines" / "1.png").write_bytes(b"")
    dataset = LineListDataset(str(path), **AS_IT_IS)
    before = dataset.data_spec
    dataset.prepare()
    assert len(dataset.rejected) == 2
    after = LineListDataset(str(path), **(AS_IT_IS | {"test_fraction": 0.2})).data_spec
    assert before == after
    assert "".join(before.classes) == "abxyz"
    assert before.max_length == 3


def test_unknown_characters_are_an_error_that_names_line_and_rules(tmp_path):
    path = with_splits(tmp_path, ["ab", "aéb", "é"])
    expected = (
        r"dataset 'LineListDataset': line '1.png' has 'é' \(U\+00E9\), not in the charset \(2 characters\)\. "
        r"2 lines of 5 have such characters. Set dataset_args.unknown_characters to 'drop', 'reject', 'add'"
    )
    with pytest.raises(DataError, match=expected):
        prepared(path, charset=["a", "b"])


@pytest.mark.parametrize(
    ("rule", "labels", "rejected"),
    [
        ("drop", [[1, 2], [1, 2]], ["2.png"]),
        ("b", [[1, 2], [1, 2, 2], [2]], []),
        ("add", [[1, 2], [1, 3, 2], [3]], []),
        ("reject", [[1, 2]], ["1.png", "2.png"]),
    ],
)
def test_unknown_characters_are_treated_as_asked_and_the_text_keeps_them(tmp_path, rule, labels, rejected):
    dataset = prepared(with_splits(tmp_path, ["ab", "aéb", "é"]), charset=["a", "b"], unknown_characters=rule)
    split = dataset.split("train")
    assert [split.label(position).tolist() for position in range(len(split))] == labels
    assert [one.name for one in dataset.rejected] == rejected
    assert split.texts == ["ab", "aéb", "é"][: len(labels)]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_line_that_cannot_be_written_at_all_is_not_learnt_but_counts_as_misread(tmp_path, split):
    path = with_splits(tmp_path, ["ab", "é"], split)
    dataset = prepared(path, charset=["a", "b"], unknown_characters="drop")
    assert dataset.split(split).texts == (["ab"] if split == "train" else ["ab", "é"])
    assert len(dataset.rejected) == (split == "train")


def test_a_rule_for_unknown_characters_that_is_none_is_refused_before_any_file_is_read():
    with pytest.raises(SpecError, match=r"one character that replaces them\. Did you mean 'drop'\? Received: 'dropp'"):
        LineListDataset("nowhere", unknown_characters="dropp")


def test_labels_that_are_too_long_are_rejected_with_their_length(tmp_path):
    dataset = prepared(with_splits(tmp_path, ["ab", "abab"]), max_length=3)
    assert [(one.name, one.reason) for one in dataset.rejected] == [
        ("1.png", "its label is too long: 4 of at most 3 characters")
    ]
    assert dataset.data_spec.max_length == 3


def test_labels_are_known_without_writing_where_the_data_folder_is_read_only(tmp_path, monkeypatch):
    path = with_splits(tmp_path, ["ab", "b"])
    written = prepared(path)
    expected = written.fingerprint

    def refuse(*_):
        raise DataError("cannot write")

    monkeypatch.setattr("text_recognizer.datasets.stored.make_store", refuse)
    for folder in (tmp_path / "data" / "processed").glob("*-splits-*"):
        if folder.is_dir():
            (folder / "meta.json").unlink()
    other = LineListDataset(str(path), **AS_IT_IS)
    assert other.split("train").texts == ["ab", "b"]
    assert other.fingerprint == expected
