"""A dry run: shows what a sweep would run."""

import json
from collections.abc import Sequence

from text_recognizer.experiment import Experiment
from text_recognizer.wording import counted
from training.runs.run_table import read_rows
from training.sweeps.plan import SweepPlan
from training.sweeps.search.base import PastTrial, Search, asked
from training.sweeps.stopping_rules.base import StoppingRule


def show_plan(
    plan: SweepPlan,
    experiments: Sequence[Experiment],
    search: Search,
    rule: StoppingRule | None,
    run_cap: int | None,
    jobs: int,
) -> int:
    """Prints the plan, its first points and the estimated time of the checked experiments; returns the exit code."""
    print(f"sweep       {plan.in_words(run_cap)}")
    print(f"checked     {counted(len(experiments), 'point')}, all valid")
    if rule is not None:
        print(f"stopping    {rule.describe()}")
    print(f"base        {json.dumps(plan.base)}")
    print("first points")
    for number in range(1, min(number for number in (plan.size, run_cap, 10) if number is not None) + 1):
        suggestion = asked(search, plan, number)
        if suggestion is None:
            break
        print(f"  {number:>3}  {json.dumps(plan.swept(suggestion.point), default=str)}")
        search.tell(PastTrial(number, suggestion.point, "running"))
    print(f"time        {_estimated_time(plan, experiments, run_cap, jobs)}")
    return 0


def _estimated_time(plan: SweepPlan, experiments: Sequence[Experiment], run_cap: int | None, jobs: int) -> str:
    """Estimates the time from the median epoch of earlier runs with the same dataset and network."""
    spec = experiments[0].spec
    per_epoch = []
    for row in read_rows():
        times, epochs = row.status.get("times", {}), row.status.get("epoch", 0)
        same = row.spec.get("dataset") == spec.dataset and row.spec.get("network") == spec.network
        if same and row.state == "finished" and epochs and "ended" in times and "started" in times:
            per_epoch.append((times["ended"] - times["started"]) / epochs)
    trials = min((number for number in (plan.size, run_cap) if number is not None), default=None)
    epoch_s = sorted(per_epoch)[len(per_epoch) // 2] if per_epoch else None
    planned = [experiment.train_args for experiment in experiments]
    if epoch_s is None and any(args.minutes is None for args in planned):
        return "unknown: no earlier run of this dataset and network to judge by"
    if trials is None:
        return "unlimited: give --run-cap"
    trial_s = [(epoch_s or 0.0) * args.epochs if args.minutes is None else 60 * args.minutes for args in planned]
    seconds = sum(trial_s) / len(trial_s) * trials * plan.seeds / jobs
    return f"about {seconds / 60:.0f} min" if seconds > 90 else f"about {seconds:.0f} s"
