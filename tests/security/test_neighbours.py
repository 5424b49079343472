"""Other users of the machine: what they can read of a run, and whose configuration is used."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from pytest_prodcheck.gates.decision import decide
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.trusted_files import OwnerProblem, refuse_foreign
from tests.project import Project

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
OTHER = pwd.getpwnam("nobody")


@pytest.mark.parametrize("mask", [0o022, 0o000, 0o077], ids=oct)
@pytest.mark.parametrize("key", ["", "0123456789abcdef0123"], ids=["local key", "key of the environment"])
def test_the_state_is_private_whatever_the_umask(tmp_path: Path, mask: int, key: str) -> None:
    project = Project.make(tmp_path)
    if key:
        project.environ["PRODCHECK_KEY"] = key
    before = os.umask(mask)
    try:
        done = project.pytest()
        assert project.gate() == 0
        project.prodcheck("override", "smoke", "--env", "dev", "--reason", "r", "--ticket", "t", "--for", "1m")
        project.prodcheck("exec", "smoke", "--env", "dev", "--", "true")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stdout
    state = tmp_path / ".prodcheck"
    found = {each: stat.S_IMODE(each.lstat().st_mode) for each in (state, *state.rglob("*"))}
    loose = {str(each): oct(mode) for each, mode in found.items() if mode & 0o077}
    assert loose == {}
    assert {each.name for each in found} >= {"run.json", "gates.json", "smoke.json", "smoke.ticket", "overrides.jsonl"}


def test_a_state_folder_of_an_earlier_version_is_closed(tmp_path: Path) -> None:
    project = Project.make(tmp_path)
    (tmp_path / ".prodcheck").mkdir()
    (tmp_path / ".prodcheck").chmod(0o777)
    assert project.pytest().returncode == 0
    assert stat.S_IMODE((tmp_path / ".prodcheck").stat().st_mode) == 0o700


def give(*paths: Path) -> None:
    for each in paths:
        os.chown(each, OTHER.pw_uid, OTHER.pw_gid)


@AS_ROOT
def test_configuration_of_another_user_above_the_working_folder(tmp_path: Path) -> None:
    """As git before safe.directory: /tmp/prodcheck.toml had its `checks` run as whoever worked below /tmp."""
    project = Project.make(tmp_path / "up")
    project.write("checks/test_owned.py", "open('/dev/null')\nopen(__file__ + '.ran', 'w').close()\n")
    work = tmp_path / "up" / "work"
    work.mkdir()
    give(*(tmp_path / "up").rglob("*"), tmp_path / "up")
    inside = Project(work)
    for done in (inside.pytest(), inside.prodcheck("run", "smoke", "--env", "dev"), inside.prodcheck("env", "dev")):
        assert done.returncode in (2, 4), done.stdout + done.stderr
        assert "belongs to another user (nobody)" in done.stdout + done.stderr
        assert "PRODCHECK_SAFE_DIRECTORY" in done.stdout + done.stderr
    assert inside.gate() == 2
    assert not list((tmp_path / "up").rglob("*.ran"))
    inside.environ["PRODCHECK_SAFE_DIRECTORY"] = f"/nowhere:{tmp_path / 'up'}"
    assert "belongs to" not in inside.pytest().stdout
    assert list((tmp_path / "up").rglob("*.ran"))


@AS_ROOT
@pytest.mark.parametrize("name", ["checks", "checks/test_facts.py", "conf/more.toml", ".prodcheck", "conftest.py"])
def test_one_part_of_another_user(tmp_path: Path, name: str) -> None:
    project = Project.make(tmp_path)
    project.edit("version = 1", 'version = 1\ninclude = ["conf/*.toml"]')
    project.write("conf/more.toml", "")
    project.write("conftest.py", "")
    assert project.pytest().returncode == 0
    give(tmp_path / name)
    done = project.pytest()
    assert done.returncode == 4, done.stdout
    assert "belongs to another user" in done.stderr + done.stdout


@AS_ROOT
def test_a_key_that_another_user_put_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODCHECK_KEY", raising=False)
    (tmp_path / "prodcheck.toml").write_text("version = 1\n")
    (tmp_path / ".prodcheck").mkdir(mode=0o700)
    key = tmp_path / ".prodcheck" / "key"
    key.write_text("a" * 64)
    key.chmod(0o600)
    give(key)
    decision = decide(VerdictQuery("smoke", "dev"), 0.0, str(tmp_path))
    assert (decision.code, "the key" in decision.reasons[0][1]) == (2, True)


@AS_ROOT
def test_the_caller_of_sudo_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(tmp_path)
    with pytest.raises(OwnerProblem):
        refuse_foreign(str(tmp_path), "it")
    monkeypatch.setenv("SUDO_UID", str(OTHER.pw_uid))
    refuse_foreign(str(tmp_path), "it")


def test_files_of_root_are_trusted() -> None:
    refuse_foreign("/etc/passwd", "it")
    refuse_foreign("/etc/there-is-no-such-file", "it")
