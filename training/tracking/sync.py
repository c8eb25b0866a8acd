"""Sync: sends run folders to W&B later, each by its own mirror, as if the run had been online."""

import signal
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from text_recognizer.errors import RunError
from training.runs.run import ENDED, Run
from training.runs.sent import read_sent, synced
from training.tracking.mirror import mirror_command, read_state

Outcome = Literal["sent", "nothing new", "skipped", "failed", "refused", "damaged"]
START_TIMEOUT_S = 20  # short, as a user waits
# Types of W&B's errors about the connection or the account, which would occur for the next run too.
_OF_ALL_RUNS = ("CommError", "AuthenticationError", "UsageError")


@dataclass(frozen=True)
class Sent:
    """The outcome for a run: "refused" if for a reason that holds for all, or "damaged"; why, or the run's address."""

    run: Run
    outcome: Outcome
    why: str


def sync_runs(runs: Iterable[Run], deadline_s: int, again: bool = False) -> Iterator[Sent]:
    """Sends runs one after the other; stops at the first that W&B refuses for a reason that holds for all.

    Nothing is sent twice: steps continue after the last one at W&B, and artifacts are identified by content. So an
    interrupted sync is completed by starting it again.

    Args:
        deadline_s: time limit per run.
        again: also check runs that were sent completely before.
    """
    for run in runs:
        try:
            sent = _sync(run, deadline_s, again)
        except RunError as error:
            sent = Sent(run, "damaged", str(error))
        yield sent
        if sent.outcome == "refused":
            return


def _sync(run: Run, deadline_s: int, again: bool) -> Sent:
    state = run.status().state
    if state not in (*ENDED, "died"):
        return Sent(run, "skipped", f"it is {state}: it can be sent when it has ended")
    if not run.attempts():
        return Sent(run, "skipped", "it never started")
    if not again and synced(run.folder, state) == "yes":
        return Sent(run, "nothing new", str(read_sent(run.folder).get("url", "")))
    return _send(run, deadline_s)


def _send(run: Run, deadline_s: int) -> Sent:
    folder = run.folder / "wandb"
    folder.mkdir(exist_ok=True)
    command = mirror_command(run, f"wandb:mode=online,start_timeout_s={START_TIMEOUT_S}", deadline_s)
    with open(folder / "mirror.log", "ab") as log:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode
    if code == 0:
        return Sent(run, "sent", str(read_sent(run.folder).get("url", "")))
    state = read_state(folder)
    if state.get("state") == "failed":
        outcome: Outcome = "refused" if state.get("error_type") in _OF_ALL_RUNS else "failed"
        return Sent(run, outcome, str(state["error"]))
    if code == -signal.SIGALRM:
        return Sent(run, "refused", f"the time is up: W&B did not take all of it within {deadline_s} s")
    lines = (folder / "mirror.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Sent(run, "failed", lines[-1] if lines else f"see {folder / 'mirror.log'}")
