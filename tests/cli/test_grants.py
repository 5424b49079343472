from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pytest_prodcheck.cli import main
from tests.environments.support import write

TOML = """\
version = 1
[environments.production]
[environments.production.postgres.shop]
nodes = ["db:5432", "db-2:5432"]
user = "odd \\"role\\""
database = "shop"
migrations = { kind = "alembic", scripts = "x", table = "app.alembic_version" }
structure = {}
content = { tables = ["app.events"] }
expect = { standbys = 1 }
columns = { "app.cards.number" = {} }
backups = { kind = "basebackup", folder = "b", archive = "a", restore = { record = "r" } }
[environments.production.postgres.shop.relations]
events = { child = "app.events(order_id)", parent = "orders(id)" }
[environments.production.postgres.shop.invariants.one]
sql = "select 1"
at_most = 1
reads = ["orders"]
[environments.production.postgres.shop.invariants.two]
sql = "select 1"
at_most = 1
[environments.production.postgres.ledger]
nodes = ["db:5432"]
[environments.staging]
"""


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    monkeypatch.chdir(folder)
    write(folder, TOML)
    code = main(["grants", *words])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_sql_for_every_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(tmp_path, monkeypatch, capsys, "--env", "production")
    assert code == 0
    role = '"odd ""role"""'
    for line in (
        f"GRANT pg_monitor TO {role};  -- others' sessions, locks, replication; no rows",
        f"GRANT USAGE ON SCHEMA app TO {role};",
        f"GRANT SELECT ON app.alembic_version TO {role};  -- migrations",
        f"GRANT SELECT ON orders TO {role};  -- invariant one, relation events",
        f"GRANT SELECT ON app.events TO {role};  -- relation events, content; partitions each too",
        f"GRANT SELECT ON app.cards TO {role};  -- column app.cards.number",
        f"GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO {role};",
        "CREATE EXTENSION IF NOT EXISTS amcheck;",
        "-- invariants that do not say what they read (`reads`): two",
        "-- postgres ledger: on the primary, in the database postgres, as a superuser or its owner",
    ):
        assert line in text.splitlines(), line
    assert "INSERT" not in text
    assert "ALL TABLES" not in text


def test_it_runs_twice_and_through_psql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `prodcheck grants --env … | psql`: the second time changes nothing, and nothing is an error."""
    from pytest_prodcheck.demo.runtime.programs import postgres_programs
    from tests.evidence.postgres.servers import server

    psql = postgres_programs() / "psql"
    if not psql.exists():
        pytest.skip("no psql beside the demo's server; install: apt-get install postgresql")
    _, text = run(tmp_path, monkeypatch, capsys, "--env", "production", "--target", "shop")
    tables = """create schema app; create table app.alembic_version (a text); create table orders (id int primary key);
        create table app.events (order_id int references orders); create table app.cards (number text);
        alter table app.events disable trigger all"""
    with server(postgres_programs()) as postgres:
        postgres.run(*tables.split(";"))
        node = postgres.node
        words = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(node.data.parent), "-p", str(node.port),
                 "-U", "postgres", "-d", "shop", "-f", "-"]  # fmt: skip
        for _ in range(2):
            done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        role = 'odd "role"'
        assert node.ask("select has_table_privilege(%s, 'app.events', 'select')", role)
        assert node.ask("select has_table_privilege(%s, 'orders', 'select')", role)


def test_one_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(tmp_path, monkeypatch, capsys, "--env", "production", "--target", "ledger")
    assert code == 0
    assert "amcheck" not in text
    assert "postgres shop" not in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--env", "production", "--target", "shpo"), "there is no PostgreSQL cluster 'shpo'"),
        (("--env", "staging"), "no PostgreSQL cluster is declared"),
        (("--env", "nowhere"), "nowhere"),
        (("--env", "staging", "--deployer"), "no `deploy` with the driver kubernetes"),
    ],
)
def test_what_is_not_there(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    code, text = run(tmp_path, monkeypatch, capsys, *words)
    assert code == 2
    assert told in text


def test_the_metrics_api_is_granted_where_hosts_are_read_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'version = 1\n[environments.dev.kubernetes]\nnamespace = "shop"\nreach = ["nodes"]\n'
    hosts = '[environments.dev.hosts]\nn = { source = "kubernetes" }\n'
    placing = ["", "", "storage.k8s.io"]  # namespaces, persistentvolumes, storageclasses: where pods go
    for more, groups in (("", ["", "node.k8s.io"]), (hosts, ["", "metrics.k8s.io", "node.k8s.io"])):
        (tmp_path / "prodcheck.toml").write_text(text + more)
        assert main(["grants", "--env", "dev", "--kubernetes"]) == 0
        (role,) = (each for each in json.loads(capsys.readouterr().out)["items"] if each["kind"] == "ClusterRole")
        assert [each["apiGroups"] for each in role["rules"]] == [[group] for group in (*groups, *placing)]


def test_a_deployer_is_granted_what_its_way_changes_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prodcheck.toml").write_text(DEPLOYED)
    assert main(["grants", "--env", "dev", "--deployer"]) == 0
    account, role, binding = json.loads(capsys.readouterr().out)["items"]
    assert account["metadata"] == role["metadata"] == {"name": "prodcheck-deployer", "namespace": "shop"}
    assert binding["subjects"][0]["name"] == "prodcheck-deployer"
    rules = {rule["resources"][0]: rule for rule in role["rules"]}
    assert set(rules) == {"deployments", "pods", "services", "endpointslices", "configmaps", "leases"}
    assert rules["services"]["resourceNames"] == ["shop"]
    assert rules["deployments"]["resourceNames"] == ["shop-blue", "shop-green"]


DEPLOYED = """\
version = 1
[environments.dev.kubernetes]
namespace = "shop"
[environments.dev.slots]
blue  = { workload = "deployment/shop-blue", connect_to = "127.0.0.1:1" }
green = { workload = "deployment/shop-green", connect_to = "127.0.0.1:2" }
[environments.dev.deploy]
driver     = "kubernetes"
strategy   = "blue-green"
slots      = ["blue", "green"]
kubernetes = { image = "shop:{revision}", service = "shop" }
"""
