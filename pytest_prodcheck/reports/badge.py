"""A badge: the answer of the gates as a small SVG picture."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.escaping import safe_html
from pytest_prodcheck.reports.symbols import gate_words
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, status_of, views

_COLORS = {"open": "#116329", "blocked": "#b3202a", "refused": "#b3202a", "cannot-tell": "#7a3fa8"}
_CHARACTER = 7.2  # pixels of a character at 11 px, on the generous side
_MOST = 40


def run_badge(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """The worst answer of the run's gates beside the environment's name, as SVG."""
    status = next((status_of(each) for each in views(verdicts)), "cannot-tell")
    name = safe_html(run.environment, most=_MOST) or "prodcheck"
    words = gate_words(status).lower()
    left, right = (round(len(text) * _CHARACTER) + 14 for text in (name, words))
    width = left + right
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{name}: {words}">'
        f"<title>{name}: {words}</title>"
        f'<rect width="{left}" height="20" fill="#444c56"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLORS.get(status, "#7d4e00")}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{name}</text><text x="{left + right / 2}" y="14">{words}</text></g></svg>\n'
    )
