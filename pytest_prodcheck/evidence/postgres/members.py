"""The nodes of a declared PostgreSQL cluster with the role that each has just now; asked once in a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.network.nodes import MARGIN, ask_nodes
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress, split_address
from pytest_prodcheck.evidence.postgres.cluster import connection_parameters, need_psycopg
from pytest_prodcheck.evidence.postgres.problems import ServerError, classify
from pytest_prodcheck.evidence.postgres.safe_sql import READ_ONLY
from pytest_prodcheck.evidence.postgres.wire import Wire
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_ROLE = f"""\
{READ_ONLY}select concat_ws('|', current_setting('server_version_num'), pg_is_in_recovery(),
  case when pg_is_in_recovery() then not pg_is_wal_replay_paused() else false end); rollback"""
ROLES_SECONDS = 10.0  # for all nodes; a node takes milliseconds, a dead one the connect timeout


@dataclass(frozen=True)
class Member:
    """One declared node; `problem` where it did not answer.

    declared: "HOST:PORT" of prodcheck.toml. where: the same for messages. version: server_version_num.
    recovering: it is a standby. replaying: a standby whose replay is not paused.
    """

    declared: str
    problem: Problem | None = None
    where: str = ""
    address: ResolvedAddress | None = None
    version: int = 0
    recovering: bool = False
    replaying: bool = False


def members(target: str, context: Context, deadline: Deadline) -> tuple[Member, ...]:
    """Every declared node of a cluster with its role; raises EvidenceProblem where nobody can be asked."""
    return context.once(("postgres-members", target), lambda: _ask_all(target, context, deadline), deadline)


def _ask_all(target: str, context: Context, deadline: Deadline) -> tuple[Member, ...]:
    settings = context.environment.postgres[target]
    common = libpq_parameters(target, context)

    def ask(declared: str, where: str, address: ResolvedAddress, until: Deadline) -> Member:
        wire = connect(declared, where, address, common, until.at_most(settings.timeouts.connect))
        try:
            version, recovering, replaying = wire.ask(_ROLE, until).decode().split("|")
        except ServerError as error:
            raise EvidenceProblem(classify(error, where, common.get("password", ""))) from None
        except ValueError:
            raise EvidenceProblem(Problem("protocol", f"{where}: what it told is no role")) from None
        finally:
            wire.close()
        return Member(declared, None, where, address, int(version), recovering == "t", replaying == "t")

    def failed(declared: str, problem: Problem, seconds: float) -> Member:
        return Member(declared, problem)

    part = deadline.at_most(min(ROLES_SECONDS, max(deadline.seconds_left() - MARGIN, MARGIN)))
    return tuple(ask_nodes(settings.nodes, ask, failed, lambda member: member.recovering, context, part))


def libpq_parameters(target: str, context: Context, database: str = "") -> dict[str, str]:
    """The parameters for libpq of a cluster, without host and port."""
    need_psycopg()
    found = connection_parameters(context.environment.postgres[target], context)
    return {**found, "dbname": database} if database else found


def connect(
    declared: str,
    where: str,
    address: ResolvedAddress,
    common: Mapping[str, str],
    deadline: Deadline,
    most: int = 1024 * 1024,
) -> Wire:
    """A connection to one address; raises EvidenceProblem that says what stood in the way. most: bytes read at most."""
    wire = Wire(where, most)
    reach = {"host": split_address(declared)[0], "hostaddr": address.ip, "port": str(address.port)}
    began = time.monotonic()
    try:
        wire.open({**common, **reach}, deadline)
    except ServerError as error:
        wire.close()
        if deadline.expired:  # the guard closed it
            late = f"{where}: no connection within {time.monotonic() - began:.3g} s"
            raise EvidenceProblem(Problem("timeout", late)) from None
        raise EvidenceProblem(classify(error, where, common.get("password", ""))) from None
    except BaseException:
        wire.close()
        raise
    return wire
