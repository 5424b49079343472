"""The page of one run: a self-contained HTML file that can be made again from a saved run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.verdict_documents import AnyVerdict

if TYPE_CHECKING:
    from jinja2 import Template

    from pytest_prodcheck.reports.page.first_steps import Requests
    from pytest_prodcheck.reports.page.trend_figures import Trends

HERE = Path(__file__).resolve().parent


def run_page(
    run: RunRecord,
    verdicts: Iterable[AnyVerdict],
    *,
    unicode: bool = True,
    before: RunRecord | None = None,
    charts: str = "",
    exchanges: Requests | None = None,
    trends: Trends | None = None,
) -> str:
    """The page as HTML text.

    before: the run that is compared with. charts: of loads, as HTML (`load_charts`). exchanges: of what did not pass,
    by key of evidence. trends: by check and target. unicode: for the table of writers; a page always has
    symbols.
    """
    from pytest_prodcheck.reports.page.contents import contents

    style, script = _file("page.css") + _file("../charts.css"), _file("page.js")
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:"
    return _template().render(
        page=contents(run, list(verdicts), before, charts, exchanges or {}, trends or {}),
        style=style,
        script=script,
        policy=policy,
    )


@cache
def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(_file("page.html"))


def _digest(text: str) -> str:
    """What a content security policy calls an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
