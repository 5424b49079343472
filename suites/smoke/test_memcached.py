"""memcached: answers, and has room for what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import MemcachedEvictions, MemcachedPressure, MemcachedServers


@check("smoke.memcached.responds", severity="critical", runbook="memcached-responds")
def test_every_server_answers(memcached_servers: MemcachedServers) -> None:
    """Every declared server returns its version; keys of a missing server are missed or written elsewhere."""
    for node in memcached_servers.nodes:
        judge("answers", node.problem is None, of=node.address, reason=str(node.problem or ""))


@check("smoke.memcached.writes", severity="high", runbook="memcached-writes")
def test_no_write_is_refused(memcached_evictions: MemcachedEvictions) -> None:
    """No item is refused for lack of memory: evictions are off, or found nothing to evict."""
    for node in memcached_evictions.nodes:
        why = str(node.problem or f"{node.refused} items in {node.seconds:.3g} s could not be stored, {_memory(node)}")
        judge("writes refused", None if node.problem else node.refused, equals=0, of=node.address, reason=why)


@check("smoke.memcached.evictions", severity="medium", limit=Limit(warn=1), runbook="memcached-evictions")
def test_evictions_are_few(memcached_evictions: MemcachedEvictions, limit: Limit) -> None:
    """Items that the cache evicts per second; the hit ratio is shown, but has no limit.

    A full cache evicts in normal operation, so this only warns, unless a threshold sets a fail level.
    """
    for node in memcached_evictions.nodes:
        why = str(node.problem or f"{_memory(node)}; one slab class can be full while memory is left")
        rate = None if node.problem else node.evicted / node.seconds
        if judge("evictions", rate, at_most=limit, unit="items/s", of=node.address, reason=why):
            judge("hit ratio since the server started", _hits(node), equals=_hits(node), of=node.address)


def _hits(node: MemcachedPressure) -> str:
    reads = node.hits + node.misses
    return f"{100 * node.hits / reads:.3g}% of {reads} reads" if reads else "no reads"


def _memory(node: MemcachedPressure) -> str:
    return f"{node.used / 1e6:.3g} of {node.limit / 1e6:.3g} MB in use"
