"""PostgreSQL clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from pytest_prodcheck.environments.kinds import EnvironmentView, KeyPath, Kind, Target
from pytest_prodcheck.environments.queries import find_invariant, postgres_features
from pytest_prodcheck.environments.rules.database import postgres_complaints
from pytest_prodcheck.environments.sections.base import Address, Count, Name, Regex, Seconds, SecretRef, Section
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
from pytest_prodcheck.environments.sections.tls import TlsPolicy

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.backups import Backups, Content
else:
    Backups, Content = section("backups:Backups"), section("backups:Content")

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
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts
    backups: Backups | None = None  # where its backups lie; nothing of them is judged where left out
    content: Content | None = None  # tables that are compared on the primary and its standbys; none where left out
    # where long reads go, so that they do not hold back the primary's vacuum; left out: to a standby that follows, to
    # the primary where none does
    read_on: Literal["primary", "standby"] | None = None
    migrations: Migrations | None = None  # what is applied, and the scripts that this revision ships
    invariants: dict[Name, Invariant] = {}  # SQL that has to hold; each is a check `data_integrity.rows.NAME`
    relations: dict[Name, Relation] = {}  # references that no foreign key enforces
    orphans: Orphans = Orphans.model_construct()  # how rows without a counterpart are looked for
    freshness: dict[Name, Newest] = {}  # tables whose newest row has to be young
    structure: Structure | None = None  # amcheck, where the section is there: it reads everything
    tolerate: Tolerated = Tolerated.model_construct()  # what of the schema is meant to be as it is
    columns: dict[ColumnName, Column] = {}  # "table.column" or "schema.table.column" that must not hold plain text


def _targets(looking: EnvironmentView) -> Iterator[Target]:
    for name, postgres in looking.environment.postgres.items():
        features = postgres_features(postgres)
        yield Target("postgres", name, features, *looking.reach(postgres.vantage), owner=postgres.owner)
    for postgres in looking.environment.postgres.values():
        for name, invariant in postgres.invariants.items():
            owner, reach = invariant.owner or postgres.owner, looking.reach(postgres.vantage)
            yield Target("invariant", name, frozenset(), *reach, owner=owner, severity=invariant.severity)


def _invariant_path(environment: Environment, name: str) -> KeyPath:
    return ("postgres", (find_invariant(environment, name) or ("", None))[0], "invariants", name)


KINDS = (
    Kind(
        section="postgres",
        awaited={"postgres": ("postgres-cluster",), "invariant": ()},
        targets=_targets,
        rules=postgres_complaints,
        paths={"invariant": _invariant_path},
        brings=("tls",),
    ),
)
