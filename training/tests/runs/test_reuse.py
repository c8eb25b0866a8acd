"""What makes an earlier run the same: everything that its numbers depend on, the user's own code included."""

import json
import subprocess

import pytest

from text_recognizer.arguments import to_json
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.runs import environment as environments
from training.runs.environment import code_version, environment, own_modules
from training.runs.run import Run
from training.sweeps.reuse import Reusable

NETWORK = """
from text_recognizer.networks import Network
from .layers import WIDTH
class Net(Network):
    def build(self, input_shape, output_shape):
        import keras
        from shop.blocks import late
"""
SPEC = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a user's package "shop", as if it were another process in every test."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").write_text("")
    (shop / "net.py").write_text(NETWORK)
    (shop / "layers.py").write_text("import keras\nWIDTH = 3\n")
    (shop / "blocks.py").write_text("def late(): ...\n")
    (shop / "unused.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    forget(monkeypatch)
    return tmp_path


def forget(monkeypatch):
    """What another process does not know."""
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)
    environments.hash_and_imports.cache_clear()


def finished_run(root, spec, devices=("cpu",)):
    experiment = assemble(ExperimentSpec.parse(spec))
    run = Run.create(experiment.spec, "earlier", root)
    fingerprint = experiment.dataset.fingerprint
    run.write_json("environment.json", environment(experiment.spec, fingerprint, list(devices)))
    run.set_state("finished")
    return run.folder


def test_a_users_modules_are_known_with_all_that_they_import(place):
    assert sorted(own_modules(["shop.net"])) == ["shop", "shop.blocks", "shop.layers", "shop.net"]
    assert own_modules(["text_recognizer.networks.mlp", "keras", "json", "no_such_module", "shop.net.nothing"]) == (
        own_modules(["shop.net"])
    )


def test_code_of_built_in_parts_has_no_modules_of_its_own():
    assert "own_modules" not in code_version(assemble(ExperimentSpec.parse(SPEC)).spec)


@pytest.mark.parametrize("file", ["net.py", "layers.py", "blocks.py"])
def test_a_run_of_a_users_network_is_reused_until_its_code_changes(file, place, monkeypatch, digits_prepared):
    spec = {**SPEC, "network": "shop.net:Net"}
    folder = finished_run(place / "runs", spec)
    assert Reusable(place / "runs").find(ExperimentSpec.parse(spec)) == folder
    (place / "shop" / "unused.py").write_text("# edited")
    forget(monkeypatch)
    assert Reusable(place / "runs").find(ExperimentSpec.parse(spec)) == folder
    (place / "shop" / file).write_text((place / "shop" / file).read_text() + "# edited")
    forget(monkeypatch)
    assert Reusable(place / "runs").find(ExperimentSpec.parse(spec)) is None


def test_a_run_on_another_kind_of_device_is_not_reused(place, digits_prepared):
    folder = finished_run(place / "runs", SPEC, ["Large GPU GPU-1111"])
    assert Reusable(place / "runs").find(ExperimentSpec.parse(SPEC)) is None
    assert Reusable(place / "runs", on_gpu=True).find(ExperimentSpec.parse(SPEC)) == folder


def test_a_run_that_began_with_other_weights_is_not_reused(place, digits_prepared):
    bundle = place / "bundle"
    bundle.mkdir()
    description = {
        "format": 1,
        "run_id": "r",
        "spec": assemble(ExperimentSpec.parse(SPEC)).spec.to_json(),
        "data_spec": to_json(assemble(ExperimentSpec.parse(SPEC)).dataset.data_spec),
        "metrics": {},
        "dataset_fingerprint": "f",
    }
    (bundle / "bundle.json").write_text(json.dumps({**description, "weights_sha256": "1"}))
    spec = {**SPEC, "train_args": {"initial_weights": str(bundle)}}
    folder = finished_run(place / "runs", spec)
    assert Reusable(place / "runs").find(ExperimentSpec.parse(spec)) == folder
    (bundle / "bundle.json").write_text(json.dumps({**description, "weights_sha256": "2"}))
    assert Reusable(place / "runs").find(ExperimentSpec.parse(spec)) is None


def test_a_module_that_git_does_not_know_yet_is_part_of_the_projects_code(tmp_path, monkeypatch):
    settings = ["user.name=a", "user.email=a@b", "commit.gpgsign=false", "core.hooksPath=/dev/null"]
    git = ["git", *(word for setting in settings for word in ("-c", setting)), "-C", str(tmp_path)]
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "known.py").write_text("")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(environments, "REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path / "training")
    checkouts = environments.checkouts.__wrapped__  # not the remembered answer
    clean = checkouts()
    assert list(clean) == ["text_recognizer"]  # the current folder is of the same checkout
    (tmp_path / "training" / "notes.txt").write_text("1")
    assert checkouts() == clean
    (tmp_path / "training" / "new.py").write_text("1")
    first = checkouts()
    (tmp_path / "training" / "new.py").write_text("2")
    assert len({json.dumps(version) for version in (clean, first, checkouts())}) == 3
    assert list(first) == ["text_recognizer"]
