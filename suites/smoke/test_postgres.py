"""PostgreSQL: answers, has the roles it should have, has room for connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.records import PostgresCluster, PostgresNode


def _answering(cluster: PostgresCluster) -> list[PostgresNode]:
    return [node for node in cluster.nodes if node.problem is None]


@check("smoke.postgres.connects", severity="critical", runbook="postgres-connects")
def test_every_node_answers(postgres_cluster: PostgresCluster) -> None:
    """Every declared node accepts a connection and answers a query."""
    for node in postgres_cluster.nodes:
        judge("answers", node.problem is None, of=node.address, reason=str(node.problem or ""))


@check("smoke.postgres.primary", severity="critical", runbook="postgres-primary")
def test_the_writer_leads_to_the_one_primary(postgres_cluster: PostgresCluster) -> None:
    """The expected primaries belong to one cluster and accept writes; the writer's address points to one."""
    nodes = _answering(postgres_cluster)
    primaries = [node for node in nodes if not node.recovering]
    found = ", ".join(node.address for node in primaries) or "none"
    judge("primaries", len(primaries), equals=postgres_cluster.expected_primaries,
          reason=f"found {found}, expected {postgres_cluster.expected_primaries}")  # fmt: skip
    for node in primaries:
        judge("primary is writable", not node.read_only, of=node.address, reason="new transactions are read-only")
        _commits(node)
    systems = {node.system_identifier for node in nodes if node.system_identifier}
    if systems:
        judge("nodes belong to one cluster", len(systems) == 1, reason=f"{len(systems)} system identifiers")
    writer = postgres_cluster.writer
    if writer is None:
        return
    if judge("writer answers", writer.problem is None, of=writer.address, reason=str(writer.problem or "")):
        judge(
            "writer address leads to a primary",
            not writer.recovering,
            of=writer.address,
            reason="the writer address leads to a standby",
        )
        judge(
            "writer address accepts writes",
            not writer.read_only,
            of=writer.address,
            reason="transactions are read-only",
        )


def _commits(node: PostgresNode) -> None:
    """Whether commits end: those that wait for synchronous standbys hang while too few are connected."""
    if node.wanted:
        why = f"synchronous_standby_names is {node.synchronous_names!r}: every commit waits for {node.wanted}"
        hidden = "prodcheck may not read it: grant pg_monitor to its role"
        judge("synchronous standbys that commits wait for", node.confirming, at_least=node.wanted, of=node.address,
              reason=hidden if node.confirming is None else why)  # fmt: skip
        judge("sessions waiting for a synchronous standby", node.waiting, equals=0, of=node.address,
              reason=f"{node.waiting} commits hang" if node.waiting else hidden)  # fmt: skip


@check("smoke.postgres.standbys", severity="critical", runbook="postgres-standbys")
def test_the_standbys_follow(postgres_cluster: PostgresCluster) -> None:
    """The expected standbys are read-only and stream from the primary."""
    standbys = [node for node in _answering(postgres_cluster) if node.recovering]
    found = ", ".join(node.address for node in standbys) or "none"
    judge("standbys", len(standbys), equals=postgres_cluster.expected_standbys,
          reason=f"found {found}, expected {postgres_cluster.expected_standbys}")  # fmt: skip
    for node in standbys:
        judge("standby is read-only", node.read_only, of=node.address, reason="the standby accepts writes")
        receiver = node.receiver if node.receiver is None else node.receiver or "not running"
        why = "prodcheck may not read it: grant pg_monitor to its role" if receiver is None else f"it is {receiver}"
        judge("WAL receiver", receiver, equals="streaming", of=node.address, reason=why)
        judge("standby replays", not node.replay_paused, of=node.address, reason="replay is paused")
    wanted = postgres_cluster.expected_synchronous
    if wanted is not None:
        primaries = [node for node in _answering(postgres_cluster) if not node.recovering]
        counts = [node.synchronous for node in primaries]
        judge("synchronous standbys", counts[0] if len(counts) == 1 else None, at_least=wanted)


@check(
    "smoke.postgres.connections", severity="high", limit=Limit(warn="75%", fail="90%"), runbook="postgres-connections"
)
def test_connections_are_left(postgres_cluster: PostgresCluster, limit: Limit) -> None:
    """The used share of the available connections, of the server and of the database."""
    silent = [node.problem for node in postgres_cluster.nodes if node.problem and node.problem.kind != "full"]
    if silent and len(silent) == len(postgres_cluster.nodes):
        raise EvidenceProblem(silent[0])
    for node in postgres_cluster.nodes:
        if node.problem is not None:
            if node.problem.kind == "full":
                judge("connections used", 100.0, at_most=limit, unit="%", of=node.address)
            continue
        room = node.max_connections - node.reserved_connections
        used = 100 * node.used_connections / room if room > 0 else None
        judge("connections used", used, at_most=limit, unit="%", of=node.address)
        for each in node.limited:
            of, why = f"{each.name} on {node.address}", f"its CONNECTION LIMIT is {each.most}"
            if each.name.startswith("database "):
                judge("connections used", 100 * each.used / each.most, at_most=limit, unit="%", of=of, reason=why)
            elif each.used >= each.most:
                judge("connections left", False, of=of, warn_only=True, reason=f"{why}, and all of them are used")
        for role in node.locked_out:
            judge("may connect again", False, of=f"role {role.role} on {node.address}", warn_only=True,
                  reason=f"{role.why}, and it has {role.sessions} sessions that a restart would end")  # fmt: skip
