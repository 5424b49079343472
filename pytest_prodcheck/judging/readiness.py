"""Whether one fact says that the system is ready, for `--wait`: what a deployment that is still rolling shows."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.records import Evidence
from pytest_prodcheck.records.flow import NameAnswer, PortAnswer
from pytest_prodcheck.records.services import Health, Revisions
from pytest_prodcheck.records.stores import PostgresCluster, RedisGroup


def is_ready(evidence: Evidence[Any]) -> bool:
    """True where the fact was had and is what the smoke suite wants in the end."""
    if evidence.problem is not None:
        return False
    record = evidence.record
    match record:
        case Health():
            return 200 <= record.exchange.status < 300
        case PortAnswer():
            return record.accepted
        case NameAnswer():
            return bool(record.addresses)
        case Revisions():
            return bool(record.seen) and all(seen.revision == record.expected for seen in record.seen)
        case PostgresCluster():
            up = [node for node in record.nodes if node.problem is None]
            primaries = sum(not node.recovering for node in up)
            return primaries == record.expected_primaries and len(up) - primaries == record.expected_standbys
        case RedisGroup():
            return all(node.problem is None and not node.loading for node in record.nodes)
    return True
