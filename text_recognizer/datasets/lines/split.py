"""LineSplit: the lines of one split, read in batches from the memory-mapped store."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import tidy_text
from text_recognizer.datasets.base import DataSpec, Split
from text_recognizer.datasets.lines.pool import LinePool

Positions = NDArray[np.integer[Any]]


@dataclass(eq=False, repr=False)
class LineSplit(Split):
    """Images of one height and different widths, with one text each.

    Args:
        pool: all stored lines.
        members: (n,) positions of those in this split, in order.
        labels: concatenated class ids of all stored lines.
        label_offsets: (N + 1,) start of each label.
        data_spec: has the width of all images, if they have one, and the polarity of the ink.
        max_width: to which wider lines were made smaller, in pixels; None if unknown or none were.
    """

    pool: LinePool
    members: Positions
    labels: NDArray[np.int32]
    label_offsets: NDArray[np.int64]
    data_spec: DataSpec
    max_width: int | None = None

    def __len__(self) -> int:
        return len(self.members)

    def batch(self, positions: Positions) -> dict[str, NDArray[Any]]:
        """Four columns; images are padded on the right to the widest of the batch, or to the dataset's fixed width.

        Returns:
            "image" (B, H, W, 1) uint8, "width" (B,) int32 before padding, "label" (B, L) int32 padded with 0 to the
            longest of the batch, "label_length" (B,) int32.
        """
        rows = self.members[positions]
        widths = self.pool.widths[rows]
        height, pixels = self.pool.height, self.pool.pixels
        shape = (len(rows), height, self.data_spec.input_shape[1] or int(widths.max(initial=1)))
        images = np.full(shape, self.data_spec.background, np.uint8)
        for image, start, width in zip(images, self.pool.starts[rows].tolist(), widths.tolist(), strict=True):
            image[:, :width] = pixels[start : start + height * width].reshape(height, width)
        starts = self.label_offsets[rows]
        lengths = self.label_offsets[rows + 1] - starts
        columns = np.arange(lengths.max(initial=0))
        inside = columns < lengths[:, None]  # (B, L)
        places = np.where(inside, starts[:, None] + columns, 0)
        labels = np.where(inside, self.labels[places], 0) if len(self.labels) else np.zeros(inside.shape)
        return {
            "image": images[..., None],
            "width": widths.astype(np.int32),
            "label": labels.astype(np.int32),
            "label_length": lengths.astype(np.int32),
        }

    def image(self, position: int) -> NDArray[np.uint8]:
        """The image (H, W, 1) of one line, without padding."""
        return self.pool.picture(int(self.members[position]))[..., None]

    def text(self, position: int) -> str:
        """The text of the line, normalised; characters outside the charset included."""
        return tidy_text(self.pool.texts[int(self.members[position])], self.data_spec.normalization)

    @property
    def texts(self) -> list[str]:
        """(n,) texts of the lines."""
        return [tidy_text(text, self.data_spec.normalization) for text in self.pool.texts.take(self.members)]

    @property
    def ids(self) -> list[str]:
        """(n,) names of the samples."""
        return self.pool.names.take(self.members)

    @property
    def groups(self) -> list[str] | None:
        """(n,) the writer or page of each line; None if unknown. For intervals by writer."""
        groups = self.pool.groups.take(self.members)
        return groups if any(groups) else None

    @cached_property
    def widths(self) -> NDArray[np.int32]:
        """(n,) widths in pixels, without padding."""
        return self.pool.widths[self.members]

    @property
    def digests(self) -> NDArray[np.uint64]:
        """(n,) hashes of the images."""
        return self.pool.hashes[self.members]

    def label(self, position: int) -> NDArray[np.int32]:
        """(L,) class ids of one line."""
        row = self.members[position]
        return self.labels[self.label_offsets[row] : self.label_offsets[row + 1]].astype(np.int32)
