"""Sweeps as rows of a table: their current state, or damaged with the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from text_recognizer.errors import RunError
from training.sweeps.folder import SweepFolder, all_sweeps
from training.sweeps.history import History
from training.sweeps.trials import read_trials

_TELLING = ("over", "suggest", "start", "retry")


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """The current state of a sweep.

    Args:
        state: "damaged" if nothing else is known.
        trials: started trials, and their total if known.
        finished: finished or early-terminated trials.
        damage: unreadable parts of the folder; the rest is valid.
    """

    name: str
    method: str | None = None
    state: str
    trials: str | int | None = None
    finished: int | None = None
    failed: int | None = None
    metric: str | None = None
    best: float | None = None
    created: float | None = None
    damage: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


COLUMNS = tuple(one.name for one in fields(SweepRow) if one.name != "damage")


def read_sweeps() -> list[SweepRow]:
    """All sweeps, newest first; damaged ones last."""
    return [read_sweep(folder) for folder in all_sweeps()]


def read_sweep(folder: SweepFolder) -> SweepRow:
    """One sweep; damaged if it cannot be read."""
    try:
        return _row(folder)
    except RunError as error:
        return SweepRow(name=folder.name, state="damaged", damage=str(error))


def _row(folder: SweepFolder) -> SweepRow:
    facts, journal = folder.facts(), folder.journal()
    history = History(facts.metric, read_trials(journal.rows, folder.path))
    count, states, best = len(history.trials), history.counts(), history.best()
    value = None if best is None else history.value(best)
    # Last: damage of reports is known once they were read.
    damages = (journal.damage and f"trials.jsonl: {journal.damage}", history.reports.damage)
    return SweepRow(
        name=folder.name,
        method=facts.method,
        state=sweep_state(folder, journal.rows),
        trials=count if facts.size is None else f"{count}/{facts.size}",
        finished=states["finished"] + states["stopped"],
        failed=states["failed"],
        metric=history.metric.name,
        best=value,
        created=facts.created,
        damage="; ".join(damage for damage in damages if damage) or None,
    )


def sweep_state(folder: SweepFolder, events: Sequence[Mapping[str, Any]]) -> str:
    """W&B's states for a sweep that is driven or has a wish; else its remaining state."""
    asked = {"pause": "paused", "cancel": "cancelled"}.get(folder.wish)
    if folder.holder() is not None:
        return asked or "running"
    latest: Mapping[str, Any] = next((event for event in reversed(events) if event["event"] in _TELLING), {})
    if latest.get("complete") and latest.get("wish", folder.wish) != "cancel":  # earlier versions did not record it
        return "finished"
    return asked or "interrupted"
