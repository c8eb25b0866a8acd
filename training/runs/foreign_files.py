"""Reads runs from files of other trackers: MLflow's mlruns, offline runs of W&B, event files of TensorBoard, CSV."""

import contextlib
import csv
import math
import re
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from text_recognizer.json_text import parse_json_text
from text_recognizer.spec import flatten, parse_value
from text_recognizer.yaml_source import YamlSource
from training.files.json_objects import is_finite, read_regular

_STATES = {"3": "finished", "4": "failed", "FINISHED": "finished", "FAILED": "failed"}
_OWN = ("run", "step", "epoch")  # columns of a table, case-insensitive
_NO_NUMBER = ("nan", "inf", "-inf", "na")  # as written by other programs
Rows = dict[int, dict[str, Any]]


@dataclass
class ForeignRun:
    """A run of another tracker.

    Args:
        id: distinguishes it from others of the same kind.
        source: the file or folder it was read from.
        name: the user's name, which may not be unique.
        rows: values by step, and by name.
        times: seconds since 1970, as in status.json.
        summary: values without a step.
    """

    id: str
    kind: str
    source: Path
    name: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    rows: Rows = field(default_factory=lambda: defaultdict(dict))
    state: str = "finished"
    times: dict[str, float] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def add(self, step: int, name: str, value: Any, when: float | None = None) -> None:
        if not isinstance(value, bool) and isinstance(value, int | float) and 0 <= step < 10**9:
            self.rows[step][name] = value if is_finite(value) else None
            if is_finite(when):
                self.rows[step]["time"] = when

    def go_on(self, later: "ForeignRun") -> None:
        """Adds what was recorded after the run was resumed."""
        for mine, theirs in ((self.rows, later.rows), (self.params, later.params), (self.summary, later.summary)):
            mine.update(theirs)  # type: ignore[arg-type]
        self.state = later.state
        self.times |= {name: when for name, when in later.times.items() if name == "ended"}


def foreign_runs(path: Path) -> Iterator[ForeignRun]:
    """All runs in or below a path, by file format. Raises OSError, ValueError: one cannot be read."""
    if path.is_file():
        yield from _csv(path)
        return
    wandb: dict[str, ForeignRun] = {}
    for folder in sorted({path, *(one for one in path.rglob("*") if one.is_dir() and not one.is_symlink())}):
        if (folder / "meta.yaml").is_file() and (folder / "metrics").is_dir():
            yield from _mlflow(folder)
        elif events := sorted(folder.glob("*tfevents*")):
            yield _tensorboard(folder, events)
        for log in sorted(folder.glob("run-*.wandb")):
            run = _wandb(log)
            if wandb.setdefault(run.id, run) is not run:
                wandb[run.id].go_on(run)
    yield from wandb.values()


def _csv(path: Path) -> Iterator[ForeignRun]:
    """One row per report; "run" distinguishes runs, "step" or "epoch" orders rows, columns of text are settings."""
    runs: dict[str, ForeignRun] = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        file.seek(0)
        separator = max(",;\t", key=head.count)
        lines = [_cells(line, separator) for line in csv.DictReader(file, delimiter=separator)]
    metrics = {column for cells in lines for column, value in cells.items() if is_finite(value)}
    for number, cells in enumerate(lines if metrics else [], start=1):  # any text has lines, but may not be a run
        name = str(cells.pop("run", path.stem))
        run = runs.setdefault(name, ForeignRun(f"{path.stem}-{name}" if name != path.stem else name, "csv", path))
        step = cells.get("step", cells.get("epoch", number))
        for column, value in cells.items():
            if isinstance(value, str) and column not in metrics and value.lower() not in _NO_NUMBER:
                run.params[column] = value
            elif column != "step":
                run.add(
                    step if isinstance(step, int) else number, column, math.nan if isinstance(value, str) else value
                )
    yield from runs.values()


def _cells(line: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """The values of a row; if commas are not separators, they may be decimal marks."""
    texts = {name: text.strip() for name, text in line.items() if name and isinstance(text, str) and text.strip()}
    if separator != ",":
        texts = {name: re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", text) for name, text in texts.items()}
    cells = {name.lower() if name.lower() in _OWN else name: parse_value(text) for name, text in texts.items()}
    for name in ("step", "epoch"):
        if isinstance(value := cells.get(name), float) and value.is_integer():  # of a column with gaps, from pandas
            cells[name] = int(value)
    return cells


def _mlflow(folder: Path) -> Iterator[ForeignRun]:
    """The run in a folder; None if its user deleted it."""
    found = YamlSource(read_regular(folder / "meta.yaml").decode(errors="replace"), str(folder / "meta.yaml")).data
    about = found if isinstance(found, dict) else {}
    if about.get("lifecycle_stage") == "deleted":
        return
    run = ForeignRun(folder.name, "mlflow", folder, str(about.get("run_name") or "") or None)
    run.state = _STATES.get(str(about.get("status", 3)), "stopped")  # an active run will not continue here
    for ours, theirs in (("created", "start_time"), ("started", "start_time"), ("ended", "end_time")):
        if is_finite(about.get(theirs)):
            run.times[ours] = about[theirs] / 1000
    for path in _files_below(folder / "params"):
        text = read_regular(path).decode(errors="replace").strip()
        run.params[path.relative_to(folder / "params").as_posix()] = parse_value(text)
    for path in _files_below(folder / "metrics"):
        for line in read_regular(path).decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError, OverflowError):  # a partial line
                when, value, step, *_dataset = line.split()
                run.add(int(step), path.relative_to(folder / "metrics").as_posix(), float(value), int(when) / 1000)
    yield run


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _tensorboard(folder: Path, paths: list[Path]) -> ForeignRun:
    import numpy as np
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    from text_recognizer.datasets.formats.tfrecord import Damage, data_of, find_frames

    run = ForeignRun("-".join(folder.resolve().parts[-2:]), "tensorboard", folder)
    for path in paths:
        content = np.frombuffer(read_regular(path), np.uint8)
        for frame in find_frames(content):
            if isinstance(frame, Damage):
                continue
            with contextlib.suppress(ValueError, DecodeError):
                event = Event.FromString(data_of(content, frame))
                for value in event.summary.value:
                    number = _scalar(value)
                    if number is not None:
                        run.add(event.step, value.tag, number, event.wall_time)
    return run


def _scalar(value: Any) -> float | None:
    """The number in a summary: as written by TensorFlow 1 and tensorboardX, or as a tensor by TensorFlow 2."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor if value.HasField("tensor") else None
    if tensor is None or tensor.tensor_shape.dim:
        return None
    if tensor.float_val:
        return float(tensor.float_val[0])
    return struct.unpack("<f", tensor.tensor_content)[0] if len(tensor.tensor_content) == 4 else None


def _wandb(path: Path) -> ForeignRun:
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    run = ForeignRun(path.stem.removeprefix("run-"), "wandb", path, state="stopped")
    for data in _leveldb_records(read_regular(path)):
        try:
            record = Record.FromString(data)
        except DecodeError:
            continue
        if record.HasField("run"):
            run.name = record.run.display_name or None
            run.times = dict.fromkeys(("created", "started"), record.run.start_time.ToNanoseconds() / 1e9)
            _add_config(run, record.run.config.update)
        elif record.HasField("config"):
            _add_config(run, record.config.update)
        elif record.HasField("history"):
            _add_history(run, record.history)
        elif record.HasField("summary"):
            _add_summary(run, record.summary.update)
        elif record.HasField("exit"):
            run.state = "finished" if record.exit.exit_code == 0 else "failed"
            run.times["ended"] = run.times.get("created", 0.0) + record.exit.runtime
    return run


def _add_config(run: ForeignRun, items: Any) -> None:
    for item in items:
        name = item.key or ".".join(item.nested_key)
        if not name.startswith("_wandb"):
            with contextlib.suppress(ValueError):
                run.params[name] = parse_json_text(item.value_json)


def _add_history(run: ForeignRun, history: Any) -> None:
    values: dict[str, Any] = {}
    for item in history.item:
        with contextlib.suppress(ValueError):
            kind = next((kind for kind in ("number", "integer") if item.HasField(kind)), None)  # as newer clients write
            found = getattr(item, kind) if kind else parse_json_text(item.value_json) if item.value_json else None
            values[item.key or ".".join(item.nested_key)] = found
    step = values.pop("_step", history.step.num)
    when = values.pop("_timestamp", None)
    for name, value in values.items():
        if not name.startswith("_") and isinstance(step, int):
            run.add(step, name, value, when)


def _add_summary(run: ForeignRun, items: Any) -> None:
    for item in items:
        with contextlib.suppress(ValueError):
            name = item.key or ".".join(item.nested_key)
            values = flatten({name: parse_json_text(item.value_json)})
            run.summary |= {key: value for key, value in values.items() if not key.startswith("_")}


def _leveldb_records(content: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format: blocks of 32 KiB, across which a record may be split.

    Source: https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    block, head, at = 32768, 7, 7  # W&B's own header is in the place of a record's
    parts: list[bytes] = []
    while at + head <= len(content):
        if block - at % block < head:
            at += block - at % block
            continue
        size, kind = struct.unpack_from("<HB", content, at + 4)
        if kind in (1, 2):
            parts = []
        parts.append(content[at + head : at + head + size])
        at += head + size
        if kind in (1, 4):
            yield b"".join(parts)
        elif kind == 0:
            return


def summary_of(run: ForeignRun) -> Mapping[str, float]:
    """The last value of each metric, overridden by the user's summary."""
    last: dict[str, float] = {}
    for row in (*(row for _, row in sorted(run.rows.items())), run.summary):
        last |= {name: value for name, value in row.items() if is_finite(value)}
    return {name: value for name, value in last.items() if name not in ("time", "epoch", "step")}
