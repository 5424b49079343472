"""Results on their way from the process that judged to the one that counts: JSON text on the test's report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from pytest_prodcheck.outcomes import Judgement, Outcome, Result, Severity, SkipReason

KEY = "prodcheck"
# of the properties that JUnit shows, what names things: a secret that equals a name does not make it another one
IDENTITIES = frozenset(
    f"prodcheck.{name}" for name in ("check", "target", "outcome", "severity", "suite", "skip", "evidence")
)


_dumped: tuple[str, Result] | None = None  # the newest: where no worker is between, it is what is asked for next


def dump(result: Result) -> str:
    """A result as JSON text."""
    global _dumped
    text = json.dumps({**vars(result), "judgements": [vars(each) for each in result.judgements]})
    _dumped = (text, result)
    return text


def parse(text: str) -> Result:
    """From `dump`'s text; raises ValueError, TypeError or KeyError for anything else."""
    return _dumped[1] if _dumped is not None and _dumped[0] == text else _parse(text)


@lru_cache(maxsize=16)  # a report is asked several times in a row for its result
def _parse(text: str) -> Result:
    plain: dict[str, Any] = json.loads(text)
    judgements = tuple(Judgement(**{**each, "outcome": Outcome(each["outcome"])}) for each in plain["judgements"])
    plain.update(
        outcome=Outcome(plain["outcome"]),
        severity=Severity(plain["severity"]),
        skip=SkipReason(plain["skip"]) if plain["skip"] else None,
        judgements=judgements,
        evidence=tuple(plain["evidence"]),
        notes=tuple(plain["notes"]),
    )
    return Result(**plain)


def encodable(value: Any) -> Any:
    """The same data with lone surrogates spelled out: xdist ends the whole run where it cannot send one."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {encodable(key): encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(encodable(each) for each in value)
    return value


def find(properties: Iterable[tuple[str, object]]) -> Result | None:
    """The newest result among a report's properties, None where there is none that can be read."""
    found = None
    for name, value in properties:
        if name == KEY and isinstance(value, str):
            try:
                found = parse(value)
            except (ValueError, TypeError, KeyError):
                found = None
    return found


def properties(result: Result) -> list[tuple[str, object]]:
    """The short properties that JUnit shows for a result."""
    from pytest_prodcheck.reports.junit import properties as junit_properties

    return list(junit_properties(result))
