"""A bundled check has no hidden second limit: what it judges beside `limit` is declared in its `fixed`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_prodcheck.catalogue import entries

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / "suites").rglob("*.py"))
# what a number is compared with that is no limit of ours: it was declared by the user, told by the system, or counts
NO_LIMITS = {
    "limit": "the check's own, which [thresholds] changes",
    "warn": "a level of it", "fail": "a level of it",
    "limit.no_higher_than(late[0], late[1], '%')": "lowered for short lives",
    "limit_in_force(declared['at_most'], limit)": "declared", "limit_in_force(declared['at_least'], limit)": "declared",
    "young": "declared", "level": "declared", "declared": "declared", "wanted": "declared", "expected": "declared",
    "found.holds": "declared", "backups.expected_retained": "declared", "redis_writes.expected_primaries": "declared",
    "node.wanted": "PostgreSQL's own synchronous_standby_names", "enough": "the workload's own replicas",
    "found.generation": "the workload's own generation", "Limit(warn=0, fail=quorum - 1)": "the Sentinels' quorum",
    "Limit(warn=declared)": "none more than declared", "heard": "handed over: `limit` or HEARD",
    "Limit(fail=0) if policy.enforced else Limit(warn=0)": "none at all", "Limit(warn=0)": "none at all",
    "Limit(warn=1)": "one at all", "ATTACKS": "the number of attacks that are known",
    "0 if found.asleep else 1": "one at all", "0 if found is not None and found.asleep else 1": "one at all",
}  # fmt: skip


def compared() -> Iterator[tuple[str, str]]:
    """(place, what stands as `at_most` or `at_least`) of every judgement; 0 and 1 are left out: "none" and "one"."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for word in node.keywords if isinstance(node, ast.Call) and ast.unparse(node.func) == "judge" else ():
                if word.arg in ("at_most", "at_least") and ast.unparse(word.value) not in ("0", "1"):
                    yield f"{file.relative_to(ROOT)}:{word.lineno}", ast.unparse(word.value)


# how a limit that is declared as fixed stands in the judgement
FIXED = {
    "TELLING_SHARE", "ADDRESS_TIME", "SOON", "FREEZE_AGE", "ENTROPY", "RSA if each.key == 'RSA' else EC",
    "most",  # KEPT or SEGMENTS files of the server's segment size
    "late",  # LATE intervals of the rule
    "Limit(warn=every * LATE, fail=every * MISSED)", "100 * ACHIEVED", "100 * BUSIEST", "100 * STARVED", "LATE",
}  # fmt: skip


def test_every_number_is_a_declared_limit_or_none() -> None:
    assert [(place, what) for place, what in compared() if what not in NO_LIMITS and what not in FIXED] == []
    assert {what for _, what in compared()} >= FIXED


@pytest.mark.parametrize(
    ("id", "what"),
    [
        ("smoke.service.version", "connections that told one: 95% / 91%"),
        ("smoke.service.addresses", "time to answer: 2s / 30s"),
        ("pre_deploy.approval", "time left of the window, and before a freeze: 15m / –"),
        ("pre_deploy.backups.age", "age, in intervals of a declared schedule: 1.5 / 2.0"),
        ("pre_deploy.backups.wal-backlog", "streamed WAL that is not confirmed, in files: – / 16"),
        ("pre_deploy.monitoring.alerts", "time since a rule was looked at, in intervals: – / 5"),
        ("data_integrity.backups.wal", "last word of who streams WAL: 60s / 300s"),
        ("data_integrity.replication.slots", "WAL kept for a slot that is not consumed, in files: – / 16"),
        ("data_integrity.storage.wraparound", "age, in times autovacuum_freeze_max_age: 1.5 / –"),
        ("security.encryption.columns", "entropy, in bits a byte: – / 6.5"),
        ("security.tls.key", "RSA key, in bits: – / 2048"),
        ("performance.validity", "share of the rate that was sent: – / 0.99"),
    ],
)
def test_fixed_limits_are_in_the_catalogue(id: str, what: str) -> None:
    assert what in next(each for each in entries() if each.id == id).fixed
