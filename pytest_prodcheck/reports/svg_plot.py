"""A small line chart as inline SVG in the page's own colours: no script, titled and described for screen readers.

Drawn here because libraries of PyPI draw much more and take much longer, measured for one chart of 900 points: pygal
loads 161 modules in 0.8 s and writes 256 kB with colours and a script of its own, ziaplot loads for 0.3 s; drawsvg
draws shapes and no charts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.escaping import safe_html

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 30, 36  # around the area in which lines are drawn
_LETTER = 6.2  # width of one of the legend's
_NUMBERS = count(1)  # ids have to differ within a page

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Line:
    """One line. kind: the class of its style. points: (x, y) in rising order, y None where there is a gap."""

    name: str
    kind: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Mark:
    """Something to point at: a dot at (x, y), a vertical line at x, a horizontal one at y; and what it is."""

    text: str
    x: float | None = None
    y: float | None = None
    kind: str = "mark"


@dataclass(frozen=True)
class Axis:
    """What an axis shows: its ends, `(value, text)` of its ticks, its title below or beside it."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str

    @classmethod
    def of(cls, highest: float, unit: str, title: str, low: float = 0.0) -> Axis:
        """From low (0) to a little above the highest value, with ticks at round numbers."""
        span = max(highest - low, 1e-6)
        rough = span / 4
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * each for each in (1, 2, 5, 10) if size * each >= rough * 0.999)
        first = math.ceil(low / step - 1e-9)
        values = [step * (first + each) for each in range(int(span * 1.06 / step) + 1)]
        return cls(low, low + span * 1.06, [(each, format_quantity(each, unit)) for each in values], title)


def steps(bins: Sequence[tuple[float, float, float | None]]) -> list[Point]:
    """The points of a line that is level within each `(start, length, value)`."""
    return [point for start, length, value in bins for point in ((start, value), (start + length, value))]


def chart(title: str, told: str, x: Axis, y: Axis, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """The chart; `told` says in words what a person sees in it."""
    number = next(_NUMBERS)
    parts = [
        f'<svg class="pc-plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="pc-t{number} pc-d{number}">',
        f'<title id="pc-t{number}">{safe_html(title)}</title><desc id="pc-d{number}">{safe_html(told)}</desc>',
        *_axes(x, y),
        *_rules(marks, x, y),
        *(f'<path class="pc-line pc-{line.kind}" d="{path(_placed(line.points, x, y))}"/>' for line in lines),
        *_dots(marks, x, y),
        *_legend(lines),
        "</svg>",
    ]
    return f'<figure class="pc-figure"><figcaption>{safe_html(title)}</figcaption>{"".join(parts)}</figure>'


def _x(value: float, axis: Axis) -> float:
    share = (value - axis.low) / (axis.high - axis.low)
    return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def _y(value: float, axis: Axis) -> float:
    share = (value - axis.low) / (axis.high - axis.low)
    return HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)


def _axes(x: Axis, y: Axis) -> Iterator[str]:
    end, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value, text in y.ticks:
        at = f"{_y(value, y):.1f}"
        yield f'<path class="pc-grid" d="M{LEFT} {at}H{end}"/>'
        yield f'<text class="pc-y" x="{LEFT - 6}" y="{at}" dy="4">{safe_html(text)}</text>'
    for value, text in x.ticks:
        at = f"{_x(value, x):.1f}"
        yield f'<path class="pc-grid" d="M{at} {TOP}V{floor}"/>'
        yield f'<text class="pc-x" x="{at}" y="{floor + 15}">{safe_html(text)}</text>'
    yield f'<text class="pc-x" x="{(LEFT + end) // 2}" y="{HEIGHT - 4}">{safe_html(x.title)}</text>'
    yield f'<text x="4" y="{TOP - 16}">{safe_html(y.title)}</text>'


def path(points: Iterable[Point]) -> str:
    """The `d` of a line through points of the drawing; one that stands alone among gaps is a dot."""
    parts: list[str] = []
    length = 0  # of the piece that is being drawn
    for right, down in points:
        if down is None:
            parts += ["h0"] if length == 1 else []
            length = 0
        else:
            parts.append(f"{'L' if length else 'M'}{right:.1f} {down:.1f}")
            length += 1
    return "".join([*parts, *(["h0"] if length == 1 else [])])


def _placed(points: Sequence[Point], x: Axis, y: Axis) -> Iterator[Point]:
    return ((_x(right, x), None if up is None else _y(up, y)) for right, up in points)


def _rules(marks: Sequence[Mark], x: Axis, y: Axis) -> Iterator[str]:
    """Lines across the area, their names beside them and below each other."""
    end, floor, below = WIDTH - RIGHT, HEIGHT - BOTTOM, TOP + 10
    for mark in marks:
        text = safe_html(mark.text)
        if mark.x is None and mark.y is not None:
            at = _y(mark.y, y)
            yield f'<path class="pc-rule pc-{mark.kind}" d="M{LEFT} {at:.1f}H{end}"/>'
            yield f'<text class="pc-halo" x="{LEFT + 4}" y="{at - 4:.1f}">{text}</text>'
        elif mark.x is not None and mark.y is None:
            right = _x(mark.x, x)
            fits = right + 5 + len(mark.text) * _LETTER < end
            yield f'<path class="pc-rule pc-{mark.kind}" d="M{right:.1f} {TOP}V{floor}"/>'
            place, where = (right + 5, "") if fits else (right - 5, " pc-y")
            yield f'<text class="pc-halo{where}" x="{place:.1f}" y="{below}">{text}</text>'
            below += 14


def _dots(marks: Sequence[Mark], x: Axis, y: Axis) -> Iterator[str]:
    """Dots, their names above to the left, where a line that rises is not, and above each other's."""
    end, before = 0.0, 0.0
    for mark in marks:
        if mark.x is not None and mark.y is not None:
            right, at = _x(mark.x, x), _y(mark.y, y)
            left = max(right - 5, LEFT + 3 + len(mark.text) * _LETTER)
            above = at - 7 if at - 7 > TOP + 8 else at + 16
            if left - len(mark.text) * _LETTER < end and abs(above - before) < 13:
                above = before - 13
            end, before = left, above
            yield f'<circle class="pc-dot pc-{mark.kind}" cx="{right:.1f}" cy="{at:.1f}" r="3.5"/>'
            if mark.text:
                yield f'<text class="pc-y pc-halo" x="{left:.1f}" y="{above:.1f}">{safe_html(mark.text)}</text>'


def _legend(lines: Sequence[Line]) -> Iterator[str]:
    """Names with a piece of each line, flush right above the area."""
    named = [line for line in lines if line.name]
    right = WIDTH - RIGHT - sum(26 + len(line.name) * _LETTER for line in named)
    for line in named:
        yield f'<path class="pc-line pc-{line.kind}" d="M{right:.1f} {TOP - 20}h16"/>'
        yield f'<text x="{right + 20:.1f}" y="{TOP - 16}">{safe_html(line.name)}</text>'
        right += 26 + len(line.name) * _LETTER
