"""Executes a run in its folder: trains, selects the best weights, evaluates them once, finishes."""

import contextlib
import traceback
from collections.abc import Sequence
from dataclasses import replace

from evaluation.evaluate import Evaluation, evaluate, measure, write_evaluation
from evaluation.report import write_report
from text_recognizer.errors import RunError
from text_recognizer.experiment import Experiment
from text_recognizer.models.bundle import Bundle, usual_name, write_bundle
from text_recognizer.named_part import NamedPart
from text_recognizer.wording import counted, shell_word
from training.attempts.callbacks import Row
from training.attempts.causes import cause_of, full_disk, out_of_memory, refused_by_xla
from training.attempts.display import Display
from training.attempts.extension import earlier_digests, lengths_of_extension
from training.attempts.fit import Training
from training.attempts.peers import PeerLostError, Peers
from training.attempts.stopping import Stop, StopWatcher
from training.attempts.tensorflow_setup import start_tensorflow
from training.runs.causes import Cause
from training.runs.checks import as_reported
from training.runs.contents import CHECKPOINT, MODEL, contents, snapshot_of
from training.runs.promotion import promote
from training.runs.run import Run, State
from training.terminal.command_line import say
from training.terminal.log_file import LogFile
from training.tracking.choice import folder_name
from training.tracking.examples import write_examples
from training.tracking.mirror import Mirror
from training.tracking.wandb.mode import under_agent

# How long a run waits for its mirror to finish.
PATIENCE_S, PATIENCE_UNDER_AGENT_S = 5.0, 60.0


def train_and_evaluate(
    experiment: Experiment, run: Run, trackers: Sequence[str], save: bool = False, peers: Peers | None = None
) -> int:
    """Trains and evaluates in a run folder held by this process; returns the exit code of the run."""
    with contextlib.ExitStack() as stack:
        stack.callback(run.release)  # last, when the log is complete: its followers wait for that
        log = stack.enter_context(LogFile(run.folder / "log.txt"))
        watcher = stack.enter_context(StopWatcher(run))
        mirrors: list[Mirror] = []
        try:
            run.set_state("running", epochs=experiment.train_args.epochs)
            mirrors = [Mirror(run, NamedPart.parse("tracker", text)) for text in trackers]
            exit_code = _run_steps(experiment, run, log, watcher, bool(mirrors), peers)
            if exit_code == 0 and save:
                say(f"promoted as {promote(Bundle.read(run.folder / MODEL), usual_name(experiment.spec))}")
        except BaseException as error:
            known = (peers and peers.lost()) or out_of_memory(error) or refused_by_xla(error)
            explained = known or _folder_is_gone(run, error) or full_disk(error, run.folder)
            with contextlib.suppress(RunError):  # a full disk may be the reason already, and that error says so
                ended_by = explained or error
                state: State = "preempted" if isinstance(ended_by, PeerLostError) else "failed"
                words = f"{type(ended_by).__name__}: {ended_by}"
                if isinstance(ended_by, KeyboardInterrupt):
                    state, words = "stopped", "interrupted twice (Ctrl-C)"
                run.set_state(state, words, cause_of(ended_by))
            if isinstance(error, (OSError, UnicodeError)):  # reported in one line; the log has the traceback
                with contextlib.suppress(OSError):
                    log.write(traceback.format_exc())
            if explained is not None:
                raise explained from error
            raise
        finally:
            # W&B's agent requests its next trial when this process exits: by then W&B must know how this one ended.
            patience_s = PATIENCE_UNDER_AGENT_S if under_agent() else PATIENCE_S
            for warning in [mirror.warning_at_end(patience_s) for mirror in mirrors]:
                if warning is not None:
                    say(f"warning: {warning}; the run folder is complete without it")
        for mirror in mirrors:
            if mirror.url:
                print(f"{folder_name(mirror.choice):<11} {mirror.url}", flush=True)
        return exit_code


def _run_steps(
    experiment: Experiment, run: Run, log: LogFile, watcher: StopWatcher, is_shown: bool, peers: Peers | None
) -> int:
    print(f"run         {run.folder}")
    print(f"dataset     {experiment.dataset_in_words()}", flush=True)
    for key, (before, now) in lengths_of_extension(run).items():
        print(f"extended    from {before:g} to {now:g} {key}", flush=True)
    start_tensorflow(log.errors_to_log_only())
    args = experiment.train_args

    reported = experiment.model.reported
    run.note(larger_is_better=[name for name, metric in reported.items() if metric.larger_is_better])

    pause_after = (run.attempts() or [{}])[-1].get("pause_after")

    def stop_asked() -> Stop | None:
        run.sync()  # a checkpoint may follow: after a power cut the reports must not be behind it
        if peers is not None:
            peers.check()
            watcher.stop_for(peers.stop_signal)
        if pause_after is not None and training.ended is None and training.epochs.done >= pause_after:
            _keep_snapshot(experiment, run, training, pause_after)
            return Stop("stopped", f"paused after epoch {training.epochs.done}", 0, Cause.PAUSED)
        return watcher.stop()

    noted: dict[str, int] = {}

    def report(row: Row) -> None:
        if is_shown:  # before the row: a mirror reads them after the row
            write_examples(run, experiment, row["epoch"])
        run.log(row)
        used = _peak_memory_mib()
        if any(mib > 1.1 * noted.get(name, 0) for name, mib in used.items()):
            noted.update(used)
            run.note(durable=True, peak_memory_mib=used)  # the folder may be synced before the next note

    with Display(args.epochs, reported, log) as display:
        # As in the folder: arguments added later do not change the spec.
        digests = [run.spec.digest, *earlier_digests(run)]
        folder = run.folder / CHECKPOINT.parent
        training = Training(experiment, digests, folder, report, run.rows(), display, stop_asked, peers)
        run.note(mixed_precision=training.precision)
        print(f"network     {experiment.network_in_words()}", flush=True)
        if training.devices.devices > 1:
            print(f"devices     {training.devices.devices}, which share every batch", flush=True)
        if training.transfer is not None:
            print(f"initial     {training.transfer.in_words()}", flush=True)
        stop = training.train()
    epochs = training.epochs
    if stop is not None:
        run.set_state(stop.state, stop.reason, stop.cause, epoch=epochs.done)
        print(f"{stop.state} ({stop.reason}) after {counted(epochs.done, 'epoch')}, checkpoint written")
        print(f"resume with run_experiment --resume {shell_word(run.folder)}")
        return stop.exit_code
    best_epoch = training.best.state["epoch"]
    print(f"trained     {training.ended}; best epoch {best_epoch} by {args.monitor}", flush=True)
    trained = {"training_s": epochs.seconds, "epoch_s": epochs.seconds / max(1, epochs.done)}
    evaluation = _evaluate(experiment, run, epochs.done, best_epoch, trained)
    print(f"result      {evaluation.headline()}")
    print(f"run folder  {run.folder}")
    print(f"next        text-recognizer runs show {shell_word(run.id)}")
    print(f"            text-recognizer predict IMAGE --bundle {shell_word(run.folder)}")
    print(f"            open {shell_word(run.folder / 'report.html')}", flush=True)
    return 0


def _keep_snapshot(experiment: Experiment, run: Run, training: Training, epoch: int) -> None:
    """Writes the weights of a run that is about to pause, with their value; other runs may start from them.

    Before the checkpoint: if there is a checkpoint of a pause, there is its snapshot.
    """
    folder, row = snapshot_of(run.folder, epoch), run.rows()[-1]
    if folder.exists() or training.step != training.epochs.first_step:
        return
    metrics = {name: row[name] for name in experiment.model.reported if row.get(name) is not None}
    write_bundle(folder, training.model, experiment.spec, run.id, metrics, experiment.dataset.fingerprint)


def _peak_memory_mib() -> dict[str, int]:
    """Peak memory of this process, and of TensorFlow on each GPU."""
    import resource

    import tensorflow as tf

    gpus = [device.name.partition("device:")[2] for device in tf.config.list_logical_devices("GPU")]
    return {
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10,
        **{gpu: tf.config.experimental.get_memory_info(gpu)["peak"] // 2**20 for gpu in gpus},
    }


def _evaluate(experiment: Experiment, run: Run, epoch: int, best_epoch: int, times: dict[str, float]) -> Evaluation:
    """Evaluates the best weights once on the test split, then finishes the run. `times` are those of training."""
    model, dataset = experiment.model, experiment.dataset
    model.calibrate(dataset.split("validation"))
    evaluation = evaluate(model, dataset.split("test"), "test")
    evaluation = replace(evaluation, times=times | evaluation.times)
    tested = {f"test_{name}": value for name, value in evaluation.metrics.items()}
    validated = {f"val_{name}": value for name, value in measure(model, dataset.split("validation")).items()}
    run.sync()  # a deleted folder must not be created again
    write_bundle(run.folder / MODEL, model, experiment.spec, run.id, validated | tested, dataset.fingerprint)
    write_evaluation(run.folder, evaluation)
    if not any("test_loss" in row and row["epoch"] == epoch for row in run.rows()):  # a killed run may be this far
        run.log(as_reported({"epoch": epoch, "best_epoch": best_epoch, **tested}))
    write_report(run.folder, dataset.split("test"), run.rows())
    summary = as_reported({**validated, **tested, "best_epoch": best_epoch})
    run.set_state("finished", summary=summary, epoch=epoch, files=contents(run.folder))
    return evaluation


def _folder_is_gone(run: Run, error: BaseException) -> RunError | None:
    """The error for a deleted folder, if that is why nothing could be written."""
    if isinstance(error, (RunError, OSError)):
        try:
            run.check_folder()
        except RunError as gone:
            return gone
    return None
