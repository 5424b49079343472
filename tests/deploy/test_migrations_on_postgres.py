"""Migrations around deployments on a real PostgreSQL: what was added both revisions live with, what is gone is gone.

Copies and traffic are a model; gates ask the database what each revision asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_prodcheck.deploy import deployment
from pytest_prodcheck.deploy.gate_client import GateAnswer, GateClient
from pytest_prodcheck.deploy.migrations import MigratingDriver
from pytest_prodcheck.deploy.plan import Plan, PlanProblem
from pytest_prodcheck.deploy.programs import ProgramRunner
from pytest_prodcheck.evidence.migrations import squawk
from pytest_prodcheck.records import EvidenceProblem, Problem
from tests.deploy.model import NEW, OLD, Killed, ModelDriver, Quiet, Reality, reality
from tests.deploy.model_project import TOML
from tests.evidence.postgres.servers import Server, installed, server

MIGRATIONS = """
[environments.production.deploy.migrations]
pending = ["./migrate.sh", "pending"]
run     = ["./migrate.sh", "run", "{phase}"]
sql     = "migrations/{name}.sql"
"""
PROGRAM = """\
#!/bin/sh
# a file for each migration, whose phase is the second word of its name; a table notes what is applied
set -e
db() { "%s" -X -q -A -t -v ON_ERROR_STOP=1 -h "%s" -p %s -U postgres shop "$@"; }
todo() {
  db -c "select name from applied" > applied.txt
  for file in migrations/*.sql; do
    name=$(basename "$file" .sql)
    grep -qx "$name" applied.txt || echo "$(echo "$name" | cut -d_ -f2) $name"
  done
}
case $1 in
  pending) todo ;;
  run) todo | while read -r phase name; do
    [ "$phase" != "$2" ] || { cat "migrations/$name.sql"; echo "insert into applied values ('$name');"; } | db -1
  done ;;
esac
"""
ADDS, TAKES = "7_expand_note", "9_contract_old"
SQL = {
    ADDS: "alter table orders add column note text;\nalter table orders alter column old drop not null;\n",
    TAKES: "alter table orders drop column old;\n",
}
ASKS = {OLD: "insert into orders (old) values (1)", NEW: "insert into orders (note) values ('x')"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    there = [folder for folder in installed().values() if (folder / "psql").exists()]
    if not there:
        pytest.skip("no PostgreSQL with psql; install: apt-get install postgresql")
    with server(there[0]) as given:
        yield given


class DatabaseGates:
    """Open where the database does what the revision asks of it."""

    def __init__(self, postgres: Server, real: Reality) -> None:
        self.postgres, self.real, self.broken = postgres, real, ""

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        import psycopg

        live = {self.real.revisions[each] for each, percent in self.real.shares if (each == slot if slot else percent)}
        if gate == "pre_deploy":
            return GateAnswer(0)
        if revision == self.broken or live != {revision}:
            return GateAnswer(1, f"{live}")
        try:
            with self.postgres.node.connect() as connection:
                connection.execute(ASKS[revision])
        except psycopg.Error as error:
            return GateAnswer(1, str(error))
        return GateAnswer(0)


class There:
    """A project whose database is real."""

    def __init__(self, postgres: Server, folder: Path) -> None:
        self.postgres, self.folder, self.real = postgres, folder, reality("blue-green")
        self.gates, self.reporter = DatabaseGates(postgres, self.real), Quiet()
        (folder / "prodcheck.toml").write_text(TOML + MIGRATIONS)
        (folder / "migrations").mkdir()
        for name, text in SQL.items():
            (folder / "migrations" / f"{name}.sql").write_text(text)
        program = folder / "migrate.sh"
        program.write_text(PROGRAM % (postgres.programs / "psql", postgres.place / "pg", postgres.node.port))
        program.chmod(0o755)
        postgres.run(
            "drop table if exists orders, applied", "create table applied (name text primary key)",
            "create table orders (id serial primary key, old integer not null)",
        )  # fmt: skip

    def made(self, revision: str = "") -> deployment.Deployment:
        there = self

        class OnPostgres(deployment.Deployment):
            def _gates(self, plan: Plan, runner: ProgramRunner) -> GateClient:
                return there.gates

        return OnPostgres(deployment.DeployOptions("production", revision=revision or None), self.folder, self.reporter)

    def deploy(self, revision: str) -> int:
        return self.made(revision).deploy("a test", None, "")

    def columns(self) -> set[str]:
        with self.postgres.node.connect() as connection:
            rows = connection.execute(
                "select attname from pg_attribute where attrelid = 'orders'::regclass and attnum > 0"
                " and not attisdropped"
            )
            return {str(name) for (name,) in rows} - {"id"}

    @property
    def lines(self) -> str:
        return "\n".join(self.reporter.lines)


@pytest.fixture
def there(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    made = There(postgres, tmp_path)
    monkeypatch.setattr(deployment, "create_driver", lambda site: ModelDriver(made.real))
    monkeypatch.setattr(deployment.Deployment, "_pause", lambda self, seconds, remaining: None)
    return made


def test_there_is_no_way_back_across_what_was_taken_away(there: There) -> None:
    assert there.made(NEW).dry_run() == 0
    assert "point of no return" in there.lines
    assert there.columns() == {"old"}, "a dry run changed something"
    assert there.deploy(NEW) == 0, there.lines
    assert "migrate, contract: 9_contract_old; cannot be undone from here" in there.lines
    assert (there.columns(), there.real.one_revision()) == ({"note"}, NEW)
    with pytest.raises(PlanProblem, match=f"is past the point of no return: to return to {OLD}, deploy it") as error:
        there.made().undo()
    assert error.value.code == 4
    there.reporter.lines.clear()
    assert there.deploy(OLD) == 20, there.lines  # its own gate finds what it needs gone, before it has traffic
    assert 'column "old" of relation "orders" does not exist' in there.lines
    assert there.real.one_revision() == NEW


def test_a_revision_that_is_bad_leaves_what_was_added_and_the_old_one_lives_with_it(there: There) -> None:
    there.gates.broken = NEW
    assert there.deploy(NEW) == 20, there.lines
    assert (there.columns(), there.real.one_revision()) == ({"old", "note"}, OLD)
    there.gates.broken = ""
    assert there.deploy(NEW) == 0, there.lines  # what was added is not added again


@pytest.mark.parametrize("applied", [False, True])
def test_killed_at_the_point_of_no_return_it_only_goes_forward(
    applied: bool, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    true: Callable[[MigratingDriver, str], None] = MigratingDriver.migrate

    def killed(driver: MigratingDriver, phase: str) -> None:
        if applied or phase == "expand":
            true(driver, phase)
        if phase == "contract":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MigratingDriver, "migrate", killed)
        with pytest.raises(Killed):
            there.deploy(NEW)
    assert there.made().status() == 21
    assert there.made().undo() == 21
    assert "past the point of no return" in there.lines
    assert (there.real.one_revision(), "note" in there.columns()) == (NEW, True)
    assert there.made().resume() == 0, there.lines
    assert there.columns() == {"note"}


def test_one_whose_statement_fails_is_undone_or_a_persons(there: There) -> None:
    for name, code, columns in ((ADDS, 20, {"old"}), (TAKES, 21, {"old", "note"})):
        whole = (there.folder / "migrations" / f"{name}.sql").read_text()
        (there.folder / "migrations" / f"{name}.sql").write_text(f"{whole}select 1 from nowhere;\n")
        assert there.deploy(NEW) == code, there.lines
        assert there.columns() == columns, "half a migration was applied"
        (there.folder / "migrations" / f"{name}.sql").write_text(whole)


def test_sql_that_was_changed_since_it_was_planned_is_not_applied(there: There) -> None:
    true = there.gates.ask

    def changed(gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        (there.folder / "migrations" / f"{ADDS}.sql").write_text("drop table orders;\n")
        return true(gate, slot, revision, wait)

    there.gates.ask = changed  # type: ignore[method-assign]
    assert there.deploy(NEW) == 20, there.lines
    assert "has changed since the plan was made" in there.lines
    assert there.columns() == {"old"}


@pytest.mark.parametrize(
    ("sql", "code", "told"),
    [
        ("alter table orders drop column old;", 4, "7_expand_note.sql:1: ban-drop-column"),
        ("select 1;\nalter table orders rename column old to new;", 4, "7_expand_note.sql:2: renaming-column"),
        ("alter table orders alter column old type bigint;", 4, "changing-column-type"),
        ("alter table orders alter column old set not null;", 4, "adding-not-nullable-field"),
        ("alter table orders add column must text not null;", 4, "adding-required-field"),
        ("drop table orders;", 4, "ban-drop-table"),
        ("alter table orders addd column x;", 3, "syntax-error"),
        (None, 3, "there is no file migrations/7_expand_note.sql"),
        ("create index concurrently o on orders (old);\nalter table orders alter column old drop not null;", 0, ""),
    ],
)
def test_what_is_said_to_only_add_has_to(sql: str | None, code: int, told: str, there: There) -> None:
    """By squawk, before anything is touched."""
    file = there.folder / "migrations" / f"{ADDS}.sql"
    there.folder.joinpath("migrate.sh").write_text(f"#!/bin/sh\necho expand {ADDS}\n")
    if sql is not None:
        file.write_text(f"{sql}\n")
    else:
        file.unlink()
    if code == 0:
        assert there.made(NEW).dry_run() == 0
        return
    with pytest.raises(PlanProblem) as error:
        there.deploy(NEW)
    assert (error.value.code, told in str(error.value)) == (code, True), error.value
    assert (there.columns(), there.real.effects) == ({"old"}, [])


def test_without_squawk_nobody_can_tell(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise EvidenceProblem(Problem("missing-extra", "checking migrations needs squawk"))

    monkeypatch.setattr(squawk, "_program", none)
    with pytest.raises(PlanProblem, match="needs squawk") as error:
        there.made(NEW).dry_run()
    assert error.value.code == 3
