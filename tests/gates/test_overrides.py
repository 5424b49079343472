"""Overrides of a closed gate: their scope, reason and end, and what makes them void."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.gates import overrides, seal
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.outcomes import Outcome
from tests.gates.published import SECRET, ask, publish
from tests.gates.samples import NOW, result


def make_override(root: Path, seconds: float = 600, **changes: Any) -> None:
    scope = {"gate": "smoke", "environment": "staging", "revision": "r1", **changes}
    document = overrides.make(
        VerdictQuery(scope.pop("gate"), scope.pop("environment"), **scope),
        reason="fire",
        ticket="I-1",
        seconds=seconds,
        now=NOW,
        by="me",
        root=str(root),
    )
    overrides.record(str(root / ".prodcheck"), document, SECRET.encode())


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERRORED])
def test_an_override_lets_a_closed_gate_open_and_says_so(root: Path, outcome: Outcome) -> None:
    publish(root, result(outcome=outcome))
    make_override(root)
    decision = ask(root)
    assert (decision.code, decision.closed) == (0, 1 if outcome is Outcome.FAILED else 3)
    assert "fire (I-1)" in decision.overrides[0]
    assert ask(root, now=NOW + 599).code == 0
    assert ask(root, now=NOW + 600).code != 0
    assert ask(root, now=NOW - 60).code != 0


def test_an_override_works_without_a_verdict_and_for_a_refused_one(root: Path) -> None:
    make_override(root)
    assert ask(root).code == 0
    publish(root, revision="r2")
    assert ask(root).code == 0
    assert ask(root, revision=None).code == 4, "one for r1 is none for whatever was judged"


def test_an_override_is_not_for_usage_errors(root: Path) -> None:
    publish(root, protected=True)
    make_override(root, revision="")
    assert ask(root, revision=None).code == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": "other"},
        {"environment": "production"},
        {"unit": "u"},
        {"slot": "s"},
        {"revision": "r2"},
        {"revision": ""},
    ],
)
def test_an_override_is_for_its_scope(root: Path, changes: dict[str, Any]) -> None:
    publish(root, result(outcome=Outcome.FAILED))
    make_override(root, **changes)
    assert ask(root).code == 1


def test_an_edited_override_holds_nothing(root: Path) -> None:
    publish(root, result(outcome=Outcome.FAILED))
    make_override(root)
    log = root / ".prodcheck" / "overrides.jsonl"
    good = json.loads(log.read_text())
    for name in good:
        if name != "seal":
            log.write_text(json.dumps({**good, name: 1e9 if name.endswith("_at") else "x"}) + "\n")
            assert ask(root).code == 1, name
    long = {**{key: value for key, value in good.items() if key != "seal"}, "expires_at": NOW + 25 * 3600}
    log.write_text("garbage\n[]\n" + json.dumps(seal.sign(long, SECRET.encode())) + "\n")
    assert ask(root).code == 1


@pytest.mark.parametrize(
    "changes", [{"reason": " "}, {"ticket": ""}, {"seconds": 0}, {"seconds": 24 * 3600 + 1}, {"seconds": float("nan")}]
)
def test_an_override_needs_a_reason_a_ticket_and_an_end(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {"reason": "r", "ticket": "t", "seconds": 60.0}
    with pytest.raises(ValueError, match="override"):
        overrides.make(VerdictQuery("smoke", "staging"), **{**good, **changes}, now=NOW, by="me")


def test_an_override_ends_though_the_clock_was_set_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 168."""
    monkeypatch.setattr(overrides, "since_boot", lambda: ("b1", 1000.0))
    publish(root, result(outcome=Outcome.FAILED))
    make_override(root)
    for boot, uptime, code in (("b1", 1599.0, 0), ("b1", 1601.0, 1), ("b2", 1601.0, 0), ("", 1601.0, 0)):
        monkeypatch.setattr(overrides, "since_boot", lambda found=(boot, uptime): found)
        assert ask(root, now=NOW + 1).code == (code), (boot, uptime)


def test_projects_that_share_a_key_share_no_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 168: the line of one project in the log of another; a checkout of the same project takes it along."""
    monkeypatch.setenv("PRODCHECK_KEY", SECRET)
    monkeypatch.delenv("PRODCHECK_REVISION", raising=False)
    log = ".prodcheck/overrides.jsonl"
    for name, project in (("cart", "cart"), ("cart-again", "cart"), ("pay", "pay"), ("nameless", "")):
        folder = tmp_path / name
        (folder / ".prodcheck").mkdir(parents=True)
        named = f'project = "{project}"\n' if project else ""
        (folder / "prodcheck.toml").write_text(f"version = 1\n{named}[environments.staging]\n")
    make_override(tmp_path / "cart")
    codes = {}
    for name in ("cart", "cart-again", "pay", "nameless"):
        (tmp_path / name / log).write_bytes((tmp_path / "cart" / log).read_bytes())
        codes[name] = ask(tmp_path / name).code
    assert codes == {"cart": 0, "cart-again": 0, "pay": 3, "nameless": 3}
