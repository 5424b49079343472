"""What the checks of this folder share: how findings are recorded, and which answers say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_prodcheck import judge
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.judging.headers.findings import Findings
    from pytest_prodcheck.records import Page


def record(what: str, found: Findings, of: str) -> None:
    """Records one object's findings: what takes the protection away fails, what weakens it warns."""
    judge(what, not found.failed, of=of, reason="; ".join(found.failed))
    if found.warned:
        judge(f"weak {what}", False, of=of, warn_only=True, reason="; ".join(found.warned))


def answered(pages: Iterable[Page], html: bool = False) -> list[Page]:
    """The pages that can be judged; raises EvidenceProblem where there is none (none of HTML)."""
    found = [page for page in pages if (page.is_html if html else page.answered)]
    if not found:
        hint = 'leave out html = true, or declare an endpoint with content_type = "text/html"'
        raise EvidenceProblem(
            Problem("protocol", f"none of the answers is {'an HTML page' if html else 'one'}", hint if html else "")
        )
    return found


def insist_on_all(pages: Iterable[Page]) -> None:
    """Raises EvidenceProblem for pages that a limiter refused or that crashed: they could not be judged."""
    silent = [f"{page.name} answered {page.exchange.status}" for page in pages if not page.answered]
    if silent:
        raise EvidenceProblem(Problem("protocol", f"{', '.join(silent[:5])}: this answer cannot be checked"))
