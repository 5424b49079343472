"""What is declared of a cluster's data: accepted, refused, and the targets that come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import ConfigurationError, load
from pytest_prodcheck.environments.sections.database import columns_of
from pytest_prodcheck.environments.targets import Target, settings_of, targets
from tests.environments.support import write

HEAD = """\
version = 1
[environments.dev]
[environments.dev.postgres.shop]
nodes = ["db:5432"]
owner = "team-data"
"""
RELATIONS = "[environments.dev.postgres.shop.relations]\n"
FRESHNESS = "[environments.dev.postgres.shop.freshness]\n"
INVARIANT = """\
[environments.dev.postgres.shop.invariants.{name}]
sql = "{sql}"
{more}
"""


def mistakes(folder: Path, text: str) -> str:
    write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load(folder / "prodcheck.toml")
    return str(caught.value)


def targets_by_name(folder: Path, text: str) -> dict[tuple[str, str], Target]:
    write(folder, text)
    configuration = load(folder / "prodcheck.toml")
    return {(each.kind, each.name): each for each in targets(configuration.environment("dev"), configuration)}


def test_nothing_is_declared(tmp_path: Path) -> None:
    there = targets_by_name(tmp_path, HEAD)
    assert there[("postgres", "shop")].features == frozenset()
    assert [kind for kind, _ in there] == ["postgres", "tls", "environment"]


def test_features(tmp_path: Path) -> None:
    text = HEAD + (
        'migrations = { kind = "alembic", scripts = "m" }\nstructure = {}\n'
        "[environments.dev.postgres.shop.freshness]\n"
        'orders = { table = "orders", column = "at", at_most = "1h" }\n'
    )
    assert targets_by_name(tmp_path, text)[("postgres", "shop")].features == {"migrations", "structure", "freshness"}
    assert (
        "migration-sql" in targets_by_name(tmp_path, text.replace("alembic", "flyway"))[("postgres", "shop")].features
    )
    text = text.replace('"m" }', '"m", sql = "s" }')
    assert "migration-sql" in targets_by_name(tmp_path, text)[("postgres", "shop")].features


def test_invariants_are_targets_with_their_own_severity_and_owner(tmp_path: Path) -> None:
    more = 'at_most = { warn = "60s", fail = "10m" }\nunit = "s"\nseverity = "high"'
    text = HEAD + INVARIANT.format(name="outbox", sql="select 1;", more=more)
    text += INVARIANT.format(name="paid", sql="select 1", more='at_most = 0\nowner = "team-money"')
    there = targets_by_name(tmp_path, text)
    assert (there[("invariant", "outbox")].severity, there[("invariant", "outbox")].owner) == ("high", "team-data")
    assert (there[("invariant", "paid")].severity, there[("invariant", "paid")].owner) == ("critical", "team-money")
    environment = load(tmp_path / "prodcheck.toml").environment("dev")
    settings = settings_of(environment, there[("invariant", "outbox")])
    assert settings["at_most"] == {"warn": "60s", "fail": "10m"}
    assert settings["sql"] == "select 1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (INVARIANT.format(name="one", sql="select 1", more=""), "it could never fail"),
        (INVARIANT.format(name="one", sql=" ; ", more="at_most = 0"), "one SQL statement"),
        (INVARIANT.format(name="one", sql="select PG_Terminate_Backend (1)", more="at_most = 0"), "may only read"),
        (INVARIANT.format(name="one", sql="select pg_advisory_lock(1)", more="at_most = 0"), "may only read"),
        (INVARIANT.format(name="one", sql="select 1", more='at_most = "ten parsecs"'), "parsecs"),
        (INVARIANT.format(name="one", sql="select 1", more="at_most = {}"), "expected a number, or"),
        (INVARIANT.format(name="orphans", sql="select 1", more="at_most = 0"), "is a bundled check"),
        (INVARIANT.format(name="Upper", sql="select 1", more="at_most = 0"), "lower-case"),
        (f'{RELATIONS}a = {{ child = "t", parent = "u(x)" }}', "a table with its columns"),
        (f'{RELATIONS}a = {{ child = "t(a, b)", parent = "u(x)" }}', "same number"),
        (f'{RELATIONS}a = {{ child = "t(a); drop table t", parent = "u(x)" }}', "columns"),
        (f'{FRESHNESS}a = {{ table = "t; x", column = "a", at_most = 1 }}', "a table such as"),
        (f'{FRESHNESS}a = {{ table = "t", column = "a\\"b", at_most = 1 }}', "column"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, told: str) -> None:
    assert told in mistakes(tmp_path, HEAD + text)


def test_a_standby_that_is_read_on_is_expected(tmp_path: Path) -> None:
    assert "set the number in expect.standbys" in mistakes(tmp_path, HEAD + 'read_on = "standby"\n')


def test_one_name_in_two_clusters(tmp_path: Path) -> None:
    one = INVARIANT.format(name="same", sql="select 1", more="at_most = 0")
    other = '[environments.dev.postgres.ledger]\nnodes = ["db:5433"]\n' + one.replace("shop", "ledger")
    assert "postgres shop has an invariant with the same name" in mistakes(tmp_path, HEAD + one + other)


def test_columns() -> None:
    assert columns_of('app."Odd Name"("Key 1", b)') == ('app."Odd Name"', ('"Key 1"', "b"))
