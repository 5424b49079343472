"""How a Redis Cluster stands, as one of its nodes sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.stores import RedisCluster

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.redis.commands import Asking


def cluster_view(asking: Asking, deadline: Deadline) -> RedisCluster:
    """What CLUSTER INFO and NODES say; without a state where they may not be asked. Raises EvidenceProblem."""
    info, nodes = asking.ask((("CLUSTER", "INFO"), ("CLUSTER", "NODES")), deadline)
    if not isinstance(info, str):
        return RedisCluster(None)
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)

    def number(name: str) -> int:
        value = fields.get(name, "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else 0

    own = _own_slots(nodes) if isinstance(nodes, str) else ()
    state = plain(fields.get("cluster_state", "").strip(), 20)
    return RedisCluster(state or None, number("cluster_slots_ok"), number("cluster_size"), own)


def _own_slots(nodes: str) -> tuple[tuple[int, int], ...]:
    """The slots on the line of CLUSTER NODES that is flagged `myself`; those on the move are left out."""
    for line in nodes.splitlines():
        words = line.split()
        if len(words) > 8 and "myself" in words[2].split(","):
            ranges = (word.partition("-") for word in words[8:] if not word.startswith("["))
            return tuple(
                (int(first), int(last or first)) for first, _, last in ranges
                if first.isascii() and first.isdigit() and (not last or (last.isascii() and last.isdigit()))
            )  # fmt: skip
    return ()
