"""A few commands to a Redis server, bounded in time and size whatever the server does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.network.nodes import connect, connection_problem
from pytest_prodcheck.evidence.network.resolving import split_address
from pytest_prodcheck.evidence.redis.resp import Answer, NotRedis, RedisError, exchange
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem, ProblemKind

if TYPE_CHECKING:
    import socket
    import ssl

    from pytest_prodcheck.environments.sections.redis import Redis
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

_SAID: tuple[tuple[tuple[str, ...], ProblemKind, str, str], ...] = (
    (("NOAUTH",), "denied", "the answer has a password field", "name one in `password`"),
    (("WRONGPASS", "ERR INVALID PASSWORD", "ERR INVALID USERNAME"), "denied", "the login was refused",
     "are user and password right?"),
    (("ERR CLIENT SENT AUTH", "ERR AUTH <PASSWORD> CALLED"), "denied", "it has no password, one was given",
     "set requirepass there, or leave `password` out"),
    (("NOPERM",), "denied", "the user may not ask", "ACL SETUSER … +ping +info +config|get +set ~prodcheck:*"),
    (("DENIED",), "denied", "it is in protected mode", "set a password or bind it there"),
    (("ERR MAX NUMBER OF CLIENTS",), "full", "too many clients, no connection is left",
     "look for connections that leak, or raise maxclients"),
    (("BUSY",), "refused", "a script keeps it from answering anybody", "SCRIPT KILL, FUNCTION KILL"),
)  # fmt: skip


def login_of(target: str, context: Context) -> tuple[str | None, str | None]:
    """User and password of a group; raises EvidenceProblem where the password is missing."""
    settings = context.environment.redis[target]
    return settings.user, context.secret(settings.password) if settings.password else None


def trust_of(settings: Redis, context: Context) -> ssl.SSLContext | None:
    """How TLS is trusted, None for plain connections."""
    if settings.tls is None:
        return None
    from pytest_prodcheck.evidence.network.trust import trust_in

    return trust_in(settings.tls, context, "redis")


def tls_of(trust: ssl.SSLContext | None, declared: str) -> tuple[ssl.SSLContext, str] | None:
    """How a declared node ("HOST:PORT") is spoken to by TLS: trust and server name; None for plain connections."""
    return (trust, split_address(declared)[0]) if trust is not None else None


def ask(
    where: str,
    address: ResolvedAddress,
    tls: tuple[ssl.SSLContext, str] | None,
    login: tuple[str | None, str | None],
    commands: Sequence[Sequence[str]],
    deadline: Deadline,
) -> list[Answer]:
    """The answers to the commands, in one round trip; one that is an error is the exception, not raised.

    tls: as `tls_of`. login: user and password. Raises EvidenceProblem, also for a refused login.
    """
    given = [word for word in login if word]
    secret = login[1] or ""
    words = [("AUTH", *given), *commands] if given else list(commands)
    plain_socket = connect(where, address, deadline)
    with plain_socket, deadline.guard(plain_socket):
        try:
            with _secured(plain_socket, tls) as sock:
                answers = exchange(sock, where, words)
        except (NotRedis, OSError) as error:
            raise EvidenceProblem(explain(error, where, deadline, secret)) from None
    if given and isinstance(answer := answers.pop(0), Exception):
        raise EvidenceProblem(explain(answer, where, deadline, secret))
    return answers


@dataclass(frozen=True)
class RedisNodeClient:
    """How one node is asked: each call is one connection and one round trip."""

    where: str
    address: ResolvedAddress
    tls: tuple[ssl.SSLContext, str] | None
    login: tuple[str | None, str | None]

    def ask(self, commands: Sequence[Sequence[str]], deadline: Deadline) -> list[Answer]:
        """The answers; an error is the exception, not raised. Raises EvidenceProblem."""
        return ask(self.where, self.address, self.tls, self.login, commands, deadline)

    def words(self, answer: object) -> str:
        """An error as the server worded it, the password blanked."""
        said = str(answer)
        return plain(said.replace(self.login[1], "[redacted]") if self.login[1] else said, 200)


def explain(error: Exception, where: str, deadline: Deadline, secret: str = "") -> Problem:
    """The problem that an error of the server or of the socket stands for; `secret` is blanked if anybody echoes it."""
    import ssl

    if deadline.expired or isinstance(error, TimeoutError):
        return connection_problem(TimeoutError(), where, deadline)
    if isinstance(error, ssl.SSLError):
        from pytest_prodcheck.evidence.network.failures import classify

        return classify(error, where, deadline, "")
    said = plain(str(error).replace(secret, "[redacted]") if secret else str(error))
    for starts, kind, what, hint in _SAID:
        if said.upper().startswith(starts):
            return Problem(kind, f"{where}: {what} ({said})", hint)
    if isinstance(error, NotRedis):
        return Problem(
            "protocol", f"{where}: the server does not speak the Redis protocol ({said})", "is this the right port?"
        )
    if isinstance(error, RedisError):
        return Problem("protocol", f"{where}: it answered with an error ({said})")
    if isinstance(error, ConnectionError):
        hint = "does it want TLS? then declare tls = {}" if "closed" in said.lower() else ""
        return Problem("reset", f"{where}: the connection was closed", hint)
    return connection_problem(error, where, deadline)


def _secured(sock: socket.socket, tls: tuple[ssl.SSLContext, str] | None) -> socket.socket:
    if tls is None:
        return sock
    context, name = tls
    return context.wrap_socket(sock, server_hostname=name)
