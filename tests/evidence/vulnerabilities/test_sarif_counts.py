"""The counts of two other readers of SARIF, over reports of real tools and made ones; see `sarif/README.md`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.vulnerabilities import sarif
from pytest_prodcheck.evidence.vulnerabilities.sarif_rules import Rules

HERE = Path(__file__).parent / "sarif"
COUNTS: dict[str, Any] = json.loads((HERE / "counts.json").read_text())
BELOW_EXTENSIONS = {"extension.sarif": {"error": 1}}  # 3.52: the rule is there, and sarif-tools does not look there


def _document(name: str) -> Any:
    return json.loads((HERE / name).read_text())


@pytest.mark.parametrize("name", COUNTS)
def test_levels_as_sarif_tools_counts_them(name: str) -> None:
    found: Counter[str] = Counter()
    for run in _document(name)["runs"]:
        rules = Rules(run)
        found.update(rules.level_of(result, rules.rule_of(result)) for result in run["results"])
    assert dict(found) == BELOW_EXTENSIONS.get(name, COUNTS[name]["sarif-tools"])


@pytest.mark.parametrize("name", COUNTS)
def test_results_and_kinds_as_go_sarif_counts_them(name: str) -> None:
    results = [result for run in _document(name)["runs"] for result in run["results"]]
    told = COUNTS[name]["go-sarif"]
    assert len(results) == told["results"]
    assert dict(Counter(each.get("kind", "fail") for each in results)) == told["kinds"]
    assert sum(bool(each.get("suppressions")) for each in results) == told["with suppressions"]


@pytest.mark.parametrize("name", COUNTS)
def test_nothing_is_lost(name: str) -> None:
    """What is judged, suppressed, named for a person, or of a kind that is no failure are all results there are."""
    document = _document(name)
    for number, run in enumerate(document["runs"]):
        results = run["results"]
        for place, result in enumerate(results):  # findings are told apart by where they are
            result["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": f"f{number}-{place}"}}}]
    scan = sarif.parse(document)
    kinds = COUNTS[name]["go-sarif"]["kinds"]
    judged = len(scan.findings)
    assert judged + scan.ignored + sum(kinds.get(kind, 0) for kind in kinds if kind != "fail") == (
        COUNTS[name]["go-sarif"]["results"]
    )
    people = {kind: count for kind, count in kinds.items() if kind in ("open", "review")}
    assert set(scan.unjudged) == {f"{count} results of kind {kind}" for kind, count in people.items()}
