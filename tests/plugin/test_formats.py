"""One run with every outcome: all formats give the same counts, serial and with workers; secrets are in none."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from tests.project import CHECKS, TOML, Project
from tests.reports.test_sarif import valid

CANARY = "c4n4ry/s3cret+value==x"
EXPECTED = {"passed": 2, "warned": 1, "failed": 1, "errored": 2}

MORE = (
    CHECKS
    + """

@check("t.smoke.failed", suite="smoke", severity="high", needs={"fact": "fact"})
def test_failed(fact):
    print("the secret is", SECRET)
    judge("fact is odd", False, reason=f"it is even, says {SECRET}")


@check("t.smoke.errored", suite="smoke", severity="high", needs={"fact": "fact"})
def test_errored(fact):
    judge("nothing", None, at_most=1)


@check("t.smoke.broken", suite="smoke", severity="low", needs={"fact": "fact"})
def test_broken(fact):
    raise KeyError("no such key: " + SECRET)
"""
)


def project_with_a_secret(folder: Path) -> Project:
    checks = MORE.replace("@dataclass", 'import os\n\nSECRET = os.environ["CANARY"]\n\n\n@dataclass', 1)
    checks = checks.replace('settings={"value": float}', 'settings={"value": float, "password": str}')
    project = Project.make(folder, checks=checks)
    project.edit("value = 1.0", 'value = 7.0\npassword = { env = "CANARY" }')
    project.environ["CANARY"] = CANARY
    return project


class Cells(HTMLParser):
    """The verdict column of the report's rows, from pytest-html's embedded data."""

    def __init__(self) -> None:
        super().__init__()
        self.blob = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if "data-jsonblob" in found:
            self.blob = found["data-jsonblob"] or ""


def html_counts(text: str) -> dict[str, int]:
    parser = Cells()
    parser.feed(text)
    rows = [row for tests in json.loads(parser.blob)["tests"].values() for row in tests]
    verdicts = [re.sub(r"<[^>]+>", " ", row["resultsTableRow"][1]).lower() for row in rows]
    return {outcome: sum(outcome in verdict.split() for verdict in verdicts) for outcome in EXPECTED}


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_every_format_gives_the_same_counts(tmp_path: Path, workers: tuple[str, ...]) -> None:
    project = project_with_a_secret(tmp_path)
    done = project.pytest(
        "--prodcheck-report", "r.txt", "--prodcheck-json", "r.json", "--junit-xml", "r.xml",
        "--html", "r.html", "--self-contained-html", "--prodcheck-sarif", "r.sarif", *workers,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert {outcome: report["counts"][outcome] for outcome in EXPECTED} == EXPECTED
    jsonschema.validate(report, json.loads(project.prodcheck("schema", "--of", "report").stdout))
    skipped = report["counts"]["skipped"]
    for outcome, number in EXPECTED.items():
        assert re.search(rf"\b{number} {outcome}\b", done.stdout.splitlines()[-1]), done.stdout
    text = (tmp_path / "r.txt").read_text(encoding="utf-8")
    for outcome, number in (*EXPECTED.items(), ("skipped", skipped)):
        assert re.search(rf"\b{outcome}\b\s+{number}\b|\b{number} {outcome}\b", text), text
    tree = ElementTree.parse(tmp_path / "r.xml")
    properties = {each.get("name"): each.get("value") for each in tree.iter("property")}
    assert {outcome: int(properties[f"prodcheck.{outcome}"] or 0) for outcome in EXPECTED} == EXPECTED
    said = [each.get("value") for each in tree.iter("property") if each.get("name") == "prodcheck.outcome"]
    assert {outcome: said.count(outcome) for outcome in EXPECTED} == EXPECTED
    assert html_counts((tmp_path / "r.html").read_text(encoding="utf-8")) == EXPECTED
    sarif = valid((tmp_path / "r.sarif").read_text(encoding="utf-8"))
    assert sarif["properties"]["counts"] == report["counts"]
    shown = [each["properties"]["outcome"] for each in sarif["results"]]
    assert {outcome: shown.count(outcome) for outcome in EXPECTED} == {**EXPECTED, "passed": 0}
    line = next(n for n, each in enumerate(TOML.splitlines(), 1) if each == "[environments.dev.own.fact]")
    assert {each["locations"][0]["physicalLocation"]["region"]["startLine"] for each in sarif["results"]} == {line}


def test_sarif_from_a_replay_and_by_the_command(tmp_path: Path) -> None:
    project = project_with_a_secret(tmp_path)
    done = project.prodcheck("run", "smoke", "--env", "dev", "--sarif", "first.sarif")
    assert done.returncode == 1, done.stdout + done.stderr
    first = valid((tmp_path / "first.sarif").read_text(encoding="utf-8"))
    run = first["properties"]["run"]
    project.prodcheck("run", "smoke", "--env", "dev", "--sarif", "again.sarif", "--evidence-from", run)
    again = valid((tmp_path / "again.sarif").read_text(encoding="utf-8"))
    assert again["properties"]["replayOf"] == run
    assert len(first["results"]) == sum(EXPECTED.values()) - EXPECTED["passed"]
    for one, other in zip(first["results"], again["results"], strict=True):
        assert {**one, "message": ""} == {**other, "message": ""}  # a replay resolves no secret, so it redacts none


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_secret_is_in_no_artefact(tmp_path: Path, workers: tuple[str, ...]) -> None:
    project = project_with_a_secret(tmp_path)
    done = project.pytest(
        "--prodcheck-report", "r.txt", "--prodcheck-json", "r.json", "--junit-xml", "r.xml", "--html", "r.html",
        "--prodcheck-sarif", "r.sarif", "-rA", "--showlocals", "-o", "junit_logging=all", *workers,
    )  # fmt: skip
    assert done.returncode == 1
    assert "[redacted]" in done.stdout
    project.prodcheck("gate", "smoke", "--env", "dev", "--explain")
    forms = {
        CANARY,
        base64.b64encode(CANARY.encode()).decode(),
        base64.urlsafe_b64encode(CANARY.encode()).decode().rstrip("="),
        urllib.parse.quote(CANARY, safe=""),
        urllib.parse.quote_plus(CANARY),
        json.dumps(CANARY)[1:-1],
    }
    said = {"stdout": done.stdout, "stderr": done.stderr}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    said |= {str(path): path.read_text(encoding="utf-8", errors="replace") for path in files}
    assert len(said) > 8
    for name, text in said.items():
        for form in forms:
            assert form not in text, f"{form} is in {name}"
