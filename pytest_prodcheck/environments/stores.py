"""PostgreSQL clusters, Redis groups, and plain dependencies by name or port."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pytest_prodcheck.environments.base import Name, Seconds, SecretRef, Section
from pytest_prodcheck.environments.services import Address

Count = Annotated[int, Field(ge=0, le=1000)]


class PostgresTls(Section):
    """libpq's sslmode, and the CA file it checks against."""

    mode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "verify-full"
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class PostgresExpect(Section):
    """How many of the nodes have each role; which one is which is found, for failovers swap them."""

    primaries: Count = 1
    standbys: Count = 0
    synchronous: Count | None = None


class Timeouts(Section):
    """Upper bounds that the sessions of prodcheck set for themselves."""

    statement: Seconds = 5.0
    lock: Seconds = 0.2
    connect: Seconds = 5.0


class Postgres(Section):
    """One PostgreSQL cluster: its nodes, the address of its writer, what to expect."""

    nodes: Annotated[tuple[Address, ...], Field(min_length=1)]
    writer: Address | None = None
    expect: PostgresExpect = PostgresExpect()
    database: str = "postgres"
    user: str = "prodcheck"
    password: SecretRef | None = None
    tls: PostgresTls = PostgresTls()
    timeouts: Timeouts = Timeouts()
    vantage: Name = "outside"
    owner: str = ""
    read_on: Literal["primary", "standby"] = "primary"


class RedisTls(Section):
    """TLS of Redis: on when the section is there; checked against `ca` or the system's CAs."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: Literal["on", "off"] = "on"


class RedisExpect(Section):
    """How many of the nodes have each role."""

    primaries: Count = 1
    replicas: Count = 0


class Redis(Section):
    """One group of Redis nodes that hold the same data."""

    nodes: Annotated[tuple[Address, ...], Field(min_length=1)]
    expect: RedisExpect = RedisExpect()
    user: str | None = None
    password: SecretRef | None = None
    tls: RedisTls | None = None
    persistence: bool | None = None  # true: must be on; false: must be off; none: judged only where it is on
    timeout: Seconds = 5.0
    vantage: Name = "outside"
    owner: str = ""


class Dependency(Section):
    """Something this environment cannot do without: a name that has to resolve, or a port that has to accept."""

    dns: str | None = None
    tcp: Address | None = None
    expect: tuple[str, ...] = ()  # addresses that the name has to have, all of them
    timeout: Seconds = 5.0
    vantage: Name = "outside"
    owner: str = ""

    def model_post_init(self, _context: Any) -> None:
        """Refuses none or both, and addresses for a port."""
        if (self.dns is None) == (self.tcp is None):
            raise ValueError('expected exactly one of dns = "NAME" and tcp = "HOST:PORT"')
        if self.expect and self.dns is None:
            raise ValueError("`expect` lists addresses of a name: it goes with `dns`")
