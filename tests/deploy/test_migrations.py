"""Migrations around a deployment: what only adds before it, what takes away behind the point of no return."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_prodcheck.deploy.cluster_client import ClusterClient
from pytest_prodcheck.deploy.drivers import Driver, DriverContext, DriverProblem, observe_with_migrations
from pytest_prodcheck.deploy.lease import LeaseTaken
from pytest_prodcheck.deploy.migrations import MigratingDriver
from pytest_prodcheck.deploy.plan import Plan, PlanProblem
from pytest_prodcheck.deploy.presentation import plan_lines
from pytest_prodcheck.deploy.programs import ProgramRunner
from pytest_prodcheck.environments.sections.deploy import DeployMigrations
from tests.deploy.model import NEW, OLD, STRATEGIES, Killed, ModelDriver, Reality, Scene, reality, settings
from tests.deploy.test_page import HEAD, PAGE
from tests.project import Project

BOTH = ("expand 7_add", "expand 8_fill", "contract 9_drop")


def scene_of(
    strategy: str, folder: Path, pending: tuple[str, ...] = BOTH, broken: dict[str, int] | None = None
) -> Scene:
    return Scene.make(strategy, folder, broken=broken, pending=pending)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_adds_comes_first_and_what_takes_away_last(strategy: str, tmp_path: Path) -> None:
    scene = scene_of(strategy, tmp_path)
    told = list(plan_lines(scene.plan))
    assert "2  migrate, expand: 7_add, 8_fill" in told[2]
    assert told[2].endswith("undo: not needed, it only adds")
    assert told[-3].endswith("point of no return: the following steps cannot be undone ----")
    assert f"{len(scene.plan.steps)}  migrate, contract: 9_drop" in told[-2]
    assert Plan.parse(scene.plan.dump()).digest == scene.plan.digest
    deployer = scene.deployer()
    assert deployer.run() == 0
    assert (scene.real.effects[0], scene.real.effects[-1]) == ("migrate expand", "migrate contract")
    assert any("cannot be undone from here" in line for line in deployer.reporter.lines)  # type: ignore[attr-defined]
    assert scene.deployer().undo("asked") == 21  # there is no way back to a revision that needs what is gone


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bad_revision_leaves_what_was_added_and_takes_nothing_away(strategy: str, tmp_path: Path) -> None:
    scene = scene_of(strategy, tmp_path, broken={NEW: 1})
    assert scene.deployer().run() == 20
    assert (scene.real.one_revision(), scene.real.pending) == (OLD, ("contract 9_drop",))


def test_migrations_that_cannot_be_applied_apart_or_were_not_planned(tmp_path: Path) -> None:
    with pytest.raises(PlanProblem, match="9_add is `expand`, but comes after 8_drop") as error:
        scene_of("canary", tmp_path, ("contract 8_drop", "expand 9_add"))
    assert error.value.code == 4
    scene = scene_of("canary", tmp_path)
    scene.real.pending = ("expand 7_add", "expand 7b_add", "contract 9_drop")
    assert scene.deployer().run() == 20
    assert scene.real.effects == []


def test_a_migration_that_is_refused(tmp_path: Path) -> None:
    for phase, code in (("expand", 20), ("contract", 21)):
        folder = tmp_path / phase
        folder.mkdir()
        scene = scene_of("blue-green", folder)
        scene.real.refuses = {f"migrate {phase}"}
        assert scene.deployer().run() == code
        assert scene.real.one_revision() == {20: OLD, 21: NEW}[code]
        if code == 21:
            scene.real.refuses = set()
            assert scene.deployer().run() == 0  # from there on it only goes forward


@pytest.mark.parametrize("strategy", ["canary", "rolling"])
@pytest.mark.parametrize("broken", [{}, {NEW: 1}], ids=str)
def test_killed_at_every_moment(strategy: str, broken: dict[str, int], memory: Path) -> None:
    """Nothing is taken away from the old revision: the model itself asserts that."""
    whole = scene_of(strategy, memory, broken=dict(broken))
    meant, moments = whole.deployer().run(), whole.real.moments
    whole.path.unlink()
    for moment in range(1, moments + 1):
        scene = scene_of(strategy, memory, broken=dict(broken))
        scene.real.kill_at = moment
        with pytest.raises(Killed):
            scene.deployer().run()
        scene.real.kill_at = -1
        if scene.deployer().state.status not in ("done", "undone"):
            assert scene.deployer().run() == meant, moment
        assert (scene.real.one_revision(), scene.real.pending) == {
            0: (NEW, ()), 20: (OLD, ("contract 9_drop",))
        }[meant], moment  # fmt: skip
        scene.path.unlink()


def driver(
    folder: Path, said: str, run: str = "exit 0", real: Reality | None = None, cluster: ClusterClient | None = None
) -> Driver:
    for name, text in (("pending.sh", said), ("run.sh", run)):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    declared = DeployMigrations(pending=("./pending.sh",), run=("./run.sh", "{phase}", "{revision}"))
    site = DriverContext(settings("canary"), folder, "", (), ProgramRunner(folder), cluster=cluster)
    return MigratingDriver(ModelDriver(real or reality("canary")), site, declared, NEW)


def test_programs_of_a_team(tmp_path: Path) -> None:
    made = driver(tmp_path, "cat pending", 'grep -v "^$1" pending > left; mv left pending; echo "$1 $2" >> ran')
    (tmp_path / "pending").write_text("\n".join(BOTH))
    assert observe_with_migrations(made).pending == BOTH
    made.migrate("expand")  # type: ignore[attr-defined]
    assert observe_with_migrations(made).pending == BOTH[2:]
    assert (tmp_path / "ran").read_text() == f"expand {NEW}\n"
    lying = driver(tmp_path, "echo expand 1_add")
    with pytest.raises(DriverProblem, match="still pending"):
        lying.migrate("expand")  # type: ignore[attr-defined]


@pytest.mark.parametrize("said", ["echo later 7_add", "echo expand", "echo expand a b", "exit 1"])
def test_what_a_program_says_is_whole_or_nothing(said: str, tmp_path: Path) -> None:
    with pytest.raises(DriverProblem, match=r"pending"):
        observe_with_migrations(driver(tmp_path, said))


@pytest.mark.parametrize("steps", ["bad", "--undo"])
def test_a_way_back_asks_no_database(steps: str, tmp_path: Path) -> None:
    scene = Scene.make("canary", tmp_path, broken={NEW: 1} if steps == "bad" else None)
    deployer = scene.deployer()
    deployer.driver = driver(tmp_path, "exit 1", real=scene.real)
    with pytest.raises(DriverProblem, match=r"pending\.sh ended with 1"):
        observe_with_migrations(deployer.driver)
    if steps == "--undo":
        assert deployer.run() == 0
    assert (deployer.undo("asked") if steps == "--undo" else deployer.run()) == 20
    assert scene.real.one_revision() == OLD


def test_a_deployer_that_was_replaced_applies_nothing(tmp_path: Path) -> None:
    def taken() -> None:
        raise LeaseTaken("another deployer took over")

    cluster = object.__new__(ClusterClient)
    cluster.fence = taken
    with pytest.raises(LeaseTaken):
        driver(tmp_path, "true", "touch ran", cluster=cluster).migrate("expand")  # type: ignore[attr-defined]
    assert not (tmp_path / "ran").exists()


def test_the_plan_of_a_project(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    settings_of_page, migrations = blocks[:2]
    assert "[environments.production.deploy.migrations]" in migrations
    project = Project.make(tmp_path, HEAD + settings_of_page + migrations)
    said = r"expand 7_add\ncontract 9_drop\n"
    for name, rows in (("copy.sh", r"blue r1\ngreen -\n"), ("share.sh", r"blue 100\ngreen 0\n"), ("migrate.sh", said)):
        project.write(name, f"#!/bin/sh\nprintf '{rows}'\n").chmod(0o755)
    project.write("migrations/7_add.sql", "alter table orders add column note text;\n")
    done = project.prodcheck("deploy", "--env", "production", "--revision", NEW, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "   2  migrate, expand: 7_add" in done.stdout
    assert re.search(r"point of no return: .*\n  14  migrate, contract: 9_drop +undo: none\n", done.stdout), done.stdout
