"""Extracts records into image files and a table."""

import csv
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from text_recognizer.datasets.records.reading import Shard, sound_pictures
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.images.read import png_bytes
from text_recognizer.whole_files import new_folder, replace_file

TABLE = "images.csv"
_FILES_A_FOLDER = 1000


def extract_records(shards: Sequence[Shard], folder: Path, limit: int | None = None) -> tuple[int, list[Rejected]]:
    """Writes grey PNG files and images.csv, which ImageFolderDataset and LineListDataset read.

    Args:
        limit: maximum number of images.
    Returns:
        the number of images written, and the records that could not be.
    Raises:
        DataError: the folder is not empty, or cannot be written; then everything written is removed.
    """
    rejected: list[Rejected] = []
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(["path", "label", "split", "writer", "record"])
    count = 0
    with new_folder(folder):
        for shard, record, picture in islice(sound_pictures(shards, rejected), limit):
            file = folder / "images" / str(count // _FILES_A_FOLDER) / f"{count}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png_bytes(picture))
            path = file.relative_to(folder).as_posix()
            rows.writerow([path, record.text, shard.split or "", record.group, record.name])
            count += 1
        replace_file(folder / TABLE, table.getvalue())
    return count, rejected
