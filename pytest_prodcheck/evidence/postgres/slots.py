"""`postgres-slots`: the replication slots of every node, and the WAL that is kept for each."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_every_node
from pytest_prodcheck.evidence.postgres.members import Member
from pytest_prodcheck.evidence.postgres.session import Session, on_every_node
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import Problem, Slot, SlotNode, Slots

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.postgres.session import Session

BETWEEN = 3.0  # seconds between two looks at a slot that keeps much: does its consumer take anything?
MUCH = 16  # WAL files

# a consumer shows that it works by what it has confirmed (logical) or no longer needs (physical)
_FACTS = """\
select json_build_object(
  'segment_size', (select setting::bigint from pg_settings where name = 'wal_segment_size'),
  'slots', (select coalesce(json_agg(json_build_array(slot_name, slot_type, active, coalesce(wal_status, ''),
      (at - restart_lsn)::bigint, (coalesce(confirmed_flush_lsn, restart_lsn) - '0/0')::bigint,
      (at - coalesce(confirmed_flush_lsn, restart_lsn))::bigint,
      coalesce((to_jsonb(s)->>'conflicting')::bool, false),
      pg_is_in_recovery() and coalesce((to_jsonb(s)->>'synced')::bool, false)) order by slot_name), '[]')
    from pg_replication_slots s where not temporary))
from (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as at
      offset 0) as server"""


def _seconds(target: str, environment: Environment) -> float:
    return seconds_for(target, environment) + BETWEEN


@evidence(
    "postgres-slots", axis="postgres", seconds=_seconds, host=first_node, sends=to_every_node("replication slots"),
)  # fmt: skip
def postgres_slots(target: str, context: Context, deadline: Deadline) -> Slots:
    """Each node's slots; looked at twice where one in use keeps much. A node that does not answer has its problem."""

    def look(member: Member, session: Session) -> SlotNode:
        return _read_slots(member, session, deadline)

    def failed(node: str, problem: Problem) -> SlotNode:
        return SlotNode(node, problem=problem)

    return Slots(on_every_node(target, context, deadline, look, failed))


def _read_slots(member: Member, session: Session, deadline: Deadline) -> SlotNode:
    facts = session.facts(_FACTS, what="replication slots")
    size = int(facts["segment_size"])
    slots = [
        Slot(
            plain(name),
            str(kind),
            bool(active),
            str(status),
            None if kept is None else int(kept),
            None,
            bool(bad),
            bool(copy),
        )
        for name, kind, active, status, kept, _, _, bad, copy in facts["slots"]
    ]
    much = any(slot.active and (slot.retained or 0) > MUCH * size for slot in slots)
    if much and deadline.time_left() > 2 * BETWEEN:
        time.sleep(BETWEEN)
        before = {row[0]: row[5] for row in facts["slots"]}
        again = session.facts(_FACTS, what="replication slots")["slots"]
        works = {plain(row[0]) for row in again if row[5] != before.get(row[0]) or (row[6] or 0) <= MUCH * size}
        slots = [replace(slot, moved=slot.name in works) for slot in slots]
    return SlotNode(member.declared, size, tuple(slots))
