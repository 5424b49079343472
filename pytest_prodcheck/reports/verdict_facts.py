"""What a reader must know of a verdict beside its findings: what was not judged, its times, what it is bound to."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_prodcheck.outcomes import SkipReason
from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.text_layout import Style, fold
from pytest_prodcheck.reports.verdict_documents import View, moment


def fact_lines(facts: Iterable[tuple[str, str]], style: Style) -> list[str]:
    """"name: text" lines of all that have a text."""
    return [
        line
        for name, value in facts
        if value
        for line in fold(value, first=f"   {name}: ", rest="      ", width=style.width)
    ]


def limits(verdict: View, style: Style) -> list[tuple[str, str]]:
    """What was not judged, or not as strictly as usual."""
    needs = [f"{each.text('environment')}:{each.text('gate')} ({each.text('text')})" for each in verdict.views("needs")]
    return [
        ("skipped", skips(verdict, style)),
        ("limits off", ", ".join(verdict.texts("limits_off"))),
        ("TLS NOT VERIFIED for", ", ".join(verdict.texts("unverified"))),
        ("opted in", ", ".join(verdict.texts("opted_in"))),
        ("needs", ", ".join(needs)),
        ("strict", "warnings block too" if verdict.flag("strict") else ""),
    ]


def skips(verdict: View, style: Style) -> str:
    """"out-of-reach 3 (smoke.tcp.open@mail, …)": by reason, a few or all of them by name."""
    by_reason = verdict.view("skips") or View({})
    told = []
    for reason in by_reason.names():
        who = by_reason.texts(reason)
        if reason == SkipReason.NOT_CONFIGURED and not style.explain:
            told.append(not_declared(len(who), verdict.text("environment")))
            continue
        shown = who if style.explain else who[:4]
        rest = f", and {len(who) - len(shown)} more" if len(who) > len(shown) else ""
        told.append(f"{safe(reason)} {len(who)} ({', '.join(shown)}{rest})")
    return ", ".join(told)


def not_declared(number: int, environment: str) -> str:
    """"27 not declared (prodcheck doctor --env production lists them)"."""
    return f"{number} not declared (prodcheck doctor --env {safe(environment)} lists them)"


def times(verdict: View, style: Style, now: float | None) -> list[tuple[str, str]]:
    """Counts, the age of the evidence, and when the run judged: `(name, text)`."""
    oldest, judged = verdict.number("oldest_evidence"), verdict.number("evaluated_at")
    age = "none"
    if oldest is not None:
        reference, word = (now, "old") if now is not None else (judged, "old when judged")
        old = f"{format_quantity(max(0.0, reference - oldest), 's')} {word}" if reference is not None else ""
        age = ", ".join(filter(None, (f"oldest from {moment(oldest)}", old)))
    expires = verdict.number("expires_at")
    until = f"{'good until' if now is None or expires is None or now < expires else 'EXPIRED'} {moment(expires)}"
    counted = ", ".join(f"{int(number)} {name}" for name, number in _numbers(verdict, "counts") if number)
    return [
        ("counts", counted or "nothing was judged"),
        ("evidence", f"{age}{style.dot}{until}" if expires is not None else age),
        ("run", style.dot.join(filter(None, (verdict.text("run"), f"judged {moment(judged)}" if judged else "")))),
    ]


def _numbers(verdict: View, name: str) -> list[tuple[str, float]]:
    table = verdict.view(name) or View({})
    return [(safe(each), number) for each in table.names() if (number := table.number(each)) is not None]


def binding_lines(verdict: View, style: Style) -> list[str]:
    """For `--explain`: everything that the verdict is bound to."""
    digests = verdict.view("digests") or View({})
    files = verdict.view("configuration") or View({})
    age = verdict.number("max_age")
    facts = [
        ("project", verdict.text("project") + (" (protected)" if verdict.flag("protected") else "")),
        ("seen from", verdict.text("vantage")),
        ("targets", ", ".join(f"{kind} {int(number)}" for kind, number in _numbers(verdict, "targets"))),
        ("evidence allowed age", "" if age is None else format_quantity(age, "s")),
        ("open since", moment(verdict.number("open_since"))),
        ("waited for readiness", format_quantity(waited, "s") if (waited := verdict.number("waited")) else ""),
        *((f"digest of {safe(name)}", digests.text(name)) for name in digests.names()),
        *((f"file {safe(name)}", files.text(name)) for name in files.names()),
        ("prodcheck", verdict.text("version")),
        ("ticket of the run", f"{int(ticket)}" if (ticket := verdict.number("ticket")) else ""),
    ]
    return ["   bound to:", *fact_lines(facts, style)]
