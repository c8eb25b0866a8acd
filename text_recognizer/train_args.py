"""The `train_args` of a spec. The names are the usual ones; every key has an effect."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when a metric has not improved for some epochs.

    Args:
        monitor: a metric of metrics.jsonl; null means the monitor of train_args.
        patience: epochs without an improvement before training stops.
        min_delta: a smaller change is no improvement.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, not a field

    monitor: str | None = None
    patience: Annotated[int, Ge(1)] = 3
    min_delta: Annotated[float, Ge(0)] = 0.0


@dataclass(frozen=True)
class TrainArgs:
    """How a network is trained.

    Args:
        batch_size: images per step; the last batch of a pass may be smaller.
        epochs: an epoch is one pass over the training split, or `steps_per_epoch` batches.
        minutes: time for the training with its validations; schedules follow the clock instead of steps. An epoch is
            then minutes / epochs long, or four times as long as the last validation took. The last validation and the
            evaluation come on top.
        steps_per_epoch: batches per epoch; the order of the data continues where the last epoch ended.
        optimizer, optimizer_args: see `text-recognizer list optimizers`.
        learning_rate: null means the optimizer's usual one.
        schedule, schedule_args: how the learning rate changes; see `text-recognizer list schedules`.
        weight_decay: decoupled, as in AdamW (Loshchilov and Hutter 2019); null means the optimizer's usual one.
        gradient_clip_norm: largest norm of all gradients together.
        gradient_clip_value: largest absolute value of a single gradient.
        monitor: the metric that selects the best weights; each metric declares whether larger is better.
        early_stopping: null trains all epochs.
        augmentation, augmentation_args: random changes of training images, inside the training graph.
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016).
        average_decay: decay of running averages of the weights, which validation, evaluation and bundles then use:
            0.999 forgets half of a value in 700 steps. It rises to its value as training begins. null keeps no
            averages.
        initial_weights: a run (folder, id, start of an id, or "last") or a bundle whose weights training starts from;
            null starts from random weights. The outputs of a class go to the class with the same text, so an alphabet
            can be extended.
        mixed_precision: dtype of the computation; weights stay float32. "auto" takes bfloat16 on GPUs of compute
            capability 8.0, "off" elsewhere. "bfloat16" is used on these and on processors with AMX, which not every
            network is faster on.
        jit_compile: compile the step with XLA. Slower for convolutions on CPUs; measure. Pooling needs
            `deterministic` to be false, and CTC cannot be compiled.
        distribution: "mirrored" divides every batch among all leased GPUs, with one device's numbers up to rounding;
            null does so where several GPUs are leased. Without a GPU it means the logical CPU devices. "multi_worker"
            divides it among the processes that TF_CONFIG or srun names; each runs the same command.
        checkpoint_interval_s: seconds of training that a crash may cost; 0 writes after every group of steps.
        examples_every: epochs between two example predictions with images, which trackers show; 0 for none.
        deterministic: same numbers on every run of the same machine; slower on some GPUs.
    """

    batch_size: Annotated[int, Ge(1)] = 64
    epochs: Annotated[int, Ge(1)] = 16
    minutes: Annotated[float, Gt(0)] | None = None
    steps_per_epoch: Annotated[int, Ge(1)] | None = None
    optimizer: str = "adam"
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    learning_rate: Annotated[float, Gt(0)] | None = None
    schedule: str = "constant"
    schedule_args: dict[str, Any] = field(default_factory=dict)
    weight_decay: Annotated[float, Ge(0)] | None = None
    gradient_clip_norm: Annotated[float, Gt(0)] | None = None
    gradient_clip_value: Annotated[float, Gt(0)] | None = None
    monitor: str = "val_loss"
    early_stopping: EarlyStopping | None = None
    augmentation: str = "none"
    augmentation_args: dict[str, Any] = field(default_factory=dict)
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    average_decay: Annotated[float, Gt(0), Lt(1)] | None = None
    initial_weights: str | None = None
    mixed_precision: Literal["auto", "off", "bfloat16", "float16"] = "auto"
    jit_compile: bool = False
    distribution: Literal["one_device", "mirrored", "multi_worker"] | None = None
    checkpoint_interval_s: Annotated[float, Ge(0)] = 60.0
    examples_every: Annotated[int, Ge(0)] = 1
    deterministic: bool = True
