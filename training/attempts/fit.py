"""fit: trains a model on the training split, chooses weights by the validation split, checkpoints, resumes.

The loop is ours, not `keras.Model.fit`: what Keras checkpoints does not restore early stopping, schedules, the dropout
seeds or the position in the data, and a run that was killed must end with the numbers of one that was not.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.evaluate import measure
from text_recognizer.augmentation.recipes import augmented
from text_recognizer.datasets.base import Split
from text_recognizer.errors import DivergedError, RunError, SpecError
from text_recognizer.experiment import Experiment
from text_recognizer.models.base import check_counted
from text_recognizer.models.bundle import find_bundle
from text_recognizer.models.transfer import Transfer, take_over_weights
from text_recognizer.schedules import ReduceOnPlateau
from training.attempts.batches import BatchOrder, BucketedOrder, GroupedBatches, GroupSize
from training.attempts.callbacks import BestEpoch, EarlyStop, Plateau
from training.attempts.checkpoint import read_checkpoint, write_checkpoint
from training.attempts.learnability import data_warnings, progress_warning
from training.attempts.stopping import Stop
from training.runs.contents import CHECKPOINT

Row = dict[str, Any]
LAST = CHECKPOINT.name
# What its state says besides the arrays.
_STATE = ("digest", "step", "ended", "seconds_trained", "best", "early_stop", "plateau")


class Watcher(Protocol):
    """Who is told how training goes."""

    def steps_done(self, epoch: int, step_in_epoch: int, steps_per_epoch: int, loss: Callable[[], float]) -> None: ...

    def epoch_done(self, row: Row) -> None: ...

    def warned(self, text: str) -> None: ...


@dataclass(frozen=True)
class FitResult:
    """How training ended. The model holds the best weights.

    Args:
        best_epoch: counted from 1.
        epochs: trained in all, over all attempts.
        ended: why training is over, in words.
        stop: set when it is not over but was asked to stop; then the checkpoint has everything to go on.
    """

    best_epoch: int
    best_value: float | None
    epochs: int
    ended: str
    stop: Stop | None = None


class Training:
    """One training: the state that a checkpoint holds, and the loop that moves it on."""

    def __init__(
        self,
        experiment: Experiment,
        checkpoints: Path,
        log: Callable[[Row], None],
        rows_logged: list[Row],
        watcher: Watcher,
        stop_asked: Callable[[], Stop | None],
    ) -> None:
        """
        Args:
            checkpoints: folder of the run's checkpoints.
            log: takes one report an epoch.
            rows_logged: reports of earlier attempts; they are not logged twice.
        """
        self.args = experiment.train_args
        self.spec = experiment.spec
        self.model = experiment.model
        self.train_split: Split = experiment.dataset.split("train")
        self.validation_split: Split = experiment.dataset.split("validation")
        self._folder = checkpoints
        self._log = log
        self._logged = {row["epoch"]: row for row in rows_logged if "epoch" in row}
        self._watcher = watcher
        self._stop_asked = stop_asked

        self.order = self._order()
        self.steps_per_epoch = self.args.steps_per_epoch or self.order.batches_per_pass
        self.total_steps = self.steps_per_epoch * self.args.epochs
        self._group_size = GroupSize()
        self.step = 0
        self.seconds_trained = 0.0
        self.ended: str | None = None
        monitor, reported = self.args.monitor, self.model.reported
        self.best = BestEpoch(monitor, reported[monitor])
        self.early_stop = None
        if self.args.early_stopping is not None:
            watched = self.args.early_stopping.monitor or monitor
            self.early_stop = EarlyStop(self.args.early_stopping, watched, reported[watched])
        schedule = experiment.recipes["schedule"]
        is_plateau = isinstance(schedule, ReduceOnPlateau)
        self.plateau = Plateau(schedule, monitor, reported[monitor]) if is_plateau else None
        self._measured = [metric.name for metric in self.model.metrics_in_training]
        self._best_weights: list[NDArray[Any]] | None = None
        self._warned_of_progress = False
        self._build(experiment, schedule)

    def _order(self) -> BatchOrder:
        """The order of the samples that can be learnt from."""
        trainable = self.model.trainable(self.train_split)
        members = None if trainable.all() else np.flatnonzero(trainable)
        for warning in data_warnings(self.model, self.train_split, self.validation_split, trainable):
            self._watcher.warned(warning)
        size, seed = self.args.batch_size, self.spec.seed
        widths = self.train_split.widths
        if widths is not None and self.model.data_spec.input_shape[1] is None:
            return BucketedOrder(widths, size, seed, members)
        return BatchOrder(len(self.train_split), size, seed, members)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.steps_per_epoch

    def run(self) -> FitResult:
        """Trains until all epochs are done, early stopping decides, the loss is no number any more, or someone asks."""
        self._resume()
        last_checkpoint = time.monotonic()
        batches = GroupedBatches(self.train_split, self.order, self.model.arranged)
        try:
            while self.ended is None:
                for stop in self._train_epoch(batches):
                    due = time.monotonic() - last_checkpoint >= self.args.checkpoint_interval_s
                    if due or stop or self.ended is not None:
                        self._checkpoint()
                        last_checkpoint = time.monotonic()
                    if stop is not None and self.ended is None:
                        return self._result(stop)
        finally:
            batches.close()
        return self._result(None)

    def _build(self, experiment: Experiment, schedule: Any) -> None:
        """Model, optimizer and the compiled step, all seeded by the spec."""
        import keras
        import tensorflow as tf

        if self.args.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(self.spec.seed)
        keras.config.set_dtype_policy(_policy(self.args.mixed_precision))
        recipe = experiment.recipes["optimizer"]
        rate = self.args.learning_rate or recipe.usual_learning_rate
        self.optimizer = recipe.build(
            schedule.build(rate, self.total_steps),
            self.args.weight_decay,
            self.args.gradient_clip_norm,
            self.args.gradient_clip_value,
        )
        if self.args.mixed_precision == "float16":
            self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)
        augmentation = experiment.recipes["augmentation"]
        self.augmentation = augmentation and augmentation.build(self.model.data_spec, self.spec.seed)
        self.network = self.model.keras_model  # built here first, after seeding: the same weights for the same seed
        self.transfer = self._take_over_weights()
        self.optimizer.build(self.network.trainable_variables)
        self._check_metrics()
        self._sums: dict[str, Any] = {}
        self._step = self._compile_step()

    def _check_metrics(self) -> None:
        """One sample through the evaluation: what a model gets wrong there should not wait for the first epoch."""
        for scored in self.model.score(self.validation_split, np.zeros(1, np.int64)):
            check_counted(self.model, "counts", self.model.counts(scored), [one.name for one in self.model.metrics])

    def _take_over_weights(self) -> Transfer | None:
        """Only when training begins: a checkpoint has its own weights, and the bundle may be gone."""
        name = self.args.initial_weights
        return take_over_weights(self.model, find_bundle(name)) if name and not (self._folder / LAST).exists() else None

    def _compile_step(self) -> Any:
        """A function of columns (steps, B, …) that trains on one batch after another."""
        import keras
        import tensorflow as tf

        for name in ["loss", *self._measured, "samples", *map(_whole, self._measured)]:
            self._sums[name] = keras.Variable(0.0, dtype="float32", trainable=False, name=f"sum_{name}")
        variables = self.network.trainable_variables

        def train_step(batch: dict[str, Any]) -> None:
            with tf.GradientTape() as tape:
                outputs = self.network(batch["image"], training=True)
                losses = self.model.loss(batch, outputs, self.args.label_smoothing)
                auxiliary = self.model.auxiliary_loss(batch, outputs)
                loss = keras.ops.mean(losses) + sum(self.network.losses)
                if auxiliary is not None:
                    loss += keras.ops.mean(auxiliary)
                scaled = self.optimizer.scale_loss(loss)
            self.optimizer.apply(tape.gradient(scaled, variables), variables)
            self._sums["loss"].assign_add(keras.ops.sum(losses))
            self._sums["samples"].assign_add(keras.ops.cast(keras.ops.shape(losses)[0], "float32"))
            counted = self.model.train_metrics(batch, outputs)
            check_counted(self.model, "train_metrics", counted, self._measured)
            for name, (part, whole) in counted.items():
                self._sums[name].assign_add(keras.ops.cast(part, "float32"))
                self._sums[_whole(name)].assign_add(keras.ops.cast(whole, "float32"))

        one_step = tf.function(train_step, jit_compile=True, autograph=False) if self.args.jit_compile else train_step

        def train_steps(columns: dict[str, Any]) -> None:
            steps = tf.shape(next(iter(columns.values())))[0]

            def body(index: Any) -> Any:
                batch = {name: column[index] for name, column in columns.items()}
                one_step(batch if self.augmentation is None else augmented(batch, self.augmentation))
                return index + 1

            tf.while_loop(lambda index: index < steps, body, [tf.constant(0)], parallel_iterations=1)

        example = self.model.arranged(self.train_split.batch(np.zeros(1, dtype=np.int64)))
        shapes = self.model.column_shapes(example)
        signature = {name: tf.TensorSpec((None, None, *shapes[name]), column.dtype) for name, column in example.items()}
        return tf.function(train_steps, input_signature=[signature], autograph=False)

    def _train_epoch(self, batches: GroupedBatches) -> Any:
        """Trains to the end of the current epoch; yields a Stop or None wherever a checkpoint may be written."""
        started = time.monotonic()
        step_at_start = self.step
        end_step = (self.epoch + 1) * self.steps_per_epoch
        if self.step % self.steps_per_epoch == 0:
            for total in self._sums.values():
                total.assign(0.0)
        group_size = self._group_size
        for steps, columns in batches.groups(self.step, end_step, group_size):
            before = time.monotonic()
            self._step(columns)
            group_size.observe(steps, time.monotonic() - before)
            self.step += steps
            self._watcher.steps_done(
                (self.step - 1) // self.steps_per_epoch + 1,
                (self.step - 1) % self.steps_per_epoch + 1,
                self.steps_per_epoch,
                self._mean_loss,
            )
            if self.step == end_step:
                self._end_epoch(self.step - step_at_start, time.monotonic() - started)
            self.seconds_trained += time.monotonic() - before
            yield self._stop_asked()

    def _end_epoch(self, steps: int, elapsed_s: float) -> None:
        """Validates, reports and decides what comes next."""
        import keras

        epoch = self.epoch
        samples = float(self._sums["samples"].numpy())
        row: Row = {"epoch": epoch, "step": self.step}
        row |= {"loss": self._mean_loss()} | {name: self._mean(name) for name in self._measured}
        learning_rate = float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))
        images_per_s = samples * steps / self.steps_per_epoch / elapsed_s
        row |= {f"val_{name}": value for name, value in measure(self.model, self.validation_split).items()}
        row |= {"learning_rate": learning_rate, "images_per_s": round(images_per_s, 1), "time": round(time.time(), 3)}
        diverged = not math.isfinite(row["loss"])
        if self.best.improved(epoch, row):
            self._best_weights = [keras.ops.convert_to_numpy(weight) for weight in self.network.weights]
        self._report(row)
        self._warn_of_progress(row)
        if diverged:
            self.ended = f"the loss became {row['loss']} in epoch {epoch}"
        elif self.step >= self.total_steps:
            self.ended = "all epochs done"
        elif self.early_stop is not None:
            self.ended = self.early_stop.reason(row)
        if self.plateau is not None:
            self.optimizer.learning_rate = self.plateau.next_rate(row, learning_rate)

    def _warn_of_progress(self, row: Row) -> None:
        warning = progress_warning(row)
        if warning is not None and not self._warned_of_progress:
            self._warned_of_progress = True
            self._watcher.warned(warning)

    def _report(self, row: Row) -> None:
        """Logs a row, unless an earlier attempt did and got the same numbers."""
        timing = {"images_per_s", "time"}
        earlier = self._logged.get(row["epoch"])
        same = earlier is not None and _without(earlier, timing) == _without(json_row(row), timing)
        if not same:
            self._log(json_row(row))
        self._watcher.epoch_done(row)

    def _mean(self, name: str) -> float:
        whole = float(self._sums[_whole(name)].numpy())
        return float(self._sums[name].numpy()) / whole if whole else math.nan

    def _mean_loss(self) -> float:
        samples = float(self._sums["samples"].numpy())
        return float(self._sums["loss"].numpy()) / samples if samples else math.nan

    def _state_variables(self) -> dict[str, list[Any]]:
        layers = [self.network, *([self.augmentation] if self.augmentation is not None else [])]
        return {
            "model": [variable for layer in layers for variable in layer.variables],
            "optimizer": list(self.optimizer.variables),
            "sums": list(self._sums.values()),
            "random": [_global_seed_state()],
        }

    def _checkpoint(self) -> None:
        import keras

        best = self._folder / f"best-{self.best.state['epoch']:06d}.npz"
        if self._best_weights is not None and not best.exists():
            write_checkpoint(best, {"weights": self._best_weights}, {"epoch": self.best.state["epoch"]})
        groups = {
            name: [keras.ops.convert_to_numpy(variable) for variable in variables]
            for name, variables in self._state_variables().items()
        }
        state = {
            "format": 1,
            "digest": self.spec.digest,
            "step": self.step,
            "ended": self.ended,
            "seconds_trained": self.seconds_trained,
            "best": self.best.state,
            "early_stop": self.early_stop and self.early_stop.state,
            "plateau": self.plateau and self.plateau.state,
        }
        write_checkpoint(self._folder / LAST, groups, state)
        for older in self._folder.glob("best-*.npz"):
            if older != best:
                older.unlink()

    def _resume(self) -> None:
        """Takes up the last checkpoint, if there is one."""
        path = self._folder / LAST
        if not path.exists():
            return
        groups, state = read_checkpoint(path, _STATE)
        if state["digest"] != self.spec.digest:
            raise RunError(f"the checkpoint {path} is of another spec. Start a new run for a changed spec.")
        sums = groups.get("sums", [])
        if len(sums) == len(self._sums) - len(self._measured):  # of before wholes were counted: they are the samples
            groups["sums"] = [*sums, *([sums[-1]] * len(self._measured))]
        for name, variables in self._state_variables().items():
            _assign(variables, groups.get(name, []), path)
        self.step = state["step"]
        self.ended = state["ended"]
        self.seconds_trained = state["seconds_trained"]
        self.best.state = state["best"]
        if self.early_stop is not None:
            self.early_stop.state = state["early_stop"]
        if self.plateau is not None:
            self.plateau.state = state["plateau"]
        if self.best.state["epoch"]:
            weights, _ = read_checkpoint(self._folder / f"best-{self.best.state['epoch']:06d}.npz", ("epoch",))
            self._best_weights = weights["weights"]

    def _result(self, stop: Stop | None) -> FitResult:
        if stop is None:
            if self._best_weights is None:
                raise DivergedError(
                    f"training failed: {self.ended}, before any epoch had a finite {self.args.monitor}. "
                    f"Lower train_args.learning_rate, or set train_args.gradient_clip_norm."
                )
            for weight, value in zip(self.network.weights, self._best_weights, strict=True):
                weight.assign(value)
            self.model.finish(self.train_split, self.validation_split)
        return FitResult(self.best.state["epoch"], self.best.state["value"], self.epoch, self.ended or "not over", stop)


def json_row(row: Row) -> Row:
    """A report as JSON holds it: NaN and infinity become null, since JSON has no such numbers."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


def _whole(name: str) -> str:
    return f"whole_{name}"


def _without(row: Row, names: set[str]) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _policy(mixed_precision: str) -> str:
    """
    Raises:
        SpecError: float16 where no GPU would make it faster.
    """
    if mixed_precision == "off":
        return "float32"
    if mixed_precision == "float16":
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            raise SpecError(
                "train_args.mixed_precision 'float16' needs a GPU; on a CPU it is many times slower than float32. "
                "Use 'off', or 'bfloat16' on a CPU with AVX512-BF16 or AMX."
            )
    return f"mixed_{mixed_precision}"


def _global_seed_state() -> Any:
    """The seed state of random operations that name no generator of their own, as a user's layer may hold."""
    from keras.src.random.seed_generator import global_seed_generator

    return global_seed_generator().state


def _assign(variables: list[Any], values: list[NDArray[Any]], path: Path) -> None:
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [value.shape for value in values]:
        raise RunError(f"the checkpoint {path} does not fit the network: its code has changed since. Start a new run.")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
