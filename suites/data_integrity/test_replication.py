"""Replication: the standbys follow, are close behind, and hold the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck import Limit, check, judge

from ..tolerated import is_tolerated

if TYPE_CHECKING:
    from pytest_prodcheck.records import (
        ContentComparison,
        Replication,
        ReplicationNode,
        Slot,
        SlotNode,
        Slots,
        Subscriptions,
    )

KEPT = 16  # WAL files that may be kept for a slot that is not consumed: a standby that restarts needs a few


def _answering(replication: Replication) -> list[ReplicationNode]:
    return [node for node in replication.nodes if node.problem is None]


@check("data_integrity.replication.topology", severity="critical", runbook="replication-topology")
def test_the_cluster_has_its_shape(postgres_replication: Replication) -> None:
    """There is one primary, the expected standbys stream, and the standbys that commits wait for are connected."""
    replication, nodes = postgres_replication, _answering(postgres_replication)
    for node in replication.nodes:
        judge("answers", node.problem is None, of=node.address, reason=str(node.problem or ""))
    primaries = [node for node in nodes if not node.recovering]
    standbys = [node for node in nodes if node.recovering]
    found = ", ".join(node.address for node in primaries) or "none"
    judge("primaries", len(primaries), equals=replication.expected_primaries,
          reason=f"found {found}, expected {replication.expected_primaries}")  # fmt: skip
    judge("standbys", len(standbys), equals=replication.expected_standbys,
          reason=f"found {len(standbys)}, expected {replication.expected_standbys}")  # fmt: skip
    systems = {node.system_identifier for node in nodes if node.system_identifier}
    judge("nodes belong to one cluster", len(systems) <= 1, reason=f"{len(systems)} system identifiers")
    for node in standbys:
        _streams(node, primaries)
    for node in primaries:
        _synchronous(node, replication.expected_synchronous)


def _streams(node: ReplicationNode, primaries: list[ReplicationNode]) -> None:
    why = (
        "prodcheck may not read it: grant pg_monitor to its role"
        if node.receiver is None
        else f"it is {node.receiver or 'not running'}"
    )
    streams = judge("WAL receiver", node.receiver, equals="streaming", of=node.address, reason=why)
    if streams and len(primaries) == 1 and node.timeline is not None:
        theirs = primaries[0].timeline
        judge("timeline", node.timeline if theirs is not None else None, equals=theirs or 0, of=node.address,
              reason=(f"the standby follows timeline {node.timeline}, but the primary "
                  f"writes timeline {primaries[0].timeline}"))  # fmt: skip


def _synchronous(node: ReplicationNode, expected: int | None) -> None:
    standbys = [sender for sender in node.senders if not sender.logical]
    hidden = any(sender.state is None for sender in standbys)
    count = sum(each.state == "streaming" and each.sync_state in ("sync", "quorum") for each in standbys)
    if expected is not None:
        judge("synchronous standbys", None if hidden else count, at_least=expected, of=node.address)
    if node.wanted:
        why = f"synchronous_standby_names is {node.synchronous_names!r}: every commit waits for {node.wanted}"
        judge(
            "synchronous standbys that commits wait for",
            node.confirming,
            at_least=node.wanted,
            of=node.address,
            reason=why,
        )
        hang = (
            f"{node.waiting} commits hang"
            if node.waiting
            else "prodcheck may not read it: grant pg_monitor to its role"
        )
        judge("sessions waiting for a synchronous standby", node.waiting, equals=0, of=node.address, reason=hang)


@check("data_integrity.replication.slots", severity="critical", limit=Limit(warn="256MB", fail="4GB"),
       runbook="replication-slots",
       fixed={"WAL kept for a slot that is not consumed, in files": Limit(fail=KEPT)})  # fmt: skip
def test_no_slot_fills_the_disk(postgres_slots: Slots, limit: Limit) -> None:
    """Each slot keeps little WAL if its consumer does not read it, and no slot has lost WAL that it needs."""
    for node in postgres_slots.nodes:
        if node.problem is not None:
            judge("slots", None, at_most=limit, unit="B", of=node.address, reason=str(node.problem))
        for slot in node.slots:
            _slot(slot, node, limit)
    count = sum(len(node.slots) for node in postgres_slots.nodes)
    judge("slots looked at", count, at_least=0)


def _slot(slot: Slot, node: SlotNode, limit: Limit) -> None:
    name = f"{slot.name} on {node.address}"
    good = slot.wal_status not in ("lost", "unreserved") and not slot.conflicting
    judge("slot has the WAL that it needs", good, of=name, reason="it was invalidated" if slot.conflicting else
          f"its WAL is {slot.wal_status}")  # fmt: skip
    if slot.retained is None:
        return
    if slot.synced or (slot.active and slot.moved is not False):
        why = "the slot of the primary that it follows is behind" if slot.synced else "its consumer is behind"
        judge("WAL kept for a slot", slot.retained, at_most=limit, unit="B", of=name, reason=why)
        return
    who = "its consumer is connected but does not advance" if slot.active else "no consumer is connected"
    why = f"{who}, so WAL fills the disk: drop the slot, or restart its consumer"
    most = KEPT * node.segment_size
    judge("WAL kept for a slot that is not consumed", slot.retained, at_most=most, unit="B", of=name, reason=why)


@check("data_integrity.replication.subscriptions", severity="high", limit=Limit(warn="60s", fail="300s"),
       runbook="replication-subscriptions")  # fmt: skip
def test_changes_of_others_come_in(
    postgres_subscriptions: Subscriptions, declared: dict[str, Any], limit: Limit
) -> None:
    """Every subscription is enabled, its worker runs without errors, and its publisher sends messages."""
    for each in postgres_subscriptions.found:
        if is_tolerated(each.name, "subscriptions", declared):
            continue
        if not judge("is enabled", each.enabled, of=each.name,
                     reason="no change comes in: ALTER SUBSCRIPTION … ENABLE"):  # fmt: skip
            continue
        why = f"{each.failures} errors in 6 s" if each.failures else "it ends again and again: see the server's log"
        if judge("its worker runs", each.running and not each.failures, of=each.name, reason=why):
            judge("publisher was heard", each.heard, at_most=limit, unit="s", of=each.name,
                  reason="it never was" if each.heard is None else "")  # fmt: skip
        judge("tables that are still being copied", each.copying, equals=0, of=each.name, warn_only=True)
        judge("tables", each.tables, at_least=1, of=each.name, warn_only=True,
              reason="it brings no table: ALTER SUBSCRIPTION … REFRESH PUBLICATION")  # fmt: skip
    judge("subscriptions", len(postgres_subscriptions.found), at_least=0)


@check(
    "data_integrity.replication.delay", severity="high", limit=Limit(warn="5s", fail="30s"), runbook="replication-delay"
)
def test_the_standbys_are_close_in_time(postgres_replication: Replication, limit: Limit) -> None:
    """The age of the newest data that a standby shows, best of three measurements; replay is not paused."""
    standbys = {node.address: node for node in _answering(postgres_replication) if node.recovering}
    for lag in postgres_replication.lags:
        node = standbys.get(lag.address)
        if node is None:
            continue
        said = f"{lag.looks} looks" + (f", {node.conflicts} queries cancelled by replay" if node.conflicts else "")
        judge("replay runs", not node.paused, of=lag.address, reason="replay is paused")
        judge("delay", lag.seconds, at_most=limit, unit="s", of=lag.address, reason=said)
        if lag.meant:
            judge("applies changes at once", False, of=lag.address, warn_only=True,
                  reason=f"recovery_min_apply_delay is {lag.meant:g} s, the delay is counted beside it")  # fmt: skip


@check(
    "data_integrity.replication.bytes", severity="medium", limit=Limit(warn="50MB", fail="500MB"),
    runbook="replication-bytes",
)  # fmt: skip
def test_the_standbys_are_close_in_bytes(postgres_replication: Replication, limit: Limit) -> None:
    """The WAL that the primary has written and a standby has not yet replayed."""
    for lag in postgres_replication.lags:
        what = "written but not received" if lag.meant else "written but not replayed"
        judge(what, lag.bytes, at_most=limit, unit="B", of=lag.address)


@check("data_integrity.replication.content", severity="critical", runbook="replication-content")
def test_the_copies_hold_the_same_rows(postgres_content: ContentComparison) -> None:
    """The declared tables have the same rows on the primary and on every other node; all of them were compared."""
    comparison = postgres_content
    for table in comparison.tables:
        name = f"{table.table} on {table.node}"
        judge("chunks that differ", table.different, equals=0, of=name,
              reason=f"{table.different} of {table.chunks} differ from {comparison.reference}")  # fmt: skip
        left = table.chunks - table.compared
        judge("chunks not compared", None if left else 0, equals=0, of=name,
              reason=f"{left} of {table.chunks} were not compared")  # fmt: skip
    for each in comparison.differences:
        judge("rows are the same", False, of=f"{each.table} on {each.node}",
              reason=f"{each.chunk}: {each.rows} rows, {', '.join(each.keys)}")  # fmt: skip
    for said in comparison.not_compared:
        judge("everything was compared", None, equals=True, reason=said)
