"""What decided a gate, on its page: each finding in two lines and its first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pytest_prodcheck.outcomes import Result
from pytest_prodcheck.reports.banner import grouped
from pytest_prodcheck.reports.dependent_failures import split_followers
from pytest_prodcheck.reports.escaping import safe_html, safe_lines
from pytest_prodcheck.reports.measurement_text import reason_texts
from pytest_prodcheck.reports.page.first_steps import EXAMPLE, Step
from pytest_prodcheck.reports.symbols import outcome_symbol
from pytest_prodcheck.reports.verdict_documents import View, subject

SHOWN = 4  # findings that are shown at once; the others are folded
_LONGEST = 240  # characters of the reason
_TELLING = 40  # characters from which a reason that comes twice is the same one
_TARGETS = 5  # of one check that are named
Steps = Callable[[str, Result | None], Step | None]  # of a runbook and a result


def findings_html(
    findings: Iterable[View],
    results: Mapping[tuple[str, str], Result],
    places: Mapping[tuple[str, str], int],
    steps: Steps,
) -> str:
    """The findings as a list; results and places: by check and target, as they stand on the page."""
    own, _ = split_followers(list(findings))
    told: set[str] = set()  # reasons: what was said once is not said again
    items = [f"<li>{_item(alike, results, places, steps, told)}</li>" for alike in _alike(own)]
    if not items:
        return ""
    left = len(items) - SHOWN
    more = f"<details><summary>and {left} more</summary><ul>{''.join(items[SHOWN:])}</ul></details>" if left > 0 else ""
    return f"<ul>{''.join(items[:SHOWN])}</ul>{more}"


def _alike(findings: Iterable[View]) -> list[list[list[View]]]:
    """The findings of each check and target, those of one check together where nothing else differs."""
    found: dict[object, list[list[View]]] = {}
    for group in grouped(findings):
        names = ("check", "outcome", "severity", "owner", "runbook", "ticket", "expires")
        key = tuple(map(group[0].raw, names)) if group[0].raw("check") else id(group[0])
        found.setdefault(key, []).append(group)
    return list(found.values())


def _item(
    alike: list[list[View]],
    results: Mapping[tuple[str, str], Result],
    places: Mapping[tuple[str, str], int],
    steps: Steps,
    told: set[str],
) -> str:
    first = alike[0][0]
    result = results.get((first.raw("check"), first.raw("target")))
    texts = safe_lines(result.reason) if result is not None and result.reason else []
    texts = texts or [text for each in alike[0] for text in reason_texts(each.data)]
    texts = [each.strip().removeprefix("| ") for each in texts]
    reason = f"{texts[0][:_LONGEST]}{'…' if len(texts[0]) > _LONGEST else ''}" if texts else ""
    if not first.text("check"):
        return safe_html(reason)
    mark = f'<span aria-hidden="true">{outcome_symbol(first.raw("outcome"))}</span> ' if first.raw("outcome") else ""
    facts = [safe_html(first.text("severity"))] if first.text("severity") else []
    facts += [f"{label} {safe_html(first.text(name))}" for label, name in _FACTS if first.text(name)]
    lines = [f'{mark}<b>{_named(alike, places)}</b> <span class="pc-dim">{" · ".join(facts)}</span>']
    if len(reason) > _TELLING and reason in told:
        return "<br>".join([*lines, "for the same reason"])
    told.add(reason)
    step = _first_step(first.raw("runbook"), texts, result, steps)
    if EXAMPLE in step and any(_OWN in each for each in told):  # a step that can be pasted stands above
        step = ""
    if step and step in told:
        step = '<span class="pc-dim">first step: as above</span>'
    told.add(step)
    return "<br>".join(filter(None, [*lines, safe_html(reason), step]))


def _named(alike: list[list[View]], places: Mapping[tuple[str, str], int]) -> str:
    """The check, and its targets as links to their results."""
    heads = [each[0] for each in alike]
    shown = []
    for number, each in enumerate(heads[:_TARGETS]):
        target = each.text("target")
        text = safe_html(target if number else subject(each.text("check"), target))
        place = places.get((each.raw("check"), each.raw("target")))
        shown.append(text if place is None else f'<a href="#r{place}">{text}</a>')
    more = f" and {len(heads) - _TARGETS} more" if len(heads) > _TARGETS else ""
    return ", ".join(shown) + more


_FACTS = (("owner", "owner"), ("ticket", "ticket"), ("waived until", "expires"))


def _first_step(runbook: str, texts: list[str], result: Result | None, steps: Steps) -> str:
    """The request once more, the team's own page, or what the bundled runbook begins with."""
    repeat = next((each for each in texts if each.startswith("curl ")), "")
    if repeat:
        return _command(Step(repeat, "first step:"))
    if runbook.lower().startswith(("https://", "http://")):
        shown = safe_html(runbook)
        return f'<span class="pc-dim">first step:</span> <a href="{shown}" rel="noopener noreferrer">{shown}</a>'
    step = steps(runbook, result)
    if step is None:
        return f'<span class="pc-dim">how to fix:</span> {safe_html(runbook)}' if runbook else ""
    return _command(step)


_OWN = ">first step:</span> <code"  # of a command with the names of this run


def _command(step: Step) -> str:
    """On lines of its own, which are not broken: they can be copied, and scrolled where they are long."""
    lines = "\n".join(safe_html(each, most=1000) for each in step.command.splitlines())
    return f'<span class="pc-dim">{step.label}</span> <code class="command" tabindex="0">{lines}</code>'
