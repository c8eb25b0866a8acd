"""Sweeps on the stand-in of the W&B backend: what agents are told, and what is suggested."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.tests.wandb import wandb_backend_sweeps as sweeps
from training.tests.wandb.backend_sweep_steps import GRID, agent_of, begin, commands, end, register
from training.tests.wandb.wandb_backend import WandbBackend, running_backend
from training.tests.wandb.wandb_backend_records import RefusalError, UnknownRequestError
from training.tests.wandb.wandb_backend_suggestions import suggest_grid, suggest_ours


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path) as backend:
        yield backend


def test_a_grid_is_handed_out_point_by_point_and_then_agents_leave(backend):
    sweep = register(backend, GRID)
    agent, other = agent_of(backend, sweep), agent_of(backend, sweep)
    assert sweep.state == "PENDING"
    assert commands(backend, agent) == ["run s001r001"]
    assert agent.commands[0]["args"] == {"a": {"value": 1}, "b": {"value": "x"}}
    assert agent.commands[0]["program"] == "p.py"
    assert sweep.state == "RUNNING"
    assert commands(backend, agent, "s001r001") == []
    assert commands(backend, other) == ["run s001r002"]
    end(backend, "s001r001", exit_code=1)
    assert commands(backend, agent) == ["exit"]  # a failed run stands for its point
    assert sweep.state == "RUNNING"
    end(backend, "s001r002")
    assert commands(backend, other) == ["exit"]
    assert sweep.state == "FINISHED"
    assert [run.state for run in sweep.runs] == ["failed", "finished"]
    with pytest.raises(RefusalError, match="sweep sweep001 is not running"):
        agent_of(backend, sweep)


def test_preempted_runs_come_before_new_ones(backend):
    sweep = register(backend, GRID)
    agent = agent_of(backend, sweep)
    commands(backend, agent)
    end(backend, "s001r001", exit_code=143, preempting=True)
    assert backend.runs["s001r001"].state == "preempted"
    assert commands(backend, agent) == ["resume s001r001"]
    end(backend, "s001r001")
    assert commands(backend, agent) == ["run s001r002"]
    begin(backend, "s001r002").receive({"preempting": True})
    assert commands(backend, agent) == []  # it may have to be resumed
    backend.lose_contact("s001r002")
    assert commands(backend, agent) == ["resume s001r002"]
    begin(backend, "s001r002")
    backend.runs["s001r002"].preempting = False
    backend.lose_contact("s001r002")
    assert backend.runs["s001r002"].state == "crashed"
    assert commands(backend, agent) == ["exit"]


def test_a_suggestion_that_no_run_takes_up_is_given_again(backend):
    agent = agent_of(backend, register(backend, GRID))
    assert commands(backend, agent) == ["run s001r001"]
    assert commands(backend, agent) == ["run s001r002"]
    backend.store.lease_s = 0
    assert commands(backend, agent) == ["run s001r001"]


@pytest.mark.parametrize(
    "limit",
    ["run_cap: 1\n", "metric: {name: loss, target: 0.5}\n", "metric: {name: loss, goal: maximize, target: 0.1}\n"],
)
def test_the_cap_and_the_target_end_a_sweep(backend, limit):
    agent = agent_of(backend, register(backend, GRID.replace("metric: {name: loss}\n", "") + limit))
    assert commands(backend, agent) == ["run s001r001"]
    begin(backend, "s001r001", 0.9, 0.4)
    end(backend, "s001r001")
    assert commands(backend, agent) == ["exit"]


def test_a_target_not_reached_ends_nothing(backend):
    agent = agent_of(backend, register(backend, GRID.replace("name: loss", "name: loss, target: 0.1")))
    commands(backend, agent)
    begin(backend, "s001r001", 0.9, 0.4)
    assert commands(backend, agent) == ["run s001r002"]


def test_each_state_of_a_sweep_has_its_commands(backend):
    sweep = register(backend, GRID)
    agent = agent_of(backend, sweep)

    def become(state: str) -> None:
        sweeps.upsert(backend.store, {"id": sweep.key, "state": state})

    with pytest.raises(RefusalError, match="cannot go from PENDING to PAUSED"):
        become("PAUSED")
    assert commands(backend, agent) == ["run s001r001"]
    become("PAUSED")
    assert commands(backend, agent, "s001r001") == commands(backend, agent) == []
    become("RUNNING")
    become("FINISHED")
    assert commands(backend, agent, "s001r001") == []  # it may end in peace
    become("RUNNING")
    become("CANCELED")
    assert commands(backend, agent, "s001r001") == ["exit"]
    with pytest.raises(RefusalError, match="cannot go from CANCELED to FINISHED"):
        become("FINISHED")
    with pytest.raises(RefusalError, match="has started"):
        sweeps.upsert(backend.store, {"id": sweep.key, "config": GRID})


def test_early_termination_stops_running_runs_only(backend):
    agent = agent_of(backend, register(backend, GRID))
    backend.store.early_terminate = lambda sweep: [run.id for run in sweep.runs if run.values("loss")[-1:] > [1]]
    commands(backend, agent)
    begin(backend, "s001r001", 0.5)
    assert commands(backend, agent, "s001r001") == []
    begin(backend, "s001r001", 0.5, 2.0)
    assert commands(backend, agent, "s001r001") == ["stop s001r001"]
    assert commands(backend, agent) == ["run s001r002"]
    backend.stop_by_agent("s001r002")
    assert commands(backend, agent, "s001r002") == ["stop s001r002"]


def test_an_agent_of_a_sweep_that_is_gone_hears_404(backend):
    sweep = register(backend, GRID)
    agent = agent_of(backend, sweep)
    del backend.sweeps[sweep.id]
    with pytest.raises(RefusalError, match="not found") as caught:
        commands(backend, agent)
    assert caught.value.status == 404


# What is suggested


NESTED = """
method: grid
parameters:
  b: {parameters: {z: {values: [true, 1]}, y: {min: 1, max: 2}}}
  A: {value: [0]}
"""


def test_a_grid_is_in_the_order_of_names_the_last_fastest(backend):
    sweep = register(backend, NESTED)
    expected = [{"A": [0], "b": {"y": y, "z": z}} for y in (1, 2) for z in (True, 1)]
    for suggest in (suggest_grid, suggest_ours(seed=0)):
        sweep.runs.clear()
        suggested = []
        while (point := suggest(sweep)) is not None:
            suggested.append(point)
            run = backend.store.make_run(backend.store.make_project(None, "swept"), f"r{len(suggested)}", "finished")
            run.raw_config = {name: {"value": value} for name, value in {**point, "other": 1}.items()}
            sweep.runs.append(run)
        assert json.dumps(suggested) == json.dumps(expected)


def test_random_suggestions_are_ours_with_a_seed_or_none(backend):
    sweep = register(backend, "method: random\nparameters: {a: {min: 0.0, max: 1.0}}\n")
    with pytest.raises(UnknownRequestError, match="method random"):
        suggest_grid(sweep)
    backend.store.suggest = suggest_ours(seed=5)
    agent = agent_of(backend, sweep)
    assert commands(backend, agent) == ["run s001r001"]
    assert commands(backend, agent) == ["run s001r002"]
    values = [run.config["a"] for run in sweep.runs]
    assert len(set(values)) == 2
    assert all(0 < value < 1 for value in values)
    sweep.runs.clear()
    assert suggest_ours(seed=5)(sweep) == {"a": values[0]}


def test_prior_runs_stand_for_their_points(backend):
    store = backend.store
    for value in (1, 5):
        run = store.make_run(store.make_project(None, "swept"), f"old{value}", "finished")
        run.raw_config = {"a": {"value": value}, "b": {"value": "x"}}
    filters = json.dumps({"$or": [{"name": "old1"}, {"name": "old5"}]})
    sweep = sweeps.upsert(store, {"projectName": "swept", "config": GRID, "priorRunsFilters": filters})["sweep"]
    assert [run.id for run in sweep.prior_runs] == ["old1", "old5"]
    assert store.suggest(sweep) == {"a": 2, "b": "x"}
