"""LineModelCtc: reads a line frame by frame, with CTC."""

import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from text_recognizer.datasets.base import WIDTH_STEP_PX, DataSpec, Split
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.decoding.greedy import blank_frames
from text_recognizer.decoding.line_decoder import LineDecoder, Reading, TextLines
from text_recognizer.decoding.tuning import evenly_chosen
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.base import Batch, ScoredBatch, main_output
from text_recognizer.models.line_base import ReadsLines, lines_of
from text_recognizer.models.metric import Counts, Metric
from text_recognizer.models.prediction import Prediction, ReadPart
from text_recognizer.networks.base import FrameNetwork, Network
from text_recognizer.settings import given_path

TUNING_LINES = 500  # of the validation split: enough to compare weights, few enough to take seconds
# Loss of a label that no path through the frames can spell; finite, so that samples can still be ranked by loss.
IMPOSSIBLE_LOSS = 1000.0
OUTPUT_VALUES = 64 * 128 * 1024  # per batch; decoding copies them a few times


class LineModelCtc(ReadsLines):
    """Reads the text of a line without knowing the positions of its characters (CTC).

    Source: Graves, Fernández, Gomez and Schmidhuber (2006), "Connectionist temporal classification".

    Args:
        decoding: "greedy" takes the best class of every frame; "beam" searches for the best text, once training is
            over.
        beam_width: number of hypotheses in beam search.
        language_model: order of a character n-gram model that guides beam search, learnt from the training texts; null
            for none.
        lexicon: whether beam search prefers words that occur in the training texts.
        language_model_texts: a text file, one text per line, from which both are learnt instead.
        shortcut_weight: weight of the loss of a network's second reading, if it has one.
    Raises:
        SpecError: the network does not read frame by frame, or has too few frames for the longest line.
    """

    network: FrameNetwork
    xla_refuses = "the CTC loss"
    has_decoder = True
    untrainable = "more characters than the network has frames for the width"

    def __init__(
        self,
        data_spec: DataSpec,
        network: Network,
        decoding: Literal["greedy", "beam"] = "greedy",
        beam_width: Annotated[int, Ge(1), Le(1000)] = 25,
        language_model: Annotated[int, Ge(2), Le(12)] | None = None,
        lexicon: bool = False,
        language_model_texts: str | None = None,
        shortcut_weight: Annotated[float, Ge(0)] = 0.1,
    ) -> None:
        super().__init__(data_spec, network)
        if not isinstance(network, FrameNetwork):
            raise SpecError(
                f"reads lines frame by frame, which the network {type(network).__name__} does not. "
                f"Choose a network like line_reader or crnn, or another model."
            )
        if decoding != "beam" and (language_model is not None or lexicon):
            raise SpecError("a language model or a lexicon needs model_args.decoding 'beam'.")
        if language_model_texts is not None and language_model is None and not lexicon:
            raise SpecError("language_model_texts is for model_args.language_model and lexicon: set one of them.")
        self.language_model_texts = language_model_texts
        self.shortcut_weight = shortcut_weight
        width = beam_width if decoding == "beam" else None
        self.decoder = LineDecoder(data_spec.classes, width, language_model, lexicon)
        line_values = 256 * len(data_spec.classes)  # of a long line's outputs
        self.score_batch_size = min(max(OUTPUT_VALUES // line_values, 1), self.score_batch_size)
        self._check_frames()

    @property
    def output_shape(self) -> tuple[Any, ...]:
        return None, len(self.data_spec.classes)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (*super().metrics, Metric("blank_share"))

    @cached_property
    def smallest_width(self) -> int:
        widths = itertools.count(WIDTH_STEP_PX, WIDTH_STEP_PX)
        return next(width for width in widths if self.network.frames(width) >= 1)

    def loss(self, batch: Batch, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """(B,) CTC loss; with smoothing, that share of it is replaced by the frames' divergence from uniform.

        Source of the smoothing: Kim, Seltzer, Li and Zhao (2018), "Improved training for online end-to-end speech
        recognition systems".
        """
        import keras

        logits = main_output(outputs)
        frames = self._frames_in_graph(batch, logits)
        loss = ctc_loss(batch["label"], logits, batch["label_length"], frames)
        if label_smoothing:
            log_probabilities = keras.ops.log_softmax(keras.ops.cast(logits, "float32"), axis=-1)
            inside = keras.ops.arange(keras.ops.shape(logits)[1])[None, :] < frames[:, None]
            even = -keras.ops.mean(log_probabilities, axis=-1) * keras.ops.cast(inside, "float32")  # (B, T)
            loss = (1 - label_smoothing) * loss + label_smoothing * keras.ops.sum(even, axis=1)
        return loss

    def auxiliary_loss(self, batch: Batch, outputs: Any) -> Any | None:
        if not isinstance(outputs, dict) or not self.shortcut_weight:
            return None
        shortcut = outputs["shortcut"]
        frames = self._frames_in_graph(batch, shortcut)
        return self.shortcut_weight * ctc_loss(batch["label"], shortcut, batch["label_length"], frames)

    def trainable(self, split: Split) -> NDArray[np.bool_]:
        """(n,) whether each label fits into the frames of its line."""
        lines = lines_of(split)
        needed = _frames_needed(lines, range(len(lines)))
        return self._fits(needed, lines.widths) & (needed > 0)

    def untrainable_remedy(self, split: Split, left_out: NDArray[np.integer[Any]]) -> str:
        lines, (height, width, _) = lines_of(split), self.data_spec.input_shape
        widths = lines.widths[left_out]
        doubled = 2 * widths if lines.max_width is None else np.minimum(2 * widths, lines.max_width)
        fitting = int(np.count_nonzero(self._fits(_frames_needed(lines, left_out.tolist()), doubled)))
        larger = f"dataset_args.height={2 * height}" + (f" and width={2 * width}" if width is not None else "")
        remedy = f"With {larger}, {fitting:,} would fit; with" if fitting else "With"
        upright = int(np.count_nonzero(widths < height))
        squeezed = int(np.count_nonzero(widths == lines.max_width))
        turn = f"{upright:,} {'is' if upright == 1 else 'are'} higher than wide: writing must run from left to right. "
        grow = f"{squeezed:,} {'is' if squeezed == 1 else 'are'} made smaller: set dataset_args.max_width to null. "
        more = "perhaps more" if fitting else "they may fit"
        return f"{turn if upright else ''}{grow if squeezed else ''}{remedy} a network of more frames a pixel, {more}."

    def frames(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None) -> NDArray[np.int64]:
        """(B,) number of frames of outputs (B, T, classes) that show the lines, at least one."""
        count = outputs.shape[1]
        if widths is None:
            return np.full(len(outputs), count)
        return np.asarray(np.clip(self.network.frames(np.asarray(widths, np.int64)), 1, count))

    def texts(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]]) -> list[str]:
        return [self._text(label.tolist()) for label in self.decoder.labels(outputs, self.frames(outputs, widths))]

    def counts(self, scored: ScoredBatch, readings: Sequence[Prediction] | None = None) -> dict[str, Counts]:
        frames = self.frames(scored.outputs, scored.batch["width"])
        return super().counts(scored, readings) | {"blank_share": (blank_frames(scored.outputs, frames), frames)}

    def decode(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:
        """Readings; the confidence of a text is its probability over all paths through the frames that spell it."""
        frames = self.frames(outputs, widths)
        px_a_frame = np.ones(len(frames)) if widths is None else np.asarray(widths) / frames
        readings = self.decoder.read(outputs, frames, self.alternatives)
        return [self._prediction(*one) for one in zip(readings, px_a_frame.tolist(), strict=True)]

    def _prediction(self, reading: Reading, px_a_frame: float) -> Prediction:
        places = reading.alignment
        columns = zip(
            [self.data_spec.classes[one] for one in reading.label.tolist()],
            places.confidences.tolist(),
            np.rint(places.first * px_a_frame).astype(int).tolist(),
            np.rint((places.last + 1) * px_a_frame).astype(int).tolist(),
            strict=True,
        )
        return Prediction(
            self._text(reading.label.tolist()),
            _probability(places.log_probability),
            tuple((self._text(label.tolist()), _probability(value)) for label, value in reading.alternatives),
            tuple(ReadPart(*one) for one in columns),
        )

    def finish(self, train: Split, validation: Split) -> None:
        """Learns the language model and the lexicon, and tunes their weights on validation lines.

        A text known by heart would give them too much weight: the lines tuned on are learnt only afterwards.
        """
        held_out, lines, texts = lines_of(validation), lines_of(train), self._text_lines()
        learnt: TextLines | LineSplit = lines if texts is None else texts
        every = range(len(learnt))
        if not self.decoder.needs_tuning:
            self._learn(learnt, every)
            return
        most = TUNING_LINES
        if texts is None and np.isin(held_out.digests, lines.digests).any():
            most = min(most, -(-len(held_out) // 2))  # half of them must be left to learn from
        chosen = evenly_chosen(len(held_out), most)
        others = np.flatnonzero(~np.isin(lines.digests, held_out.digests[chosen])).tolist()
        if texts is not None:
            seen = lines.texts
            usual = {seen[position] for position in others}  # such as single words: the test lines have them too
            known = {held_out.text(position) for position in chosen.tolist()} - usual
            others = [position for position, text in enumerate(texts.texts) if text not in known]
        self._learn(learnt, others or every)
        scored = list(self.score(validation, chosen))
        self.decoder.tune(
            [(part.outputs, self.frames(part.outputs, part.batch["width"])) for part in scored],
            [held_out.label(position) for part in scored for position in part.positions.tolist()],
        )
        if len(others) < len(learnt):
            self._learn(learnt, every)

    def _learn(self, lines: TextLines | LineSplit, positions: Sequence[int]) -> None:
        texts = lines.texts
        self.decoder.learn([lines.label(one) for one in positions], [texts[one] for one in positions])

    def check_texts(self) -> None:
        self._text_lines()

    def _text_lines(self) -> TextLines | None:
        if self.language_model_texts is None:
            return None
        path = given_path(self.language_model_texts)
        if path.exists() and not path.is_file():  # in a foreign bundle, a device or pipe might never end
            raise DataError(f"cannot learn from the text '{path}': it is not a plain file.")
        return TextLines(path, self.data_spec.charset)

    def write_files(self, folder: Path) -> None:
        self.decoder.save(folder)

    def read_files(self, folder: Path) -> None:
        self.decoder.load(folder)

    def _frames_in_graph(self, batch: Batch, logits: Any) -> Any:
        import keras

        frames = self.network.frames(keras.ops.cast(batch["width"], "int32"))
        return keras.ops.clip(frames, 0, keras.ops.shape(logits)[1])

    def _fits(self, needed: NDArray[np.int64], widths: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        return np.asarray(needed <= self.network.frames(widths.astype(np.int64)))

    def _check_frames(self) -> None:
        """If all lines have one width, this can be checked without data."""
        width, longest = self.data_spec.input_shape[1], self.data_spec.max_length
        if width is None or longest is None or (frames := int(self.network.frames(width))) >= longest:
            return
        raise SpecError(
            f"the network {type(self.network).__name__} has {max(frames, 0)} frames for lines of {width} pixels, "
            f"but the longest line has {longest} characters, which need a frame each. {self.network.more_frames}"
        )


def _probability(log_probability: float) -> float:
    return float(np.exp(min(log_probability, 0.0)))


def ctc_loss(labels: Any, logits: Any, label_lengths: Any, frames: Any) -> Any:
    """(B,) negative logarithm of each label's probability, in keras.ops.

    Labels that need more frames than there are, and empty labels, get IMPOSSIBLE_LOSS and no gradient.

    Args:
        labels: (B, L) class ids, padded with 0.
        logits: (B, T, classes).
        label_lengths: (B,) without padding.
        frames: (B,) number of frames that show the line; later ones are ignored.
    """
    import keras

    ops = keras.ops
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "int32")
    label_lengths = ops.cast(label_lengths, "int32")
    frames = ops.cast(frames, "int32")
    repeats = ops.logical_and(labels[:, 1:] == labels[:, :-1], labels[:, 1:] > 0)
    needed = label_lengths + ops.sum(ops.cast(repeats, "int32"), axis=1)
    possible = ops.logical_and(needed <= frames, label_lengths > 0)
    # The kernels refuse impossible labels; one character in one frame replaces them, and is ignored.
    labels = ops.where(possible[:, None], ops.pad(labels, ((0, 0), (0, 1))), 1)
    losses = _ctc(labels, logits, ops.where(possible, label_lengths, 1), ops.maximum(frames, 1))
    return ops.where(possible, losses, IMPOSSIBLE_LOSS)


def _frames_needed(lines: LineSplit, positions: Iterable[int]) -> NDArray[np.int64]:
    return np.array([frames_needed(lines.label(position)) for position in positions], np.int64)


def frames_needed(label: NDArray[np.integer[Any]]) -> int:
    """The fewest frames that can spell a label: one per character, and a blank between equal neighbours."""
    return len(label) + int(np.count_nonzero(label[1:] == label[:-1]))


def _ctc(labels: Any, logits: Any, label_lengths: Any, frames: Any) -> Any:
    import keras

    from text_recognizer.networks.layers import is_on_tensorflows_cpu

    if not is_on_tensorflows_cpu():
        return keras.ops.ctc_loss(labels, logits, label_lengths, frames)
    import tensorflow as tf

    # Sparse labels use TensorFlow's compiled kernel: 12 times faster on a CPU than the graph for dense ones.
    places = tf.where(tf.sequence_mask(label_lengths, tf.shape(labels)[1]))
    sparse = tf.SparseTensor(places, tf.gather_nd(labels, places) - 1, tf.cast(tf.shape(labels), tf.int64))
    logits = tf.concat([logits[..., 1:], logits[..., :1]], axis=2)  # for this kernel, the blank is the last class
    # tf.nn.ctc_loss would trace a separate function, plus one for cuDNN, which takes a second at the start.
    return tf.compat.v1.nn.ctc_loss(sparse, logits, frames, time_major=False)
