"""Row 122: secrets are blanked in what people read, whoever shows it, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import CHECKS, TOML, Project

SECRET = "hunter2-correct-horse-battery"
WITH_PAGE = (
    CHECKS.replace('{"value": float}', '{"value": float, "password": str}')
    .replace("    value: float\n", "    value: float\n    page: str = ''\n")
    .replace(
        "    return Fact(float(str(settings", "    spoil(str(settings['password']))\n    return Fact(float(str(settings"
    )
    .replace('settings["value"])))', 'settings["value"])), "denied for " + str(settings["password"]))')
)
PAGE = (
    '@check("t.smoke.page", suite="smoke", severity="high", needs={"fact": "fact"})\n'
    "def test_page(fact):\n    print('page says', fact.page)\n    judge('there', True)\n"
    "    assert fact.page == 'welcome'\n"
    "@check('t.smoke.broken', suite='smoke', severity='high')\n"
    "def test_broken(broken):\n    judge('there', True)\n"
    "@check('t.smoke.later', suite='smoke', severity='high')\n"
    "def test_later(breaks_later):\n    import logging, os\n    judge('there', True)\n"
    "    try:\n        raise OSError(os.environ['PW'])\n"
    "    except OSError:\n        logging.getLogger('y').exception('of %s', os.environ['PW'], stack_info=True)\n"
)
SPOIL = (
    "import logging, threading, warnings\ndef spoil(secret):\n"
    "    def dies(): raise ConnectionError('db://shop:' + secret + '@db')\n"
    "    t = threading.Thread(target=dies); t.start(); t.join()\n"
    "    warnings.warn('retrying with ' + secret)\n    logging.getLogger('x').warning('using ' + secret)\n"
)
OTHERS = """
import logging, os, pytest
class Shows(logging.Handler):
    def emit(self, record):
        with open("others.txt", "a") as file:
            print(record.getMessage(), record.args, self.format(record), file=file)
logging.getLogger().addHandler(Shows())
@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef):
    outcome = yield
    with open("others.txt", "a") as file:
        print(outcome.excinfo, file=file)
    fixturedef._finalizers[:] = [shown(each) for each in fixturedef._finalizers]
def shown(finalizer):
    def finish():
        try:
            finalizer()
        except Exception as error:
            with open("others.txt", "a") as file:
                print("teardown", error, file=file)
            raise
    return finish
@pytest.fixture
def broken():
    raise ConnectionError(os.environ["PW"])
@pytest.fixture
def breaks_later():
    yield print(os.environ["PW"])
    raise ConnectionError(os.environ["PW"])
@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    with open("others.txt", "a") as file:
        print(call.excinfo and call.excinfo.exconly(), report.longreprtext, report.sections, file=file)
        print(item._report_sections, file=file)
def pytest_runtest_logreport(report):
    with open("others.txt", "a") as file:
        print(report.longreprtext, report.sections, report.user_properties, file=file)
def pytest_exception_interact(call, report):
    with open("others.txt", "a") as file:
        print(call.excinfo.exconly(), call.excinfo.value.args, file=file)
"""


def project_with(folder: Path, password: str, checks: str) -> Project:
    toml = TOML.replace("value = 1.0", 'value = 1.0\npassword = { env = "PW" }', 1)
    project = Project.make(folder, toml, checks)
    project.environ["PW"] = password
    return project


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_whoever_shows_it(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Row 122: other plugins, warnings, threads, logs, pytest's shortened forms."""
    project = project_with(tmp_path, SECRET, SPOIL + WITH_PAGE + "\n\n" + PAGE)
    project.write("conftest.py", OTHERS)
    outputs = (
        "--junit-xml",
        "j.xml",
        "--prodcheck-json",
        "j.json",
        "--prodcheck-report",
        "t.txt",
        "-o",
        "log_cli=true",
    )
    done = project.pytest(*workers, *outputs)
    assert done.returncode in (1, 13), done.stdout
    assert "denied for [redacted]" in done.stdout
    project.write("stdout.txt", done.stdout + done.stderr)
    for file in (each for each in tmp_path.rglob("*") if each.is_file()):
        text = file.read_text(errors="replace")
        for part in (SECRET, "hunter2", "horse-battery"):
            assert part not in text, (file, part)
    others = (tmp_path / "others.txt").read_text()
    for each in ("ConnectionError('[redacted]')", "teardown [redacted]", "of [redacted]", "OSError: [redacted]"):
        assert each in others, (each, others)


@pytest.mark.parametrize("word", ["postgres", "passed", "test_facts.py", "critical", "t.smoke.two"])
def test_a_secret_that_is_a_word(tmp_path: Path, word: str) -> None:
    """Row 122: identities, outcomes and numbers stay what they are."""
    checks = WITH_PAGE.replace("t.smoke.three", "t.smoke.postgres-lag").replace(
        "    spoil(str(settings['password']))\n", ""
    )
    project = project_with(tmp_path, word, checks)
    for workers in ((), ("-n", "1")):
        done = project.pytest(*workers, "--junit-xml", "j.xml")
        assert done.returncode == 0, done.stdout
        assert project.gate() == 0
        assert 'name="prodcheck.check" value="t.smoke.postgres-lag"' in (tmp_path / "j.xml").read_text()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_what_looks_like_a_secret_does_not_break_the_result(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Row 122: it works on fields, never on serialized text; a proven failure stays one."""
    texts = ('Set-Cookie: sid="abc"; Path=/', '"Authorization: Bearer abc"', "-----BEGIN PRIVATE KEY----- MIIEvQ")
    lines = ["from pytest_prodcheck import check, judge"]
    for number, text in enumerate(texts):
        lines += [f'@check("t.smoke.x{number}", suite="smoke", severity="critical")',
                  f"def test_{number}(): judge('header', {text!r}, equals={text!r})"]  # fmt: skip
    project = Project.make(tmp_path)
    project.write("checks/test_new.py", "\n".join(lines))
    assert project.pytest(*workers).returncode == 0
    project.write("checks/test_new.py", "\n".join(lines).replace(f"equals={texts[2]!r}", "equals=''"))
    done = project.pytest(*workers)
    assert done.returncode == 1, done.stdout
    assert "MIIEvQ" not in done.stdout
    assert project.gate() == 1
