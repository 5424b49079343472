"""The oracle of all formats: one run, the same counts in each, read by its own schema, parser or tool."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_prodcheck.outcomes import Outcome, RunRecord, counts
from pytest_prodcheck.reports import WRITERS, write
from pytest_prodcheck.reports.json_report import schema
from pytest_prodcheck.reports.merging import merged, merged_verdicts
from pytest_prodcheck.reports.saved_runs import NoSuchRun
from tests.project import Project
from tests.reports.samples import BLOCKED, CANNOT_TELL, ERRORED, FAILED, OPEN, PASSED, RUN, SKIPPED, WARNED

# a number of its own for each outcome, so that none can stand for another
NUMBERS = {Outcome.PASSED: 7, Outcome.WARNED: 5, Outcome.FAILED: 3, Outcome.SKIPPED: 2, Outcome.ERRORED: 4}
SAMPLES = {each.outcome: each for each in (PASSED, WARNED, FAILED, SKIPPED, ERRORED)}
MIXED = RunRecord(
    "20260131T015950-ab12",
    "production",
    "shop",
    started_at=RUN.started_at,
    ended_at=RUN.ended_at,
    results=tuple(replace(SAMPLES[each], target=f"t{n}") for each, many in NUMBERS.items() for n in range(many)),
)
BAD = NUMBERS[Outcome.FAILED] + NUMBERS[Outcome.ERRORED]
Found = dict[str, int]
ALL = {str(outcome): number for outcome, number in NUMBERS.items()}
ATTENTION = {"bad": BAD, "warned": NUMBERS[Outcome.WARNED]}


def _json(text: str) -> Found:
    document = json.loads(text)
    jsonschema.validate(document, schema())
    assert Counter(each["outcome"] for each in document["run"]["results"]) == ALL
    return dict(document["counts"])


def _sarif(text: str) -> Found:
    document = json.loads(text)
    standard = json.loads((Path(__file__).parent / "data" / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(standard).validate(document)
    (run,) = document["runs"]
    listed = Counter(each["properties"]["outcome"] for each in run["results"])
    assert listed == {name: ALL[name] for name in ("failed", "errored", "warned")}
    return dict(run["properties"]["counts"])


def _junit(text: str) -> Found:
    (suite,) = ET.fromstring(text.partition("?>")[2])
    cases = suite.findall("testcase")
    assert int(suite.attrib["tests"]) == len(cases)
    told = Counter(each.tag for case in cases for each in case if each.tag != "properties")
    assert {tag: int(suite.attrib[name]) for tag, name in _JUNIT} == told
    assert cases[0].attrib["name"] == "smoke.service.health[t0]"
    named = (case.find("properties/property[@name='prodcheck.outcome']") for case in cases)
    return dict(Counter(each.attrib["value"] for each in named if each is not None))


_JUNIT = (("failure", "failures"), ("error", "errors"), ("skipped", "skipped"))


def _prometheus(text: str) -> Found:
    from prometheus_client.parser import text_string_to_metric_families

    families = {each.name: each.samples for each in text_string_to_metric_families(text)}
    listed = Counter(each.labels["outcome"] for each in families["prodcheck_result"])
    assert listed == ALL
    return {each.labels["outcome"]: int(each.value) for each in families["prodcheck_results"]}


def _page(text: str) -> Found:
    chips = {name: int(number) for number, name in re.findall(r"<b>(\d+)</b> (\w+)</button>", text)}
    listed = Counter(re.findall(r'<details class="result [^>]*data-outcome="(\w+)"', text))
    assert listed == ALL
    return chips


def _words(text: str) -> Found:
    """What a person reads, such as "7 passed, 5 warned"."""
    return {name: int(number) for number, name in re.findall(r"\b(\d+) (passed|warned|failed|skipped|errored)\b", text)}


def _markdown(text: str) -> Found:
    rows = [line for line in text.splitlines() if line.startswith("| ") and "check |" not in line]
    assert len(rows) == BAD + NUMBERS[Outcome.WARNED]
    return _words(text)


def _github(text: str) -> Found:
    told = Counter(line.partition(" ")[0] for line in text.splitlines())
    return {"bad": told["::error"], "warned": told["::warning"]}


def _gitlab(text: str) -> Found:
    return {"bad and warned": len(json.loads(text))}


def _tap(text: str) -> Found:
    points = re.findall(r"^(not ok|ok) \d+ - .*?(# SKIP.*)?$", text, re.MULTILINE)
    assert text.startswith(f"TAP version 13\n1..{len(points)}\n")
    skipped = sum(bool(skip) for _, skip in points)
    return {"bad": sum(ok == "not ok" for ok, _ in points), "skipped": skipped, "all": len(points)}


def _nagios(text: str) -> Found:
    head, *rest = text.splitlines()
    assert head.startswith("PRODCHECK CRITICAL")
    return {"bad and warned": len(rest)}


def _badge(text: str) -> Found:
    assert ET.fromstring(text).get("aria-label") == "production: blocked"
    return {}


READERS: dict[str, tuple[Callable[[str], Found], Found]] = {
    "json": (_json, ALL),
    "sarif": (_sarif, ALL),
    "junit": (_junit, ALL),
    "prometheus": (_prometheus, ALL),
    "page": (_page, ALL),
    "text": (_words, ALL),
    "markdown": (_markdown, ALL),
    "github": (_github, ATTENTION),
    "gitlab": (_gitlab, {"bad and warned": BAD + NUMBERS[Outcome.WARNED]}),
    "nagios": (_nagios, {"bad and warned": BAD + NUMBERS[Outcome.WARNED]}),
    "tap": (_tap, {"bad": BAD, "skipped": NUMBERS[Outcome.SKIPPED], "all": len(MIXED.results)}),
    "badge": (_badge, {}),
}


def test_every_format_has_its_reader() -> None:
    assert set(READERS) == set(WRITERS)


@pytest.mark.parametrize("form", READERS)
def test_the_same_counts_in_every_format(form: str) -> None:
    read, expected = READERS[form]
    verdict = replace(BLOCKED, counts={str(each): number for each, number in NUMBERS.items()})
    assert read(write(form, MIXED, [verdict])) == expected


def test_shards_are_shown_as_one() -> None:
    """The worst counts where two judged the same; nothing is lost."""
    half = len(MIXED.results) // 2
    better = replace(MIXED.results[-1], outcome=Outcome.PASSED)
    one = replace(MIXED, id="a", results=MIXED.results[:half], problems=("worker died",))
    two = replace(MIXED, id="b", results=MIXED.results[half:], ended_at=MIXED.ended_at + 5)
    three = replace(MIXED, id="c", results=(better,))
    found = merged([one, two, three])
    assert counts(found.results) == NUMBERS
    assert (found.id, found.ended_at, found.problems) == ("a+b+c", MIXED.ended_at + 5, ("worker died",))
    assert merged([one]) is one
    documents: list[Any] = [each.to_document() for each in (OPEN, BLOCKED, replace(CANNOT_TELL, gate="after"))]
    assert [(each["gate"], each["code"]) for each in merged_verdicts(documents)] == [("smoke", 1), ("after", 3)]


@pytest.mark.parametrize("name", ["environment", "revision", "unit", "slot", "project"])
def test_runs_that_are_about_something_else_are_not_shown_as_one(name: str) -> None:
    another: dict[str, Any] = {name: "another"}
    with pytest.raises(NoSuchRun, match=f"different {name}s"):
        merged([MIXED, replace(MIXED, **another)])


def test_folders_of_shards_by_the_command(tmp_path: Path) -> None:
    project = Project.make(tmp_path)
    for suite in ("one", "two or three"):
        project.pytest("-k", suite, "--no-gate")
    folders = sorted((tmp_path / ".prodcheck" / "runs").iterdir())
    done = project.prodcheck("report", *map(str, folders), "--format", "junit", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    names = {each.attrib["name"] for each in ET.fromstring(done.stdout.partition("?>")[2]).iter("testcase")}
    assert {"t.smoke.one[fact]", "t.smoke.two[fact]", "t.smoke.three[fact]"} <= names
    assert "t.smoke.three" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert project.prodcheck("report", str(tmp_path / "gone" / "x")).returncode == 2
