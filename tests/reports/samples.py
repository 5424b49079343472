"""One run and the verdicts of every kind, as fixed data."""

from __future__ import annotations

from dataclasses import replace

from pytest_prodcheck.gates.verdict import Finding, NeedState, Observation, Verdict
from pytest_prodcheck.outcomes import Judgement, Outcome, PlannedCheck, Result, RunRecord, Severity, SkipReason

NOW = 1_769_824_800.0  # 2026-01-31 02:00:00 UTC

PASSED = Result(
    "smoke.service.health", "shop", Outcome.PASSED, Severity.CRITICAL, "smoke", "The service says that it is healthy.",
    judgements=(Judgement("status", 200.0, Outcome.PASSED),), evidence=("http-health:shop",), gathered_at=NOW - 4,
    notes=("connection reset, tried again once",), nodeid="suites/smoke/test_services.py::test_health[shop]",
)  # fmt: skip
WARNED = Result(
    "smoke.service.latency", "shop", Outcome.WARNED, Severity.HIGH, "smoke", "It answers in time.",
    reason="median of health answers: 640 ms is more than 500 ms",
    judgements=(Judgement("median of health answers", 0.64, Outcome.WARNED, "s", "at_most", 0.5, 2.0, 1.36),),
    evidence=("http-latency:shop",), gathered_at=NOW - 4, runbook="https://runbooks.shop.example/latency",
    owner="team-web", nodeid="suites/smoke/test_services.py::test_latency[shop]",
)  # fmt: skip
FAILED = Result(
    "smoke.service.addresses", "checkout", Outcome.FAILED, Severity.HIGH, "smoke", "Every address answers.",
    reason="time to answer of 10.0.0.7: 31 s is more than 30 s\ntime to answer of 10.0.0.9: 45 s is more than 30 s",
    judgements=(
        Judgement("time to answer", 0.02, Outcome.PASSED, "s", "at_most", 2.0, 30.0, 29.98, "10.0.0.5"),
        Judgement("time to answer", 31.0, Outcome.FAILED, "s", "at_most", 2.0, 30.0, -1.0, "10.0.0.7"),
        Judgement("time to answer", 45.0, Outcome.FAILED, "s", "at_most", 2.0, 30.0, -15.0, "10.0.0.9"),
    ),
    evidence=("http-addresses:checkout",), gathered_at=NOW - 6, runbook="addresses", owner="team-checkout",
    nodeid="suites/smoke/test_services.py::test_addresses[checkout]",
)  # fmt: skip
ERRORED = Result(
    "smoke.postgres.connects", "shop-db", Outcome.ERRORED, Severity.CRITICAL, "smoke", "It connects and answers.",
    reason="pg-1:5432 did not answer within 5 s (is it reachable from here?)", evidence=("postgres-server:shop-db",),
    gathered_at=NOW - 6, runbook="postgres", nodeid="suites/smoke/test_postgres.py::test_connects[shop-db]",
)  # fmt: skip
SKIPPED = Result(
    "smoke.tcp.open", "-", Outcome.SKIPPED, Severity.CRITICAL, "smoke", "Ports accept.",
    reason="no tcp target is declared", skip=SkipReason.NOT_CONFIGURED, nodeid="suites/smoke/test_network.py::test_tcp",
)  # fmt: skip
WIDE = Result(
    "smoke.redis.memory", "注文キャッシュ", Outcome.PASSED, Severity.HIGH, "smoke", "Memory is left.",
    judgements=(Judgement("memory used", 4e8, Outcome.PASSED, "B", "at_most", 8e8, 9e8, 5e8, "10.0.0.3", off=True),),
    evidence=("redis-server:注文キャッシュ",), gathered_at=NOW - 3, nodeid="suites/smoke/test_redis.py::test_memory[x]",
)  # fmt: skip
PLAIN = Result("test:checks/test_x.py::test_x", "-", Outcome.PASSED, plain=True, nodeid="checks/test_x.py::test_x")
RESULTS = (PASSED, WARNED, FAILED, ERRORED, SKIPPED, WIDE, PLAIN)

RUN = RunRecord(
    "20260131T015950-ab12", "production", "shop", True, "checkout", "green", "3f9c2ab",
    started_at=NOW - 10, ended_at=NOW, version="0.1.0", results=RESULTS,
    planned=(*(PlannedCheck(each.check, each.target, each.severity) for each in RESULTS if not each.plain),
             PlannedCheck("smoke.auth.login", "shop", Severity.CRITICAL)),
    limits_off=("smoke.redis.memory@*",), unverified=("old.shop.example",), targets={"service": ("shop", "checkout")},
    problems=("worker gw1 died: not properly terminated",), interrupted="stopping after 1 failures", waited=3.0,
    opted_in=("write:order",), undeclared=("auth",),
)  # fmt: skip

OPEN = Verdict(
    "smoke", "production", RUN.id, "open", 0, NOW + 1, NOW + 890, 900.0, "shop", True, "checkout", "green", "3f9c2ab",
    "outside", "0.1.0", 7, NOW - 6, NOW + 1, counts={"passed": 3, "warned": 0, "failed": 0, "skipped": 1, "errored": 0},
    skips={"not-configured": ("smoke.tcp.open@-",)}, targets={"service": 2}, digests={"policy": "ab" * 32},
    configuration={"prodcheck.toml": "cd" * 32}, notes=(Finding("the waiver OPS-3 is not used"),),
)  # fmt: skip
_ADDRESSES = Finding(
    "time to answer of 10.0.0.9: 45 s is more than 30 s", 1, FAILED.check, FAILED.target, "failed", "high",
    "time to answer", "10.0.0.9", 45.0, "s", "at_most", 30.0, -15.0, "team-checkout", "https://runbooks.shop.example/addresses",
)  # fmt: skip
_LATENCY = Finding(
    "slower than it was", 0, WARNED.check, WARNED.target, "warned", "high", "median", "", 0.64, "s", "at_most", 0.5,
)  # fmt: skip
BLOCKED = replace(
    OPEN, status="blocked", code=1, open_since=None,
    warnings=(_LATENCY, Finding("TLS is not verified for old.shop.example")),
    reasons=(replace(_ADDRESSES, text="time to answer of 10.0.0.7: 31 s is more than 30 s", of="10.0.0.7", value=31.0),
             _ADDRESSES),
    limits_off=RUN.limits_off, unverified=RUN.unverified,
)  # fmt: skip
CANNOT_TELL = replace(
    OPEN, status="cannot-tell", code=3, open_since=None, oldest_evidence=None, counts={},
    reasons=(Finding("expected check did not run", 3, "smoke.auth.login", "shop", severity="critical"),
             Finding("needs staging:smoke: it has been open for 10 min of the 30 min asked for", 3)),
    needs=(NeedState("staging", "smoke", 3, "it has been open for 10 min of the 30 min asked for"),),
)  # fmt: skip
REFUSED = replace(
    OPEN, status="refused", code=4, open_since=None,
    reasons=(Finding("the oldest evidence is 2 h old, the gate allows 15 min", 4),),
)  # fmt: skip
OBSERVED = replace(
    BLOCKED, status="open", code=0, observation=Observation("2026-03-01", "blocked", 1), unverified=(), limits_off=(),
)  # fmt: skip
WAIVED = replace(
    OPEN, waived=(replace(_ADDRESSES, code=0, text=f"{_ADDRESSES.text} (waived: new hardware; anna)", ticket="OPS-12",
                          expires="2026-02-14"),),
    overrides=("by anna until 02:30 UTC, INC-7: the payment provider is down",), strict=True,
)  # fmt: skip
VERDICTS = {
    "open": OPEN, "blocked": BLOCKED, "cannot-tell": CANNOT_TELL, "refused": REFUSED, "observed": OBSERVED,
    "waived": WAIVED,
}  # fmt: skip
