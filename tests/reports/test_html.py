from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import Outcome, Result, RunRecord, counts
from pytest_prodcheck.reports import html_markup
from pytest_prodcheck.reports.html import environment
from pytest_prodcheck.reports.verdict_documents import views
from tests.reports.hostile import STRINGS, filled_with_text
from tests.reports.samples import BLOCKED, NOW, OBSERVED, OPEN, RUN
from tests.reports.test_page import browsed

TAGS = {
    "div", "section", "p", "b", "br", "ul", "li", "span", "small", "details", "summary", "a", "pre",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {
    "class", "id", "href", "target", "rel", "open", "data-status", "data-outcome", "data-count", "data-column-type",
}  # fmt: skip
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Strict(HTMLParser):
    """Notes texts, and whatever is none of our own tags and attributes; checks that all is closed."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.stack: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.foreign += [tag] if tag not in TAGS else []
        for name, value in attrs:
            fine = name in ATTRIBUTES and not (name == "href" and not re.match(r"https?://", value or ""))
            self.foreign += [] if fine else [f"{name}={value}"]
        if tag != "br":
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.foreign.append(data)


def clean(text: str) -> Strict:
    parsed = Strict(text)
    assert parsed.foreign == []
    assert parsed.stack == []
    return parsed


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_strings_in_every_field(text: str) -> None:
    run, verdict, result = (
        filled_with_text(RunRecord, text),
        filled_with_text(Verdict, text),
        filled_with_text(Result, text),
    )
    clean(html_markup.summary(run, views([verdict])))
    clean(html_markup.details(result, NOW))
    for cell in html_markup.row_cells(result, text) + html_markup.row_cells(None, text):
        clean(cell)
        assert "\n" not in cell
    for value in environment(run).values():
        clean(value)


def test_only_addresses_of_the_web_are_links() -> None:
    assert "<a " in html_markup.details(RUN.results[1], NOW)
    assert "<a " not in html_markup.details(filled_with_text(Result, "javascript:alert(1)"), NOW)


def test_banner() -> None:
    parsed = clean(html_markup.summary(RUN, views([OPEN, BLOCKED, OBSERVED])))
    states = [attributes["data-status"] for tag, attributes in parsed.found if tag == "section"]
    assert states == ["blocked", "open", "open"]
    shown = {a["data-outcome"]: a["data-count"] for _, a in parsed.found if "data-outcome" in a}
    assert shown == {str(outcome): str(number) for outcome, number in counts(RUN.results).items()}
    text = html_markup.summary(RUN, views([OBSERVED]))
    assert "Only observed until 2026-03-01" in text
    assert "pc-gate pc-green" not in text


# a run of pytest whose tests carry the sample's results, as the plugin does it

CONFTEST = """
import json, sys
from dataclasses import asdict, replace
sys.path.insert(0, {root!r})
import pytest
from pytest_prodcheck.reports import junit
from pytest_prodcheck.reports.html import HtmlReport
from tests.reports.samples import BLOCKED, RUN

class Source:
    run = None
    verdicts = ()
    charts = ""

source = Source()

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(HtmlReport(source))

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        source.run, source.verdicts = RUN, [BLOCKED]
        assert junit.add_suite_properties(session.config, RUN, [BLOCKED])

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    result = item.callspec.params["result"] if hasattr(item, "callspec") else None
    if result is not None and call.when == "call":
        item.user_properties.extend(junit.properties(result))
    report = yield
    if result is not None and call.when == "call":
        report.user_properties.append(("prodcheck", json.dumps(asdict(replace(result, nodeid=item.nodeid)))))
    return report
"""
TESTS = """
import pytest
from pytest_prodcheck.outcomes import Outcome
from dataclasses import replace
from tests.reports.samples import RESULTS, PASSED

EVIL = "<img src=x onerror=document.title='forged'>"
results = [*RESULTS, replace(PASSED, target=EVIL)]

@pytest.mark.parametrize("result", results, ids=lambda result: result.target)
def test_check(result):
    print("</script><script>document.title='forged'</script>")
    if result.outcome in (Outcome.FAILED, Outcome.ERRORED):
        pytest.fail(result.reason + EVIL, pytrace=False)
    if result.outcome is Outcome.SKIPPED:
        pytest.skip("not-configured")

def test_without_a_result():
    pass
"""


@pytest.fixture(scope="module", params=["serial", "xdist"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the `r.html` and `r.xml` of a run."""
    path = tmp_path_factory.mktemp(request.param)
    root = Path(__file__).resolve().parents[2]
    (path / "conftest.py").write_text(CONFTEST.format(root=str(root)), encoding="utf-8")
    (path / "test_sample.py").write_text(TESTS, encoding="utf-8")
    words = "-q --rootdir=. --html=r.html --self-contained-html --junit-xml=r.xml -p no:randomly -p no:cacheprovider"
    words += " -n 2" if request.param == "xdist" else ""
    environ = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "CI_JOB_TOKEN": "canary-4711", "BUILD_TAG": "canary-4711"}
    command = [sys.executable, "-m", "pytest", *words.split()]
    done = subprocess.run(command, cwd=path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
    return path


class Page(HTMLParser):
    """The data that pytest-html puts into its page."""

    data: dict[str, Any]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs).get("data-jsonblob")
        if found:
            self.data = json.loads(found)


def test_page(folder: Path) -> None:
    page = (folder / "r.html").read_text(encoding="utf-8")
    parser = Page()
    parser.feed(page)
    data = parser.data
    rows = [row for rows in data["tests"].values() for row in rows]
    assert len(rows) == len(RUN.results) + 2
    assert all(len(row["resultsTableRow"]) == 9 for row in rows)
    for row in rows:
        for cell in row["resultsTableRow"]:
            clean(cell)
        for extra in row["extras"]:
            clean(extra["content"])
        clean(row["log"])
    assert {row["result"] for row in rows} == {"Passed", "Failed", "Skipped"}
    assert sum("pc-is-warned" in row["verdict"] for row in rows) == 1
    assert list(data["environment"])[:3] == ["Project", "Environment", "Unit"]
    assert "canary" not in page
    assert page.count("<script>") == 2
    assert "BLOCKED: smoke" in page


def test_junit(folder: Path) -> None:
    suite = ET.parse(folder / "r.xml").getroot()[0]
    properties = {each.get("name"): each.get("value") for each in suite.findall("./properties/property")}
    for outcome, number in counts(RUN.results).items():
        assert properties[f"prodcheck.{outcome}"] == str(number)
    assert properties["prodcheck.gate.smoke"] == "blocked"
    assert properties["prodcheck.gate.smoke.code"] == "1"
    cases = [
        {each.get("name"): each.get("value") for each in case.findall("./properties/property")}
        for case in suite.findall("testcase")
    ]
    told = [case["prodcheck.outcome"] for case in cases if case]
    assert sorted(map(str, told)) == sorted([*(str(each.outcome) for each in RUN.results), "passed"])
    (failed,) = (case for case in cases if case.get("prodcheck.outcome") == Outcome.FAILED)
    assert failed["prodcheck.value"] == "45 s"
    assert failed["prodcheck.limit"] == "<= 30 s (warns 2 s)"


def dom(address: str) -> str:
    """The page after its scripts have run, as a browser sees it."""
    assert BROWSER
    with tempfile.TemporaryDirectory() as home:
        words = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
        words += " --disable-component-update --disable-sync --virtual-time-budget=3000 --dump-dom"
        done = subprocess.run(
            [BROWSER, *words.split(), f"--user-data-dir={home}", address], capture_output=True, timeout=60, check=True
        )
    return done.stdout.decode("utf-8")


@pytest.mark.skipif(BROWSER is None, reason="apt-get install chromium")
@pytest.mark.parametrize("folder", ["serial"], indirect=True)
def test_in_a_browser(folder: Path) -> None:
    shown = dom((folder / "r.html").as_uri())
    assert '<title id="head-title">prodcheck: shop production 3f9c2ab</title>' in shown
    bodies = shown.partition("</footer>")[0].split('<tbody class="results-table-row ')[-9:]
    order = [re.search(r"pc-is-(\w+)|pc-rank-9", body) for body in bodies]
    assert [found.group(1) for found in order if found] == [
        "failed", "errored", "warned", "passed", "passed", "passed", "passed", "skipped", None
    ]  # fmt: skip
    opened = ["collapsed" not in body.partition(">")[2].partition("col-verdict")[0] for body in bodies]
    assert opened[:3] == [True, True, True]
    assert opened[3:7] == [False] * 4
    only = dom((folder / "r.html").as_uri() + "?visible=passed")
    assert "pc-is-warned" in only.partition("results-table-head")[2]
    assert 'class="results-table-row failed"' not in only


@pytest.mark.skipif(BROWSER is None, reason="apt-get install chromium")
@pytest.mark.parametrize("folder", ["serial"], indirect=True)
def test_on_a_telephone_only_the_table_scrolls_sideways(folder: Path, tmp_path: Path) -> None:
    script = """
      const wide = document.documentElement.scrollWidth; seen.wide = wide <= innerWidth;
      seen.banner = document.querySelector(".pc-gate").getBoundingClientRect().right <= innerWidth;
      seen.viewport = document.querySelector('meta[name="viewport"]').content;
    """
    page = (folder / "r.html").read_text(encoding="utf-8")
    seen = browsed(page, script, tmp_path, "--window-size=390,900")
    assert seen == {"wide": True, "banner": True, "viewport": "width=device-width"}
