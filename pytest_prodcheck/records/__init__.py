"""The kinds of facts: frozen plain data that can be saved, sent to xdist workers and judged again.

Every record is imported from here: `from pytest_prodcheck.records import Health`. Its module is loaded at first use.
Times are UTC epoch seconds, durations seconds, sizes bytes. Strings from targets are already redacted and bounded.
"""

from __future__ import annotations

import json as _json
from dataclasses import dataclass
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.records.names import MODULE_OF as _MODULE_OF

if TYPE_CHECKING:
    from pytest_prodcheck.records.names import *  # noqa: F403

Record = TypeVar("Record")

ProblemKind = Literal[
    "timeout",  # no answer before the deadline
    "refused",  # nothing listens there
    "unreachable",  # no route from here
    "reset",  # the connection broke
    "dns",  # the name does not resolve
    "tls",  # handshake or trust failed
    "protocol",  # an answer that is not what the protocol says
    "too-large",  # more than the declared bound
    "denied",  # credentials were refused
    "full",  # it answers that it has no connection left to give
    "missing-extra",  # a Python package is not installed
    "configuration",  # a file or secret that is referred to is not there
    "stale",  # older than it may be, or without a date
    "foreign",  # about something else than what was declared, or about nothing that it names
    "empty",  # nothing was looked at
    "invalid",  # a measurement that proves nothing, such as a load that was not sent as asked
    "unread",  # not in the saved evidence
    "interrupted",  # the run ended first
    "internal",  # the collector itself failed
    "shortage",  # we ourselves were short of open files, memory or room
]


@dataclass(frozen=True)
class Problem:
    """Why a fact could not be had: what happened and where, and what to do about it."""

    kind: ProblemKind
    message: str
    hint: str = ""
    at: str = ""  # the service that no answer came from, "role NAME" of one that cannot log in, else ""

    def __post_init__(self) -> None:
        """Notes where it is we that are short of something, whatever the collector takes it for."""
        resource_exhaustion.note_handled_shortage()

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class EvidenceProblem(Exception):
    """Raised by collectors, and by evidence fixtures for a fact that could not be had; makes the check errored."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Evidence(Generic[Record]):
    """One fact, gathered once: a record or a problem."""

    key: str  # "http-health:shop"
    collector: str
    target: str
    gathered_at: float  # when gathering of it began
    seconds: float
    record: Record | None = None
    problem: Problem | None = None
    notes: tuple[str, ...] = ()  # "connection reset, tried again once"


_EXCERPT = 240  # characters of a body that is quoted
_REQUEST_IDS = (  # by which its operators find a request in their logs
    "x-request-id", "request-id", "x-correlation-id", "traceresponse", "x-trace-id", "x-amzn-requestid",
    "x-amzn-trace-id", "x-amz-cf-id", "cf-ray", "x-cloud-trace-context", "x-ms-request-id", "x-azure-ref",
    "x-vercel-id", "fly-request-id", "x-b3-traceid",
)  # fmt: skip


@dataclass(frozen=True)
class Exchange:
    """One HTTP request and its answer, redirects not followed."""

    method: str
    url: str
    status: int
    headers: tuple[tuple[str, str], ...]  # as received, repeated ones too, in order
    body: str | None  # None: not saved (evidence of a protected environment that is judged again)
    size: int  # bytes of the decoded body that were read
    seconds: float  # from sending the request to the last byte of the body
    address: str = ""  # "127.0.0.1:443", the peer that answered
    truncated: bool = False  # there was more than the bound
    refused_cookies: tuple[tuple[str, str], ...] = ()  # names of cookies that browsers do not take from it, and why
    quotable: bool = False  # whether reports may quote the body; those of protected environments may not
    repeat: str = ""  # a `curl` line that sends the request once more, without secrets

    def header(self, name: str) -> str | None:
        """The values of one header joined by ", ", None where it is not there."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    @property
    def content_type(self) -> str:
        """The media type, lower case, without parameters; "" where none is said."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body; raises EvidenceProblem where it was not saved or not read whole."""
        if self.body is None:
            what = f"{self.method} {self.url}: the body was not saved with the evidence"
            raise EvidenceProblem(Problem("unread", what))
        if self.truncated:
            raise EvidenceProblem(Problem("too-large", f"{self.method} {self.url}: the body is larger than was read"))
        return self.body

    def wrong(self, why: str) -> str:
        """Why an answer is wrong, and what a person needs to look at it: request, status, id, excerpt, `curl` line."""
        named = next((f", {key}: {value[:100]}" for key, value in self.headers if key.lower() in _REQUEST_IDS), "")
        told = [why, f"{self.method} {self.url}: {self.status}{named}"]
        if self.quotable and self.body and (excerpt := " ".join(self.body[: 8 * _EXCERPT].split())):
            cut = len(excerpt) > _EXCERPT or len(self.body) > 8 * _EXCERPT
            told.append(f"body: {excerpt[:_EXCERPT]}{'…' if cut else ''}")
        return "\n".join([*told, self.repeat] if self.repeat else told)

    def json(self) -> Any:
        """The body as JSON; raises EvidenceProblem where it is none."""
        try:
            return _json.loads(self.text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            what = f"{self.method} {self.url}: the answer is not JSON ({error})"
            raise EvidenceProblem(Problem("protocol", what)) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


if not TYPE_CHECKING:  # type checkers know the names from names.py, and refuse others

    def __getattr__(name: str) -> Any:
        """Loads a subject's module when one of its records is first asked for."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        record = getattr(_import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = record
        return record


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
