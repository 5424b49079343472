"""What a service's HTTP side shows to browsers and to strangers: pages, cookies, CORS, errors, exposed things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_prodcheck.records import Exchange, Problem


@dataclass(frozen=True)
class Page:
    """One answer to a visitor."""

    name: str  # "/", "/login", or the name of a declared endpoint
    exchange: Exchange

    @property
    def answered(self) -> bool:
        """Whether the service itself spoke: a rate limiter (429), a proxy or a crash (5xx) is no evidence."""
        return self.exchange.status != 429 and self.exchange.status < 500

    @property
    def is_html(self) -> bool:
        """Whether a browser would show it as a page of the service."""
        good = 200 <= self.exchange.status < 300
        return good and self.exchange.content_type in ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Pages:
    """`http-pages`, `http-secure` (over TLS), `http-html` (of `html` services): what visitors get without a login.

    The first page proves that the service answers.
    """

    host: str
    https: bool
    pages: tuple[Page, ...]  # the front page of `html` services with where it leads, the health page, open endpoints
    again: Exchange | None  # a second answer of the first page, of `html` services: what must differ, such as a nonce


@dataclass(frozen=True)
class PrivateAnswer:
    """`http-private` (endpoint for roles): the answer to an authenticated request."""

    role: str
    carrier: Literal["bearer", "cookie", "basic", "header", ""]  # what carried the credentials
    expected: tuple[int, ...]  # statuses with which it answers those it lets in
    exchange: Exchange


@dataclass(frozen=True)
class CookieAnswers:
    """`http-cookies` (service): the answers that may set cookies, bodies left out, values blanked."""

    host: str
    https: bool
    answers: tuple[Page, ...]  # those of `http-pages`
    login: Page | None  # the answer to a good login at this service; None: nobody logs in here
    session: str  # name of the session cookie, where one is declared


@dataclass(frozen=True)
class ProvokedError:
    """One request that cannot be answered, and what came back. The body is left out, for it may hold secrets."""

    case: str  # "a page that is not there"
    exchange: Exchange | None
    signs: tuple[str, ...] = ()  # what of a program's inside the answer shows: "a Python traceback"
    problem: Problem | None = None  # why nothing came back


@dataclass(frozen=True)
class ProvokedErrors:
    """`http-errors` (service): answers to requests that are wrong on purpose, after one that is right (control)."""

    control: Exchange
    answers: tuple[ProvokedError, ...]


@dataclass(frozen=True)
class CorsAnswer:
    """The answer to a request that a page of another origin would cause."""

    path: str
    case: str  # "another site", "null", "our name as a prefix", …
    origin: str
    preflight: bool
    credentials: bool  # it carried a role's session
    exchange: Exchange
    refused: bool = False  # by 500, as every origin that is not allowed, while the request without `Origin` is answered


@dataclass(frozen=True)
class CorsAnswers:
    """`http-cors` (service): answers to foreign origins, after one to nobody in particular (control)."""

    control: Exchange
    answers: tuple[CorsAnswer, ...]


@dataclass(frozen=True)
class Probe:
    """One address asked for, and which known contents the answer had. The answer itself is not kept."""

    path: str
    what: str  # what would be there: "a git repository"
    status: int
    content_type: str
    size: int  # bytes that were read
    signs: tuple[str, ...]  # known contents that the answer shows: "a git repository", "a directory listing"


@dataclass(frozen=True)
class Exposure:
    """`http-exposure` (service): addresses at which things lie that are not for visitors, and such as cannot exist."""

    control: Exchange  # the service answers, before …
    after: Exchange  # … and still does, afterwards
    missing: tuple[Probe, ...]  # random names of the same shapes: how it answers what is not there
    files: tuple[Probe, ...]
    debug: tuple[Probe, ...]
    folders: tuple[Probe, ...]


@dataclass(frozen=True)
class MethodAnswer:
    """The answer to an unusual method. echoed: it holds the random header of the request."""

    method: str
    exchange: Exchange
    echoed: bool


@dataclass(frozen=True)
class Methods:
    """`http-methods` (service): what it makes of TRACE and others, and which methods it says to allow."""

    control: Exchange
    answers: tuple[MethodAnswer, ...]
    allowed: tuple[str, ...]  # of `Allow` in its answer to OPTIONS; empty where it says none
    dav: bool  # it says to speak WebDAV


@dataclass(frozen=True)
class OpenPorts:
    """`tcp-ports` (exposure): which of the declared ports accept connections."""

    host: str
    expected: tuple[int, ...]  # declared to be open
    asked: int  # ports times addresses
    open: tuple[int, ...]
    closed: int  # refused, or silent: a firewall drops what comes
    problem: Problem | None = None  # why some could not be asked
