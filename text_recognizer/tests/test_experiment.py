import json
import re
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_recognizer.errors import SpecError, TextRecognizerError
from text_recognizer.experiment import assemble, json_schema
from text_recognizer.models import transfer
from text_recognizer.registry import names, resolve
from text_recognizer.spec import ExperimentSpec
from text_recognizer.train_args import TrainArgs

MLP = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}


def problems_of(value):
    with pytest.raises(SpecError) as caught:
        assemble(ExperimentSpec.parse(value))
    return caught.value.problems


def test_a_spec_is_completed_with_every_default():
    experiment = assemble(ExperimentSpec.parse(MLP))
    assert experiment.spec.network_args == {"layer_size": 128, "dropout_amount": 0.2, "num_layers": 3}
    assert experiment.spec.train_args["optimizer_args"]["beta_1"] == 0.9
    assert assemble(experiment.spec).spec == experiment.spec
    assert (
        experiment.spec.digest == assemble(ExperimentSpec.parse({**MLP, "network_args": {"num_layers": 3}})).spec.digest
    )


def test_problems_of_all_parts_are_reported_together():
    value = {
        "dataset": "DigitDataset",
        "model": "CharacterModel",
        "network": "mlp",
        "network_args": {"layer_siz": 3, "num_layers": -1},
        "train_args": {
            "bach_size": 3,
            "optimizer": "addam",
            "schedule": "cosine",
            "schedule_args": {"warmup_fraction": 2},
            "early_stopping": {"patience": 0},
            "mixed_precision": "float32",
        },
    }
    text = "\n".join(problems_of(value))
    for part in [
        "unknown dataset 'DigitDataset'. Did you mean 'DigitsDataset'?",
        "network 'mlp' has no argument 'layer_siz'. Did you mean 'layer_size'?",
        "network 'mlp': num_layers must be at least 1. Received: -1.",
        "train_args has no argument 'bach_size'. Did you mean 'batch_size'?",
        "train_args.optimizer: unknown optimizer 'addam'. Did you mean 'adam'?",
        "train_args.schedule 'cosine': warmup_fraction must be less than 1",
        "train_args: early_stopping.patience must be at least 1. Received: 0.",
        "train_args: mixed_precision must be one of 'auto', 'off', 'bfloat16' or 'float16'. Received: 'float32'.",
    ]:
        assert part in text, part


def test_a_network_that_does_not_fit_the_images_is_refused(tmp_path, monkeypatch):
    (tmp_path / "tiny.py").write_text(
        textwrap.dedent(
            """
            import numpy as np
            from text_recognizer.datasets.base import DataSpec
            from text_recognizer.datasets.characters.base import CharacterDataset
            class TinyDataset(CharacterDataset):
                data_spec = DataSpec((4, 9, 1), ("a", "b"))
                def depends_on(self): return {}
                def read(self): return {"all": (np.zeros((20, 4, 9), np.uint8), np.arange(20) % 2)}
            class Windowed:
                pass
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    value = {"dataset": "tiny:TinyDataset", "model": "CharacterModel", "network": "lenet"}
    assert problems_of(value) == [
        "network 'lenet' does not fit dataset 'tiny:TinyDataset': needs images of at least 6 x 6 pixels, "
        "the dataset's have 4 x 9. Set dataset_args.side, where there is one, or choose another network."
    ]
    assert problems_of({**value, "network": "tiny:Windowed"}) == [
        "network 'tiny:Windowed' is not a subclass of text_recognizer.networks.base.Network."
    ]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("no_such_module:Net", "there is no module 'no_such_module'"),
        ("text_recognizer.networks.mlp:Nlp", "has no 'Nlp'"),
        ("broken_module:Net", "importing broken_module failed: ZeroDivisionError"),
        (
            "missing_inside:Net",
            "importing missing_inside failed: ModuleNotFoundError: No module named 'surely_not_there'",
        ),
        ("nett", "unknown network 'nett'"),
        ("nets/my_net.py:Net", "is not a name like package.module:Name. Did you mean 'nets.my_net:Net'?"),
    ],
)
def test_names_that_do_not_load_say_why(name, part, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0")
    (tmp_path / "missing_inside.py").write_text("import surely_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    assert part in problems_of({**MLP, "network": name})[0]


def test_a_batch_larger_than_the_training_split_is_refused(digits_prepared):
    experiment = assemble(ExperimentSpec.parse({**MLP, "train_args": {"batch_size": 100_000}}))
    with pytest.raises(
        SpecError, match=r"batch_size must be at most 1,079, the images of the training split. Received: 1000"
    ):
        experiment.check_sizes()


@pytest.mark.parametrize(
    ("method", "returned", "problem"),
    [
        ("batch", None, "must return a dict of arrays with image and label. Received: NoneType."),
        ("batch", {"image": 3}, "must return a dict of arrays with image and label. Received: image."),
        ("batch", {"image": np.zeros((1, 8, 8, 1)), "label": 3}, "for one position. Received: float64"),
        ("batch", {"image": np.zeros((1, 8, 8), np.uint8), "label": 3}, "Received: uint8 (1, 8, 8)."),
        ("text", 7, "text() of the train split must return text. Received: 7."),
    ],
)
def test_samples_of_a_users_own_dataset_in_another_form_are_refused(
    digits_prepared, monkeypatch, method, returned, problem
):
    experiment = assemble(ExperimentSpec.parse(MLP))
    experiment.check_samples()
    split = experiment.dataset.split("train")
    monkeypatch.setattr(split, method, lambda position: returned)
    monkeypatch.setattr(experiment.dataset, "split", lambda name: split)
    with pytest.raises(SpecError, match=re.escape(problem)):
        experiment.check_samples()
    monkeypatch.setattr(experiment.dataset, "split", lambda name: None)
    with pytest.raises(SpecError, match=r"split\(.train.\) must return a Split. Received: None."):
        experiment.check_samples()


def test_a_metric_to_monitor_must_be_one_that_is_reported():
    train_args = {"monitor": "val_acuracy", "early_stopping": {"monitor": "test_accuracy"}}
    assert problems_of({**MLP, "train_args": train_args}) == [
        "train_args: monitor 'val_acuracy' is not reported. Did you mean 'val_accuracy'? Reported: loss, accuracy, "
        "val_loss, val_accuracy, val_top_3_accuracy, val_top_5_accuracy.",
        "train_args: early_stopping.monitor 'test_accuracy' is not reported. Did you mean 'accuracy'? Reported: "
        "loss, accuracy, val_loss, val_accuracy, val_top_3_accuracy, val_top_5_accuracy.",
    ]


OWN_PARTS = """
import sys
from text_recognizer.recipes import AugmentationRecipe, OptimizerRecipe, ScheduleRecipe
class Recipe(OptimizerRecipe):
    def __init__(self, rate: float = 0.1): self.usual_learning_rate = rate
    def build(self, rate, decay=None, norm=None, value=None): ...
def optimizer() -> Recipe: return Recipe()
class Layer:
    def build(self, input_shape): ...
def leaving() -> ScheduleRecipe: sys.exit(0)
def no_changes() -> AugmentationRecipe | None: return None
def unannotated(): print("called")
def lists() -> list[OptimizerRecipe]: print("called")
def liar() -> OptimizerRecipe: return 3
"""


@pytest.mark.parametrize(
    ("part", "name", "problem"),
    [
        ("optimizer", "builtins:print", "annotated to return one (`def …(…) -> OptimizerRecipe:`)"),
        ("optimizer", "subprocess:Popen", "not a subclass of text_recognizer.recipes.OptimizerRecipe"),
        ("schedule", "os:system", "not a subclass of text_recognizer.recipes.ScheduleRecipe"),
        ("augmentation", "builtins:exec", "not a subclass of"),
        ("optimizer", "functools:partial", "not a subclass of"),
        ("augmentation", "text_recognizer.settings:data_folder", "not a subclass of"),
        ("optimizer", "own_parts:unannotated", "not a subclass of"),
        ("optimizer", "own_parts:lists", "not a subclass of"),
        ("optimizer", "own_parts:no_changes", "not a subclass of"),
        ("optimizer", "text_recognizer.schedules:Constant", "not a subclass of"),
        ("schedule", "text_recognizer.optimizers:adam", "not a subclass of"),
        ("augmentation", "own_parts:Layer", "not a subclass of text_recognizer.recipes.AugmentationRecipe"),
        ("optimizer", "os.path:join:x", "is not a name like package.module:Name."),
        ("optimizer", "own_parts:liar", "must make an instance of OptimizerRecipe. Received: 3."),
        ("schedule", "own_parts:leaving", "SystemExit: 0"),
    ],
)
def test_what_is_no_optimizer_schedule_or_augmentation_is_refused(part, name, problem, tmp_path, monkeypatch, capfd):
    (tmp_path / "own_parts.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = problems_of({**MLP, "train_args": {part: name}})
    assert found.startswith((f"train_args.{part} '{name}'", f"train_args.{part}: {part} '{name}'"))
    assert problem in found
    assert capfd.readouterr().out == ""  # it was not called


def test_a_wrong_type_in_the_data_spec_of_a_users_own_dataset_is_named(tmp_path, monkeypatch):
    cases = {
        "DataSpec((8, 8), ('a', 'b'))": ": input_shape.2 is required. Received: [8, 8].",
        "DataSpec((np.int64(8), 8, 1), 'ab')": ": classes must be a list. Received: 'ab'.",
        "DataSpec((8, 8, 1), ('a', 2))": ": classes.1 must be text. Received: 2.",
        "DataSpec((8, 8, 1), ('a', 'b'), ink='bright')": ": ink must be one of 'light' or 'dark'. Received: 'bright'.",
        "{'classes': 'ab'}": " must be a DataSpec. Received: {'classes': 'ab'}.",
    }
    text = "import numpy as np\nfrom text_recognizer.datasets.base import DataSpec\n"
    text += "from text_recognizer.datasets.characters.digits import DigitsDataset\n"
    for number, made in enumerate(cases):
        text += f"\n\nclass Mine{number}(DigitsDataset):\n    data_spec = {made}\n"
    (tmp_path / "my_wrong_data.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for number, problem in enumerate(cases.values()):
        name = f"my_wrong_data:Mine{number}"
        assert problems_of({**MLP, "dataset": name})[-1] == f"the data_spec of dataset '{name}'{problem}"


def test_a_users_own_optimizer_and_augmentation_pass(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    train_args = {"optimizer": "own_parts:optimizer", "augmentation": "own_parts:no_changes"}
    recipes = assemble(ExperimentSpec.parse({**MLP, "train_args": train_args})).recipes
    assert (recipes["optimizer"].usual_learning_rate, recipes["augmentation"]) == (0.1, None)
    made = {"optimizer": "own_parts:Recipe", "optimizer_args": {"rate": 0.5}}
    experiment = assemble(ExperimentSpec.parse({**MLP, "train_args": made}))
    assert experiment.recipes["optimizer"].usual_learning_rate == 0.5


def test_an_entry_point_plugs_in(tmp_path, monkeypatch):
    (tmp_path / "my_net.py").write_text(
        "from text_recognizer.networks import Network\n"
        "class MyNetwork(Network):\n"
        "    def __init__(self, units: int = 4): ...\n"
        "    def build(self, input_shape, output_shape): ...\n"
    )
    info = tmp_path / "my_net-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-net\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[text_recognizer.networks]\nmy_network = my_net:MyNetwork\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "my_network" in names("network")
    assert assemble(ExperimentSpec.parse({**MLP, "network": "my_network"})).spec.network_args == {"units": 4}


def test_the_schema_accepts_what_passes_and_refuses_what_does_not():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    completed = assemble(
        ExperimentSpec.parse({**MLP, "train_args": {"early_stopping": {"patience": 2}}})
    ).spec.to_json()
    validator.validate(completed)
    for wrong in [
        {**MLP, "network_args": {"layer_siz": 3}},
        {**MLP, "train_args": {"epochs": 0}},
        {**MLP, "train_args": {"optimizer": "adam", "optimizer_args": {"momentum": 0.9}}},
        {**MLP, "train_args": {"optimizer_args": {"momentum": 0.9}}},
        {**MLP, "extra": 1},
        {"dataset": "DigitsDataset"},
    ]:
        assert list(validator.iter_errors(wrong)), wrong


def test_optimizers_take_only_what_keras_takes():
    import inspect

    import keras

    for name in names("optimizer"):
        recipe = resolve("optimizer", name)()
        if name == "muon":  # ours, in test_muon.py
            continue
        parameters = inspect.signature(getattr(keras.optimizers, recipe.keras_class)).parameters
        assert set(recipe.arguments) <= set(parameters), name
        for argument, value in recipe.arguments.items():
            assert parameters[argument].default == value, (name, argument)
        assert parameters["learning_rate"].default in (recipe.usual_learning_rate, 0.001), name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(
    [*MLP, "dataset_args", "network_args", "model_args", "train_args", "experiment_group", "seed", "x"]
)
argument_names = st.sampled_from(
    ["layer_size", "dropout_amount", "subsample_fraction", "split", "mapping", *TrainArgs.__dataclass_fields__, "y"]
)
specs = st.dictionaries(
    keys,
    json_values | st.sampled_from([*MLP.values(), "lenet"]) | st.dictionaries(argument_names, json_values, max_size=4),
).map(lambda value: {**MLP, **value})


@settings(max_examples=300)
@given(specs)
def test_no_generated_spec_ends_in_anything_but_a_message(value):
    try:
        assemble(ExperimentSpec.parse(value))
    except TextRecognizerError as error:
        assert str(error)


@settings(max_examples=200)
@given(st.dictionaries(argument_names, json_values, max_size=5))
def test_no_generated_train_args_end_in_anything_but_a_message(train_args):
    try:
        experiment = assemble(ExperimentSpec.parse({**MLP, "train_args": train_args}))
    except TextRecognizerError as error:
        assert str(error)
    else:
        json.dumps(experiment.spec.to_json(), allow_nan=False)


def test_old_files_of_the_fsdl_tool_work_unchanged():
    old = json.loads(
        """{"dataset": "EmnistDataset", "dataset_args": {"subsample_fraction": 0.25}, "model": "CharacterModel",
        "network": "mlp", "network_args": {"num_layers": 2}, "train_args": {"batch_size": 256},
        "experiment_group": "Sample Experiments"}"""
    )
    experiment = assemble(ExperimentSpec.parse(old))
    assert experiment.train_args.batch_size == 256
    assert sys.modules.get("text_recognizer.datasets.characters.emnist") is not None


def test_a_loss_that_xla_cannot_compile_is_told_beforehand():
    lines = {"dataset": "RenderedLinesDataset", "model": "LineModelCtc", "network": "line_reader"}
    assert problems_of({**lines, "train_args": {"jit_compile": True}}) == [
        "train_args.jit_compile must be false for model 'LineModelCtc': XLA cannot compile the CTC loss. "
        "Received: True."
    ]


def test_the_former_name_of_an_argument_is_read_in_saved_specs_and_bundles(monkeypatch):
    lines = {"dataset": "RenderedLinesDataset", "model": "LineModelCtc"}
    old, new = (
        ExperimentSpec.parse({**lines, "network": "crnn", "network_args": {name: 0.5}})
        for name in ("momentum", "batch_norm_momentum")
    )
    assert assemble(old).spec == assemble(new).spec
    bundle = SimpleNamespace(spec=old, data_spec=SimpleNamespace(input_shape=(32, None, 1)))
    monkeypatch.setattr(transfer, "find_bundle", lambda _name: bundle)
    begun = assemble(new).spec.override({"train_args.initial_weights": "old"})
    assert not transfer.transfer_problems(begun, (33, None, 1))


def test_a_module_from_outside_that_imports_tensorflow_brings_no_notes_of_it(tmp_path, monkeypatch, capfd):
    (tmp_path / "noisy.py").write_text(
        "import sys\n"
        "import tensorflow as tf\n"
        "from text_recognizer.networks.mlp import Mlp\n"
        "tf.constant(1) + 1\n"
        "print('mine', file=sys.stderr)\n"
    )
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    code = "from text_recognizer.registry import resolve; resolve('network', 'noisy:Mlp')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert capfd.readouterr().err == "mine\n"
