"""What a check asks for by `needs` is no part of its node id, with every pytest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_prodcheck.plugin import parametrization
from tests.project import Project

TOML = """\
version = 1
project = "names"
[environments.dev]
revision = "r1"
[environments.dev.services]
web = { url = "http://127.0.0.1:9", health = "/h" }
api = { url = "http://127.0.0.1:9", health = "/h" }
"""
CHECKS = """\
from pytest_prodcheck import check, judge

@check("smoke.own.two", severity="high", needs={"a": "http-health:web", "b": "http-health:api"})
def test_two(a, b):
    judge("two", 2, equals=2)

@check("smoke.own.mixed", severity="high", needs={"b": "http-health:api"})
def test_mixed(http_health, b):
    judge("mixed", 2, equals=2)
"""


def test_node_ids_name_targets_alone_and_can_be_typed(tmp_path: Path) -> None:
    project = Project.make(tmp_path, TOML, CHECKS)
    file = next(tmp_path.glob("**/test_*.py")).relative_to(tmp_path)
    wanted = [f"{file}::test_two", f"{file}::test_mixed[web]", f"{file}::test_mixed[api]"]
    for chosen in ([str(file)], wanted):
        done = project.pytest("--env", "dev", "--collect-only", "-q", "-p", "no:cacheprovider", *chosen)
        assert [line for line in done.stdout.splitlines() if "::" in line] == wanted, done.stdout


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("test_a[{0}]", "test_a"),
        ("test_a[web-{0}]", "test_a[web]"),
        ("test_a[web-1-{0}-{0}]", "test_a[web-1]"),
        ("test_a[web]", "test_a[web]"),
    ],
)
def test_pytest_8_3_knows_no_hidden_parameters(monkeypatch: pytest.MonkeyPatch, name: str, shown: str) -> None:
    """The items are made here: a newer pytest makes none with such names."""
    monkeypatch.setattr(pytest, "Function", SimpleNamespace)
    ids: list[str] = []
    monkeypatch.setattr(parametrization, "set_node_id", lambda item, name: ids.append(name))
    told = name.format(parametrization._STAND_IN)
    item: Any = SimpleNamespace(name=told, nodeid=f"a.py::{told}")
    parametrization.hide_stand_ins([item])
    assert (item.name, ids) == (shown, [f"a.py::{shown}"] if shown != told else [])
