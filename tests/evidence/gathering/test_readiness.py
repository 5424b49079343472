"""What of each awaited piece of evidence says that a deployment is through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import (
    Exchange,
    Health,
    NameAnswer,
    PortAnswer,
    PostgresCluster,
    PostgresNode,
    Problem,
    RedisGroup,
    RedisNode,
    Revisions,
    RevisionSeen,
    Rollout,
    RunningImage,
    Workload,
)

GONE = Problem("refused", "nothing listens there")
NO_CONTENT = Exchange("GET", "http://shop.test/healthz", 204, (), "", 0, 0.1)
PRIMARY = PostgresNode("db-1:5432", 0.1)
STANDBY = PostgresNode("db-2:5432", 0.1, recovering=True)
RUNS = RunningImage("web-1", "app", "shop:2", "", "shop:2", True)
WHOLE = Workload("deployment/web", 2, 2, 2, 2, 2, 2, "5d4c")
CACHE = RedisNode("cache-1:6379", 0.1, role="master")


def cluster(*nodes: PostgresNode) -> PostgresCluster:
    return PostgresCluster(nodes, None, 1, 1, None)


def revisions(*seen: RevisionSeen) -> Revisions:
    return Revisions("r-2", 3, seen)


@pytest.mark.parametrize(
    ("collector", "record", "ready"),
    [
        ("http-health", Health(NO_CONTENT, ()), True),
        ("http-health", Health(replace(NO_CONTENT, status=503), ()), False),
        ("http-health", Health(replace(NO_CONTENT, status=302), ()), False),
        ("http-version", revisions(RevisionSeen("a", "r-2"), RevisionSeen("b", "r-2")), True),
        ("http-version", revisions(RevisionSeen("a", "r-2"), RevisionSeen("b", "r-1")), False),
        ("http-version", revisions(RevisionSeen("a", None, GONE)), False),
        ("http-version", revisions(), False),
        ("http-version", Revisions("r-2", 0, (), True, (RUNS,)), True),
        ("http-version", Revisions("r-2", 0, (), True, (RUNS, replace(RUNS, as_shipped=False))), False),
        ("http-version", Revisions("r-2", 0, (), True), False),
        ("kubernetes-rollout", Rollout(WHOLE, "deployment/web", (), 0.0), True),
        ("kubernetes-rollout", Rollout(None, "deployment/web", (), 0.0), False),
        ("kubernetes-rollout", Rollout(replace(WHOLE, updated=1), "deployment/web", (), 0.0), False),
        ("kubernetes-rollout", Rollout(replace(WHOLE, observed=1), "deployment/web", (), 0.0), False),
        ("kubernetes-rollout", Rollout(replace(WHOLE, replicas=0), "deployment/web", (), 0.0), False),
        ("dns-name", NameAnswer("db.test", "system", ("10.0.0.1",), (), 0.1), True),
        ("dns-name", NameAnswer("db.test", "system", (), (), 0.1), False),
        ("tcp-port", PortAnswer("queue:5672", True, 0.1), True),
        ("tcp-port", PortAnswer("queue:5672", False, 0.1, "refused"), False),
        ("postgres-cluster", cluster(PRIMARY, STANDBY), True),
        ("postgres-cluster", cluster(PRIMARY, replace(STANDBY, problem=GONE)), False),
        ("postgres-cluster", cluster(PRIMARY, replace(STANDBY, recovering=False)), False),
        ("redis-group", RedisGroup((CACHE,), 1, 0, None), True),
        ("redis-group", RedisGroup((CACHE, replace(CACHE, problem=GONE)), 1, 1, None), False),
        ("redis-group", RedisGroup((replace(CACHE, loading=True),), 1, 0, None), False),
    ],
)
def test_what_is_ready(collector: str, record: Any, ready: bool) -> None:
    rule = find(collector).ready
    assert rule is not None
    assert rule(record) is ready
