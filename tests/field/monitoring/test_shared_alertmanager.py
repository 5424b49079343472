"""pingcap/dead-mans-switch#3, prometheus-community/helm-charts#466: each Prometheus of a shared Alertmanager counts."""

from __future__ import annotations

import pytest

from pytest_prodcheck.evidence.monitoring import scraping
from tests.field.monitoring.clusters import ALERTS, QUIET, USUAL, Clusters

EAST, WEST = "labels = 'cluster=\"east\"'\n", "labels = 'cluster=\"west\"'\n"


@pytest.mark.parametrize("name", ["east", "bare"])
def test_the_watchdog_of_another_cluster_is_not_ours(name: str, shared: Clusters) -> None:
    """It differs by an external label; ours reaches nobody."""
    found = shared.judged(name)
    assert found[ALERTS].startswith("failed")
    assert "dead man's alert arrives" in found[ALERTS]
    assert found[QUIET].startswith("errored")


@pytest.mark.parametrize("name", ["west", "slo", "pair", "renamed"])
def test_ours_has_arrived(name: str, shared: Clusters) -> None:
    """With labels, without any, with a pair's replica label dropped on its way, with labels made anew."""
    assert shared.judged(name) == {}


def test_a_job_that_is_scraped_more_seldom_than_we_look_back(shared: Clusters, monkeypatch: pytest.MonkeyPatch) -> None:
    """prometheus/prometheus#8001, scylladb/scylla-monitoring#767: a range without a sample says nothing."""
    monkeypatch.setattr(scraping, "LATELY", "1ms")
    assert shared.judged("west") == {}


@pytest.mark.parametrize(
    ("name", "labels", "outcomes"),
    [
        ("west", "", ("errored", "errored")),  # whose it is has to be declared
        ("west", WEST, ()),
        ("west", "labels = 'cluster=\"north\"'\n", ("failed", "errored")),
        ("slo", "", ()),  # it has just the labels of the rule
        ("east", EAST, ("failed", "errored")),
    ],
)
def test_one_that_does_not_tell_its_configuration(
    name: str, labels: str, outcomes: tuple[str, ...], shared: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Thanos and Mimir do."""
    from pytest_prodcheck.evidence.monitoring import external_labels

    monkeypatch.setattr(external_labels, "PATH", "/api/v1/status/no-such-thing")
    found = shared.judged(name, USUAL + labels)
    assert tuple(found[check].partition(":")[0] for check in (ALERTS, QUIET) if check in found) == outcomes
    if outcomes == ("errored", "errored"):
        assert "alerts.labels" in found[ALERTS]


def test_rules_of_another_cluster_are_not_ours(shared: Clusters) -> None:
    """thanos-io/thanos#4812: a querier lists the rules of all clusters, each with its external labels."""
    scene = "labels = 'scene=\"slo\"'\n"
    assert shared.judged("slo", USUAL + scene) == {}
    found = shared.judged("slo", USUAL + "labels = 'scene=\"shared\"'\n")
    assert "rule is loaded of Watchdog" in found[ALERTS]
