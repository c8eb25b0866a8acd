"""run_experiment as a user meets it, in this process."""

import json

import jsonschema
import numpy as np
import pytest

from text_recognizer.settings import REPOSITORY
from text_recognizer.spec import parse_json
from text_recognizer.tests.datasets.archive_pages import alto, write_page
from training.cli import main as text_recognizer
from training.run_experiment import main
from training.runs.find import find_run
from training.runs.run import Run

SMALL = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"layer_size": 16, "num_layers": 1},
    "train_args": {"batch_size": 32, "epochs": 2},
}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def run(*arguments: str) -> Run:
    assert main([json.dumps(SMALL), "--nowandb", "--gpu=none", *arguments]) == 0
    return find_run("last")


def final_weights(run: Run) -> np.ndarray:
    import h5py

    found: list[np.ndarray] = []
    with h5py.File(run.folder / "model" / "model.weights.h5") as file:
        file.visititems(lambda _, item: found.append(item[()].ravel()) if isinstance(item, h5py.Dataset) else None)
    return np.concatenate(found)


def test_a_run_leaves_a_folder_that_explains_itself(runs, capfd):
    made = run("--experiment_group=My group")
    assert made.folder.parent == runs / "My-group"
    assert made.spec.train_args["epochs"] == 2
    assert [row["epoch"] for row in made.rows()] == [1, 2, 2]
    assert set(made.rows()[0]) >= {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_s"}
    assert all(0 <= row["input_wait"] <= 1 for row in made.rows()[:2])
    status = made.status()
    assert status.state == "finished"
    assert made.read_json("status.json")["peak_memory_mib"]["process"] > 100
    evaluation = json.loads((made.folder / "evaluation.json").read_text())
    assert evaluation["count"] == len((made.folder / "predictions.jsonl").read_text().splitlines())
    assert status.summary["test_accuracy"] == evaluation["metrics"]["accuracy"] == made.rows()[-1]["test_accuracy"]
    low, high = evaluation["intervals_95"]["accuracy"]
    assert low < evaluation["metrics"]["accuracy"] < high
    environment = made.read_json("environment.json")
    assert environment["seed"] == 0
    assert environment["packages"]["keras"]
    assert "<svg" in (made.folder / "report.html").read_text()
    printed = capfd.readouterr().out
    for text in ("epoch 2/2", "95 % interval", str(made.folder), "text-recognizer runs show"):
        assert text in printed


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(runs):
    first, second, other = final_weights(run()), final_weights(run()), final_weights(run("--seed=1"))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


EFFECTS = {
    "batch_size": "16",
    "epochs": "1",
    "steps_per_epoch": "2",
    "optimizer": "sgd",
    "optimizer_args.beta_1": "0.5",
    "learning_rate": "0.1",
    "schedule": "cosine",
    "weight_decay": "0.5",
    "gradient_clip_norm": "0.0001",
    "gradient_clip_value": "0.00001",
    "augmentation": "affine",
    "label_smoothing": "0.3",
}


@pytest.fixture(scope="module")
def usual_weights(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path_factory.mktemp("usual")))
        return final_weights(run())


@pytest.mark.parametrize(("key", "value"), EFFECTS.items())
def test_every_accepted_key_has_an_effect(key, value, runs, usual_weights):
    weights = final_weights(run(f"--train_args.{key}={value}"))
    assert not np.array_equal(weights, usual_weights), key


def test_early_stopping_ends_training_and_the_best_epoch_is_kept(runs):
    made = run(
        "--train_args.epochs=30",
        "--train_args.early_stopping.patience=1",
        "--train_args.early_stopping.min_delta=0.2",
        "--train_args.monitor=val_accuracy",
    )
    rows = made.rows()[:-1]
    assert len(rows) < 30
    best = max(rows, key=lambda row: row["val_accuracy"])
    assert made.status().summary["best_epoch"] == best["epoch"]
    assert made.status().summary["val_accuracy"] == best["val_accuracy"]


def test_a_plateau_reduces_the_reported_learning_rate(runs):
    made = run(
        "--train_args.epochs=4",
        "--train_args.schedule=reduce_on_plateau",
        "--train_args.schedule_args={'patience': 1, 'factor': 0.5, 'min_delta': 100}",
    )
    rates = [row["learning_rate"] for row in made.rows()[:-1]]
    assert rates == pytest.approx([0.001, 0.001, 0.0005, 0.00025])


def test_a_loss_that_is_no_number_ends_training_with_the_best_weights_before_it(runs, capfd, tmp_path, monkeypatch):
    (tmp_path / "diverging.py").write_text(
        """
import keras
from text_recognizer.networks import Network

class Countdown(keras.layers.Layer):
    def build(self, shape):
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.steps.assign_add(1)
        return keras.ops.where(self.steps > 15, float("nan"), 0.0) + x  # two epochs have 14 steps

class Diverging(Network):
    def build(self, input_shape, output_shape):
        image = keras.Input(input_shape)
        x = keras.layers.Dense(*output_shape)(keras.layers.Flatten()(image))
        return keras.Model(image, Countdown()(x))
"""
    )
    monkeypatch.chdir(tmp_path)
    made = run("--network=diverging:Diverging", "--network_args={}", "--train_args.epochs=9")
    assert [row["loss"] is None for row in made.rows()[:-1]] == [False, False, True]
    assert made.status().summary["best_epoch"] == 2
    assert made.status().state == "finished"
    assert "the loss became nan in epoch 3; best epoch 2" in capfd.readouterr().out


def test_a_loss_that_never_was_a_number_fails_with_advice(runs, capfd):
    arguments = ["--train_args.learning_rate=1e38", "--train_args.optimizer=sgd", "--train_args.batch_size=8"]
    assert main([json.dumps(SMALL), "--nowandb", "--gpu=none", *arguments]) == 3
    assert "Lower train_args.learning_rate" in capfd.readouterr().err
    assert find_run("last").status().state == "failed"
    assert "Lower train_args.learning_rate" in str(find_run("last").status().error)


def test_xla_compiles_the_step_and_learns_the_same(runs):
    without_dropout = "--network_args.dropout_amount=0"  # XLA draws other random numbers
    plain, compiled = run(without_dropout), run(without_dropout, "--train_args.jit_compile=true")
    assert compiled.rows()[1]["loss"] == pytest.approx(plain.rows()[1]["loss"], rel=1e-3)
    assert np.allclose(final_weights(plain), final_weights(compiled), atol=1e-4)


def test_xla_leaves_augmentation_alone(runs):
    made = run("--train_args.jit_compile=true", "--train_args.augmentation=affine", "--train_args.epochs=1")
    assert made.status().state == "finished"


def test_what_xla_cannot_compile_is_said_with_a_way_out(runs, capfd):
    lenet = ["--network=lenet", "--network_args={}", "--train_args.epochs=1", "--train_args.jit_compile=true"]
    assert main([json.dumps(SMALL), "--nowandb", "--gpu=none", *lenet]) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert "train_args.jit_compile: XLA cannot compile this training step" in error
    assert "or set train_args.deterministic to false" in error
    assert find_run("last").status().state == "failed"


def test_a_dry_run_prints_the_completed_spec_and_trains_nothing(runs, digits_prepared, capfd):
    assert main([json.dumps(SMALL), "--dry-run"]) == 0
    printed = capfd.readouterr().out
    spec, _, rest = printed.partition("\n}\n")
    assert parse_json(spec + "\n}", "dry run")["train_args"]["optimizer"] == "adam"
    assert "mlp, 1,210 parameters" in rest
    assert "DigitsDataset: 216 train, 70 validation, 70 test" in rest
    assert not runs.exists()


def test_a_dry_run_refuses_what_the_run_would_refuse_once_its_data_is_prepared(runs, digits_prepared, capfd):
    assert main([json.dumps(SMALL), "--dry-run", "--train_args.batch_size=1000"]) == 2
    printed = capfd.readouterr()
    assert not printed.out
    assert "batch_size must be at most 216" in printed.err


def test_a_dry_run_on_pages_counts_them_and_their_lines_before_anything_is_converted(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    for index in range(3):
        write_page(tmp_path, f"p{index}", alto(image=""), seed=index)
    dataset = {"dataset": "AltoLinesDataset", "dataset_args": {"path": str(tmp_path), "height": 40}}
    spec = {**dataset, "model": "LineModelCtc", "network": "line_reader", "network_args": {"filters": 3, "units": 4}}
    assert main([json.dumps(spec), "--dry-run"]) == 0
    assert "dataset     AltoLinesDataset: 3 pages with 9 lines to convert" in capfd.readouterr().out
    assert not list(tmp_path.glob("data/processed/*"))


def test_the_schema_is_printed(capfd):
    assert main(["--schema"]) == 0
    schema = json.loads(capfd.readouterr().out)
    assert schema["title"] == "Text Recognizer experiment"
    jsonschema.Draft202012Validator.check_schema(schema)
    parts = schema["$defs"]
    assert set(parts) == {"trackers", "executors", "searches", "stopping_rules", "exports", "model_exports", "commands"}
    assert parts["trackers"]["properties"]["wandb"]["properties"]["mode"] == {
        "default": "offline",
        "description": "send, or keep the files for later.",
        "enum": ["online", "offline"],
        "type": "string",
    }


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["{"], "is not JSON"),
        ([json.dumps({**SMALL, "network": "nlp"})], "Did you mean 'mlp'?"),
        ([json.dumps(SMALL), "--train_args.batch_size=0"], "batch_size must be at least 1"),
        ([json.dumps(SMALL), "--train_args.batch_size=nan"], "batch_size must be a whole number. Received: 'nan'"),
        ([json.dumps(SMALL), "--train_args.batch_size=5000"], "batch_size must be at most 216"),
        ([json.dumps(SMALL), "--train-args.epochs=3"], "unknown argument '--train-args.epochs=3'"),
        ([json.dumps(SMALL), "--dryrun"], "Did you mean '--dry-run'?"),
        ([json.dumps(SMALL), "--overrides=nowhere.yaml"], "cannot read the overrides"),
        (["nowhere.json"], "there is no file 'nowhere.json'"),
        (["--resume=nowhere"], "there is no run 'nowhere'"),
        ([json.dumps(SMALL), "--train_args.mixed_precision=float16"], "'float16' needs a GPU"),
    ],
)
def test_mistakes_end_with_a_message_and_exit_code_2(arguments, part, runs, capfd):
    assert main([*arguments, "--nowandb", "--gpu=none"]) == 2
    assert part in capfd.readouterr().err


def test_overrides_come_from_a_file_and_single_ones_win(runs, tmp_path, capfd):
    (tmp_path / "more.yaml").write_text("train_args.epochs: 7\nnetwork_args:\n  layer_size: 5\n  num_layers: 1\n")
    arguments = [json.dumps(SMALL), f"--overrides={tmp_path / 'more.yaml'}", "--train_args.epochs=3", "--dry-run"]
    assert main(arguments) == 0
    printed = capfd.readouterr().out
    assert '"epochs": 3' in printed
    assert '"layer_size": 5' in printed


def test_a_finished_run_is_not_run_again_and_another_spec_cannot_take_it_up(runs, capfd):
    made = run()
    rows = made.rows()
    assert main(["--resume", made.id]) == 0
    assert "is finished already" in capfd.readouterr().out
    assert main(["--resume", made.id, "--train_args.epochs=9"]) == 2
    assert "train_args.epochs is 9, the run has 2" in capfd.readouterr().err
    assert Run.open(made.folder).rows() == rows


def test_saving_promotes_the_model_under_its_usual_name(runs, tmp_path, monkeypatch, capfd):
    from text_recognizer.models.bundle import find_bundle

    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    made = run("--save")
    bundle = find_bundle("CharacterModel_DigitsDataset_mlp")
    assert bundle.run_id == made.id
    assert bundle.metrics["test_accuracy"] == made.status().summary["test_accuracy"]
    assert bundle.dataset_fingerprint == made.read_json("environment.json")["dataset_fingerprint"]


def test_a_users_network_is_used_by_its_import_path(runs, tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from text_recognizer.networks import Network\n"
        "class Linear(Network):\n"
        "    def build(self, input_shape, output_shape):\n"
        "        import keras\n"
        "        layers = keras.layers\n"
        "        return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(*output_shape)])\n"
    )
    monkeypatch.chdir(tmp_path)
    value = {key: item for key, item in SMALL.items() if key != "network_args"} | {"network": "my_networks:Linear"}
    assert main([json.dumps(value), "--nowandb", "--gpu=none"]) == 0
    made = find_run("last")
    assert made.id.endswith("-linear")
    image = REPOSITORY / "text_recognizer" / "tests" / "support" / "digits" / "3.png"
    for name in (str(made.folder), made.id, made.id[:-1], "last"):
        assert text_recognizer(["predict", str(image), "--bundle", name]) == 0


def test_the_run_list_shows_filters_and_sorts(runs, capfd):
    run("--seed=1", "--train_args.epochs=1")
    run("--seed=2", "--train_args.epochs=2")
    capfd.readouterr()
    assert text_recognizer(["runs", "list", "--columns", "seed,epoch,train_args.epochs,state", "--format", "csv"]) == 0
    assert capfd.readouterr().out.split() == ["seed,epoch,train_args.epochs,state", "2,2,2,finished", "1,1,1,finished"]
    assert text_recognizer(["runs", "list", "--filter", "seed=1", "--columns=seed", "--format=csv"]) == 0
    assert capfd.readouterr().out.split() == ["seed", "1"]
    assert text_recognizer(["runs", "list", "--sort=seed", "--columns=seed", "--format=csv"]) == 0
    assert capfd.readouterr().out.split() == ["seed", "1", "2"]
    assert text_recognizer(["runs", "list", "--sort=test_acuracy"]) == 2
    assert "Did you mean 'test_accuracy'?" in capfd.readouterr().err
    assert text_recognizer(["runs", "list", "--filter", "seed"]) == 2
    assert "like network=mlp" in capfd.readouterr().err


def test_runs_are_shown_compared_and_run_again(runs, capfd):
    first, second = run("--seed=1"), run("--seed=2")
    capfd.readouterr()
    assert text_recognizer(["runs", "show", first.id]) == 0
    shown = capfd.readouterr().out
    assert "test_accuracy" in shown
    assert "report.html" in shown
    assert text_recognizer(["runs", "compare", first.id, second.id]) == 0
    compared = capfd.readouterr().out
    assert [line.split() for line in compared.splitlines() if line.startswith("seed")] == [["seed", "1", "2"]]
    assert "layer_size" not in compared
    assert "val_accuracy by epoch" in compared
    assert "test: " in compared
    assert text_recognizer(["runs", "rerun", first.id, "--seed=3", "--nowandb", "--gpu=none"]) == 0
    assert find_run("last").spec.seed == 3
    assert find_run("last").spec.network_args == first.spec.network_args


def test_the_list_of_what_can_be_named_is_complete(capfd):
    assert text_recognizer(["list", "--json"]) == 0
    listing = json.loads(capfd.readouterr().out)
    assert listing["networks"]["mlp"]["arguments"]["layer_size"] == {
        "type": "int >= 1",
        "required": False,
        "default": 128,
        "meaning": "units of each hidden layer.",
    }
    assert set(listing) >= {"datasets", "models", "networks", "optimizers", "schedules", "augmentations", "train_args"}
    assert text_recognizer(["list", "networks"]) == 0
    assert "layer_size = 128  (int >= 1)" in capfd.readouterr().out
