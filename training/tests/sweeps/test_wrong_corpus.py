"""Hundreds of wrong sweeps and specs, made by rule from right ones: each is refused before any compute, in words.

A sweep's message has the line that was changed; a misspelt name has a suggestion.
"""

import random
from dataclasses import dataclass

import pytest

from text_recognizer.errors import SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.sweeps import plan
from training.sweeps.plan_file import read_plan

SWEEP = """method: bayes
metric:
  name: val_accuracy
  goal: maximize
early_terminate:
  type: hyperband
  min_iter: 2
parameters:
  dataset:
    value: DigitsDataset
  model:
    value: CharacterModel
  network:
    value: mlp
  network_args.layer_size:
    values: [16, 32]
  network_args.dropout_amount:
    min: 0.1
    max: 0.5
  train_args.learning_rate:
    distribution: log_uniform_values
    min: 0.001
    max: 0.1
  train_args.batch_size:
    value: 32
  train_args.optimizer:
    value: adam
  train_args.epochs:
    value: 3
"""
SPEC = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.5, "validation_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"layer_size": 16, "dropout_amount": 0.1, "num_layers": 2},
    "train_args": {"batch_size": 32, "epochs": 3, "learning_rate": 0.01, "optimizer": "adam", "label_smoothing": 0.1},
}


@dataclass(frozen=True)
class Wrong:
    """A wrong sweep.

    Args:
        line: that was changed.
        suggested: the right name, when one was misspelt.
    """

    what: str
    text: str
    line: int
    suggested: str | None = None


def misspelt(word: str, source: random.Random) -> str:
    """A word with one letter dropped, doubled, or two exchanged; never the word itself."""
    while True:
        place = source.randrange(1, len(word) - 1)
        kind = source.choice(("drop", "double", "exchange"))
        if kind == "drop":
            wrong = word[:place] + word[place + 1 :]
        elif kind == "double":
            wrong = word[:place] + word[place] + word[place:]
        else:
            wrong = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        if wrong != word:
            return wrong


# A line of the sweep, what it becomes, and the values to put there.
WRONG_VALUES: list[tuple[int, str, list[str]]] = [
    (1, "method: {}", ["grids", "Bayes", "GRID", "3", "[bayes]", "null", "true"]),
    (3, "  name: {}", ["val_acuracy", "validation_accuracy", "acc", "f1", "epoch/val_acc"]),
    (4, "  goal: {}", ["maximise", "max", "up", "1", "null"]),
    (6, "  type: {}", ["hyperbands", "median", "asha", "null"]),
    (7, "  min_iter: {}", ["0", "-1", "1.5", "two", "[1]", "true"]),
    (16, "    values: {}", ["[0]", "[-1, 16]", "[16.5]", "['many']", "[]", "16", "[null]", "[true]", "[[16]]"]),
    (18, "    min: {}", ["0.5", "0.9", "1e-1", "'0.1'", "null", "[0.1]"]),
    (19, "    max: {}", ["1.5", "0.05", "0.1", "high", "-3.0"]),
    (21, "    distribution: {}", ["log_uniformvalues", "loguniform", "gaussian", "Uniform", "3"]),
    (22, "    min: {}", ["0", "-0.1", "1e-5", "low", "0.1", "0.2"]),
    (25, "    value: {}", ["0", "-1", "3.5", "large", "null", "false", "[32]"]),
    (29, "    value: {}", ["0", "-3", "many", "1.5", "null"]),
]
EXTRA_LINES = ["run_caps: 3", "programm: a.py", "seed: 3", "retries: 2", "jobs: 2"]
EXTRA_LINES += [f"run_cap: {value}" for value in ("0", "-2", "many", "1.5")]
# Keys and arguments to misspell, with their lines.
KEYS = {1: "method", 2: "metric", 5: "early_terminate", 8: "parameters"}
ARGUMENTS = {
    15: "layer_size",
    17: "dropout_amount",
    20: "learning_rate",
    24: "batch_size",
    26: "optimizer",
    28: "epochs",
}
NAMES = {10: "DigitsDataset", 12: "CharacterModel", 14: "mlp", 27: "adam"}


def wrong_sweeps() -> list[Wrong]:
    source = random.Random(0)
    lines = SWEEP.splitlines()

    def changed(what: str, line: int, new: str, suggested: str | None = None) -> Wrong:
        return Wrong(what, "\n".join([*lines[: line - 1], new, *lines[line:]]) + "\n", line, suggested)

    found = []
    for table, times in ((KEYS, 6), (ARGUMENTS, 7), (NAMES, 3)):
        for line, word in table.items():
            for _ in range(times):
                wrong = misspelt(word + "x" if len(word) < 4 else word, source)
                new = lines[line - 1].replace(word, wrong)
                found.append(changed(f"{wrong} for {word}", line, new, word if table is not NAMES else None))
    for line, template, values in WRONG_VALUES:
        found += [changed(template.strip().format(value), line, template.format(value)) for value in values]
    indented = [line for line, text in enumerate(lines, start=1) if text.startswith("    ")]
    found += [changed(f"tab in line {line}", line, "\t" + lines[line - 1].strip()) for line in indented]
    found += [Wrong(f"extra {extra}", f"{SWEEP}{extra}\n", len(lines) + 1) for extra in EXTRA_LINES]
    return found


def wrong_specs() -> list[tuple[str, dict[str, object], str]]:
    """(what, spec, a word the message must hold)."""
    source = random.Random(1)
    found: list[tuple[str, dict[str, object], str]] = []
    for key in SPEC:
        for _ in range(5):
            wrong = misspelt(key, source)
            found.append(
                (f"key {wrong}", {wrong if name == key else name: value for name, value in SPEC.items()}, f"'{key}'")
            )
    for part in ("dataset", "model", "network"):
        for _ in range(5):
            wrong = misspelt(SPEC[part] + ("xx" if part == "network" else ""), source)  # type: ignore[operator]
            found.append((f"{part} {wrong}", {**SPEC, part: wrong}, part))
    for group in ("dataset_args", "network_args", "train_args"):
        arguments: dict[str, object] = SPEC[group]  # type: ignore[assignment]
        for argument in arguments:
            for _ in range(4):
                wrong = misspelt(argument, source)
                spec: dict[str, object] = {
                    **SPEC,
                    group: {**{k: v for k, v in arguments.items() if k != argument}, wrong: arguments[argument]},
                }
                found.append((f"{group}.{wrong}", spec, f"'{argument}'"))
            wrong_values: list[object] = ["much", [1], {}, -1, True]
            if argument == "optimizer":
                wrong_values = [3, [1], {}, "addam", True]
            found.extend(
                (f"{group}.{argument}={value!r}", {**SPEC, group: {**arguments, argument: value}}, argument)
                for value in wrong_values
            )
    return found


SWEEPS, SPECS = wrong_sweeps(), wrong_specs()


def test_the_corpus_is_large_and_what_it_is_made_from_is_right(tmp_path):
    assert len(SWEEPS) + len(SPECS) >= 300
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    assert read_plan(tmp_path / "sweep.yaml").check()
    assert assemble(ExperimentSpec.parse(SPEC))


@pytest.mark.parametrize("wrong", SWEEPS, ids=[wrong.what for wrong in SWEEPS])
def test_a_wrong_sweep_is_refused_with_its_line_and_a_suggestion(wrong, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "RANDOM_POINTS_CHECKED", 20)  # what is wrong is so at every one
    file = tmp_path / "sweep.yaml"
    file.write_text(wrong.text)
    with pytest.raises(SpecError) as caught:
        read_plan(file).check()
    message = str(caught.value)
    assert str(file) in message
    # A range is named where it begins; a key that is gone, where it should be.
    near = {f"line {line}" for line in range(max(1, wrong.line - 4), wrong.line + 1)} | {"line 1:"}
    assert any(place in message for place in near), message
    if wrong.suggested is not None:
        assert f"'{wrong.suggested}'" in message or f"`{wrong.suggested}`" in message, message


@pytest.mark.parametrize(("what", "spec", "word"), SPECS, ids=[what for what, _, _ in SPECS])
def test_a_wrong_spec_is_refused_in_words(what, spec, word):
    with pytest.raises(SpecError) as caught:
        assemble(ExperimentSpec.parse(spec))
    assert word in str(caught.value)
