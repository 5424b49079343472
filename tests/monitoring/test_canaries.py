"""A canary is compared by what a real Prometheus counted of both revisions."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.deploy.deployment import Deployment, DeployOptions
from pytest_prodcheck.deploy.plan import ObservedState, Plan, PlanProblem
from pytest_prodcheck.deploy.strategies import make_plan
from tests.deploy.model import Quiet
from tests.monitoring import servers
from tests.monitoring.exporter import Numbers

TOML = """\
version = 1
project = "shop"
[environments.production.prometheus]
url = "http://ADDRESS"
[environments.production.services.shop]
url = "http://127.0.0.1:9"
[environments.production.slots]
blue  = { connect_to = "127.0.0.1:1" }
green = { connect_to = "127.0.0.1:2" }
[environments.production.deploy]
strategy = "canary"
slots    = ["blue", "green"]
before   = "smoke"
[environments.production.deploy.analysis]
least = 200
[environments.production.deploy.analysis.metrics]
requests = 'http_requests_total{service="orders",revision="{revision}"}'
errors   = 'http_requests_total{service="orders",revision="{revision}",code=~"5.."}'
times    = 'http_request_duration_seconds_bucket{service="orders",revision="{revision}"}'
wait     = "10s"
[environments.production.deploy.commands.copy]
start   = ["true"]
stop    = ["true"]
observe = ["true"]
[environments.production.deploy.commands.share]
do      = ["true"]
observe = ["true"]
"""
LOOKS = {  # revision -> code and what is told; beside "steady"
    "good": (3, "too coarse"),  # all of both within the first bucket
    "twice": (1, "worse: median"),
    "tail": (1, "worse: tail"),
    "failing-steadily": (1, "worse: errors"),
    "hardly-used": (3, "requests to the canary were counted, 200 are required"),
    "steady-too": (0, "no worse: tail"),
}


def plan_of(made: Deployment, revision: str, old: str) -> Plan:
    world = ObservedState({"blue": old, "green": ""}, (("blue", 100), ("green", 0)))
    return make_plan(made.settings, world, environment="production", unit="", revision=revision)


@pytest.fixture
def made(watched: servers.Watch, tmp_path: Path) -> Deployment:
    (tmp_path / "prodcheck.toml").write_text(TOML.replace("ADDRESS", watched.prometheus.address))
    return Deployment(DeployOptions("production", revision="x"), tmp_path, Quiet())


def test_every_difference_is_found_and_none_is_made_up(made: Deployment) -> None:
    """All at once: each look waits for requests."""
    found: dict[str, Any] = {}

    def look(revision: str) -> None:
        old = "mortal" if revision == "good" else "steady"
        found[revision] = made._metrics(plan_of(made, revision, old)).compare("green", "blue", 0)

    threads = [threading.Thread(target=look, args=(each,)) for each in LOOKS]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    for revision, (code, told) in LOOKS.items():
        assert (found[revision].code, told in found[revision].text) == (code, True), (revision, found[revision])


@pytest.mark.parametrize(
    ("change", "revision", "code", "told"),
    [
        ("first_errors", "begins-to-fail", 1, "worse: errors 90 of"),
        ("anew", "started-again", 3, "one of its processes restarted"),
    ],
)
def test_what_comes_in_the_middle_of_a_look(
    change: str, revision: str, code: int, told: str, made: Deployment, numbers: Numbers
) -> None:
    """A series that is new counts from its first number on; a process that was started again cannot tell."""
    numbers.heal()
    comparing = made._metrics(plan_of(made, revision, "steady"))
    comparing._on_progress = lambda text: getattr(numbers, change).add(revision)
    comparing._settings = comparing._settings.model_copy(update={"least": 400})
    found = comparing.compare("green", "blue", 0)
    numbers.heal()
    assert (found.code, told in found.text) == (code, True), found


NEVER_COUNTED = {
    'status=~"5.."': "no series of http_requests_total has the labels",
    'code=~"5..",kind!=""': "no series of http_requests_total has the labels",
    'revision="{revision}",rev="1"': "no series of http_requests_total has the labels",
}


@pytest.mark.parametrize("labels", [*NEVER_COUNTED, "another name"])
def test_errors_that_would_never_be_counted_are_no_zero(labels: str, made: Deployment, numbers: Numbers) -> None:
    """spinnaker/spinnaker#5622, sourcegraph#40357, prometheus/prometheus#2389: nothing that matches reads as 0 %."""
    numbers.heal()
    declared = made.settings.analysis.metrics
    assert declared is not None
    errors = declared.errors.replace('code=~"5.."', labels)
    if labels == "another name":
        errors = declared.errors.replace("http_requests_total", "http_request_errors_total")
    analysis = made.settings.analysis.model_copy(update={"metrics": declared.model_copy(update={"errors": errors})})
    made.settings = made.settings.model_copy(update={"analysis": analysis})
    plan = plan_of(made, "failing-steadily", "steady")
    found = made._metrics(plan).compare("green", "blue", 0)
    told = NEVER_COUNTED.get(labels, "no series of http_request_errors_total in the last 10s")
    assert (found.code, told in found.text) == (3, True), found
    with pytest.raises(PlanProblem, match="no error would be counted") as error:
        made._show_plan(plan)
    assert error.value.code == 3


def test_what_came_before_a_look_is_no_part_of_it(made: Deployment, numbers: Numbers) -> None:
    """Errors of a cold start, scraped only after the question."""
    numbers.heal()
    numbers.first_errors.add("steady-too")
    found = made._metrics(plan_of(made, "steady-too", "steady")).compare("green", "blue", 0)
    numbers.heal()
    assert (found.code, "no worse: errors 0 of" in found.text) == (0, True), found


def test_the_plan_states_it_by_the_buckets_of_now(made: Deployment) -> None:
    told = made._metrics(plan_of(made, "new", "steady")).power_lines()
    assert "200 requests to each revision at each of 2 comparisons, at most 10 s each" in told
    assert "(computed from the current buckets)" in told[1]
    unknown = made._metrics(plan_of(made, "new", "unknown")).power_lines()
    assert "cannot be predicted (0 requests in 10 s)" in unknown[1]
