"""A trend as a small inline SVG: no script, in the page's own colours, its text the same for who does not see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.reports.escaping import safe_html
from pytest_prodcheck.reports.measurement_text import value_text
from pytest_prodcheck.reports.svg_plot import Point, path
from pytest_prodcheck.reports.trends import Trend

WIDTH, HEIGHT = 320, 92
_LEFT, _RIGHT, _TOP, _FLOOR = 6, 314, 18, 70  # of the area in which lines are drawn
_MARKED = {str(Outcome.FAILED): "failed", str(Outcome.WARNED): "knee"}


def trend_svg(trend: Trend) -> str:
    """Runs side by side, whatever the time between them, the limit as it was in each; no value is a gap."""
    low, high = _ends([each for each in (*trend.values, *trend.limits) if each is not None])
    step = (_RIGHT - _LEFT) / max(1, len(trend.points) - 1)

    def down(value: float) -> float:
        return _FLOOR - (value - low) / (high - low) * (_FLOOR - _TOP)

    def spots(found: Sequence[float | None]) -> list[Point]:
        return [(_LEFT + step * place, None if each is None else down(each)) for place, each in enumerate(found)]

    values, limits = spots(trend.values), spots(trend.limits)
    parts = [
        f'<svg class="pc-plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{safe_html(trend.told())}">',
        f'<path class="pc-grid" d="M{_LEFT} {_FLOOR}H{_RIGHT}"/>',
        f'<path class="pc-rule pc-limit" d="{path(limits)}"/><path class="pc-line pc-p95" d="{path(values)}"/>',
        *_marks(trend, values),
        *_texts(trend, *([each for _, each in found if each is not None] for found in (values, limits))),
    ]
    return "".join([*parts, "</svg>"])


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the most of the scale, which holds 0."""
    low, high = min([0.0, *values]), max([0.0, *values])
    return low, high if high > low else low + 1.0


def _marks(trend: Trend, values: Sequence[Point]) -> Iterator[str]:
    """Dots where it did not pass, a stroke at the floor where there is no value."""
    for each, (right, at) in zip(trend.points, values, strict=True):
        if at is None:
            yield f'<path class="pc-line pc-p99" d="M{right:.1f} {_FLOOR - 6}v6"/>'
        elif each.outcome in _MARKED:
            yield f'<circle class="pc-dot pc-{_MARKED[each.outcome]}" cx="{right:.1f}" cy="{at:.1f}" r="3"/>'


def _texts(trend: Trend, values: Sequence[float], limits: Sequence[float]) -> Iterator[str]:
    """The limit where it is farther from the line, the first and the last value below."""
    if trend.limit and values:
        at_left = abs(values[0] - limits[0]) > abs(values[-1] - limits[-1])
        anchor, place, height = ("", _LEFT, limits[0]) if at_left else (" pc-y", _RIGHT, limits[-1])
        yield f'<text class="pc-halo{anchor}" x="{place}" y="{max(height - 4, 11):.1f}">{safe_html(trend.limit)}</text>'
    if shown := [safe_html(value_text(each, trend.unit)) for each in trend.measured]:
        yield f'<text x="{_LEFT}" y="{HEIGHT - 5}">first {shown[0]}</text>'
        yield f'<text class="pc-y" x="{_RIGHT}" y="{HEIGHT - 5}">last {shown[-1]}</text>'
