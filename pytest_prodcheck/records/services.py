"""What HTTP services answered: health, versions, addresses, redirects, API documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pytest_prodcheck.records import Exchange, Problem


@dataclass(frozen=True)
class Health:
    """`http-health` (service): the answer of the health address, and how long `samples` further ones took."""

    exchange: Exchange  # the first answer, its connection set up included
    samples: tuple[Exchange, ...]  # 5 more on a warm connection, bodies left out


@dataclass(frozen=True)
class RevisionSeen:
    """One new connection to the version address: the revision told, or why none was."""

    address: str
    revision: str | None
    problem: Problem | None = None
    coding: str = ""  # how the answer was compressed, such as "gzip"


@dataclass(frozen=True)
class RunningImage:
    """One container of one running pod, and the image that the manifests were to deploy there."""

    pod: str
    container: str
    image: str  # name and tag, as the pod asks for it
    digest: str  # "sha256:…" of what runs, "" where it is not told
    shipped: str  # the image in the manifests, "" where they do not name the container
    as_shipped: bool | None  # by digest where the manifests pin one, else by name and tag; None: cannot be told


@dataclass(frozen=True)
class Revisions:
    """`http-version` (service): what each of `asked` new connections said, and what its pods run."""

    expected: str  # the revision this run is about, "" where none was named
    asked: int  # 0 for a service that tells no revision itself
    seen: tuple[RevisionSeen, ...]
    pods_read: bool = False  # whether the cluster could be looked at
    images: tuple[RunningImage, ...] = ()


@dataclass(frozen=True)
class AddressAnswer:
    """One address behind a name: it answered with a status, or a problem."""

    address: str  # "127.0.0.1:443"
    family: Literal["IPv4", "IPv6", ""]  # "" behind a proxy
    status: int | None
    seconds: float
    problem: Problem | None = None
    routed: bool = True  # False: no route from here to this family
    theirs: bool = True  # the problem is the server's; False: it may be ours, such as a network that is down here


@dataclass(frozen=True)
class Addresses:
    """`http-addresses` (service): each address that requests go to, asked for the health address (or `/`)."""

    name: str
    answers: tuple[AddressAnswer, ...]
    problem: Problem | None = None  # the name server says that there is no such name


@dataclass(frozen=True)
class AddressRedirect:
    """What one of several addresses answered to plain HTTP; location: "" where it said none."""

    address: str
    status: int
    location: str


@dataclass(frozen=True)
class RedirectChain:
    """`http-redirect` (service, where declared): what plain HTTP leads to."""

    start: str
    closed: bool  # nothing listens there: nothing to redirect
    hops: tuple[Exchange, ...]  # bodies left out
    allowed_hosts: tuple[str, ...]
    looped: bool = False
    addresses: tuple[AddressRedirect, ...] = ()  # where the host has several


@dataclass(frozen=True)
class OpenApi:
    """`http-openapi` (service): the served document, and the declared endpoints it has to hold."""

    exchange: Exchange
    document: Any  # parsed; None where it is no JSON object
    problems: tuple[str, ...]  # what is wrong with it as an OpenAPI 3 document
    undeclared: tuple[str, ...]  # "GET /products/{sku} (product)": declared endpoints that it lacks


@dataclass(frozen=True)
class Representation:
    """One answer that browsers may get in place of the one that is judged."""

    name: str  # endpoint, "health", "version"
    how: str  # "gzip", "br", "identity"; "h2" for HTTP/2
    beside: str  # coding of the answer that is judged
    problem: Problem | None = None
    statuses: tuple[int, int] | None = None  # of the judged one and of this one; None where this one could not be had
    content_types: tuple[str, str] = ("", "")
    says_the_same: bool | None = None  # None: the text changes from answer to answer, or is too long to compare
    lacks: str = ""  # what this one does not say: "the declared text", "the revision r-2: it tells r-1"


@dataclass(frozen=True)
class Negotiation:
    """`http-negotiation` (service): other codings of what came compressed, all over HTTP/2 where that is offered."""

    declared: int  # answers there are to look at: version, health and all declared GETs
    looked_at: int  # those that there was time for
    alpn: str  # what the server chose of "h2" and "http/1.1"; "" for nothing, or without TLS
    http3: bool  # whether HTTP/3 is advertised (Alt-Svc); it is not tried
    renditions: tuple[Representation, ...]


@dataclass(frozen=True)
class AnswerSchema:
    """The JSON Schema of answers of one status ("200", "2XX", "default") and media type ("application/*" too)."""

    status: str
    media_type: str
    schema: Any


@dataclass(frozen=True)
class Contract:
    """`http-contract` (endpoint): the JSON Schemas of its answers, of a file or OpenAPI document."""

    source: str
    answers: tuple[AnswerSchema, ...]
