"""Redis Sentinels: whom they send clients to, and whether they could replace a primary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import RedisSentinels, Sentinel

_ALLOW = "ACL SETUSER … +sentinel|master +sentinel|replicas +sentinel|ckquorum"


@check("smoke.redis.sentinels", severity="critical", runbook="redis-sentinels")
def test_sentinels_can_fail_over(redis_sentinels: RedisSentinels) -> None:
    """The Sentinels agree on the primary, send clients to it, and can replace it; a missing Sentinel warns."""
    found = redis_sentinels
    able = [each for each in found.sentinels if not _unable(each)]
    quorum = max((each.quorum for each in able), default=1)
    enough = len(able) >= max(quorum, len(found.sentinels) // 2 + 1)
    for each in found.sentinels:
        if each.denied:
            judge("prodcheck may query it", None, equals=True, of=each.address,
                  reason=f"{each.denied}: {_ALLOW}")  # fmt: skip
            continue
        why = _unable(each)
        judge(f"watches {found.name}", not why, of=each.address, warn_only=enough, reason=why)
        if not why:
            _primary(each, found)
            _replicas(each, found)
    down = [each.address for each in able if "s_down" in each.flags]
    judge(
        "Sentinels that see the primary as down", len(down), at_most=Limit(warn=0, fail=quorum - 1), of=", ".join(down)
    )
    quorums = sorted({each.quorum for each in able})
    judge("agree on the quorum", len(quorums) <= 1, warn_only=True, reason=f"they have {quorums}")


def _unable(sentinel: Sentinel) -> str:
    """Why a Sentinel cannot help with a failover, "" where it can."""
    if sentinel.problem is not None:
        return str(sentinel.problem)
    if sentinel.tilt:
        return "it is in TILT mode and starts no failover: its clock jumped or its machine paused"
    return sentinel.refused or sentinel.denied


def _primary(sentinel: Sentinel, found: RedisSentinels) -> None:
    """Whom one Sentinel sends clients to, and whether a failover would get the votes."""
    of, sure = sentinel.address, sentinel.run_id and not (found.silent and sentinel.run_id not in found.primaries)
    why = f"it sends clients to {sentinel.primary}, which is no declared primary" if sure else (
        f"{sentinel.primary} cannot be distinguished from "
        f"{', '.join(found.silent) or 'the declared nodes'}")  # fmt: skip
    judge("sends clients to a primary", sentinel.run_id in found.primaries if sure else None, equals=True, of=of,
          reason=why)  # fmt: skip
    judge(
        "no failover in progress",
        "failover_in_progress" not in sentinel.flags,
        of=of,
        reason="a failover is in progress",
    )
    judge(
        "sees its primary as up",
        "o_down" not in sentinel.flags,
        of=of,
        reason="most Sentinels see the primary as down (o_down)",
    )
    judge("enough votes for a failover", not sentinel.no_quorum, of=of, reason=sentinel.no_quorum)
    declared = len(found.sentinels)
    judge("Sentinels known to it", sentinel.known, at_least=declared, of=of,
          reason=f"{declared} are declared: this Sentinel may start a failover without the others")  # fmt: skip
    judge("Sentinels known to it", sentinel.known, at_most=Limit(warn=declared), of=of,
          reason=("undeclared Sentinels count for the majority: SENTINEL RESET "
              "removes those that no longer exist"))  # fmt: skip


def _replicas(sentinel: Sentinel, found: RedisSentinels) -> None:
    """Which replicas one Sentinel could promote."""
    of, known = sentinel.address, {each.run_id for each in sentinel.replicas}
    ours = {*found.primaries, *found.replicas}
    if found.expected_replicas:
        can = sum(each.promotable for each in sentinel.replicas)
        judge(
            "replicas that can be promoted",
            can,
            at_least=1,
            of=of,
            reason="a replica must be up, linked, and have a priority above 0",
        )
    for run_id, address in found.replicas.items():
        judge(
            "knows the replica", run_id in known, of=f"{address} at {of}", reason="this Sentinel would never promote it"
        )
    for each in sentinel.replicas:
        if each.run_id in found.primaries:
            judge(
                "is a replica", False, of=f"{each.address} at {of}", reason="the node itself reports the role primary"
            )
    others = [each.address for each in sentinel.replicas if each.run_id not in ours]
    unsure = "they are not declared, or do not answer: SENTINEL RESET removes those that no longer exist"
    judge(
        "replicas of no declared primary",
        len(others),
        at_most=Limit(warn=0),
        of=of,
        reason=f"{', '.join(others)}: {unsure}",
    )
