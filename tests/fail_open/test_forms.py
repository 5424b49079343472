"""Rows 23, 46-49: forms of checks that a clumsy author writes, all in one run; each must be judged for what it is."""

# ruff: noqa: E501 - one form of a check a line

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.project import Project

HEAD = "import os, unittest\nimport pytest\nfrom pytest_prodcheck import check, judge\n"

GOOD = {
    "method": "class TestOne:\n    {check}\n    def test_it(self, fact): judge('a', True)\n",
    "testcase": "class TestTwo(unittest.TestCase):\n    {check}\n    def test_it(self): judge('a', True)\n",
    "subtests": (
        "{check}\ndef test_subtests(subtests):\n    with subtests.test('x'):\n        assert True\n    judge('a', True)\n"
    ),
    "subtest-judges": (
        "{check}\ndef test_subtest_judges(subtests):\n    with subtests.test('x'):\n        judge('a', True)\n"
    ),
    "property": (
        "{check}\ndef test_property(record_property):\n    record_property('prodcheck', 'mine')\n    judge('a', True)\n"
    ),
    "wrapped": (
        "import functools\ndef noisy(f):\n    @functools.wraps(f)\n    def inner(*a, **k): return f(*a, **k)\n    return inner\n"
        "@noisy\n{check}\ndef test_wrapped(): judge('a', True)\n"
    ),
}  # fmt: skip

BAD = {
    "subtest-after": (
        "failed",
        "{check}\ndef test_it(subtests):\n    judge('a', True)\n    with subtests.test('x'):\n        assert 1 == 2\n",
    ),
    "subtest-before": (
        "failed",
        "{check}\ndef test_it(subtests):\n    with subtests.test('x'):\n        assert 1 == 2\n    judge('a', True)\n",
    ),
    "subtest-breaks": (
        "errored",
        "{check}\ndef test_it(subtests):\n    judge('a', True)\n    with subtests.test('x'):\n        {{}}['no']\n",
    ),
    "subtest-skips": (
        "errored",
        "{check}\ndef test_it(subtests):\n    judge('a', True)\n    with subtests.test('x'):\n        pytest.skip('no')\n",
    ),
    "unittest-subtest": (
        "failed",
        "class TestIt(unittest.TestCase):\n    {check}\n    def test_it(self):\n        judge('a', True)\n"
        "        with self.subTest():\n            self.assertEqual(1, 2)\n",
    ),
    "unittest-fails": (
        "failed",
        "class TestIt(unittest.TestCase):\n    {check}\n    def test_it(self):\n        judge('a', True)\n        self.fail('x')\n",
    ),
    "unittest-skipped": (
        "errored",
        "class TestIt(unittest.TestCase):\n    @unittest.skip('no')\n    {check}\n    def test_it(self): judge('a', True)\n",
    ),
    "expected-failure": (
        "failed",
        "class TestIt(unittest.TestCase):\n    @unittest.expectedFailure\n    {check}\n"
        "    def test_it(self): judge('a', False)\n",
    ),
    "xfail-not-run": ("errored", "@pytest.mark.xfail(run=False)\n{check}\ndef test_it(): judge('a', True)\n"),
    "xfail-strict": ("errored", "@pytest.mark.xfail(strict=True)\n{check}\ndef test_it(): judge('a', True)\n"),
    "skipif": ("skipped", "@pytest.mark.skipif(True, reason='no')\n{check}\ndef test_it(): judge('a', True)\n"),
    "importorskip": ("skipped", "{check}\ndef test_it():\n    judge('a', True)\n    pytest.importorskip('nosuch')\n"),
    "skip-after-failure": ("failed", "{check}\ndef test_it():\n    judge('a', False)\n    pytest.skip('no')\n"),
    "system-exit": ("errored", "{check}\ndef test_it():\n    judge('a', True)\n    raise SystemExit(0)\n"),
    "thread": (
        "errored",
        "import threading\n{check}\ndef test_it():\n    t = threading.Thread(target=lambda: judge('x', False))\n"
        "    t.start()\n    t.join()\n",
    ),
    "returns": ("errored", "{check}\ndef test_it():\n    return False\n"),
    "judge-in-fixture": (
        "errored",
        "@pytest.fixture\ndef early(): judge('a', True)\n{check}\ndef test_it(early): judge('b', True)\n",
    ),
    "parametrized-limit": (
        "errored",
        "from pytest_prodcheck import Limit\n@pytest.mark.parametrize('limit', [Limit(fail=10 ** 9)])\n"
        "@check('t.smoke.parametrized-limit', suite='smoke', severity='high', limit=Limit(fail=1))\n"
        "def test_it(limit): judge('a', 5, at_most=limit)\n",
    ),
}


def write(project: Project, forms: dict[str, str]) -> None:
    for name, text in forms.items():
        needs = ', needs={{"fact": "fact"}}' if "fact" in text else ""
        decorator = f'@check("t.smoke.{name}", suite="smoke", severity="high"{needs})'.replace("{{", "{").replace(
            "}}", "}"
        )
        project.write(f"checks/test_{name.replace('-', '_')}.py", HEAD + text.format(check=decorator))


def outcomes(project: Project, *arguments: str) -> dict[str, str]:
    project.pytest("--prodcheck-json", "r.json", *arguments)
    report = json.loads((project.folder / "r.json").read_text(encoding="utf-8"))
    results = report.get("results") or report["run"]["results"]
    return {each["check"].removeprefix("t.smoke."): each["outcome"] for each in results}


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_odd_but_good_forms_open(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """The second law: none of these is a reason to stop anybody."""
    project = Project.make(tmp_path)
    write(project, GOOD)
    project.write("checks/test_plain.py", (
        "import pytest\n@pytest.mark.smoke\ndef test_plain(subtests):\n    with subtests.test('x'):\n        assert True\n"
    ))  # fmt: skip
    found = outcomes(project, *workers)
    assert {name: found[name] for name in GOOD} == dict.fromkeys(GOOD, "passed")
    assert project.gate() == 0


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_forms_that_prove_nothing_or_failed(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Rows 23, 24, 39, 46: what broke, was skipped or failed in an unusual way is never a success."""
    project = Project.make(tmp_path)
    write(project, {name: text for name, (_, text) in BAD.items()})
    found = outcomes(project, *workers)
    assert {name: found[name] for name in BAD} == {name: outcome for name, (outcome, _) in BAD.items()}
    assert project.gate() != 0


@pytest.mark.parametrize("kind", ["async def test_it():\n    judge('a', False)\n", "def test_it():\n    yield\n"])
def test_a_check_that_python_would_not_run(tmp_path: Path, kind: str) -> None:
    """Row 46: the body of an async function or a generator may never run."""
    project = Project.make(tmp_path)
    project.write("checks/test_more.py", f'{HEAD}@check("t.smoke.more", suite="smoke", severity="low")\n{kind}')
    done = project.pytest()
    assert done.returncode not in (0, 1)
    assert "plain function" in done.stdout or "yield" in done.stdout
    assert project.gate() == 3


def test_a_failing_subtest_of_a_plain_test_blocks(tmp_path: Path) -> None:
    """Row 23."""
    project = Project.make(tmp_path)
    project.write("checks/test_plain.py", (
        "import pytest\n@pytest.mark.smoke\ndef test_plain(subtests):\n    with subtests.test('x'):\n        assert 1 == 2\n"
    ))  # fmt: skip
    assert project.pytest().returncode == 1
    assert project.gate() == 1


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [("self.assertEqual(1, 2)", 1, "1 != 2"), ("self.skipTest('no api')", 3, "no api"), ("pass", 0, "")],
)
def test_a_test_case_of_unittest_says_why(tmp_path: Path, body: str, code: int, told: str) -> None:
    """A failure was "judged passed, but its report says failed": cannot tell, where it is proven bad."""
    project = Project.make(tmp_path)
    project.write("checks/test_case.py", (
        "import unittest, pytest\n@pytest.mark.smoke\nclass T(unittest.TestCase):\n"
        f"    def test_plain(self): {body}\n"
    ))  # fmt: skip
    done = project.prodcheck("run", "smoke", "--env", "dev", "--junit-xml", "j.xml")
    assert (done.returncode, told in done.stdout, "judged passed" in done.stdout) == (code, True, False), done.stdout
    if code == 1:
        assert 'name="prodcheck.outcome" value="failed"' in (tmp_path / "j.xml").read_text()


@pytest.mark.parametrize(
    ("selection", "marker", "code"),
    [
        ("", "smoke", 1),
        ('select = ["t.smoke.*", "smoke.*"]', "smoke", 1),
        ('select = ["t.smoke.*"]', "smoke", 0),
        ("", "security", 0),
    ],
)
def test_a_failing_plain_test_blocks_the_gate_of_its_suite(
    tmp_path: Path, selection: str, marker: str, code: int
) -> None:
    """Row 182: `prodcheck run GATE` runs it as `pytest -m SUITE` does."""
    project = Project.make(tmp_path)
    project.write("checks/test_plain.py", f"import pytest\n@pytest.mark.{marker}\ndef test_plain(): assert 1 == 2\n")
    if selection:
        project.edit("[environments.dev]", f"[gates.g]\n{selection}\n[environments.dev]")
    done = project.prodcheck("run", "g" if selection else "smoke", "--env", "dev")
    assert done.returncode == code, done.stdout
    assert ("test_plain" in done.stdout) == bool(code)


HIDDEN = {
    "star import": (
        "checks/test_more.py",
        "from pytest_prodcheck import *\nfrom pytest_prodcheck import check, judge\n",
    ),
    "only a star": ("checks/test_more.py", "from pytest_prodcheck import *\n"),
    "in a helper": ("checks/helpers.py", HEAD),
    "other file name": ("checks/check_more.py", HEAD),
    "in a class": ("checks/test_more.py", f"{HEAD}if True:\n  pass\n"),
}


@pytest.mark.parametrize(("name", "head"), HIDDEN.values(), ids=HIDDEN.keys())
def test_a_check_that_was_not_collected_is_missed(tmp_path: Path, name: str, head: str) -> None:
    """Row 47: reading the files finds it wherever it stands and however `check` was imported."""
    project = Project.make(tmp_path)
    project.write(
        name, f'{head}@check("t.smoke.more", suite="smoke", severity="low")\ndef test_it(): judge("a", False)\n'
    )
    assert project.pytest("--ignore", "checks/test_more.py").returncode == 13
    assert project.gate() == 3


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_check_that_could_vanish_unnoticed_is_refused(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Row 47: made by a helper of one's own, reading the file cannot find it."""
    project = Project.make(tmp_path)
    project.write("checks/test_more.py", (
        f"{HEAD}from functools import partial\nsmoke = partial(check, suite='smoke', severity='high')\n"
        "@smoke('t.smoke.more')\ndef test_it(): judge('a', True)\n"
    ))  # fmt: skip
    done = project.pytest(*workers)
    assert done.returncode == 13
    assert '@check("t.smoke.more"' in " ".join(done.stdout.split())
    assert project.gate() == 3
