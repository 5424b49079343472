"""Facts about encryption: connections to PostgreSQL and Redis, and what declared columns hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class AccessRule:
    """One line of pg_hba.conf that lets somebody in."""

    line: int
    kind: str  # "host", "hostssl", "local", …
    address: str  # "10.0.0.0", "all", "samehost"; "" for local
    method: str  # "scram-sha-256", "md5", "trust", …


@dataclass(frozen=True)
class PostgresAccess:
    """How one node takes connections; `problem` where it could not be found out."""

    address: str
    seconds: float
    problem: Problem | None = None
    encrypted: bool = False  # our own session, as pg_stat_ssl tells
    # what a start without TLS meets, sent without a password: "refused" (told so), "closed" (without a word), "taken"
    plain: Literal["refused", "closed", "taken", ""] = ""
    plain_said: str = ""
    # how the server asks our user for the password: "SCRAM-SHA-256", "MD5", "plain text", "nothing", "GSSAPI", "SSPI"
    asks_for: str = ""
    password_encryption: str = ""  # how new passwords are stored
    weak_passwords: int | None = None  # roles that may log in with one not stored as SCRAM; None: may not be read
    rules: tuple[AccessRule, ...] | None = None  # pg_hba_file_rules; None where it may not be read


@dataclass(frozen=True)
class PostgresEncryption:
    """`postgres-encryption` (postgres): every declared node and the writer's address."""

    nodes: tuple[PostgresAccess, ...]
    declared: str  # tls.mode
    certificate: bool  # a client certificate is declared, which may stand for a password


@dataclass(frozen=True)
class PlainPort:
    """What one port answers to a PING without TLS and without a password."""

    address: str
    speaks: bool  # it answered in Redis' protocol
    said: str  # "refuses connections", "closed the connection", "+PONG"


@dataclass(frozen=True)
class RedisAccess:
    """How one node takes connections; `problem` where it could not be found out."""

    address: str
    seconds: float
    problem: Problem | None = None
    anonymous: str = ""  # the word that answers a PING without a password: "PONG", "NOAUTH"
    plain: tuple[PlainPort, ...] = ()  # the node's port and those under tls.plain_ports; () where no TLS is declared


@dataclass(frozen=True)
class RedisEncryption:
    """`redis-encryption` (redis): every declared node."""

    nodes: tuple[RedisAccess, ...]
    tls: bool  # declared


@dataclass(frozen=True)
class ColumnSample:
    """What sampled values of one column look like: counts, no value; `problem` where it could not be read."""

    column: str
    problem: Problem | None = None
    values: int = 0  # looked at; empty ones and NULL are left out
    card_like: int = 0  # values with 13 to 19 digits in a row
    cards: int = 0  # of those, with the check digit of a payment card (Luhn)
    emails: int = 0  # values with an e-mail address
    ibans: int = 0  # values with an IBAN whose check digits are right
    plain: int | None = None  # values in which the declared `plain` was found; None: none is declared
    misshapen: int | None = None  # values that do not match the declared `form`; None: none is declared
    size: int = 0  # bytes of the decoded values together, without what all begin with
    entropy: float | None = None  # bits a byte of those, None where too few bytes tell nothing, or it is not asked for
    never: tuple[str, ...] = ()  # what must not be found: "card", "email", "iban"


@dataclass(frozen=True)
class PostgresColumns:
    """`postgres-columns` (postgres, where columns are declared): each declared column, read from one node."""

    node: str
    columns: tuple[ColumnSample, ...]
