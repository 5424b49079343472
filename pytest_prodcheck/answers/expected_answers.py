"""Whether an answer is as declared: status, media type, text, JSON. One function for all who ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_prodcheck.answers.graphql import asks_graphql, nothing_but_errors

REDIRECTS = 3  # hundreds of their statuses
SUCCESS = 200


@dataclass(frozen=True)
class ExpectedAnswer:
    """What an answer has to be."""

    statuses: tuple[int, ...]
    content_type: str = ""  # media type in lower case, "" for any
    contains: str = ""  # text that has to be in it, "" for none
    json: bool = False  # a JSON Schema is declared: its media type has to be one of JSON
    graphql: bool = False  # the request is one of GraphQL, and no text says what its answer has to hold

    @property
    def status_text(self) -> str:
        """The statuses for people: "201 or 202", "200 to 399"."""
        first, last = min(self.statuses), max(self.statuses)
        if len(self.statuses) > 2 and len(set(self.statuses)) == last - first + 1:
            return f"{first} to {last}"
        return " or ".join(map(str, self.statuses))


@dataclass(frozen=True)
class AnswerCheck:
    """One thing that was looked at; why: what is wrong where it is not good."""

    what: str
    good: bool
    why: str


@dataclass
class SameAnswer:
    """Whether the answers to one request stay redirects, or stay none, where no status says what they have to be.

    Users who get the page at first, and the login or a waiting room under load, are not served.
    """

    first: int = 0  # status of the first good answer

    def mismatch(self, status: int) -> str:
        """Why an answer that is good by itself is none beside those before, "" where it is."""
        self.first = self.first or status
        if (status // 100 == REDIRECTS) == (self.first // 100 == REDIRECTS):
            return ""
        return f"answered {status}, and the first request {self.first}"


def expected_answer(declared: Mapping[str, Any]) -> ExpectedAnswer:
    """Of a declared endpoint or step; where no status is declared 200 to 399, beside a schema 200 to 299."""
    schema = bool(declared.get("schema"))
    statuses = declared.get("status") or range(200, 300 if schema else 400)
    return ExpectedAnswer(
        tuple(statuses), (declared.get("content_type") or "").lower(), declared.get("contains") or "", schema,
        not declared.get("contains") and asks_graphql(declared.get("json")),
    )  # fmt: skip


def answer_checks(
    wanted: ExpectedAnswer, status: int, media_type: str, holds_text: Callable[[], bool], text: Callable[[], str]
) -> Iterator[AnswerCheck]:
    """What has to be looked at, in this order. media_type: lower case, without parameters, "" for none.

    text: of the body; asked for only where `wanted.graphql`.
    """
    good = status in wanted.statuses
    yield AnswerCheck("status", good, f"answered {status}")
    if wanted.content_type:
        told = f"the content type is {media_type or 'missing'}, expected {wanted.content_type}"
        yield AnswerCheck("content type", media_type == wanted.content_type, told)
    if wanted.contains:
        yield AnswerCheck("declared text is there", holds_text(), "the declared text is missing")
    if wanted.json:
        told = f"the content type is {media_type or 'missing'}, not JSON"
        yield AnswerCheck("body is JSON", media_type.endswith("json"), told)
    if wanted.graphql and SUCCESS <= status < SUCCESS + 100:
        told = nothing_but_errors(text())
        yield AnswerCheck("GraphQL has data", not told, told)


def first_mismatch(
    wanted: ExpectedAnswer, status: int, media_type: str, holds_text: Callable[[], bool], text: Callable[[], str]
) -> str:
    """The first thing that is wrong, "" where all is well."""
    looked_at = answer_checks(wanted, status, media_type, holds_text, text)
    return next((each.why for each in looked_at if not each.good), "")
