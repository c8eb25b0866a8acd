"""Charts as SVG text, for self-contained reports."""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 120, 12, 34
MOST_STEPS = 5  # from tick to tick
COLOURS = ("#3366cc", "#dc3912", "#109618", "#ff9900", "#990099", "#0099c6", "#8a5a2b", "#666666")


def line_chart(series: Mapping[str, Points], x_label: str, title: str) -> str:
    """An SVG image with one line per series of (x, y) points; points that are not finite are left out."""
    finite = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in series.items()}
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return ""
    xs, ys = zip(*(point for points in finite.values() for point in points), strict=True)
    (x_ticks, x_of), (y_ticks, y_of) = _scale(xs, LEFT, WIDTH - RIGHT), _scale(ys, HEIGHT - BOTTOM, TOP)
    parts = [f"<title>{html.escape(title)}</title>"]
    for value in y_ticks:
        y = f"{y_of(value):.1f}"
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(_text(LEFT - 6, y_of(value) + 4, f"{value:.4g}", "end"))
    parts += [_text(x_of(value), HEIGHT - BOTTOM + 15, f"{value:.4g}", "middle") for value in x_ticks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label, "middle"))
    for index, (name, points) in enumerate(finite.items()):
        colour = COLOURS[index % len(COLOURS)]
        at = [f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points]
        parts.append(f'<polyline points="{" ".join(at)}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        last_x, last_y = at[-1].split(",")
        parts.append(f'<circle cx="{last_x}" cy="{last_y}" r="2" fill="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT + 10, TOP + 12 + 14 * index, _shortened(name, 18), colour=colour))
    return _svg(WIDTH, HEIGHT, parts)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers in a range: multiples of 1, 2 or 5 times a power of ten."""
    step = 10.0 ** math.floor(math.log10((high - low) / MOST_STEPS))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= MOST_STEPS)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _scale(values: Sequence[float], start: float, end: float) -> tuple[list[float], Callable[[float], float]]:
    """Ticks, and the function from a value to its position in the image."""
    low, high = min(values), max(values)
    if low == high:
        half = max(0.5, abs(low) / 2)  # relative for large numbers, where 0.5 would be lost in rounding
        low, high = low - half, high + half
    return ticks(low, high), lambda value: start + (value - low) / (high - low) * (end - start)


def bar_chart(shares: Mapping[str, float], x_label: str) -> str:
    """Horizontal bars, one per name, from 0 to the largest."""
    if not shares:
        return ""
    left, row_px = 190, 22
    height = row_px * len(shares) + BOTTOM
    scale = (WIDTH - 100 - left) / max(*shares.values(), 1e-9)
    parts = []
    for index, (name, share) in enumerate(shares.items()):
        y, width = row_px * index, scale * share
        parts.append(_text(left - 8, y + 15, _shortened(name, 30), "end"))
        size = f'width="{max(width, 1):.1f}" height="{row_px - 8}"'
        parts.append(f'<rect x="{left}" y="{y + 4}" {size} fill="{COLOURS[0]}"/>')
        parts.append(_text(left + width + 6, y + 15, f"{share:.2f}"))
    return _svg(WIDTH, height, [*parts, _text(left, height - 6, x_label)])


def parallel_coordinates(rows: Sequence[Mapping[str, Any]], metric: str, goal: str, labels: Sequence[str]) -> str:
    """One line per row, one axis per column; better metrics are drawn stronger; "-": no value; labels on hover."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name != metric))
    varying = [name for name in columns if len({repr(row.get(name)) for row in rows}) > 1]
    if len(rows) < 2 or not varying:
        return ""
    axes = [_Axis.of(name, [row.get(name) for row in rows]) for name in [*varying, metric]]
    width = max(WIDTH, 150 * len(axes))
    step = (width - 120) / (len(axes) - 1)
    order = sorted(range(len(rows)), key=lambda index: rows[index][metric], reverse=goal == "minimize")
    parts = []
    for place, index in enumerate(order, start=1):  # the best are drawn last, on top
        strength = place / len(order)
        points = " ".join(
            f"{60 + step * x:.1f},{axis.y(rows[index].get(axis.name)):.1f}" for x, axis in enumerate(axes)
        )
        weight = f'stroke-width="{0.7 + 1.6 * strength**3:.2f}" opacity="{0.12 + 0.88 * strength**2:.2f}"'
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[0]}" {weight}>')
        parts.append(f"<title>{html.escape(labels[index])}</title></polyline>")
    for x, axis in enumerate(axes):
        parts += axis.drawn(60 + step * x)
    return _svg(width, 300, parts)


@dataclass(frozen=True)
class _Axis:
    """A vertical axis: numeric, logarithmic if the values span two decades or more, else categorical."""

    name: str
    numbers: tuple[float, float] | None
    logarithmic: bool = False
    listed: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> "_Axis":
        numeric = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        if len(numeric) == len(values) and len(set(numeric)) > 1 and all(map(math.isfinite, numeric)):
            low, high = float(min(numeric)), float(max(numeric))
            return cls(name, (low, high), low > 0 and high / low >= 100)
        return cls(name, None, listed=tuple(sorted({"-" if value is None else str(value) for value in values})))

    def y(self, value: Any) -> float:
        if self.numbers is None:
            place = self.listed.index("-" if value is None else str(value))
            return 250 - (place + 0.5) / len(self.listed) * 210
        low, high, at = (math.log(number) if self.logarithmic else number for number in (*self.numbers, float(value)))
        return 250 - (at - low) / (high - low) * 210

    def drawn(self, x: float) -> list[str]:
        marks = [(text, text) for text in self.listed] + [(f"{number:.4g}", number) for number in self.numbers or ()]
        return [
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="40" y2="250" stroke="currentColor"/>',
            _text(x, 272, _shortened(self.name.rpartition(".")[2], 22), "middle"),
            *(_text(x + 6, self.y(value) + 4, _shortened(text, 16)) for text, value in marks),
        ]


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return "\n".join([f'<svg {size} role="img" class="chart">', *parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str | None = None) -> str:
    style = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{html.escape(text)}</text>'


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
