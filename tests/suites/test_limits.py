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
    "enough_new": "the same without those of its partition", "kubernetes_rollout.in_file": "declared",
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
    "TELLING_SHARE", "ADDRESS_TIME", "NOT_EVICTABLE", "ENDLESS", "SOON", "OPEN", "FREEZE_AGE", "ENTROPY",
    "EC if each.key == 'EC' else RSA",
    "FAILED_SHARE", "most",  # KEPT or SEGMENTS files of the server's segment size
    "late",  # LATE intervals of the rule
    "Limit(warn=every * LATE, fail=every * MISSED)", "100 * ACHIEVED", "100 * BUSIEST", "100 * STARVED", "LATE",
}  # fmt: skip


def test_every_number_is_a_declared_limit_or_none() -> None:
    assert [(place, what) for place, what in compared() if what not in NO_LIMITS and what not in FIXED] == []
    assert {what for _, what in compared()} >= FIXED


# numbers that a yes-or-no judgement compares with: what its check declares as fixed, or why that is no limit
IN_CONDITIONS = {
    "PENDING": "time pending", "OVERDUE": "time past the grace period",
    "10 * usual": "takes ten times as long as the last one",
    "RETIRED": "time since the end after which a table is out of use",
    "RECENT": "period in which", "STARTING": "time that an added pod may need to start",
    "SKEW": "remaining validity of a stapled OCSP answer", "EXPONENT": "usual RSA exponent",
    "DH": "Diffie-Hellman parameters, in bits", "_CHANCE": "share of numbers with the check digit of a card",
    "_SLOWER * first": "growing delay, as a multiple of the first",
    "first + _SECONDS": "growing delay, in addition to the first",
    "backups.now + AHEAD": "largest time in the future", "found.now + AHEAD": "largest time in the future",
    "archive.now + AHEAD": "largest time in the future", "-AHEAD": "largest time in the future",
    "UNREADY": "time not ready", "BACK_OFF": "run after which a crash counts anew",
    "DAY": "time in which a Job that nobody repeats counts", "SETTLING": "time that an autoscaler may lack metrics",
}  # fmt: skip
NO_LIMITS_THERE = {
    "len(before) >= ENOUGH": "whether there is a median", "len(looks) < 4": "whether there is a trend",
    "len(bad) > 5": "how many are shown", "len(attempts) >= 6": "whether there are three first and three last ones",
    "len(due) > _SHOWN": "how many are shown", "count < samples_needed(50)": "whether the percentile can be proven",
    "after.good + after.failed < samples_needed(95)": "the same", "seconds >= 2 * size": "the unit that is shown",
    "abs(seconds) >= DAY": "the unit that is shown", "len(server.attacks) >= ATTACKS": "all that are known",
    "100 * (whole.failed - late) > crossed * (whole.good + whole.failed)": "a share in percent",
    "container.restarts <= CRASHES": "whether crashes are a loop",
    "len(able) >= max(quorum, len(found.sentinels) // 2 + 1)": "a majority, of Redis itself",
}  # fmt: skip


def conditions() -> Iterator[tuple[str, str, str]]:
    """(place, comparison, the number's side) of every comparison by size with a number or a constant; no statuses."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare) or not all(isinstance(each, _SIZES) for each in node.ops):
                continue
            sides = [each for each in (node.left, *node.comparators) if any(map(_is_number, ast.walk(each)))]
            for side in sides:
                if "status" not in ast.unparse(node):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(node), ast.unparse(side)


_SIZES = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def _is_number(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id.lstrip("_").isupper()
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and node.value not in (0, 1)


def test_every_number_in_a_condition_is_declared_or_no_limit() -> None:
    found = [each for each in conditions() if each[1] not in NO_LIMITS_THERE]
    assert [each for each in found if each[2] not in IN_CONDITIONS] == []
    assert {side for _, _, side in found} == set(IN_CONDITIONS)
    declared = "\n".join(each for entry in entries() for each in entry.fixed)
    assert [what for what in IN_CONDITIONS.values() if what not in declared] == []


@pytest.mark.parametrize(
    ("id", "what"),
    [
        ("smoke.service.version", "connections that reported a revision: 95% / 91%"),
        ("smoke.service.addresses", "time to answer: 2s / 30s"),
        ("pre_deploy.approval", "time left of the window, and before a freeze: 15m / –"),
        ("pre_deploy.backups.age", "age, as a multiple of the declared interval: 1.5 / 2.0"),
        ("pre_deploy.backups.wal-backlog", "streamed WAL without confirmation, in WAL files: – / 16"),
        (
            "pre_deploy.monitoring.alerts",
            "time since the last evaluation of a rule, as a multiple of its interval: – / 5",
        ),
        ("data_integrity.backups.wal", "last message of the WAL receiver: 60s / 300s"),
        ("data_integrity.replication.slots", "WAL kept for a slot that is not consumed, in files: – / 16"),
        ("data_integrity.storage.wraparound", "age, in times autovacuum_freeze_max_age: 1.5 / –"),
        ("security.encryption.columns", "entropy, in bits a byte: – / 6.5"),
        ("security.tls.key", "RSA key, in bits: – / 2048"),
        ("performance.validity", "share of the rate that was sent: – / 0.99"),
    ],
)
def test_fixed_limits_are_in_the_catalogue(id: str, what: str) -> None:
    assert what in next(each for each in entries() if each.id == id).fixed
