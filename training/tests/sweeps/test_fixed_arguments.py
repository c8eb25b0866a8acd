"""What a sweep that no agent serves takes from `command`."""

from typing import Any

import pytest

from training.sweeps.file.command import fixed_arguments
from training.sweeps.file.config import SweepConfig

OWN = "training/run_experiment.py"


@pytest.mark.parametrize(
    ("program", "command", "overrides"),
    [
        (OWN, None, {}),
        (None, ["run_experiment", "${args}"], {}),
        (OWN, ["${env}", "${interpreter}", "${program}", "--seed=3", "${args}"], {"seed": 3}),
        (OWN, ["${program}", "${args}", "--seed", "3", "++network=mlp"], {"seed": 3, "network": "mlp"}),
        ("/home/me/lab/training/run_sweep.py", ["python3", "-u", "${program}", "seed=3"], {"seed": 3}),
        (None, ["python", "-m", "training.run_experiment", "--train_args.augmentation=${envvar:KIND}"],
         {"train_args.augmentation": "affine"}),
        ("/opt/bin/run_sweep", ["${program}", "--train_args.restart", "${args}"], {"train_args.restart": True}),
    ],
)  # fmt: skip
def test_overrides_are_followed_and_nothing_is_said(program: Any, command: Any, overrides: dict[str, Any]) -> None:
    found = fixed_arguments(program, command, {"KIND": "affine"})
    assert (found.overrides, found.spec, found.warnings) == (overrides, None, ())


def test_a_spec_is_taken_as_the_program_takes_it() -> None:
    assert fixed_arguments(OWN, ["${program}", "spec.json", "${args}"]).spec == "spec.json"
    assert fixed_arguments(OWN, ["${program}", '{"seed": 1}']).spec == '{"seed": 1}'
    assert fixed_arguments("mine.py", ["${program}", "spec.json"]).spec is None
    assert fixed_arguments(OWN, ["${program}", "--overrides", "more.json"]).spec is None


@pytest.mark.parametrize(
    ("program", "command", "named"),
    [
        ("my_own_train.py", None, ["start 'my_own_train.py'"]),
        ("elsewhere/run_experiment.py", None, ["start 'elsewhere/run_experiment.py'"]),
        (None, ["bash", "train.sh", "${args}"], ["start 'bash'", "follow 'train.sh' of"]),
        (None, ["python", "${args}"], []),
        (OWN, ["conda", "run", "python", "${program}"], ["follow 'conda', 'run' of"]),
        (OWN, ["${program}", "--gpu=none", "--epochs=3", "${args}"], ["follow '--gpu=none', '--epochs=3' of"]),
        (OWN, ["${program}", "--bs=${batch_size}"], []),  # it has a warning already
    ],
)
def test_what_only_an_agent_follows_is_named(program: Any, command: Any, named: list[str]) -> None:
    warnings = fixed_arguments(program, command).warnings
    assert len(warnings) == len(named)
    for warning, part in zip(warnings, named, strict=True):
        assert warning.startswith(f"only W&B's agents {part}")


def test_a_foreign_program_still_passes_overrides_on() -> None:
    found = fixed_arguments("my_own_train.py", ["python3.9", "${program}", "--network=mlp", "${args}"])
    assert found.overrides == {"network": "mlp"}
    assert len(found.warnings) == 2


def test_the_sweep_warns_with_the_line() -> None:
    text = "method: grid\nparameters: {seed: {values: [1, 2]}}\nprogram: mine.py\n"
    (warning,) = SweepConfig.from_yaml(text).warnings
    assert warning.startswith("line 3: only W&B's agents start 'mine.py'; without them every trial is a run of")
    (warning,) = SweepConfig.from_yaml(text + "command: ['${program}', -x]\n").warnings[1:]
    assert warning.startswith("line 4: only W&B's agents follow '-x' of the command;")
