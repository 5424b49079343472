"""`postgres-encryption`: whether every node refuses plain connections, and how it stores and asks for passwords."""

from __future__ import annotations

import json
import ssl
import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network import nodes
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress, split_address
from pytest_prodcheck.evidence.postgres.cluster import node_addresses, node_host
from pytest_prodcheck.evidence.postgres.members import libpq_parameters
from pytest_prodcheck.evidence.postgres.problems import ServerError, classify
from pytest_prodcheck.evidence.postgres.safe_sql import READ_ONLY
from pytest_prodcheck.evidence.postgres.startup_packet import StartupResponse, start_tls, startup_response
from pytest_prodcheck.evidence.postgres.wire import Wire
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.encryption import AccessRule, PostgresAccess, PostgresEncryption

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.postgres import Postgres
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_FORBIDDEN = "42501"
_REFUSALS = ("28",)  # invalid_authorization_specification: pg_hba.conf has no line for it, or rejects it
_SESSION = f"""\
{READ_ONLY}select json_build_object('encrypted', coalesce((select ssl
  from pg_stat_ssl where pid = pg_backend_pid()), false),
                         'stored', current_setting('password_encryption'))::text; rollback"""
# lines that cannot be read have an error and no type: the server does not use such a file
_RULES = """\
select coalesce(json_agg(json_build_array(line_number, type, coalesce(address, ''), auth_method)), '[]')::text
from (select * from pg_hba_file_rules where error is null and type is not null limit 1000) as rules"""
_WEAK = """\
select count(*)::text from pg_authid where rolcanlogin and rolpassword is not null
and rolpassword not like 'SCRAM-SHA-256$%'"""


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target]
    lines = []
    for each in node_addresses(settings):
        lines.append(Sending(each, f"PostgreSQL login as {settings.user}, three reading statements"))
        lines.append(Sending(each, f"PostgreSQL start as {settings.user} without TLS, no password"))
        if settings.tls.mode != "disable":
            lines.append(Sending(each, f"PostgreSQL start as {settings.user} with TLS, no password"))
    return tuple(lines)


def _seconds(target: str, environment: Environment) -> float:
    timeouts = environment.postgres[target].timeouts
    return 3 * timeouts.connect + timeouts.statement + 2 * nodes.MARGIN


@evidence("postgres-encryption", axis="postgres", seconds=_seconds, host=node_host, sends=_sends)
def postgres_encryption(target: str, context: Context, deadline: Deadline) -> PostgresEncryption:
    """Each node: a session as declared (control), then two starts that end at the question for the password."""
    settings = context.environment.postgres[target]
    parameters = libpq_parameters(target, context)
    trust = _trust(settings, context)

    def ask(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> PostgresAccess:
        return _ask_node(declared, where, address, parameters, settings, trust, until)

    def failed(declared: str, problem: Problem, seconds: float) -> PostgresAccess:
        return PostgresAccess(declared, seconds, problem)

    answers = nodes.ask_nodes(
        node_addresses(settings), ask, failed, lambda node: node.plain == "taken", context, deadline
    )
    return PostgresEncryption(tuple(answers), settings.tls.mode, settings.tls.certificate is not None)


def _trust(settings: Postgres, context: Context) -> ssl.SSLContext | None:
    """As `tls.mode` says; None for connections without TLS."""
    if settings.tls.mode == "disable":
        return None
    from pytest_prodcheck.environments.sections.tls import Trust
    from pytest_prodcheck.evidence.network.trust import trust_in

    tls = settings.tls
    checked = tls.mode in ("verify-ca", "verify-full")
    declared = Trust(ca=tls.ca, certificate=tls.certificate, key=tls.key, verify="on" if checked else "off")
    trust = trust_in(declared, context, "postgres")
    trust.check_hostname = tls.mode == "verify-full"
    trust.set_alpn_protocols(["postgresql"])  # PostgreSQL 17 and later take no other
    return trust


def _ask_node(
    declared: str, where: str, address: ResolvedAddress, parameters: dict[str, str], settings: Postgres,
    trust: ssl.SSLContext | None, deadline: Deadline,
) -> PostgresAccess:  # fmt: skip
    began = time.monotonic()
    host = split_address(declared)[0]
    facts, rules, weak = _session(where, address, {**parameters, "host": host}, settings, deadline)
    plain_word = _startup_response(where, address, settings, None, host, deadline)
    safe_word = _startup_response(where, address, settings, trust, host, deadline) if trust is not None else plain_word
    if not safe_word.asks_for:
        said = safe_word.message or "the connection was closed"
        raise EvidenceProblem(Problem("protocol", f"{where}: a start as declared was refused ({said})"))
    return PostgresAccess(
        declared, time.monotonic() - began, None, facts["encrypted"],
        _plaintext_outcome(plain_word, where), plain_word.message,
        safe_word.asks_for, facts["stored"], weak, rules,
    )  # fmt: skip


def _plaintext_outcome(word: StartupResponse, where: str) -> Any:
    """What became of a plain start; raises EvidenceProblem for an error that is no refusal."""
    if word.asks_for:
        return "taken"
    if not word.state:
        return "closed"
    pooler = word.state == "08P01" and "SSL" in word.message.upper()  # PgBouncer: "SSL required"
    if word.state.startswith(_REFUSALS) or pooler:
        return "refused"
    what = f"{where}: a plain start met another error ({word.message}), which refuses nothing"
    raise EvidenceProblem(Problem("protocol", what))


def _startup_response(
    where: str, address: ResolvedAddress, settings: Postgres, trust: ssl.SSLContext | None, host: str,
    deadline: Deadline,
) -> StartupResponse:  # fmt: skip
    """The server's first word over a connection of its own, with or without TLS."""
    part = deadline.at_most(settings.timeouts.connect)
    sock = nodes.connect(where, address, part)
    with sock, part.guard(sock):
        try:
            if trust is None:
                return startup_response(sock, settings.user, settings.database, where)
            with start_tls(sock, trust, host, where) as safe:
                return startup_response(safe, settings.user, settings.database, where)
        except ssl.SSLError as error:
            raise EvidenceProblem(Problem("tls", f"{where}: TLS failed ({error.reason or error})")) from None
        except OSError as error:
            if part.expired:
                part.seconds_left()
            raise EvidenceProblem(Problem("reset", f"{where}: {error.strerror or error}")) from None


def _session(
    where: str, address: ResolvedAddress, parameters: dict[str, str], settings: Postgres, deadline: Deadline
) -> tuple[Any, tuple[AccessRule, ...] | None, int | None]:
    wire = Wire(where)
    try:
        wire.open(
            {**parameters, "hostaddr": address.ip, "port": str(address.port)},
            deadline.at_most(settings.timeouts.connect),
        )
        facts = json.loads(wire.ask(_SESSION, deadline))
        rules = _if_allowed(wire, _RULES, deadline)
        weak = _if_allowed(wire, _WEAK, deadline)
    except ServerError as error:
        if deadline.expired:
            deadline.seconds_left()
        raise EvidenceProblem(classify(error, where, parameters.get("password", ""))) from None
    except ValueError:
        raise EvidenceProblem(Problem("protocol", f"{where}: the facts that it told are no JSON")) from None
    finally:
        wire.close()
    if not isinstance(facts, dict) or type(facts.get("encrypted")) is not bool or not isinstance(facts["stored"], str):
        raise EvidenceProblem(Problem("protocol", f"{where}: what it told are no facts of a PostgreSQL server"))
    return facts, None if rules is None else _rules(rules, where), None if weak is None else int(weak)


def _if_allowed(wire: Wire, sql: str, deadline: Deadline) -> bytes | None:
    """The answer, None where this user may not ask."""
    try:
        return wire.ask(f"{READ_ONLY}{sql}; rollback", deadline)
    except ServerError as error:
        if error.state != _FORBIDDEN:
            raise
        wire.run("rollback", deadline)
        return None


def _rules(told: bytes, where: str) -> tuple[AccessRule, ...]:
    try:
        return tuple(AccessRule(int(line), str(kind), str(address), str(method))
                     for line, kind, address, method in json.loads(told))  # fmt: skip
    except (TypeError, ValueError):
        raise EvidenceProblem(Problem("protocol", f"{where}: pg_hba_file_rules tells no rules")) from None
