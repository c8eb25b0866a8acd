"""What functions of the Python API take, and what they refuse, without a run."""

import importlib
import os
from typing import Any

import pytest

import text_recognizer as tr
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
