"""Alembic and Django themselves over small histories: what is pending is what they would still do."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.database import Migrations
from pytest_prodcheck.evidence.migrations.model import State
from pytest_prodcheck.evidence.migrations.scripts import scripts_of
from pytest_prodcheck.evidence.migrations.states import KINDS

alembic = pytest.importorskip("alembic", reason="pip install alembic")
django = pytest.importorskip("django", reason="pip install django")


def compared(kind: str, root: Path, database: Path, **settings: Any) -> State:
    declared = Migrations.model_validate({"kind": kind, "scripts": "scripts", **settings})
    sql = {"alembic": "select version_num from alembic_version",
           "django": "select app, name from django_migrations order by id"}[kind]  # fmt: skip
    with sqlite3.connect(database) as connection:
        rows = [tuple(row) for row in connection.execute(sql)]
    connection.close()
    return KINDS[kind].compare(rows, scripts_of(declared, root), declared)


# -- Alembic

ENV = """
from alembic import context
from sqlalchemy import create_engine
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""
REVISION = """
revision = {0!r}
down_revision = {1!r}
branch_labels = {2!r}
depends_on = {3!r}
def upgrade(): pass
def downgrade(): pass
"""
LINE = [("a1", None, None, None), ("b1", "a1", None, None), ("c1", "b1", None, None)]
FORK = [*LINE, ("d1", "b1", None, None)]
MERGED = [*FORK, ("e1", ("c1", "d1"), None, None)]
BY_LABEL = [("aaa1", None, ("users",), None), ("bbb1", None, ("orders",), "users")]
BY_LOWER_LABEL = [("u1", None, ("users",), None), ("u2", "u1", None, None), ("o1", None, ("orders",), "users")]
BY_REVISION = [("u1", None, None, None), ("u2", "u1", None, None), ("o1", None, None, ("u2",)),
               ("o2", "o1", None, None)]  # fmt: skip
CHAIN = [("x1", None, ("x",), None), ("y1", None, ("y",), "x"), ("z1", None, ("z",), ("y", "x1"))]


@pytest.mark.parametrize("to", [("heads",), ("1",), ("2",), ("none",)])
@pytest.mark.parametrize("history", [LINE, FORK, MERGED, BY_LABEL, BY_LOWER_LABEL, BY_REVISION, CHAIN])
def test_alembic_agrees(tmp_path: Path, history: list[tuple[Any, ...]], to: tuple[str, ...]) -> None:
    """alembic#1806: heads that something depends on are not in alembic_version, and nothing is left to do for them."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    versions = tmp_path / "scripts" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "scripts" / "env.py").write_text(ENV)
    for each in history:
        (versions / f"{each[0]}.py").write_text(REVISION.format(*each))
    config = Config()
    config.set_main_option("script_location", str(tmp_path / "scripts"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", f"sqlite:///{tmp_path / 'db'}")
    script = ScriptDirectory.from_config(config)
    command.ensure_version(config)
    if to != ("none",):
        order = [each.revision for each in script.walk_revisions("base", "heads")][::-1]
        command.upgrade(config, "heads" if to == ("heads",) else order[min(int(to[0]), len(order)) - 1])
    state = compared("alembic", tmp_path, tmp_path / "db")
    with sqlite3.connect(tmp_path / "db") as connection:
        at = tuple(row[0] for row in connection.execute("select version_num from alembic_version"))
    connection.close()
    left = {step.revision.revision for step in script._upgrade_revs("heads", at)}  # type: ignore[arg-type]
    assert set(state.pending) == left
    assert (state.unknown, state.failed, state.skipped, state.changed) == ([], [], [], [])
    if to == ("heads",):
        assert left == set()


TWO = [("aaa111111111", None, ("users",), None), ("aab222222222", "aaa111111111", None, None),
       ("bbb111111111", None, ("orders",), None), ("bbb222222222", "bbb111111111", None, "aaa111111111")]  # fmt: skip


@pytest.mark.parametrize("at", [(), ("aab222222222",), ("bbb222222222",), ("aab222222222", "bbb222222222"), ("aab2",),
                                ("bbb1", "aaa1")])  # fmt: skip
@pytest.mark.parametrize("target", ["heads", "users@head", "orders@head", "orders@heads", "bbb1", "aab222222222",
                                    "users@aab2", "users"])  # fmt: skip
def test_alembic_agrees_on_targets_and_partial_ids(tmp_path: Path, target: str, at: tuple[str, ...]) -> None:
    """What `alembic upgrade TARGET` would still do, from heads whose ids may be cut short."""
    from alembic.script import ScriptDirectory

    versions = tmp_path / "scripts" / "versions"
    versions.mkdir(parents=True)
    for each in TWO:
        (versions / f"{each[0]}.py").write_text(REVISION.format(*each))
    script = ScriptDirectory(str(tmp_path / "scripts"))
    full = tuple(str(script.get_revision(each).revision) for each in at)
    left = {step.revision.revision for step in script._upgrade_revs(target, full)}  # type: ignore[arg-type]
    declared = Migrations.model_validate({"kind": "alembic", "scripts": "scripts", "target": target})
    state = KINDS["alembic"].compare([(each,) for each in at], scripts_of(declared, tmp_path), declared)
    assert set(state.pending) == left
    assert (state.unknown, state.untold) == ([], [])


@pytest.mark.parametrize(("target", "words"), [("head", "several heads"), ("nobody@head", "not a revision or branch"),
                                               ("aa", "not a revision or branch")])  # fmt: skip
def test_alembic_targets_that_cannot_be_told(tmp_path: Path, target: str, words: str) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    versions = tmp_path / "scripts" / "versions"
    versions.mkdir(parents=True)
    for each in TWO:
        (versions / f"{each[0]}.py").write_text(REVISION.format(*each))
    with pytest.raises(CommandError):
        list(ScriptDirectory(str(tmp_path / "scripts"))._upgrade_revs(target, ()))  # type: ignore[arg-type]
    declared = Migrations.model_validate({"kind": "alembic", "scripts": "scripts", "target": target})
    (untold,) = KINDS["alembic"].compare([], scripts_of(declared, tmp_path), declared).untold
    assert words in untold
    assert "migrations.target" in untold


# -- Django

SETTINGS = """
SECRET_KEY = "x" * 50
INSTALLED_APPS = {apps!r}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {name!r}}}}}
"""
MIGRATION = """
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = {0!r}
    operations = [migrations.RunSQL(migrations.RunSQL.noop, migrations.RunSQL.noop)]
"""


class Project:
    """A Django project with one app, its database a file."""

    def __init__(self, root: Path, folder: str = "shop", config: str = "") -> None:
        self.root, self.database = root, root / "db"
        self.migrations = root / "scripts" / folder / "migrations"
        self.migrations.mkdir(parents=True)
        for path in (self.migrations, self.migrations.parent):
            (path / "__init__.py").touch()
        if config:
            (self.migrations.parent / "apps.py").write_text(config)
        (root / "scripts" / "settings.py").write_text(SETTINGS.format(apps=[folder], name=str(self.database)))

    def add(self, name: str, *parents: str, app: str = "shop") -> None:
        (self.migrations / f"{name}.py").write_text(MIGRATION.format([(app, parent) for parent in parents]))

    def remove(self, *names: str) -> None:
        for name in names:
            (self.migrations / f"{name}.py").unlink()

    def manage(self, *words: str) -> int:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run([sys.executable, "-m", "django", *words], cwd=self.root / "scripts", env=environment,
                              capture_output=True, timeout=60).returncode  # fmt: skip

    def agrees(self) -> State:
        """The state; nothing is pending exactly where Django has nothing to do."""
        state = compared("django", self.root, self.database)
        assert bool(state.pending) == bool(self.manage("migrate", "--check")), state
        return state


def clean(state: State) -> bool:
    return not (state.unknown or state.pending or state.skipped or state.failed or state.untold)


def test_django_through_the_life_of_a_squash(tmp_path: Path) -> None:
    """django#15240: once all databases are squashed, the old files and `replaces` go; the notes may stay."""
    project = Project(tmp_path)
    project.add("0001_one")
    project.add("0002_two", "0001_one")
    project.add("0003_three", "0002_two")
    assert project.manage("migrate") == 0
    assert clean(project.agrees())
    assert project.manage("squashmigrations", "shop", "0001", "0003", "--noinput") == 0
    (squashed,) = project.migrations.glob("*squashed*")
    assert clean(project.agrees())  # the notes of the three stand for it
    assert project.manage("migrate") == 0
    assert clean(project.agrees())
    project.remove("0001_one", "0002_two", "0003_three")
    assert clean(project.agrees())
    squashed.write_text(re.sub(r"replaces = \[.*?\]", "", squashed.read_text(), flags=re.DOTALL))
    assert clean(project.agrees())
    project.add("0004_four", squashed.stem)
    assert project.agrees().pending == ["shop.0004_four"]
    assert project.manage("migrate") == 0
    assert clean(project.agrees())
    project.remove("0004_four")  # an older revision is deployed: Django does not mind, the gate does
    assert project.agrees().unknown == ["shop.0004_four"]


def test_django_and_a_migration_of_another_branch(tmp_path: Path) -> None:
    """What no shipped migration stands for stays unknown, also where a later one was applied since."""
    project = Project(tmp_path)
    project.add("0001_one")
    project.add("0002_theirs", "0001_one")
    assert project.manage("migrate") == 0
    project.remove("0002_theirs")
    project.add("0003_ours", "0001_one")
    assert project.manage("migrate") == 0
    assert project.agrees().unknown == ["shop.0002_theirs"]


def test_django_and_two_branches_that_were_not_merged(tmp_path: Path) -> None:
    """Each was deployed by itself; together Django refuses to migrate, now and when the next one comes."""
    project = Project(tmp_path)
    project.add("0001_one")
    for ours, theirs in (("0002_a", "0002_b"), ("0002_b", "0002_a")):
        if (project.migrations / f"{theirs}.py").exists():
            project.remove(theirs)
        project.add(ours, "0001_one")
        assert project.manage("migrate") == 0
    project.add("0002_a", "0001_one")
    state = compared("django", project.root, project.database)
    assert project.manage("migrate", "--check") == 1
    assert "several last migrations (shop.0002_a, shop.0002_b)" in state.untold[0]
    project.add("0003_merge", "0002_a", "0002_b")
    assert project.manage("migrate") == 0
    assert clean(project.agrees())


def test_django_and_a_gap_in_the_notes(tmp_path: Path) -> None:
    """django#5977: a note was removed by hand, a later one is there: InconsistentMigrationHistory."""
    project = Project(tmp_path)
    for name, *parents in (("0001_one",), ("0002_two", "0001_one"), ("0003_three", "0002_two")):
        project.add(name, *parents)
    assert project.manage("migrate") == 0
    with contextlib.closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("delete from django_migrations where name = '0002_two'")
    assert project.agrees().skipped == ["shop.0002_two"]


def test_django_app_whose_label_is_not_its_folder(tmp_path: Path) -> None:
    config = 'from django.apps import AppConfig\nclass Shop(AppConfig):\n    name = "store"\n    label = "shop"\n'
    project = Project(tmp_path, "store", config)
    project.add("0001_one")
    assert project.manage("migrate") == 0
    assert clean(project.agrees())
