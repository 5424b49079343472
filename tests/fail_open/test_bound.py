"""Rows 110-117: a verdict is about what decided it, and holds for nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_prodcheck.gates import bound_files
from tests.project import CHECKS, TOML, Project

FACTS = "checks/test_facts.py"
FAILING = (
    "from pytest_prodcheck import check, judge\n"
    '@check("t.smoke.new", suite="smoke", severity="critical")\n'
    "def test_new(): judge('never', False)\n"
)
OTHER = FAILING.replace("t.smoke.new", "t.smoke.other").replace("False", "True")
OVERRIDE = ("override", "smoke", "--reason", "checked by hand", "--ticket", "T-1", "--for", "30m")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


def test_an_override_is_for_the_revision_that_was_meant(project: Project) -> None:
    """Row 110: from the variable or from prodcheck.toml, it is recorded as if it had been given."""
    project.environ["PRODCHECK_REVISION"] = "v1"
    assert project.prodcheck(*OVERRIDE, "--env", "live").returncode == 0
    assert project.gate("--revision", "v1", env="live") == 0
    assert project.gate("--revision", "v2", env="live") == 3
    del project.environ["PRODCHECK_REVISION"]
    assert project.prodcheck(*OVERRIDE, "--env", "dev").returncode == 0
    assert project.gate() == 0
    project.edit('revision = "r1"', 'revision = "r9"')
    assert project.gate() == 3
    project.edit('revision = "r9"\n', "")
    assert project.gate() == 3


@pytest.mark.parametrize("env", ["dev", "live"])
def test_an_empty_revision_is_a_mistake_everywhere(project: Project, env: str) -> None:
    """Row 110: `--revision "$UNSET"`."""
    empty = ("--env", env, "--revision", "")
    assert project.pytest("--revision", "", env=env).returncode == 4
    for words in (("gate", "smoke"), ("run", "smoke"), ("exec", "smoke"), OVERRIDE):
        done = project.prodcheck(*words, *empty, *(("--", "true") if words[0] == "exec" else ()))
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert "--revision is empty" in done.stdout + done.stderr


def test_an_override_for_whatever_was_judged(project: Project) -> None:
    """Row 110."""
    project.edit('revision = "r1"\n', "")
    assert project.prodcheck(*OVERRIDE, "--env", "dev").returncode == 0
    assert project.gate() == 0
    assert project.gate("--revision", "v7") == 3


@pytest.mark.parametrize(("seconds", "code"), [(600.0, 0), (-5.0, 4)])
def test_a_window_that_ends_after_the_run(project: Project, seconds: float, code: int) -> None:
    """Row 181: evidence that says how long it is valid; the gate's own `max_age` is longer."""
    until = time.time() + seconds
    project.edit("    value: float\n", f"    value: float\n    valid_until: float = {until!r}\n", FACTS)
    project.edit("[environments.dev]", "[gates.defaults]\nmax_age = \"24h\"\n[environments.dev]")
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == code
    assert project.gate() == code
    assert project.verdict()["expires_at"] == until


NEEDS = """
[environments.prod]
revision = "r1"
[environments.prod.own.fact]
value = 1.0
[gates.before]
environments = ["prod"]
select = ["t.smoke.*"]
needs = [{ gate = "dev:smoke" }]
"""


@pytest.mark.parametrize("spoil", ["toml", "checks", "added"])
def test_a_needed_gate_is_admitted_as_any(tmp_path: Path, spoil: str) -> None:
    """Row 111: what `prodcheck gate` refuses does not promote."""
    project = Project.make(tmp_path, TOML + NEEDS)
    assert project.pytest().returncode == 0
    assert project.pytest("--gate", "before", env="prod").returncode == 0
    if spoil == "toml":
        text = (tmp_path / "prodcheck.toml").read_text()
        project.write("prodcheck.toml", text.replace("value = 1.0", "value = 9.0", 1))
    elif spoil == "checks":
        project.edit("fail=10", "fail=20", FACTS)
    else:
        project.write("checks/test_other.py", OTHER)
    assert project.gate() == 4
    done = project.pytest("--gate", "before", env="prod")
    assert done.returncode == 13, done.stdout
    assert "needs dev:smoke" in done.stdout
    assert project.gate(env="prod", name="before") == 3


def test_the_embedded_demo_is_not_the_declared_one(project: Project) -> None:
    """Row 112; that the embedded one's own verdict opens is `tests/gates/test_admission.py`."""
    from pytest_prodcheck.gates.bound_files import why_not

    root = str(project.folder)
    assert why_not(root, "demo", {}) == []
    for name, text in (
        ("prodcheck.toml", 'version = 1\n[environments.demo]\nrevision = "r1"\n'),
        ("prodcheck.toml", 'version = 1\n[environments."d\\u0065mo"]\nrevision = "r1"\n'),
        ("more.toml", '[environments.demo]\nrevision = "r1"\n'),
    ):
        project.write("prodcheck.toml", 'version = 1\ninclude = ["mor*.toml"]\n')
        project.write(name, text)
        assert why_not(root, "demo", {}) != [], text
        (project.folder / "more.toml").unlink(missing_ok=True)


AFTERWARDS: dict[str, Callable[[Path], object]] = {
    "edited": lambda folder: (folder / FACTS).write_text(CHECKS + "\n# other\n"),
    "removed": lambda folder: (folder / FACTS).unlink(),
    "renamed": lambda folder: (folder / FACTS).rename(folder / "checks/test_facts2.py"),
    "a check": lambda folder: (folder / "checks/test_new.py").write_text(FAILING),
    "a conftest": lambda folder: (folder / "checks/conftest.py").write_text(""),
    "a conftest above": lambda folder: (folder / "conftest.py").write_text(""),
    "data": lambda folder: (folder / "checks/limits.json").write_text("{}"),
    "hidden data": lambda folder: (folder / "checks/.limits.json").write_text("{}"),
    "data in a hidden folder": lambda folder: Project(folder).write("checks/.data/limits.json", "{}"),
    "a helper": lambda folder: (folder / "checks/helper.py").write_text("LIMIT = 2\n"),
    "a helper elsewhere": lambda folder: (folder / "lib/elsewhere.py").write_text("LIMIT = 2\n"),
    "a subfolder": lambda folder: Project(folder).write("checks/deep/test_new.py", FAILING),
}


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_what_decided_is_bound(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Row 113: after the run."""
    project = Project.make(tmp_path / "judged")
    project.write("checks/helper.py", "LIMIT = 1\n")
    project.write("lib/elsewhere.py", "LIMIT = 1\n")
    project.write(FACTS, "import sys\nsys.path.append('lib')\nfrom helper import LIMIT\nimport elsewhere\n" + CHECKS)
    done = project.pytest(*workers)
    assert done.returncode == 0, done.stdout
    assert project.gate() == 0
    for name, change in AFTERWARDS.items():
        other = Project(Path(shutil.copytree(project.folder, tmp_path / name)))
        assert other.gate() == 0, name
        for left in (".test_facts.py.swp", ".pytest_cache/v", "test_facts.py~", ".DS_Store", ".coverage", ".git/HEAD"):
            other.write(f"checks/{left}", "x")
        assert other.gate() == 0, name
        change(other.folder)
        assert other.gate() == 4, name


SLOW = """

@check("t.smoke.slow", suite="smoke", severity="low", needs={"fact": "fact"})
def test_slow(fact):
    import time, pathlib
    pathlib.Path("running").touch()
    while pathlib.Path("running").exists():
        time.sleep(0.05)
    judge("x", True)
"""


@pytest.mark.parametrize("what", ["edited", "put back", "toml", "added", "removed"])
def test_edited_while_the_run_goes_on(tmp_path: Path, what: str) -> None:
    """Row 113: `git pull` during a run."""
    project = Project.make(tmp_path, checks=CHECKS + SLOW)
    words = [sys.executable, "-m", "pytest", "--env", "dev", "-m", "smoke", "-p", "no:randomly"]
    run = subprocess.Popen(words, cwd=tmp_path, env=project.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "running").exists():
            assert time.monotonic() < until
            assert run.poll() is None
            time.sleep(0.05)
        file = tmp_path / FACTS
        if what in ("edited", "put back"):
            project.edit("fail=10", "fail=99", FACTS)
            if what == "put back":
                project.edit("fail=99", "fail=10", FACTS)
                os.utime(file)
        elif what == "toml":
            project.edit("value = 1.0", "value = 99.0")
        elif what == "added":
            project.write("checks/test_new.py", FAILING)
        else:
            file.unlink()
        (tmp_path / "running").unlink()
        out = run.communicate(timeout=60)[0].decode()
    finally:
        run.kill()
    assert run.returncode == 13, out
    assert "during the run" in out
    assert "Traceback" not in out
    assert project.gate() in (3, 4)


def test_a_waiver_of_everything(project: Project) -> None:
    """Row 114."""
    waiver = (
        '[[waivers]]\ncheck = "{}"\ntarget = "*"\nenvironment = "*"\nreason = "r"\nowner = "me"\nticket = "T-1"\n'
        "expires = 2999-01-01\n"
    )
    project.write("prodcheck.toml", TOML + waiver.format("*"))
    project.edit("value = 1.0", "value = 11.0")
    done = project.pytest()
    assert done.returncode == 0
    assert "covers every check on every target" in " ".join(done.stdout.split())
    assert project.pytest("--revision", "r1", env="live").returncode == 12
    assert project.gate("--revision", "r1", env="live") == 2
    project.write("prodcheck.toml", TOML + waiver.format("*.*"))
    assert project.pytest("--revision", "r1", env="live").returncode == 12
    project.write("prodcheck.toml", TOML + waiver.format("t.smoke.*"))
    assert project.pytest("--revision", "r1", env="live").returncode == 0


def test_a_needed_gate_that_is_blocked_after_the_run(project: Project) -> None:
    """Row 185: the verdict of the gate that needs it is still young."""
    project.write("prodcheck.toml", TOML + NEEDS)
    project.edit("return Fact(float(str(settings[\"value\"])))", "return Fact(float(open('measured').read()))", FACTS)
    project.write("measured", "1")
    for gate, env in (("smoke", "dev"), ("before", "prod")):
        assert project.prodcheck("run", gate, "--env", env).returncode == 0
    project.write("measured", "11")
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 1
    done = project.prodcheck("gate", "before", "--env", "prod")
    assert (done.returncode, "needs dev:smoke: it has been blocked since" in done.stdout) == (1, True), done.stdout
    project.write("measured", "1")
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 0
    assert project.gate(env="prod", name="before") == 0


def test_a_cycle_of_needs(project: Project) -> None:
    """Row 115."""
    gate = '[gates.{}]\nselect = ["t.smoke.*"]\nneeds = [{{ gate = "dev:{}" }}]\n'
    for names in (("a", "a"), ("a", "b"), ("a", "c")):
        others = [("b", "a"), ("c", "b")] if names[1] != "a" else []
        project.write("prodcheck.toml", TOML + "".join(gate.format(*each) for each in [names, *others]))
        done = project.pytest("--gate", "a")
        assert done.returncode == 4, done.stdout
        assert "a cycle: dev:a needs" in done.stderr + done.stdout
    project.write("prodcheck.toml", TOML + gate.format("a", "b") + gate.format("b", "smoke"))
    assert project.pytest("--gate", "a").returncode == 13


def test_a_promotion_through_one_gate_is_no_cycle(project: Project) -> None:
    """Row 115, the other law: the same gate of another environment."""
    needs = '[gates.before]\nenvironments = ["live"]\nselect = ["t.smoke.*"]\nneeds = [{ gate = "dev:smoke" }]\n'
    project.write("prodcheck.toml", TOML + needs)
    assert project.pytest().returncode == 0
    assert project.pytest("--gate", "before", "--revision", "r1", env="live").returncode == 0


HIDDEN_SUITES = {
    "a constant": ('suite="smoke"', "suite=SUITE"),
    "keywords": ('suite="smoke", severity="critical"', "**COMMON"),
}


@pytest.mark.parametrize("old_new", HIDDEN_SUITES.values(), ids=HIDDEN_SUITES.keys())
def test_a_suite_that_is_not_written_there(project: Project, old_new: tuple[str, str]) -> None:
    """Row 116: and the file is not collected."""
    text = 'SUITE = "smoke"\nCOMMON = {"suite": SUITE, "severity": "critical"}\n'
    project.write("checks/facts.py", text + CHECKS.replace(*old_new))
    (project.folder / FACTS).unlink()
    project.write("checks/test_other.py", OTHER)
    done = project.pytest()
    assert done.returncode == 4, done.stdout
    assert "@check" in done.stderr + done.stdout
    assert project.gate() == 3


def test_one_id_a_target(tmp_path: Path) -> None:
    """Row 117."""
    dependencies = '[environments.dev.dependencies]\nup = { tcp = "127.0.0.1:9" }\n[gates.g]\nselect = ["t.smoke.*"]\n'
    project = Project.make(tmp_path, TOML + dependencies)
    project.write("checks/test_new.py", (
        "from pytest_prodcheck import check, judge\n"
        '@check("t.smoke.port.*", suite="smoke", severity="critical")\n'
        "def test_port(tcp_port): judge('was looked at', tcp_port is not None)\n"
    ))  # fmt: skip
    for selection in ('["t.smoke.*"]', '["t.smoke.one", "t.smoke.port.up"]'):
        project.edit('["t.smoke.*"]', selection)
        done = project.prodcheck("run", "g", "--env", "dev", "--", "-p", "no:randomly", "checks")
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("4 passed" if "one" not in selection else "2 passed") in done.stdout


def test_a_relative_import_under_xdist(project: Project) -> None:
    """Row 117."""
    project.write("checks/__init__.py", "")
    project.write("checks/common.py", "ANSWER = 1.0\n")
    project.write(FACTS, "from .common import ANSWER\n" + CHECKS)
    for workers in ((), ("-n", "2")):
        done = project.pytest(*workers)
        assert done.returncode == 0, done.stdout
        assert project.gate() == 0


def test_a_check_that_leaves_the_folder(project: Project) -> None:
    """Row 125."""
    project.write("checks/test_new.py", (
        "import os, tempfile\nfrom pytest_prodcheck import check, judge\n"
        '@check("t.smoke.cwd", suite="smoke", severity="critical")\n'
        "def test_cwd():\n    d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d); judge('x', True)\n"
    ))  # fmt: skip
    done = project.pytest()
    assert done.returncode == 0, done.stdout
    assert project.gate() == 0


def test_a_link_that_leads_back(project: Project) -> None:
    """Row 125: it ends, with one clear answer."""
    (project.folder / "checks/loop").symlink_to(".")
    done = project.pytest()
    assert done.returncode == 4, done.stdout
    assert "exists twice" in done.stdout + done.stderr
    assert project.gate() == 3


def test_a_module_named_as_one_of_pythons(project: Project) -> None:
    """Row 125: `./pytest.py` that ends at once opens nothing."""
    project.write("pytest.py", "import sys; sys.exit(0)\n")
    done = project.command(sys.executable, "-m", "pytest_prodcheck.cli", "run", "smoke", "--env", "dev")
    assert done.returncode != 0, done.stdout
    (project.folder / "pytest.py").unlink()
    assert project.gate() == 3


def test_what_pytest_is_told_is_bound(tmp_path: Path) -> None:
    """Row 134: also above prodcheck.toml, where those of a whole repository lie; what other tools are told is not."""
    settings = '[project]\nname = "x"\n[tool.pytest.ini_options]\naddopts = ["-ra"]\n[tool.ruff]\nline-length = 90\n'
    project = Project.make(tmp_path / "judged/ops")
    top = tmp_path / "judged"
    (top / "pyproject.toml").write_text(settings)
    (top / "conftest.py").write_text("LIMIT = 1\n")
    assert project.pytest("-p", "no:cacheprovider").returncode == 0
    changes: dict[str, tuple[str, str, int]] = {
        "untouched": ("ops/notes.txt", "x", 0),
        "other tools": ("pyproject.toml", settings.replace("90", "100").replace('"x"', '"y"'), 0),
        "settings": ("pyproject.toml", settings.replace("-ra", "-rA"), 4),
        "nearer settings": ("ops/pytest.ini", "[pytest]\n", 4),
        "a conftest": ("conftest.py", "LIMIT = 2\n", 4),
    }
    for what, (name, text, code) in changes.items():
        other = tmp_path / what
        shutil.copytree(top, other)
        (other / name).write_text(text)
        assert Project(other / "ops").gate() == code, what


TABLES = (
    ("tox.ini", "[pytest]\npython_files =\n    [t]est_*.py\naddopts = -ra\n[testenv]\nname = x\n"),
    ("setup.cfg", "[tool:pytest]\nmarkers =\n  [x] slow\naddopts = -ra\n[metadata]\nname = x\n"),
    ("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = '''\n[slow]: x\n'''\naddopts = '-ra'\n"),
    ("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = [\n'a[1]',\n]\naddopts = '-ra'\n[tool.x]\nname = 1\n"),
    ("pyproject.toml", "[ tool.pytest.ini_options ]\naddopts = '-ra'\n[tool.x]\nname = 1\n"),
    ("pyproject.toml", "[\"tool\".pytest.ini_options]\naddopts = '-ra'\n[tool.x]\nname = 1\n"),
    ("pyproject.toml", "[tool.pytest.ini_options] # a, b,\naddopts = '-ra'\n[tool.x]\nname = 1\n"),
    ("pyproject.toml", "[tool]\npytest.ini_options.addopts = [\n'-ra',\n]\n[tool.x]\nname = 1\n"),
)


@pytest.mark.parametrize(("name", "text"), TABLES)
def test_what_looks_like_the_next_table_of_settings(name: str, text: str, tmp_path: Path) -> None:
    """Row 170: all that pytest is told is bound, also behind a value with brackets."""
    (tmp_path / name).write_text(text)
    bound = bound_files.digest(str(tmp_path), "pytest:.")
    (tmp_path / name).write_text(text.replace("-ra", "-rA"))
    assert bound_files.digest(str(tmp_path), "pytest:.") != bound
    (tmp_path / name).write_text(text.replace("name", "names"))
    assert bound_files.digest(str(tmp_path), "pytest:.") == bound


def test_a_helper_beside_checks_that_lie_elsewhere(tmp_path: Path) -> None:
    """Row 171: `checks = ["../common/checks"]`, whose conftest has Python find what lies beside it."""
    project = Project.make(tmp_path / "shop")
    (tmp_path / "common").mkdir()
    (project.folder / "checks").rename(tmp_path / "common/checks")
    project.edit('checks = ["checks"]', 'checks = ["../common/checks"]')
    helper = project.write("../common/lib/helper.py", "LIMIT = 99\n")
    found = "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'lib'))\n"
    project.write("../common/checks/conftest.py", found)
    project.edit("from dataclasses", "from helper import LIMIT\nfrom dataclasses", "../common/checks/test_facts.py")
    assert project.pytest().returncode == 0
    assert project.gate() == 0
    helper.write_text("LIMIT = 100\n")
    assert project.gate() == 4


def test_links_to_one_folder_are_read_in_order(tmp_path: Path) -> None:
    """In whichever order the file system keeps them: a copy is no change."""
    for folder, links in (("a", "xyz"), ("b", "zyx")):
        (tmp_path / folder / "real").mkdir(parents=True)
        (tmp_path / folder / "real/one.py").touch()
        (tmp_path / folder / "checks").mkdir()
        for each in links:
            (tmp_path / folder / "checks" / each).symlink_to("../real")
    assert bound_files.files_in(str(tmp_path / "a"), "checks") == bound_files.files_in(str(tmp_path / "b"), "checks")


def test_byte_code_is_of_the_source_that_is_bound(project: Project) -> None:
    """Row 135: a helper of the same length, its time set back as `cp -p` and archives do; byte code alone."""
    project.write("checks/helper.py", "LIMIT = 99\n")
    project.edit("from dataclasses", "from helper import LIMIT\nfrom dataclasses", FACTS)
    project.edit("at_most=limit)", "at_most=limit)\n    judge('of a helper', 50, at_most=LIMIT)", FACTS)
    writes = {**project.env(), "PYTHONDONTWRITEBYTECODE": ""}
    words = [sys.executable, "-m", "pytest", "--env", "dev", "-m", "smoke", "-p", "no:randomly", "-q"]
    assert subprocess.run(words, cwd=project.folder, env=writes, capture_output=True, check=False).returncode == 0
    assert list(project.folder.glob("checks/__pycache__/helper.*.pyc"))
    before = (project.folder / "checks/helper.py").stat()
    project.write("checks/helper.py", "LIMIT = 10\n")
    os.utime(project.folder / "checks/helper.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert project.gate() == 4
    assert project.pytest().returncode == 1
    assert project.gate() == 1
    project.write("checks/helper.py", "LIMIT = 99\n")
    assert project.pytest().returncode == 0
    project.write("checks/other.pyc", "x")
    assert project.gate() == 4


@pytest.mark.parametrize("option", ["--slot", "--unit", "--verdict", "--max-age"])
def test_an_option_that_is_empty(project: Project, option: str) -> None:
    """Row 136: `--slot "$SLOT"` would ask about all slots."""
    assert project.prodcheck("override", "smoke", "--env", "dev", *OVERRIDE[2:]).returncode == 0
    assert project.gate() == 0
    done = project.prodcheck("gate", "smoke", "--env", "dev", option, "")
    assert (done.returncode, f"{option} is empty" in done.stderr) == (2, True), done.stderr
    assert project.gate(f"{option}=") == 2
    if option in ("--slot", "--unit"):
        assert project.pytest(f"{option}=").returncode == 4
        for words in (("run", "smoke"), OVERRIDE, ("exec", "smoke")):
            more = ("--", "true") if words[0] == "exec" else ()
            assert project.prodcheck(*words, "--env", "dev", option, " ", *more).returncode == 2


def test_a_verdict_that_was_kept_elsewhere(project: Project) -> None:
    """Row 137: `--verdict` of before a run that came to another end here."""
    assert project.pytest().returncode == 0
    kept = shutil.copy(project.verdict_files()[0], project.folder / "kept.json")
    assert project.gate("--verdict", str(kept)) == 0
    assert project.pytest("-k", "two").returncode == 13
    assert project.gate("--verdict", str(kept)) == 3


def test_what_evidence_relied_on_is_bound(tmp_path: Path) -> None:
    """Row 134: schemas, manifests, CAs within the project; what lies elsewhere is the machine's."""
    from pytest_prodcheck.gates.bound_files import changed
    from pytest_prodcheck.plugin.binding import Binding

    for name in ("k8s/a.yaml", "schema.json", "locustfile.py"):
        Project(tmp_path).write(name, "1")
    bound = Binding(tmp_path, {}, [])
    bound.opened_at += 60  # all of them were there before
    bound.add_named(["k8s/*.yaml", "schema.json", str(tmp_path / "locustfile.py"), "/etc/hosts", "../ca.pem"])
    assert set(bound.files) == {"include:k8s/*.yaml", "k8s/a.yaml", "schema.json", "locustfile.py"}
    assert bound.changes() == []
    Project(tmp_path).write("k8s/b.yaml", "1")
    Project(tmp_path).write("schema.json", "2")
    assert changed(str(tmp_path), bound.files) == ["other files match 'k8s/*.yaml'", "schema.json has changed"]
