"""Training that begins with the weights of another run."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.bundle import Bundle, build_model, write_bundle
from text_recognizer.models.transfer import take_over_weights, transfer_problems
from text_recognizer.networks.base import FrameNetwork
from text_recognizer.registry import names, resolve
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.models.weightless import weightless
from training import cli
from training.run_experiment import main
from training.runs.find import _lasting_place, find_run
from training.runs.given_spec import spec_from
from training.runs.run import Run
from training.sweeps.plan_file import read_plan

SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", network_args={"layer_size": 3, "num_layers": 1})
SMALL = {"layer_size": 16, "num_layers": 1}
HANZI = ExperimentSpec("ImageFolderDataset", "CharacterModel", "hanzi_net", network_args={"embedding": 8})

pytestmark = pytest.mark.usefixtures("unoptimised_graphs")


def bundle_of(folder, *classes, shape=(2, 2, 1), spec=SPEC):
    model = build_model(spec, DataSpec(shape, classes))
    write_bundle(folder, model, spec, "run-1", {}, "data")
    return Bundle.read(folder), [np.array(weight) for weight in model.keras_model.weights]


def test_outputs_of_a_class_go_to_the_class_of_the_same_text(tmp_path):
    bundle, theirs = bundle_of(tmp_path / "model", "a", "b", "c")
    model = build_model(SPEC, DataSpec((2, 2, 1), ("c", "d", "a")))
    before = [np.array(weight) for weight in model.keras_model.weights]
    transfer = take_over_weights(model, bundle)
    after = [np.array(weight) for weight in model.keras_model.weights]
    assert transfer.new == ("d",)
    words = "weights of run run-1; 1 output for classes that it has not begin afresh: 'd' (U+0064)"
    assert transfer.in_words() == words
    for ours, theirs_now in zip(after[:-2], theirs[:-2], strict=True):
        assert np.array_equal(ours, theirs_now)
    kernel = len(after) - 2
    assert np.array_equal(after[kernel][:, [0, 2]], theirs[kernel][:, [2, 0]])
    assert np.array_equal(after[kernel][:, 1], before[kernel][:, 1])


def test_weights_of_an_included_bundle_are_called_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("text_recognizer.models.transfer.weights_folder", lambda: tmp_path)
    bundle, _ = bundle_of(tmp_path / "a-reader", "a", "b")
    transfer = take_over_weights(build_model(SPEC, bundle.data_spec), bundle)
    assert transfer.in_words() == "weights of a-reader"


@pytest.mark.parametrize("classes", [("b", "c", "d", "a", "e"), ("c",)])
def test_more_or_fewer_classes_read_as_the_bundle_did_what_it_knew(tmp_path, classes):
    bundle, _ = bundle_of(tmp_path / "model", "a", "b", "c", shape=(16, 16, 1), spec=HANZI)
    model = build_model(HANZI, DataSpec((16, 16, 1), classes))
    transfer = take_over_weights(model, bundle)
    known = [text for text in bundle.data_spec.classes if text in classes]
    assert len(transfer.new) == len(classes) - len(known)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1), np.uint8)
    theirs, ours = bundle.load().outputs(images), model.outputs(images)
    for text in known:
        before, now = theirs[:, bundle.data_spec.classes.index(text)], ours[:, classes.index(text)]
        np.testing.assert_allclose(now, before, rtol=1e-4, atol=1e-5)


def test_other_pictures_do_not_fit(tmp_path):
    bundle, _ = bundle_of(tmp_path / "model", "a", "b", shape=(3, 3, 1))
    with pytest.raises(DataError, match=r"they are for images of \(3, 3, 1\), these are \(2, 2, 1\)"):
        take_over_weights(build_model(SPEC, DataSpec((2, 2, 1), ("a", "b"))), bundle)


def test_what_only_training_depends_on_may_differ_from_the_bundle(tmp_path):
    bundle_of(tmp_path, "a", "b", shape=(16, 16, 1), spec=HANZI)
    other = {"network_args.dropout_amount": 0.4, "network_args.batch_norm_momentum": 0.97}
    spec = HANZI.override({"train_args.initial_weights": str(tmp_path), **other})
    assert not transfer_problems(spec, (16, 16, 1))
    (problem,) = transfer_problems(spec.override({"network_args.embedding": 16}), (16, 16, 1))
    assert problem.endswith("has network_args.embedding=8, the spec 16.")


SIDES = {"inception": (67, 68, 80, 99), "page_net": (32, 48), "bluche": (97, 99, 128), "flor": (33, 34, 63, 64, 65)}


@pytest.mark.parametrize("name", names("network"))
def test_networks_know_which_sizes_of_images_share_weights(name):
    network = resolve("network", name)()
    found = {}
    with weightless():
        for side in SIDES.get(name, (28, 29, 30, 31, 32, 33)):
            is_line = isinstance(network, FrameNetwork) or name == "line_cnn_all_conv"
            shape = (side, 448 if is_line else side, 1)
            weights = network.build(shape, (32, 5) if is_line else (5,)).weights
            found[side] = tuple(tuple(one.shape) for one in weights), network.sizes_in_weights(shape)
    for weights, sizes in found.values():
        assert [weights == other for other, _ in found.values()] == [sizes == other for _, other in found.values()]


@pytest.fixture
def runs(tmp_path, monkeypatch, digits_prepared):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))


def experiment(**train_args):
    digits = {"dataset": "DigitsDataset", "dataset_args": {"subsample_fraction": 0.2}, "model": "CharacterModel"}
    spec = {**digits, "network": "mlp", "network_args": SMALL, "train_args": train_args}
    return main([json.dumps(spec), "--nowandb", "--gpu=none"])


def test_a_run_goes_on_from_the_weights_of_another(runs, capfd):
    assert experiment(epochs=3) == 0
    first = find_run("last")
    assert experiment(epochs=1, initial_weights=str(first.folder)) == 0
    second = find_run("last")
    assert second.rows()[0]["loss"] < first.rows()[1]["loss"]
    assert f"initial     weights of run {first.id}" in capfd.readouterr().out


def test_a_run_that_has_begun_does_without_the_weights_that_it_began_with(runs, tmp_path, capfd):
    assert experiment(epochs=1) == 0
    first = find_run("last")
    assert experiment(epochs=1, initial_weights="last") == 0
    second = find_run("last").id
    shutil.rmtree(first.folder)
    resume = ["--resume", second, "--nowandb", "--gpu=none"]
    assert main(resume) == 0
    assert main([*resume, "--train_args.epochs=1"]) == 0
    assert main([*resume, "--extend", "epochs=2"]) == 0
    assert cli.main(["evaluate", second]) == 0
    assert cli.main(["export", second, "--format", "onnx", "--output", str(tmp_path / "second.onnx")]) == 0
    capfd.readouterr()
    assert cli.main(["runs", "rerun", second, "--nowandb", "--gpu=none"]) == 2  # a new one needs them
    assert f"there is no bundle '{first.folder.resolve()}'" in capfd.readouterr().err


def test_the_run_to_begin_with_is_named_by_id_start_of_id_or_last(runs, tmp_path, capfd):
    assert experiment(epochs=1, initial_weights="last") == 2
    assert "there is no bundle 'last'" in capfd.readouterr().err
    assert experiment(epochs=1) == 0
    first = find_run("last")
    for name in (first.id, first.id[:-3], int(first.id[:8]), "last"):
        assert experiment(epochs=1, initial_weights=name) == 0
        assert find_run("last").spec.train_args["initial_weights"] == str(first.folder.resolve())
        if name != "last":
            shutil.rmtree(find_run("last").folder)
    begun_so = find_run("last").id
    assert experiment(epochs=1) == 0
    again = ["--resume", begun_so, "--nowandb", "--gpu=none"]
    assert main([*again, "--train_args.initial_weights=last"]) == 0  # what was the last when it began
    assert main([find_run(begun_so).folder.joinpath("spec.json").as_posix(), *again]) == 0
    shutil.rmtree(find_run(begun_so).folder)
    assert experiment(epochs=1, initial_weights="20") == 2
    assert "train_args.initial_weights: '20' could be any of 2 runs" in capfd.readouterr().err


def test_a_sweep_is_resumed_although_its_own_trials_begin_with_the_same_date(runs, tmp_path):
    assert experiment(epochs=1) == 0
    first = find_run("last")
    date = int(first.id[:8])
    listed = {"experiment_group": "g", "experiments": [{**SPEC.to_json(), "network_args": SMALL, "train_args": {}}]}
    (tmp_path / "sweep.json").write_text(json.dumps(listed))
    for skip_invalid in (False, True):
        weights = {"train_args.initial_weights": date}
        plan = read_plan(tmp_path / "sweep.json", overrides=weights, skip_invalid=skip_invalid)
        _lasting_place.cache_clear()  # as in a later process
        (spec,) = plan.specs({"experiment": 0})
        assert spec.train_args["initial_weights"] == str(first.folder.resolve())
        Run.create(spec, f"{date}-trial-{skip_invalid}")


def test_trials_of_an_agent_begin_with_the_same_run_as_those_of_a_sweep_here(runs):
    first = Run.create(SPEC)
    Run.create(replace(SPEC, experiment_group="sweep-abc"), f"{first.id[:8]}-trial")

    def begun_with(name):
        overrides = {"train_args.initial_weights": name}
        return spec_from(json.dumps(SPEC.to_json()), None, overrides, "sweep-abc").train_args["initial_weights"]

    assert begun_with(int(first.id[:8])) == str(first.folder.resolve())
    with pytest.raises(SpecError, match="'last' would be another run for each trial of a sweep"):
        begun_with("last")


def test_in_a_sweep_the_run_to_begin_with_must_stay_the_same(runs, tmp_path, capfd):
    assert experiment(epochs=1) == 0
    first = find_run("last")
    plan = {"experiment_group": "g", "experiments": [{**SPEC.to_json(), "network_args": SMALL, "train_args": {}}]}
    (tmp_path / "sweep.json").write_text(json.dumps(plan))

    def read(name):
        return read_plan(tmp_path / "sweep.json", overrides={"train_args.initial_weights": name})

    (experiment_of_point,) = read(first.id).check()
    assert experiment_of_point.spec.train_args["initial_weights"] == str(first.folder.resolve())
    with pytest.raises(SpecError, match="'last' would be another run for each trial of a sweep"):
        read("last").check()


def test_a_bundle_that_cannot_be_taken_up_is_named_before_anything_runs(runs, capfd):
    assert experiment(initial_weights="nowhere") == 2
    assert "train_args.initial_weights 'nowhere': there is no bundle 'nowhere'." in capfd.readouterr().err
    assert experiment(initial_weights="CharacterModel_DigitsDataset_lenet") == 2
    assert "is of network 'lenet', the spec's is 'mlp'." in capfd.readouterr().err


def test_a_bundle_for_images_of_another_size_is_refused_before_data_is_prepared(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    bundle_of(tmp_path / "model", "a", "b", shape=(9, 9, 1))
    assert main([json.dumps(SPEC.to_json()), f"--train_args.initial_weights={tmp_path / 'model'}"]) == 2
    expected = (
        "is for images of 9 x 9 pixels, those of dataset 'DigitsDataset' have 8 x 8, and weights of network 'mlp'"
    )
    assert expected in capfd.readouterr().err
    (tmp_path / "damaged").mkdir()
    bundle_of(tmp_path / "damaged" / "model", "a", "b", shape=(8, 8, 1))
    (tmp_path / "damaged" / "model" / "model.weights.h5").write_bytes(b"other")
    assert main([json.dumps(SPEC.to_json()), f"--train_args.initial_weights={tmp_path / 'damaged'}"]) == 2
    assert "has changed since its bundle was written" in capfd.readouterr().err
    assert not (tmp_path / "data").exists()
