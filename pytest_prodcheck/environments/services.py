"""Services: where they answer, how to trust them, what they offer."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pytest_prodcheck.environments.base import Name, Seconds, SecretRef, Section, Statuses

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
ANONYMOUS = "anonymous"


def http_url(value: str) -> str:
    """Accepts an absolute http(s) address without user name or fragment."""
    parts = urlsplit(value)
    try:
        bad = parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment
        _ = parts.port
    except ValueError:
        bad = True
    if bad:
        raise ValueError('expected an address such as "https://api.shop.example/catalog" (credentials go elsewhere)')
    return value


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


def address(value: str) -> str:
    """Accepts HOST:PORT, also [::1]:443."""
    if (
        not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([1-9][0-9]{0,4})", value)
        or int(value.rpartition(":")[2]) > 65535
    ):
        raise ValueError('expected "HOST:PORT" such as "db-1.internal:5432"')
    return value


Url = Annotated[str, AfterValidator(http_url)]
RequestLine = Annotated[str, AfterValidator(request_line)]
Path = Annotated[str, AfterValidator(path_only)]
Address = Annotated[str, AfterValidator(address)]


class ServiceTls(Section):
    """How TLS is trusted: the system's CAs, or `ca`; a client certificate where the service asks for one."""

    ca: str | None = None  # file, relative to prodcheck.toml
    certificate: str | None = None
    key: str | None = None
    verify: Literal["on", "off"] = "on"  # "off" is named on every verdict


class BasicCredentials(Section):
    """A user name and a password for HTTP basic authentication."""

    user: str
    password: SecretRef


class Authentication(Section):
    """Credentials sent with every request to a service: exactly one of `basic` and `bearer`."""

    basic: BasicCredentials | None = None
    bearer: SecretRef | None = None

    def model_post_init(self, _context: Any) -> None:
        """Refuses none or both."""
        if (self.basic is None) == (self.bearer is None):
            raise ValueError("expected exactly one of `basic` and `bearer`")


class VersionSource(Section):
    """Where a service tells its revision: a path, and a JSON pointer into the answer (none: the whole text)."""

    path: Path
    pointer: Annotated[str, Field(pattern=r"^(/.*)?$")] = ""
    connections: Annotated[int, Field(ge=1, le=1000)] = 44  # 1 - 0.9**44 = 99 % to meet one old replica of ten


class Endpoint(Section):
    """One request of a service and what its answer has to be."""

    request: RequestLine
    status: Statuses | None = None  # None with `allow` only: roles are judged, the answer is not
    content_type: str | None = None
    contains: str | None = None
    json_: Any = Field(default=None, alias="json")
    schema_: str | None = Field(default=None, alias="schema")  # file with a JSON Schema, relative to prodcheck.toml
    headers: dict[str, str] = {}
    as_: Name | None = Field(default=None, alias="as")  # role whose token is sent
    safe: bool = False  # an unsafe method that changes nothing
    budget: Seconds | None = None
    allow: tuple[Name, ...] | None = None
    control: Name | None = None  # endpoint that proves route and token work

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
    """One HTTP(S) service."""

    url: Url
    public: bool = False
    vantage: Name = "outside"
    owner: str = ""
    health: Path | None = None
    version: VersionSource | None = None
    openapi: Path | None = None
    redirect: bool | Url = False  # an address: where plain HTTP is asked, when not port 80 of the same host
    redirect_hosts: tuple[str, ...] = ()  # further hosts a redirect may name
    html: bool = False
    workload: str | None = None
    headers: dict[str, str | SecretRef] = {}
    tls: ServiceTls = ServiceTls()
    authentication: Authentication | None = None
    proxy: Url | None = None
    connect_to: Address | None = None  # connect here instead; name, Host header and SNI stay
    timeout: Seconds = 10.0
    endpoints: dict[Name, Endpoint] = {}

    @property
    def host(self) -> str:
        """The host name of the address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of the address."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)
