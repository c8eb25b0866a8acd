"""The command line of run_sweep: its arguments, and the resulting plan, devices and executor."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import training.executors  # noqa: F401 - registers their names
from text_recognizer import __version__
from text_recognizer.errors import SpecError
from text_recognizer.named_part import NamedPart
from text_recognizer.settings import where_included
from text_recognizer.spec import parse_json, parse_value, read_spec
from text_recognizer.trust import TrustCode
from text_recognizer.wording import received
from training.devices.requests import DeviceRequest
from training.sweeps.plan import Condition, SweepPlan
from training.sweeps.plan_file import read_plan
from training.sweeps.search.bayes import SAMPLERS
from training.terminal.parser import POSITIVE, Parser, number
from training.tracking.choice import add_tracking_arguments, chosen_trackers

EXAMPLES = """examples:
  run_sweep training/sweep_digits.yaml --jobs 2        a W&B sweep, offline, two trials at once
  run_sweep training/experiments/sample.json           a list of experiments, in sequence or in parallel
  run_sweep experiments.json --skip-invalid            the valid experiments of a list; the others are reported
  run_sweep training/sweep_digits.yaml --dry-run       what would run: points, bands of early termination, time
  run_sweep training/sweep_digits.yaml --engine wandb  register it at W&B, and run one agent per device
  run_sweep training/sweep_training.yaml --search population:size=8,interval=2
                                                       population based training: copies of the best replace the worst
  run_sweep sweep.yaml --base spec.json --set train_args.epochs=3 --run-cap 20

To continue an interrupted sweep, run the same command again: finished trials are kept, the others continue from their
checkpoints. See: text-recognizer sweeps --help
"""
# Flags without effect, by kind of sweep, and with W&B's engine.
_LIST_HAS_NO = ("base", "enqueue", "when", "seed", "sampler", "allow_repeats", "search", "stopping_rule")
_NO_EFFECT = {
    "list": _LIST_HAS_NO,
    "grid": ("sampler", "allow_repeats", "skip_invalid"),
    "random": ("sampler", "skip_invalid"),
    "bayes": ("skip_invalid",),
}
LOCAL_ONLY = (
    *("base", "set", "enqueue", "when", "seed", "seeds", "search", "sampler", "stopping_rule", "executor", "run_cap"),
    *("nodes", "partition", "time", "slurm", "ray_address"),
    *("retries", "trial_timeout", "allow_repeats", "reuse", "retry_failed", "isolation"),
)

# Flags that are arguments of some executors, with the arguments' names.
_OF_CLUSTERS = {
    "nodes": ("nodes", ("slurm", "ray")),
    "partition": ("partition", ("slurm",)),
    "time": ("time", ("slurm",)),
    "slurm": ("options", ("slurm",)),
    "ray_address": ("address", ("ray",)),
}
# Other programs' names for our flags.
_ELSEWHERE = {
    **dict.fromkeys(("count", "trials", "n-trials", "num-trials", "max-trials", "num-samples"), "run-cap"),
    **dict.fromkeys(("n-jobs", "workers", "num-workers", "parallel", "max-concurrent"), "jobs"),
}


def parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=prog,
        description="Run a W&B sweep YAML, or a JSON list of experiments, on this machine; offline by default.",
        epilog=EXAMPLES,
        hint="Values for all trials are set with --set train_args.epochs=3.",
        keys=_ELSEWHERE,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="sweep YAML, or JSON with experiment_group and experiments")
    add("--name", help="name of the sweep (default: as in the file, else the file's name)")
    add("--engine", choices=("local", "wandb"), default="local", help="who runs the search: this machine or W&B")
    add("--jobs", type=POSITIVE, metavar="N", help="number of parallel trials (default: as devices or cores allow)")
    add("--gpus-per-trial", metavar="N", help="1, 2, … GPUs for each trial, or a share of one, like 0.5")
    add("--gpu", metavar="G", help="devices of each trial, as for run_experiment; none: CPU")
    add("--gpu-memory", metavar="M", help="share GPUs: 6GiB for each trial, or 0.5 of one")
    add("--gpu-force", action="store_true", help="also use GPUs that are busy with other programs")
    add("--executor", default="local", metavar="NAME[:ARGS]", help="where trials run (default: %(default)s)")
    add("--nodes", type=POSITIVE, metavar="N", help="agents, one per node (default: slurm 1, ray all)")
    add("--partition", metavar="P", help="with --executor slurm, as for sbatch")
    add("--time", metavar="T", help="with --executor slurm: time limit of each agent, as for sbatch")
    add("--slurm", action="append", default=[], metavar="K=V", help="another option of sbatch, like account=abc")
    add("--ray-address", metavar="A", help="HOST:PORT of a Ray cluster, or auto: the one here, else a local one")
    add("--isolation", choices=("fork", "exec", "inline"), default="fork", help="how trials start; inline: no process")
    add("--run-cap", type=POSITIVE, metavar="N", help="maximum number of trials (default: run_cap in the file)")
    add("--seed", type=number(int, 0, 2**63), default=0, metavar="N", help="seed of the search (default: 0)")
    add("--seeds", type=POSITIVE, default=1, metavar="N", help="runs per trial, with different seeds; the mean counts")
    add("--search", metavar="NAME[:ARGS]", help="replaces the file's method; see text-recognizer list searches")
    add("--stopping-rule", metavar="NAME[:ARGS]", help="stopping rule that replaces the file's early_terminate")
    add("--sampler", choices=SAMPLERS, default="tpe", help="sampler of a bayes search (default: tpe)")
    add("--retries", type=number(int, 0), default=1, metavar="N", help="retries of a crashed trial (default: 1)")
    add("--trial-timeout", type=number(float, 0.001), metavar="S", help="time limit of an attempt, in seconds")
    add("--base", metavar="SPEC", help="spec that the parameters override: inline JSON, a file, or -")
    add("--set", action="append", default=[], metavar="K=V", help="a value for all trials, like train_args.epochs=3")
    add("--skip-invalid", action="store_true", help="skip invalid experiments of a list, and say why")
    add("--enqueue", action="append", default=[], metavar="POINT", help="a point to try first, as JSON or a file")
    add("--when", action="append", default=[], metavar="P:O=V", help="parameter P applies only while O is V (or V,W)")
    add("--allow-repeats", action="store_true", help="let random and bayes suggest the same point again")
    add("--reuse", action="store_true", help="reuse earlier runs with the same spec, data, code and packages")
    add("--resume", action="store_true", help="resume only; fail if the sweep does not exist")
    add("--retry-failed", action="store_true", help="run permanently failed trials again")
    add_tracking_arguments(parser)
    add("--trust-code", action=TrustCode)
    add("--dry-run", action="store_true", help="check everything, print what would run, and stop")
    add("--schema", action="store_true", help="print the JSON Schema of a spec and of all parts, and stop")
    add("--version", action="version", version=f"text-recognizer {__version__}")
    return parser


def checked_plan(arguments: argparse.Namespace) -> SweepPlan:
    """The plan of a command line; its points are not yet checked.

    Raises:
        SpecError, DeviceError: a problem with the arguments or the file, before anything is downloaded.
    """
    device_request(arguments)
    chosen_trackers(arguments.track, arguments.wandb)
    if not arguments.file.exists():
        raise SpecError(
            f"there is no file '{arguments.file}'. A sweep is a W&B YAML, or a JSON list of experiments."
            f"{where_included(arguments.file)}"
        )
    settings = key_values("--set", "train_args.epochs=3", arguments.set)
    plan = read_plan(
        arguments.file,
        name=arguments.name,
        base=read_spec(arguments.base)[0] if arguments.base is not None else None,
        overrides={key: parse_value(value) for key, value in settings.items()},
        seed=arguments.seed,
        seeds=arguments.seeds,
        sampler=arguments.sampler,
        search=arguments.search or "",
        enqueued=[point for text in arguments.enqueue for point in _points(text)],
        conditions=[Condition.parse(text) for text in arguments.when],
        skip_invalid=arguments.skip_invalid,
    )
    _refuse_without_effect(plan, arguments)
    return plan


def _refuse_without_effect(plan: SweepPlan, arguments: argparse.Namespace) -> None:
    if flags := flags_given(arguments, _NO_EFFECT[plan.method]):
        kind = "a list of experiments" if plan.method == "list" else f"a {plan.method} search"
        raise SpecError(
            f"no effect on {kind}: {flags}. Leave {flags} out; a value for all trials is given with --set, "
            f"like --set seed=3."
        )
    if executor_of(arguments).name == "inline" and arguments.jobs not in (None, 1):
        raise SpecError(
            f"the executor 'inline' executes one run after the other in this process: --jobs must be 1. "
            f"{received(arguments.jobs)}"
        )


def flags_given(arguments: argparse.Namespace, names: Sequence[str]) -> str:
    """The flags among these that were given, for a message; "" for none."""
    default = parser("run_sweep").get_default
    return ", ".join(f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name) != default(name))


def executor_of(arguments: argparse.Namespace) -> NamedPart:
    """The executor of the trials: `--isolation inline` is short for `--executor inline`."""
    asked = arguments.executor
    if arguments.isolation == "inline" and asked not in ("local", "inline"):
        raise SpecError(f"--isolation inline and --executor {asked} cannot be combined.")
    part = NamedPart.parse("executor", "inline" if arguments.isolation == "inline" else asked)
    flags: dict[str, Any] = {}
    for name, (key, executors) in _OF_CLUSTERS.items():
        value = getattr(arguments, name)
        if value in (None, []):
            continue
        if part.name not in executors:
            needed = " or ".join(f"--executor {executor}" for executor in executors)
            raise SpecError(f"--{name.replace('_', '-')} needs {needed}.")
        flags[key] = key_values("--slurm", "account=abc", value) if name == "slurm" else value
    return replace(part, arguments={**part.arguments, **flags})


def key_values(flag: str, example: str, texts: Sequence[str]) -> dict[str, str]:
    """Parses KEY=VALUE arguments. Raises SpecError: one has another form."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (key, equals, _) in zip(texts, pairs, strict=True) if not (key and equals)]:
        raise SpecError(f"{flag} takes KEY=VALUE, like {example}. Received: {wrong[0]!r}.")
    return {key: value for key, _, value in pairs}


def _points(text: str) -> list[dict[str, Any]]:
    """Points given inline, or in a file: one JSON object, or {"points": [{…}, …]}."""
    value = parse_json(text, "--enqueue") if text.lstrip().startswith("{") else read_spec(text)[0]
    points = value.get("points", [value])
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise SpecError("--enqueue: 'points' must be a list of objects.")
    return points


def device_request(arguments: argparse.Namespace) -> DeviceRequest:
    """The devices of each trial. Raises SpecError, DeviceError: an invalid request, or two."""
    if arguments.gpus_per_trial is None:
        return DeviceRequest.parse(arguments.gpu or "any", arguments.gpu_memory, arguments.gpu_force)
    if arguments.gpu is not None:
        raise SpecError("--gpu and --gpus-per-trial mean the same; give only one of them.")
    try:
        wanted = float(arguments.gpus_per_trial)
    except ValueError:
        wanted = 0.0
    if 0 < wanted < 1 and arguments.gpu_memory is None:
        return DeviceRequest(1, memory_share=wanted, force=arguments.gpu_force)
    if 0 < wanted < 1:
        raise SpecError("--gpu-memory and --gpus-per-trial below 1 mean the same; give only one of them.")
    if wanted < 1 or not wanted.is_integer():
        raise SpecError(f"--gpus-per-trial must be a whole number, or below 1. Received: {arguments.gpus_per_trial}.")
    return DeviceRequest.parse("any" if wanted == 1 else f"{int(wanted)}x", arguments.gpu_memory, arguments.gpu_force)
