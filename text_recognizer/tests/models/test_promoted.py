"""The store of promoted models, on copies of the bundle that comes with the program."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.bundle import find_bundle
from text_recognizer.promoted.manifest import FileFacts, Manifest
from text_recognizer.promoted.store import ModelStore
from text_recognizer.settings import weights_folder

SHIPPED = "CharacterModel_DigitsDataset_lenet"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    return ModelStore()


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(weights_folder() / SHIPPED, tmp_path / "bundle"))


def another(bundle, run_id):
    """A bundle of another run with the same weights."""
    copy = bundle.with_name(run_id)
    shutil.copytree(bundle, copy)
    path = copy / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run_id": run_id}))
    return copy


def test_versions_of_a_name_are_counted_and_the_newest_is_the_current_one(store, bundle):
    first, second = store.add("digits", bundle, {"run": "a"}), store.add("digits", another(bundle, "b"), {"run": "b"})
    assert [str(version) for version in store.versions("digits")] == ["digits@1", "digits@2"]
    assert store.current("digits") == second
    assert store.names() == ["digits"]
    assert find_bundle("digits").run_id == find_bundle("digits@2").run_id == "b"
    assert find_bundle("digits@1").folder == first.folder
    for number in ("3", "0", "1" * 10, "1" * 5000):
        with pytest.raises(DataError, match=f"the model 'digits' has no version {number}. It has: 1, 2."):
            store.find(f"digits@{number}")
    assert store.manifest(second).lineage == {"run": "b"}


def test_the_same_bundle_promoted_again_keeps_its_number_and_is_stored_once(store, bundle):
    first = store.add("digits", bundle, {})
    store.add("digits", another(bundle, "b"), {})
    assert store.add("digits", bundle, {}) == first == store.current("digits")
    assert store.add("other", bundle, {}).folder == first.folder
    assert len(store.versions("digits")) == 2


def test_a_bundle_is_at_the_address_that_its_files_and_their_origin_have(store, bundle):
    first = store.add("digits", bundle, {"run": "a"})
    assert store.manifest(first).digest == first.digest == first.folder.name
    assert store.add("digits", bundle, {"run": "b"}).digest != first.digest
    assert set(store.manifest(first).hashes) == {"bundle.json", "model.onnx", "model.weights.h5"}


def test_a_name_can_go_back_and_forth(store, bundle):
    first, second = store.add("digits", bundle, {}), store.add("digits", another(bundle, "b"), {})
    states = [store.state()]
    for version in (first, second):
        store.set_current(version)
        assert store.current("digits") == version
        states.append(store.state())
    assert len(set(states)) == 3  # a watcher notices each change
    assert store.state() == states[-1]


def flip(path):
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["bundle.json", "model.weights.h5", "promoted.json"])
def test_a_promoted_bundle_that_was_changed_is_refused_and_mended_by_promoting_again(store, bundle, name):
    version = store.add("digits", bundle, {})
    flip(version.folder / name)
    with pytest.raises(DataError, match=f"{name}.*(has changed|is damaged|is not what was promoted)"):
        find_bundle("digits").check_files()
    store.add("digits", bundle, {})
    find_bundle("digits").check_files()


def test_a_promoted_bundle_with_a_file_more_or_less_is_refused(store, bundle):
    version = store.add("digits", bundle, {})
    added = version.folder / "language_model.npz"
    added.write_bytes(b"")
    with pytest.raises(DataError, match=r"digits@1 was given the file .*language_model.npz. .*models rollback digits"):
        find_bundle("digits")
    added.unlink()
    (version.folder / "model.weights.h5").unlink()
    with pytest.raises(DataError, match=r"digits@1 has lost the file .*model.weights.h5"):
        find_bundle("digits@1")
    shutil.rmtree(version.folder)
    with pytest.raises(DataError, match="the bundle of digits@1 cannot be read"):
        find_bundle("digits")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2, Text Recognizer .* reads up to 1. Upgrade"),
        (
            {"files": {"../x": {"sha256": "0" * 64, "size_bytes": 1}}},
            "names '../x', which is not a file inside the bundle",
        ),
        ({"files": {"x": {"sha256": "0", "size_bytes": 1}}}, "names 'x', which is not a file .*or without its hash"),
        ({"files": {"x": {"sha256": "0" * 64, "size_bytes": 1 << 40}}}, "at most .* are kept"),
        ({"more": 1}, "is not in the form in which it was written"),
        ({"files": []}, "is damaged"),
        ({"lineage": None}, "is damaged"),
    ],
)
def test_a_manifest_of_another_form_is_a_sentence(store, bundle, change, message):
    version = store.add("digits", bundle, {})
    shutil.copytree(version.folder, bundle.with_name("copy"))
    path = bundle.with_name("copy") / "promoted.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        find_bundle(bundle.with_name("copy"))


def test_a_copy_of_a_promoted_bundle_is_a_bundle_that_is_checked_whole(store, bundle):
    copy = shutil.copytree(store.add("digits", bundle, {}).folder, bundle.with_name("copy"))
    find_bundle(copy).check_files()
    path = copy / "bundle.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("lenet", "mlp"))
    with pytest.raises(DataError, match="bundle.json has changed since its bundle was written"):
        find_bundle(copy).check_files()


@pytest.mark.parametrize("name", ["", "last", "a/b", "..", ".hidden", "a@2", "a b", "x" * 129])
def test_a_name_that_could_be_something_else_is_refused(store, bundle, name):
    with pytest.raises(SpecError, match="a model's name must have"):
        store.add(name, bundle, {})
    assert store.find(name) is None
    assert not store.folder.exists()


def test_a_record_with_a_time_that_no_float_holds_is_damaged(store, bundle):
    version = store.add("digits", bundle, {})
    record = json.dumps({"bundle": version.digest, "promoted": 10**400})
    (store.folder / "names" / "digits" / "1.json").write_text(record)
    with pytest.raises(DataError, match=r"1\.json is damaged: OverflowError"):
        store.find("digits")


def test_a_version_that_is_not_there_is_a_sentence(store, bundle):
    store.add("digits", bundle, {})
    with pytest.raises(DataError, match=r"the model 'digits' has no version 7. It has: 1."):
        find_bundle("digits@7")
    with pytest.raises(DataError, match=r"no model 'digit' in .* Did you mean 'digits'\? See them: .*models list"):
        store.current("digit")
    with pytest.raises(DataError, match=r"no model 'digit' in .* Did you mean 'digits'\? See them: .*models list"):
        store.version("digit", 1)


def test_a_manifest_of_more_than_a_disk_should_hold_is_refused():
    files = {f"part-{n}": FileFacts("0" * 64, 1 << 32) for n in range(3)}
    content = Manifest(files, {}).to_bytes()
    with pytest.raises(DataError, match=r"12,884,901,888 bytes, at most 8,589,934,592 are kept"):
        Manifest.parse(content, "promoted.json")


def test_damaged_records_are_sentences_with_a_remedy(store, bundle):
    store.add("digits", bundle, {})
    (store.folder / "names" / "digits" / "current").write_text("new")
    with pytest.raises(DataError, match=r"current is damaged. Set it again: .*rollback digits --to VERSION"):
        find_bundle("digits")
    (store.folder / "names" / "digits" / "1.json").write_text("{}")
    with pytest.raises(DataError, match=r"1.json is damaged: KeyError.*Remove it, and promote again"):
        find_bundle("digits@1")


def test_a_folder_that_cannot_be_written_is_a_sentence(store, bundle):
    store.folder.write_text("")
    with pytest.raises(DataError, match="cannot write into the models folder .*Set TEXT_RECOGNIZER_MODELS"):
        store.add("digits", bundle, {})


def test_many_processes_promote_at_once_and_no_version_is_lost(store, bundle):
    code = "import sys, pathlib; from text_recognizer.promoted.store import ModelStore as M; "
    code += "M().add('digits', pathlib.Path(sys.argv[1]), {'run': sys.argv[2]})"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(bundle), str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    versions = store.versions("digits")
    assert [version.number for version in versions] == [1, 2, 3, 4]
    assert sorted(store.manifest(version).lineage["run"] for version in versions) == ["0", "1", "2", "3"]


def test_what_a_file_manager_leaves_in_a_bundle_is_not_promoted(store, bundle):
    (bundle / ".DS_Store").write_bytes(b"x")
    version = store.add("digits", bundle, {})
    assert ".DS_Store" not in store.manifest(version).files
    assert find_bundle("digits").folder == version.folder
