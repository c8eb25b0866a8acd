"""Epochs: determines the ends of epochs, by steps or by time, and the learning rate."""

import time
from numbers import Real
from typing import TYPE_CHECKING, Any

from text_recognizer.recipes import ScheduleRecipe, check_built
from text_recognizer.train_args import TrainArgs
from text_recognizer.wording import counted

if TYPE_CHECKING:
    from text_recognizer.recipes import Rate

ENDLESS = 1 << 60
_TRAINED_TO_VALIDATED = 4  # seconds of training per second of validation
NOMINAL_STEPS = 1_000_000  # of a whole training, for schedules that follow the clock


class Epochs:
    """Counts the epochs and seconds of a training.

    With `minutes`, each epoch is an equal share of the time, but longer if validation is slow: it takes at most a fifth
    of the time. Validations count too, so fewer epochs may fit.

    Attributes:
        seconds: seconds of training, over all attempts.
        rate_follows_length: whether the learning rate of a step depends on the length of the training.
        state: state of the current epoch, for checkpoints.
    """

    def __init__(self, args: TrainArgs, batches_per_pass: int) -> None:
        self.seconds = 0.0
        self.rate_follows_length = False
        self.state = _state(0, 0, 0.0)
        self._number = args.epochs
        self._steps = args.steps_per_epoch or batches_per_pass
        self._budget_s = None if args.minutes is None else 60 * args.minutes
        self._counted_until = 0.0
        self._share: Any = None

    @property
    def done(self) -> int:
        return int(self.state["done"])

    @property
    def first_step(self) -> int:
        """The first step of the current epoch."""
        return int(self.state["first_step"])

    @property
    def end_step(self) -> int:
        """The latest possible end of the current epoch."""
        return self.first_step + self._steps if self._budget_s is None else ENDLESS

    @property
    def end_in_words(self) -> str:
        return "all epochs done" if self._budget_s is None else f"its time is over ({self._budget_s / 60:g} min)"

    @property
    def length_in_words(self) -> str:
        return counted(self._number, "epoch") if self._budget_s is None else f"{self._budget_s / 60:g} min"

    def start_clock(self) -> None:
        self._counted_until = time.monotonic()
        self.count_time()

    def count_time(self) -> None:
        """Adds the seconds since the last call; updates a learning rate that follows the clock."""
        now = time.monotonic()
        self.seconds += now - self._counted_until
        self._counted_until = now
        self.set_share(self.share_of_time)

    @property
    def share_of_time(self) -> float:
        """The elapsed share of the time, if the length is in minutes; otherwise 0."""
        return 0.0 if self._budget_s is None else min(1.0, self.share(0))

    def set_share(self, share: float) -> None:
        """Updates a learning rate that follows the clock."""
        if self._share is not None:
            self._share.assign(share)

    def is_over(self, step: int) -> bool:
        """Whether the current epoch ends here."""
        if self._budget_s is None:
            return step == self.end_step
        return self.seconds >= min(self._budget_s, float(self.state["began_s"]) + self._budget_s / self._number)

    def share(self, step: int) -> float:
        """The completed share of the training; 1 or more if it is finished."""
        return step / (self._number * self._steps) if self._budget_s is None else self.seconds / self._budget_s

    def begin_next(self, step: int, validated_s: float = 0.0) -> None:
        # If epochs are counted in steps, nothing in a checkpoint depends on the clock except the seconds.
        began_s = 0.0
        if self._budget_s is not None:  # after a slow validation, the epoch starts later
            began_s = self.seconds + max(0.0, _TRAINED_TO_VALIDATED * validated_s - self._budget_s / self._number)
        self.state = _state(self.done + 1, step, began_s)

    def resume(self, seconds: float, state: dict[str, Any] | None, step: int) -> None:
        """Resumes from a checkpoint; old ones have no such state. Raises ValueError: the numbers are impossible."""
        done = step // self._steps
        self.state = state or _state(done, done * self._steps, 0.0)
        self.seconds = seconds
        is_begin = self._budget_s is not None or self.first_step == self.done * self._steps
        if not is_begin or not self.done <= self.first_step <= step <= self.end_step:
            raise ValueError(f"step {step} is not of epoch {self.done + 1}, which began at step {self.first_step}")

    def build_rate(self, schedule: ScheduleRecipe, learning_rate: float) -> "Rate":
        """The optimizer's learning rate; with `minutes`, it follows the clock unless the schedule counts steps."""
        import keras

        total_steps = self._number * self._steps if self._budget_s is None else NOMINAL_STEPS
        built: Any = schedule.build(learning_rate, total_steps)
        check_built("schedule", built, callable(built) or isinstance(built, Real), "a number or a Keras schedule")
        self.rate_follows_length = callable(built) and not schedule.counts_steps
        if self._budget_s is None or not self.rate_follows_length:
            return built
        share = self._share = keras.Variable(0.0, dtype="float32", trainable=False, name="share_of_time")

        class Paced(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
            def __call__(self, _step: Any) -> Any:
                return built(share * NOMINAL_STEPS)

            def get_config(self) -> dict[str, Any]:
                return {}

        return Paced()


def _state(done: int, first_step: int, began_s: float) -> dict[str, Any]:
    return {"done": done, "first_step": first_step, "began_s": began_s}
