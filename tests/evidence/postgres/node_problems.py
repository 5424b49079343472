"""What is wrong with a node."""

from __future__ import annotations

from pytest_prodcheck.records import Problem
from pytest_prodcheck.records.stores import PostgresNode


def problem(node: PostgresNode | None) -> Problem:
    assert node is not None
    assert node.problem is not None
    return node.problem
