"""What becomes of a check, seen from outside: exit codes and the gate."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.project import CHECKS, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


def test_everything_good_opens_the_gate(project: Project) -> None:
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert project.gate() == 0
    assert project.gate("--revision", "r1") == 0
    assert project.gate("--revision", "r2") == 4


def test_a_failed_check_blocks(project: Project) -> None:
    project.edit("value = 1.0", "value = 11.0")
    done = project.pytest()
    assert done.returncode == 1
    assert "11 is more than 10" in done.stdout
    assert project.gate() == 1


def test_a_warning_is_listed_and_opens(project: Project) -> None:
    project.edit("value = 1.0", "value = 7.0")
    done = project.pytest()
    assert done.returncode == 0, done.stdout
    assert "1 warned" in done.stdout
    assert "7 is more than 5" in done.stdout
    assert project.gate() == 0
    assert project.gate("--strict") == 1


def test_strict_blocks_on_warnings(project: Project) -> None:
    project.edit("value = 1.0", "value = 7.0")
    assert project.pytest("--strict-gate").returncode == 1
    assert project.gate() == 1


def test_a_failed_check_of_medium_severity_warns(project: Project) -> None:
    project.edit("isinstance(fact.value, float)", "False", "checks/test_facts.py")
    done = project.pytest()
    assert done.returncode == 0
    assert "1 failed" in done.stdout
    assert project.gate() == 0


def test_a_protected_environment_asks_for_the_revision(project: Project) -> None:
    assert project.pytest(env="live").returncode != 0
    assert project.gate(env="live") != 0
    done = project.pytest("--revision", "r9", env="live")
    assert done.returncode == 0, done.stdout
    assert project.gate(env="live") == 2
    assert project.gate("--revision", "r9", env="live") == 0
    assert project.gate("--revision", "r8", env="live") == 4


def test_no_gate_judges_without_touching_gates(project: Project) -> None:
    assert project.pytest().returncode == 0
    before = project.verdict()
    project.edit("value = 1.0", "value = 11.0")
    assert project.pytest("--no-gate").returncode == 1
    assert project.verdict() == before


def test_without_env_nothing_happens(project: Project) -> None:
    project.write("test_plain.py", "def test_plain(): pass\n")
    done = project.command(sys.executable, "-m", "pytest", "test_plain.py", "-p", "no:randomly")
    assert done.returncode == 0
    assert "prodcheck" not in done.stdout.replace("pytest-prodcheck", "").replace("prodcheck-", "")
    assert not (project.folder / ".prodcheck").exists()


def test_checks_without_env_are_a_usage_error(project: Project) -> None:
    done = project.command(sys.executable, "-m", "pytest", "checks", "-p", "no:randomly")
    assert done.returncode == 4
    assert "--env" in done.stderr


def test_unknown_environment_names_those_there_are(project: Project) -> None:
    done = project.pytest(env="developmnt")
    assert done.returncode == 4
    assert "dev" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_plain_test_can_block_but_proves_nothing(project: Project) -> None:
    project.write("checks/test_plain.py", "import pytest\n@pytest.mark.smoke\ndef test_plain(): assert 1 == 2\n")
    assert project.pytest().returncode == 1
    project.write("checks/test_facts.py", "")
    project.write("checks/test_plain.py", "import pytest\n@pytest.mark.smoke\ndef test_plain(): pass\n")
    assert project.pytest().returncode == 13
    assert project.gate() == 3


def test_xdist_gives_the_same(project: Project) -> None:
    project.edit("value = 1.0", "value = 7.0")
    serial = project.pytest()
    spread = project.pytest("-n", "2")
    assert serial.returncode == spread.returncode == 0, spread.stdout
    for words in ("1 warned", "2 passed"):
        assert words in serial.stdout
        assert words in spread.stdout
    assert project.gate() == 0


HALF_CHARACTERS = """
import pytest
@pytest.mark.smoke
def test_half():
    print(chr(0xdc80))
    assert chr(0xdcff) == "a"
"""


def test_xdist_gives_the_same_for_characters_that_cannot_be_sent(project: Project) -> None:
    """Reports are encoded strictly: a lone surrogate in one ended the run with an internal error."""
    project.write("checks/test_half.py", HALF_CHARACTERS)
    serial = project.pytest()
    spread = project.pytest("-n", "2")
    assert serial.returncode == spread.returncode == 1, spread.stdout
    assert "INTERNALERROR" not in spread.stdout + spread.stderr
    assert project.gate() == 1


MORE = (
    CHECKS.split("@dataclass")[0]
    + """
@check("t.smoke.more", suite="smoke", severity="high", needs={"answer": "endpoint:cart.quote"})
def test_more(answer):
    judge("never", True)
"""
)
CART = """
[environments.live.services.cart]
url = "http://127.0.0.1:9"
[environments.live.services.cart.endpoints]
quote = { request = "GET /quote", status = 200 }
"""


def test_needs_of_something_that_only_another_environment_declares_is_not_configured(project: Project) -> None:
    project.write("checks/test_more.py", MORE)
    project.edit('absent = ["services", ', "absent = [")
    path = project.folder / "prodcheck.toml"
    path.write_text(path.read_text(encoding="utf-8") + CART, encoding="utf-8")
    done = project.pytest("-rs")
    assert done.returncode == 0, done.stdout
    assert "not-configured" in done.stdout


def test_needs_of_something_that_nobody_declares_is_refused(project: Project) -> None:
    """Misspelt, it would be skipped everywhere, and nobody would miss it."""
    project.write("checks/test_more.py", MORE)
    for workers in ((), ("-n", "2")):
        done = project.pytest(*workers)
        assert done.returncode not in (0, 1)
        assert "cart.quote" in done.stdout + done.stderr
        assert project.gate() == 3


def test_a_changed_file_of_own_checks_refuses_the_verdict(project: Project) -> None:
    """A limit that is written there binds like one in prodcheck.toml."""
    assert project.pytest().returncode == 0
    assert project.gate() == 0
    project.edit("fail=10", "fail=1000", "checks/test_facts.py")
    assert project.gate() == 4


def test_a_revision_with_a_line_end_is_refused(project: Project) -> None:
    """Else every connection meets "r1", expected "r1"."""
    done = project.pytest("--revision", "r1\r")
    assert done.returncode == 4
    assert "invisible" in done.stderr


def test_where_protected_a_revision_that_nothing_verified_is_a_warning(project: Project) -> None:
    done = project.pytest("--revision", "made-up", env="live")
    assert done.returncode == 0
    assert "no check verified that revision made-up answers" in done.stdout
    assert project.gate("--revision", "made-up", "--strict", env="live") == 1
