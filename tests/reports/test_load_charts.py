"""Charts of load runs show what the records say, in SVG that a browser, a screen reader and a test can read."""

from __future__ import annotations

import itertools
import math
import random
import re
import time
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from pytest_prodcheck.evidence.load.results import due, percentiles
from pytest_prodcheck.load.histogram import Histogram
from pytest_prodcheck.records.load import LoadEndpoint, LoadInterval, LoadRun, LoadWorker, ResponseTimes
from pytest_prodcheck.reports.load_charts import MOST, Stress, loads_html
from pytest_prodcheck.reports.svg_plot import WIDTH, Axis
from tests.reports.hostile import STRINGS

TAGS = {
    "circle", "desc", "details", "div", "figcaption", "figure", "p", "path", "summary", "svg", "table", "td", "text",
    "th", "title", "tr",
}  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def endpoint_of(name: str, rate: float, seconds: float, *, stall: float = 0.0, broken: float = 0.0) -> LoadEndpoint:
    """Made answers of 5 to 40 ms in bins of half a second; from 20 s on a stall of so many seconds."""
    chance, whole, bins = random.Random(7), Histogram(), []
    for place in range(int(seconds * 2)):
        cell, failed = Histogram(), 0
        for number in range(int(rate / 2)):
            at = place / 2 + number / rate
            left = 20 + stall - at if 20 <= at < 20 + stall else 0.0
            if chance.random() < broken:
                failed += 1
            else:
                cell.record(int(1e6 * (left + chance.lognormvariate(math.log(0.012), 0.5))))
        whole.add(cell.counts.items())
        p50, p95, p99 = percentiles(cell, (50, 95, 99))
        begun, good = cell.total + failed, cell.total
        bins.append(LoadInterval(place / 2, 0.5, begun, good, failed, p50, p95, p99, asked=rate / 2))
    begun, failed = sum(each.begun for each in bins), sum(each.failed for each in bins)
    return LoadEndpoint(name, begun, begun - failed, failed, (), ResponseTimes(tuple(whole.values())), tuple(bins))


def run_of(whole: LoadEndpoint, *endpoints: LoadEndpoint, rate: float = 100, seconds: float = 60) -> LoadRun:
    return LoadRun(
        name="browse", mode="open", asked=int(rate * seconds), asked_rate=rate, began=0.0, seconds=seconds,
        begun=whole.begun, begun_in=seconds, dropped=0, unanswered=0, in_time=whole.good, lag=ResponseTimes(()),
        aborted="", trouble="", longest_gap=0.1, workers=(LoadWorker("one", whole.begun, 0.1, True),), workers_asked=1,
        endpoints=endpoints or (whole,), overall=whole,
    )  # fmt: skip


STRESS = Stress("browse", 100.0, ((150.0, 0.02), (200.0, 0.05), (250.0, 1.4)), 1.0, 200.0, (100.0, 0.02))


def svgs(page: str) -> list[ET.Element]:
    """The charts of a page: all of it is well-formed, and so are the sentences of each."""
    named = page.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ').replace(" open>", ">")
    whole = ET.fromstring(f"<div>{named}</div>")
    found = list(whole.iter(f"{SVG}svg"))
    for svg in found:
        labels = {part.get("id") for part in svg if part.tag in (f"{SVG}title", f"{SVG}desc") and part.text}
        assert svg.get("role") == "img"
        assert set((svg.get("aria-labelledby") or "").split()) == labels
        assert len(labels) == 2
    return found


def told(svg: ET.Element) -> str:
    return (svg.findtext(f"{SVG}title") or "") + ": " + (svg.findtext(f"{SVG}desc") or "")


def drawn(svg: ET.Element, kind: str) -> list[tuple[float, float]]:
    """The points of a line within the area; the legend's piece is relative and has no L."""
    for path in svg.iter(f"{SVG}path"):
        if path.get("class") == f"pc-line pc-{kind}" and "L" in (path.get("d") or ""):
            pairs = re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d") or "")
            return [(float(right), float(down)) for right, down in pairs]
    return []


def test_a_stall_is_seen() -> None:
    latency, percentiles, rate = svgs(loads_html([run_of(endpoint_of("overall", 100, 60, stall=3))]))
    assert told(latency).startswith("Latency over time: The highest P99 of an interval is 3.0")
    assert "20.0 s after the start" in told(latency)
    line = drawn(latency, "p99")
    assert len(line) == 120
    right, down = min(line, key=lambda point: point[1])  # up is less
    assert right == pytest.approx(58 + (20.25 / 60) * (WIDTH - 72), abs=1)
    assert down < 60
    assert "P50" in told(percentiles)
    curve = drawn(percentiles, "curve")
    assert all(later[1] <= sooner[1] for sooner, later in itertools.pairwise(curve))
    assert [text.text for text in percentiles.iter(f"{SVG}text") if (text.text or "").endswith(" %")] == [
        "0 %", "90 %", "99 %", "99.9 %"
    ]  # fmt: skip
    assert "6,000 requests were due. 6,000 requests were sent, 6,000 answered well, 0 failed." in told(rate)
    assert not drawn(rate, "failed")


def test_names_of_percentiles_that_are_alike_are_above_each_other() -> None:
    _, percentiles, _ = svgs(loads_html([run_of(endpoint_of("overall", 100, 60, stall=3))]))
    places = [float(text.get("y") or 0) for text in percentiles.iter(f"{SVG}text") if (text.text or "").startswith("P")]
    assert places[1] == places[0] - 13


def test_failures_are_a_line_of_their_own_and_gaps_are_gaps() -> None:
    whole = endpoint_of("overall", 100, 10, broken=0.2)
    nothing = LoadInterval(5.0, 0.5, 50, 0, 50, asked=50)
    parts = [*whole.intervals[:10], nothing, *whole.intervals[11:]]
    latency, _, rate = svgs(loads_html([run_of(replace(whole, intervals=tuple(parts)), seconds=10)]))
    assert drawn(rate, "failed")
    (path,) = (each.get("d") or "" for each in latency.iter(f"{SVG}path") if each.get("class") == "pc-line pc-p95"
               and "L" in (each.get("d") or ""))  # fmt: skip
    assert path.count("M") == 2
    assert len(drawn(latency, "p95")) == 19


def test_nothing_was_answered() -> None:
    whole = LoadEndpoint("overall", 50, 0, 50, (), ResponseTimes(()), (LoadInterval(0.0, 0.5, 50, 0, 50, asked=50),))
    (rate,) = svgs(loads_html([run_of(whole, seconds=0.5)]))
    assert "0 answered well, 50 failed" in told(rate)


def test_light_has_percentiles_only_and_nothing_is_nothing() -> None:
    assert len(svgs(loads_html([replace(run_of(endpoint_of("overall", 100, 3)), mode="light")]))) == 1
    assert loads_html([], []) == ""


def test_phases_of_each_endpoint_are_a_table() -> None:
    took = (("connect", ResponseTimes(((500, 3),))), ("first-byte", ResponseTimes(((20_000, 95), (3_000_000, 5)))))
    one = replace(endpoint_of("shop.product", 100, 3), phases=took)
    page = loads_html([run_of(replace(one, name="overall"), one, replace(one, name="shop.cart", phases=()))])
    assert page.count('<table class="pc-phases">') == 2
    row = '<tr><th scope="row">first byte</th><td>100</td><td>20 ms</td><td>20 ms</td><td>3 s</td></tr>'
    assert page.count(row) == 2
    assert len(svgs(page)) == 9


def test_many_endpoints_stay_small_and_quick() -> None:
    """The busiest are shown; a long load has at most 300 intervals."""
    one = endpoint_of("x", 100, 150)
    each = [replace(one, name=f"shop.{number}", begun=number) for number in range(30)]
    began = time.process_time()
    page = loads_html([run_of(each[0], *each, seconds=150)])
    took = time.process_time() - began
    assert len(svgs(page)) == 3 * (1 + MOST)
    assert "shop.29" in page
    assert "shop.1:" not in page
    assert f"and {30 - MOST} more endpoints" in page
    assert len(page) < 40_000 * (1 + MOST)
    assert took < 3.0  # a third of a second where nothing else is going on


def test_the_knee_is_marked() -> None:
    (svg,) = svgs(loads_html([], [STRESS]))
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert {"knee: 200/s", "declared: 100/s", "P95 allowed: 1 s", "afterwards"} <= set(texts)
    assert "at 250/s P95 1.4 s. The last rate with good answers is 200/s." in told(svg)
    assert len(drawn(svg, "p95")) == 3


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_names(text: str) -> None:
    phases = (("connect", ResponseTimes(((500, 3),))), (text, ResponseTimes(((500, 3),))))
    whole = replace(endpoint_of("overall", 10, 1), phases=phases)
    run = replace(run_of(whole, replace(whole, name=text), whole), name=text, aborted=text)
    page = loads_html([run], [replace(STRESS, name=text)])
    assert len(svgs(page)) == 10
    assert set(re.findall(r"<([a-z]+)", page)) == TAGS


@pytest.mark.parametrize("highest", [1e-6, 0.0042, 0.99, 1.0, 3.7, 166.7, 12_345.0])
def test_ticks_are_round_and_few(highest: float) -> None:
    axis = Axis.of(highest, "s", "")
    assert 3 <= len(axis.ticks) <= 6
    assert axis.ticks[0][0] == 0
    assert axis.ticks[-1][0] <= axis.high
    assert highest < axis.high


def test_how_many_requests_are_due_in_a_time() -> None:
    ramp = due([(10.0, 0.0, 100.0), (5.0, 100.0, 100.0)])
    assert ramp(0, 15) == pytest.approx(1000)
    assert ramp(0, 5) == pytest.approx(125)
    assert ramp(9.5, 1) == pytest.approx(48.75 + 50)
    assert ramp(14.5, 5) == pytest.approx(50)
    assert due([(10.0, 50.0, 50.0)], 0.25)(0, 2) == pytest.approx(25)
