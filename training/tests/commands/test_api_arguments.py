"""What functions of the Python API take, and what they refuse, without a run."""

import importlib
import os
import subprocess
import sys
from typing import Any

import pytest

import text_recognizer as tr
from text_recognizer.settings import REPOSITORY
from training.api.edited import read_edited_again

API: Any = tr  # as a program sees it that no type checker reads


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: API.load_predictor(3),
            r"load_predictor: source must be Run \| Bundle \| str \| Path. Received: 3.",
        ),
        (lambda: API.run_sweep([1]), r"run_sweep: sweep must be Mapping\[str, Any\] \| str \| .* Received: \[1\]."),
        (lambda: API.run_experiment(3), r"run_experiment: spec must be ExperimentSpec \| .* Received: 3."),
        (lambda: API.runs("network=mlp", 3), "runs: filters must be str. Received: 3."),
        (
            lambda: API.runs(limit="3", columns=3),
            r"2 problems:\n.*limit must be int .*\n.*columns must be str",
        ),
        (
            lambda: API.runs(network="mlp"),
            "^runs: got an unexpected keyword argument 'network'. It takes: filters, state, group, sort, ",
        ),
        (lambda: API.load_predictor(), "^load_predictor: missing a required argument: 'source'. It takes: source, "),
        (lambda: API.draw_samples(3), r"draw_samples: source must be str \| type\[Dataset\] \| Dataset \| Run."),
        (
            lambda: API.draw_samples(tr.Network),
            "Network' is not a subclass of text_recognizer.datasets.base.Dataset",
        ),
        (lambda: API.draw_samples("DigitsDataset", 3), "draw_samples: dataset_args must be Mapping"),
        (lambda: API.draw_samples("DigitsDataset", count="3"), "draw_samples: count must be int. Received: '3'."),
        (lambda: API.draw_samples("DigitsDataset", seed=-1), "seed must be at least 0. Received: -1."),
    ],
)
def test_an_argument_of_another_type_is_refused_with_what_came_and_what_is_allowed(call, said):
    with pytest.raises(tr.TextRecognizerError, match=said):
        call()


def test_samples_are_of_an_edited_file_as_it_is_now(tmp_path, monkeypatch):
    def save(side: int) -> None:
        file.write_text(
            "from text_recognizer.datasets.characters.digits import DigitsDataset\n"
            "class Few(DigitsDataset):\n"
            f"    def prepare(self) -> None:\n        raise ValueError({side})\n"
        )
        os.utime(file, (side, side))

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "edited_samples.py"
    for side in (8, 16):
        save(side)
        with pytest.raises(ValueError, match=str(side)):
            tr.draw_samples("edited_samples:Few")


def test_only_what_imports_an_edited_file_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    read = tmp_path / "read.txt"
    for name, imports in (("edited_a", ""), ("edited_b", "import edited_a"), ("edited_c", "")):
        (tmp_path / f"{name}.py").write_text(f"{imports}\nopen({str(read)!r}, 'a').write('{name} ')\n")
    modules = ["edited_c", "edited_b"]
    for name in modules:
        importlib.import_module(name)
    read_edited_again(modules)
    assert read.read_text().split() == ["edited_c", "edited_a", "edited_b"]
    read.write_text("")
    os.utime(tmp_path / "edited_a.py", (8, 8))
    read_edited_again(modules)
    read_edited_again(modules)
    assert read.read_text().split() == ["edited_a", "edited_b"]


def test_a_program_that_uses_it_passes_a_strict_type_check(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        """
import text_recognizer as tr


class Wide(tr.Network):
    def build(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> object:
        return None


run = tr.run_experiment({"dataset": "DigitsDataset"}, network=Wide, gpu=1)
best: float = run.metrics["val_accuracy"].max()
text: str = run.predictor().predict("a.png").text
ids: list[str] = [one.id for one in tr.runs("network=mlp", limit=3)]
summary: dict[str, float] = tr.run_sweep("sweep.yaml", jobs=2).best.summary
wrong: int = run.id
"""
    )
    # The cache of tasks/lint.sh, whose settings it must be read with: reading all modules anew takes most of the time.
    settings = [f"--config-file={REPOSITORY / 'pyproject.toml'}", f"--cache-dir={REPOSITORY / '.mypy_cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *settings, str(program)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    complaints = [line for line in done.stdout.splitlines() if line.startswith("program.py")]
    assert len(complaints) == 1, done.stdout + done.stderr
    assert (
        'program.py:15: error: Incompatible types in assignment (expression has type "str", variable has type "int")'
        in complaints[0]
    )
