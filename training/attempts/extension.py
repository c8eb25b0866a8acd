"""Extension: a finished run gets a greater length, and continues training."""

from typing import Any

from text_recognizer.errors import RunError, SpecError
from text_recognizer.experiment import Experiment, assemble
from text_recognizer.spec import ExperimentSpec, parse_value
from text_recognizer.train_args import TrainArgs
from text_recognizer.wording import received, shell_word
from training.attempts.checkpoint import epochs_trained, read_checkpoint
from training.runs.contents import CHECKPOINT
from training.runs.run import Run

LENGTHS = ("epochs", "minutes")


def extended(run: Run, text: str) -> Experiment | None:
    """The experiment of a run with another length; None if that is already its length.

    Raises:
        SpecError: the length is invalid, or not possible for this run.
        RunError: there is nothing to continue from, or the run would not continue with any length.
    """
    key, _, given = text.partition("=")
    if key not in LENGTHS or not given:
        raise SpecError(f"--extend takes the total length of the run, as epochs=N or minutes=N. {received(text)}")
    args = assemble(run.spec, has_begun=True).train_args
    theirs = "epochs" if args.minutes is None else "minutes"
    if key != theirs:
        raise SpecError(f"the length of the run {run.id} is in {theirs}: --extend {theirs}=N. {received(text)}")
    now = getattr(args, key)
    longer = assemble(run.spec.override({f"train_args.{key}": parse_value(given)}), has_begun=True)
    value = getattr(longer.train_args, key)
    if value == now:
        return None
    if value is None or value < now:
        raise SpecError(
            f"--extend takes the total length, and the run {run.id} has had {key}={now:g}: give more, for example "
            f"{key}={now + (value or 1):g}. {received(text)}"
        )
    _check_can_go_on(run, args)
    if key == "epochs":
        return longer
    epochs = round(args.epochs * value / now)  # the duration of each stays
    return assemble(longer.spec.override({"train_args.epochs": epochs}), has_begun=True)


def extend(run: Run, spec: ExperimentSpec) -> None:
    """Gives a held run a longer spec; the previous one is already in launch.json.

    The state changes first, so that a run killed in between is not finished, and resumes.
    """
    run.set_state("running", extended=True)
    run.replace_spec(spec)


def facts_of(run: Run, spec: ExperimentSpec) -> dict[str, Any]:
    """Facts for launch.json: the old and the new length of a run, and the digest in its checkpoint."""
    before = run.spec
    lengths = [{key: one.train_args.get(key) for key in LENGTHS} for one in (before, spec)]
    return {"digest": before.digest, "from": lengths[0], "to": lengths[1]}


def lengths_of_extension(run: Run) -> dict[str, tuple[float, float]]:
    """The lengths before and after the latest attempt, if it extended the run; else empty."""
    facts = run.attempts()[-1].get("extended")
    if facts is None:
        return {}
    key = "epochs" if facts["to"]["minutes"] is None else "minutes"
    return {key: (facts["from"][key], facts["to"][key])}


def earlier_digests(run: Run) -> list[str]:
    """Digests of the specs of a run before it was extended."""
    found = [attempt.get("extended") for attempt in run.attempts()]
    return [one["digest"] for one in found if isinstance(one, dict) and isinstance(one.get("digest"), str)]


def _check_can_go_on(run: Run, args: TrainArgs) -> None:
    status, latest = run.status(), (run.attempts() or [{}])[-1]
    if sweep := latest.get("sweep") or latest.get("wandb_sweep"):
        raise RunError(
            f"the run {run.id} is a trial of the sweep {sweep}, which uses its result. "
            f"Start a new run from its weights: --train_args.initial_weights={shell_word(run.id)}"
        )
    path = run.folder / CHECKPOINT
    if not path.exists():
        raise RunError(
            f"the run {run.id} has no checkpoint to continue from ({path}). Start a new run from its weights: "
            f"--train_args.initial_weights={shell_word(run.id)}"
        )
    _, state = read_checkpoint(path, ("ended", "early_stop"))
    if state["ended"] is None:
        done = max(status.epoch, epochs_trained(path.parent))
        raise RunError(
            f"the run {run.id} has not completed its training: its state is {status.state}, in epoch {done + 1} of "
            f"{status.epochs}. Resume it first: run_experiment --resume {shell_word(run.id)}"
        )
    stopped_early = args.early_stopping is not None and state["early_stop"]["waited"] >= args.early_stopping.patience
    losses = [row["loss"] for row in run.rows() if "loss" in row]
    if stopped_early or (losses and losses[-1] is None):
        raise RunError(
            f"the run {run.id} would end at the same point whatever its length: {state['ended']}. Start a new run with "
            f"other train_args, from its weights: --train_args.initial_weights={shell_word(run.id)}"
        )
