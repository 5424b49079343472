"""What people are told of a run: a title, a few lines, and how grave it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.symbols import gate_symbol, gate_words
from pytest_prodcheck.reports.verdict_documents import (
    LEVELS,
    AnyVerdict,
    View,
    first_line,
    level_of,
    moment,
    status_of,
    subject,
    views,
)

MOST_REASONS = 5
_LONGEST = 300  # characters of a reason
# what chats take for a mention, a link or markup of theirs
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "@": "＠", "`": "'"})


@dataclass(frozen=True)
class Message:
    """One message; `recovery`: a gate is open again."""

    title: str
    body: str
    level: str
    recovery: bool = False


def message(run: RunRecord, told: Sequence[AnyVerdict], before: Mapping[str, int | None]) -> Message | None:
    """What to tell of these verdicts; before: gate -> the code it had the last time. None where there is nothing."""
    shown = views(told)
    if not shown:
        return None
    where = " ".join(filter(None, (run.environment, run.unit, run.slot)))
    heads = ", ".join(f"{gate_words(status_of(each))} {_short(each.raw('gate'))}" for each in shown)
    lines = [f"revision {_short(run.revision)}"] if run.revision else []
    for each in shown:
        lines += _gate(each, before.get(each.raw("gate")))
    lines.append(f"run {_short(run.id)}, ended {moment(run.ended_at)}")
    level = max((level_of(each) for each in shown), key=LEVELS.index)
    recovery = any(each.number("code") == 0 and before.get(each.raw("gate")) not in (0, None) for each in shown)
    about = f"{run.project} {where}" if run.project else where
    return Message(_plain(f"{_short(about)}: {_short(heads)}"), _plain("\n".join(lines)), level, recovery)


def _gate(verdict: View, before: int | None) -> Iterable[str]:
    status = status_of(verdict)
    known = {0: "open", 1: "blocked", 2: "usage-error", 3: "cannot-tell", 4: "refused"}
    was = f" (was {gate_words(known[before]).lower()})" if before in known else ""
    yield f"{gate_symbol(status)} {gate_words(status)}: {_short(verdict.raw('gate'))}{was}"
    found = [*verdict.views("reasons"), *verdict.views("warnings")]
    for each in found[:MOST_REASONS]:
        about = subject(each.raw("check"), each.raw("target"))
        yield f"- {_short(about) + ': ' if about else ''}{_short(first_line(each.raw('text')))}"
        if each.raw("runbook"):
            yield f"  how to fix: {_short(each.raw('runbook'))}"
    if len(found) > MOST_REASONS:
        yield f"and {len(found) - MOST_REASONS} more"


def _short(text: str) -> str:
    return safe(text, most=_LONGEST)


def _plain(text: str) -> str:
    return text.translate(_HARMLESS)
