"""Sweeps in the stand-in of the W&B backend: registering, the agents' heartbeats and commands, suggestions."""

import json
import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import yaml

from training.tests.wandb.wandb_backend_filters import matches
from training.tests.wandb.wandb_backend_records import (
    RefusalError,
    StoredAgent,
    StoredProject,
    StoredRun,
    StoredSweep,
    now,
    opaque,
)
from training.tests.wandb.wandb_backend_runs import page
from training.tests.wandb.wandb_backend_state import Store

Command = dict[str, Any]
OVER = ("FINISHED", "CANCELED")
# From which state each state may be asked for.
TRANSITIONS = {
    "RUNNING": ("RUNNING", "PENDING", "PAUSED", "FINISHED", "CANCELED"),
    "PAUSED": ("PAUSED", "RUNNING"),
    "FINISHED": ("PENDING", "RUNNING", "PAUSED"),
    "CANCELED": ("PENDING", "RUNNING", "PAUSED"),
}


def upsert(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    """Registers a sweep, or changes one."""
    warnings: Collection[str] = ()
    if values.get("config") is not None:
        config = yaml.safe_load(values["config"])
        if not isinstance(config, dict):
            raise RefusalError(400, "the configuration of a sweep must be a mapping")
        warnings = store.validate(config)
    if values.get("id"):
        sweep = store.sweep_by_key(values["id"])
        _change_config(sweep, values)
    else:
        sweep = _register(store, values)
    for field in ("description", "controller", "scheduler"):
        if values.get(field) is not None:
            setattr(sweep, field, values[field])
    sweep.display_name = values.get("displayName") or sweep.display_name
    if values.get("priorRunsFilters"):
        project = store.make_project(sweep.entity, sweep.project)
        filters = json.loads(values["priorRunsFilters"])
        sweep.prior_runs = [run for run in store.runs_of(project) if matches(run, filters)]
    if values.get("state"):
        _change_state(sweep, values["state"])
    return {"sweep": sweep, "configValidationWarnings": list(warnings)}


def _register(store: Store, values: Mapping[str, Any]) -> StoredSweep:
    if values.get("config") is None:
        raise RefusalError(400, "a new sweep needs a configuration")
    project = store.make_project(values.get("entityName"), values.get("projectName"))
    sweep = StoredSweep(f"sweep{len(store.sweeps) + 1:03d}", project.entity, project.name, values["config"])
    sweep.display_name = sweep.config.get("name")
    store.sweeps[sweep.id] = sweep
    return sweep


def _change_config(sweep: StoredSweep, values: Mapping[str, Any]) -> None:
    if values.get("config") is None:
        return
    if sweep.state != "PENDING":
        raise RefusalError(400, f"sweep {sweep.id} has started: its configuration cannot be changed")
    sweep.text = values["config"]


def _change_state(sweep: StoredSweep, state: str) -> None:
    if sweep.state not in TRANSITIONS.get(state, ()):
        raise RefusalError(400, f"sweep {sweep.id} cannot go from {sweep.state} to {state}")
    sweep.state = state
    if state == "RUNNING":
        sweep.exhausted = False


# Agents


def create_agent(store: Store, values: Mapping[str, Any]) -> StoredAgent:
    sweep = store.sweeps.get(values["sweep"])
    if sweep is None:
        raise RefusalError(404, f"sweep {values['sweep']} not found")
    if sweep.state in OVER:
        raise RefusalError(400, f"sweep {sweep.id} is not running")
    agent = StoredAgent(opaque("Agent", len(store.agents) + 1), values["host"], sweep)
    store.agents[agent.id] = agent
    sweep.agents.append(agent)
    return agent


def heartbeat(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    agent = store.agents.get(values["id"])
    if agent is None or agent.sweep.id not in store.sweeps:
        raise RefusalError(404, "agent or sweep not found")
    agent.heartbeat_at = now()
    agent.running = [run_id for run_id, running in json.loads(values.get("runState") or "{}").items() if running]
    commands = _commands(store, agent)
    agent.commands += commands
    settle(agent.sweep)
    return {"agent": agent, "commands": json.dumps(commands)}


def _commands(store: Store, agent: StoredAgent) -> list[Command]:
    sweep = agent.sweep
    if sweep.state == "CANCELED":
        return [{"type": "exit"}]
    to_stop = set(store.early_terminate(sweep)) | {run.id for run in sweep.runs if run.agent_stop_requested}
    stops = [{"type": "stop", "run_id": run_id} for run_id in agent.running if run_id in to_stop]
    if agent.running:
        return stops
    if sweep.state == "FINISHED":
        return [{"type": "exit"}]
    if sweep.state == "PAUSED":
        return []
    sweep.state = "RUNNING"
    command = _next_run(store, sweep)
    if command is not None:
        return [command]
    # A run that is about to be preempted will need an agent once more.
    waits = any(run.state == "running" and run.preempting for run in sweep.runs)
    return [] if waits else [{"type": "exit"}]


def _next_run(store: Store, sweep: StoredSweep) -> Command | None:
    """Preempted runs first, then runs whose agent never started them, then a new one."""
    for run in sweep.runs:
        if run.state == "preempted":
            run.state, run.leased_at = "pending", time.monotonic()
            return _command("resume", sweep, run)
    for run in sweep.runs:
        if run.state == "pending" and time.monotonic() > run.leased_at + store.lease_s:
            run.leased_at = time.monotonic()
            return _command("run", sweep, run)
    point = None if _is_complete(sweep) else store.suggest(sweep)
    if point is None:
        sweep.exhausted = True
        return None
    return _command("run", sweep, _suggested_run(store, sweep, dict(point)))


def _suggested_run(store: Store, sweep: StoredSweep, point: dict[str, Any]) -> StoredRun:
    project = store.make_project(sweep.entity, sweep.project)
    run = store.make_run(project, f"s{sweep.id[5:]}r{len(sweep.runs) + 1:03d}", "pending")
    run.sweep, run.suggestion, run.leased_at = sweep.id, point, time.monotonic()
    run.raw_config = {name: {"value": value} for name, value in point.items()}
    sweep.runs.append(run)
    return run


def _command(kind: str, sweep: StoredSweep, run: StoredRun) -> Command:
    arguments = {name: {"value": value} for name, value in (run.suggestion or {}).items()}
    return {"type": kind, "run_id": run.id, "program": sweep.config.get("program"), "args": arguments, "logs": []}


def _is_complete(sweep: StoredSweep) -> bool:
    """Whether the cap on runs or the metric's target is reached."""
    config = sweep.config
    if len(sweep.runs) >= config.get("run_cap", math.inf):
        return True
    metric = config.get("metric", {})
    if "target" not in metric:
        return False
    sign = -1 if metric.get("goal") == "maximize" else 1
    return any(sign * value <= sign * metric["target"] for run in sweep.runs for value in run.values(metric["name"]))


def settle(sweep: StoredSweep) -> None:
    """An exhausted sweep is finished once none of its runs is under way."""
    under_way = any(run.state in ("pending", "running", "preempted") for run in sweep.runs)
    if sweep.exhausted and not under_way and sweep.state in ("PENDING", "RUNNING"):
        sweep.state = "FINISHED"


def _find(store: Store, project: StoredProject, name: str) -> StoredSweep | None:
    sweep = store.sweeps.get(name)
    return sweep if sweep is not None and (sweep.entity, sweep.project) == (project.entity, project.name) else None


def _all(store: Store, project: StoredProject) -> list[StoredSweep]:
    return [sweep for sweep in store.sweeps.values() if _find(store, project, sweep.id) is sweep]


def _best_loss(sweep: StoredSweep) -> float | None:
    metric = sweep.config.get("metric", {})
    values = [value for run in sweep.runs for value in run.values(metric.get("name", "")) if isinstance(value, float)]
    best = max if metric.get("goal") == "maximize" else min
    return best(values, default=None)


def _agent_runs(store: Store, agent: StoredAgent) -> list[StoredRun]:
    told = {command["run_id"] for command in agent.commands if command["type"] in ("run", "resume")}
    return [run for run in agent.sweep.runs if run.id in told]


def _agent(sweep: StoredSweep, name: str) -> StoredAgent | None:
    return next((agent for agent in sweep.agents if agent.id == name), None)


RESOLVERS: dict[str, Callable[[Any, dict[str, Any], Store], Any]] = {
    "Mutation.upsertSweep": lambda _, values, store: upsert(store, values),
    "Mutation.createAgent": lambda _, values, store: {"agent": create_agent(store, values)},
    "Mutation.agentHeartbeat": lambda _, values, store: heartbeat(store, values),
    "Project.sweep": lambda project, arguments, store: _find(store, project, arguments["sweepName"]),
    "Project.sweeps": lambda project, arguments, store: page(_all(store, project), arguments),
    "Project.totalSweeps": lambda project, arguments, store: len(_all(store, project)),
    "Sweep.id": lambda sweep, arguments, store: sweep.key,
    "Sweep.name": lambda sweep, arguments, store: sweep.id,
    "Sweep.method": lambda sweep, arguments, store: sweep.config.get("method"),
    "Sweep.config": lambda sweep, arguments, store: sweep.text,
    "Sweep.controllerRunName": lambda sweep, arguments, store: None,
    "Sweep.project": lambda sweep, arguments, store: store.project(sweep.entity, sweep.project),
    "Sweep.updatedAt": lambda sweep, arguments, store: sweep.created_at,
    "Sweep.heartbeatAt": lambda sweep, arguments, store: max(
        (agent.heartbeat_at for agent in sweep.agents), default=None
    ),
    "Sweep.earlyStopJobRunning": lambda sweep, arguments, store: False,
    "Sweep.bestLoss": lambda sweep, arguments, store: _best_loss(sweep),
    "Sweep.runCount": lambda sweep, arguments, store: len(sweep.runs),
    "Sweep.runCountExpected": lambda sweep, arguments, store: None,
    "Sweep.runs": lambda sweep, arguments, store: page(sweep.runs, arguments),
    "Sweep.agent": lambda sweep, arguments, store: _agent(sweep, arguments["agentName"]),
    "Sweep.agents": lambda sweep, arguments, store: page(sweep.agents, arguments),
    "Agent.name": lambda agent, arguments, store: agent.id,
    "Agent.state": lambda agent, arguments, store: "RUNNING",
    "Agent.totalRuns": lambda agent, arguments, store: len(_agent_runs(store, agent)),
    "Agent.runs": lambda agent, arguments, store: page(_agent_runs(store, agent), arguments),
}
