"""The plugin's door: open a run, settle, publish; soak time carries over only where nothing was in between."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_prodcheck.gates import overrides, paths
from pytest_prodcheck.gates.policy import Need
from pytest_prodcheck.gates.run_gates import RunGates, run_key
from pytest_prodcheck.gates.store import Key, StoreError
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.outcomes import Outcome, Result, RunRecord
from tests.gates.samples import NOW, gate, result, run

SECRET = b"k" * 32
KEY = Key("staging", "", "", "smoke")


def run_and_publish(state: Path, *results: Result, at: float = NOW, **changes: object) -> Verdict:
    """A whole run at a time."""
    shift = at - NOW
    moved = [
        replace(each, gathered_at=None if each.gathered_at is None else each.gathered_at + shift) for each in results
    ]
    record: RunRecord = replace(run(*moved, started_at=at - 20), **changes)  # type: ignore[arg-type]
    run_gates = RunGates(state, SECRET)
    run_gates.open_run(record.id, [Key(record.environment, record.unit, record.slot, "smoke")])
    (verdict,) = run_gates.settle(record, [gate()], at)
    assert run_gates.publish([verdict]) == []
    return verdict


def test_settling_writes_nothing(tmp_path: Path) -> None:
    run_gates = RunGates(tmp_path, SECRET)
    run_gates.open_run("run-1", [KEY])
    before = sorted(tmp_path.rglob("*"))
    run_gates.settle(run(result()), [gate()], NOW)
    assert sorted(tmp_path.rglob("*")) == before
    assert json.loads(Path(paths.opened_file(str(tmp_path), "run-1")).read_text()) == [["staging", "", "", "smoke"]]


def test_a_gate_that_stays_open_has_been_open_since_the_first_time(tmp_path: Path) -> None:
    assert run_and_publish(tmp_path, result()).open_since == NOW
    assert run_and_publish(tmp_path, result(), at=NOW + 600).open_since == NOW
    assert run_and_publish(tmp_path, result(), at=NOW + 1200).open_since == NOW


def test_what_interrupts_soaking(tmp_path: Path) -> None:
    run_and_publish(tmp_path, result())
    assert run_and_publish(tmp_path, result(), at=NOW + 600, revision="r2").open_since == NOW + 600, "another revision"
    assert run_and_publish(tmp_path, result(), at=NOW + 3000, revision="r2").open_since == NOW + 3000, "a gap"
    assert run_and_publish(tmp_path, result(outcome=Outcome.FAILED), at=NOW + 3100, revision="r2").open_since is None
    assert run_and_publish(tmp_path, result(), at=NOW + 3200, revision="r2").open_since == NOW + 3200, "it was blocked"
    RunGates(tmp_path, SECRET).open_run("crashed", [KEY])
    assert run_and_publish(tmp_path, result(), at=NOW + 3300, revision="r2").open_since == NOW + 3300, "a crash"


def test_target_counts_carry_over_from_the_last_open_verdict(tmp_path: Path) -> None:
    run_and_publish(tmp_path, result(), targets={"service": ("a", "b")})
    run_and_publish(tmp_path, result(outcome=Outcome.FAILED), targets={"service": ("a",)})
    assert "there were 2" in run_and_publish(tmp_path, result(), targets={"service": ("a",)}).warnings[0].text


def test_neighbours_are_read_from_the_store(tmp_path: Path) -> None:
    policy = gate(needs=(Need("test", "smoke"),))
    run_gates = RunGates(tmp_path, SECRET)
    run_gates.open_run("run-1", [KEY])
    assert run_gates.settle(run(result()), [policy], NOW)[0].code == 3
    run_and_publish(tmp_path, result(), environment="test")
    assert run_gates.settle(run(result()), [policy], NOW)[0].code == 0
    assert RunGates(tmp_path, b"other" * 5).settle(run(result()), [policy], NOW)[0].code == 3


def test_overrides_are_shown_in_the_next_verdicts(tmp_path: Path) -> None:
    ask = VerdictQuery("smoke", "staging", revision="r1")
    document = overrides.make(ask, reason="fire", ticket="I-1", seconds=60, now=NOW, by="me")
    overrides.record(str(tmp_path), document, SECRET)
    assert "fire (I-1)" in run_and_publish(tmp_path, result()).overrides[0]


def test_publishing_what_was_not_opened_or_overtaken(tmp_path: Path) -> None:
    run_gates = RunGates(tmp_path, SECRET)
    verdicts = run_gates.settle(run(result()), [gate()], NOW)
    assert "was not opened" in run_gates.publish(verdicts)[0]
    run_gates.open_run("run-1", [KEY])
    RunGates(tmp_path, SECRET).open_run("run-2", [KEY])
    assert "another run has started" in run_gates.publish(verdicts)[0]


def test_all_gates_are_withdrawn_though_one_cannot_be(tmp_path: Path) -> None:
    run_and_publish(tmp_path, result())
    other = Key("staging", "", "", "other")
    other.file(tmp_path).mkdir(parents=True)
    run_gates = RunGates(tmp_path, SECRET)
    with pytest.raises(StoreError, match="other"):
        run_gates.open_run("run-2", [other, KEY])
    assert isinstance(run_gates.store.read(KEY), str)


def test_the_key_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODCHECK_KEY", raising=False)
    local = run_key(tmp_path / ".prodcheck", tmp_path)
    assert run_key(tmp_path / ".prodcheck", None) == local
    (tmp_path / "prodcheck.toml").write_text('[seal]\nkey = { env = "SHOP" }\n')
    monkeypatch.setenv("SHOP", "s" * 20)
    assert run_key(tmp_path / ".prodcheck", tmp_path) == b"s" * 20


def test_neighbours_by_a_clock_that_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 111: a needed verdict does not grow younger with the clock."""
    monkeypatch.setattr("pytest_prodcheck.gates.store.since_boot", lambda: ("b1", 1000.0))
    run_and_publish(tmp_path, result(), environment="test")
    policy = gate(needs=(Need("test", "smoke"),))
    for passed, code in ((60.0, 0), (2000.0, 3)):
        here = ("b1", 1000.0 + passed)
        monkeypatch.setattr("pytest_prodcheck.gates.run_gates.since_boot", lambda here=here: here)
        run_gates = RunGates(tmp_path, SECRET)
        run_gates.open_run("run-1", [KEY])
        assert run_gates.settle(run(result()), [policy], NOW)[0].code == code
