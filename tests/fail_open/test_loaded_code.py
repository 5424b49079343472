"""Rows 160-165: the code that judged is the code that the verdict is bound to."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from tests.project import CHECKS, Project

FACTS = "checks/test_facts.py"
NEW = (
    "import pathlib, shutil\nfrom pytest_prodcheck import check, judge\n"
    '@check("t.smoke.new", suite="smoke", severity="critical")\ndef test_new():\n    judge("x", True)\n'
)


def zipped(folder: Path, text: str) -> None:
    with zipfile.ZipFile(folder / "lib.zip", "w") as archive:
        archive.writestr("within.py", text)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_helper_that_is_gone(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Row 161: what it said cannot be compared with anything any more."""
    project = Project.make(tmp_path)
    project.write("lib/elsewhere.py", "LIMIT = 1\n")
    project.write(FACTS, "import sys\nsys.path.append('lib')\nimport elsewhere\n" + CHECKS)
    project.write("checks/test_new.py", NEW + "    shutil.rmtree('lib')\n")
    done = project.pytest(*workers)
    assert done.returncode == 13, done.stdout + done.stderr
    assert "lib/elsewhere.py was removed during the run" in done.stdout
    assert project.gate() == 3


@pytest.mark.parametrize("what", ["'prodcheck.toml'", "'checks'", "'.prodcheck'", "os.getcwd()"])
def test_what_vanishes_during_the_run(tmp_path: Path, what: str) -> None:
    """Row 161: cannot tell, no traceback, and never "proven bad"."""
    project = Project.make(tmp_path / "project")
    gone = f"    import os\n    os.unlink({what}) if os.path.isfile({what}) else shutil.rmtree({what})\n"
    project.write("checks/test_new.py", NEW + gone)
    done = project.pytest()
    assert done.returncode == 13, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    if project.folder.exists():
        assert project.gate() in (3, 4)


def test_put_back_with_its_time(tmp_path: Path) -> None:
    """Row 160: another file for a while, then the first one with the time that it had (`cp -p`, `rsync`, links)."""
    project = Project.make(tmp_path)
    project.write("checks/limits.json", "1")
    project.write("versions/1/limits.json", "1")
    project.write("versions/2/limits.json", "2")
    (tmp_path / "checks/current").symlink_to("../versions/1")
    project.write("checks/test_new.py", NEW + (
        "    limits = 'checks/limits.json'\n    shutil.copy2(limits, 'kept')\n"
        "    open(limits, 'w').write('2')\n    shutil.copy2('kept', limits)\n"
        "    for each in '21':\n        pathlib.Path('checks/current').unlink()\n"
        "        pathlib.Path('checks/current').symlink_to(f'../versions/{each}')\n"
    ))  # fmt: skip
    done = project.pytest()
    assert done.returncode == 13, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "checks/limits.json was written to during the run" in said
    assert "checks/current/limits.json was written to during the run" in said
    assert project.gate() == 3


def test_wherever_code_lies(tmp_path: Path) -> None:
    """Row 161: in an archive, in a module that `sys.modules` has forgotten, beside it a file of more than 64 MB."""
    project = Project.make(tmp_path)
    zipped(tmp_path, "LIMIT = 1\n")
    project.write("lib/forgotten.py", "LIMIT = 1\n")
    imports = "import sys\nsys.path += ['lib', 'lib.zip']\nimport within, forgotten\ndel sys.modules['forgotten']\n"
    project.write(FACTS, imports + CHECKS)
    large = tmp_path / "checks/large.bin"
    with large.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    done = project.pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.gate() == 0
    zipped(tmp_path, "LIMIT = 2\n")
    assert "lib.zip has changed" in project.prodcheck("gate", "smoke", "--env", "dev").stdout
    project.write("lib/forgotten.py", "LIMIT = 2\n")
    assert "lib/forgotten.py has changed" in project.prodcheck("gate", "smoke", "--env", "dev").stdout
    with large.open("r+b") as file:
        file.write(b"other")
    assert "checks/large.bin has changed" in project.prodcheck("gate", "smoke", "--env", "dev").stdout


def test_two_runs_of_one_process(tmp_path: Path) -> None:
    """Row 162: Python keeps the modules that it has; the second run would judge by the limit of the first one."""
    project = Project.make(tmp_path)
    project.write("twice.py", (
        "import pathlib, pytest\nwords = ['--env', 'dev', '-m', 'smoke', '-p', 'no:randomly', '-q']\n"
        "file = pathlib.Path('checks/test_facts.py')\ncodes = [pytest.main(words), pytest.main(words)]\n"
        "file.write_text(file.read_text().replace('warn=5, fail=10', 'warn=0.1, fail=0.5'))\n"
        "codes += [pytest.main(words), pytest.main(words)]\nprint('codes', *map(int, codes))\n"
    ))  # fmt: skip
    done = project.command(sys.executable, "twice.py", timeout=240)
    assert "codes 0 0 13 13" in done.stdout, done.stdout + done.stderr
    assert "checks/test_facts.py has changed since this process loaded it" in done.stdout
    assert project.gate() == 3
    assert project.pytest().returncode == 1


def test_what_is_added_above(tmp_path: Path) -> None:
    """Row 163: a conftest or settings nearer than those of the repository, or the first ones; `-c` of elsewhere."""
    top, elsewhere = tmp_path / "repository", tmp_path / "etc/pytest.ini"
    project = Project.make(top / "a/ops")
    no_cache = ("-p", "no:cacheprovider")

    def refused(file: Path, text: str, *words: str) -> None:
        assert project.pytest(*no_cache, *words).returncode == 0
        assert project.gate() == 0
        before = file.read_text() if file.exists() else None
        file.write_text(text)
        assert project.gate() == 4, file
        file.unlink() if before is None else file.write_text(before)
        assert project.gate() == 0

    refused(top / "pytest.ini", "[pytest]\naddopts = -v\n")
    (top / "pytest.ini").write_text("[pytest]\n")
    refused(top / "a/pytest.ini", "[pytest]\naddopts = -v\n")
    for folder in (top, top / "a"):
        refused(folder / "conftest.py", "LIMIT = 1\n")
    elsewhere.parent.mkdir()
    elsewhere.write_text("[pytest]\n")
    (top / "conftest.py").write_text("LIMIT = 1\n")
    refused(top / "conftest.py", "LIMIT = 2\n", "-c", str(elsewhere))


def test_conftests_that_are_left_out(tmp_path: Path) -> None:
    """Row 164: by an option, or by where the run is started."""
    project = Project.make(tmp_path)
    project.write("conftest.py", (
        "import pytest\nfrom pytest_prodcheck import judge\n"
        "@pytest.fixture(autouse=True)\ndef every_check():\n    judge('so does a conftest', False)\n    yield\n"
    ))  # fmt: skip
    assert project.pytest().returncode == 13
    done = project.pytest("--noconftest")
    assert done.returncode == 4
    assert "--noconftest cannot be used together with --env" in done.stderr
    assert project.gate() == 3
    (tmp_path / "deploy").mkdir()
    for words in ((), ("-n", "1")):
        done = Project(tmp_path / "deploy").pytest(*words)
        assert done.returncode == 13, done.stdout + done.stderr
        assert "so does a conftest" in done.stdout


def test_workers_of_another_kind(tmp_path: Path) -> None:
    """Row 165: a worker without `assert`; those in other folders, by other interpreters, on other machines."""
    project = Project.make(tmp_path)
    project.write("conftest.py", "import os\nos.environ['PYTHONOPTIMIZE'] = '1'\n")
    done = project.pytest("-n", "1")
    assert done.returncode == 13, done.stdout + done.stderr
    assert "a worker's Python skips `assert`" in " ".join(done.stdout.split())
    assert project.gate() == 3
