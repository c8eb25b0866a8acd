"""TensorboardTracker: event files in the run folder that TensorBoard opens."""

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.predictions import loss_of
from text_recognizer.spec import flatten
from training.runs.run import Run
from training.tracking.base import Facts, Tracker

NOT_CURVES = ("epoch", "step", "time")
IMAGES = 16


class TensorboardTracker(Tracker):
    """Scalars over epochs, sample predictions as images, and the spec as hyper-parameters with the final metrics.

    `tensorboard --logdir runs` shows all runs. The files are rewritten from the run folder when a run resumes.
    """

    def start(self, run: Run) -> None:
        from tensorboardX import SummaryWriter

        self._folder = run.folder / "tensorboard" / "events"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._spec = run.spec
        self._writer = SummaryWriter(str(self._folder), flush_secs=1)

    def log(self, epoch: int, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if name not in NOT_CURVES:
                number = math.nan if value is None else value
                self._writer.add_scalar(name, number, epoch, walltime=row.get("time"))

    def log_predictions(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._show("test_predictions", epoch, rows)

    def log_examples(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._show("examples", epoch, rows)

    def _show(self, what: str, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:
        for number, row in enumerate(rows[:IMAGES], start=1):
            self._writer.add_image(f"{what}/{number}", row["image"], epoch, dataformats="HWC")
            said = f"read **{row['predicted']}**, is **{row['label']}**, loss {loss_of(row):.4f}"
            self._writer.add_text(f"{what}/{number}", said, epoch)

    def finish(self, state: str, summary: Mapping[str, float]) -> Facts:
        from tensorboardX.summary import hparams

        flat, kinds = flatten(self._spec.to_json()), (bool, int, float, str)  # types supported by TensorBoard
        spec = {key: value if isinstance(value, kinds) else str(value) for key, value in flat.items()}
        metrics = {name: value for name, value in summary.items() if value is not None}
        # Not add_hparams: it also writes the metrics as points of the curves at step 0.
        for part in hparams({**spec, "state": state}, metrics):
            self._writer.file_writer.add_summary(part)
        self._writer.close()
        return Facts(folder=str(self._folder))
