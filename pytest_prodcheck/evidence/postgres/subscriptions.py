"""`postgres-subscriptions`: whether changes of other servers come in by logical replication."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_primary
from pytest_prodcheck.evidence.postgres.session import Session, on_primary
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import Subscription, Subscriptions

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

SETTLED = 10.0  # seconds: a worker that failed is started again after wal_retrieve_retry_interval, 5 s
BETWEEN = 6.0  # seconds until one that has not lived so long is looked at again
COUNTED = 150000  # servers from which on errors are counted
MOST = 200

# Until PostgreSQL 16 nothing tells parallel workers, which have no relation either: the oldest one is the leader.
_FACTS = """\
select coalesce(json_agg(json_build_array(s.subname, s.subenabled, w.pid, w.lived, w.heard,
  (select count(*) from pg_subscription_rel r where r.srsubid = v.subid),
  (select count(*) from pg_subscription_rel r where r.srsubid = v.subid and r.srsubstate in ('i', 'd', 'f')),
  {errors}) order by s.subname), '[]')
from (select subname, subenabled from pg_subscription
      where subdbid = (select oid from pg_database where datname = current_database()) limit 200) s
join (select distinct subid, subname from pg_stat_subscription) v using (subname)
left join lateral (
  select p.pid, extract(epoch from clock_timestamp() - a.backend_start) as lived,
    extract(epoch from clock_timestamp() - p.last_msg_receipt_time) as heard
  from pg_stat_subscription p left join pg_stat_activity a on a.pid = p.pid
  where p.subid = v.subid and p.relid is null and p.pid is not null
  order by a.backend_start limit 1) w on true"""
_ERRORS = "(select apply_error_count + sync_error_count from pg_stat_subscription_stats e where e.subid = v.subid)"


def _seconds(target: str, environment: Environment) -> float:
    return seconds_for(target, environment) + BETWEEN


@evidence(
    "postgres-subscriptions", axis="postgres", seconds=_seconds, host=first_node, sends=to_primary("subscriptions"),
)  # fmt: skip
def postgres_subscriptions(target: str, context: Context, deadline: Deadline) -> Subscriptions:
    """Those of the declared database, on the primary; looked at twice where a worker is gone, or young."""
    with on_primary(target, context, deadline) as session:
        first = _look(session)
        if not any(_unsure(row) for row in first) or deadline.time_left() < BETWEEN * 1.5:
            return Subscriptions(session.declared, tuple(_subscription(row, None) for row in first))
        time.sleep(BETWEEN)
        before = {row[0]: row for row in first}
        return Subscriptions(
            session.declared, tuple(_subscription(row, before.get(row[0])) for row in _look(session))
        )


def _look(session: Session) -> list[list[Any]]:
    errors = _ERRORS if session.version >= COUNTED else "null"
    return list(session.facts(_FACTS.format(errors=errors), what="subscriptions"))


def _unsure(row: list[Any]) -> bool:
    """Whether one look does not show that it works: no worker, a young one, errors at some time, tables to copy."""
    _, enabled, pid, lived, _, _, copying, errors = row
    return bool(enabled) and (pid is None or lived is None or lived < SETTLED or bool(copying) or bool(errors))


def _subscription(row: list[Any], before: list[Any] | None) -> Subscription:
    name, enabled, pid, lived, heard, tables, copying, errors = row
    stayed = pid is not None and ((lived or 0.0) >= SETTLED or (before is not None and before[2] == pid))
    return Subscription(
        plain(name), bool(enabled), stayed, None if heard is None else max(float(heard), 0.0), int(tables),
        int(copying), max(int(errors or 0) - int(before[7] or 0), 0) if before is not None else 0,
    )  # fmt: skip
