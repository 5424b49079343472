"""Each kind of target is declared once, beside its section's model, and everything that it names is there."""

from __future__ import annotations

from importlib import import_module

import pytest

from pytest_prodcheck.environments.kinds import NAMED_OTHERWISE, Kind, awaited, no_rules, no_targets
from pytest_prodcheck.environments.project import ASKED_OF_PROTECTED, Environment, kinds, section_modules
from pytest_prodcheck.environments.targets import is_built_in, kinds_in
from pytest_prodcheck.evidence.collectors import Collector
from pytest_prodcheck.evidence.gathering.waiting import is_awaited
from pytest_prodcheck.evidence.table import find, names

BOUNDS = ("load_caps",)  # sections that only bound others


def declared() -> dict[str, Kind]:
    modules = {module: import_module(module) for module in section_modules().values()}
    return {kind.section: kind for module in modules.values() for kind in module.KINDS}


def test_every_section_with_a_module_declares_its_kind() -> None:
    assert set(declared()) == set(section_modules()) - set(BOUNDS)
    assert set(kinds()) < set(declared())
    assert set(ASKED_OF_PROTECTED) <= set(kinds())


def test_what_a_kind_names_is_there() -> None:
    for kind in declared().values():
        assert set(kind.paths) <= set(kind.awaited), kind.section
        assert {*kind.brings, *kind.brings_where} <= set(declared()), kind.section
        for target, collectors in kind.awaited.items():
            assert [find(name).axis for name in collectors] == [target] * len(collectors)


def test_every_collector_is_about_a_declared_kind_of_target() -> None:
    there = {target for kind in declared().values() for target in kind.awaited} | {"environment"}
    assert {find(name).axis for name in names()} <= there
    assert set(NAMED_OTHERWISE) <= there


def test_what_is_waited_for_has_a_rule_and_nothing_else_has_one() -> None:
    declared()
    found = {name for name in names() if is_awaited(find(name))}  # raises where the two sides do not agree
    assert found == {name for kind in declared().values() for each in kind.awaited.values() for name in each}
    assert found >= {"http-health", "http-version", "tcp-port", "dns-name", "postgres-cluster", "redis-group"}


def test_a_kind_that_says_nothing_of_readiness_cannot_be_imported() -> None:
    with pytest.raises(TypeError, match="awaited"):
        Kind(section="queues", targets=no_targets, rules=no_rules)  # type: ignore[call-arg]


def test_a_kind_without_rules_cannot_be_imported() -> None:
    with pytest.raises(TypeError, match="rules"):
        Kind(section="queues", awaited={"queues": ()}, targets=no_targets)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("target", "told"),
    [("redis", "two sections declare it"), ("queue", "name it as its section, or enter it in NAMED_OTHERWISE")],
)
def test_a_name_of_two_or_of_nobody_is_refused(target: str, told: str) -> None:
    declared()
    section = "redis" if target == "redis" else "queues"
    with pytest.raises(ValueError, match=told):
        Kind(section=section, awaited={target: ()}, targets=no_targets, rules=no_rules)


@pytest.mark.parametrize("ready", [None, bool])
def test_a_collector_and_its_kind_that_do_not_agree_are_an_error(ready: type[bool] | None) -> None:
    declared()
    name = "redis-replication" if ready else "redis-group"
    with pytest.raises(ValueError, match=f"collector {name}: its `ready` and `awaited` of the kind redis go together"):
        is_awaited(Collector(name, "redis", lambda target, context, deadline: None, bool, ready=ready))
    assert awaited("redis") == ("redis-group",)


@pytest.mark.parametrize("name", ["service", "endpoint", "redis", "tls", "load", "metric", "environment", "settings"])
def test_kinds_of_prodcheck_are_known_by_name(name: str) -> None:
    assert is_built_in(name)


@pytest.mark.parametrize("name", ["services", "metrics", "hosts", "prometheus", "load_caps", "mail-relay", "grpc"])
def test_other_names_are_left_to_teams(name: str) -> None:
    assert not is_built_in(name)


def test_kinds_follow_from_what_is_declared() -> None:
    def sections(**declared: object) -> list[str]:
        return [kind.section for kind in kinds_in(Environment.model_validate({"name": "x", **declared}))]

    assert sections() == ["light"]
    assert sections(services={"shop": {"url": "https://shop.example"}}) == ["services", "tls", "light"]
    assert sections(services={"mail": {"tcp": "mail:25"}}) == ["services", "dependencies", "tls", "light"]
    assert sections(kubernetes={"namespace": "shop"}) == ["kubernetes", "rollback", "light"]
