"""Steps of sweeps on the stand-in of the W&B backend, without W&B's own programs."""

import json
from typing import Any

from training.tests.wandb import wandb_backend_sweeps as sweeps
from training.tests.wandb.wandb_backend import WandbBackend
from training.tests.wandb.wandb_backend_records import StoredAgent, StoredRun, StoredSweep


def register(backend: WandbBackend, text: str) -> StoredSweep:
    sweep = sweeps.upsert(backend.store, {"projectName": "swept", "config": text})["sweep"]
    assert isinstance(sweep, StoredSweep)
    return sweep


def agent_of(backend: WandbBackend, sweep: StoredSweep) -> StoredAgent:
    return sweeps.create_agent(backend.store, {"host": "here", "sweep": sweep.id})


def commands(backend: WandbBackend, agent: StoredAgent, *running: str) -> list[str]:
    """What one heartbeat is answered: "run s001r001" and the like."""
    values = {"id": agent.id, "runState": json.dumps(dict.fromkeys(running, True))}
    answer = json.loads(sweeps.heartbeat(backend.store, values)["commands"])
    return [" ".join(filter(None, (command["type"], command.get("run_id")))) for command in answer]


def begin(backend: WandbBackend, run_id: str, *losses: float) -> StoredRun:
    """A run as its program makes it known."""
    run = backend.runs[run_id]
    run.state = "running"
    lines = [json.dumps({"_step": step, "loss": loss}) for step, loss in enumerate(losses)]
    run.receive({"files": {"wandb-history.jsonl": {"offset": 0, "content": lines}}})
    return run


def end(backend: WandbBackend, run_id: str, exit_code: int = 0, **more: Any) -> None:
    run = begin(backend, run_id)
    run.receive({"complete": True, "exitcode": exit_code, **more})


GRID = "program: p.py\nmethod: grid\nmetric: {name: loss}\nparameters: {a: {values: [1, 2]}, b: {value: x}}\n"
