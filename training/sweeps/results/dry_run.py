"""A dry run: what a sweep would run, without running it."""

import json
from collections.abc import Sequence

from text_recognizer.experiment import Experiment
from text_recognizer.train_args import TrainArgs
from text_recognizer.wording import counted
from training.runs.run_table import read_rows
from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PastTrial, Search
from training.sweeps.stopping_rules.base import StoppingRule


def show_plan(
    plan: SweepPlan,
    experiments: Sequence[Experiment],
    search: Search,
    rule: StoppingRule | None,
    run_cap: int | None,
    jobs: int,
) -> int:
    """Prints the plan, its first points and how long it will take; the exit code.

    Args:
        experiments: those that were checked.
    """
    print(f"sweep       {plan.in_words()}")
    if run_cap is not None:
        print(f"run cap     {run_cap}")
    print(f"checked     {counted(len(experiments), 'point')}, all valid")
    if rule is not None:
        print(f"stopping    {rule.describe()}")
    print(f"base        {json.dumps(plan.base)}")
    print("first points")
    for number in range(1, min(number for number in (plan.size, run_cap, 10) if number is not None) + 1):
        suggestion = search.ask(number)
        if suggestion is None:
            break
        print(f"  {number:>3}  {json.dumps(plan.swept(suggestion.point), default=str)}")
        search.tell(PastTrial(number, suggestion.point, "running"))
    print(f"time        {_estimated_time(plan, experiments, run_cap, jobs)}")
    return 0


def _estimated_time(plan: SweepPlan, experiments: Sequence[Experiment], run_cap: int | None, jobs: int) -> str:
    """From earlier runs of the same dataset and network: the median time of their epochs."""
    spec = experiments[0].spec
    per_epoch = []
    for row in read_rows():
        times, epochs = row.status.get("times", {}), row.status.get("epoch", 0)
        same = row.spec.get("dataset") == spec.dataset and row.spec.get("network") == spec.network
        if same and row.state == "finished" and epochs and "ended" in times and "started" in times:
            per_epoch.append((times["ended"] - times["started"]) / epochs)
    trials = min((number for number in (plan.size, run_cap) if number is not None), default=None)
    epoch_s = sorted(per_epoch)[len(per_epoch) // 2] if per_epoch else None
    trial_s = [_trial_seconds(experiment.train_args, epoch_s) for experiment in experiments]
    if None in trial_s:
        return "unknown: no earlier run of this dataset and network to judge by"
    if trials is None:
        return "unlimited: give --run-cap"
    seconds = sum(filter(None, trial_s)) / len(trial_s) * trials * plan.seeds / jobs
    return f"about {seconds / 60:.0f} min" if seconds > 90 else f"about {seconds:.0f} s"


def _trial_seconds(args: TrainArgs, epoch_s: float | None) -> float | None:
    if args.minutes is not None:
        return 60 * args.minutes
    return None if epoch_s is None else epoch_s * args.epochs
