"""Rows 48-55: what a check is given, who has the last word, and what was lost on the way."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.evidence.http.servers import ok, web
from tests.project import Project

FACTS = "checks/test_facts.py"
GOOD = 'judge("fact is there", fact.value is not None)'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


SWAPPED = {
    "limit built on ours": (
        "import pytest\nfrom pytest_prodcheck import Limit\n"
        "@pytest.fixture\ndef limit(limit): return Limit(fail=10**9)\n"
    ),
    "limit at set-up": (
        "import pytest\nfrom pytest_prodcheck import Limit\n@pytest.hookimpl(trylast=True)\n"
        "def pytest_runtest_setup(item):\n    if 'limit' in item.funcargs: item.funcargs['limit'] = Limit(fail=10**9)\n"
    ),
    "evidence before the call": (
        "import pytest\nclass Fake: value = 1.0\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_pyfunc_call(pyfuncitem):\n"
        "    if 'fact' in pyfuncitem.funcargs: pyfuncitem.funcargs['fact'] = Fake()\n"
    ),
}


@pytest.mark.parametrize("conftest", SWAPPED.values(), ids=SWAPPED.keys())
def test_a_check_is_given_the_very_object_that_was_gathered(project: Project, conftest: str) -> None:
    """Row 48."""
    project.edit("value = 1.0", "value = 11.0")
    project.write("checks/conftest.py", conftest)
    done = project.pytest()
    assert done.returncode == 13, done.stdout
    assert "did not come from prodcheck" in " ".join(done.stdout.split())
    assert project.gate() == 3


CHANGED = {
    "before the call": "def pytest_runtest_call(item): vars(item.funcargs['fact'])['value'] = 1.0\n",
    "just before the body": (
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_pyfunc_call(pyfuncitem): pyfuncitem.funcargs['fact'].__dict__['value'] = 1.0\n"
    ),
    "its limit": (
        "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem):\n"
        "    if 'limit' in pyfuncitem.funcargs: object.__setattr__(pyfuncitem.funcargs['limit'], 'fail', 100)\n"
    ),
}


@pytest.mark.parametrize("conftest", CHANGED.values(), ids=CHANGED.keys())
def test_what_a_check_is_given_was_changed_in_place(project: Project, conftest: str) -> None:
    """Row 65: the very object, but it no longer says what was gathered."""
    project.edit("value = 1.0", "value = 11.0")
    project.edit("@dataclass(frozen=True)", "@dataclass", FACTS)
    project.write("checks/conftest.py", conftest)
    done = project.pytest()
    assert done.returncode == 13, done.stdout
    assert "was changed after it was gathered" in " ".join(done.stdout.split())
    assert project.gate() == 3


def test_evidence_of_another_target(tmp_path: Path) -> None:
    """Row 49: `prodcheck_target` overridden, so that every check looks at the one good target."""
    with socket.create_server(("127.0.0.1", 0)) as up, socket.create_server(("127.0.0.1", 0)) as gone:
        ports = up.getsockname()[1], gone.getsockname()[1]
        gone.close()
        project = Project.make(tmp_path, (
            'version = 1\nchecks = ["checks"]\n[environments.dev]\nrevision = "r1"\n[environments.dev.dependencies]\n'
            f'up = {{ tcp = "127.0.0.1:{ports[0]}" }}\ndown = {{ tcp = "127.0.0.1:{ports[1]}" }}\n'
        ), "")  # fmt: skip
        project.write("checks/test_more.py", (
            "from pytest_prodcheck import check, judge\n"
            '@check("t.smoke.port", suite="smoke", severity="high")\n'
            "def test_port(tcp_port): judge('accepts', tcp_port.accepted)\n"
        ))  # fmt: skip
        assert project.pytest().returncode == 1
        project.write("checks/conftest.py", (
            "import pytest\nfrom pytest_prodcheck.environments.targets import Target\n"
            "@pytest.fixture\ndef prodcheck_target(prodcheck_target): return Target(prodcheck_target.kind, 'up')\n"
        ))  # fmt: skip
        done = project.pytest()
    assert done.returncode == 1, done.stdout  # the bundled check is out of the conftest's reach
    assert "tcp_port did not come from prodcheck" in " ".join(done.stdout.split())
    assert project.gate() == 1


def test_evidence_that_is_not_declared_cannot_be_brought_along(project: Project) -> None:
    """Row 67: a check is handed None for it, by prodcheck alone."""
    with web(ok) as server:
        project.edit(
            'revision = "r1"\n',
            f'revision = "r1"\n[environments.dev.services.shop]\nurl = "http://127.0.0.1:{server.port}"\n'
            '[environments.dev.services.shop.endpoints]\nhome = { request = "GET /", status = 200 }\n',
        )
        project.write("checks/test_more.py", (
            "from pytest_prodcheck import check, judge\n"
            '@check("t.smoke.contract", suite="smoke", severity="high")\n'
            "def test_contract(http_endpoint, http_contract): judge('no contract', http_contract in (None, 'mine'))\n"
        ))  # fmt: skip
        done = project.pytest()
        assert done.returncode == 0, done.stdout
        project.write("checks/conftest.py", "import pytest\n@pytest.fixture\ndef http_contract(): return 'mine'\n")
        done = project.pytest()
    assert done.returncode == 13, done.stdout
    assert "http_contract did not come from prodcheck" in " ".join(done.stdout.split())
    assert project.gate() == 3


def test_a_check_that_changes_its_evidence(project: Project) -> None:
    """Row 50: the next check judges what was gathered, not what the one before left of it."""
    project.edit("value = 1.0", "value = 11.0")
    project.edit("@dataclass(frozen=True)", "@dataclass", FACTS)
    first = '@check("t.smoke.zero", suite="smoke", severity="low", needs={"fact": "fact"})\n'
    first += 'def test_zero(fact):\n    judge("a", True)\n    fact.value = 1.0\n\n\n'
    project.edit('@check("t.smoke.one"', f'{first}@check("t.smoke.one"', FACTS)
    assert project.pytest().returncode == 1
    assert project.gate() == 1


def test_evidence_that_is_no_plain_data(project: Project) -> None:
    """Row 50."""
    project.edit('return Fact(float(str(settings["value"])))', "return Fact(threading.Lock())", FACTS)
    project.edit("from dataclasses", "import threading\nfrom dataclasses", FACTS)
    done = project.pytest()
    assert done.returncode == 13
    assert "not plain data" in " ".join(done.stdout.split())


def test_what_breaks_before_the_body_is_told_as_it_is(project: Project) -> None:
    """A set-up that fails is not an overridden fixture."""
    broken = "import pytest\n@pytest.fixture(autouse=True)\ndef early(): raise RuntimeError('no room')\n"
    project.write("checks/conftest.py", broken)
    done = project.pytest()
    assert done.returncode == 13
    assert "RuntimeError: no room" in done.stdout
    assert "overrides" not in done.stdout


@pytest.mark.parametrize("child", ["judge('child', True)\n        time.sleep(1.5)", "raise SystemExit(0)"])
def test_a_check_that_forks(project: Project, child: str) -> None:
    """Row 51: the child runs on with a copy of everything; it may neither publish nor end what the parent needs."""
    body = f"import os, time\n    if os.fork():\n        judge('parent', False)\n    else:\n        {child}\n"
    project.edit(GOOD, body, FACTS)
    assert project.pytest().returncode == 1  # waits for the child too: it holds the pipe
    assert project.gate() == 1


def test_pytest_told_to_end_well_before_it_ran(project: Project) -> None:
    """Row 52: somebody else's `pytest_cmdline_main` answers first."""
    assert project.pytest().returncode == 0
    project.write("checks/conftest.py", "def pytest_cmdline_main(config): return 0\n")
    assert project.pytest().returncode == 13
    assert project.gate() == 3


def test_a_module_that_could_not_be_collected(project: Project) -> None:
    """Row 53: also where pytest is told to go on."""
    project.write("checks/test_plain.py", (
        "import nosuchmodule\nimport pytest\n@pytest.mark.smoke\ndef test_plain(): assert False\n"
    ))  # fmt: skip
    assert project.pytest("--continue-on-collection-errors").returncode == 13
    assert project.gate() == 3


def test_an_empty_env(project: Project) -> None:
    """Row 54: `--env "$UNSET"` must not fall back to a run without environment."""
    project.write("plain/test_plain.py", "import pytest\n@pytest.mark.smoke\ndef test_plain(): pass\n")
    done = project.command(sys.executable, "-m", "pytest", "--env=", "plain", "-p", "no:randomly")
    assert done.returncode == 4
    assert "--env is empty" in done.stderr


@pytest.mark.parametrize("part", ["controller", "judging", "fixtures", "last-look", "distributed"])
def test_no_part_of_prodcheck_can_be_left_out(project: Project, part: str) -> None:
    """Row 55: it is refused at once instead of waiting for evidence that nobody gathers."""
    workers = ("-n", "2") if part == "distributed" else ()
    done = project.pytest("-p", f"no:prodcheck-{part}", *workers)
    assert done.returncode == 4
    assert f"no:prodcheck-{part}" in done.stderr
    assert project.gate() == 3


@pytest.mark.parametrize("environ", [{"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, {"PYTEST_ADDOPTS": "-p no:prodcheck"}])
def test_without_the_plugin_nothing_opens(project: Project, environ: dict[str, str]) -> None:
    """Row 55."""
    project.environ.update(environ)
    assert project.pytest().returncode == 4
    assert project.prodcheck("run", "smoke", "--env", "dev").returncode == 2
    assert project.gate() == 3


TWICE = (
    "import pytest\nfrom _pytest.runner import runtestprotocol\n@pytest.hookimpl(tryfirst=True)\n"
    "def pytest_runtest_protocol(item, nextitem):\n"
    "    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)\n"
    "    reports = runtestprotocol(item, nextitem=nextitem, log=False)\n"
    "    if any(each.failed for each in reports):\n"
    "        item._initrequest()\n        reports = runtestprotocol(item, nextitem=nextitem, log=False)\n"
    "    for each in reports: item.ihook.pytest_runtest_logreport(report=each)\n"
    "    return True\n"
)


def test_a_retry_that_nobody_reports(project: Project) -> None:
    """Row 25: the reports of the bad try never reach us, the item remembers it."""
    project.edit(GOOD, "TRIES.append(1)\n    judge('second time', len(TRIES) > 1)", FACTS)
    project.edit("from dataclasses", "TRIES = []\nfrom dataclasses", FACTS)
    project.write("checks/conftest.py", TWICE)
    done = project.pytest()
    assert done.returncode == 0, done.stdout
    assert "flaky: passed on attempt 2" in done.stdout
    assert project.gate("--strict") == 1


CLOCKS = {"forward": "+ 7200", "backward": "- 7200"}


@pytest.mark.parametrize("jump", CLOCKS.values(), ids=CLOCKS.keys())
def test_the_clock_jumps_during_a_run(project: Project, jump: str) -> None:
    """Row 9: two hours, after the evidence was gathered."""
    project.write("checks/conftest.py", (
        "import time\nnow = time.time\n"
        f"def pytest_runtest_teardown(item): time.time = lambda: now() {jump}\n"
    ))  # fmt: skip
    assert project.pytest().returncode == 14
    assert project.gate() in (3, 4)


@pytest.mark.parametrize("state", ["a file", "a dead link", "a key that others can read"])
def test_a_state_folder_that_cannot_be_one(project: Project, state: str) -> None:
    """Row 7."""
    if state == "a file":
        project.write(".prodcheck", "")
    elif state == "a dead link":
        (project.folder / ".prodcheck").symlink_to(project.folder / "nowhere")
    else:
        project.write(".prodcheck/key", "0123456789abcdef" * 4).chmod(0o644)
    done = project.pytest()
    assert done.returncode == 4
    assert ".prodcheck" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.gate() in (2, 3)


HEALTHY = {
    "each": ("--tx", "2*popen", "--dist", "each"),
    "loadfile": ("-n", "2", "--dist", "loadfile"),
    "-n0": ("-n0",),
    "importlib": ("--import-mode=importlib",),
    "other ini": ("-c", "other.ini", "--rootdir", "/tmp"),
    "without helpers": ("-p", "no:terminal", "-p", "no:skipping", "-p", "no:unittest", "-p", "no:subtests"),
    "a revision of odd characters": ("--revision", "a b;$(rm -rf x)`'\"é😀"),
}


@pytest.mark.parametrize("arguments", HEALTHY.values(), ids=HEALTHY.keys())
def test_unusual_but_whole_runs_open(project: Project, arguments: tuple[str, ...]) -> None:
    """The second law."""
    project.write("other.ini", "[pytest]\n")
    done = project.pytest(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.gate(*(arguments if "--revision" in arguments else ())) == 0


LOST = (
    "import signal\ndef {hook}:\n    try:\n        signal.raise_signal(signal.SIGINT)\n"
    "    except KeyboardInterrupt:\n        pass\n"
)


@pytest.mark.parametrize(
    ("hook", "workers"),
    [
        ("pytest_collection_finish(session)", ()),
        ("pytest_runtest_teardown(item)", ()),
        ("pytest_xdist_node_collection_finished(node)", ("-n", "2")),
    ],
)
def test_a_ctrl_c_that_python_lost(project: Project, hook: str, workers: tuple[str, ...]) -> None:
    """Row 56: as in an import's last moments, where Python says "Exception ignored" and goes on."""
    project.write("conftest.py" if workers else "checks/conftest.py", LOST.format(hook=hook))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child would inherit that it is ignored
    try:
        assert project.pytest(*workers).returncode == 2
    finally:
        signal.signal(signal.SIGINT, before)
    assert project.gate() == 3
