"""fit: trains a model on the training split, selects weights by the validation split, checkpoints, resumes.

A custom loop instead of `keras.Model.fit`: Keras' checkpoints do not restore early stopping, schedules, dropout seeds
or the position in the data, but a killed and resumed run must have the same results as an undisturbed one.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.evaluate import measure
from text_recognizer.datasets.base import Split
from text_recognizer.errors import DivergedError, RunError, reason
from text_recognizer.experiment import Experiment
from text_recognizer.models.base import check_counts
from text_recognizer.models.bundle import find_bundle
from text_recognizer.models.transfer import take_over_weights
from text_recognizer.recipes import check_built
from training.attempts.batches import GroupedBatches, GroupSize, order_of
from training.attempts.callbacks import Row, decisions
from training.attempts.checkpoint import assign, read_best, read_last, write_last
from training.attempts.display import Display
from training.attempts.distribution import chosen
from training.attempts.epochs import ENDLESS, Epochs
from training.attempts.learnability import LOOKED_AT_IN_TRAINING, data_warnings, progress_warning
from training.attempts.peers import Peers
from training.attempts.stopping import Stop
from training.attempts.tensorflow_setup import choose_precision
from training.attempts.train_step import TrainStep
from training.runs.checks import as_reported
from training.runs.contents import CHECKPOINT

_STATE = ("digest", "step", "ended", "seconds_trained", "best", "early_stop", "plateau")


@dataclass(eq=False)
class Training:
    """One training: its state, as in a checkpoint, and the training loop.

    Args:
        digests: digests of the spec in the run folder, and of those before extensions.
        checkpoints: folder of the run's checkpoints.
        log: receives one report per epoch.
        rows_logged: reports of earlier attempts, which are not logged again.
        stop_asked: returns the reason to stop at the next checkpoint, if any.
        peers: processes that share the training; only their chief has checkpoints.
    """

    experiment: Experiment
    digests: Sequence[str]
    checkpoints: Path
    log: Callable[[Row], None]
    rows_logged: InitVar[list[Row]]
    display: Display
    stop_asked: Callable[[], Stop | None]
    peers: Peers | None = None

    def __post_init__(self, rows_logged: list[Row]) -> None:
        experiment, peers = self.experiment, self.peers
        self.args, self.spec, self.model = experiment.train_args, experiment.spec, experiment.model
        self.train_split: Split = experiment.dataset.split("train")
        self.validation_split: Split = experiment.dataset.split("validation")
        self._logged = {row["epoch"]: row for row in rows_logged if "epoch" in row}
        trainable = self.model.can_be_learnt(self.train_split)
        warnings = data_warnings(self.model, self.train_split, self.validation_split, trainable)
        remarks = [text for name in LOOKED_AT_IN_TRAINING for text in experiment.dataset.remarks(name)]
        for warning in [*warnings, *remarks]:
            self.display.warned(warning)
        self.order = order_of(self.train_split, self.model, trainable, self.args.batch_size, self.spec.seed)
        self.epochs = Epochs(self.args, self.order.batches_per_pass)
        self._group_size = GroupSize(GroupSize.MOST if peers is None else 1)  # peers must stay in step
        self.step = 0
        self.ended: str | None = None
        made = decisions(self.args, experiment.recipes["schedule"], self.model.reported)
        self.best, self.early_stop, self.plateau = made
        self._decisions = dict(zip(("best", "early_stop", "plateau"), made, strict=True))
        self._best_weights: list[NDArray[Any]] | None = None
        self._warned_of_progress = False
        self._begun = read_last(self.checkpoints, _STATE, self.digests) if peers is None or peers.is_chief else None
        self.devices = chosen(self.args, peers)
        with self.devices.scope():
            self._build()

    def train(self) -> Stop | None:
        """Trains until all epochs or the time is over, early stopping ends it, or the loss is not finite.

        The model then has the best weights. If the run is to be stopped earlier, returns the Stop; the checkpoint has
        everything to resume.
        """
        self._resume()
        self._share_state()
        self.epochs.start_clock()
        last_checkpoint = time.monotonic()
        with closing(GroupedBatches(self.train_split, self.order, self.model.arranged)) as batches:
            while self.ended is None:
                for stop in self._train_epoch(batches):
                    due = time.monotonic() - last_checkpoint >= self.args.checkpoint_interval_s
                    if due or stop or self.ended is not None:
                        self._checkpoint()
                        last_checkpoint = time.monotonic()
                    if stop is not None and self.ended is None:
                        return stop
        self._finish()
        return None

    def follow(self) -> None:
        """Trains as directed by the chief of the peers, which has checkpoints, validates and decides."""
        assert self.peers is not None
        self._share_state()
        with closing(GroupedBatches(self.train_split, self.order, self.model.arranged)) as batches:
            order = self.peers.hear("order")
            first_step = ENDLESS if order is None else order["step"]
            for _, columns in batches.groups(first_step, ENDLESS, self._group_size):
                if order is None:
                    return
                self.epochs.set_share(order["share"])
                if self.plateau is not None:
                    self.optimizer.learning_rate = order["learning_rate"]
                self._step(columns)
                order = self.peers.hear("order")

    def _tell_order(self) -> None:
        """Sends the next step, and what it depends on besides the weights."""
        if self.peers is not None:
            rate = None if self.plateau is None else self._learning_rate()
            self.peers.tell(order={"step": self.step, "learning_rate": rate, "share": self.epochs.share_of_time})

    def _learning_rate(self) -> float:
        return float(_arrays([self.optimizer.learning_rate])[0])

    def _share_state(self) -> None:
        self.devices.share_state([one for group in self._state_variables().values() for one in group])

    def _build(self) -> None:
        """Builds model, optimizer and the compiled step, all seeded by the spec."""
        import keras
        import tensorflow as tf

        args, recipes = self.args, self.experiment.recipes
        if args.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(self.spec.seed)
        # Checkpoints from before "auto" have none.
        begun = self._begun and self._begun[1].get("mixed_precision", args.mixed_precision)
        precision, warning = choose_precision(args.mixed_precision, begun)
        self.precision = self.devices.chiefs(precision)
        if warning is not None:
            self.display.warned(warning)
        keras.config.set_dtype_policy("float32" if self.precision == "off" else f"mixed_{self.precision}")
        recipe = recipes["optimizer"]
        rate = self.epochs.build_rate(recipes["schedule"], args.learning_rate or recipe.usual_learning_rate)
        clip = args.gradient_clip_norm, args.gradient_clip_value
        self.optimizer = recipe.build(rate, args.weight_decay, *clip)
        is_right = isinstance(self.optimizer, keras.optimizers.Optimizer)
        check_built("optimizer", self.optimizer, is_right, "a Keras optimizer")
        if self.precision == "float16":
            self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)
        augmentation = recipes["augmentation"]
        self.augmentation = augmentation and augmentation.build(self.model.data_spec, self.spec.seed)
        is_right = augmentation is None or isinstance(self.augmentation, keras.layers.Layer)
        check_built("augmentation", self.augmentation, is_right, "a Keras layer")
        self.network = self.model.keras_model  # built here first, after seeding: the same weights for the same seed
        # Only at the start of a training: a checkpoint has its own weights, and the bundle may be gone.
        initial = args.initial_weights if self.devices.chiefs(self._begun is None) else None
        self.transfer = take_over_weights(self.model, find_bundle(initial)) if initial else None
        self.optimizer.build(self.network.trainable_variables)
        # Evaluates one sample now, so that errors of a model's evaluation appear before the first epoch.
        for scored in self.model.score(self.validation_split, np.zeros(1, np.int64)):
            check_counts(self.model, self.model.counts(scored), len(scored.positions))
            self.model.detailed(scored, self.model.readings(scored.outputs, scored.batch.get("width")))
        example = self.model.arranged(self.train_split.batch(np.zeros(1, dtype=np.int64)))
        parts = self.model, self.network, self.optimizer, self.augmentation
        self._step = TrainStep(*parts, args, self.devices, example)

    def _train_epoch(self, batches: GroupedBatches) -> Iterator[Stop | None]:
        """Trains to the end of the current epoch; yields a Stop or None wherever a checkpoint may be written."""
        started, waited_s = time.monotonic(), batches.waited_s
        step_at_start, epochs, group_size = self.step, self.epochs, self._group_size
        if self.step == epochs.first_step:
            self._step.begin_epoch()
        for steps, columns in batches.groups(self.step, epochs.end_step, group_size):
            before = time.monotonic()
            self._tell_order()
            self._step(columns)
            group_size.observe(steps, time.monotonic() - before)
            self.step += steps
            epochs.count_time()
            self.display.steps_done(epochs.done + 1, epochs.share(self.step), self._step.mean_loss)
            if is_over := epochs.is_over(self.step):
                waited_s, trained_s = batches.waited_s - waited_s, epochs.seconds
                self._end_epoch(self.step - step_at_start, time.monotonic() - started, waited_s)
                epochs.begin_next(self.step, epochs.seconds - trained_s)
            yield self.stop_asked()
            if is_over:
                return

    def _end_epoch(self, steps: int, elapsed_s: float, waited_s: float) -> None:
        epoch, steps_of_epoch = self.epochs.done + 1, self.step - self.epochs.first_step
        row: Row = {"epoch": epoch, "step": self.step, **self._step.means()}
        learning_rate = self._learning_rate()
        images_per_s = self._step.samples * steps / steps_of_epoch / elapsed_s
        with self._step.averages.in_use():
            row |= {f"val_{name}": value for name, value in measure(self.model, self.validation_split).items()}
            weights = _arrays(self.network.weights)
        row |= {"learning_rate": learning_rate, "images_per_s": round(images_per_s, 1)}
        row |= {"input_wait": round(waited_s / elapsed_s, 4), "time": round(time.time(), 3)}
        self.epochs.count_time()
        if is_best := self.best.improved(epoch, row):
            self._best_weights = weights
        self._report(row, is_best)
        if not self._warned_of_progress and (warning := progress_warning(row)) is not None:
            self._warned_of_progress = True
            self.display.warned(warning)
        # Early stopping in the last epoch too: the run may be extended.
        self.ended = None if self.early_stop is None else self.early_stop.reason(row)
        if not math.isfinite(row["loss"]):
            self.ended = f"the loss became {row['loss']} in epoch {epoch}"
        elif self.epochs.share(self.step) >= 1:
            self.ended = self.epochs.end_in_words
        if self.plateau is not None:
            self.optimizer.learning_rate = self.plateau.next_rate(row, learning_rate)

    def _report(self, row: Row, is_best: bool) -> None:
        """Logs a row, unless an earlier attempt logged it with the same numbers."""
        timing = dict.fromkeys(("images_per_s", "input_wait", "time"))
        if self._logged.get(row["epoch"], {}) | timing != as_reported(row) | timing:
            self.log(as_reported(row))
        self.display.epoch_done(row, is_best)

    def _state_variables(self) -> dict[str, list[Any]]:
        from keras.src.random.seed_generator import global_seed_generator

        layers = [self.network, *([self.augmentation] if self.augmentation is not None else [])]
        return {
            "model": [variable for layer in layers for variable in layer.variables],
            "optimizer": list(self.optimizer.variables),
            "sums": list(self._step.sums.values()),
            "averages": self._step.averages.variables,
            # For random operations without a generator, as in a user's layer.
            "random": [global_seed_generator().state],
        }

    def _checkpoint(self) -> None:
        groups = {name: _arrays(variables) for name, variables in self._state_variables().items()}
        state = {
            "format": 1,
            "digest": self.digests[0],
            "step": self.step,
            "ended": self.ended,
            "mixed_precision": self.precision,
            "seconds_trained": self.epochs.seconds,
            "epochs": self.epochs.state,
            **{name: decision and decision.state for name, decision in self._decisions.items()},
        }
        write_last(self.checkpoints, groups, state, self._best_weights)

    def _resume(self) -> None:
        if self._begun is None:
            return
        path = self.checkpoints / CHECKPOINT.name
        (groups, state), self._begun = self._begun, None
        sums, measured = groups.get("sums", []), len(self._step.measured)
        if len(sums) == len(self._step.sums) - measured:  # from before denominators were stored: they are the samples
            groups["sums"] = [*sums, *([sums[-1]] * measured)]
        for name, variables in self._state_variables().items():
            assign(variables, groups.get(name, []), path)
        self.step = state["step"]
        is_extended = state["digest"] != self.digests[0]
        self.ended = None if is_extended else state["ended"]
        if is_extended and self.epochs.rate_follows_length:
            self.display.warned(f"the learning rate continues as in a training of {self.epochs.length_in_words}")
        try:
            self.epochs.resume(state["seconds_trained"], state.get("epochs"), self.step)
        except ValueError as error:
            raise RunError(f"the checkpoint {path} is damaged: {reason(error)}. Start a new run.") from None
        for name, decision in self._decisions.items():
            if decision is not None:
                decision.state = state[name]
        if self.best.state["epoch"]:
            self._best_weights = read_best(self.checkpoints, self.best.state["epoch"])

    def _finish(self) -> None:
        if self._best_weights is None:
            raise DivergedError(
                f"training failed: {self.ended}, before any epoch had a finite {self.args.monitor}. "
                f"Lower train_args.learning_rate, or set train_args.gradient_clip_norm."
            )
        for weight, value in zip(self.network.weights, self._best_weights, strict=True):
            weight.assign(value)
        self.model.finish(self.train_split, self.validation_split)


def _arrays(variables: Sequence[Any]) -> list[NDArray[Any]]:
    import keras

    return [keras.ops.convert_to_numpy(variable) for variable in variables]
