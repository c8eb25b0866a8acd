"""Plain-text tables, for people and for cut, sort and grep."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for line in table_lines(columns, rows):
        print(line)


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned columns, numbers right-aligned; not limited in width, so that it can be cut and searched."""
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pads = [str.rjust if rows and all(map(_is_number, column)) else str.ljust for column in zip(*rows, strict=True)]
    for line in lines:
        cells = zip(pads or [str.ljust] * len(widths), line, widths, strict=True)
        yield "  ".join(pad(cell, width) for pad, cell, width in cells).rstrip()


def shown(column: str, value: Any) -> str:
    """A value of a column as text."""
    if value is None:
        return "-"
    if column == "created":
        return f"{datetime.fromtimestamp(value):%Y-%m-%d %H:%M:%S}"
    if column == "duration_s":
        minutes, seconds = divmod(int(value), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 1e15 or value == 0 else f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def test_results(summary: Mapping[str, Any]) -> str:
    """The test metrics of a run in words; empty without any."""
    return ", ".join(f"{name} {shown(name, value)}" for name, value in summary.items() if name.startswith("test_"))


def wide_console() -> "Console":
    """A Rich console; for a file or a pipe, so wide that no line is wrapped."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # whatever COLUMNS says, which shells export
        console.width = 10_000
    return console


def show_live(draw: Callable[[], "RenderableType"], every_s: float, console: "Console") -> None:
    """Draws and shows something at intervals, until Ctrl-C."""
    from rich.live import Live

    with contextlib.suppress(KeyboardInterrupt), Live(draw(), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            live.update(draw(), refresh=True)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True
