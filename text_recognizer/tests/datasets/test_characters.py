import numpy as np
import pytest

from text_recognizer.datasets.characters.base import stratified_halves, stratified_sample
from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.errors import DataError


@pytest.fixture(scope="module")
def digits():
    dataset = DigitsDataset()
    dataset.prepare()
    return dataset


def test_splits_share_no_sample_and_leave_none_out(digits):
    members = [digits.split(name).members for name in ("train", "validation", "test")]
    together = np.concatenate(members)
    assert sorted(together.tolist()) == list(range(1797))
    assert digits.sizes() == {"train": 1079, "validation": 359, "test": 359}


def test_every_split_has_the_classes_in_equal_shares(digits):
    shares = [np.bincount(digits.split(name).labels) / len(digits.split(name)) for name in digits.sizes()]
    assert np.abs(shares[0] - shares[1]).max() < 0.01
    assert np.abs(shares[0] - shares[2]).max() < 0.01


def test_batches_hold_what_scikit_learn_ships(digits):
    import sklearn.datasets

    raw = sklearn.datasets.load_digits()
    split = digits.split("test")
    batch = split.batch(np.array([5, 0, 5]))
    assert batch["image"].shape == (3, 8, 8, 1)
    assert batch["image"].dtype == np.uint8
    assert batch["label"].dtype == np.int32
    wanted = raw.images[split.members[[5, 0, 5]]]
    assert np.abs(batch["image"][..., 0] / 255 * 16 - wanted).max() < 0.04
    assert batch["label"].tolist() == raw.target[split.members[[5, 0, 5]]].tolist()
    assert split.text(5) == str(raw.target[split.members[5]])


def test_a_subsample_is_stratified_shuffled_and_inside_its_split(digits):
    small = DigitsDataset(subsample_fraction=0.1)
    small.prepare()
    for name, size in small.sizes().items():
        assert set(small.split(name).members) <= set(digits.split(name).members)
        assert abs(size - 0.1 * len(digits.split(name))) <= 5
        assert len(set(small.split(name).labels.tolist())) == 10
    labels = small.split("train").labels
    assert not np.all(np.diff(labels) >= 0)  # not sorted by class


def test_the_smallest_subsample_keeps_every_class():
    tiny = DigitsDataset(subsample_fraction=0.0001)
    tiny.prepare()
    assert tiny.sizes() == {"train": 10, "validation": 10, "test": 10}


def test_splits_are_the_same_in_every_process_and_depend_on_the_arguments_alone(digits):
    again = DigitsDataset()
    again.prepare()
    assert again.split("train").members.tolist() == digits.split("train").members.tolist()
    assert again.fingerprint == digits.fingerprint
    assert DigitsDataset(validation_fraction=0.3).data_spec == digits.data_spec
    other = DigitsDataset(validation_fraction=0.3)
    other.prepare()
    assert other.fingerprint != digits.fingerprint
    assert other.split("test").members.tolist() == digits.split("test").members.tolist()


def test_a_dataset_of_ones_own_may_name_what_it_depends_on_as_the_store_does(digits):
    class Own(DigitsDataset):
        number = 1

        @property
        def recipe(self):
            return {"form": "8 px"}

        def depends_on(self):
            return {"version": 1, "form": self.number}

    assert repr(Own(validation_fraction=0.2)) == "Own(validation_fraction=0.2)"
    first, second = Own(), Own()
    second.number = 2
    first.prepare()
    assert first.sizes() == digits.sizes()
    assert len({one.store_path for one in (digits, first, second)}) == 3


def test_an_unprepared_dataset_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path))
    dataset = DigitsDataset()
    assert not dataset.is_prepared()
    with pytest.raises(DataError, match=r"not prepared: call prepare\(\)"):
        dataset.sizes()


def test_stratified_halves_take_rounded_shares_of_each_class_and_leave_something():
    labels = np.array([0] * 10 + [1] * 5 + [2] * 2 + [3] * 1)
    rest, chosen = stratified_halves(labels, np.arange(18), 0.3, np.random.default_rng(0))
    assert np.bincount(labels[chosen], minlength=4).tolist() == [3, 2, 1, 0]  # 1.5 rounds to even 2; 0.6 becomes one
    assert sorted([*rest, *chosen]) == list(range(18))
    assert sorted(chosen) != chosen.tolist()
    _, most = stratified_halves(labels, np.arange(18), 0.99, np.random.default_rng(0))
    assert np.bincount(labels[most], minlength=4).tolist() == [9, 4, 1, 0]


def test_a_stratified_sample_keeps_at_least_one_of_each_class():
    labels = np.array([0] * 10 + [1] * 5 + [3] * 1)
    sample = stratified_sample(labels, np.arange(16), 0.3, np.random.default_rng(0))
    assert np.bincount(labels[sample], minlength=4).tolist() == [3, 2, 0, 1]


def test_images_and_labels_that_do_not_fit_are_refused():
    class Wrong(DigitsDataset):
        def depends_on(self):
            return {"wrong": True}

        def read(self):
            return {"all": (np.zeros((3, 8, 8), np.uint8), np.array([0, 1, 10]))}

    with pytest.raises(DataError, match="labels from 0 to 9. Received: .*, labels from 0 to 10"):
        Wrong().prepare()


@pytest.mark.parametrize("depends_on", [None, {"font": object()}])
def test_what_a_dataset_of_a_user_depends_on_is_checked(depends_on):
    class Wrong(DigitsDataset):
        def depends_on(self):
            return depends_on

    with pytest.raises(DataError, match=r"Wrong: depends_on\(\) must return a dict of JSON values. Received: "):
        Wrong().prepare()


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (None, "read() must return a dict of train and test, or of all. Received: NoneType."),
        ({"all": np.zeros((3, 8, 8), np.uint8)}, "images and labels of whole numbers. Received: uint8 and NoneType."),
        ({"trian": (), "test": ()}, "read() must return a dict of train and test, or of all. Received: trian, test."),
        ({"all": ([[1]], ["a"])}, "images and labels of whole numbers. Received: list and list"),
        ({"all": (np.zeros((2, 8, 8), np.uint8), np.array(["a", "b"]))}, "Received: uint8 and <U1."),
        ({"all": (np.zeros((2, 8, 8)), np.arange(2))}, "expected an image uint8 (8, 8) for each of 2 labels"),
    ],
)
def test_what_a_dataset_of_a_user_reads_is_checked(read, said, tmp_path, monkeypatch):
    class Own(DigitsDataset):
        def read(self):
            return read

    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path))
    with pytest.raises(DataError) as error:
        Own().prepare()
    assert said in str(error.value)
