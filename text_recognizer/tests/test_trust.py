"""Names from elsewhere load no code; one's own do, and are remembered."""

import json
import os
import subprocess
import sys

import pytest

from text_recognizer.errors import SpecError
from text_recognizer.experiment import assemble
from text_recognizer.registry import resolve
from text_recognizer.settings import state_folder
from text_recognizer.spec import ExperimentSpec
from text_recognizer.trust import VARIABLE

NETWORK = """
from pathlib import Path
from text_recognizer.networks import Network
Path(__file__).with_suffix(".was_run").touch()
class Net(Network):
    def build(self, input_shape, output_shape): ...
"""
MLP = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """A module of a name of its own where the user stands; nothing is remembered of it."""
    name = f"net_{request.node.originalname}"
    (tmp_path / f"{name}.py").write_text(NETWORK)
    monkeypatch.setenv("TEXT_RECOGNIZER_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def was_run(tmp_path, module):
    return (tmp_path / f"{module}.was_run").exists()


def resolved_in_another_process(name, origin, **environ):
    code = f"from text_recognizer.registry import resolve; resolve('network', {name!r}, {origin!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False)


def test_a_name_from_elsewhere_imports_nothing_and_says_whose_code_it_is(module, tmp_path):
    spec = ExperimentSpec.parse({**MLP, "network": f"{module}:Net"}, origin="the bundle /downloads/reader")
    with pytest.raises(SpecError) as caught:
        assemble(spec)
    assert caught.value.problems == [
        f"network '{module}:Net' is code from elsewhere: the bundle /downloads/reader names it, and importing the "
        f"module {module} ({tmp_path / module}.py) runs it. Look at it first; if you trust it, add --trust-code."
    ]
    assert not was_run(tmp_path, module)
    assert str(tmp_path) not in sys.path


def test_whoever_names_a_module_himself_is_not_asked_about_it_again(module, tmp_path, monkeypatch):
    assert resolve("network", f"{module}:Net").__name__ == "Net"
    environ = {"TEXT_RECOGNIZER_STATE": str(tmp_path / "state"), "PYTHONPATH": ":".join(sys.path[1:])}
    assert resolved_in_another_process(f"{module}:Net", "the bundle b", **environ).returncode == 0
    # Another file of the same name is other code.
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / f"{module}.py").rename(other / f"{module}.py")
    monkeypatch.chdir(other)
    done = resolved_in_another_process(f"{module}:Net", "the bundle b", **environ)
    assert "is code from elsewhere" in done.stderr
    assert not was_run(other, module)


def test_what_is_allowed_with_the_flag_is_not_remembered(module, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    assert resolve("network", f"{module}:Net", "the bundle b").__name__ == "Net"
    assert resolve("network", f"{module}:Net").__name__ == "Net"
    assert not state_folder().exists()


def test_processes_that_are_started_trust_the_same_modules_even_without_a_home(module, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_STATE", "/dev/null/nowhere")
    resolve("network", f"{module}:Net")
    assert os.environ[VARIABLE] == module
    environ = {VARIABLE: module, "PYTHONPATH": ":".join(sys.path)}
    assert resolved_in_another_process(f"{module}:Net", "the run folder r", **environ).returncode == 0
    assert resolved_in_another_process("antigravity:fly", "the run folder r", **environ).returncode == 1


@pytest.mark.parametrize(
    "line", ["", "3\n", '{"a": 1}\n', "[]\n", "\x00", json.dumps("x" * 10_000) + "\n", "[" * 100_000 + "\n"]
)
def test_a_damaged_record_trusts_nothing(module, tmp_path, line):
    state_folder().mkdir()
    (state_folder() / "own_modules.jsonl").write_text(line)
    with pytest.raises(SpecError, match="is code from elsewhere"):
        resolve("network", f"{module}:Net", "the bundle b")


@pytest.mark.parametrize("kind", ["dataset", "model", "network", "optimizer", "schedule", "augmentation"])
@pytest.mark.parametrize("name", ["subprocess:Popen", "os:system", "builtins:exec", "functools:partial"])
def test_what_is_no_part_is_refused_before_it_is_called_whoever_names_it(kind, name):
    for origin in (None, "the bundle b"):
        with pytest.raises(SpecError, match="is not a subclass of"):
            resolve(kind, name, origin)
