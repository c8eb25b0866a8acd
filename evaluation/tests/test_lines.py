import numpy as np
import pytest

from evaluation.evaluate import measure
from evaluation.lines import extras
from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.models.base import ScoredBatch
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.line_reader import LineReader


class Scored(LineModelCtc):
    """Knows the losses of its lines beforehand."""

    def __init__(self, losses, trainable):
        super().__init__(DataSpec((20, None, 1), ("", "a"), "line"), LineReader())
        self.losses, self.fits = losses, trainable

    def trainable(self, split):
        return np.array(self.fits)

    def score(self, split, chosen=None):
        positions = np.arange(len(self.losses))
        outputs = np.zeros((len(positions), 4, 2), np.float32)
        batch = {"width": np.full(len(positions), 16)}
        yield ScoredBatch(split, positions, batch, outputs, np.array(self.losses, np.float32))


class Lines(LineSplit):
    groups: list[str] | None = None

    def __init__(self):
        pass

    def text(self, position):
        return "a"

    def __len__(self):
        return 4


def test_a_large_loss_counts_and_only_that_of_lines_without_frames_does_not():
    model = Scored([80, 95, 1400, 1000], [True, True, True, False])
    assert measure(model, Lines())["loss"] == pytest.approx(525)
    assert np.isnan(measure(Scored([1000] * 4, [False] * 4), Lines())["loss"])
    assert np.isnan(measure(Scored([80, np.nan, 3, 4], [True] * 4), Lines())["loss"])


def test_what_is_said_of_lines_names_the_profile_and_what_is_independent():
    rows = [{"position": at, "label": "ab", "predicted": text} for at, text in enumerate(("ab", "ax"))]
    model, split = Scored([1], [True]), Lines()
    split.groups = ["one", "two"]
    details = extras(model, split, rows)["details"]
    assert (details["profile"], details["resampled"]) == ("corpus", "2 groups")
    assert details["profiles"]["fsdl"] == {"character_accuracy": 0.75}
    for groups in (None, ["one", "one"], ["one", "one", "two"]):  # the third line was not chosen
        split.groups = groups
        assert extras(model, split, rows)["details"]["resampled"] == "lines"
