"""The fixtures that checks ask for: one for each kind of evidence, `limit` and `declared`."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck.catalogue import fixtures
from pytest_prodcheck.plugin.parametrization import TARGET

if TYPE_CHECKING:
    from pytest_prodcheck.environments.targets import Target
    from pytest_prodcheck.plugin.item_hooks import CheckHooks


def evidence_fixtures(judging: CheckHooks) -> ModuleType:
    """A plugin that holds one fixture for each kind of evidence, and `limit` and `declared`."""
    holder = ModuleType("prodcheck_fixtures")

    @pytest.fixture(name=TARGET)
    def prodcheck_target(request: pytest.FixtureRequest) -> Target:
        """What the check is about."""
        target: Target = request.param
        return target

    @pytest.fixture
    def limit(request: pytest.FixtureRequest) -> Any:
        """The limit in force for this check on this target."""
        return judging.limit(request.node)

    @pytest.fixture
    def declared(request: pytest.FixtureRequest) -> Any:
        """What prodcheck.toml declares of the check's target, as a plain mapping."""
        return judging.declared(request.node)

    for name, fixture in ((TARGET, prodcheck_target), ("limit", limit), ("declared", declared)):
        setattr(holder, name, fixture)
    for fixture_name, collector_name in fixtures().items():
        setattr(holder, fixture_name, _evidence_fixture(judging, fixture_name, collector_name))
    return holder


def _evidence_fixture(judging: CheckHooks, fixture_name: str, collector_name: str) -> object:
    @pytest.fixture(name=fixture_name)
    def record(request: pytest.FixtureRequest, prodcheck_target: Target) -> Any:
        """One gathered fact about the check's target."""
        return judging.read(request.node, fixture_name, f"{collector_name}:{prodcheck_target.name}")

    return record
