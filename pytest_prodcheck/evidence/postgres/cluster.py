"""`postgres-cluster`: every declared node and the writer's address, as the servers themselves tell it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import MARGIN, ask_nodes
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress, split_address
from pytest_prodcheck.evidence.postgres.problems import ServerError, classify
from pytest_prodcheck.evidence.postgres.synchronous import SYNCHRONOUS_SQL, confirmations
from pytest_prodcheck.evidence.postgres.wire import Wire
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.stores import ConnectionLimit, LockedOut, PostgresCluster, PostgresNode

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.postgres import Postgres
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

FEW = 3  # connections that a role may have at most which is no application's: monitoring uses all that it may
BETWEEN = 1.0  # seconds between two looks at sessions waiting for a synchronous standby
_PROMOTED = "55000"  # object_not_in_prerequisite_state: a promotion ended recovery between two of our questions
_FORBIDDEN = "42501"
_SYSTEM = "(select system_identifier::text from pg_control_system())"
# Others' sessions show no backend_type without pg_read_all_stats; then sessions of a user in a database are counted.
# A walsender that has a database is a logical one, no standby.
_FACTS = """\
begin read only; set local search_path = pg_catalog, pg_temp;
set local statement_timeout = {statement};
set local lock_timeout = {lock};
select json_build_object(
  'version', current_setting('server_version_num')::int,
  'recovering', recovering,
  'default_read_only', current_setting('default_transaction_read_only')::bool,
  'hidden', (select source in ('user', 'database user') from pg_settings where name = 'default_transaction_read_only'),
  'system_identifier', {system},
  'max_connections', current_setting('max_connections')::int,
  'reserved', current_setting('superuser_reserved_connections')::int
              + coalesce(current_setting('reserved_connections', true)::int, 0),
  'used', (select count(*) from pg_stat_activity where backend_type = 'client backend'
           or (backend_type is null and usesysid is not null and datid is not null)),
  'limited', (select coalesce(json_agg(json_build_array(name, used, most) order by used::float8 / most desc), '[]')
    from (
      select 'database ' || d.datname as name, d.datconnlimit as most, (select count(*) from pg_stat_activity a
        where a.datid = d.oid and coalesce(a.backend_type, 'client backend') = 'client backend') as used
      from pg_database d where d.datname = current_database() and d.datconnlimit > 0
      union all
      select 'role ' || r.rolname, r.rolconnlimit, (select count(*) from pg_stat_activity a
        where a.usesysid = r.oid and coalesce(a.backend_type, 'client backend') = 'client backend')
      from pg_roles r where r.rolconnlimit > {few} and r.rolcanlogin and not r.rolsuper and r.rolname <> current_user
      limit 200) as limits),
  'locked_out', (select coalesce(json_agg(json_build_array(r.rolname, u.sessions, case
      when not r.rolcanlogin then 'it is NOLOGIN' when r.rolconnlimit = 0 then 'its CONNECTION LIMIT is 0'
      else 'its password ended at ' || to_char(r.rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD HH24:MI UTC')
      end)), '[]')
    from (select usesysid, count(*) as sessions from pg_stat_activity a
      where coalesce(a.backend_type, 'client backend') = 'client backend' group by 1) u
    join pg_roles r on r.oid = u.usesysid and r.rolname <> current_user
    where not r.rolcanlogin or r.rolvaliduntil < now() or (r.rolconnlimit = 0 and not r.rolsuper)),
  'receiver', case when allowed then coalesce((select status from pg_stat_wal_receiver limit 1), '')
                   when not exists (select from pg_stat_wal_receiver) then '' end,
  'paused', case when recovering then pg_is_wal_replay_paused() else false end,
  'standbys', case when allowed then (select count(*) from pg_stat_replication r join pg_stat_activity a using (pid)
                                      where r.state = 'streaming' and a.datid is null) end,
  'synchronous', case when allowed then (select count(*) from pg_stat_replication r join pg_stat_activity a using (pid)
                                         where r.state = 'streaming' and a.datid is null
                                         and r.sync_state in ('sync', 'quorum')) end,
{synchronous}
)::text
from (select pg_is_in_recovery() as recovering, pg_has_role(current_user, 'pg_read_all_stats', 'usage') as allowed
      offset 0) as server;
rollback"""


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target]
    what = f"PostgreSQL login as {settings.user}, one read-only transaction"
    return tuple(Sending(each, what) for each in node_addresses(settings))


def node_host(target: str, environment: Environment) -> str:
    """`host` of the collectors about a cluster."""
    return environment.postgres[target].nodes[0]


def _seconds(target: str, environment: Environment) -> float:
    timeouts = environment.postgres[target].timeouts
    return timeouts.connect + timeouts.statement + 2 * MARGIN


def node_addresses(settings: Postgres) -> tuple[str, ...]:
    """The nodes, then the writer's address where one is declared."""
    return settings.nodes if settings.writer is None else (*settings.nodes, settings.writer)


def _ready(record: PostgresCluster) -> bool:
    up = [node for node in record.nodes if node.problem is None]
    primaries = sum(not node.recovering for node in up)
    return primaries == record.expected_primaries and len(up) - primaries == record.expected_standbys


@evidence("postgres-cluster", axis="postgres", seconds=_seconds, host=node_host, sends=_sends, ready=_ready)
def postgres_cluster(target: str, context: Context, deadline: Deadline) -> PostgresCluster:
    """What each declared node and the writer's address say of themselves, asked side by side; roles are found.

    A node that does not answer has a problem of its own. Raises EvidenceProblem where nobody can be asked: psycopg is
    not installed, the password or a TLS file is missing.
    """
    need_psycopg()
    settings = context.environment.postgres[target]
    parameters = connection_parameters(settings, context)

    def ask(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> PostgresNode:
        reach = {"host": split_address(declared)[0], "hostaddr": address.ip, "port": str(address.port)}
        return _ask_node(declared, where, {**parameters, **reach}, settings, until)

    def failed(declared: str, problem: Problem, seconds: float) -> PostgresNode:
        return PostgresNode(declared, seconds, problem)

    answers = ask_nodes(node_addresses(settings), ask, failed, _is_read_only, context, deadline)
    writer = answers.pop() if settings.writer is not None else None
    expect = settings.expect
    return PostgresCluster(tuple(answers), writer, expect.primaries, expect.standbys, expect.synchronous)


def need_psycopg() -> None:
    """Raises EvidenceProblem (missing-extra) where psycopg is not installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        what, hint = "asking PostgreSQL needs psycopg", "pip install 'pytest-prodcheck[postgres]'"
        raise EvidenceProblem(Problem("missing-extra", what, hint)) from None


def _is_read_only(node: PostgresNode) -> bool:
    """Of several addresses behind one name: the one that leads to where nobody can write."""
    return node.recovering or node.read_only


def connection_parameters(settings: Postgres, context: Context) -> dict[str, str]:
    """libpq's, with nothing left to its environment variables that changes what is found; raises EvidenceProblem."""
    tls = settings.tls
    password = context.secret(settings.password) if settings.password else ""
    found = {
        "dbname": settings.database, "user": settings.user, "application_name": "prodcheck", "client_encoding": "UTF8",
        "sslmode": tls.mode, "gssencmode": "disable", "target_session_attrs": "any", "load_balance_hosts": "disable",
        "options": "",
    }  # fmt: skip
    if password:
        found["password"] = password
    for name, file in (("sslrootcert", tls.ca), ("sslcert", tls.certificate), ("sslkey", tls.key)):
        if file is not None:
            path = context.root / file
            if not path.is_file():
                hint = "paths under tls are relative to prodcheck.toml"
                raise EvidenceProblem(Problem("configuration", f"{file}: there is no such file", hint))
            found[name] = str(path)
    context.relies_on(tls.ca)
    if tls.ca is None and tls.mode == "verify-full":
        found["sslrootcert"] = "system"
    return found


def _ask_node(
    declared: str, where: str, parameters: dict[str, str], settings: Postgres, deadline: Deadline
) -> PostgresNode:
    began = time.monotonic()
    wire = Wire(where)
    try:
        try:
            wire.open(parameters, deadline.at_most(settings.timeouts.connect))
            facts = _facts(wire, settings, deadline)
            still = _still_waiting(facts, wire, settings, deadline)
        except ServerError as error:
            if deadline.expired:  # the guard closed it
                deadline.seconds_left()
            raise EvidenceProblem(classify(error, where, parameters.get("password", ""))) from None
    finally:
        wire.close()
    return replace(_node(declared, where, facts, time.monotonic() - began), waiting=still)


def _still_waiting(facts: Any, wire: Wire, settings: Postgres, deadline: Deadline) -> int | None:
    """Sessions that wait for a standby in two looks; a commit waits for one, for milliseconds, all the time."""
    waiting = facts.get("waiting") if isinstance(facts, dict) else None
    if not isinstance(waiting, list):
        return None
    if not waiting:
        return 0
    time.sleep(min(BETWEEN, max(deadline.time_left() / 2, 0.0)))
    again = _facts(wire, settings, deadline).get("waiting") or ()
    return len(set(map(str, waiting)) & set(map(str, again)))


def _facts(wire: Wire, settings: Postgres, deadline: Deadline) -> Any:
    """All facts in one round trip; asked again without what this user may not see, or after a promotion meanwhile."""
    timeouts = settings.timeouts
    limits = {"statement": max(int(timeouts.statement * 1000), 1), "lock": max(int(timeouts.lock * 1000), 1)}  # ms
    system = _SYSTEM
    for _ in range(2):
        try:
            return json.loads(
                wire.ask(_FACTS.format(system=system, synchronous=SYNCHRONOUS_SQL, few=FEW, **limits), deadline)
            )
        except ServerError as error:
            if error.state not in (_PROMOTED, _FORBIDDEN):
                raise
            if error.state == _FORBIDDEN:
                system = "''"
            wire.ask("rollback; select 1", deadline)
        except ValueError:
            break
    raise EvidenceProblem(Problem("protocol", f"{wire.where}: the facts that it told are no JSON"))


def _node(declared: str, where: str, facts: Any, seconds: float) -> PostgresNode:
    if not isinstance(facts, dict) or not _facts_are_valid(facts):
        raise EvidenceProblem(Problem("protocol", f"{where}: what it told are no facts of a PostgreSQL server"))
    recovering = facts["recovering"]
    if facts["hidden"] and facts["default_read_only"] and not recovering:
        # what everybody else's transactions would be cannot be seen through it
        hint = "ALTER ROLE … RESET default_transaction_read_only; prodcheck's transactions are read-only anyway"
        what = f"{where}: default_transaction_read_only of prodcheck's own user hides whether others may write"
        raise EvidenceProblem(Problem("configuration", what, hint))
    return PostgresNode(
        declared, seconds, None, facts["version"], recovering, recovering or facts["default_read_only"],
        facts["system_identifier"], facts["max_connections"], facts["reserved"], facts["used"], facts["receiver"],
        facts["paused"], facts["standbys"], facts["synchronous"], facts["synchronous_names"],
        confirmations(facts["synchronous_names"], facts["commits_wait"]), facts["confirming"],
        limited=_limited(facts["limited"], declared), locked_out=_locked_out(facts["locked_out"], declared),
    )  # fmt: skip


def _limited(told: list[Any], where: str) -> tuple[ConnectionLimit, ...]:
    try:
        return tuple(ConnectionLimit(plain(str(name)), int(used), int(most)) for name, used, most in told)
    except (TypeError, ValueError):
        raise EvidenceProblem(Problem("protocol", f"{where}: what it told of connection limits is odd")) from None


def _locked_out(told: list[Any], where: str) -> tuple[LockedOut, ...]:
    try:
        return tuple(LockedOut(plain(str(name)), int(sessions), plain(str(why))) for name, sessions, why in told[:100])
    except (TypeError, ValueError):
        raise EvidenceProblem(Problem("protocol", f"{where}: what it told of roles is odd")) from None


_KINDS: dict[str, tuple[type, ...]] = {
    "version": (int,), "recovering": (bool,), "default_read_only": (bool,), "hidden": (bool,),
    "system_identifier": (str,), "max_connections": (int,), "reserved": (int,), "used": (int,),
    "receiver": (str, type(None)), "paused": (bool,), "standbys": (int, type(None)), "synchronous": (int, type(None)),
    "synchronous_names": (str,), "commits_wait": (bool,), "confirming": (int, type(None)),
    "waiting": (list, type(None)), "limited": (list,), "locked_out": (list,),
}  # fmt: skip


def _facts_are_valid(facts: dict[str, Any]) -> bool:
    """Whether every fact is there, of its type (a bool is no int here) and not negative."""
    return all(
        name in facts and type(facts[name]) in kinds and not (type(facts[name]) is int and facts[name] < 0)
        for name, kinds in _KINDS.items()
    )
