"""Recorded series that a query rests on: whether the rules that make them are healthy and were looked at lately."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.monitoring import external_labels, prometheus
from pytest_prodcheck.evidence.monitoring.alertmanager import epoch_seconds
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.monitoring import RecordingRule

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_RANGE = re.compile(r"\[[^\][]*\]")  # [5m:1m]: a subquery's colon is none of a name
LATE, PATIENCE = 5, 120.0  # intervals, and seconds at least
OLD = 180.0  # seconds: a series that another server records, looked at each minute, was written since
Rule = dict[str, Any]


def recorded_names(query: str) -> set[str]:
    """The names of recorded series in a query: those with a colon, as the convention for recording rules has it."""
    bare = _RANGE.sub(" ", _STRING.sub(" ", query))
    return {each for each in _NAME.findall(bare) if ":" in each.strip(":")}


def needed(
    queries: Iterable[str], context: Context, deadline: Deadline
) -> tuple[tuple[RecordingRule, ...], tuple[str, ...]]:
    """The rules that make the recorded series of these queries, and those that these rest on in their turn.

    And the expressions of all of them.
    """
    wanted = sorted(set().union(*map(recorded_names, queries)))
    if not wanted:
        return (), ()
    expressions: list[str] = []
    now = context.once(("prometheus-time",), lambda: prometheus.clock(context, deadline), deadline)
    found = context.once(("prometheus-recording",), lambda: _rules(context, deadline), deadline)
    made: dict[str, list[RecordingRule]] = {}
    while wanted:
        name = wanted.pop()
        if name in made:
            continue
        mine = [(rule, group) for rule, group in found
                if rule["name"] == name and external_labels.is_ours(rule.get("labels") or {}, context)]  # fmt: skip
        made[name] = [_rule(rule, group, now, context) for rule, group in mine]
        told = [str(rule.get("query", "")) for rule, _ in mine]
        expressions += told
        wanted += sorted(set().union(*map(recorded_names, told)))
        if not mine:
            made[name] = [_from_elsewhere(name, context, deadline)]
    return tuple(each for name in sorted(made) for each in made[name]), tuple(expressions)


def unfit(rule: RecordingRule) -> str:
    """Why what it records is no number of now, "" where it is one."""
    if rule.health not in ("ok", "elsewhere"):
        return (
            f"{rule.name} is recorded by a rule whose health is {rule.health}: {rule.error or 'it was never evaluated'}"
        )
    if rule.age is not None and rule.age > max(LATE * rule.interval, PATIENCE):
        return f"{rule.name} was recorded {rule.age:.0f} s ago, which is too old"
    return ""


def _rules(context: Context, deadline: Deadline) -> list[tuple[Rule, Rule]]:
    """All recording rules, each with its group; [] where what answers has none to tell of."""
    try:
        data = prometheus.prometheus(context, deadline).get("/api/v1/rules?type=record", "recording rules", deadline)
        rules = [(rule, group) for group in data["groups"] for rule in group["rules"]]
        return [(rule, group) for rule, group in rules if rule["type"] == "recording"]
    except (KeyError, TypeError) as error:
        what = f"Prometheus: its rules do not follow its API ({plain(repr(error), 100)})"
        raise EvidenceProblem(Problem("protocol", what)) from None
    except EvidenceProblem as error:
        if error.problem.kind in ("timeout", "invalid"):
            raise
        return []  # a query front end without rules: the age of the series tells


def _rule(rule: Rule, group: Rule, now: float, context: Context) -> RecordingRule:
    error = plain(context.redactor.redact(str(rule.get("lastError") or "")), 300)
    age = now - epoch_seconds(str(rule.get("lastEvaluation", "1970-01-01T00:00:00Z")))
    return RecordingRule(
        plain(str(rule["name"]), 200), str(rule.get("health")), error, age, float(group.get("interval") or 60)
    )


def _from_elsewhere(name: str, context: Context, deadline: Deadline) -> RecordingRule:
    """What another server records: known by the age of its newest sample."""
    query = f"time() - max(timestamp({name}))"
    found = prometheus.prometheus(context, deadline).vector(query, f"the age of {name}", deadline)
    return RecordingRule(name, "elsewhere", "", found[0].value if found else None, OLD / 5)
