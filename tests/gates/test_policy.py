"""Policies from plain data: what is understood, and what is refused with a message that helps."""

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import pytest

from pytest_prodcheck.gates.policy import Need, Policy, suite_policy
from pytest_prodcheck.gates.policy_settings import PolicyError
from pytest_prodcheck.outcomes import Severity, SkipReason

# the shapes of a real shop's file
TOML = """
[defaults]
critical = "block"
high     = "block"
medium   = "warn"
low      = "note"
skips    = ["not-configured", "out-of-reach"]
max_age  = "15m"
[before]
environments = ["production"]
select  = ["pre_deploy.*", "security.*"]
require = ["pre_deploy.backups.age@shop", "pre_deploy.approval"]
needs   = [{ gate = "staging:staging-smoke", open_for = "30m", max_age = "24h" }, { gate = "staging:staging-load" }]
max_age = "30m"
[slot]
environments = ["production"]
slot    = "required"
select  = ["smoke.*", "shop.smoke.*"]
without = ["smoke.metrics.*", "smoke.workflow.order"]
require = ["smoke.service.version"]
[after]
select  = ["smoke.*"]
window  = "10m"
skips   = ["not-configured", "out-of-reach", "opt-in"]
[audit]
select        = ["security.*"]
observe_until = 2027-02-01
max_age       = "26h"
"""


def policy(name: str) -> Policy:
    gates: dict[str, Any] = tomllib.loads(TOML)
    return Policy.from_settings(name, gates[name], gates["defaults"])


def test_a_real_shops_gates() -> None:
    before = policy("before")
    assert before.needs == (Need("staging", "staging-smoke", 1800.0, 86400.0), Need("staging", "staging-load"))
    assert before.required_ids == {"pre_deploy.backups.age", "pre_deploy.approval"}
    assert before.max_age == 1800.0
    assert policy("after").skips == {SkipReason.NOT_CONFIGURED, SkipReason.OUT_OF_REACH, SkipReason.OPT_IN}
    assert (policy("after").window, policy("slot").slot) == (600.0, "required")
    assert policy("audit").observe_until == datetime.date(2027, 2, 1)


def test_selection() -> None:
    slot = policy("slot")
    chosen = ("smoke.a", "shop.smoke.b", "smoke.service.version")
    left_out = ("smoke.metrics.p95", "smoke.workflow.order", "security.x", "shop.x")
    assert all(map(slot.selects, chosen))
    assert not any(map(slot.selects, left_out))
    assert policy("before").selects("pre_deploy.approval")


def test_the_gate_of_a_suite() -> None:
    smoke = suite_policy("smoke", {"medium": "block", "max_age": 60.0, "strict": False, "skips": ("opt-in",)})
    assert smoke.selects("smoke.a")
    assert smoke.selects("mail.relay", "smoke")
    assert not smoke.selects("smoke.a", "security")
    assert smoke.actions[Severity.MEDIUM] == "block"
    assert smoke.max_age == 60.0
    assert suite_policy("smoke", {}).max_age == 900.0


def test_a_gate_takes_what_it_leaves_out_from_the_defaults() -> None:
    made = Policy.from_settings("g", {"select": ["a.*"], "low": "block", "high": None}, {"low": "warn", "high": "note"})
    assert (made.actions[Severity.LOW], made.actions[Severity.HIGH]) == ("block", "note")


def test_the_digest_is_of_everything() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"low": "warn"},
        {"max_age": "5m"},
        {"strict": True},
        {"skips": []},
        {"require": ["a.b"]},
        {"observe_until": "2027-01-01"},
        {"needs": [{"gate": "a:b"}]},
    ]
    digests = {Policy.from_settings("g", {"select": ["a.*"], **each}, {}).digest for each in changes}
    assert len(digests) == len(changes)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"selct": ["a"]}, "unknown key 'selct'"),
        ({"select": "a.*"}, "select: expected a list"),
        ({"select": [""]}, "select: expected a list"),
        ({"select": ["a.*"], "require": ["a.*"]}, "require: expected ids without globs"),
        ({"select": ["a.*"], "require": ["a.b@"]}, "require: expected"),
        ({"select": ["a.*"], "require": ["a.b"], "without": ["a.*"]}, "a.b is required, but"),
        ({"high": "stop"}, "high: expected"),
        ({"skips": ["foreign"]}, "skips: expected"),
        ({"skips": ["whatever"]}, "skips: expected"),
        ({"max_age": "soon"}, "max_age: expected a duration"),
        ({"max_age": 0}, "max_age: expected a duration"),
        ({"max_age": float("nan")}, "max_age: expected a duration"),
        ({"max_age": float("inf")}, "max_age: expected a duration"),
        ({"max_age": True}, "max_age: expected a duration"),
        ({"slot": "green"}, "slot: expected"),
        ({"strict": "yes"}, "strict: expected"),
        ({"observe_until": "soon"}, "observe_until: expected a date"),
        ({"observe_until": datetime.datetime(2027, 1, 1)}, "observe_until: expected a date"),
        ({"needs": ["staging:smoke"]}, "needs: expected tables"),
        ({"needs": [{"gate": "smoke"}]}, "needs: expected tables"),
        ({"needs": [{"gate": "a:b", "for": "1m"}]}, "needs: expected tables"),
        ({"needs": [{"gate": "a:b", "open_for": "x"}]}, "open_for: expected a duration"),
    ],
)
def test_mistakes(settings: dict[str, object], words: str) -> None:
    with pytest.raises(PolicyError, match="gate g: ") as caught:
        Policy.from_settings("g", settings, {})
    assert words in str(caught.value)


def test_a_bad_name_or_default() -> None:
    with pytest.raises(PolicyError, match="expected a name"):
        suite_policy("../smoke", {})
    with pytest.raises(PolicyError, match="unknown key"):
        suite_policy("smoke", {"select": ["*"]})
