"""The kinds of facts: frozen plain data that can be saved, sent to xdist workers and judged again.

Times are UTC epoch seconds, durations seconds, sizes bytes. Strings from targets are already redacted and bounded.
"""

from __future__ import annotations

import json as _json
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

Record = TypeVar("Record")

ProblemKind = Literal[
    "timeout",  # no answer before the deadline
    "refused",  # nothing listens there
    "unreachable",  # no route from here
    "reset",  # the connection broke
    "dns",  # the name does not resolve
    "tls",  # handshake or trust failed
    "protocol",  # an answer that is not what the protocol says
    "too-large",  # more than the declared bound
    "denied",  # credentials were refused
    "full",  # it answers that it has no connection left to give
    "missing-extra",  # a Python package is not installed
    "configuration",  # a file or secret that is referred to is not there
    "stale",  # older than it may be, or without a date
    "foreign",  # about something else than what was declared, or about nothing that it names
    "empty",  # nothing was looked at
    "invalid",  # a measurement that proves nothing, such as a load that was not sent as asked
    "unread",  # not in the saved evidence
    "interrupted",  # the run ended first
    "internal",  # the collector itself failed
]


@dataclass(frozen=True)
class Problem:
    """Why a fact could not be had: what happened and where, and what to do about it."""

    kind: ProblemKind
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class EvidenceProblem(Exception):
    """Raised by collectors, and by evidence fixtures for a fact that could not be had; makes the check errored."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Evidence(Generic[Record]):
    """One fact, gathered once: a record or a problem."""

    key: str  # "http-health:shop"
    collector: str
    target: str
    gathered_at: float  # when gathering of it began
    seconds: float
    record: Record | None = None
    problem: Problem | None = None
    notes: tuple[str, ...] = ()  # "connection reset, tried again once"


@dataclass(frozen=True)
class Exchange:
    """One HTTP request and its answer, redirects not followed."""

    method: str
    url: str
    status: int
    headers: tuple[tuple[str, str], ...]  # as received, repeated ones too, in order
    body: str | None  # None: not saved (evidence of a protected environment that is judged again)
    size: int  # bytes of the decoded body that were read
    seconds: float  # from sending the request to the last byte of the body
    address: str = ""  # "127.0.0.1:443", the peer that answered
    truncated: bool = False  # there was more than the bound

    def header(self, name: str) -> str | None:
        """The values of one header joined by ", ", None where it is not there."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    @property
    def content_type(self) -> str:
        """The media type, lower case, without parameters; "" where none is said."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body; raises EvidenceProblem where it was not saved or not read whole."""
        if self.body is None:
            what = f"{self.method} {self.url}: the body was not saved with the evidence"
            raise EvidenceProblem(Problem("unread", what))
        if self.truncated:
            raise EvidenceProblem(Problem("too-large", f"{self.method} {self.url}: the body is larger than was read"))
        return self.body

    def json(self) -> Any:
        """The body as JSON; raises EvidenceProblem where it is none."""
        try:
            return _json.loads(self.text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            what = f"{self.method} {self.url}: the answer is not JSON ({error})"
            raise EvidenceProblem(Problem("protocol", what)) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


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
    family: Literal["IPv4", "IPv6"]
    status: int | None
    seconds: float
    problem: Problem | None = None
    routed: bool = True  # False: no route from here to this family


@dataclass(frozen=True)
class Addresses:
    """`http-addresses` (service): each address behind the service's name, asked for the health address (or `/`)."""

    name: str
    answers: tuple[AddressAnswer, ...]


@dataclass(frozen=True)
class RedirectChain:
    """`http-redirect` (service, where declared): what plain HTTP leads to."""

    start: str
    closed: bool  # nothing listens there: nothing to redirect
    hops: tuple[Exchange, ...]  # bodies left out
    allowed_hosts: tuple[str, ...]
    looped: bool = False


@dataclass(frozen=True)
class OpenApi:
    """`http-openapi` (service): the served document, and the declared endpoints it has to hold."""

    exchange: Exchange
    document: Any  # parsed; None where it is no JSON object
    problems: tuple[str, ...]  # what is wrong with it as an OpenAPI 3 document
    undeclared: tuple[str, ...]  # "GET /products/{sku} (product)": declared endpoints that it lacks


@dataclass(frozen=True)
class Contract:
    """`http-contract` (endpoint): the JSON Schema of the answer, of a file or OpenAPI document; None: none declared."""

    source: str
    schema: Any


@dataclass(frozen=True)
class Login:
    """`auth-login` (role): whether good credentials gave a token or session. The token itself is not kept."""

    role: str
    granted: bool
    carrier: Literal["bearer", "cookie", "basic", ""]
    exchange: Exchange | None
    reason: str = ""  # why not granted


@dataclass(frozen=True)
class Rejection:
    """One bad login."""

    case: Literal["wrong password", "unknown user", "empty password"]
    exchange: Exchange
    granted: bool  # a token or session came back


@dataclass(frozen=True)
class Rejections:
    """`auth-rejections` (auth): bad logins, and the positive control that a good one works at the same place."""

    control: Login
    attempts: tuple[Rejection, ...]


# what an answer has to do with the login, where roles carry session cookies: "redirect" leads to the declared login
# page, "form" is a page that asks for a password; "" for neither, and for tokens
LoginPage = Literal["redirect", "form", ""]


@dataclass(frozen=True)
class Guarded:
    """`auth-required` (endpoint not open to anonymous): asked without and with a garbage token, and as allowed."""

    anonymous: Exchange
    garbage: Exchange
    control: Exchange
    control_role: str
    control_expected: tuple[int, ...]
    anonymous_login: LoginPage = ""  # whether the answer is the login page instead
    garbage_login: LoginPage = ""
    control_login: LoginPage = ""


@dataclass(frozen=True)
class Session:
    """`auth-session` (role): a fresh token opens a protected endpoint; where logout revokes, not after logout."""

    role: str
    endpoint: str
    expected: tuple[int, ...]
    opened: Exchange
    logout: Exchange | None  # None: logout is not declared to revoke
    after: Exchange | None
    opened_login: LoginPage = ""  # whether the answer is the login page instead
    after_login: LoginPage = ""


@dataclass(frozen=True)
class StepAnswer:
    """One step of a workflow. `reasons` says what was not as declared; empty means good."""

    name: str
    cleanup: bool
    exchange: Exchange | None
    reasons: tuple[str, ...] = ()
    problem: Problem | None = None
    skipped: bool = False  # not sent, for a step before it failed or a variable it needs was never captured


@dataclass(frozen=True)
class WorkflowRun:
    """`workflow` (workflow): all steps, then all clean-up steps."""

    steps: tuple[StepAnswer, ...]


@dataclass(frozen=True)
class NameAnswer:
    """`dns-name` (dns): the addresses of a name."""

    name: str
    server: str  # the name server that was asked, "system" for the system's resolver
    addresses: tuple[str, ...]
    expected: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class PortAnswer:
    """`tcp-port` (tcp): the port accepted, or why not (a refusal is an answer, not a problem of ours)."""

    address: str
    accepted: bool
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class PostgresNode:
    """One node of a cluster as its own server tells it; `problem` where it did not."""

    address: str
    seconds: float
    problem: Problem | None = None
    version: int = 0  # server_version_num
    recovering: bool = False  # pg_is_in_recovery(): a standby
    read_only: bool = False  # a new transaction would be read only
    system_identifier: str = ""
    max_connections: int = 0
    reserved_connections: int = 0  # superuser_reserved_connections (+ reserved_connections since 16)
    used_connections: int = 0
    receiver: str | None = ""  # status of a standby's WAL receiver ("streaming"), "" none runs, None may not be read
    replay_paused: bool = False
    standbys: int | None = None  # rows of pg_stat_replication with state streaming, None where it may not be read
    synchronous: int | None = None  # of those, sync or quorum


@dataclass(frozen=True)
class PostgresCluster:
    """`postgres-cluster` (postgres): every declared node, and what the writer's address leads to."""

    nodes: tuple[PostgresNode, ...]
    writer: PostgresNode | None
    expected_primaries: int
    expected_standbys: int
    expected_synchronous: int | None


@dataclass(frozen=True)
class RedisNode:
    """One Redis node; `problem` where it did not answer."""

    address: str
    seconds: float
    problem: Problem | None = None
    version: str = ""
    role: str = ""  # "master" or "slave", as INFO says
    loading: bool = False
    link_up: bool = False  # of a replica
    syncing: bool = False  # a replica that is loading its first copy
    replicas: int = 0  # connected to a primary
    used_memory: int = 0
    maxmemory: int = 0  # 0: no limit
    policy: str = ""  # maxmemory_policy
    saves: bool = False  # RDB snapshots are configured
    save_ok: bool = True  # rdb_last_bgsave_status
    save_age: float = 0.0  # seconds since the last good save
    changes_unsaved: int = 0
    aof: bool = False
    aof_ok: bool = True  # aof_last_write_status and aof_last_bgrewrite_status
    persistence_known: bool = True  # False: CONFIG may not be read, `saves` was derived from INFO alone


@dataclass(frozen=True)
class RedisGroup:
    """`redis-group` (redis): every declared node."""

    nodes: tuple[RedisNode, ...]
    expected_primaries: int
    expected_replicas: int
    persistence: bool | None  # as declared
