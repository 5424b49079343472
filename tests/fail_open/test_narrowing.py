"""Row 5 and its kin: however a run is narrowed, what is missing keeps the gate closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project

FAILING = 'judge("fact is there", fact.value is not None)'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


NARROWED = {
    "-k": ["-k", "one"],
    "-k nothing": ["-k", "nosuchname"],
    "--deselect": ["--deselect", "checks/test_facts.py::test_two"],
    "a path": ["checks/test_facts.py::test_one"],
    "a folder": ["checks"],
    "--ignore": ["--ignore", "checks/test_facts.py"],
    "--ignore-glob": ["--ignore-glob", "*facts*"],
    "python_functions": ["-o", "python_functions=test_o*"],
    "python_files": ["-o", "python_files=nothing*.py"],
    "-m and not": ["-m", "smoke and not smoke"],
    "-p no:python": ["-p", "no:python"],
}


@pytest.mark.parametrize("arguments", NARROWED.values(), ids=NARROWED.keys())
def test_a_narrowed_run_cannot_open(project: Project, arguments: list[str]) -> None:
    """Row 5 (and 1, 3)."""
    done = project.pytest(*arguments)
    if arguments == ["checks"]:  # the bundled suites are left out, which catalogue.json knows
        assert done.returncode == 13, done.stdout
    assert done.returncode != 0, done.stdout
    assert project.gate() == 3


@pytest.mark.parametrize("way", ["PYTEST_ADDOPTS", "pytest.ini"])
def test_narrowed_by_configuration(project: Project, way: str) -> None:
    """Row 5: `addopts` and PYTEST_ADDOPTS."""
    if way == "pytest.ini":
        project.write("pytest.ini", "[pytest]\naddopts = -k one\n")
    else:
        project.environ["PYTEST_ADDOPTS"] = "-k one"
    assert project.pytest().returncode == 13
    assert project.gate() == 3


@pytest.mark.parametrize("arguments", [["--lf"], ["--ff", "-x"], ["--sw"], ["--maxfail", "1"], ["-x"]])
def test_after_a_failure(project: Project, arguments: list[str]) -> None:
    """Row 5: `--lf`, `--ff -x`, `--sw`, `--maxfail`: blocked with failures; fixed but partial they cannot tell."""
    good = (project.folder / "checks/test_facts.py").read_text(encoding="utf-8")
    project.edit(FAILING, "judge('fact is there', False)", "checks/test_facts.py")
    assert project.pytest().returncode == 1
    assert project.gate() == 1
    assert project.pytest(*arguments).returncode in (1, 2)
    assert project.gate() in (1, 3)
    project.write("checks/test_facts.py", good)
    done = project.pytest(*arguments)
    opened = project.gate() == 0
    everything_ran = "3 passed" in done.stdout
    assert opened == everything_ran, done.stdout


CONFTESTS = {
    "deselects": "def pytest_collection_modifyitems(items): items[:] = [i for i in items if 'two' not in i.name]\n",
    "deselects first": (
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_collection_modifyitems(items): items[:] = [i for i in items if 'two' not in i.name]\n"
    ),
    "collect_ignore": "collect_ignore = ['test_facts.py']\n",
    "ignores": "def pytest_ignore_collect(collection_path): return 'facts' in collection_path.name or None\n",
    "skips": (
        "import pytest\ndef pytest_collection_modifyitems(items):\n"
        "    for i in items:\n        if 'two' in i.name: i.add_marker(pytest.mark.skip(reason='no time'))\n"
    ),
    "skips at set-up": (
        "import pytest\ndef pytest_runtest_setup(item):\n    if 'two' in item.name: pytest.skip('no time')\n"
    ),
    "xfails": (
        "import pytest\ndef pytest_collection_modifyitems(items):\n"
        "    for i in items:\n        if 'two' in i.name: i.add_marker(pytest.mark.xfail)\n"
    ),
    "runs nothing": "def pytest_runtestloop(session): return True\n",
    "runs no protocol": "def pytest_runtest_protocol(item): return True\n",
    "calls nothing": "def pytest_pyfunc_call(pyfuncitem): return True\n",
    "exits": "import os\ndef pytest_runtest_call(item):\n    if 'two' in item.name: os._exit(0)\n",
    "exits politely": (
        "import pytest\ndef pytest_runtest_call(item):\n    if 'two' in item.name: pytest.exit('bye', returncode=0)\n"
    ),
    "stops": "def pytest_runtest_logreport(report):\n    raise KeyboardInterrupt\n",
    "drops the property": (
        "import pytest\nclass Late:\n    @pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "    def pytest_runtest_makereport(self, item, call):\n        report = yield\n"
        "        report.user_properties = []\n        return report\n"
        "def pytest_sessionstart(session): session.config.pluginmanager.register(Late())\n"
    ),
    "crashes at the end": "def pytest_sessionfinish(session): raise RuntimeError('late')\n",
    "cannot be imported": "import nosuchmodule\n",
}


@pytest.mark.parametrize("conftest", CONFTESTS.values(), ids=CONFTESTS.keys())
def test_a_conftest_cannot_open(project: Project, conftest: str) -> None:
    """Rows 5, 6, 32, 38, 41: a conftest that deselects, skips, hides, exits or crashes."""
    assert project.pytest().returncode == 0
    assert project.gate() == 0
    project.write("checks/conftest.py", conftest)
    project.pytest()
    assert project.gate() == 3, project.prodcheck("gate", "smoke", "--env", "dev").stdout


ONE = "from pytest_prodcheck import check, judge\n@check('{}', suite='smoke', severity='high')\ndef {}: judge('', {})\n"


@pytest.mark.parametrize("missing", ["t.smoke.pay", "t.smoke.pay.*"])
def test_a_check_that_is_named_as_the_beginning_of_another(project: Project, missing: str) -> None:
    """Row 173: what was collected of `t.smoke.pay.cash` tells nothing of `t.smoke.pay`."""
    project.write("checks/test_cash.py", ONE.format("t.smoke.pay.cash", "test_cash()", True))
    project.write("checks/test_pay.py", ONE.format(missing, "test_pay()", False))
    project.write("checks/conftest.py", "collect_ignore = ['test_pay.py']\n")
    assert f"{missing} (high)\n      expected check did not run" in project.pytest().stdout
    assert project.gate() == 3


FLIPS = {
    "flips the report": (
        "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
        "    report = yield\n    report.outcome = 'passed'\n    return report\n"
    ),
    "flips it last": (
        "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_runtest_makereport(item, call):\n"
        "    report = yield\n    report.outcome = 'passed'\n    report.longrepr = None\n    return report\n"
    ),
    "clears the exception": (
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_makereport(item, call):\n    call.excinfo = None\n"
    ),
    "flips it while logging": (
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_logreport(report):\n    report.outcome = 'passed'\n"
    ),
    "resets the exit status": "def pytest_sessionfinish(session): session.exitstatus = 0\n",
    "swallows the exception": (
        "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_call(item):\n"
        "    try:\n        return (yield)\n    except BaseException:\n        return None\n"
    ),
}


@pytest.mark.parametrize("conftest", FLIPS.values(), ids=FLIPS.keys())
def test_a_conftest_cannot_hide_a_failure(project: Project, conftest: str) -> None:
    """Rows 32, 38: whatever a conftest does to the report of a failed check, the gate does not open."""
    project.edit("value = 1.0", "value = 11.0")
    project.write("checks/conftest.py", conftest)
    project.pytest()
    assert project.gate() in (1, 3)


def test_a_check_that_swallows_its_failure_fails(project: Project) -> None:
    """Row 39."""
    swallowing = "\n    try:\n        judge('a', False)\n        assert False\n    except BaseException:\n        pass"
    project.edit(FAILING, swallowing, "checks/test_facts.py")
    assert project.pytest().returncode == 1
    assert project.gate() == 1


def test_a_check_that_judges_nothing_cannot_tell(project: Project) -> None:
    """Row 24."""
    project.edit(FAILING, "assert fact.value", "checks/test_facts.py")
    done = project.pytest()
    assert done.returncode == 13
    assert "did not call judge()" in done.stdout
    assert project.gate() == 3


def test_a_fixture_of_the_same_name_does_not_feed_its_own_evidence(project: Project) -> None:
    """Row 40: here the `limit` fixture; evidence fixtures go the same way."""
    project.write("checks/conftest.py", (
        "import pytest\nfrom pytest_prodcheck import Limit\n"
        "@pytest.fixture\ndef limit(): return Limit(fail=10**9)\n"
    ))  # fmt: skip
    project.edit("value = 1.0", "value = 11.0")
    done = project.pytest()
    assert done.returncode == 13, done.stdout
    assert "overrides" in done.stdout
    assert project.gate() == 3


def test_one_check_id_twice(project: Project) -> None:
    """Row 37."""
    more = (project.folder / "checks/test_facts.py").read_text(encoding="utf-8")
    project.write("checks/sub/test_others.py", more.replace('collector("fact"', 'collector("fact2"'))
    done = project.pytest()
    assert done.returncode == 4
    assert "t.smoke.one" in done.stderr
    assert project.gate() == 3
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 2


def test_a_run_of_all_but_one_suite_is_about_the_others(project: Project) -> None:
    """Row 183: `-m "not performance"` found a failure, and the verdict of the run before stayed open."""
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 0
    done = project.pytest("-m", "not performance")
    assert "expected checks did not run" not in done.stdout
    assert {each.stem for each in project.verdict_files()} == {"smoke", "security", "pre_deploy", "data_integrity"}


@pytest.mark.parametrize("expression", ["smok", "smoke or securty", "not smok"])
def test_a_misspelt_marker(project: Project, expression: str) -> None:
    """Row 4."""
    done = project.pytest("-m", expression)
    assert done.returncode == 4
    assert "did you mean" in done.stderr
    assert project.gate() == 3
    assert project.pytest("-m", expression, "-n", "2").returncode == 4


@pytest.mark.parametrize(
    "mode", ["--collect-only", "--help", "--markers", "--setup-plan", "--cache-show", "--fixtures"]
)
def test_modes_that_only_inform_touch_no_gate(project: Project, mode: str) -> None:
    """Row 41."""
    assert project.pytest(mode).returncode == 0
    assert project.gate() == 3
    assert project.pytest().returncode == 0
    assert project.pytest(mode).returncode == 0
    assert project.gate() == 0


def test_an_empty_threshold_or_one_for_no_check(project: Project) -> None:
    """Row 13."""
    for line in ('"t.smoke.one" = {}', '"t.smoke.won" = { fail = 3 }'):
        project.write(
            "prodcheck.toml",
            f"{(project.folder / 'prodcheck.toml').read_text()}\n[environments.dev.thresholds]\n{line}\n",
        )
        done = project.pytest()
        assert done.returncode == 4, done.stdout
        assert "t.smoke" in done.stderr
        project.edit(f"\n[environments.dev.thresholds]\n{line}\n", "")


def test_a_crashed_worker(project: Project) -> None:
    """Row 6."""
    project.write("checks/conftest.py", CONFTESTS["exits"])
    project.pytest("-n", "2")
    assert project.gate() == 3


RETRY = "import pytest\nCOUNT = []\n"


def test_retried_until_it_passed_warns(project: Project) -> None:
    """Row 25."""
    pytest.importorskip("pytest_rerunfailures", reason="pip install pytest-rerunfailures")
    project.edit(FAILING, "TRIES.append(1)\n    judge('second time', len(TRIES) > 1)", "checks/test_facts.py")
    project.edit("from dataclasses", "TRIES = []\nfrom dataclasses", "checks/test_facts.py")
    done = project.pytest("--reruns", "2")
    assert done.returncode == 0, done.stdout
    assert "flaky" in done.stdout
    assert project.gate() == 0
    assert project.gate("--strict") == 1
