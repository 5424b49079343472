"""Trends as pictures: gaps, limits that changed, units that changed, nothing that a target says is obeyed."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pytest_prodcheck.reports.page import run_page, trend_figures
from pytest_prodcheck.reports.page.trend_figures import trend_line
from pytest_prodcheck.reports.trend_plot import HEIGHT, WIDTH, trend_svg
from pytest_prodcheck.reports.trends import Point, Trend
from tests.reports.hostile import STRINGS
from tests.reports.samples import BLOCKED, RUN
from tests.reports.test_page import browsed


def point(value: float | None, outcome: str = "passed", limit: float | None = 2.0, unit: str = "s") -> Point:
    return Point(1764500000.0, "v1", outcome, value, unit if value is not None else "", limit)


TREND = Trend((point(0.2), point(None, "errored"), point(2.5, "failed"), point(1.5, "warned", limit=3.0)))
TRENDS = {each.identity: TREND for each in RUN.results}


def test_numbers_and_words() -> None:
    assert TREND.values == [0.2, None, 2.5, 1.5]
    assert TREND.limits == [2.0, 2.0, 2.0, 3.0]
    assert TREND.told() == "first 200 ms, last 1.5 s, limit ≤ 3 s; 4 runs, 1 without a value"
    assert Trend((point(None, "errored"),)).told() == "nothing was measured; 1 run, 1 without a value"


def test_an_errored_value_and_one_of_another_unit_are_gaps() -> None:
    found = Trend((point(40.0, unit="%"), point(9.0, "errored"), point(1.0), point(1.2)))
    assert found.values == [None, None, 1.0, 1.2]


def test_the_least_that_is_allowed() -> None:
    found = Trend((Point(0.0, "v1", "passed", 9.0, "", 5.0, "at_least"), point(None, "errored")))
    assert "limit ≥ 5" in found.told()


@pytest.mark.parametrize(
    "values",
    [[0.0, 0.0], [1e300, -1e300], [5e-324, 1.0], [-3.0, -1.0], [1.0, None], [None, None], [1.0] * 400],
)
def test_all_of_it_lies_in_the_picture(values: list[float | None]) -> None:
    drawn = trend_svg(Trend(tuple(map(point, values))))
    root = ElementTree.fromstring(drawn)
    for each in root.iter("path"):
        spots = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", each.attrib["d"])
        assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in spots)
    assert not any(name in drawn for name in ("nan", "inf"))
    assert all(math.isfinite(float(each.attrib["y"])) for each in root.iter("text"))


@pytest.mark.parametrize("text", STRINGS)
def test_a_hostile_unit(text: str) -> None:
    ElementTree.fromstring(trend_svg(Trend((point(1.0, unit=text), point(2.0, unit=text)))))


def test_it_is_folded_and_stands_beside_its_result_when_that_is_opened(tmp_path: Path) -> None:
    """Without scrolling sideways on a phone, and with no id twice."""
    script = """
      dispatchEvent(new KeyboardEvent("keydown", { key: "n" }));
      const body = document.querySelector(".result[open] .body");
      seen.drawn = body.querySelectorAll("svg[role=img]").length; seen.told = body.querySelector("figure").textContent;
      for (const each of document.querySelectorAll("details")) each.open = true;
      const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
      seen.twice = ids.length - new Set(ids).size;
      seen.wide = document.documentElement.scrollWidth; seen.window = innerWidth;
      seen.all = document.querySelectorAll("figure.trend[id]").length;
    """
    seen = browsed(run_page(RUN, [BLOCKED], trends=TRENDS), script, tmp_path, "--window-size=390,900")
    assert (seen["drawn"], seen["twice"], seen["all"]) == (1, 0, len(TRENDS))
    assert "limit ≤ 3 s" in seen["told"]
    assert "4 runs, 1 without a value" in seen["told"]
    assert seen["wide"] <= seen["window"]


def test_of_many_the_gravest_are_drawn_and_the_rest_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trend_figures, "MOST", 3)
    page = run_page(RUN, [BLOCKED], trends=TRENDS)
    assert page.count('class="pc-figure trend"') == 3
    assert f"and {len(RUN.results) - 3} more" in page
    assert page.count(json.dumps(trend_line(TREND))) == len(RUN.results)
