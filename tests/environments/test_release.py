"""Approvals in prodcheck.toml: what has to be said, and the target that it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.targets import key_path, settings_of, targets
from tests.environments.support import BASE, loaded, mistakes, write

UNITS = '[environments.dev.units]\na = { services = ["shop"] }\nb = { services = ["shop"] }\n'
GITHUB = 'kind = "github-deployments", repository = "shop/{unit}"'


def text(table: str) -> str:
    return f"{BASE}{UNITS}[environments.dev]\napproval = {{ {table} }}\n"


@pytest.mark.parametrize(
    "table",
    [
        'kind = "file", record = "{unit}/{revision}.json", freeze = "freeze.toml", holds = "2d"',
        'kind = "url", url = "https://cmdb.test/{revision}", authentication = { bearer = { env = "T" } }',
        GITHUB,
        'kind = "github-deployments", repository = "shop/all", deployment = "{unit}-live", url = "https://git.test/api/v3"',
    ],
)
def test_good_ones(table: str, tmp_path: Path) -> None:
    write(tmp_path, "[freeze]\n", "freeze.toml")
    configuration = loaded(tmp_path, text(table))
    environment = configuration.environment("dev", unit="a")
    (target,) = [each for each in targets(environment, configuration, unit="a") if each.kind == "approval"]
    assert target.name == "a"
    assert key_path(environment, target) == ("approval",)
    assert settings_of(environment, target)["kind"] in table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('kind = "file"', "needs `record`"),
        ('kind = "url"', "needs `url`"),
        ('kind = "github-deployments"', "needs `repository`"),
        ('kind = "github-deployments", repository = "shop"', "repository"),
        ('kind = "github-deployments", repository = "shop/all"', "what is approved for one unit would be approved"),
        ('kind = "file", record = "r", url = "https://a.test"', "`url` does not go with"),
        ('kind = "file", record = "r", freeze = "absent.toml"', "there is no file 'absent.toml'"),
        ('kind = "file", record = "{service}.json"', "{service} is not known here"),
        ('kind = "email", record = "r"', "github-deployments"),
    ],
)
def test_bad_ones(table: str, message: str, tmp_path: Path) -> None:
    assert any(message in each for each in mistakes(tmp_path, text(table))), mistakes(tmp_path, text(table))
