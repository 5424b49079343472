"""Services: where they answer, how to trust them, what they offer."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.services import endpoint_path, has_ports, service_targets
from pytest_prodcheck.environments.rules.services import service_complaints
from pytest_prodcheck.environments.sections.base import (
    Address,
    HostName,
    Name,
    Seconds,
    SecretRef,
    Section,
    Statuses,
)
from pytest_prodcheck.environments.sections.host_names import ascii_url
from pytest_prodcheck.environments.sections.tls import TlsPolicy, Trust

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def http_url(value: str) -> str:
    """Accepts an absolute http(s) address without user name or fragment."""
    parts = urlsplit(value)
    try:
        bad = parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment
        _ = parts.port
    except ValueError:
        bad = True
    if bad:
        raise ValueError('expected an address such as "https://api.shop.example/catalog", without user and password')
    return ascii_url(value)


def request_line(value: str) -> str:
    """Accepts "METHOD /path"."""
    method, _, path = value.partition(" ")
    if method not in METHODS or not path.startswith("/") or re.search(r"[\s\x00-\x1f]", path):
        raise ValueError(f'expected "METHOD /path" such as "GET /products/1"; methods: {", ".join(METHODS)}')
    return value


def path_only(value: str) -> str:
    """Accepts a path below the service's own address."""
    if not value.startswith("/") or re.search(r"[\s\x00-\x1f]", value):
        raise ValueError('expected a path such as "/healthz"')
    return value


Url = Annotated[str, AfterValidator(http_url)]
RequestLine = Annotated[str, AfterValidator(request_line)]
UrlPath = Annotated[str, AfterValidator(path_only)]
Workload = Annotated[str, Field(pattern=r"^(deployment|statefulset|daemonset)/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]


class ServiceTls(TlsPolicy, Trust):
    """How a service's TLS is trusted, and what the security suite expects of it."""


class BasicCredentials(Section):
    """A user name and a password for HTTP basic authentication."""

    user: str  # the user name
    password: SecretRef  # where the password lies


class Authentication(Section):
    """Credentials sent with every request to a service: exactly one of `basic` and `bearer`."""

    basic: BasicCredentials | None = None  # HTTP basic authentication
    bearer: SecretRef | None = None  # where the token for `Authorization: Bearer …` lies

    def model_post_init(self, _context: Any) -> None:
        """Refuses none or both."""
        if (self.basic is None) == (self.bearer is None):
            raise ValueError("expected exactly one of `basic` and `bearer`")


class VersionSource(Section):
    """Where a service tells its revision: a path, and a JSON pointer into the answer (none: the whole text)."""

    path: UrlPath  # path that tells the revision, below the service's `url`, such as "/version"
    # JSON pointer to it in the answer, such as "/revision"; the whole text where left out
    pointer: Annotated[str, Field(pattern=r"^(/.*)?$")] = ""
    # new connections that are asked; 1 - 0.9**44 = 99 % to meet one old replica of ten
    connections: Annotated[int, Field(ge=1, le=1000)] = 44


class Endpoint(Section):
    """One request of a service and what its answer has to be."""

    request: RequestLine  # method and path below the service's `url`, such as "GET /products/{sku}"
    # what may be answered, one or several; left out beside `schema`: 200 to 299, beside `contains`: 200 to 399; with
    # `allow` alone only who gets in is judged
    status: Statuses | None = None
    content_type: str | None = None  # media type that the answer must have, without parameters, such as "text/html"
    contains: str | None = None  # text that the answer must contain
    json_: Any = Field(default=None, alias="json")  # JSON document that is sent
    form: dict[str, str] | None = None  # fields that are sent as an HTML form sends them; not beside `json`
    # file with a JSON Schema of the answer, relative to prodcheck.toml; "openapi" takes the served document's
    schema_: str | None = Field(default=None, alias="schema")
    headers: dict[str, str] = {}  # further headers of this request; credentials do not go here
    as_: Name | None = Field(default=None, alias="as")  # role of `auth` whose token is sent; where left out, none is
    # true: changes nothing although the method is POST or the like; else protected environments are not sent it
    safe: bool = False
    budget: Seconds | None = None  # time that the answer may take, such as "300ms"; judged by `smoke.api.budget`
    # roles that get in; without "anonymous" among them, a request without or with a garbage token must be refused
    allow: tuple[Name, ...] | None = None
    # endpoint of the same service that proves that route and token work, without which a refusal counts for nothing;
    # for an unsafe request with `allow` it is asked in its place, which itself is sent only as it has to be refused
    control: Name | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        """Path and query below the service's address."""
        return self.request.partition(" ")[2]

    @property
    def changes_nothing(self) -> bool:
        """Whether the request may be sent to a protected environment without an opt-in."""
        return self.safe or self.method in SAFE_METHODS


class Service(Section):
    """One service. Without `url` it is one that does not speak HTTP: a worker, a mail server."""

    # address that all its paths are below, such as "https://api.shop.example/catalog"; left out where it speaks no HTTP
    url_: Url | None = Field(default=None, alias="url")
    # "HOST:PORT" where a service without `url` accepts connections
    tcp: Address | None = None
    # whether users reach it from the internet: then HSTS and nosniff have to be there, else their absence warns
    public: bool = False
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts; where left out, its unit's owner
    # path of the health page, such as "/healthz"; also what latency and addresses are judged by
    health: UrlPath | None = None
    # where it tells the revision that runs; without it a gate cannot see an old version
    version: VersionSource | None = None
    openapi: UrlPath | None = None  # path of the OpenAPI document that it serves
    # true: plain HTTP must lead to HTTPS; an address: where plain HTTP is asked, when not port 80 of the same host
    redirect: bool | Url = False
    redirect_hosts: tuple[HostName, ...] = ()  # further hosts a redirect may name
    # whether it serves pages for browsers: their policies (CSP, framing, referrer) are judged, beginning at `/`
    html: bool = False
    # what runs it in the cluster: "deployment/NAME", "statefulset/NAME" or "daemonset/NAME"
    workload: Workload | None = None
    # sent with every request to it, besides the environment's; `{run}`, `{revision}`, `{traceparent}` are filled in;
    # a value may be a secret reference
    headers: dict[str, str | SecretRef] = {}
    tls: ServiceTls = ServiceTls.model_construct()  # how its certificate is trusted, and what is expected of it
    # credentials that every request to it carries, where a gateway asks for some
    authentication: Authentication | None = None
    proxy: Url | None = None  # HTTP proxy that leads to it; not together with `connect_to`
    connect_to: Address | None = None  # connect here instead; name, Host header and SNI stay
    timeout: Seconds = 10.0  # for one request, from connecting to the last byte; for one connection to `tcp`
    endpoints: dict[Name, Endpoint] = {}  # requests that are judged, by name; `service.endpoint` is their target

    @property
    def speaks_http(self) -> bool:
        """Whether it has a `url`."""
        return self.url_ is not None

    @property
    def url(self) -> str:
        """The address; raises ValueError where it speaks no HTTP, so that what forgot to ask proves nothing."""
        if self.url_ is None:
            raise ValueError("this service has no `url`")
        return self.url_

    @cached_property
    def host(self) -> str:
        """The host name of the address."""
        return urlsplit(self.url).hostname or ""

    @cached_property
    def port(self) -> int:
        """The port of the address."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)


KINDS = (
    Kind(
        section="services",
        awaited={"service": ("http-health", "http-version"), "endpoint": ()},
        targets=service_targets,
        rules=service_complaints,
        paths={"endpoint": endpoint_path},
        brings=("tls",),
        brings_where={"dependencies": has_ports},
    ),
)
