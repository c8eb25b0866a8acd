"""Registration: makes a sweep known to W&B by W&B's own command, so that the file means there what it means to W&B."""

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

# In the folder of a sweep: where it is at W&B.
REGISTERED_FILE = "wandb.json"
TIMEOUT_S = 120
_DONE: dict[Wish, str] = {"run": "resumed", "pause": "paused", "stop": "stopped", "cancel": "cancelled"}
# Not violations and warnings, but what is printed here too, in other words.
_SAID_HERE = re.compile(r"Creating sweep|View sweep at|Run sweep agent|Loaded credentials|^\s*$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def register(folder: SweepFolder, done: Sequence[Run] = (), file: Path | None = None) -> SweepLink:
    """Registers a sweep's file and notes in its folder where it is. Raises RunError: no answer, refused, or known.

    Args:
        done: runs that W&B has; they stand for the points they tried.
        file: the copy in the folder unless given.
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
    """Where a sweep is at W&B, if it is."""
    return SweepLink.of(read_object_if_any(folder.path / REGISTERED_FILE))


def steer(link: SweepLink, wish: Wish) -> None:
    """Tells W&B and its agents what was asked of a sweep. Raises RunError: no answer, or the sweep is over there.

    Paused or stopped, it gives out no more runs, and running ones go on; cancelled, agents kill theirs.
    """
    action = "resume" if wish == "run" else wish
    said = _wandb("sweep", f"--{action}", link.path)
    if "Done." not in said:
        raise RunError(f"W&B did not {action} the sweep {link.path}: {_reason(said)}")
    say(f"the sweep {link.path} is {_DONE[wish]} at W&B")


def is_over(link: SweepLink) -> bool:
    """Whether W&B has ended a sweep, as far as it answers. Another process asks, so that this one need not import."""
    asking = "import sys, wandb; print(wandb.Api().sweep(sys.argv[1]).state)"
    try:
        return not {"FINISHED", "CANCELED"}.isdisjoint(_output([sys.executable, "-c", asking, link.path]).splitlines())
    except RunError:
        return False


def folder_of_registered(sweep_id: str, root: Path) -> str | None:
    """The name of the folder of a sweep that was registered from here."""
    for path in sorted(root.glob(f"*/{REGISTERED_FILE}")):
        if (link := registered(SweepFolder(path.parent))) is not None and link.id == sweep_id:
            return path.parent.name
    return None


def wandb_command() -> list[str]:
    """W&B's command line of this environment, whatever is on the PATH."""
    return [sys.executable, "-m", "wandb"]


def without_sweep() -> dict[str, str]:
    """The environment without the trial of an agent that this process may serve itself."""
    return {name: value for name, value in os.environ.items() if name not in ("WANDB_SWEEP_ID", "WANDB_RUN_ID")}


def _wandb(*arguments: str) -> str:
    return _output([*wandb_command(), *arguments])


def _output(command: Sequence[str]) -> str:
    """What a command prints. Raises RunError: it takes too long."""
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
    return " ".join(line.removeprefix("wandb: ").strip() for line in lines[-3:]) or "it said nothing"
