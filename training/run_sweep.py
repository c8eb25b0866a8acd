#!/usr/bin/env python3
"""run_sweep: many experiments, from a W&B sweep YAML or a JSON list, on this machine, resumable at any moment.

run_sweep training/sweep_digits.yaml --jobs 2
"""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # python training/run_sweep.py

import argparse
import math
from collections.abc import Sequence
from typing import Any, cast

from text_recognizer.errors import DataError, SpecError
from text_recognizer.experiment import Experiment
from text_recognizer.named_part import NamedPart
from text_recognizer.spec import parse_json, parse_value, read_spec
from text_recognizer.trust import TrustCode
from text_recognizer.wording import counted, did_you_mean, received
from training.devices.requests import DeviceRequest
from training.run_experiment import run as run_one
from training.sweeps.failures import RetryPolicy
from training.sweeps.folder import SweepFolder
from training.sweeps.judge import stopping_rule
from training.sweeps.plan import Condition, SweepPlan
from training.sweeps.plan_file import read_plan, say_left_out
from training.sweeps.search.base import make_search
from training.sweeps.search.bayes import SAMPLERS
from training.sweeps.wandb.agent_trial import AgentTrial
from training.terminal.command_line import guarded, say, split_overrides
from training.terminal.parser import Parser
from training.tracking.choice import add_tracking_arguments, chosen_trackers

EXAMPLES = """examples:
  run_sweep training/sweep_digits.yaml --jobs 2        a W&B sweep, offline, two trials at once
  run_sweep training/experiments/sample.json           a list of experiments, one after the other or side by side
  run_sweep experiments.json --skip-invalid            those of a list that can be trained; the others are listed
  run_sweep training/sweep_digits.yaml --dry-run       what would run: points, bands of early termination, time
  run_sweep training/sweep_digits.yaml --engine wandb  register it at W&B, and serve it with an agent a device
  run_sweep sweep.yaml --base spec.json --set train_args.epochs=3 --run-cap 20

The same command goes on with a sweep that was interrupted, whatever interrupted it: finished trials are not run again,
the others continue from their checkpoints. See: text-recognizer sweeps --help
"""
# Flags without effect by kind of sweep, and with W&B's engine.
_LIST_HAS_NO = ("base", "enqueue", "when", "seed", "sampler", "allow_repeats", "search", "stopping_rule")
_NO_EFFECT = {
    "list": _LIST_HAS_NO,
    "grid": ("sampler", "allow_repeats", "skip_invalid"),
    "random": ("sampler", "skip_invalid"),
    "bayes": ("skip_invalid",),
}
_LOCAL_ONLY = (
    *("base", "set", "enqueue", "when", "seed", "seeds", "search", "sampler", "stopping_rule", "executor", "run_cap"),
    *("retries", "trial_timeout", "allow_repeats", "reuse", "retry_failed", "isolation"),
)


def main(argv: Sequence[str] | None = None) -> int:
    return guarded(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str], prog: str = "run_sweep") -> int:
    """One sweep from its command line; errors are raised."""
    if AgentTrial.from_environ() is not None:
        return run_one(argv, prog="run_experiment")
    first = next((argument for argument in argv if not argument.startswith("-")), None)
    if first is None or "=" in first or not Path(first).suffix:
        rest, overrides = split_overrides(argv)
        if overrides and not any(not argument.startswith("-") for argument in rest):
            # As W&B's agent starts `program: training/run_sweep.py`, but without an agent.
            return run_one(argv, prog="run_experiment")
    command = parser(prog)
    arguments, unknown = command.parse_known_args(argv)
    if unknown:
        known = [option for action in command._actions for option in action.option_strings]
        raise SpecError(
            f"unknown argument '{unknown[0]}'.{did_you_mean(unknown[0].partition('=')[0], known)} "
            f"Values for all trials are set with --set train_args.epochs=3. See run_sweep --help."
        )
    plan = checked_plan(arguments)
    for warning in plan.warnings():
        say(f"warning: {warning}")
    say_left_out(plan)
    experiments = plan.check()
    cap = arguments.run_cap
    if cap is None and plan.config is not None:
        cap = plan.config.run_cap
    if arguments.dry_run:
        from training.sweeps.results.dry_run import show_plan

        rule, search = stopping_rule(plan, arguments.stopping_rule), make_search(plan, arguments.allow_repeats)
        return show_plan(plan, experiments, search, rule, cap, arguments.jobs or 1)
    if arguments.engine == "wandb":
        return _serve(plan, experiments, arguments)
    return _drive(plan, experiments, arguments, cap)


def parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=prog,
        description="Run a W&B sweep YAML, or a JSON list of experiments, on this machine; offline by default.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="sweep YAML, or JSON with experiment_group and experiments")
    add("--name", help="of the sweep and its folder (default: its name in the file, else the file's)")
    add("--engine", choices=("local", "wandb"), default="local", help="owner of the sweep: this machine, or W&B")
    add("--jobs", type=int, metavar="N", help="trials at once (default: as devices or cores allow)")
    add("--gpus-per-trial", metavar="N", help="1, 2, … GPUs for each trial, or a share of one, like 0.5")
    add("--gpu", metavar="G", help="devices of each trial as run_experiment takes them; none: CPU")
    add("--gpu-memory", metavar="M", help="share GPUs: 6GiB for each trial, or 0.5 of one")
    add("--gpu-force", action="store_true", help="also take GPUs that programs outside the leases use")
    add("--executor", default="local", metavar="NAME[:ARGS]", help="where trials are executed (default: %(default)s)")
    add("--isolation", choices=("fork", "exec", "inline"), default="fork", help="a process for each trial, or none")
    add("--run-cap", type=int, metavar="N", help="at most so many trials (default: run_cap of the file)")
    add("--seed", type=int, default=0, metavar="N", help="of the search (default: 0)")
    add("--seeds", type=int, default=1, metavar="N", help="runs of each trial with different seeds; their mean counts")
    add("--search", metavar="NAME[:ARGS]", help="another search than the file's method; text-recognizer list searches")
    add("--stopping-rule", metavar="NAME[:ARGS]", help="another one than the file's early_terminate")
    add("--sampler", choices=SAMPLERS, default="tpe", help="of a bayes search (default: tpe)")
    add("--retries", type=int, default=1, metavar="N", help="of a trial that crashes (default: 1)")
    add("--trial-timeout", type=float, metavar="S", help="seconds an attempt at a trial may take")
    add("--base", metavar="SPEC", help="spec that the parameters override: inline JSON, a file, or -")
    add("--set", action="append", default=[], metavar="K=V", help="a value for all trials, like train_args.epochs=3")
    add("--skip-invalid", action="store_true", help="run the valid experiments of a list, and say why others cannot be")
    add("--enqueue", action="append", default=[], metavar="POINT", help="a known point to try first, as JSON or a file")
    add("--when", action="append", default=[], metavar="P:O=V", help="parameter P applies only while O is V (or V,W)")
    add("--allow-repeats", action="store_true", help="random and bayes may suggest a point again")
    add("--reuse", action="store_true", help="answer trials from earlier runs that were the same in everything")
    add("--resume", action="store_true", help="only go on with a sweep that was started before")
    add("--retry-failed", action="store_true", help="run trials again that failed for good")
    add_tracking_arguments(parser)
    add("--trust-code", action=TrustCode)
    add("--dry-run", action="store_true", help="check everything, print what would run, and stop")
    return parser


def checked_plan(arguments: argparse.Namespace) -> SweepPlan:
    """What a command line asks for; its points are still to be checked.

    Raises:
        SpecError, DeviceError: what is wrong with the arguments or the file, before anything is fetched.
    """
    _request(arguments)
    chosen_trackers(arguments.track, arguments.wandb)
    plan = _plan(arguments)
    _refuse_without_effect(plan, arguments)
    return plan


def _plan(arguments: argparse.Namespace) -> SweepPlan:
    for name, least in (("run_cap", 1), ("seeds", 1), ("retries", 0), ("seed", 0), ("jobs", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise SpecError(f"--{name.replace('_', '-')} must be at least {least}. Received: {value}.")
    limit_s = arguments.trial_timeout
    if limit_s is not None and not 0 < limit_s < math.inf:
        raise SpecError(f"--trial-timeout must be a number of seconds above 0. Received: {limit_s}.")
    if not arguments.file.exists():
        raise SpecError(
            f"there is no file '{arguments.file}'. A sweep is a W&B YAML, or JSON with a list of experiments."
        )
    return read_plan(
        arguments.file,
        name=arguments.name,
        base=read_spec(arguments.base)[0] if arguments.base is not None else None,
        overrides=_settings(arguments.set),
        seed=arguments.seed,
        seeds=arguments.seeds,
        sampler=arguments.sampler,
        search=arguments.search or "",
        enqueued=[point for text in arguments.enqueue for point in _points(text)],
        conditions=[Condition.parse(text) for text in arguments.when],
        skip_invalid=arguments.skip_invalid,
    )


def _refuse_without_effect(plan: SweepPlan, arguments: argparse.Namespace) -> None:
    """Refuses flags that do nothing for this kind of sweep: whoever gives one expects that it does something."""
    if flags := _given(arguments, _NO_EFFECT[plan.method]):
        kind = "a list of experiments" if plan.method == "list" else f"a {plan.method} search"
        raise SpecError(
            f"no effect on {kind}: {flags}. Leave {flags} out; a value for all trials is given with --set, "
            f"like --set seed=3."
        )
    if _executor(arguments).name == "inline" and arguments.jobs not in (None, 1):
        raise SpecError(
            f"the executor 'inline' executes one run after the other in this process: --jobs must be 1. "
            f"{received(arguments.jobs)}"
        )


def _given(arguments: argparse.Namespace, names: Sequence[str]) -> str:
    """The flags among these that were given, for a message; "" for none."""
    default = parser("run_sweep").get_default
    return ", ".join(f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name) != default(name))


def _executor(arguments: argparse.Namespace) -> NamedPart:
    """Where the trials are executed: `--isolation inline` is short for `--executor inline`."""
    asked = arguments.executor
    if arguments.isolation == "inline" and asked not in ("local", "inline"):
        raise SpecError(f"--isolation inline and --executor {asked} exclude each other.")
    return NamedPart.parse("executor", "inline" if arguments.isolation == "inline" else asked)


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise SpecError(f"--set takes KEY=VALUE, like train_args.epochs=3. Received: {text!r}.")
        found[key] = parse_value(value)
    return found


def _points(text: str) -> list[dict[str, Any]]:
    """Points given inline, or in a file: one JSON object, or {"points": [{…}, …]}."""
    value = parse_json(text, "--enqueue") if text.lstrip().startswith("{") else read_spec(text)[0]
    points = value.get("points", [value])
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise SpecError("--enqueue: 'points' must be a list of objects.")
    return points


def _request(arguments: argparse.Namespace) -> DeviceRequest:
    """The devices of each trial.

    Raises:
        SpecError, DeviceError: they are asked for in another form, or twice.
    """
    if arguments.gpus_per_trial is None:
        return DeviceRequest.parse(arguments.gpu or "any", arguments.gpu_memory, arguments.gpu_force)
    if arguments.gpu is not None:
        raise SpecError("--gpu and --gpus-per-trial say the same; give one of them.")
    try:
        wanted = float(arguments.gpus_per_trial)
    except ValueError:
        wanted = 0.0
    if 0 < wanted < 1 and arguments.gpu_memory is None:
        return DeviceRequest(1, memory_share=wanted, force=arguments.gpu_force)
    if 0 < wanted < 1:
        raise SpecError("--gpu-memory and --gpus-per-trial below 1 say the same; give one of them.")
    if wanted < 1 or not wanted.is_integer():
        raise SpecError(
            f"--gpus-per-trial must be a whole number, or a share below 1. Received: {arguments.gpus_per_trial}."
        )
    return DeviceRequest.parse("any" if wanted == 1 else f"{int(wanted)}x", arguments.gpu_memory, arguments.gpu_force)


def _serve(plan: SweepPlan, experiments: Sequence[Experiment], arguments: argparse.Namespace) -> int:
    from training.sweeps.wandb.registration import registered
    from training.sweeps.wandb.serve import check_servable, serve

    if flags := _given(arguments, _LOCAL_ONLY):
        raise SpecError(
            f"{flags} cannot be combined with --engine wandb: W&B does what the file says. Write it there "
            f"(run_cap, values of parameters), or leave --engine out."
        )
    if arguments.wandb in ("offline", "disabled"):
        raise SpecError(f"--wandb {arguments.wandb} and --engine wandb exclude each other.")
    check_servable(plan)
    folder = SweepFolder.of(plan)
    _begin(plan, folder, experiments, arguments, registered(folder) is not None)
    if _is_held_back(folder):
        return 0
    return serve(plan, folder, arguments.file, arguments.jobs, _request(arguments))


def _drive(
    plan: SweepPlan, experiments: Sequence[Experiment], arguments: argparse.Namespace, run_cap: int | None
) -> int:
    from training.devices.gpu_manager import GPUManager
    from training.executors.base import Executor, Setting
    from training.executors.zygote.lease_source import device_capacity
    from training.executors.zygote.preloading import users_modules
    from training.sweeps.limits import Limits
    from training.sweeps.results.display import SweepDisplay
    from training.sweeps.results.ending import finish_sweep
    from training.sweeps.reuse import Reusable
    from training.sweeps.sweep import Sweep

    search, folder, request = make_search(plan, arguments.allow_repeats), SweepFolder.of(plan), _request(arguments)
    _begin(plan, folder, experiments, arguments, folder.exists())
    setting = Setting(
        jobs=arguments.jobs,
        request=request,
        trackers=chosen_trackers(arguments.track, arguments.wandb, say),
        modules=users_modules(experiment.spec for experiment in experiments),
        fresh=arguments.isolation == "exec",
    )
    limits = Limits(
        run_cap=run_cap,
        trial_timeout_s=arguments.trial_timeout,
        policy=RetryPolicy(retries=arguments.retries),
        retry_failed=arguments.retry_failed,
        stopping_rule=arguments.stopping_rule,
    )
    if _is_held_back(folder):
        return 0
    executor = cast(Executor, _executor(arguments).make(setting=setting))
    print(f"sweep       {plan.in_words()}")
    print(f"folder      {folder.path}, {counted(executor.capacity, 'trial')} at once", flush=True)
    reusable = Reusable(on_gpu=device_capacity(request, GPUManager()) is not None) if arguments.reuse else None
    with SweepDisplay() as display:
        sweep = Sweep(plan, search, executor, folder, limits, display, reusable)
        result = sweep.run()
    return finish_sweep(plan, folder, sweep.history, result)


def _begin(
    plan: SweepPlan, folder: SweepFolder, experiments: Sequence[Experiment], arguments: argparse.Namespace, begun: bool
) -> None:
    """Prepares the data and the sweep's folder.

    Args:
        begun: whether there is something to resume.
    """
    if arguments.resume and not begun:
        raise SpecError(f"there is no sweep to resume in {folder.path}. Leave --resume out to start it.")
    for experiment in {experiment.dataset.name: experiment for experiment in experiments}.values():
        try:
            experiment.dataset.prepare()  # once, and before any device is held
        except DataError as error:
            if not arguments.skip_invalid:
                raise
            say(f"warning: {error}")  # its own trials will fail, the others need not wait for it
    folder.create_or_check(plan)


def _is_held_back(folder: SweepFolder) -> bool:
    if folder.wish != "run":
        print(f"it was asked to {folder.wish}. Go on with: text-recognizer sweeps resume {folder.name}")
    return folder.wish != "run"


if __name__ == "__main__":
    sys.exit(main())
