"""Liquibase itself over small changelogs: what its status and validate say is what the comparison says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.migrations.liquibase import matches
from pytest_prodcheck.evidence.migrations.model import State
from pytest_prodcheck.evidence.migrations.states import KINDS, ORDER
from pytest_prodcheck.evidence.tools.program_errors import without_rows
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.database import Migrations
from tests.evidence.contexts import gather
from tests.evidence.migrations.java import Tool, faults, tool

NAMESPACE = "http://www.liquibase.org/xml/ns/dbchangelog"
HEAD = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<databaseChangeLog xmlns="{NAMESPACE}" xsi:schemaLocation="{NAMESPACE} '
    f'{NAMESPACE}/dbchangelog-latest.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
)


def xml(*parts: str) -> str:
    return HEAD + "\n".join(parts) + "\n</databaseChangeLog>\n"


def change_set(identity: str | int, sql: str = "select 1", more: str = "", before: str = "") -> str:
    return f'<changeSet id="{identity}" author="ann" {more}>{before}<sql>{sql}</sql></changeSet>'


class Liquibase:
    """Liquibase's library over folders with a changelog m.xml."""

    def __init__(self, java: Tool) -> None:
        self._java = java
        self.root = java.root

    def does(self, action: str, name: str, **values: str) -> str:
        """What it says: "updated", "pending m.xml::1::ann …", "valid", "refused …"."""
        return self._java.does(action, name, "m.xml", *(f"{key}={value}" for key, value in values.items()))

    def pending(self, name: str, **values: str) -> list[str]:
        """What its status names."""
        return self.does("status", name, **values).removeprefix("pending").split()

    def write(self, name: str, **files: str | None) -> None:
        self._java.write(name, **files)

    def run(self, sql: str) -> None:
        self._java.postgres.run(sql)

    def state(self, name: str, placeholders: dict[str, str] | None = None, **settings: Any) -> State:
        kind = KINDS["liquibase"]
        with self._java.postgres.node.connect() as connection:
            sql = f"select {kind.columns} from {name}.databasechangelog{ORDER['liquibase']}"
            rows = connection.execute(sql).fetchall()
        declared = {"changelog": "m.xml", **settings}
        return kind.compare(
            rows, *self._java.shipped("liquibase", name, liquibase=declared, placeholders=placeholders or {})
        )

    @contextlib.contextmanager
    def evidence(self, **settings: Any) -> Iterator[Callable[[], Migrations]]:
        """The collector itself, as the role that `prodcheck grants` makes."""
        given = self._java.postgres.context(self.root, **settings)
        self._java.postgres.grant(given)

        def read() -> Migrations:
            fresh = self._java.postgres.context(self.root, **settings)
            found: Migrations = gather("postgres-migrations", "shop", fresh)
            return found

        yield read


@pytest.fixture(scope="module")
def liquibase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Liquibase]:
    with tool("liquibase", 4, tmp_path_factory.mktemp("liquibase")) as java:
        yield Liquibase(java)


FORMATTED = """--liquibase formatted sql

--changeset bob:1 labels:a,b
--comment: kept
create table b1 (id int);
--rollback drop table b1;

--changeset bob:"two words" splitStatements:false endDelimiter:;;
-- a comment within
insert into b1
   values (1);

/* block */
select '${unknown}', '${word}';
--ignoreLines:start
select broken;
--ignoreLines:end
/* liquibase rollback
delete from b1;
*/
"""
YAML = """databaseChangeLog:
  - property: {name: word, value: later}
  - changeSet:
      id: 1
      author: cy
      changes:
        - sql: {sql: "select 1"}
        - sql: {sql: "select   'Zoë' ", splitStatements: false}
  - changeSet:
      id: "2"
      author: cy
      changes: [{sqlFile: {path: texts/four.sql}}]
"""
JSON = """{"databaseChangeLog": [{"changeSet": {"id": "j1", "author": "dee", "runOnChange": true,
  "changes": [{"sql": {"sql": "select 3"}}]}}]}"""


def test_every_format_and_what_is_included(liquibase: Liquibase) -> None:
    parts = [
        '<property name="word" value="shop"/>',
        change_set(1, "create table ${word} (id int); -- a   comment"),
        '<changeSet id="2" author="ann"><sql>select 1</sql><sql><comment>why</comment>select 2</sql>'
        "<rollback>select 9</rollback></changeSet>",
        '<changeSet id="3" author="ann"><sqlFile path="texts/four.sql" relativeToChangelogFile="true"/></changeSet>',
        change_set(4, "select 4", 'logicalFilePath="classpath:old/place.xml"'),
        '<include file="five.sql"/>',
        '<include file="gone.xml" errorIfMissing="false"/>',
        '<includeAll path="more" relativeToChangelogFile="true"/>',
        change_set(5, "<![CDATA[select 1 < 2]]>"),
    ]
    liquibase.write(
        "a",
        **{
            "m.xml": xml(*parts),
            "five.sql": FORMATTED,
            "texts/four.sql": "select '${word}  ä';\r\n",
            "more/raw.sql": "select 77;\n",
            "more/sub/z.sql": "--liquibase formatted sql\n--changeset z:z\nselect 1;\n",
            "more/b.yaml": YAML,
            "more/c.json": JSON,
            "more/notes.txt": "no changelog",
        },
    )
    assert liquibase.does("validate", "a") == "valid"
    assert liquibase.does("update", "a") == "updated"
    assert liquibase.pending("a") == []
    state = liquibase.state("a", label_filter="")
    assert faults(state) == {}
    assert len(state.applied) == 12
    liquibase.write("a", **{"five.sql": FORMATTED.replace("values (1)", "values (2)")})
    assert "1 changesets check sum" in liquibase.does("validate", "a")
    assert faults(liquibase.state("a")) == {"changed": ["five.sql::two words::bob"]}
    liquibase.write(
        "a", **{"five.sql": FORMATTED.replace("   values (1)", "values\t(1)"), "more/c.json": JSON.replace("3", "4")}
    )
    assert liquibase.does("validate", "a") == "valid"
    assert faults(liquibase.state("a")) == {"pending": ["more/c.json::j1::dee"]}
    assert liquibase.pending("a") == ["more/c.json::j1::dee"]


def test_contexts_labels_and_databases(liquibase: Liquibase) -> None:
    """What one release leaves out is not pending for it, and is for another one."""
    liquibase.write(
        "b",
        **{
            "m.xml": xml(
                change_set(1),
                change_set(2, more='context="test"'),
                change_set(3, more='contextFilter="prod and !eu"'),
                change_set(4, more='labels="a, b"'),
                change_set(5, more='dbms="h2"'),
                change_set(6, more='dbms="!h2, postgresql"'),
                change_set(7, more='ignore="true"'),
                '<include file="inner.xml" context="prod"/>',
                '<include file="left.xml" labels="b"/>',
                change_set(8, more='context="@eu"'),
            ),
            "inner.xml": xml(change_set(1), change_set(2, more='context="eu"')),
            "left.xml": xml(change_set(1), change_set(2, more='labels="a"')),
        },
    )
    everything = {"contexts": "none-of-them", "labels": "none-of-them"}
    assert liquibase.does("update", "b", **everything) == "updated"
    calls = [
        ([], ""), (["prod"], "a"), (["test"], "!a"), (["prod", "eu"], "a and b"), (["EU"], "a or x"), ([], "not (b)"),
        (["prod"], ""),
    ]  # fmt: skip
    for contexts, labels in calls:
        said = liquibase.pending("b", contexts=",".join(contexts), labels=labels)
        state = liquibase.state("b", contexts=contexts, label_filter=labels)
        assert sorted(state.pending) == sorted(said), (contexts, labels)
    untold = liquibase.state("b").untold
    assert any("migrations.liquibase.contexts" in each for each in untold)
    assert any("migrations.liquibase.label_filter" in each for each in untold)


@pytest.mark.parametrize(
    ("expression", "held", "expected"),
    [
        ("a", [], True),
        ("", ["x"], True),
        ("!a", ["b"], True),
        ("not a", ["A"], False),
        ("a and b or c", ["c"], True),
        ("a and (b or c)", ["a", "c"], True),
        ("!(a or b)", ["c"], True),
        ("a, b", ["b"], True),
        ("android", ["and"], False),
        ("@a", ["a"], True),
        ("(a", ["a"], True),
    ],
)
def test_expressions(expression: str, held: list[str], expected: bool) -> None:
    assert matches(expression, held) is expected


def test_what_runs_again(liquibase: Liquibase) -> None:
    """`runAlways`: named by `status` each time; it has run, so nothing is left to do here."""
    always, change = change_set(1, "select 5", 'runAlways="true"'), change_set(2, "select 6", 'runOnChange="true"')
    liquibase.write("c", **{"m.xml": xml(always, change)})
    assert liquibase.does("update", "c") == "updated"
    assert liquibase.pending("c") == ["m.xml::1::ann"]
    assert faults(liquibase.state("c")) == {}
    liquibase.write("c", **{"m.xml": xml(always.replace("5", "7"), change.replace("6", "8"))})
    assert liquibase.does("validate", "c") == "valid"
    assert faults(liquibase.state("c")) == {"pending": ["m.xml::2::ann"]}
    assert liquibase.does("update", "c") == "updated"
    assert faults(liquibase.state("c")) == {}


def test_preconditions_and_errors_that_are_passed_over(liquibase: Liquibase) -> None:
    no = '<preConditions onFail="{}"><sqlCheck expectedResult="1">select 2</sqlCheck></preConditions>'
    liquibase.write(
        "d",
        **{
            "m.xml": xml(
                change_set(1, before=no.format("MARK_RAN")),
                change_set(2, before=no.format("CONTINUE")),
                change_set(3, "select 1/0", 'failOnError="false"'),
            )
        },
    )
    assert liquibase.does("update", "d") == "updated"
    assert liquibase.pending("d") == ["m.xml::2::ann", "m.xml::3::ann"]
    found = faults(liquibase.state("d"))
    assert found["pending"] == ["m.xml::3::ann"]
    assert "m.xml::2::ann is skipped" in found["untold"][0]
    liquibase.write("d", **{"m.xml": xml(change_set(1, "select 2", before=no.format("MARK_RAN")))})
    assert "m.xml::1::ann was" in liquibase.does("validate", "d")
    assert faults(liquibase.state("d")) == {"changed": ["m.xml::1::ann"]}


def test_rollback_to_a_tag(liquibase: Liquibase) -> None:
    parts = [
        change_set(1),
        '<changeSet id="2" author="ann"><tagDatabase tag="v1"/></changeSet>',
        change_set(3, before=""),
    ]
    parts[2] = parts[2].replace("</changeSet>", "<rollback/></changeSet>")
    liquibase.write("e", **{"m.xml": xml(*parts)})
    assert liquibase.does("update", "e") == "updated"
    assert "unverified" in faults(liquibase.state("e"))  # tagDatabase is more than text
    assert liquibase.does("rollback", "e", tag="v1") == "rolled back"
    assert liquibase.state("e").pending == liquibase.pending("e") == ["m.xml::2::ann", "m.xml::3::ann"]


def test_changes_whose_checksums_liquibase_writes(liquibase: Liquibase) -> None:
    column = '<createTable tableName="t"><column name="id" type="int"/></createTable>'
    table = f'<changeSet id="1" author="ann">{column}</changeSet>'
    liquibase.write("f", **{"m.xml": xml(table, change_set(2))})
    assert liquibase.does("update", "f") == "updated"
    (unverified,) = faults(liquibase.state("f"))["unverified"]
    assert "migrations.liquibase.checksums" in unverified
    assert liquibase.does("offline", "f", csv=str(liquibase.root / "shipped.csv")) == "written"
    assert faults(liquibase.state("f", checksums="shipped.csv")) == {}
    liquibase.write("f", **{"m.xml": xml(table.replace('"int"', '"bigint"'), change_set(2))})
    assert "m.xml::1::ann was" in liquibase.does("validate", "f")
    (liquibase.root / "shipped.csv").unlink()
    assert liquibase.does("offline", "f", csv=str(liquibase.root / "shipped.csv")) == "written"
    assert faults(liquibase.state("f", checksums="shipped.csv")) == {"changed": ["m.xml::1::ann"]}
    liquibase.write("f", **{"m.xml": xml(table, change_set(2, "select 2"))})
    with pytest.raises(EvidenceProblem, match="from another revision"):
        liquibase.state("f", checksums="shipped.csv")
    accepted = table.replace("<createTable", "<validCheckSum>ANY</validCheckSum><createTable").replace(
        '"int"', '"text"'
    )
    liquibase.write("f", **{"m.xml": xml(accepted, change_set(2))})
    assert liquibase.does("validate", "f") == "valid"
    assert faults(liquibase.state("f")) == {}
    liquibase.write("f", **{"m.xml": xml(table, change_set(2))})
    liquibase.run("update f.databasechangelog set md5sum = '8:' || substr(md5sum, 3)")
    assert "unverified" in faults(liquibase.state("f"))
    liquibase.run("update f.databasechangelog set md5sum = null")  # clear-checksums: the next update fills them in
    assert (liquibase.does("validate", "f"), faults(liquibase.state("f"))) == ("valid", {})


def test_newer_revisions_old_changelogs_and_others(liquibase: Liquibase) -> None:
    liquibase.write("g", **{"m.xml": xml(change_set(1), change_set(2), change_set(3))})
    assert liquibase.does("update", "g") == "updated"
    liquibase.write("g", **{"m.xml": xml(change_set(2), change_set(3))})  # an old one was cut off
    assert liquibase.does("unexpected", "g").startswith("unexpected m.xml::1::ann")
    assert (liquibase.pending("g"), faults(liquibase.state("g"))) == ([], {})
    liquibase.write("g", **{"m.xml": xml(change_set(1), change_set(2))})  # an older revision is deployed
    assert liquibase.does("unexpected", "g").startswith("unexpected m.xml::3::ann")
    assert faults(liquibase.state("g")) == {"unknown": ["m.xml::3::ann"]}
    liquibase.write("g", **{"m.xml": xml(change_set(1), change_set(2), change_set(3))})
    liquibase.run(
        "insert into g.databasechangelog select 'x', author, 'billing/' || filename, dateexecuted, 9, exectype, md5sum "
        "from g.databasechangelog where id = '1'"
    )
    assert faults(liquibase.state("g")) == {"unknown": ["billing/m.xml::x::ann"]}
    assert faults(liquibase.state("g", others=["billing/*"])) == {}


def test_rows_in_what_it_complains_of(liquibase: Liquibase) -> None:
    """The statement, and the driver's DETAIL, with what the rows hold."""
    row = "Zoë Muster, Diagnose F32"
    made = f"create table i.p (name text unique); insert into i.p values ('{row}')"
    liquibase.write("i", **{"m.xml": xml(change_set(1, made))})
    assert liquibase.does("update", "i") == "updated"
    for sql in (f"insert into i.p values ('{row}')", "alter table i.p alter name type int using name::int"):
        liquibase.write("i", **{"m.xml": xml(change_set(2, sql))})
        told = liquibase.does("update", "i")
        assert "Muster" in told
        assert "Muster" not in "\n".join(without_rows(told))


def test_a_lock_that_is_left_behind(liquibase: Liquibase) -> None:
    """A run that was killed leaves it: the next one says "Waiting for changelog lock"; read with what grants give."""
    liquibase.write("h", **{"m.xml": xml(change_set(1))})
    assert liquibase.does("update", "h") == "updated"
    declared = {
        "kind": "liquibase",
        "scripts": "h",
        "table": "h.databasechangelog",
        "liquibase": {"changelog": "m.xml"},
    }
    with liquibase.evidence(migrations=declared) as read:
        assert read().failed == ()
        liquibase.run(
            "update h.databasechangeloglock set locked = true, lockgranted = '2026-11-30 02:00', lockedby = 'ci'"
        )
        (held,) = read().failed
        assert held.startswith("the lock in h.databasechangeloglock has been held since 2026-11-30 02:00:00")


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("m.xml", "<databaseChangeLog", "not a Liquibase changelog"),
        ("m.xml", "<html/>", "root is not databaseChangeLog"),
        ("m.xml", '<!DOCTYPE x [<!ENTITY y "z">]><databaseChangeLog/>', "document types"),
        ("m.yaml", "databaseChangeLog: 1", "no list"),
        ("m.json", "[]", "no list"),
        ("m.yaml", "a: [", "not a Liquibase changelog"),
        ("m.yaml", "databaseChangeLog: [changeSet: {id: 2024-01-02, author: a}]", "quote it"),
        ("m.xml", xml('<includeAll path="x" filter="com.shop.Filter"/>'), "filter programs"),
        ("m.xml", xml('<include file="m.xml"/>'), "deep"),
        ("m.xml", xml('<include file="n.xml"/>'), "no such changelog"),
        ("m.xml", xml('<property name="x" value="1" context="prod"/>'), "migrations.placeholders"),
        ("m.xml", xml(change_set(1), change_set(1)), "m.xml::1::ann is m.xml too"),
        ("m.xml", xml(), "contains no liquibase migration"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, file: str, text: str, says: str) -> None:
    java = Tool(None, None, tmp_path)  # type: ignore[arg-type]  # no tool runs
    java.write("a", **{file: text})
    with pytest.raises(EvidenceProblem, match=says):
        java.shipped("liquibase", "a", liquibase={"changelog": file})
