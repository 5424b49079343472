"""Flyway itself over small histories: what it says of them is what the comparison says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.database import Migrations
from pytest_prodcheck.evidence.migrations.model import Script, State
from pytest_prodcheck.evidence.migrations.states import KINDS, ORDER
from pytest_prodcheck.evidence.tools.program_errors import without_rows
from tests.evidence.migrations.java import Tool, faults, tool


class Flyway:
    """Flyway's library over folders of scripts."""

    def __init__(self, java: Tool) -> None:
        self._java = java

    def does(self, action: str, name: str, **values: str) -> str:
        """What it says: "migrated 2", "valid", "invalid V3__x.sql", "refused …". name: of the folder and schema."""
        return self._java.does(action, name, *(f"{key}={value}" for key, value in values.items()))

    def write(self, name: str, **scripts: str | None) -> None:
        self._java.write(name, **{f"{file}.sql": text for file, text in scripts.items()})

    def shipped(self, name: str, **settings: Any) -> tuple[dict[str, Script], Migrations]:
        return self._java.shipped("flyway", name, **settings)

    def state(self, name: str, more: Sequence[tuple[str, ...]] = (), **settings: Any) -> State:
        """more: rows that are put behind those of the table."""
        kind = KINDS["flyway"]
        with self._java.postgres.node.connect() as connection:
            sql = f"select {kind.columns} from {name}.flyway_schema_history{ORDER['flyway']}"
            rows = connection.execute(sql).fetchall()
        return kind.compare([*rows, *more], *self.shipped(name, **settings))


@pytest.fixture(scope="module")
def flyway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flyway]:
    with tool("flyway", 9, tmp_path_factory.mktemp("flyway")) as java:
        yield Flyway(java)


VIEW = "create or replace view home as\n  select * from t where region = '${region}';\n"


def test_a_placeholder_in_a_repeatable_script(flyway: Flyway) -> None:
    """flyway#2177: the checksum of a repeatable script is of its text after placeholders were replaced."""
    flyway.write("a", V1__t="create table t (id int, region text);", R__home=VIEW)
    assert flyway.does("migrate", "a", region="eu") == "migrated 2"
    assert flyway.does("validate", "a", region="eu") == "valid"
    assert faults(flyway.state("a", placeholders={"region": "eu"})) == {}
    assert faults(flyway.state("a", placeholders={"REGION": "eu"})) == {}
    assert flyway.does("validate", "a", region="us") == "invalid R__home.sql"
    assert faults(flyway.state("a", placeholders={"region": "us"})) == {"pending": ["home"]}
    (untold,) = faults(flyway.state("a"))["untold"]
    assert "${region}" in untold
    assert "migrations.placeholders" in untold


def test_a_repeatable_script_that_changed(flyway: Flyway) -> None:
    flyway.write("b", R__one="select 1;", R__file="select '${flyway:filename}';")
    assert flyway.does("migrate", "b") == "migrated 2"
    assert faults(flyway.state("b")) == {}
    flyway.write("b", R__one="select 2;")
    assert flyway.does("validate", "b") == "invalid R__one.sql"
    assert faults(flyway.state("b")) == {"pending": ["one"]}
    assert flyway.does("migrate", "b") == "migrated 1"
    assert faults(flyway.state("b")) == {}


def test_versions(flyway: Flyway) -> None:
    flyway.write("c", V1__one="select 1;", V1_10__ten="select 1;", V1_9__nine="select 1;", U1_10__ten="select 1;")
    assert flyway.does("migrate", "c") == "migrated 3"
    assert faults(flyway.state("c")) == {}
    flyway.write("c", V2__two="select 1;")
    assert flyway.does("validate", "c") == "invalid V2__two.sql"
    assert faults(flyway.state("c")) == {"pending": ["2"]}
    assert flyway.does("migrate", "c") == "migrated 1"
    flyway.write("c", V1_5__late="select 1;")
    assert flyway.does("validate", "c") == "invalid"
    assert faults(flyway.state("c")) == {"skipped": ["1.5"]}
    flyway.write("c", V1_5__late=None, V1__one="select 1; -- changed")
    assert flyway.does("validate", "c") == "invalid"
    assert faults(flyway.state("c")) == {"changed": ["1"]}
    assert flyway.does("repair", "c") == "repaired"
    assert flyway.does("validate", "c") == "valid"
    assert faults(flyway.state("c")) == {}


def test_a_database_with_a_baseline(flyway: Flyway) -> None:
    flyway.write("d", V1__one="select 1;", V2__two="select 1;", V3__three="select 1;")
    assert flyway.does("baseline", "d") == "baselined"
    assert faults(flyway.state("d")) == {"pending": ["3"]}
    assert flyway.does("migrate", "d") == "migrated 1"
    assert flyway.does("validate", "d") == "valid"
    assert faults(flyway.state("d")) == {}


def test_a_script_that_failed_or_is_gone(flyway: Flyway) -> None:
    flyway.write("e", V1__one="create table e1 (id int);", V2__two="vacuum; select 1/0;", R__view="select 1;")
    assert flyway.does("migrate", "e").startswith("refused")
    state = flyway.state("e")
    assert state.pending == ["2", "view"]
    flyway.write("e", V2__two="select 1;")
    flyway.does("repair", "e")
    assert flyway.does("migrate", "e") == "migrated 2"
    assert faults(flyway.state("e")) == {}
    flyway.write("e", V2__two=None)
    assert faults(flyway.state("e")) == {"unknown": ["2"]}
    flyway.write("e", V2__two="select 1;", R__view=None)
    said = flyway.does("validate", "e")
    assert (said, faults(flyway.state("e"))) == ("invalid", {"unknown": ["view"]})
    flyway.does("repair", "e")
    assert (flyway.does("validate", "e"), faults(flyway.state("e"))) == ("valid", {})


def test_scripts_that_stand_for_all_before(flyway: Flyway) -> None:
    """B scripts: an empty database begins with the newest one; where versions are applied they do nothing."""
    flyway.write("p", V1__one="select 1;", V2__two="select 1;", B2__base="select 3;", V3__x="select 1;")
    empty = KINDS["flyway"].compare([], *flyway.shipped("p"))
    assert empty.pending == ["3", "baseline 2"]
    assert flyway.does("migrate", "p") == "migrated 2"
    assert (flyway.does("validate", "p"), faults(flyway.state("p"))) == ("valid", {})
    flyway.write("p", B2__base="select 4;")
    assert (flyway.does("validate", "p"), faults(flyway.state("p"))) == ("valid", {})
    flyway.write("p", B2__base=None)
    assert (flyway.does("validate", "p"), faults(flyway.state("p"))) == ("invalid", {"unknown": ["2"]})
    flyway.write("q", V1__one="select 1;", V2__two="select 1;", B2__base="select 3;")
    flyway.write("q", B2__base=None)
    assert flyway.does("migrate", "q") == "migrated 2"
    flyway.write("q", B2__base="select 3;")
    assert (flyway.does("validate", "q"), faults(flyway.state("q"))) == ("valid", {})
    flyway.write("q", V1__one=None, V2__two=None)
    assert (flyway.does("validate", "q"), faults(flyway.state("q"))) == ("invalid", {"unknown": ["1", "2"]})


def test_other_names_and_placeholders(flyway: Flyway) -> None:
    ours = {"versioned": "mig-", "repeatable": "rep", "separator": "--", "suffixes": [".ddl", ".sql"],
            "placeholder_prefix": "#[", "placeholder_suffix": "]"}  # fmt: skip
    theirs = {
        "flyway.sqlMigrationPrefix": "mig-", "flyway.repeatableSqlMigrationPrefix": "rep",
        "flyway.sqlMigrationSeparator": "--", "flyway.sqlMigrationSuffixes": ".ddl,.sql",
        "flyway.placeholderPrefix": "#[", "flyway.placeholderSuffix": "]",
    }  # fmt: skip
    flyway.write("r", **{"mig-1--one": "select 1;", "rep--two": "select '#[x]', '${x}';", "V9__other": "select 1/0;"})
    assert flyway.does("migrate", "r", x="1", **theirs) == "migrated 2"
    assert flyway.does("validate", "r", x="1", **theirs) == "valid"
    assert faults(flyway.state("r", flyway=ours, placeholders={"x": "1"})) == {}
    assert flyway.does("validate", "r", x="2", **theirs) == "invalid rep--two.sql"
    assert faults(flyway.state("r", flyway=ours, placeholders={"x": "2"})) == {"pending": ["two"]}
    (untold,) = faults(flyway.state("r", flyway=ours))["untold"]
    assert "holds #[x]" in untold


def test_placeholders_that_are_left_alone(flyway: Flyway) -> None:
    flyway.write("s", R__a="select '${x}';", V1="select 1;", R__="select 2;")
    assert flyway.does("migrate", "s", **{"flyway.placeholderReplacement": "false"}) == "migrated 3"
    assert faults(flyway.state("s", flyway={"placeholder_replacement": False})) == {}


def test_out_of_order(flyway: Flyway) -> None:
    flyway.write("t", V1__a="select 1;", V3__c="select 1;")
    assert flyway.does("migrate", "t") == "migrated 2"
    flyway.write("t", V2__b="select 1;")
    assert faults(flyway.state("t")) == {"skipped": ["2"]}
    assert flyway.does("validate", "t", **{"flyway.outOfOrder": "true"}) == "invalid V2__b.sql"
    assert faults(flyway.state("t", flyway={"out_of_order": True})) == {"pending": ["2"]}
    assert flyway.does("migrate", "t", **{"flyway.outOfOrder": "true"}) == "migrated 1"
    assert (flyway.does("validate", "t"), faults(flyway.state("t"))) == ("valid", {})


def test_scripts_that_may_be_deleted(flyway: Flyway) -> None:
    """flyway#1447, #1352, #3592: `*:missing` lets old scripts go; one newer than all that is shipped is told."""
    flyway.write("w", V1__a="select 1;", V2__b="select 1;", V3__c="select 1;", R__d="select 1;")
    assert flyway.does("migrate", "w") == "migrated 4"
    flyway.write("w", V1__a=None, R__d=None)
    missing = {"flyway.ignoreMigrationPatterns": "*:missing"}
    assert (flyway.does("validate", "w"), faults(flyway.state("w"))) == ("invalid", {"unknown": ["1", "d"]})
    assert flyway.does("validate", "w", **missing) == "valid"
    assert faults(flyway.state("w", flyway={"ignore_missing": True})) == {}
    flyway.write("w", V1__a="select 1;", V3__c=None)
    assert flyway.does("validate", "w", **missing) == "invalid"
    assert faults(flyway.state("w", flyway={"ignore_missing": True})) == {"unknown": ["3"]}


def test_rows_in_what_it_complains_of(flyway: Flyway) -> None:
    """The server's message, DETAIL and CONTEXT, the statement, and values of placeholders in it."""
    row = "Zoë Muster, Diagnose F32"
    flyway.write("x", V1__p=f"create table p (name text unique); insert into p values ('{row}');")
    assert flyway.does("migrate", "x") == "migrated 1"
    raised = "do $$ begin raise exception '%', (select name from p); end $$;"
    cast = "alter table p alter name type int using name::int;"
    for sql in (raised, cast, f"insert into p values ('{row}');", "insert into p values ('${who}');", "select ${who};"):
        flyway.write("x", V2__x=sql)
        told = flyway.does("migrate", "x", who=row)
        assert "Muster" in told
        kept = "\n".join(without_rows(told.replace("\t", "\n")))
        assert "V2__x.sql failed" in kept
        assert "Muster" not in kept
    flyway.write("x", V2__x=None, R__x="select '${who}';")
    assert "Muster" not in str(faults(flyway.state("x", placeholders={"who": row})))


@pytest.mark.parametrize(("undone", "expected"), [("t", {"pending": ["2"]}), ("f", {"failed": ["2"]})])
def test_undo(flyway: Flyway, undone: str, expected: dict[str, list[str]]) -> None:
    """What Flyway Teams notes of an undo ("UNDO_SQL"): it is to be applied again; one that failed is told.

    The free edition takes no undo ("not available in this edition"), so the row is as its documentation has it.
    """
    flyway.write("v", V1__one="select 1;", V2__two="select 1;", U2__two="select 2;")
    assert flyway.does("migrate", "v") in ("migrated 2", "migrated 0")
    assert faults(flyway.state("v")) == {}
    assert flyway.does("undo", "v").startswith("refused")
    row = ("2", "two", "UNDO_SQL", "1", undone)
    assert faults(flyway.state("v", more=[row])) == expected
