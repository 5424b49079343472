"""What every format is turned into, and how its parts are read: strictly, for a guess would be no evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.vulnerabilities import Policy, Rating

LONGEST = 4096  # characters of one string that are looked at
SHORT = 300  # characters of one string that are kept
MOST_FINDINGS = 20_000  # of rating critical and high
# long texts that nothing here reads; without them a report needs a tenth of the memory
_UNREAD = frozenset(
    ("Description", "References", "CVSS", "CweIDs", "Layer", "DataSource", "description", "urls", "cvss", "epss",
     "matchDetails", "licenses", "remediation", "audit", "AuditConfig", "help", "codeFlows", "snippet", "trace")
)  # fmt: skip
# Grype tells the fix of a SARIF rule in its help alone, of which nothing else is kept
FIX = "help: fix version"
_FIX_LINE = re.compile(r"(?im)^fix version:.*$")


@dataclass(frozen=True)
class Finding:
    """A vulnerability as a format tells it; rating None where it is not rated, purl "" where none is told."""

    id: str
    package: str
    version: str
    rating: Rating | None
    fixed_in: str
    fixed_since: float | None = None
    dated_by: str = ""
    aliases: tuple[str, ...] = ()
    purl: str = ""


@dataclass(frozen=True)
class Subject:
    """What a report says it is about: image references, digests ("sha256:…"), source revisions."""

    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    revisions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.names or self.digests or self.revisions)

    def __str__(self) -> str:
        """The first of each."""
        first = (*self.names[:1], *(each for each in self.digests[:1] if not any(each in n for n in self.names[:1])))
        return plain(", ".join((*first, *(f"revision {each}" for each in self.revisions[:1]))), 300)


@dataclass(frozen=True)
class Scan:
    """One parsed report. created_at and database_at are epoch seconds, None where the format does not say."""

    scanner: str
    subject: Subject = Subject()
    created_at: float | None = None
    database_at: float | None = None
    scanned: int | None = None
    unscanned: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    ignored: int = 0  # findings that the scanner itself was told to leave out
    unjudged: tuple[str, ...] = ()  # parts of the report that are no part of the judgement
    end_of_life: str = ""
    # of kube-bench and Gatekeeper
    benchmark: str = ""
    nodes: tuple[str, ...] = ()
    passed: int = 0
    results: tuple[tuple[str, str, str, bool], ...] = ()  # id, text, status, scored
    policies: tuple[Policy, ...] = ()


def raise_protocol_problem(what: str, hint: str = "") -> NoReturn:
    """Raises EvidenceProblem (protocol)."""
    raise EvidenceProblem(Problem("protocol", what, hint))


def empty(what: str, hint: str = "") -> NoReturn:
    """Raises EvidenceProblem (empty): nothing was looked at, which proves nothing."""
    raise EvidenceProblem(Problem("empty", what, hint))


def shown(value: object) -> str:
    """Whatever a report says, short enough for a message."""
    return plain(str(value), SHORT)


def decode(content: bytes, clean: Callable[[str], str]) -> Any:
    """The JSON document in a report, without long texts; raises EvidenceProblem for one that is cut off or none.

    clean: takes secrets out of what is longer than is kept: cut within one, its first half would not be known as such.
    """
    if not content.strip():
        empty("the report is empty: the scanner wrote nothing")
    try:
        return json.loads(content, object_pairs_hook=partial(_unique_keys, clean), parse_constant=_no_constant)
    except RecursionError:
        raise_protocol_problem("the report is nested too deeply")
    except UnicodeDecodeError:
        raise_protocol_problem("the report is no text")
    except json.JSONDecodeError as error:
        rest = content[-200:].strip()
        cut = error.pos and (error.pos >= len(error.doc.rstrip()) - 1 or not rest.endswith((b"}", b"]")))
        raise_protocol_problem(
            f"the report is {'cut off' if cut else 'not JSON'}: {plain(error.msg, 100)} at character {error.pos}"
        )
    except ValueError as error:
        raise_protocol_problem(f"the report is no JSON that can be meant: {plain(str(error), 100)}")


def _unique_keys(clean: Callable[[str], str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {key: _short(value, clean) for key, value in pairs if key not in _UNREAD}
    told = next((value.get("text") for key, value in pairs if key == "help" and isinstance(value, dict)), None)
    if isinstance(told, str) and (line := _FIX_LINE.search(told[:LONGEST])):
        found[FIX] = line[0][:SHORT]
    if len(found) != len(pairs) and len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key exists twice")
    return found


def _short(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value[:LONGEST]) if len(value) > SHORT else value
    if isinstance(value, list):
        return [_short(each, clean) if isinstance(each, str) else each for each in value]
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def table(data: Any, name: str) -> dict[str, Any]:
    """A table, {} where it is missing; raises EvidenceProblem for anything else."""
    value = data.get(name) if isinstance(data, dict) else None
    if value is None:
        return {}
    return (
        value
        if isinstance(value, dict)
        else raise_protocol_problem(f"`{name}` is no object: another format, or another version")
    )


def rows(data: Any, name: str) -> list[dict[str, Any]]:
    """A list of tables, [] where it is missing or null; raises EvidenceProblem for anything else."""
    value = data.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise_protocol_problem(f"`{name}` is no list of objects: another format, or another version")
    return value


def text(data: dict[str, Any], name: str) -> str:
    """A string on one line, "" where it is missing; raises EvidenceProblem for anything else."""
    value = data.get(name)
    if value is None:
        return ""
    return (
        plain(value, SHORT)
        if isinstance(value, str)
        else raise_protocol_problem(f"`{name}` is no text: another version")
    )


def needed(data: dict[str, Any], name: str) -> str:
    """A string that has to be there."""
    return text(data, name) or raise_protocol_problem(
        f"`{name}` is missing: cut off, another format, or another version"
    )


def texts(data: dict[str, Any], name: str) -> tuple[str, ...]:
    """A list of strings, () where it is missing."""
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise_protocol_problem(f"`{name}` is no list of texts: another format, or another version")
    return tuple(plain(each, SHORT) for each in value)


def unknown(data: dict[str, Any], known: Iterable[str]) -> tuple[str, ...]:
    """Keys of a part of a report that hold something and that nobody here reads, at most ten."""
    return tuple(f"`{shown(key)}`" for key in sorted(set(data) - set(known)) if data[key])[:10]


def optional_epoch_seconds(value: object) -> float | None:
    """Epoch seconds of an RFC 3339 time with an offset, a plain date being the start of its day in UTC; None if none.

    Go writes nanoseconds, of which Python reads six digits.
    """
    if not isinstance(value, str) or not value or value.startswith("0001-"):  # Go's zero time
        return None
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.strip()))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def unique_findings(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    """Each finding once, by vulnerability, package and version; the one that is fixed, rated and dated worst."""
    found: dict[tuple[str, str, str], Finding] = {}
    for each in findings:
        key = (each.id, each.package, each.version)
        other = found.get(key)
        if other is None or _weight(each) > _weight(other):
            found[key] = each
        if len(found) > MOST_FINDINGS:
            raise EvidenceProblem(Problem("too-large", f"the report has more than {MOST_FINDINGS} findings"))
    return tuple(found.values())


def _weight(finding: Finding) -> tuple[bool, int, float]:
    ratings = ("low", "medium", "high", "critical")
    rated = ratings.index(finding.rating) if finding.rating else len(ratings)
    return bool(finding.fixed_in), rated, -(finding.fixed_since or 0.0)
