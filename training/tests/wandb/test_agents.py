"""Agents on simulated GPUs: one a device, never two on one. A short program stands in for W&B's agent."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from training.devices.requests import DeviceRequest
from training.runs.run import Run
from training.sweeps.folder import Wish
from training.sweeps.wandb import agents
from training.sweeps.wandb.agents import RESTARTS, Agents
from training.tests.devices.simulated_nvml import needs_compiler, simulated_machine
from training.tracking.wandb.sweep_link import SweepLink

REPOSITORY = Path(__file__).resolve().parents[3]
# An agent starts a program that inherits its lease. The first agent dies and leaves the program behind.
AGENT = """
import os, subprocess, sys, time
folder = sys.argv[1]
first = False
if MORTAL:
    try:  # two agents start at the same moment: only one of them can make the file
        os.close(os.open(os.path.join(folder, "died"), os.O_CREAT | os.O_EXCL))
        first = True
    except FileExistsError:
        pass
child = subprocess.Popen([sys.executable, os.path.join(folder, "program.py"), "3600" if first else "0.3"])
if first:
    journal = os.path.join(folder, "journal.jsonl")
    while not (os.path.exists(journal) and f'"process": {child.pid},' in open(journal).read()):
        time.sleep(0.01)
    os._exit(1)
child.wait()
"""
PROGRAM = """
import json, os, pathlib, sys, time
from training.devices.gpu_manager import Lease
from training.files.processes import is_running
lease = Lease.inherited()
journal = pathlib.Path(__file__).with_name("journal.jsonl")
devices = [device.uuid for device in lease.devices] if lease else None
earlier = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
ended = {event["process"] for event in earlier if event["event"] == "end"}
shared = [e["process"] for e in earlier if e["devices"] == devices and e["process"] not in ended]
def note(event, **more):
    with open(journal, "a") as file:
        file.write(json.dumps({"event": event, "devices": devices, "process": os.getpid(), **more}) + "\\n")
note("start", beside=[process for process in shared if is_running(process, None)])
time.sleep(float(sys.argv[1]))
note("end")
"""


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(agents, "is_over", lambda _: False)
    with simulated_machine(monkeypatch) as simulated:
        yield simulated.with_gpus(2)


def serve(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: Any,
    count: int,
    agent: str,
    wish: Callable[[], Wish] = lambda: "run",
    look: Callable[[Agents], None] = lambda _: None,
) -> tuple[Agents, list[dict[str, Any]]]:
    (folder / "agent.py").write_text(agent)
    (folder / "program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("LD_LIBRARY_PATH", machine.environ["LD_LIBRARY_PATH"])
    monkeypatch.setattr(agents, "wandb_command", lambda: [sys.executable, str(folder / "agent.py"), str(folder)])
    served = Agents(SweepLink("abc"), folder, count, DeviceRequest.parse("any"))
    served.serve(lambda: look(served), wish)
    journal = folder / "journal.jsonl"
    return served, [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


@needs_compiler
def test_no_two_agents_are_ever_on_one_device(tmp_path, monkeypatch, machine):
    _, events = serve(tmp_path, monkeypatch, machine, 3, AGENT.replace("MORTAL", "True"))
    starts = [event for event in events if event["event"] == "start"]
    assert [event["beside"] for event in starts] == [[]] * 4  # three agents, one of them twice
    assert {device for event in starts for device in event["devices"]} == {"GPU-00000000", "GPU-00000001"}
    assert len(events) == 4 + 3  # what the dead agent left behind did not come to its end
    assert list(machine.locks.glob("*.lease")) == []


@needs_compiler
def test_an_agent_whose_gpu_has_broken_ends_and_frees_it(tmp_path, monkeypatch, machine):
    def look(served: Agents) -> None:
        if (tmp_path / "journal.jsonl").exists():
            served.broken_devices.add("GPU-00000000")

    served, events = serve(
        tmp_path, monkeypatch, machine, 1, AGENT.replace("MORTAL", "False").replace("0.3", "3600"), look=look
    )
    assert served.broken == 1
    assert [event["event"] for event in events] == ["start"]
    assert list(machine.locks.glob("*.lease")) == []


def test_wandb_hears_of_each_wish_once_and_a_refusal_ends_no_run(tmp_path, monkeypatch, capsys):
    told = []

    def steer(link: SweepLink, wish: str) -> None:
        told.append((link.path, wish))
        if wish == "stop":
            raise RunError("W&B did not stop the sweep")

    monkeypatch.setattr(agents, "steer", steer)
    served = Agents(SweepLink("abc"), tmp_path, 1, DeviceRequest(0))
    wishes: list[Wish] = ["run", "pause", "pause", "run", "stop", "stop", "cancel"]
    for wish in wishes:
        served._obey(wish)
    assert told == [("abc", wish) for wish in ("pause", "run", "stop", "cancel")]
    assert "warning: W&B did not stop the sweep" in capsys.readouterr().err


@needs_compiler
def test_an_agent_that_always_breaks_down_is_given_up(tmp_path, monkeypatch, machine):
    count = tmp_path / "count"
    agent = f"print('sweep abc is not running')\nopen({str(count)!r}, 'a').write('x')\nraise SystemExit(1)\n"
    served, _ = serve(tmp_path, monkeypatch, machine, 1, agent)
    assert len(count.read_text()) == 1 + RESTARTS  # W&B is asked, whatever an agent says
    assert served.broken == 1


@needs_compiler
def test_an_agent_that_fails_because_the_sweep_is_over_is_not_followed_by_another(tmp_path, monkeypatch, machine):
    monkeypatch.setattr(agents, "is_over", lambda sweep: sweep.id == "abc")
    count = tmp_path / "count"
    served, _ = serve(tmp_path, monkeypatch, machine, 1, f"open({str(count)!r}, 'a').write('x')\nraise SystemExit(1)\n")
    assert (count.read_text(), served.broken) == ("x", 0)


# What it leaves behind ends when the agent is gone.
RUN = """
import os, pathlib, sys, time
from training.runs.run import Run
folder = pathlib.Path(sys.argv[1])
run = Run.open(folder / "one")
run.hold()
run.set_state("running")
agent = os.getppid()
(folder / "at work").touch()
while os.getppid() == agent:
    time.sleep(0.01)
time.sleep(0.5)
run.set_state("finished")
"""
STOPPED_AGENT = f"""
import os, subprocess, sys, time
folder = sys.argv[1]
run = {RUN!r}
with open(os.path.join(folder, "count"), "a") as count:
    count.write("x")
    if count.tell() > 1:
        sys.exit()
subprocess.Popen([sys.executable, "-c", run, folder])
time.sleep(3600)
"""


@needs_compiler
def test_an_agent_that_breaks_down_when_told_to_stop_is_not_followed_by_another(tmp_path, monkeypatch, machine, capfd):
    monkeypatch.setattr(agents, "steer", lambda *_: None)
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", experiment_group="g"), "one", tmp_path)
    folder = run.folder.parent
    served, _ = serve(
        folder, monkeypatch, machine, 1, STOPPED_AGENT, lambda: "stop" if (folder / "at work").exists() else "run"
    )
    assert (folder / "count").read_text() == "x"
    assert served.broken == 0
    assert "broke down" not in capfd.readouterr().err
    assert run.status().state == "finished"  # it was given the time
