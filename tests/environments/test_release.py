"""Approvals in prodcheck.toml: what has to be said, and the target that it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.targets import key_path, settings_of, targets
from tests.environments.support import BASE, load_text, mistakes, write

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
    configuration = load_text(tmp_path, text(table))
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
        ('kind = "github-deployments", repository = "shop/all"', "an approval for one unit would count"),
        ('kind = "file", record = "r", url = "https://a.test"', "`url` is not allowed with"),
        ('kind = "file", record = "r", freeze = "absent.toml"', "there is no file 'absent.toml'"),
        ('kind = "file", record = "{service}.json"', "{service} is not known here"),
        ('kind = "email", record = "r"', "github-deployments"),
    ],
)
def test_bad_ones(table: str, message: str, tmp_path: Path) -> None:
    assert any(message in each for each in mistakes(tmp_path, text(table))), mistakes(tmp_path, text(table))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('dns = "a.test", http = "https://a.test"', "expected exactly one of"),
        ('tcp = "a.test:1", ca = "ca.pem"', "`status` and `ca` are allowed with `http` only"),
        ('http = "https://a.test", expect = ["1.2.3.4"]', "is allowed with `dns`"),
        ('http = "https://a.test", ca = "ca.pem"', "there is no file 'ca.pem'"),
        ('postgres = "shop"', "there is no target of `postgres` `shop`"),
        ('redis = "shop"', "there is no target of `redis` `shop`"),
    ],
)
def test_bad_dependencies(table: str, message: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, f"{BASE}[environments.dev.dependencies]\nit = {{ {table} }}\n")
    assert any(message in each for each in found), found


def test_a_store_as_a_dependency_is_reached_from_where_the_store_is(tmp_path: Path) -> None:
    store = '[environments.dev.postgres.db]\nnodes = ["db.test:5432"]\nvantage = "cluster"\n'
    needed = '[environments.dev.dependencies]\nit = { postgres = "db" }\nweb = { http = "https://a.test" }\n'
    configuration = load_text(tmp_path, BASE + store + needed)
    environment = configuration.environment("dev")
    found = {each.name: each.skip for each in targets(environment, configuration) if each.kind == "dependency"}
    assert found == {"it": "out-of-reach", "web": ""}
    assert not [each for each in targets(environment, configuration) if each.kind in ("dns", "tcp")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('keys = { A = {} }', "expected exactly one of `file` and `configmap`"),
        ('file = "a.env"', "keys"),
        ('file = "a.env", keys = {}', "keys"),
        ('file = "a.conf", keys = { A = {} }', "cannot be derived from the file name"),
        ('file = "a.env", entry = "b", keys = { A = {} }', "is allowed with `configmap`"),
        ('configmap = "a", keys = { A = {} }', "needs the section `kubernetes`"),
        ('file = "a.env", unit = "c", keys = { A = {} }', "there is no unit `c`"),
        ('file = "a.env", keys = { A = { matches = "(" } }', "regular expression"),
        ('file = "a.env", keys = { A = { type = "float" } }', "duration"),
    ],
)  # fmt: skip
def test_bad_settings(table: str, message: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, f"{BASE}{UNITS}[environments.dev.settings]\nit = {{ {table} }}\n")
    assert any(message in each for each in found), found


def test_settings_are_of_a_unit_and_config_maps_are_reached_from_where_the_cluster_is(tmp_path: Path) -> None:
    cluster = '[environments.dev.kubernetes]\nnamespace = "shop"\nvantage = "cluster"\n'
    table = (
        '[environments.dev.settings]\na = { file = "{unit}.env", unit = "a", keys = { A = {} } }\n'
        'b = { configmap = "b", unit = "b", keys = { A = {} } }\n'
        'all = { file = "x", format = "env", keys = { A = {} } }\n'
    )
    configuration = load_text(tmp_path, BASE + UNITS + cluster + table)
    for unit, expected in (("a", {"a": "", "all": ""}), ("b", {"b": "out-of-reach", "all": ""})):
        environment = configuration.environment("dev", unit=unit)
        found = targets(environment, configuration, unit=unit)
        assert {each.name: each.skip for each in found if each.kind == "settings"} == expected


def test_the_way_back_is_a_target_with_a_document_or_a_deployment_in_reach(tmp_path: Path) -> None:
    cluster = '[environments.dev.kubernetes]\nnamespace = "shop"\n'
    document = '[environments.dev.rollback]\ndocument = "{unit}.md"\n'
    runs = 'workload = "deployment/shop"\n'
    for more, there in (("", False), (document, True), (runs + cluster, True), (cluster, False)):
        configuration = load_text(tmp_path, BASE + more)
        found = targets(configuration.environment("dev"), configuration)
        assert [each.name for each in found if each.kind == "rollback"] == ["dev"] * there
