"""PostgreSQL clusters, Redis groups, and plain dependencies by name or port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pytest_prodcheck.environments.sections.base import Address, Name, Regex, Seconds, SecretRef, Section, Statuses
from pytest_prodcheck.environments.sections.database import (
    Invariant,
    Migrations,
    Newest,
    Orphans,
    Relation,
    Structure,
    Tolerated,
)
from pytest_prodcheck.environments.sections.lazy import section
from pytest_prodcheck.environments.sections.services import Url
from pytest_prodcheck.environments.sections.tls import TlsPolicy, Trust

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups, Content
else:
    Backups, Content = section("backups:Backups"), section("backups:Content")

Count = Annotated[int, Field(ge=0, le=1000)]


class PostgresTls(TlsPolicy):
    """libpq's sslmode, and the CA file it checks against."""

    # libpq's sslmode; "disable" to "require" do not check whom one talks to
    mode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "verify-full"
    ca: str | None = None  # file with the CA certificates to trust (PEM), relative to prodcheck.toml
    certificate: str | None = None  # file with the client certificate (PEM)
    key: str | None = None  # file with the client certificate's key (PEM)


class PostgresExpect(Section):
    """How many of the nodes have each role; which one is which is found, for failovers swap them."""

    primaries: Count = 1  # nodes that take writes
    standbys: Count = 0  # nodes that replay and are read-only
    synchronous: Count | None = None  # of the standbys, how many must be synchronous; not judged where left out


class Timeouts(Section):
    """Upper bounds that the sessions of prodcheck set for themselves."""

    statement: Seconds = 5.0  # longest statement
    lock: Seconds = 0.2  # longest wait for a lock, so that we never queue up before real work
    connect: Seconds = 5.0  # longest wait for a connection


ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*){1,2}$", max_length=200)]


class Column(Section):
    """A column that must not hold plain text. Values are sampled, counted and forgotten; no report shows one."""

    # what must not be found in it, also below base64 or hex: card numbers (Luhn), e-mail addresses, IBANs
    never: tuple[Literal["card", "email", "iban"], ...] = ("card", "email", "iban")
    plain: Regex | None = None  # regular expression of further plain text that must not be found in a value
    form: Regex | None = None  # regular expression that every value must match from its beginning, such as "v1:"
    # true: the values, decoded, must look random, as ciphertext does; false for hashes and tokens that do not
    entropy: bool = True
    rows: Annotated[int, Field(ge=1, le=500)] = 200  # values that are looked at, by chance


class Postgres(Section):
    """One PostgreSQL cluster: its nodes, the address of its writer, what to expect."""

    nodes: Annotated[tuple[Address, ...], Field(min_length=1)]  # "HOST:PORT" of every node, primary and standbys alike
    writer: Address | None = None  # "HOST:PORT" that applications write to; it must lead to the one primary
    expect: PostgresExpect = PostgresExpect.model_construct()  # how many nodes of each role there must be
    database: str = "postgres"  # database to connect to
    user: str = "prodcheck"  # role to log in as; `prodcheck grants` prints the SQL for the rights that it needs
    password: SecretRef | None = None  # where its password lies; none where left out
    tls: PostgresTls = PostgresTls.model_construct()  # how connections are secured and trusted
    timeouts: Timeouts = Timeouts.model_construct()  # bounds that our own sessions set for themselves
    # from where it is reached; a run looks from one place (`--vantage`), what is elsewhere is skipped `out-of-reach`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts
    backups: Backups | None = None  # where its backups lie; nothing of them is judged where left out
    content: Content | None = None  # tables that are compared on the primary and its standbys; none where left out
    # where long reads go, so that they do not hold back the primary's vacuum; left out: to a standby that follows, to
    # the primary where none does
    read_on: Literal["primary", "standby"] | None = None
    migrations: Migrations | None = None  # what is applied, and the scripts that this revision ships
    invariants: dict[Name, Invariant] = {}  # SQL that has to hold; each is a check `data_integrity.rows.NAME`
    relations: dict[Name, Relation] = {}  # rows that need a counterpart, without a foreign key that sees to it
    orphans: Orphans = Orphans.model_construct()  # how rows without a counterpart are looked for
    freshness: dict[Name, Newest] = {}  # tables whose newest row has to be young
    structure: Structure | None = None  # amcheck, where the section is there: it reads everything
    tolerate: Tolerated = Tolerated.model_construct()  # what of the schema is meant to be as it is
    columns: dict[ColumnName, Column] = {}  # "table.column" or "schema.table.column" that must not hold plain text


class RedisTls(TlsPolicy, Trust):
    """TLS of Redis: on when the section is there; checked against `ca` or the system's CAs."""

    # ports of the same hosts on which nobody may speak Redis without TLS; the nodes' own ports are looked at anyway
    plain_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (6379,)

class RedisExpect(Section):
    """How many of the nodes have each role."""

    primaries: Count = 1  # nodes that take writes
    replicas: Count = 0  # nodes that follow one


class Redis(Section):
    """One group of Redis nodes that hold the same data."""

    nodes: Annotated[tuple[Address, ...], Field(min_length=1)]  # "HOST:PORT" of every node
    expect: RedisExpect = RedisExpect.model_construct()  # how many nodes of each role there must be
    user: str | None = None  # ACL user; the default user where left out
    password: SecretRef | None = None  # where its password lies; none where left out
    tls: RedisTls | None = None  # TLS, where the section is there; plain connections where left out
    persistence: bool | None = None  # true: must be on; false: must be off; left out: judged only where it is on
    # true: a primary is asked what a write would be answered, by SET of a key that is not there, with XX, which changes
    # nothing; a user with an ACL needs +set ~prodcheck:* for it. false: smoke.redis.writes is skipped
    try_writes: bool = True
    timeout: Seconds = 5.0  # for one node, from connecting to the last answer
    # from where it is reached; a run looks from one place (`--vantage`), what is elsewhere is skipped `out-of-reach`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


class Dependency(Section):
    """Something this environment cannot do without: exactly one of the first five keys."""

    dns: str | None = None  # name that has to resolve
    tcp: Address | None = None  # "HOST:PORT" that has to accept a connection
    http: Url | None = None  # address that has to answer a GET
    postgres: Name | None = None  # cluster of `postgres` whose writer has to answer
    redis: Name | None = None  # group of `redis` whose primary has to answer
    expect: tuple[str, ...] = ()  # addresses that the name has to have, all of them
    status: Statuses | None = None  # what `http` may answer, one or several; 200 to 399 where left out
    ca: str | None = None  # file with the CA certificates that `http` is trusted by (PEM); else the system's
    timeout: Seconds = 5.0  # for one answer
    # from where it is reached; a run looks from one place (`--vantage`), what is elsewhere is skipped `out-of-reach`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    def model_post_init(self, _context: Any) -> None:
        """Refuses none or several kinds at once, and keys of another kind."""
        kinds = (self.dns, self.tcp, self.http, self.postgres, self.redis)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError('expected exactly one of `dns`, `tcp`, `http`, `postgres`, `redis`, such as http = "URL"')
        if self.http is None and (self.status is not None or self.ca is not None):
            raise ValueError("`status` and `ca` go with `http`")
        if self.expect and self.dns is None:
            raise ValueError("`expect` lists addresses of a name: it goes with `dns`")
