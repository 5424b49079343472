"""Queries that make a number of nothing: `or vector(0)` over series that Prometheus does not know is no zero."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.monitoring import prometheus, resets_and_duplicates
from pytest_prodcheck.evidence.monitoring.selectors import LABEL_LISTS, Selector, lookback, selectors, tokens_of

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

HIDING = re.compile(r"\b(or|unless|absent|absent_over_time|scalar)\b", re.IGNORECASE)
_ABSENT = ("absent", "absent_over_time")
_OWN = ("ALERTS", "ALERTS_FOR_STATE")  # which Prometheus writes only while an alert is pending or fires
# labels that say whose series it is; the others say what happened, and that may never have happened
_WHOSE = frozenset(
    {"job", "cluster", "namespace", "exported_namespace", "service", "exported_service", "app", "application",
     "deployment", "environment", "env"}
)  # fmt: skip
_DEEPEST = 50  # parentheses within each other
Token = tuple[str, str]


@dataclass(frozen=True)
class Needs:
    """The series without which a query would tell nothing: all of them, or one of several alternatives."""

    of: tuple[Selector | Needs, ...]
    every: bool = True

    def selectors(self) -> Iterator[Selector]:
        """All that are named."""
        for each in self.of:
            if isinstance(each, Selector):
                yield each
            else:
                yield from each.selectors()

    def missing(self, known: Container[Selector]) -> tuple[Selector, ...]:
        """Those that are not known and would have to be."""
        lacks = [
            each.missing(known) if isinstance(each, Needs) else () if each in known else (each,) for each in self.of
        ]
        if not self.every:
            return min(lacks, key=len, default=())
        return tuple(dict.fromkeys(selector for each in lacks for selector in each))


def needs(query: str, growing: bool) -> Needs:
    """What a query rests on; growing: also what only makes its number greater where it is not there."""
    return _needs(tokens_of(query), growing, 0)


def unknown(
    query: str, samples: str, whose: Container[str], recorded: Container[str], growing: bool, window: float, what: str,
    context: Context, deadline: Deadline,
) -> str:  # fmt: skip
    """Which series of a query Prometheus does not know, so that its number says nothing; "" for none.

    whose: values of labels that say whose series it is; recorded: names that healthy rules record.
    """
    if not HIDING.search(query):
        return ""
    span = max(window, lookback(query))
    return lacking(query, samples, whose, recorded, growing, span, what, context, deadline)


def lacking(
    query: str, samples: str, whose: Container[str], recorded: Container[str], growing: bool, seconds: float, what: str,
    context: Context, deadline: Deadline,
) -> str:  # fmt: skip
    """The same of any query: which of the series that it rests on had no sample for so long; "" for none."""
    whole = needs(query, growing)
    proven = {matcher for each in selectors(samples) for matcher in each.matchers}
    exempt = [each for each in whole.selectors() if each.name in _OWN or each.name in recorded]
    asked = {each: needle(each, whose, proven) for each in whole.selectors() if each not in exempt}
    span = f"{seconds:.0f}s"

    def existing(needles: Iterable[str]) -> set[str]:
        told = dict(enumerate(dict.fromkeys(needles)))
        parts = [f'label_replace(count(last_over_time({each}[{span}])), "needle", "{number}", "", "")'
                 for number, each in told.items()]  # fmt: skip
        if not parts:
            return set()
        found = prometheus.prometheus(context, deadline).vector(" or ".join(parts), what, deadline)
        return {told[int(each.labels["needle"])] for each in found}

    found = existing(each for each in asked.values() if each)
    known = {each for each, needle in asked.items() if not needle or needle in found} | set(exempt)
    missing = whole.missing(known)
    names = existing(each.name for each in missing if each.name)
    missing = whole.missing(known | {
        each for each in missing if each.name and each.name not in names
        and resets_and_duplicates.types_of(each.name, what, context, deadline)
    })  # fmt: skip
    if not missing:
        return ""
    first = missing[0]
    if first.name in names:
        return f"no series of {first.name} has the labels {asked[first].removeprefix(first.name)} in the last {span}"
    return f"no series of {first.name or asked[first]} in the last {span}"


def _needs(tokens: list[Token], growing: bool, depth: int) -> Needs:
    """Of an expression; one that Prometheus would refuse anyway is taken as it is."""
    if depth > _DEEPEST:
        return Needs(selectors(" ".join(text for _, text in tokens)))
    ways = [_operand(each, growing, depth) for _, each in _parts(tokens, ("or",))]
    ways = [each for each in ways if any(True for _ in each.selectors())]
    return Needs(tuple(ways), every=len(ways) < 2)


def _operand(tokens: list[Token], growing: bool, depth: int) -> Needs:
    """Of what `or` joins."""
    found: list[Selector | Needs] = []
    for joined, part in _parts(tokens, ("and", "unless", ",")):
        if joined == "unless" and not growing:
            continue
        outside: list[str] = []
        at = 0
        while at < len(part):
            text = part[at][1]
            if text != "(":
                outside.append(text)
                at += 1
                continue
            end = _closing(part, at)
            function = outside.pop().lower() if at and part[at - 1][0] == "name" else ""
            if function in ("by", "without") and at > 1 and part[at - 2][0] == "name":
                outside.pop()  # sum by (…) (…)
            if function not in LABEL_LISTS and (growing or function not in _ABSENT):
                found.append(_needs(part[at + 1 : end], growing, depth + 1))
            at = end + 1
        found += selectors(" ".join(outside))
    return Needs(tuple(found))


def _parts(tokens: list[Token], by: tuple[str, ...]) -> list[tuple[str, list[Token]]]:
    """The parts between some words outside of parentheses, each with the word before it."""
    found: list[tuple[str, list[Token]]] = [("", [])]
    depth = 0
    for kind, text in tokens:
        depth += (text == "(") - (text == ")")
        if depth == 0 and text.lower() in by and kind in ("name", "other"):
            found.append((text.lower(), []))
        else:
            found[-1][1].append((kind, text))
    return found


def _closing(tokens: list[Token], at: int) -> int:
    depth = 0
    for place in range(at, len(tokens)):
        depth += (tokens[place][1] == "(") - (tokens[place][1] == ")")
        if depth == 0:
            return place
    return len(tokens)


def needle(selector: Selector, whose: Container[str], proven: Container[tuple[str, str, str]]) -> str:
    """The series that have to be there: the metric with these labels, and the values of those that say whose it is."""
    wanted = []
    for matcher in selector.matchers:
        label, operator, quoted = matcher
        value = quoted[1:-1]
        if label == "__name__":
            wanted += [] if selector.name else ["".join(matcher)]
        elif _lets_nothing_in(operator, value):
            pinned = operator in ("=", "=~") and (label in _WHOSE or value in whose) and matcher not in proven
            wanted.append("".join(matcher) if pinned else f'{label}!=""')
    return f"{selector.name}{{{','.join(dict.fromkeys(wanted))}}}" if wanted else selector.name


def _lets_nothing_in(operator: str, value: str) -> bool:
    """Whether a series without the label does not match."""
    if operator in ("=", "!="):
        return (value == "") == (operator == "!=")
    try:
        return (re.fullmatch(value, "") is not None) == (operator == "!~")
    except re.error:
        return False
