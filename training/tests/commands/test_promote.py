"""text-recognizer promote and models, on runs that no training made: their model is the one that ships."""

import json
import shutil
from pathlib import Path

import pytest

from text_recognizer.datasets.formats.charset_files import read_charset
from text_recognizer.errors import SpecError
from text_recognizer.models.bundle import find_bundle
from text_recognizer.models.twin import TWIN
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.promoted.store import ModelStore
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec
from training.api.samples import dataset_named
from training.cli import main as text_recognizer
from training.runs.find import find_run, with_charset_found
from training.runs.given_spec import spec_from
from training.runs.promotion import lineage_of
from training.runs.run import Run
from training.tests.sweeps.sweep_support import SPACE, by_layer_size, run_sweep

DIGIT = str(Path(__file__).parents[3] / "text_recognizer" / "tests" / "support" / "digits" / "3.png")
SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "lenet")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    return tmp_path / "runs"


def give_model(run, **train_args):
    """A finished run has this."""
    shutil.copytree(weights_folder() / "CharacterModel_DigitsDataset_lenet", run.folder / "model")
    path = run.folder / "model" / "bundle.json"
    value = json.loads(path.read_text())
    value["spec"]["train_args"] |= train_args
    path.write_text(json.dumps({**value, "run_id": run.id}))


@pytest.fixture
def make_run(root):
    def make_run(name, environment=None, **train_args):
        run = Run.create(SPEC, name)
        give_model(run, **train_args)
        run.write_json("environment.json", environment or {})
        return run

    return make_run


def run_command(capfd, *arguments):
    code = text_recognizer(list(arguments))
    said = capfd.readouterr()
    assert (code, said.err) == (0, "")
    return said.out


def refusal(capfd, *arguments):
    assert text_recognizer(list(arguments)) == 2
    return capfd.readouterr().err


def test_a_run_is_promoted_and_its_name_is_taken_wherever_a_bundle_is(make_run, capfd):
    make_run("one")
    said = run_command(capfd, "promote", "one", "--as", "digits")
    assert "promoted    digits@1 (run one: " in said
    for name in ("digits", "digits@1"):
        assert find_bundle(name).run_id == "one"
    make_run("digits-more")  # an exact name counts before the start of an id
    spec = spec_from(json.dumps(SPEC.to_json()), None, {"train_args.initial_weights": "digits"})
    assert spec.train_args["initial_weights"] == "digits@1"  # which the run will mean tomorrow, too


def test_an_alphabet_is_taken_from_a_run_or_promoted_model_as_weights_are(root, tmp_path, capfd, monkeypatch):
    run = Run.create(SPEC, "20260101-one")
    shutil.copytree(weights_folder() / "line-reader", run.folder / "model")
    run_command(capfd, "promote", run.id, "--as", "reader")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "20.txt").write_text("a\n")

    def charset(name, dataset="LineListDataset", sweep=None):
        value = {**SPEC.to_json(), "dataset": dataset, "dataset_args": {"charset": name}}
        return spec_from(json.dumps(value), None, {}, sweep).dataset_args["charset"]

    # The characters themselves: a run needs them after its parent is moved or deleted.
    characters = list(read_charset("line-reader", "NFC", "x").characters)
    for name in (run.id, "2026", 20260101, "last"):
        assert charset(name) == charset(name, "HwdbDataset") == characters
    promoted = ModelStore().current("reader").folder
    assert charset("reader") == charset("reader@1", sweep="sweep-abc") == characters
    for given in ("line-reader", "20.txt", "nowhere", str(run.folder), ["a"], None, True):
        assert charset(given) == given
    assert charset("last", "DigitsDataset") == "last"  # it has no such argument
    for place in (run.folder, promoted):
        assert read_charset(str(place), "NFC", "x") == read_charset("line-reader", "NFC", "x")
    dataset = dataset_named("LineListDataset", {"path": ".", "charset": "reader"})  # as in datasets show
    assert vars(dataset)["charset"] == characters
    part = {"dataset": "LineListDataset", "dataset_args": {"charset": "reader"}, "train_only": True}
    joined = with_charset_found("JoinedLinesDataset", {"parts": [part, "no part"]})
    assert joined == {"parts": [{**part, "dataset_args": {"charset": characters}}, "no part"]}
    (tmp_path / "lines.tsv").write_text("a.png\tab\n")
    others = ["--dataset=LineListDataset", "--dataset_args.path=lines.tsv", "--dataset_args.charset=reader"]
    assert "the image file is missing" in refusal(capfd, "evaluate", "line-reader", *others)  # after the charset
    with pytest.raises(SpecError, match="dataset_args.charset 'last' would be another run for each trial"):
        charset("last", sweep="sweep-abc")
    shutil.rmtree(run.folder / "model")
    with pytest.raises(SpecError, match="dataset_args.charset: the run .* has no model"):
        charset("last")


def test_a_model_that_is_promoted_by_the_name_of_the_included_one_says_that_it_reads(make_run, capfd):
    note = f"note: the promoted model {DEFAULT_BUNDLE}@1 reads, not the included one. --bundle NAME names another.\n"
    for expected in ("", note):
        assert text_recognizer(["predict", DIGIT, "--layout", "character"]) == 0
        assert capfd.readouterr().err == expected
        make_run(f"one{len(expected)}")
        run_command(capfd, "promote", "last", "--as", DEFAULT_BUNDLE)
    assert text_recognizer(["predict", DIGIT, "--bundle", DEFAULT_BUNDLE]) == 0
    assert capfd.readouterr().err == ""


def test_a_promoted_model_is_given_its_onnx_twin_once(make_run, capfd):
    capfd.readouterr()  # TensorFlow's start-up notes
    model = make_run("one").folder / "model"
    (model / TWIN).unlink()
    described = json.loads((model / "bundle.json").read_text())
    del described["files_sha256"]
    (model / "bundle.json").write_text(json.dumps(described))
    for _ in range(2):
        run_command(capfd, "promote", "one", "--as", "digits")
    assert [TWIN in find_bundle(str(version)).hashes for version in ModelStore().versions("digits")] == [True]
    assert not (model / TWIN).exists()


def test_a_sweep_takes_a_name_only_with_its_version(make_run, capfd):
    make_run("one")
    run_command(capfd, "promote", "one", "--as", "digits")

    def begun_with(name):
        return spec_from(json.dumps(SPEC.to_json()), None, {"train_args.initial_weights": name}, "sweep-abc")

    assert begun_with("digits@1").train_args["initial_weights"] == "digits@1"
    with pytest.raises(SpecError, match="'digits' may refer to another version while the sweep runs. Give 'digits@1'"):
        begun_with("digits")
    with pytest.raises(SpecError, match="train_args.initial_weights: the model 'digits' has no version 2"):
        begun_with("digits@2")


def test_the_best_run_of_a_sweep_is_promoted(root, capfd):
    sweep, _ = run_sweep(SPACE.format(method="grid"), root, by_layer_size)
    best = sweep.history.best()
    assert best is not None
    best_id = best.runs[0].id
    give_model(find_run(best_id))
    said = run_command(capfd, "promote", "sweep", "--as", "digits")
    assert "trial 5, val_loss 0.5896" in said  # 5 / 32 + 0.1 + 1 / 3: the widest, of one layer
    assert find_bundle("digits").run_id == best_id


def test_models_are_listed_shown_and_rolled_back(make_run, capfd):
    assert "no model in" in run_command(capfd, "models", "list")
    for name in ("one", "two"):
        make_run(name)
        run_command(capfd, "promote", name, "--as", "digits")
    (listed,) = json.loads(run_command(capfd, "models", "list", "--json"))
    assert (listed["name"], listed["current"], listed["versions"], listed["run"]) == ("digits", 2, 2, "two")
    assert "digits" in run_command(capfd, "models", "list")
    assert "model       digits@2 of 2 versions, current" in run_command(capfd, "models", "show", "digits")
    shown = json.loads(run_command(capfd, "models", "show", "digits@1", "--json"))
    assert (shown["version"], shown["current"], shown["lineage"]["run"]) == (1, 2, "one")
    assert set(shown["files"]) == {"bundle.json", "model.onnx", "model.weights.h5"}
    assert "no model 'digits@x'" in refusal(capfd, "models", "show", "digits@x")
    assert "the current version of digits is digits@1" in run_command(capfd, "models", "rollback", "digits")
    assert find_bundle("digits").run_id == "one"
    assert "digits@1 is the first version" in refusal(capfd, "models", "rollback", "digits")
    run_command(capfd, "models", "rollback", "digits", "--to", "2")
    assert find_bundle("digits").run_id == "two"
    assert "has no version 3. It has: 1, 2." in refusal(capfd, "models", "rollback", "digits", "--to", "3")
    weights = ModelStore().version("digits", 1).folder / "model.weights.h5"
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes() + b"x")
    assert "has changed since its bundle was written" in refusal(capfd, "models", "rollback", "digits")
    assert find_bundle("digits").run_id == "two"


def test_a_damaged_model_is_listed_with_its_damage_beside_the_others(make_run, capfd):
    make_run("one")
    for name in ("digits", "figures"):
        run_command(capfd, "promote", "one", "--as", name)
    (ModelStore().folder / "names" / "digits" / "1.json").write_text("")
    said = run_command(capfd, "models", "list")
    assert "damage" in said
    assert "figures" in said
    assert "1.json is damaged" in refusal(capfd, "models", "show", "digits")


def test_a_model_says_which_runs_and_data_it_comes_from_back_to_the_first(make_run, capfd):
    make_run("one", {"code": {"text_recognizer": {"commit": "c0ffee"}}})
    run_command(capfd, "promote", "one", "--as", "digits")
    make_run("two", initial_weights="digits@1")
    make_run("three", initial_weights=str(find_run("two").folder))
    lineage = lineage_of(find_bundle(find_run("three").folder))
    assert lineage["initial_weights"]["run"] == "two"
    assert lineage["initial_weights"]["initial_weights"]["run"] == "one"
    assert lineage["initial_weights"]["initial_weights"]["code"] == {"text_recognizer": {"commit": "c0ffee"}}
    run_command(capfd, "promote", "three", "--as", "digits")
    shutil.rmtree(find_run("two").folder)  # what was promoted knows it still
    shown = run_command(capfd, "models", "show", "digits")
    assert [line.split()[:3] for line in shown.splitlines() if "run " in line] == [
        ["trained", "by", "run"],
        ["from", "run", "two"],
        ["from", "run", "one"],
    ]
    run_command(capfd, "promote", "digits@2", "--as", "again")
    assert ModelStore().current("again").digest == ModelStore().current("digits").digest


def test_weights_that_are_gone_or_others_by_now_are_named_as_the_run_recorded_them(make_run):
    make_run("one")
    gone = {"name": "nowhere", "bundle_json_sha256": "f00d"}
    make_run("two", {"initial_weights": "f00d"}, initial_weights="nowhere")
    make_run("three", {"initial_weights": "f00d"}, initial_weights=str(find_run("one").folder))
    assert lineage_of(find_bundle(find_run("two").folder))["initial_weights"] == gone
    changed = lineage_of(find_bundle(find_run("three").folder))["initial_weights"]
    assert changed == {**gone, "name": str(find_run("one").folder)}


def test_weights_that_say_they_come_from_themselves_end(make_run):
    run = make_run("one")
    shutil.rmtree(run.folder / "model")
    give_model(run, initial_weights=str(run.folder))
    assert lineage_of(find_bundle(run.folder))["run"] == "one"


def test_what_cannot_be_promoted_is_a_sentence(make_run, root, capfd):
    Run.create(SPEC, "unfinished")
    assert "(created) has no model. It gets one when it" in refusal(capfd, "promote", "unfinished", "--as", "digits")
    assert "there is no bundle 'nothing'" in refusal(capfd, "promote", "nothing", "--as", "digits")
    run = make_run("one")
    assert "a model's name must have" in refusal(capfd, "promote", "one", "--as", "../digits")
    (run.folder / "model" / "model.weights.h5").write_bytes(b"")
    assert "has changed since its bundle was written" in refusal(capfd, "promote", "one", "--as", "digits")
    assert ModelStore().names() == []
