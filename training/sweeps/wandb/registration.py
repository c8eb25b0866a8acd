"""Registration of a sweep at W&B with W&B's own command, so that the file has exactly W&B's semantics."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from text_recognizer.errors import RunError
from training.files.json_objects import read_object_if_any
from training.runs.run import Run
from training.runs.sent import read_sent
from training.sweeps.folder import SweepFolder, Wish
from training.terminal.command_line import say
from training.tracking.wandb.sweep_link import SweepLink

# File in the folder of a sweep with its location at W&B.
REGISTERED_FILE = "wandb.json"
TIMEOUT_S = 120
_DONE: dict[Wish, str] = {"run": "resumed", "pause": "paused", "stop": "stopped", "cancel": "cancelled"}
# Not violations and warnings, but messages that are also printed here, in other words.
_SAID_HERE = re.compile(r"Creating sweep|View sweep at|Run sweep agent|Loaded credentials|^\s*$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def register(folder: SweepFolder, done: Sequence[Run] = (), file: Path | None = None) -> SweepLink:
    """Registers a sweep's file and records its location in its folder. Raises RunError: no response, refused, or known.

    Args:
        done: runs at W&B, whose points are done.
        file: by default the copy in the folder.
    """
    known = registered(folder)
    if known is not None:
        raise RunError(f"the sweep {folder.name} is registered already. Send runs to it: --attach {known.path}")
    file = file or folder.path / "sweep.yaml"
    if not file.exists():
        raise RunError(f"the sweep {folder.name} is a list of experiments; W&B registers sweep YAML only.")
    place = read_sent(done[-1].folder) if done else {}
    options = [option for run in done for option in ("-R", run.id)]
    options += [f"--{key}={place[key]}" for key in ("project", "entity") if place.get(key)]
    output = _wandb("sweep", *options, str(file))
    said = _COLOURS.sub("", output)
    found = re.search(r"sweep agent with: wandb agent '?([^\s']+)", said)
    if found is None:
        raise RunError(f"W&B did not register the sweep: {_reason(said)}")
    for line in said.splitlines():
        if not _SAID_HERE.search(line):
            say(re.sub(r"^wandb: (Creating .*|WARNING )?", "", line))
    link = SweepLink.parse(found[1])
    url = re.search(r"View sweep at: (\S+)", said)
    facts = {"id": link.id, "project": link.project, "entity": link.entity, "url": url[1] if url else None}
    folder.write_text(REGISTERED_FILE, json.dumps(facts, indent=2) + "\n", durable=True)
    print(f"registered  {link.path}" + (f"   {facts['url']}" if url else ""))
    print(f"serve it    wandb agent {link.path}", flush=True)
    return link


def registered(folder: SweepFolder) -> SweepLink | None:
    """The location of a sweep at W&B, if it is registered."""
    return SweepLink.of(read_object_if_any(folder.path / REGISTERED_FILE))


def steer(link: SweepLink, wish: Wish) -> None:
    """Sends a wish for a sweep to W&B and its agents. Raises RunError: no response, or the sweep has ended there.

    If paused or stopped, no more runs are assigned, and running ones continue; if cancelled, agents kill theirs.
    """
    action = "resume" if wish == "run" else wish
    said = _wandb("sweep", f"--{action}", link.path)
    if "Done." not in said:
        raise RunError(f"W&B did not {action} the sweep {link.path}: {_reason(said)}")
    say(f"the sweep {link.path} is {_DONE[wish]} at W&B")


def is_over(link: SweepLink) -> bool:
    """Whether W&B reports a sweep as ended. Uses another process, so that this one need not import wandb."""
    asking = "import sys, wandb; print(wandb.Api().sweep(sys.argv[1]).state)"
    try:
        return not {"FINISHED", "CANCELED"}.isdisjoint(_output([sys.executable, "-c", asking, link.path]).splitlines())
    except RunError:
        return False


def folder_of_registered(sweep_id: str, root: Path) -> str | None:
    """The folder name of a sweep that was registered from here."""
    for path in sorted(root.glob(f"*/{REGISTERED_FILE}")):
        if (link := registered(SweepFolder(path.parent))) is not None and link.id == sweep_id:
            return path.parent.name
    return None


def wandb_command() -> list[str]:
    """W&B's command line of this environment, regardless of the PATH."""
    return [sys.executable, "-m", "wandb"]


def without_sweep() -> dict[str, str]:
    """The environment without the variables of an agent's trial that this process may be running in."""
    return {name: value for name, value in os.environ.items() if name not in ("WANDB_SWEEP_ID", "WANDB_RUN_ID")}


def _wandb(*arguments: str) -> str:
    return _output([*wandb_command(), *arguments])


def _output(command: Sequence[str]) -> str:
    """The output of a command. Raises RunError: it takes too long."""
    try:
        done = subprocess.run(
            command,
            env=without_sweep(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        late = f"W&B did not answer within {TIMEOUT_S} s. Is it reachable? WANDB_BASE_URL sets the server."
        raise RunError(late) from None
    return done.stdout


def _reason(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    told = lines[-1:] if "Traceback (most recent call last):" in lines else lines[-3:]
    return " ".join(line.removeprefix("wandb: ").strip() for line in told) or "no output"
