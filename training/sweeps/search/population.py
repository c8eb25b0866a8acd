"""Population based training: the worst trials are replaced by copies of the best, with other training arguments."""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt

from text_recognizer.errors import SpecError
from text_recognizer.experiment import assemble
from text_recognizer.models.bundle import WEIGHTS, Bundle
from text_recognizer.wording import received
from training.runs.contents import snapshot_of
from training.sweeps.file.config import Metric
from training.sweeps.file.parameter import Parameter, Point, look_up
from training.sweeps.file.parameters import random_share
from training.sweeps.plan import COPIED, COPIED_KEYS, SweepPlan
from training.sweeps.search.base import PastTrial, Suggestion
from training.sweeps.search.random import RandomSearch
from training.sweeps.stopping_rules.base import Decision, StoppingRule

# Keys of train_args that must be equal for all members, so that their epochs are comparable.
_IN_COMMON = ("epochs", "minutes", "steps_per_epoch", "early_stopping", "initial_weights", "monitor")


@dataclass(frozen=True)
class Copy:
    """How a trial came to be.

    Args:
        parent: the trial whose weights it starts from.
        replaces: the trial that it replaces.
        epoch: epoch of the population at which it starts.
    """

    parent: int
    replaces: int
    epoch: int


@dataclass(frozen=True)
class Verdict(Decision):
    """The result of a round for a trial.

    Args:
        band: the epoch of the round; only for a trial that it ends: whether a run pauses is known when it starts.
        rank: rank among all compared trials, from 1.
    """

    stop: bool = False
    pause: bool = False
    band: int | None = None
    epoch: int = 0
    rank: int = 0
    of: int = 0
    value: float | None = None
    copy: int | None = None
    parent: int | None = None

    @property
    def facts(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ("stop", "pause", "band")}

    def explain(self, metric: str) -> str:
        value = "no value" if self.value is None else f"{metric} {self.value:g}"
        place = f"with {value} it is number {self.rank} of {self.of} at epoch {self.epoch}"
        if self.stop:
            return f"replaced: {place}; trial {self.copy} continues as a copy of trial {self.parent}"
        return f"continues: {place}" if self.rank else "continues"


class Rounds(StoppingRule):
    """The trials of a population, and which of them end, as a function of the snapshots of their runs.

    After every `interval` epochs all members pause. Once all have paused, the worst `exchanged` of them end, and for
    each a copy of one of the best starts. Trials are numbered in that order, so that a search with the same trials
    makes the same rounds. A trial that has ended without a snapshot of the round is the worst.
    """

    def __init__(self, size: int, interval: int, epochs: int, exchanged: int, seed: int, metric: Metric) -> None:
        self.copies: dict[int, Copy] = {}
        self.begun = dict.fromkeys(range(1, size + 1), 0)  # the epoch of the population at which each trial starts
        self.trials: dict[int, PastTrial] = {}
        self._size = size
        self._boundaries = list(range(interval, epochs, interval))
        self._exchanged = exchanged
        self._seed = seed
        self._metric = metric
        self._members = list(self.begun)
        self._verdicts: dict[int, Verdict] = {}  # of the latest round of each trial
        self._numbers: dict[str, int] = {}
        self._read: dict[Path, float | None] = {}  # the value of each snapshot, which never changes

    def tell(self, trial: PastTrial) -> None:
        self.trials[trial.number] = trial
        self._numbers |= {folder.name: trial.number for folder in trial.folders}

    def advance(self) -> None:
        """Makes the rounds for which all members are ready."""
        while self._boundaries and all(map(self._has_arrived, self._members)):
            self._make_round(self._boundaries.pop(0))

    def pause_after(self, number: int) -> int | None:
        """The trial's own epoch at which it pauses next."""
        self.advance()
        return self._boundaries[0] - self.begun[number] if self._boundaries else None

    def decide(self, run_id: str) -> Verdict:
        self.advance()
        number = self._numbers[run_id]
        waits = bool(self._boundaries) and number in self._members and self._value_at(number, self._boundaries[0])[0]
        return Verdict(pause=True) if waits else self._verdicts.get(number, Verdict())

    def report(self, run_id: str, values: Any) -> None: ...  # values come from snapshots

    def forget(self, run_id: str) -> None: ...

    def describe(self) -> str:
        return (
            f"population: after epochs {', '.join(map(str, self._boundaries[:6]))}, the worst {self._exchanged} of "
            f"{self._size} are replaced by copies of the best {self._exchanged}"
        )

    def _has_arrived(self, number: int) -> bool:
        trial = self.trials.get(number)
        if trial is None:
            return False
        return trial.state in ("finished", "stopped", "failed") or self._value_at(number, self._boundaries[0])[0]

    def _make_round(self, epoch: int) -> None:
        values = {number: self._value_at(number, epoch)[1] for number in self._members}
        ranked = sorted(
            values, key=lambda number: (math.inf if (v := values[number]) is None else self._metric.sign * v, number)
        )
        self._verdicts |= {
            number: Verdict(epoch=epoch, rank=rank, of=len(ranked), value=values[number])
            for rank, number in enumerate(ranked, start=1)
        }
        best = [number for number in ranked[: self._exchanged] if values[number] is not None]
        for worst in ranked[-self._exchanged :] if best else ():
            number = self._size + len(self.copies) + 1
            parent = best[int(random_share(self._seed, number, "population/parent") * len(best))]
            self.copies[number] = Copy(parent, worst, epoch)
            self.begun[number] = epoch
            self._members[self._members.index(worst)] = number
            self._verdicts[worst] = replace(self._verdicts[worst], stop=True, band=epoch, copy=number, parent=parent)
        self._prune(values.keys() - {copy.parent for copy in self.copies.values() if copy.epoch == epoch}, epoch)

    def _prune(self, numbers: Iterable[int], epoch: int) -> None:
        """Deletes weights that no copy starts from. Their values stay, so that another driver decides the same."""
        for number in numbers:
            for folder in self.trials[number].folders[:1]:
                with suppress(OSError):
                    (snapshot_of(folder, epoch - self.begun[number]) / WEIGHTS).unlink(missing_ok=True)

    def _value_at(self, number: int, epoch: int) -> tuple[bool, float | None]:
        """Whether a trial has a snapshot of an epoch of the population, and its value."""
        trial = self.trials[number]
        folder = snapshot_of(trial.folders[0], epoch - self.begun[number]) if trial.folders else None
        if folder is not None and folder not in self._read and folder.exists():
            self._read[folder] = Bundle.read(folder).metrics.get(self._metric.name)
        return (True, self._read[folder]) if folder in self._read else (False, None)


class PopulationSearch(RandomSearch):
    """The worst trials are replaced by copies of the best ones: their weights, with other training arguments.

    The first `size` trials are those of a random search. A copy is a trial whose `train_args.initial_weights` are the
    parent's at that epoch; it trains for the remaining epochs, with a fresh optimizer and schedule. Each argument is
    drawn again with the probability `resample`; otherwise numbers are multiplied by 1 + `change` or 1 - `change`, and a
    listed value is replaced by the next or the previous one.

    Args:
        size: number of trials that train at the same time, or in turn if there are fewer devices.
        interval: epochs between two rounds.
        quantile: fraction replaced in a round, and fraction copied from.
        resample: probability that an argument of a copy is resampled.
        change: fraction by which a number that is not resampled grows or shrinks.
    Source: Jaderberg et al. (2017), "Population Based Training of Neural Networks".
    """

    excludes = ("stopping_rule", "seeds", "reuse", "retry_failed")

    def __init__(
        self,
        plan: SweepPlan,
        allow_repeats: bool = False,
        size: Annotated[int, Ge(2)] = 8,
        interval: Annotated[int, Ge(1)] = 1,
        quantile: Annotated[float, Gt(0), Le(0.5)] = 0.25,
        resample: Annotated[float, Ge(0), Le(1)] = 0.25,
        change: Annotated[float, Gt(0), Lt(1)] = 0.2,
    ) -> None:
        super().__init__(plan, allow_repeats)
        if len(plan.enqueued) > size:
            raise SpecError(f"search 'population': size must be at least {len(plan.enqueued)}, the enqueued points.")
        metric = _checked_metric(plan)
        self._epochs = _checked_epochs(plan, interval)
        self._resample = resample
        self._change = change
        exchanged = min(math.ceil(size * quantile), size // 2)
        self.size = size + exchanged * ((self._epochs - 1) // interval)
        self._first = size
        self.rounds = self.stopping_rule = Rounds(size, interval, self._epochs, exchanged, plan.seed, metric)

    def tell(self, trial: PastTrial) -> None:
        super().tell(trial)
        self.rounds.tell(trial)

    def pause_after(self, number: int) -> int | None:
        return self.rounds.pause_after(number)

    def suggest(self, number: int) -> Suggestion | None:
        if number <= self._first:
            seed = self.plan.seed
            drawn = super().suggest(number)  # None: fewer points than members
            return drawn or Suggestion(self.space.random_point(seed, number), {"random": {"seed": seed}})
        self.rounds.advance()
        copy = self.rounds.copies.get(number)
        return None if copy is None else self._copied(number, copy)

    def _copied(self, number: int, copy: Copy) -> Suggestion:
        parent, begun = self.rounds.trials[copy.parent], self.rounds.begun[copy.parent]
        before = self.space.values_of(parent.point)
        point: Point = self.space.point(lambda one: self._explored(one, look_up(parent.point, one.path), number))
        after = self.space.values_of(point)
        weights = str(snapshot_of(parent.folders[0], copy.epoch - begun).resolve())
        point[COPIED] = dict(zip(COPIED_KEYS, (weights, self._epochs - copy.epoch), strict=True))
        changed = {name: [before[name], after[name]] for name in after if after[name] != before[name]}
        return Suggestion(point, {"population": {**asdict(copy), "changed": changed}})

    def _explored(self, parameter: Parameter, value: Any, number: int) -> Any:
        def draw(what: str) -> float:
            return random_share(self.plan.seed, number, f"{parameter.name}/{what}")

        if draw("resample") < self._resample:
            return parameter.value_at(draw("value"))
        return parameter.near(value, 1 + self._change if draw("direction") < 0.5 else 1 - self._change)


def _checked_metric(plan: SweepPlan) -> Metric:
    """The metric of the population. Raises SpecError: there is none, or the space does not suit a population."""
    config = plan.config
    assert config is not None
    if plan.method == "grid":
        raise SpecError("method: grid tries every point once, a population draws its points. Set method: random.")
    names = [one.name for one in config.space.searchable]
    if fixed := [name for name in names if not _may_change(name)]:
        lines = ", ".join(str(config.line_of_parameter(name)) for name in fixed)
        raise SpecError(
            f"a population copies weights, so it can only vary seed and train_args.* other than "
            f"{', '.join(_IN_COMMON)}; give one value to {', '.join(fixed)} (line {lines})."
        )
    if plan.metric is None or plan.metric.name.startswith("test_"):
        came = "none" if plan.metric is None else plan.metric.name
        raise SpecError(
            f"a population is compared by a metric of every epoch, like metric: {{name: val_loss, goal: minimize}}. "
            f"The file's metric: {came}."
        )
    return plan.metric


def _checked_epochs(plan: SweepPlan, interval: int) -> int:
    """The epochs of every member. Raises SpecError: the length is not in epochs, or too short for a round."""
    assert plan.config is not None
    args = assemble(plan.specs(plan.config.space.random_point(plan.seed, 1))[0]).train_args
    for name in ("minutes", "early_stopping"):
        if getattr(args, name) is not None:
            raise SpecError(f"train_args.{name} must be null: a population compares members epoch by epoch.")
    if interval >= args.epochs:
        raise SpecError(
            f"search 'population': interval must be below train_args.epochs, {args.epochs}. {received(interval)}"
        )
    return args.epochs


def _may_change(name: str) -> bool:
    group, _, rest = name.partition(".")
    return name == "seed" or (group == "train_args" and bool(rest) and rest.split(".")[0] not in _IN_COMMON)
