"""Line charts as SVG text, for reports that open without a network."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 120, 12, 34
COLOURS = ("#3366cc", "#dc3912", "#109618", "#ff9900", "#990099", "#0099c6", "#8a5a2b", "#666666")


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(series: Mapping[str, Points], x_label: str, title: str) -> str:
    """One SVG image with a line for each series.

    Args:
        series: (x, y) points by name; points that are not finite are left out.
    """
    finite = {
        name: [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])] for name, points in series.items()
    }
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return ""
    every = [point for points in finite.values() for point in points]
    x_scale = _scale([x for x, _ in every], LEFT, WIDTH - RIGHT)
    y_scale = _scale([y for _, y in every], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" class="chart">',
        f"<title>{html.escape(title)}</title>",
        *_grid(x_scale, y_scale),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{html.escape(x_label)}</text>',
    ]
    for index, (name, points) in enumerate(finite.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x_scale(x):.1f},{y_scale(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        parts += [
            f'<circle cx="{x_scale(x):.1f}" cy="{y_scale(y):.1f}" r="2" fill="{colour}"/>' for x, y in points[-1:]
        ]
        place = f'x="{WIDTH - RIGHT + 10}" y="{TOP + 12 + 14 * index}"'
        parts.append(f'<text {place} style="fill:{colour}">{html.escape(_shortened(name, 18))}</text>')
    return "\n".join([*parts, "</svg>"])


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers that cover a range: multiples of 1, 2 or 5 times a power of ten."""
    step = 10.0 ** math.floor(math.log10((high - low) / wanted))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= wanted)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _Scale(low, high, start, end)


def _grid(x_scale: _Scale, y_scale: _Scale) -> list[str]:
    parts = []
    for value in ticks(y_scale.low, y_scale.high):
        y = y_scale(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in ticks(x_scale.low, x_scale.high):
        x = x_scale(value)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{value:.4g}</text>')
    return parts


def bar_chart(shares: Mapping[str, float], x_label: str) -> str:
    """Horizontal bars, one a name, from 0 to the largest."""
    if not shares:
        return ""
    left, row = 190, 22
    height = row * len(shares) + BOTTOM
    scale = _Scale(0.0, max(max(shares.values()), 1e-9), left, WIDTH - 100)
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" class="chart">']
    for index, (name, share) in enumerate(shares.items()):
        y = row * index
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{html.escape(_shortened(name, 30))}</text>')
        parts.append(
            f'<rect x="{left}" y="{y + 4}" width="{max(scale(share) - left, 1):.1f}" height="{row - 8}" '
            f'fill="{COLOURS[0]}"/>'
        )
        parts.append(f'<text x="{scale(share) + 6:.1f}" y="{y + 15}">{share:.2f}</text>')
    parts.append(f'<text x="{left}" y="{height - 6}">{html.escape(x_label)}</text>')
    return "\n".join([*parts, "</svg>"])


def parallel_coordinates(rows: Sequence[Mapping[str, Any]], metric: str, goal: str, labels: Sequence[str]) -> str:
    """One line a row across an axis for each column; the better a row's metric, the stronger its line.

    Args:
        rows: values by column, the metric among them; a column some row lacks is shown with "-".
        labels: what a line says when pointed at.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row if name != metric))
    varying = [name for name in columns if len({repr(row.get(name)) for row in rows}) > 1]
    if len(rows) < 2 or not varying:
        return ""
    axes = [_Axis.of(name, [row.get(name) for row in rows]) for name in [*varying, metric]]
    width = max(WIDTH, 150 * len(axes))
    step = (width - 120) / (len(axes) - 1)
    order = sorted(range(len(rows)), key=lambda index: rows[index][metric], reverse=goal == "minimize")
    parts = [f'<svg viewBox="0 0 {width} 300" width="{width}" height="300" role="img" class="chart">']
    for place, index in enumerate(order):  # the best are drawn last, on top
        strength = (place + 1) / len(order)
        points = " ".join(
            f"{60 + step * x:.1f},{axis.y(rows[index].get(axis.name)):.1f}" for x, axis in enumerate(axes)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[0]}" '
            f'stroke-width="{0.7 + 1.6 * strength**3:.2f}" opacity="{0.12 + 0.88 * strength**2:.2f}">'
            f"<title>{html.escape(labels[index])}</title></polyline>"
        )
    for x, axis in enumerate(axes):
        parts += axis.drawn(60 + step * x)
    return "\n".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _Axis:
    """A vertical axis: numbers by size, on a log scale where they span two decades or more, anything else listed."""

    name: str
    numbers: tuple[float, float] | None
    logarithmic: bool
    listed: tuple[str, ...]

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> "_Axis":
        numeric = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        if len(numeric) == len(values) and len(set(numeric)) > 1 and all(math.isfinite(value) for value in numeric):
            low, high = float(min(numeric)), float(max(numeric))
            return cls(name, (low, high), low > 0 and high / low >= 100, ())
        return cls(name, None, False, tuple(sorted({_as_text(value) for value in values})))

    def y(self, value: Any) -> float:
        if self.numbers is None:
            place = self.listed.index(_as_text(value))
            return 250 - (place + 0.5) / len(self.listed) * 210
        low, high, at = (math.log(number) if self.logarithmic else number for number in (*self.numbers, float(value)))
        return 250 - (at - low) / (high - low) * 210

    def drawn(self, x: float) -> list[str]:
        parts = [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="40" y2="250" stroke="currentColor"/>']
        title = html.escape(_shortened(self.name.rpartition(".")[2], 22))
        parts.append(f'<text x="{x:.1f}" y="272" text-anchor="middle">{title}</text>')
        marks: list[tuple[float, str]]
        if self.numbers is None:
            marks = [(self.y(text), text) for text in self.listed]
        else:
            marks = [(self.y(number), f"{number:.4g}") for number in self.numbers]
        return parts + [
            f'<text x="{x + 6:.1f}" y="{y + 4:.1f}">{html.escape(_shortened(text, 16))}</text>' for y, text in marks
        ]


def _as_text(value: Any) -> str:
    return "-" if value is None else str(value)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
