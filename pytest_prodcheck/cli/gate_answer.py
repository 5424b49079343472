"""Tells a gate's answer. Light: an open verdict is told here, every other by the one renderer of the reports."""

from __future__ import annotations

import os
import sys

from pytest_prodcheck.gates.decision import Decision
from pytest_prodcheck.gates.verdict_files import Document, VerdictQuery, age, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_WORDS = {0: "OPEN", 1: "BLOCKED", 2: "USAGE ERROR", 3: "CANNOT TELL", 4: "REFUSED"}
_SYMBOLS = {0: "🟢", 1: "⛔", 2: "🔧", 3: "❓", 4: "🚫"}  # as reports.symbols has them
_OUTCOMES = ("passed", "warned", "failed", "skipped", "errored")


def print_answer(
    decision: Decision, ask: VerdictQuery, now: float, *, form: str = "text", explain: bool = False
) -> None:
    """Prints the answer; a reader who went away or a full disk behind stdout does not change the exit code."""
    text = as_json(decision) if form == "json" else as_text(decision, ask, now, explain=explain)
    try:
        stream = sys.stderr if decision.code == 2 and form == "text" else sys.stdout
        print(text, file=stream, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    except UnicodeEncodeError:
        print(text.encode("ascii", "backslashreplace").decode(), flush=True)


def as_json(decision: Decision) -> str:
    """One JSON document: code, why, overrides, and the verdict if it can be trusted."""
    import json

    from pytest_prodcheck.reports.escaping import safe_json

    text = json.dumps(
        {
            "schema": "prodcheck-answer/1",
            "code": decision.code,
            "without_override": decision.closed,
            "reasons": [{"code": code, "text": text} for code, text in decision.reasons],
            "says": decision.says,
            "overrides": decision.overrides,
            "verdict": decision.document,
        },
        indent=1,
    )
    return safe_json(text)


def as_text(decision: Decision, ask: VerdictQuery, now: float, *, explain: bool = False) -> str:
    """The lines for a person."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    document = decision.document
    color = _takes_color(sys.stderr if decision.code == 2 else sys.stdout)
    told = _told_by_verdict(decision, explain)
    lines = [] if told else [headline(decision.closed, ask, unicode=unicode, color=color)]
    lines += [f"  {safe(text)}" for _, text in decision.reasons]
    if document is not None and (explain or told):
        lines.append(_rendered(document, explain=explain, unicode=unicode, color=color))
    elif document is not None and decision.closed == 0:
        lines += _open_lines(document, ask.max_age, now)
    elif decision.closed in (3, 4):
        lines.append(f"  run the checks again with: {_command_of_run(ask)}")
    lines += [f"  {safe(each)}" for each in decision.says]
    for each in decision.overrides:
        lines.append(f"{'🔓 ' if unicode else ''}OVERRIDE: the closed gate is opened anyway, {safe(each)}")
    return "\n".join(lines)


def _takes_color(stream: TextIO) -> bool:
    """The rule of all output; nothing is imported for an answer in plain text."""
    if not os.environ.get("FORCE_COLOR") and not stream.isatty():
        return False
    from pytest_prodcheck.reports.symbols import takes_color

    return takes_color(stream)


def headline(code: int, ask: VerdictQuery, *, unicode: bool, color: bool = False) -> str:
    """The answer in one line."""
    scope = "".join(
        f", {name} {value}"
        for name, value in (("unit", ask.unit), ("slot", ask.slot), ("revision", ask.revision))
        if value
    )
    words = (_SYMBOLS.get(code, "") + " " if unicode else "") + _WORDS.get(code, "CANNOT TELL")
    if color:
        from pytest_prodcheck.reports.symbols import STATUSES, gate_color, paint

        words = paint(words, gate_color(STATUSES.get(code, "")), on=True)
    return f"{words}  {safe(f'{ask.gate} of {ask.environment}{scope}')}"


def safe(text: str) -> str:
    """Text from elsewhere, without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def _told_by_verdict(decision: Decision, explain: bool) -> bool:
    """Whether the verdict's own text has the headline: what it says is what is answered."""
    document, closed = decision.document, decision.closed
    return document is not None and document["code"] == closed and (explain or closed != 0)


def _open_lines(document: Document, max_age: float | None, now: float) -> list[str]:
    counts, skips = document["counts"], document["skips"]
    assert isinstance(counts, dict)
    assert isinstance(skips, dict)
    found = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES if counts.get(outcome))
    oldest, ends = number_of(document["oldest_evidence"]), number_of(document["expires_at"])
    times = [] if oldest is None else [f"oldest evidence {age(max(0.0, now - oldest))} old"]
    if max_age is not None and oldest is not None and ends is not None:
        ends = min(ends, oldest + max_age)
    times += [] if ends is None else [f"valid for another {age(ends - now)}"]
    lines = [f"  {found or 'nothing was judged'}; {', '.join(times)}; run {safe(str(document['run']))}"]
    observation = document["observation"]
    if isinstance(observation, dict):
        status, until = observation.get("status"), observation.get("until")
        lines.append(f"  OBSERVED ONLY until {until}: without observe_until the answer would be {status}")
        lines += _texts("would block", document["reasons"])
    for name, title in (("warnings", "warning"), ("waived", "waived"), ("notes", "note")):
        lines += _texts(title, document[name])
    for reason, each in sorted(skips.items()):
        if reason == "not-configured":
            where = safe(str(document["environment"]))
            told = f"{len(each)} not declared (prodcheck doctor --env {where} lists them)"
            lines.append(f"  skipped: {told}")
        else:
            lines.append(f"  skipped, {safe(reason)}: {safe(', '.join(map(str, each)))}")
    for name, title in (("limits_off", "limits off"), ("unverified", "TLS not verified"), ("overrides", "override")):
        listed = document[name]
        if isinstance(listed, list) and listed:
            lines.append(f"  {title}: {safe(', '.join(map(str, listed)))}")
    return lines


def _texts(title: str, findings: object) -> list[str]:
    lines = []
    for each in findings if isinstance(findings, list) else []:
        if isinstance(each, dict):
            where = f"{each.get('check')} on {each.get('target')}: " if each.get("check") else ""
            until = f" (until {each['expires']}, {each.get('ticket')})" if each.get("expires") else ""
            lines.append(f"  {title}: {safe(where + str(each.get('text')) + until)}")
    return lines


def _rendered(document: Document, *, explain: bool, unicode: bool, color: bool) -> str:
    from pytest_prodcheck.reports.text import verdict_text

    return verdict_text(document, explain=explain, unicode=unicode, color=color).rstrip("\n")


def _command_of_run(ask: VerdictQuery) -> str:
    words = ["prodcheck run", ask.gate, "--env", ask.environment]
    for name, value in (("--unit", ask.unit), ("--slot", ask.slot), ("--revision", ask.revision)):
        words += [name, value] if value else []
    return safe(" ".join(words))
