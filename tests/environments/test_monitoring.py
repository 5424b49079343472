"""Prometheus, and the numbers that are asked of it: what may be declared, and what it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.targets import targets
from tests.environments.support import BASE, loaded, mistakes

PROMETHEUS = '[environments.dev.prometheus]\nurl = "https://prometheus.test"\n'
QUERIES = """\
query = 'errors{revision="{revision}"}[{window}]'
samples = 'requests{revision="{revision}"}[{window}]'
min_samples = 1
"""
METRIC = f"{PROMETHEUS}[environments.dev.metrics.errors]\n{QUERIES}"
LIMIT = "at_most = { warn = 1, fail = 2 }\n"
REFUSED = {
    "nobody to ask": (METRIC.replace(PROMETHEUS, "") + LIMIT, "metrics.errors: there is nobody to ask"),
    "no limit": (METRIC, "metrics.errors: has no limit: nothing could break it"),
    "two limits": (METRIC + LIMIT + "at_least = 1\n", "expected one of `at_most` and `at_least`"),
    "an odd level": (METRIC + 'at_most = "often"\n', "metrics.errors.at_most: expected a quantity"),
    "no samples asked for": (METRIC.replace("min_samples = 1", "min_samples = 0") + LIMIT, "min_samples"),
    "any service": (METRIC + LIMIT + 'per = "service"\n', "query: does not name {service}"),
    "no service": (METRIC.replace("errors{", 'errors{s="{service}",') + LIMIT, "{service} is filled in with"),
    "services of none": (METRIC + LIMIT + 'services = ["shop"]\n', "`services` goes with"),
    "unknown service": (
        METRIC.replace("{revision=", '{s="{service}",revision=') + LIMIT + 'per = "service"\nservices = ["sho"]\n',
        "there is no service `sho` (did you mean `shop`?)",
    ),
    "whatever runs": (METRIC.replace('{revision="{revision}"}', "") + LIMIT, "query: does not name {revision}"),
    "no window": (METRIC.replace("requests{", "requests{}#{").replace("[{window}]'\nmin", "'\nmin") + LIMIT,
                  "samples: does not name {window}"),
    "a variable of that name": ('[environments.dev.vars]\nwindow = "5m"\n' + METRIC + LIMIT, "choose another name"),
    "a CA that is not there": (PROMETHEUS + 'tls = { ca = "ca.pem" }\n', "prometheus.tls.ca: there is no file"),
    "a credential in the open": (PROMETHEUS + 'headers = { Authorization = "x" }\n', "credentials in a header"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED[case]
    found = mistakes(tmp_path, BASE + text)
    assert any(expected in each for each in found), found


@pytest.mark.parametrize("threshold", ["smoke.metrics.errors", "smoke.metrics.*", "smoke.metrics.errors@errors"])
def test_a_limit_may_stand_among_the_thresholds(threshold: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, f'{BASE}{METRIC}[thresholds]\n"{threshold}" = {{ fail = "1%" }}\n') == []


def test_it_is_skipped_where_prometheus_is_out_of_reach(tmp_path: Path) -> None:
    text = BASE + METRIC.replace("[environments.dev.metrics", 'vantage = "cluster"\n[environments.dev.metrics') + LIMIT
    configuration = loaded(tmp_path, text + 'severity = "high"\nowner = "team"\n')
    environment = configuration.environment("dev")
    for vantage, skip in (("outside", "out-of-reach"), ("cluster", "")):
        (metric,) = (each for each in targets(environment, configuration, vantage=vantage) if each.kind == "metric")
        assert (metric.name, metric.skip, metric.severity, metric.owner) == ("errors", skip, "high", "team")


def test_a_unit_narrows_the_services_that_are_asked_about(tmp_path: Path) -> None:
    text = BASE + METRIC.replace("{revision=", '{s="{service}",revision=') + LIMIT + 'per = "service"\n'
    text += 'services = ["shop"]\n[environments.dev.services.other]\nurl = "https://other.test"\n'
    text += '[environments.dev.units]\none = { services = ["shop"] }\ntwo = { services = ["other"] }\n'
    configuration = loaded(tmp_path, text)
    for unit, count in (("", 1), ("one", 1), ("two", 0)):
        environment = configuration.environment("dev", unit=unit)
        found = [each for each in targets(environment, configuration, unit=unit) if each.kind == "metric"]
        assert len(found) == count, unit
