"""text-recognizer sync: sends offline or unsent runs and sweeps to W&B."""

import argparse
from dataclasses import replace

from text_recognizer.errors import RunError, SpecError
from text_recognizer.trust import TrustCode
from text_recognizer.wording import counted
from training.commands.base import Command
from training.runs.contents import is_made
from training.runs.find import find_run
from training.runs.run import AT_WORK, Run
from training.runs.run_table import RunRow, read_rows
from training.sweeps.folder import SweepFolder, find_sweep
from training.terminal.parser import POSITIVE
from training.tracking.sync import Sent, sync_runs
from training.tracking.wandb.mode import has_key
from training.tracking.wandb.sweep_link import SweepLink, swept_values

EXAMPLES = """examples:
  text-recognizer sync last                                   one run
  text-recognizer sync sweep_digits                           the runs of a sweep, in the order of its trials
  text-recognizer sync --all                                  everything that W&B does not have yet
  text-recognizer sync sweep_digits --register                … and register the sweep with these runs done
  text-recognizer sync sweep_digits --attach me/digits/abc12  … as runs of a sweep that is registered already

Nothing is sent twice; run an interrupted sync again to finish it.
"""


class Sync(Command):
    """Send offline runs and sweeps to W&B."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        add = parser.add_argument
        named = "a sweep: folder or name; a run: folder, id, start of an id, or last"
        add("names", nargs="*", metavar="RUN|SWEEP", help=named)
        add("--all", action="store_true", help="all runs, except those made with --wandb disabled")
        target = parser.add_mutually_exclusive_group()
        target.add_argument("--attach", metavar="SWEEP_ID", help="send them as runs of this sweep at W&B")
        target.add_argument("--register", action="store_true", help="then register the sweep with these runs")
        add("--again", action="store_true", help="also check runs that were already sent")
        add("--timeout", type=POSITIVE, default=600, metavar="S", help="seconds for one run (default: 600)")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_sync)


def _sync(arguments: argparse.Namespace) -> int:
    if bool(arguments.names) == arguments.all:
        raise SpecError("name runs or sweeps to send, or give --all. See text-recognizer sync --help.")
    sweeps, runs = ([], _everything()) if arguments.all else _named(arguments.names)
    if arguments.register and len(sweeps) != 1:
        raise SpecError("--register takes the name of one sweep.")
    if not has_key():
        raise RunError("no W&B key found. Run `wandb login`, or set WANDB_API_KEY; WANDB_BASE_URL names a server.")
    if arguments.attach is not None:
        _attach(runs, SweepLink.parse(arguments.attach))
    done: list[Sent] = []
    for sent in sync_runs(runs, arguments.timeout, arguments.again or arguments.attach is not None):
        done.append(sent)
        print(f"{sent.outcome:<12} {sent.run.id}  {sent.why}".rstrip(), flush=True)
    _sum_up(done, len(runs))
    if arguments.register:
        _register(sweeps[0], done)
    return 1 if any(sent.outcome == "failed" for sent in done) else 0


def _register(sweep: SweepFolder, done: list[Sent]) -> None:
    """Registers a sweep with its sent runs at W&B. Raises RunError: W&B lacks a run, and would try its point again."""
    lacking = [sent for sent in done if sent.outcome in ("failed", "damaged", "skipped")]
    missing = [sent for sent in lacking if sent.outcome != "skipped" or sent.run.attempts()]
    if missing:
        listed = ", ".join(f"{sent.run.id} ({sent.why})" for sent in missing[:3])
        raise RunError(
            f"the sweep {sweep.name} was not registered: W&B does not have {counted(len(missing), 'run')} of it and "
            f"would suggest their points again: {listed}. Run the same command when they can be sent."
        )
    from training.sweeps.wandb.registration import register

    register(sweep, [sent.run for sent in done if sent.outcome in ("sent", "nothing new")])


def _named(names: list[str]) -> tuple[list[SweepFolder], list[Run]]:
    sweeps: list[SweepFolder] = []
    runs: list[Run] = []
    for name in names:
        try:
            sweep = find_sweep(name)
        except RunError:  # none of this name
            runs.append(find_run(name))
        else:
            sweeps.append(sweep)
            runs += runs_of(sweep)
    return sweeps, runs


def runs_of(sweep: SweepFolder) -> list[Run]:
    """The runs of a sweep in the order of its trials, including those reused from elsewhere."""
    folders = [run.folder for trial in sweep.trials().values() for run in trial.runs]
    return [Run(folder) for folder in folders if is_made(folder)]


def _everything() -> list[Run]:
    """Everything that can be sent, and damaged runs, which are reported."""
    rows = sorted(read_rows(), key=lambda row: (row.value("created") or 0.0, row.folder.name))
    return [Run(row.folder) for row in rows if not row.status or _is_sendable(row)]


def _is_sendable(row: RunRow) -> bool:
    if row.state in AT_WORK:
        return False
    try:
        attempts = Run(row.folder).attempts()
    except RunError:
        return True  # damaged
    return bool(attempts) and attempts[-1].get("wandb") != "disabled"


def _attach(runs: list[Run], sweep: SweepLink) -> None:
    for run in runs:
        link = SweepLink.read(run)
        if link is not None and link.id != sweep.id:
            raise RunError(f"the run {run.id} is of the W&B sweep {link.path} already; it cannot join {sweep.path}.")
    for run in runs:
        replace(sweep, values=swept_values(run)).write(run)


def _sum_up(done: list[Sent], total: int) -> None:
    count = {outcome: sum(sent.outcome == outcome for sent in done) for outcome in ("sent", "nothing new")}
    print(f"{counted(count['sent'], 'run')} sent, {count['nothing new']} there already, {total} in all")
    if done and done[-1].outcome == "refused":
        missing = total - count["sent"] - count["nothing new"]
        raise RunError(
            f"W&B refused: {done[-1].why}. {counted(missing, 'run')} not sent. "
            "Run the same command once that is resolved."
        )
