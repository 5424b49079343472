"""Numbers and alerts that look good because something behind them stands still, on a real Prometheus."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.evidence.http.servers import Answer, Seen, web
from tests.field.monitoring.clusters import ALERTS, ERRORS, QUIET, USUAL, Clusters
from tests.monitoring.servers import Server

SLO = 'required = ["Burn-{name}"]\ndeadman = "Watchdog"\nalertmanager = "http://{{alertmanager}}"\n'
METRIC = """
[environments.live.metrics.errors]
query = "slo:{name}:ratio5m"
samples = "vector(100) or sum(count_over_time(up[{{window}}]))"
min_samples = 1
at_most = 0.1
any_revision = true
"""


def judged(name: str, shared: Clusters) -> dict[str, str]:
    return shared.judged("slo", SLO.format(name=name), METRIC.format(name=name))


def test_a_rule_that_names_no_job_warns(shared: Clusters) -> None:
    """Burn rates of recorded series do not; the gate opens."""
    why = "the rules name no job: list the jobs in alerts.jobs"
    assert judged("plain", shared) == {ALERTS: f"warned: jobs whose targets are checked: 0 is less than 1 ({why})"}


def test_the_jobs_of_a_recording_rule_count(shared: Clusters) -> None:
    """slok/sloth#505: the alert names no job; the rule that records for it does."""
    assert ALERTS not in judged("job", shared)
    assert "targets that are up of job gone: 0 is less than 1" in judged("gone", shared)[ALERTS]


def test_an_alert_on_a_series_whose_recording_fails(shared: Clusters) -> None:
    """prometheus/prometheus#12909: the alerting rule is healthy and never fires; a number would be one of before."""
    found = judged("failing", shared)
    assert found[ALERTS].startswith("failed")
    assert "health of slo:failing:ratio5m" in found[ALERTS]
    assert found[ERRORS].startswith("errored")


def test_an_alert_on_a_series_that_nobody_records(shared: Clusters) -> None:
    found = judged("nobody", shared)
    assert found[ALERTS].startswith("warned")
    assert "no rule in this Prometheus records this series" in found[ALERTS]
    assert found[ERRORS].startswith("errored")


def test_an_alert_that_is_over_the_limit_of_its_group(shared: Clusters) -> None:
    """prometheus/prometheus#9225, #9342, grafana/mimir#12832: all of its alerts are dropped, just when many fire."""
    found = shared.judged("slo", USUAL.replace('["Watchdog"]', '["Many"]'))
    assert found[ALERTS].startswith("failed")
    assert "health of Many" in found[ALERTS]
    assert "exceeded limit of 1" in found[ALERTS]
    assert QUIET not in found


def test_targets_that_are_gone_are_not_up(shared: Clusters) -> None:
    """prometheus/prometheus#398: a target that service discovery has dropped answered within the last two minutes."""
    assert "targets that are up" not in shared.judged("bare")[ALERTS]
    shared.without_targets("bare")
    assert "targets that are up of job self: 0 is less than 1" in shared.judged("bare")[ALERTS]


def in_front(server: Server, change: Callable[[dict[str, Any]], None], **headers: str) -> Callable[[Seen], Answer]:
    """What a real Prometheus answers, changed."""

    def answer(seen: Seen) -> Answer:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if seen.body else {}
        request = urllib.request.Request(
            f"http://{server.address}{seen.path}", seen.body or None, kind, method=seen.method
        )
        with urllib.request.urlopen(request, timeout=10) as told:
            document = json.loads(told.read())
        change(document)
        return 200, {"Content-Type": "application/json", **headers}, json.dumps(document).encode()

    return answer


@pytest.mark.parametrize(
    ("more", "headers", "words"),
    [
        ({"isPartial": True}, {}, "isPartial"),
        ({"isPartial": False}, {}, ""),
        ({"warnings": ["No StoreAPIs matched for this query"]}, {}, "No StoreAPIs"),
        ({}, {"M3-Results-Limited": "max_fetch_series_limit_applied"}, "M3-Results-Limited"),
    ],
)
def test_a_part_of_the_answer(more: dict[str, Any], headers: dict[str, str], words: str, shared: Clusters) -> None:
    """VictoriaMetrics#4721, #8522, thanos-io/thanos#622: as vmselect, Thanos and M3 say that a store did not answer."""
    server = shared.servers["slo"]
    with web(in_front(server, lambda document: document.update(more), **headers)) as front:
        found = shared.judged("slo", USUAL, METRIC.format(name="plain"), prometheus=f"127.0.0.1:{front.port}")
    assert {each.partition(":")[0] for each in found.values()} == ({"errored"} if words else set())
    assert all(words in each for each in found.values())


def test_a_store_elsewhere_that_does_not_answer(shared: Clusters) -> None:
    """prometheus/prometheus#2573, #5662, grafana/grafana#25972: Prometheus itself answers 200 with what it has.

    A metric of its own series is as partial, for the store may have had more of them.
    """
    with shared.with_remote_store("slo", 9):
        found = shared.judged("slo", USUAL, METRIC.format(name="plain"))
    assert found[ALERTS].startswith("errored")
    assert found[ERRORS].startswith("errored")
    assert "remote" in found[ERRORS]
    assert shared.judged("slo", USUAL, METRIC.format(name="plain")) == {}


def test_a_number_that_another_server_recorded_long_ago(shared: Clusters) -> None:
    """A query front end knows no rules: the age of the newest sample tells."""

    def aged(document: dict[str, Any]) -> None:
        data = document["data"]
        if "groups" in data:
            data["groups"] = []
        elif asked and asked[-1].startswith("time()-max"):
            data["result"] = [{"metric": {}, "value": [time.time(), "240"]}]

    asked: list[str] = []
    forward = in_front(shared.servers["slo"], aged)

    def answer(seen: Seen) -> Answer:
        from urllib.parse import parse_qs

        asked.append(parse_qs(seen.body.decode()).get("query", [""])[0].replace(" ", ""))
        return forward(seen)

    with web(answer) as front:
        found = shared.judged("slo", USUAL, METRIC.format(name="plain"), prometheus=f"127.0.0.1:{front.port}")[ERRORS]
    assert found.startswith("errored")
    assert "240 s ago" in found


def test_an_alert_that_only_a_time_interval_mutes_still_fires(shared: Clusters) -> None:
    """prometheus/alertmanager#3513: from 0.28 on groups tell `mutedBy`; nobody has said that it does not matter."""
    status = {"state": "suppressed", "silencedBy": [], "inhibitedBy": [], "mutedBy": ["nights"]}
    watchdog = {"labels": {"alertname": "Watchdog", "severity": "none", "scene": "slo"}, "status": status}
    down = {"labels": {"alertname": "ShopDown", "severity": "critical"}, "status": status}
    begun = {"startsAt": "2026-01-01T00:00:00Z"}

    def answer(seen: Seen) -> Answer:
        said: Any = [{"name": "team-shop"}]
        if "/groups" in seen.path:
            said = [{"labels": {}, "receiver": {"name": "team-shop"}, "alerts": [watchdog | begun]}]
        elif "/alerts" in seen.path:
            said = [down | begun]
        return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()

    with web(answer) as server:
        found = shared.judged("slo", USUAL.replace("{alertmanager}", f"127.0.0.1:{server.port}"))
    assert found[ALERTS].startswith("warned: ")
    assert "muted" in found[ALERTS]
    assert found[QUIET].startswith("failed")
