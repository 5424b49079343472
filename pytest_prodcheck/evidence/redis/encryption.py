"""`redis-encryption`: what every node says without a password, and to those who speak without TLS."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network import nodes
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress, split_address
from pytest_prodcheck.evidence.network.transport import address_text
from pytest_prodcheck.evidence.redis.commands import ask, explain, login_of, tls_of, trust_of
from pytest_prodcheck.evidence.redis.group import node_host
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.encryption import PlainPort, RedisAccess, RedisEncryption

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.redis import Redis
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

PATIENCE = 2.0  # seconds for a word from a port that should not speak
ANSWERED = ("PONG", "LOADING", "MASTERDOWN", "MISCONF")  # to a PING of somebody who may ask
_REPLIES = b"+-:$*"  # how an answer begins (RESP2)
_PING = b"PING\r\nPING\r\n"  # long enough for a TLS server to see that it is no handshake


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.redis[target]
    lines = [Sending(each, "Redis PING with and without a password", 2) for each in settings.nodes]
    for each in settings.nodes:
        host, port = split_address(each)
        for other in _plain_ports(settings, port):
            lines.append(Sending(f"{host}:{other}", "Redis PING without TLS, no password"))
    return tuple(lines)


def _plain_ports(settings: Redis, port: int) -> tuple[int, ...]:
    return () if settings.tls is None else tuple(dict.fromkeys((port, *settings.tls.plain_ports)))


def _seconds(target: str, environment: Environment) -> float:
    settings = environment.redis[target]
    ports = len(settings.tls.plain_ports) + 1 if settings.tls else 0
    return 2 * settings.timeout + ports * PATIENCE + 2 * nodes.MARGIN


@evidence("redis-encryption", axis="redis", seconds=_seconds, host=node_host, sends=_sends)
def redis_encryption(target: str, context: Context, deadline: Deadline) -> RedisEncryption:
    """Each node: a PING without a password, one as declared (control), and one without TLS at each port."""
    settings = context.environment.redis[target]
    login, trust = login_of(target, context), trust_of(settings, context)

    def look(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> RedisAccess:
        return _ask_node(declared, where, address, tls_of(trust, declared), login, settings, until)

    def failed(declared: str, problem: Problem, seconds: float) -> RedisAccess:
        return RedisAccess(declared, seconds, problem)

    def worse(node: RedisAccess) -> bool:
        return node.anonymous in ANSWERED or any(port.speaks for port in node.plain)

    answers = nodes.ask_nodes(settings.nodes, look, failed, worse, context, deadline)
    return RedisEncryption(tuple(answers), settings.tls is not None)


def _ask_node(
    declared: str, where: str, address: ResolvedAddress, tls: tuple[ssl.SSLContext, str] | None,
    login: tuple[str | None, str | None], settings: Redis, deadline: Deadline,
) -> RedisAccess:  # fmt: skip
    began = time.monotonic()
    (answer,) = ask(where, address, tls, (None, None), (("PING",),), deadline.at_most(settings.timeout))
    anonymous = _first_word(answer)
    if any(login) and anonymous not in ANSWERED:  # a refused login is raised: then a refusal tells nothing
        (answer,) = ask(where, address, tls, login, (("PING",),), deadline.at_most(settings.timeout))
        if isinstance(answer, Exception) and _first_word(answer) not in ANSWERED:
            raise EvidenceProblem(explain(answer, where, deadline, login[1] or ""))
    ports = tuple(
        _plain_port(ResolvedAddress(address.family, address.ip, port), deadline)
        for port in _plain_ports(settings, address.port)
    )
    return RedisAccess(declared, time.monotonic() - began, None, anonymous, ports)


def _first_word(answer: object) -> str:
    """The word that an answer begins with."""
    return plain(str(answer), 100).partition(" ")[0]


def _plain_port(address: ResolvedAddress, deadline: Deadline) -> PlainPort:
    """What a port says to Redis' protocol in plain; that it cannot be reached from here is as good as silence."""
    where = address_text(address.ip, address.port)
    part = deadline.at_most(PATIENCE)
    try:
        sock = nodes.connect(where, address, part)
    except EvidenceProblem as error:
        deadline.seconds_left()
        refused = error.problem.kind == "refused"
        return PlainPort(where, False, "refuses connections" if refused else "cannot be reached")
    with sock, part.guard(sock):
        try:
            sock.sendall(_PING)
            said = sock.recv(200)
        except OSError:
            deadline.seconds_left()
            return PlainPort(where, False, "says nothing" if part.expired else "closed the connection")
    if not said:
        return PlainPort(where, False, "says nothing" if part.expired else "closed the connection")
    if said[:1] not in _REPLIES:
        return PlainPort(where, False, "speaks something else")
    word = plain(said.decode("ascii", "replace").split("\r\n")[0], 60).partition(" ")[0]
    return PlainPort(where, True, word)
