"""Searches, stopping rules and executors of a user that return the wrong thing."""

import re
import types
from typing import Any

import pytest

from text_recognizer.errors import SpecError
from training.runs.run import Run
from training.sweeps.judge import Judge
from training.sweeps.search.base import Suggestion
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, begin_trial, by_layer_size, sweep_of

GRID = SPACE.format(method="grid")


@pytest.mark.parametrize(
    ("suggested", "problem"),
    [
        ({"network_args.layer_size": 8}, "a Suggestion, of a point and a reason that are both dicts, or None."),
        (Suggestion([8]), "a Suggestion, of a point and a reason that are both dicts, or None."),  # type: ignore[arg-type]
        (
            Suggestion({"network_args.layer_sizes": 8, "network_args.num_layers": 1}),
            "a Suggestion with a value for each of: network_args.layer_size, network_args.num_layers.",
        ),
    ],
)
def test_a_suggestion_that_is_none_is_refused(tmp_path, suggested, problem):
    sweep, _ = sweep_of(GRID, tmp_path, MadeUpExecutor(by_layer_size))
    sweep._search = types.SimpleNamespace(ask=lambda number: suggested)  # type: ignore[assignment]
    expected = re.escape(f"search 'SimpleNamespace': ask() must return {problem} Received: ")
    with pytest.raises(SpecError, match=expected):
        begin_trial(sweep)


def test_a_decision_or_job_that_is_none_is_refused(tmp_path):
    class Jobless(MadeUpExecutor):
        def submit(self, run: Run, **launch: Any) -> Any:
            return run

    sweep, _ = sweep_of(GRID, tmp_path, Jobless(by_layer_size))
    with pytest.raises(SpecError, match=r"executor 'Jobless': submit\(\) must return a Job. Received: "):
        sweep.run()
    rule: Any = types.SimpleNamespace(decide=lambda run_id: True)
    trial = sweep.trials[1]
    with pytest.raises(SpecError, match=r"decide\(\) must return a Decision. Received: True."):
        Judge(rule, "val_loss", sweep.folder).ends(trial, trial.runs[0])
