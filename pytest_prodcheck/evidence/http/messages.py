"""Requests as collectors write them, and answers as received."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.records import Exchange

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context

SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Request:
    """What to send: path below the service's address, or a whole URL.

    `json` is sent as JSON, `form` urlencoded, beside `files` as multipart/form-data.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    files: Mapping[str, tuple[str, bytes, str]] = field(default_factory=dict)  # field -> file name, content, type
    text: str | None = None  # a body that is sent as it is; `headers` say what it is
    anonymous: bool = False  # without the service's own credentials
    safe: bool = False  # changes nothing although the method is POST: may be sent again
    document: int = 0  # bytes of a document that is parsed and not kept: read instead of `gathering.body`

    @property
    def changes_nothing(self) -> bool:
        """Whether it may be sent once more."""
        return self.safe or self.method in SAFE


@dataclass(frozen=True)
class Answer:
    """An answer as received; only `exchange` may be kept. whole: seconds with the set-up of the connection."""

    exchange: Exchange
    whole: float
    headers: tuple[tuple[str, str], ...]
    text: str
    url: str = ""  # as it was asked for, with all that `exchange.url` leaves out

    def json(self) -> Any:
        """The body as JSON; raises EvidenceProblem where it is none or was cut."""
        return replace(self.exchange, body=self.text).json()

    def location(self) -> str:
        """Where a redirect leads, "" where it does not say."""
        return next((value.strip() for name, value in self.headers if name.lower() == "location"), "")


def basic(user: str, password: str, context: Context) -> dict[str, str]:
    """The header of basic authentication; its value is redacted from now on."""
    value = b64encode(f"{user}:{password}".encode()).decode()
    context.redactor.add(value)
    return {"Authorization": f"Basic {value}"}
