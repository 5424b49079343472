"""Bundled checks are shown by their ids, and an id can be typed where pytest takes a path."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from pytest_prodcheck import catalogue
from pytest_prodcheck.judging.checks import SUITES
from pytest_prodcheck.own_checks import OwnCheck
from pytest_prodcheck.plugin.run_scope import gates_of_run
from pytest_prodcheck.scope import NamedCheck
from tests.project import Project

TOML = """\
version = 1
project = "t"
checks = ["checks"]
[environments.dev]
revision = "r1"
[environments.dev.own.fact]
value = 1.0
[environments.dev.dependencies]
mail = { tcp = "127.0.0.1:1" }
port = { tcp = "127.0.0.1:2" }
"""
WORKFLOWS = """
[environments.dev.services.shop]
url = "http://127.0.0.1:1"
[environments.dev.workflows]
order.steps = [{ name = "a", request = "GET shop:/" }]
refund.steps = [{ name = "a", request = "GET shop:/" }]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path, TOML)


def listed(project: Project, *words: str) -> list[str]:
    done = project.pytest("--collect-only", "-q", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"^(\w\S*(?:::|\.)\S+)$", done.stdout, re.M)


def test_each_listed_name_can_be_typed_again(project: Project) -> None:
    names = listed(project)
    assert "smoke.tcp.open[mail]" in names
    assert "smoke.redis.roles" in names
    assert "checks/test_facts.py::test_one" in names
    assert not [each for each in names if "::" in each and not each.startswith("checks/")]
    assert listed(project, *names) == names
    assert listed(project, "smoke.tcp.open[port]") == ["smoke.tcp.open[port]"]
    assert listed(project, "../smoke.tcp.open", "t.smoke.two") == [
        "smoke.tcp.open[mail]",
        "smoke.tcp.open[port]",
        "checks/test_facts.py::test_two",
    ]
    assert listed(project, "-k", "smoke.tcp.open") == ["smoke.tcp.open[mail]", "smoke.tcp.open[port]"]


@pytest.mark.parametrize(
    ("words", "gates"),
    [
        (["smoke.tcp.open[mail]"], ["smoke"]),
        (["security.cors", "smoke.tcp.open"], ["smoke", "security"]),
        (["checks/test_facts.py::test_one"], ["smoke"]),
        (["checks"], None),
        (["smoke.tcp.open", "checks"], None),
    ],
)
def test_only_the_gates_of_named_checks_are_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], gates: list[str] | None
) -> None:
    """Somebody who pastes an id looks at one check: the gates of other suites stay as they are."""
    monkeypatch.chdir(Project.make(tmp_path, TOML).folder)
    own = [OwnCheck("t.one", tmp_path / "checks" / "test_facts.py", 1, "smoke")]
    options = argparse.Namespace(gate=None, markexpr="", file_or_dir=words)
    assert gates_of_run(options, own) == (gates or [each for each in SUITES if each in catalogue.suites_with_checks()])


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["here", "workers"])
def test_a_named_check_is_judged_alone_and_opens_nothing(project: Project, workers: tuple[str, ...]) -> None:
    done = project.pytest(
        "-v", "--junit-xml", "j.xml", *workers, "smoke.tcp.open[mail]", "checks/test_facts.py::test_one"
    )
    assert done.returncode == 1, done.stdout
    assert "check smoke.tcp.open[mail]" in done.stdout
    assert re.search(r"FAILED smoke\.tcp\.open\[mail\]|smoke\.tcp\.open\[mail\] FAILED", done.stdout)
    assert "1 failed, 1 passed" in done.stdout
    written = (project.folder / "j.xml").read_text(encoding="utf-8")
    assert '<testcase classname="smoke" name="smoke.tcp.open[mail]"' in written
    assert project.gate() != 0


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("smoke.tcp.opne", "did you mean smoke.tcp.open?"),
        ("smoke.tcp.open[mial]", "its targets: mail, port"),
        ("security.nothing-like-it-at-all", "did you mean"),
    ],
)
def test_a_name_that_is_none(project: Project, word: str, told: str) -> None:
    done = project.pytest(word)
    assert done.returncode == 4
    assert told in done.stderr or "`prodcheck checks` lists them" in done.stderr


def test_a_check_with_an_id_for_each_target(project: Project) -> None:
    """`smoke.workflow` stands for all, `smoke.workflow.order` and `smoke.workflow[order]` for one."""
    project.write("prodcheck.toml", TOML + WORKFLOWS)
    both = ["smoke.workflow.order", "smoke.workflow.refund"]
    assert listed(project, "smoke.workflow") == both
    assert listed(project, "smoke.workflow[order]") == listed(project, "smoke.workflow.order") == both[:1]
    done = project.pytest("smoke.workflow.nothere")
    assert done.returncode == 4
    assert "its targets: order, refund" in done.stderr


def test_the_value_of_an_option_is_no_name(project: Project) -> None:
    assert listed(project, "smoke.tcp.open", "--deselect", "smoke.tcp.open[mail]") == ["smoke.tcp.open[port]"]
    assert listed(project, "smoke.tcp.open", "-k", "smoke.tcp.open") == ["smoke.tcp.open[mail]", "smoke.tcp.open[port]"]


def test_families_of_ids(project: Project) -> None:
    """Of rows there is one id a target beside checks that are called alike."""
    rows = NamedCheck("w", "data_integrity.rows.*", "", "p")
    assert rows.is_about("data_integrity.rows.orders", "orders")
    assert rows.is_about("data_integrity.rows", "-")
    assert not rows.is_about("data_integrity.rows.freshness", "main")
    assert not NamedCheck("w", "data_integrity.rows", "", "p").is_about("data_integrity.rows.orders", "orders")
    alike = "data_integrity.rows.freshness"
    assert listed(project, "-m", "data_integrity", alike) == [alike]


def test_without_the_plugin_that_writes_junit_files(project: Project) -> None:
    done = project.pytest("-p", "no:junitxml", "checks/test_facts.py", "--no-gate")
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert "AttributeError" not in done.stdout + done.stderr


def test_one_line_for_a_suite(project: Project) -> None:
    done = project.pytest()
    assert len(re.findall(r"^smoke [sF]+ ", done.stdout, re.M)) == 1
    assert "not declared (prodcheck doctor --env dev lists them)" in done.stdout


def test_what_did_not_run_is_one_line(project: Project) -> None:
    done = project.pytest("-k", "test_one", "--no-gate")
    assert re.search(r"^! \d\d other checks did not run; no gate was evaluated, because of", done.stdout, re.M)
    assert "CANNOT TELL" not in done.stdout
    done = project.pytest("-k", "test_one")
    assert re.search(r"❓ \d\d expected checks did not run: ", done.stdout)
    assert "and more" not in done.stdout
    assert done.stdout.count("did not run") == 1


def test_visual_studio_code_gets_paths_and_brackets(project: Project) -> None:
    """Its plugin, played by an empty one, takes node ids apart; the real one was tried by hand."""
    project.write("vscode_pytest.py", "")
    names = listed(project, "-p", "vscode_pytest", "-o", "pythonpath=.")
    assert len(names) > 30
    assert [each for each in names if not re.search(r"\.py::test_\w+\[.+\]$", each)] == []
