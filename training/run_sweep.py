#!/usr/bin/env python3
"""run_sweep: runs many experiments, from a W&B sweep YAML or a JSON list, resumable at any time.

run_sweep training/sweep_digits.yaml --jobs 2
"""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # python training/run_sweep.py
    from training.terminal.own_environment import enter_own_environment

    enter_own_environment()

import argparse
from collections.abc import Sequence
from typing import cast

from text_recognizer.errors import DataError, SpecError
from text_recognizer.experiment import Experiment
from text_recognizer.keras_import import require_tensorflow
from text_recognizer.wording import shell_word
from training import run_experiment
from training.devices.gpu_manager import GPUManager
from training.executors.base import Executor, Setting
from training.runs.environment import users_modules
from training.sweeps.folder import SweepFolder
from training.sweeps.judge import stopping_rule
from training.sweeps.options import LOCAL_ONLY, checked_plan, device_request, executor_of, flags_given, parser
from training.sweeps.plan import SweepPlan
from training.sweeps.plan_file import say_left_out
from training.sweeps.search.base import Search, make_search
from training.sweeps.wandb.agent_trial import AgentTrial
from training.terminal.command_line import guarded, say, split_overrides
from training.tracking.choice import chosen_trackers


def main(argv: Sequence[str] | None = None) -> int:
    return guarded(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str], prog: str = "run_sweep") -> int:
    """Runs one sweep from its command line; errors are raised."""
    if AgentTrial.from_environ() is not None or "--schema" in argv:
        return run_experiment.run(argv)
    first = next((argument for argument in argv if not argument.startswith("-")), None)
    if first is None or "=" in first or not Path(first).suffix:
        rest, overrides = split_overrides(argv)
        if overrides and not any(not argument.startswith("-") for argument in rest):
            # As W&B's agent starts `program: training/run_sweep.py`, but without an agent.
            return run_experiment.run(argv)
    arguments = parser(prog).parse_args(argv)
    plan = checked_plan(arguments)
    for warning in plan.warnings():
        say(f"warning: {warning}")
    say_left_out(plan)
    experiments = plan.check(sizes=arguments.dry_run)
    if any(one.train_args.distribution == "multi_worker" for one in experiments):
        raise SpecError("train_args.distribution 'multi_worker' is for run_experiment, not for sweeps. Leave it out.")
    if doubt := plan.doubt(experiments):
        say(f"warning: {doubt}")
    cap = arguments.run_cap
    if cap is None and plan.config is not None:
        cap = plan.config.run_cap
    if arguments.engine == "wandb" and not arguments.dry_run:
        return _serve(plan, experiments, arguments)
    search = make_search(plan, arguments.allow_repeats)
    _check_search(search, plan, arguments, cap)
    rule = search.stopping_rule or stopping_rule(plan, arguments.stopping_rule)
    if arguments.dry_run:
        from training.sweeps.results.dry_run import show_plan

        return show_plan(plan, experiments, search, rule, cap, arguments.jobs or 1)
    return _drive(plan, experiments, search, arguments, cap)


def _check_search(search: Search, plan: SweepPlan, arguments: argparse.Namespace, cap: int | None) -> None:
    if flags := flags_given(arguments, search.excludes):
        raise SpecError(f"{flags} cannot be combined with --search {arguments.search}.")
    if cap is not None and search.size is not None and cap < search.size:
        raise SpecError(f"--search {arguments.search} needs {search.size} trials. Raise the run cap (--run-cap {cap}).")
    if search.stopping_rule is not None and plan.config is not None and plan.config.early_terminate is not None:
        say(f"the file's early_terminate has no effect with --search {arguments.search}, which ends trials itself")


def _serve(plan: SweepPlan, experiments: Sequence[Experiment], arguments: argparse.Namespace) -> int:
    from training.sweeps.wandb.registration import registered
    from training.sweeps.wandb.serve import check_servable, serve

    if flags := flags_given(arguments, LOCAL_ONLY):
        raise SpecError(
            f"{flags} cannot be combined with --engine wandb: W&B does what the file says. Write it there "
            f"(run_cap, values of parameters), or leave --engine out."
        )
    if arguments.wandb in ("offline", "disabled"):
        raise SpecError(f"--wandb {arguments.wandb} and --engine wandb cannot be combined.")
    request = device_request(arguments)
    check_servable(plan, request)
    folder = SweepFolder.of(plan)
    _check_resumable(folder, registered(folder) is not None, arguments)
    _begin(plan, folder, experiments, arguments)
    if _is_held_back(folder):
        return 0
    return serve(plan, folder, arguments.file, arguments.jobs, request)


def _drive(
    plan: SweepPlan,
    experiments: Sequence[Experiment],
    search: Search,
    arguments: argparse.Namespace,
    run_cap: int | None,
) -> int:
    from training.sweeps.limits import Limits
    from training.sweeps.results.display import SweepDisplay
    from training.sweeps.results.ending import finish_sweep
    from training.sweeps.reuse import Reusable
    from training.sweeps.sweep import Sweep

    folder = SweepFolder.of(plan)
    _check_resumable(folder, folder.exists(), arguments)
    request = device_request(arguments)
    setting = Setting(
        jobs=arguments.jobs,
        request=request,
        trackers=chosen_trackers(arguments.track, arguments.wandb, say),
        modules=users_modules(experiment.spec for experiment in experiments),
        fresh=arguments.isolation == "exec",
        folder=folder.path,
    )
    limits = Limits(
        run_cap=run_cap,
        trial_timeout_s=arguments.trial_timeout,
        retries=arguments.retries,
        retry_failed=arguments.retry_failed,
        stopping_rule=arguments.stopping_rule,
    )
    if folder.exists():
        folder.create_or_check(plan)
    if _is_held_back(folder):
        return 0
    # Before the data is prepared, so that missing packages and refusals of a cluster are reported at once.
    require_tensorflow()
    executor = cast(Executor, executor_of(arguments).make(setting=setting))
    try:
        _begin(plan, folder, experiments, arguments)
    except BaseException:
        executor.close()
        raise
    print(f"sweep       {plan.in_words(run_cap)}")
    print(f"folder      {folder.path}, {executor.capacity_in_words()}", flush=True)
    reusable = Reusable(on_gpu=GPUManager().capacity(request) is not None) if arguments.reuse else None
    with SweepDisplay() as display:
        sweep = Sweep(plan, search, executor, folder, limits, display, reusable)
        result = sweep.run()
    return finish_sweep(plan, folder, sweep.history, result, "retry_failed" not in search.excludes)


def _check_resumable(folder: SweepFolder, begun: bool, arguments: argparse.Namespace) -> None:
    if arguments.resume and not begun:
        raise SpecError(f"there is no sweep to resume in {folder.path}. Leave --resume out to start it.")


def _begin(
    plan: SweepPlan, folder: SweepFolder, experiments: Sequence[Experiment], arguments: argparse.Namespace
) -> None:
    for experiment in {experiment.dataset.name: experiment for experiment in experiments}.values():
        try:
            experiment.dataset.prepare()  # once, and before any device is held
        except DataError as error:
            if not arguments.skip_invalid:
                raise
            say(f"warning: {error}")  # its own trials will fail, but not the others
    folder.create_or_check(plan)


def _is_held_back(folder: SweepFolder) -> bool:
    if folder.wish != "run":
        print(f"it was asked to {folder.wish}. Go on with: text-recognizer sweeps resume {shell_word(folder.name)}")
    return folder.wish != "run"


if __name__ == "__main__":
    sys.exit(main())
