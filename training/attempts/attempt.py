"""attempt: executes a run in this process, from its start or from its last checkpoint."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from text_recognizer.errors import RunError
from text_recognizer.experiment import Experiment, assemble
from text_recognizer.trust import current_folder
from training.attempts.causes import cause_of
from training.attempts.extension import extend, facts_of
from training.attempts.learnability import LEFT_OUT, check_learnable, left_out_table
from training.attempts.peers import Peers
from training.devices.gpu_manager import Lease
from training.runs.checks import is_count
from training.runs.environment import code_version, environment
from training.runs.run import Run
from training.terminal.command_line import say
from training.tracking.choice import wandb_mode_of

_THREADS = "TF_NUM_INTRAOP_THREADS"


def attempt(
    run: Run,
    lease: Lease,
    trackers: Sequence[str],
    experiment: Experiment | None = None,
    save: bool = False,
    stop_request_stands: bool = False,
    is_extension: bool = False,
    peers: Peers | None = None,
    **launch: Any,
) -> int:
    """Trains, evaluates and finishes a run, or resumes it. Raises RunError: it is held, or its data has changed.

    Args:
        trackers: trackers of the run; see training.tracking.choice.
        lease: devices of this process for the duration of the attempt. TensorFlow must not be in use yet.
        experiment: the assembled spec of the run, if already available.
        save: promote the model under its default name.
        stop_request_stands: an existing stop request is meant for this attempt, not for an earlier one.
        is_extension: the experiment is the run's with a greater length.
        peers: processes that share the training; this one is their chief.
        launch: further facts for launch.json, for example the sweep and trial of the run.
    Returns:
        the exit code of the run: 0 also if it was stopped on request.
    """
    run.hold()
    try:
        experiment = experiment or assemble(run.spec, has_begun=run.has("environment.json"))
        experiment.dataset.prepare()
        experiment.check_sizes()
        check_learnable(experiment)
        os.environ.update(lease.environ)  # before TensorFlow looks for devices
        experiment.check_samples()  # a user's own code, which may use TensorFlow
        devices = [f"{device.name} {device.uuid}" for device in lease.devices] or ["cpu"]
        _record_environment(run, experiment, devices)
        launch["device_uuids"] = [device.uuid for device in lease.devices]
        if is_extension:
            launch["extended"] = facts_of(run, experiment.spec)
        _record_launch(run, trackers, devices, launch)
        if is_extension:
            extend(run, experiment.spec)
        if (table := left_out_table(experiment)) is not None:
            run.write_text(LEFT_OUT, table)
        if not stop_request_stands:
            run.clear_stop_request()
        if peers is not None:
            threads = run.read_json("environment.json").get("threads")
            environ = {_THREADS: str(threads)} if is_count(threads) else {}
            peers.tell(run={"folder": str(run.folder.absolute()), "environ": environ})
    except BaseException as error:
        with contextlib.suppress(RunError):  # the folder may be unwritable
            if not is_extension or run.status().state != "finished":  # a refused extension leaves it unchanged
                run.set_state("failed", f"{type(error).__name__}: {error}", cause_of(error))
        run.release()
        raise
    # The heavy part: all checks are done.
    from training.attempts.train_and_evaluate import train_and_evaluate

    return train_and_evaluate(experiment, run, trackers, save, peers)


def _record_environment(run: Run, experiment: Experiment, devices: list[str]) -> None:
    """Records environment.json in the first attempt; later ones need the same data, and use as many threads."""
    fingerprint = experiment.dataset.fingerprint
    if not run.has("environment.json"):
        recorded = environment(experiment.spec, fingerprint, devices)
        asked = os.environ.get(_THREADS, "")
        threads = int(asked) if asked.isdecimal() and int(asked) else recorded["cpu_count"]  # TensorFlow's own rule
        run.write_json("environment.json", {**recorded, "samples": experiment.dataset.sizes(), "threads": threads})
        return
    recorded = run.read_json("environment.json")
    if not isinstance(recorded.get("dataset_fingerprint"), str):
        path = run.folder / "environment.json"
        raise RunError(
            f"{path} does not say which data the run has: 'dataset_fingerprint' is missing. If the data is still the "
            f"same, remove the file and resume the run: it is rebuilt. Otherwise start a new run."
        )
    if fingerprint != recorded["dataset_fingerprint"]:
        raise RunError(
            f"the data has changed since {run.id} started: {experiment.dataset.name} has the fingerprint "
            f"{fingerprint}, the run recorded {recorded['dataset_fingerprint']}. Start a new run."
        )
    if is_count(recorded.get("threads")):
        os.environ[_THREADS] = str(recorded["threads"])  # with another division, sums differ in their last bits
    if code_version(experiment.spec) != recorded.get("code"):
        say("the code has changed since this run started; its numbers may differ from those of an uninterrupted run")


def _record_launch(run: Run, trackers: Sequence[str], devices: list[str], launch: dict[str, Any]) -> None:
    attempts = run.attempts() if run.has("launch.json") else []
    if attempts:  # status.json will describe this attempt
        before = run.status()
        attempts[-1]["ended"] = {
            "state": "died" if before.state == "running" else before.state,
            "time": before.times.get("ended"),
            "error": before.error,
            "cause": before.cause,
        }
    this = {
        "time": time.time(),
        "process": os.getpid(),
        "host": socket.gethostname(),
        "command": sys.argv,
        "folder": current_folder(),
        "wandb": wandb_mode_of(trackers),
        "trackers": list(trackers),
        "devices": devices,
        **launch,
    }
    run.write_json("launch.json", {"attempts": [*attempts, this]})
