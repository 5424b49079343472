"""`postgres-replication`: every node's place in the cluster, and how far the standbys are behind."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.nodes import MARGIN
from pytest_prodcheck.evidence.postgres.members import Member, members
from pytest_prodcheck.evidence.postgres.session import REPLAY_WAITS, Session, open_session
from pytest_prodcheck.evidence.postgres.synchronous import SYNCHRONOUS_SQL, confirmations
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.replication import Lag, Replication, ReplicationNode, Sender

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LOOKS = 3
BETWEEN = 4.0  # seconds: three looks in ten
QUICK_SECONDS, QUICK_BYTES = 1.0, 4_000_000  # a standby that is no farther behind is not looked at again

# An idle primary's standby replayed its last transaction long ago: its age counts only while something waits.
_FACTS = f"""\
select json_build_object(
  'system', (select system_identifier::text from pg_control_system()),
  'recovering', recovering,
  'timeline', case when recovering then (select received_tli from pg_stat_wal_receiver limit 1)
              else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,
  'position', (case when recovering then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end - '0/0')::bigint,
  'received', case when recovering then (pg_last_wal_receive_lsn() - '0/0')::bigint end,
  'replay_age', case when recovering then extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end,
  'idle', recovering and {REPLAY_WAITS},
  'meant', (select setting::bigint / 1000.0 from pg_settings where name = 'recovery_min_apply_delay'),
  'held', recovering and exists (select from pg_stat_activity
                                 where backend_type = 'startup' and wait_event = 'RecoveryApplyDelay'),
  'paused', case when recovering then pg_is_wal_replay_paused() else false end,
  'receiver', case when allowed then coalesce((select status from pg_stat_wal_receiver limit 1), '')
                   when not exists (select from pg_stat_wal_receiver) then '' end,
  'conflicts', (select coalesce(sum(conflicts), 0) from pg_stat_database),
  'senders', (select coalesce(json_agg(json_build_array(r.application_name, r.state, r.sync_state,
                      a.datid is not null)), '[]')
              from pg_stat_replication r join pg_stat_activity a using (pid)),
{SYNCHRONOUS_SQL})
from (select pg_is_in_recovery() as recovering, pg_has_role(current_user, 'pg_read_all_stats', 'usage') as allowed
      offset 0) as server"""


@dataclass
class _NodeSample:
    """One node, once."""

    node: ReplicationNode
    received: int | None = None
    replay_age: float | None = None
    idle: bool = False  # replay waits for more to be received
    meant: float = 0.0  # recovery_min_apply_delay, in seconds
    held: bool = False  # replay waits for that long
    waits: frozenset[str] | None = frozenset()  # sessions, with their statements, that wait for a standby


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.postgres[target]
    what = f"PostgreSQL login as {settings.user}, one read-only transaction: replication"
    return tuple(Sending(each, what, LOOKS) for each in settings.nodes)


def _seconds(target: str, environment: Environment) -> float:
    timeouts = environment.postgres[target].timeouts
    return LOOKS * (BETWEEN + timeouts.connect + timeouts.statement)


@evidence(
    "postgres-replication", axis="postgres", feature="standbys", seconds=_seconds,
    host=lambda target, environment: environment.postgres[target].nodes[0], sends=_sends,
)  # fmt: skip
def postgres_replication(target: str, context: Context, deadline: Deadline) -> Replication:
    """All declared nodes; looked at again, at most twice, while a standby is behind or does not stream.

    A node that does not answer has a problem of its own. Raises EvidenceProblem where nobody can be asked.
    """
    found = members(target, context, deadline)
    best: dict[str, Lag] = {}
    looks: list[_NodeSample] = []
    for count in range(1, LOOKS + 1):
        before = {each.node.address: each.waits for each in looks}
        looks = _sample_all(target, found, context, deadline)
        for lag in _lags(looks, count):
            best[lag.address] = _smaller_lag(best.get(lag.address), lag)
        still = {each.node.address: _still_waiting(before.get(each.node.address), each.waits) for each in looks}
        if not _worth_another(looks, best) or count == LOOKS or deadline.time_left() < BETWEEN * 1.5:
            break
        time.sleep(BETWEEN)
    expect = context.environment.postgres[target].expect
    nodes = (replace(each.node, waiting=still[each.node.address]) for each in looks)
    return Replication(
        tuple(nodes), tuple(best.values()), expect.primaries, expect.standbys, expect.synchronous
    )


def _still_waiting(before: frozenset[str] | None, now: frozenset[str] | None) -> int | None:
    """Sessions that waited in both looks."""
    return None if now is None else len(now & (before or frozenset()))


def _sample_all(target: str, found: tuple[Member, ...], context: Context, deadline: Deadline) -> list[_NodeSample]:
    """Primaries first: a standby that is asked later cannot seem to be farther behind than it is."""
    part = deadline.at_most(max(deadline.time_left() - MARGIN, 0.1))

    def one(member: Member) -> _NodeSample:
        try:
            with open_session(target, context, part, member) as session:
                return _read(member.declared, _facts(session))
        except EvidenceProblem as error:
            return _NodeSample(ReplicationNode(member.declared, error.problem))

    seen: dict[str, _NodeSample] = {}
    for recovering in (False, True):
        group = [each for each in found if each.recovering is recovering]
        told = side_by_side([lambda each=each: one(each) for each in group], part.time_left())  # type: ignore[misc]
        for member, look in zip(group, told, strict=True):
            late = Problem("timeout", f"{member.declared}: no whole answer in time")
            seen[member.declared] = look or _NodeSample(ReplicationNode(member.declared, late))
    return [seen[each.declared] for each in found]


def _facts(session: Session) -> dict[str, Any]:
    try:
        return dict(session.facts(_FACTS, what="replication"))
    except EvidenceProblem as error:
        if "recovery is" not in error.problem.message:
            raise
        return dict(session.facts(_FACTS, what="replication"))  # it was promoted between two of our questions


def _read(address: str, told: dict[str, Any]) -> _NodeSample:
    try:
        node = ReplicationNode(
            address, None, bool(told["recovering"]), str(told["system"]),
            None if told["timeline"] is None else int(told["timeline"]), int(told["position"] or 0),
            told["receiver"] if told["receiver"] is None else str(told["receiver"]), bool(told["paused"]),
            int(told["conflicts"]),
            tuple(Sender(str(name), state, sync, bool(logical)) for name, state, sync, logical in told["senders"]),
            str(told["synchronous_names"]),
            confirmations(str(told["synchronous_names"]), bool(told["commits_wait"])), told["confirming"],
        )  # fmt: skip
        waits = None if told["waiting"] is None else frozenset(map(str, told["waiting"]))
        received, age = told["received"], told["replay_age"]
        return _NodeSample(
            node, None if received is None else int(received), None if age is None else float(age), bool(told["idle"]),
            float(told["meant"] or 0), bool(told["held"]), waits,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise EvidenceProblem(Problem("protocol", f"{address}: what it told of replication is odd")) from None


def _lags(looks: list[_NodeSample], count: int) -> list[Lag]:
    """Every standby's lag at one look."""
    primaries = [each.node for each in looks if each.node.problem is None and not each.node.recovering]
    written = primaries[0].position if len(primaries) == 1 else None
    return [Lag(each.node.address, count, _delay(each, written), _bytes_behind(each, written), each.meant)
            for each in looks if each.node.problem is None and each.node.recovering]  # fmt: skip


def _delay(look: _NodeSample, written: int | None) -> float | None:
    """Guarded time: 0 where nothing waits to be replayed, else the age of the last replayed transaction.

    Replay that waits for the stream has done what it could (`REPLAY_WAITS`), and so has one that is held back by
    `recovery_min_apply_delay`; beside it only what is later than that counts.
    """
    replayed = look.node.position
    if (
        look.idle
        or look.held
        or (look.received is not None and replayed >= look.received)
        or (written is not None and replayed >= written)
    ):
        return 0.0
    return None if look.replay_age is None else max(look.replay_age - look.meant, 0.0)


def _bytes_behind(look: _NodeSample, written: int | None) -> int | None:
    """What was not replayed; of a standby that is late on purpose, what was not received."""
    here = look.received if look.meant and look.received is not None else look.node.position
    return None if written is None else max(written - here, 0)


def _smaller_lag(known: Lag | None, new: Lag) -> Lag:
    """The best of both in each measure."""
    if known is None:
        return new
    seconds = [each for each in (known.seconds, new.seconds) if each is not None]
    behind = [each for each in (known.bytes, new.bytes) if each is not None]
    return Lag(new.address, new.looks, min(seconds, default=None), min(behind, default=None), new.meant)


def _worth_another(looks: list[_NodeSample], best: dict[str, Lag]) -> bool:
    """Whether a standby looks bad in a way that may pass, behind or not connected, or a commit waits for one."""
    if any(each.waits for each in looks):
        return True
    standbys = [each.node for each in looks if each.node.problem is None and each.node.recovering]
    hurried = [each for each in standbys if not each.paused]  # one that is paused stays so
    return any(each.receiver not in ("streaming", None) or _slow(best[each.address]) for each in hurried)


def _slow(lag: Lag) -> bool:
    return lag.seconds is None or lag.seconds > QUICK_SECONDS or (lag.bytes or 0) > QUICK_BYTES
