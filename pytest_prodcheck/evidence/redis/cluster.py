"""How a Redis Cluster stands, as one of its nodes sees it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.stores import RedisCluster

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.redis.commands import RedisNodeClient

_SLOTS = re.compile(r"\d{1,5}(-\d{1,5})?", re.ASCII)


def cluster_view(asking: RedisNodeClient, deadline: Deadline) -> RedisCluster:
    """What CLUSTER INFO and NODES say; without a state where they may not be asked. Raises EvidenceProblem."""
    info, nodes = asking.ask((("CLUSTER", "INFO"), ("CLUSTER", "NODES")), deadline)
    if not isinstance(info, str):
        return RedisCluster(None)
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)

    def number(name: str) -> int:
        value = fields.get(name, "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else 0

    state = plain(fields.get("cluster_state", "").strip(), 20)
    seen = _node_lines(nodes) if isinstance(nodes, str) else []
    me = next((each for each in seen if "myself" in each.flags), None)
    served = sorted(f"{each.id} {' '.join(each.slots)}" for each in seen if each.slots)
    return RedisCluster(
        state or None, number("cluster_slots_ok"), number("cluster_size"),
        tuple(_range(slot) for slot in me.slots) if me else (), me.id if me else "",
        hashlib.sha256("\n".join(served).encode()).hexdigest()[:16] if served else "",
        me.moving if me else 0, {each.id: each.address for each in seen if {"fail", "fail?"} & each.flags},
    )  # fmt: skip


@dataclass(frozen=True)
class _NodeLine:
    """One node as CLUSTER NODES tells it. slots: "5" or "5-17". moving: slots that are on their way."""

    id: str
    address: str
    flags: frozenset[str]
    slots: tuple[str, ...]
    moving: int


def _node_lines(nodes: str) -> list[_NodeLine]:
    found = []
    for line in nodes.splitlines()[:2000]:
        words = line.split()
        if len(words) < 8:
            continue
        slots = tuple(word for word in words[8:] if _SLOTS.fullmatch(word))
        moving = sum(word.startswith("[") for word in words[8:])
        address = plain(words[1].partition("@")[0], 80)
        found.append(_NodeLine(plain(words[0], 64), address, frozenset(words[2].split(",")), slots, moving))
    return found


def _range(slots: str) -> tuple[int, int]:
    first, _, last = slots.partition("-")
    return int(first), int(last or first)
