#!/usr/bin/env python3
"""run_experiment: the story of one run, and its command line."""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # python training/run_experiment.py
    from training.terminal.own_environment import enter_own_environment

    enter_own_environment()

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from text_recognizer import __version__
from text_recognizer.errors import SpecError
from text_recognizer.experiment import Experiment, assemble
from text_recognizer.keras_import import importing_keras, require_tensorflow
from text_recognizer.models.bundle import Bundle, find_bundle, usual_name
from text_recognizer.spec import NOT_TRAINED, keys_by_name
from text_recognizer.trust import TrustCode
from text_recognizer.wording import received
from training.attempts.attempt import attempt
from training.attempts.checkpoint import epochs_trained
from training.attempts.cluster import Cluster
from training.attempts.extension import extended
from training.attempts.learnability import check_learnable
from training.attempts.peers import meeting
from training.devices.gpu_manager import GPUManager, Lease
from training.devices.requests import DeviceRequest
from training.runs.contents import CHECKPOINT, MODEL, lost_files
from training.runs.find import find_run
from training.runs.given_spec import refuse_another_spec, refuse_changes, spec_from
from training.runs.places import new_run_id
from training.runs.promotion import promote
from training.runs.run import Run
from training.sweeps.wandb.agent_trial import AgentTrial
from training.terminal.command_line import guarded, say, split_overrides
from training.terminal.log_file import standard_error_off
from training.terminal.parser import Parser
from training.terminal.tables import test_results
from training.tracking.choice import add_tracking_arguments, chosen_trackers, wandb_mode_of

EXAMPLES = """examples:
  run_experiment                                      the default experiment: lenet on real handwritten digits
  run_experiment spec.json --train_args.epochs=5      a spec from a file, one value changed
  run_experiment '{"dataset": "EmnistDataset", "model": "CharacterModel", "network": "mlp"}' --gpu=1
  run_experiment spec.json --dry-run                  what would run: completed spec, parameters, images
  run_experiment --resume last                        resume the newest run
  run_experiment --resume last --extend epochs=20     extend a finished run to 20 epochs in total
  run_experiment spec.json --nodes 2                  one training on two nodes of a Slurm cluster
  run_experiment spec.json --nodes 2 --ray-address auto   the same on Ray
  run_experiment --schema > spec.schema.json          JSON Schema of a spec, for editors

any key of a spec can be overridden: --network=mlp --network_args.layer_size=256 --seed=3
"""


_DISTRIBUTION = "train_args.distribution"


def main(argv: Sequence[str] | None = None) -> int:
    return guarded(lambda: run(sys.argv[1:] if argv is None else argv))


def parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=prog,
        description="Train, evaluate and track one experiment.",
        epilog=EXAMPLES,
        hint="Values of the spec are set by their key, like --train_args.batch_size=64.",
        keys=keys_by_name(),
        parents=[_node_options()],
    )
    add = parser.add_argument
    add("spec", nargs="?", metavar="SPEC", help="inline JSON, a file, or - for standard input")
    add("--overrides", metavar="FILE", help="a JSON or YAML file of values by (dotted) key")
    add("--resume", metavar="RUN", help="resume a run: its folder, its id, the start of its id, or last")
    add("--extend", metavar="LENGTH", help="with --resume: extend to epochs=N or minutes=N in total")
    gpus = "1: that GPU; -1: wait for a free one; 2x or 0,1: several; none: CPU (default: a free one, if any)"
    add("--gpu", metavar="G", help=gpus)
    add("--gpu-memory", metavar="M", help="share a GPU: 6GiB of it, or 0.5 of it")
    add("--gpu-force", action="store_true", help="also use GPUs that are busy with other programs")
    add("--id", metavar="ID", help="id of the new run (default: built from the time and the network)")
    add("--save", action="store_true", help="promote the model as MODEL_DATASET_NETWORK")
    add_tracking_arguments(parser)
    add("--hosts", metavar="A,B", help="one training on these hosts: start the same command on each")
    add("--dry-run", action="store_true", help="check everything, print what would run, and stop")
    add("--trust-code", action=TrustCode)
    add("--schema", action="store_true", help="print the JSON Schema of a spec and of all parts, and stop")
    add("--version", action="version", version=f"text-recognizer {__version__}")
    return parser


def _node_options() -> argparse.ArgumentParser:
    """The options that are not passed to the processes on several nodes."""
    options = Parser(prog="", add_help=False)
    options.add_argument("--nodes", type=int, metavar="N", help="one training on N Slurm or Ray nodes")
    options.add_argument("--slurm", action="append", metavar="K=V", help="an option of srun, like partition=main")
    options.add_argument("--ray-address", metavar="A", help="Ray cluster: HOST:PORT, or auto for the one here")
    return options


def run(argv: Sequence[str], prog: str = "run_experiment") -> int:
    """Runs one experiment from its command line; errors are raised."""
    trial = AgentTrial.from_environ()
    rest, overrides = split_overrides(argv if trial is None else trial.without_values(argv))
    arguments = parser(prog).parse_args(rest)
    arguments.of_each = _node_options().parse_known_args(argv)[1]
    if arguments.nodes is not None or arguments.hosts is not None:
        overrides[_DISTRIBUTION] = "multi_worker"
    if arguments.nodes is None and (arguments.slurm or arguments.ray_address):
        raise SpecError(f"{'--slurm' if arguments.slurm else '--ray-address'} needs --nodes N.")
    if arguments.slurm and arguments.ray_address:
        raise SpecError("--slurm and --ray-address cannot be combined.")
    if arguments.nodes is not None and (arguments.hosts is not None or arguments.spec == "-"):
        raise SpecError("--nodes needs SPEC as a file or inline JSON, and no --hosts.")
    if arguments.schema:
        from training.views.parts import schema

        print(json.dumps(schema(), indent=2))
        return 0
    _request(arguments)  # problems with these two are reported before anything is downloaded
    chosen_trackers(arguments.track, arguments.wandb)
    if arguments.id is not None and not re.fullmatch(r"\w[\w.-]{0,127}", arguments.id):
        raise SpecError(f"--id must be at most 128 letters, digits, '_', '-' and '.'. {received(arguments.id)}")
    if arguments.resume is not None:
        return _resume(arguments, overrides)
    if arguments.extend is not None:
        raise SpecError("--extend needs --resume RUN, the run to train on.")
    if trial is not None:
        overrides = trial.overrides(overrides)
    sweep = trial.group if trial is not None and trial.sweep_id is not None else None
    experiment = assemble(spec_from(arguments.spec, arguments.overrides, overrides, sweep))
    if arguments.dry_run:
        return _dry_run(experiment)
    if trial is not None and (earlier := trial.earlier_run(experiment.spec.experiment_group)) is not None:
        return _resume_trial(earlier, experiment, arguments, trial)
    run_id = (trial.run_id if trial is not None else None) or arguments.id or new_run_id(experiment.spec)
    return _train(run_id, experiment, arguments, trial)


def _dry_run(experiment: Experiment, run: Run | None = None) -> int:
    """Prints what would run or be resumed."""
    if experiment.dataset.is_prepared():
        experiment.check_sizes()
    if run is not None:
        status = run.status()
        done = max(status.epoch, epochs_trained(run.folder / CHECKPOINT.parent))  # a killed run has not set its status
        print(f"resume      {run.folder}: {status.state}, epoch {done} of {experiment.train_args.epochs}")
    print(json.dumps(experiment.spec.to_json(), indent=2, ensure_ascii=False))
    print(f"digest      {experiment.spec.digest}")
    if experiment.dataset.is_prepared():
        print(f"dataset     {experiment.dataset_in_words()}", flush=True)
    else:
        unknown = "not prepared yet; a run fetches what is missing and converts it first"
        print(f"dataset     {experiment.dataset.name}: {experiment.dataset.outlook() or unknown}", flush=True)
    with standard_error_off(), importing_keras():  # TensorFlow's start-up notes
        print(f"network     {experiment.network_in_words()}")
    return 0


def _resume_trial(run: Run, experiment: Experiment, arguments: argparse.Namespace, trial: AgentTrial) -> int:
    """Resumes a run that W&B's agent starts again: it was preempted, or failed."""
    refuse_another_spec(run, experiment.spec, apart_from=NOT_TRAINED)
    if _is_whole(run):
        from training.tracking.sync import sync_runs

        _say_finished(run, arguments.save)
        for sent in sync_runs([run], deadline_s=600, again=True):  # W&B lacks its end, or would not restart it
            say(f"W&B: {sent.outcome} {sent.why}")
        return 0
    return _train(run, experiment, arguments, trial)


def _resume(arguments: argparse.Namespace, overrides: Mapping[str, Any]) -> int:
    run = find_run(arguments.resume)
    experiment = assemble(run.spec, has_begun=True)
    if arguments.spec is not None or overrides or arguments.overrides:
        refuse_changes(run, arguments.spec, arguments.overrides, overrides)
    longer = extended(run, arguments.extend) if arguments.extend is not None else None
    if arguments.dry_run:
        return _dry_run(longer or experiment, run)
    if longer is None and _is_whole(run):
        _say_finished(run, arguments.save)
        return 0
    return _train(run, longer or experiment, arguments, is_extension=longer is not None)


def _train(
    run: Run | str,
    experiment: Experiment,
    arguments: argparse.Namespace,
    trial: AgentTrial | None = None,
    is_extension: bool = False,
) -> int:
    """Prepares the data, waits for devices, creates the run if necessary, and trains; or lets nodes do so.

    The cluster's refusals come first, then the data: a device is held only for training, and a failed download leaves
    no run behind.
    """
    on_nodes = _nodes(arguments) if arguments.nodes is not None else None
    cluster = Cluster.of_hosts(arguments.hosts) if arguments.hosts is not None else None
    if on_nodes is None:
        require_tensorflow()  # before any download
    if isinstance(run, str) and experiment.train_args.initial_weights is not None:
        find_bundle(experiment.train_args.initial_weights).check_files()
    experiment.dataset.prepare()
    if isinstance(run, str):
        experiment.check_sizes()
        check_learnable(experiment)
    if on_nodes is not None:
        command = [sys.executable, "-m", "training.run_experiment", *arguments.of_each]
        return on_nodes([*command, f"--{_DISTRIBUTION}=multi_worker"])
    trackers = chosen_trackers(arguments.track, arguments.wandb, say)
    link = trial.link if trial is not None else None
    label = run if isinstance(run, str) else run.id
    with _lease(arguments, label) as lease, meeting(experiment, cluster) as peers:
        if peers is not None and not peers.is_chief:
            from training.attempts.follow import follow

            return follow(experiment, lease, peers)
        run = Run.create(experiment.spec, run) if isinstance(run, str) else run
        if link is not None and wandb_mode_of(trackers) != "disabled":
            link.write(run)
        how: dict[str, Any] = {"is_extension": is_extension, "peers": peers}
        how |= {} if link is None else {"wandb_sweep": link.path}  # for launch.json
        code = attempt(run, lease, trackers, experiment, arguments.save, **how)
        if peers is not None:
            peers.exit_code = code
        return code


def _nodes(arguments: argparse.Namespace) -> Callable[[Sequence[str]], int]:
    """A function that executes a command on several nodes; errors are requests that a cluster would refuse."""
    if arguments.ray_address is not None:
        from training.executors.cluster import ray_training

        return ray_training.nodes_to_train_on(arguments.nodes, arguments.ray_address, _request(arguments))
    from training.executors.cluster import slurm_training
    from training.sweeps.options import key_values

    return slurm_training.nodes_to_train_on(
        arguments.nodes, key_values("--slurm", "partition=main", arguments.slurm or [])
    )


def _lease(arguments: argparse.Namespace, label: str) -> Lease:
    """The devices to train on: those of the parent process, else the requested ones."""
    if (inherited := Lease.inherited()) is not None:
        return inherited
    lease = GPUManager().lease(_request(arguments), on_wait=say, label=label)
    for notice in lease.notices if arguments.gpu is not None else ():
        say(notice)
    return lease


def _request(arguments: argparse.Namespace) -> DeviceRequest:
    return DeviceRequest.parse(arguments.gpu or "any", arguments.gpu_memory, arguments.gpu_force)


def _is_whole(run: Run) -> bool:
    """Whether a run is finished and complete; reports lost files."""
    if run.status().state != "finished":
        return False
    if not (lost := lost_files(run.folder, hashes=True)):
        return True
    is_lasting = (run.folder / CHECKPOINT).exists()
    how = "from its last checkpoint" if is_lasting else "by training again: it has no checkpoint"
    say(f"the run {run.folder} was finished, but has lost {', '.join(lost)}. It is finished again {how}.")
    return False


def _say_finished(run: Run, save: bool) -> None:
    print(f"the run {run.folder} is finished already: {test_results(run.status().summary)}")
    if save:
        say(f"promoted as {promote(Bundle.read(run.folder / MODEL), usual_name(run.spec))}")


if __name__ == "__main__":
    sys.exit(main())
