"""Prometheus, and the numbers that are asked of it: what may be declared, and what it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.sections.monitoring import matchers
from pytest_prodcheck.environments.targets import targets
from tests.environments.support import BASE, load_text, mistakes

PROMETHEUS = '[environments.dev.prometheus]\nurl = "https://prometheus.test"\n'
QUERIES = """\
query = 'errors{revision="{revision}"}[{window}]'
samples = 'requests{revision="{revision}"}[{window}]'
min_samples = 1
"""
METRIC = f"{PROMETHEUS}[environments.dev.metrics.errors]\n{QUERIES}"
LIMIT = "at_most = { warn = 1, fail = 2 }\n"
REFUSED = {
    "nobody to ask": (METRIC.replace(PROMETHEUS, "") + LIMIT, "metrics.errors: no server is declared to query"),
    "no limit": (METRIC, "metrics.errors: has no limit, so it could never fail"),
    "two limits": (METRIC + LIMIT + "at_least = 1\n", "expected one of `at_most` and `at_least`"),
    "an odd level": (METRIC + 'at_most = "often"\n', "metrics.errors.at_most: expected a quantity"),
    "no samples asked for": (METRIC.replace("min_samples = 1", "min_samples = 0") + LIMIT, "min_samples"),
    "any service": (METRIC + LIMIT + 'per = "service"\n', "query: does not contain {service}"),
    "no service": (METRIC.replace("errors{", 'errors{s="{service}",') + LIMIT, "{service} is filled in with"),
    "services of none": (METRIC + LIMIT + 'services = ["shop"]\n', "`services` is allowed with"),
    "unknown service": (
        METRIC.replace("{revision=", '{s="{service}",revision=') + LIMIT + 'per = "service"\nservices = ["sho"]\n',
        "there is no service `sho` (did you mean `shop`?)",
    ),
    "whatever runs": (METRIC.replace('{revision="{revision}"}', "") + LIMIT, "query: does not contain {revision}"),
    "no window": (METRIC.replace("requests{", "requests{}#{").replace("[{window}]'\nmin", "'\nmin") + LIMIT,
                  "samples: does not contain {window}"),
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
    configuration = load_text(tmp_path, text + 'severity = "high"\nowner = "team"\n')
    environment = configuration.environment("dev")
    for vantage, skip in (("outside", "out-of-reach"), ("cluster", "")):
        (metric,) = (each for each in targets(environment, configuration, vantage=vantage) if each.kind == "metric")
        assert (metric.name, metric.skip, metric.severity, metric.owner) == ("errors", skip, "high", "team")


def test_a_unit_narrows_the_services_that_are_asked_about(tmp_path: Path) -> None:
    text = BASE + METRIC.replace("{revision=", '{s="{service}",revision=') + LIMIT + 'per = "service"\n'
    text += 'services = ["shop"]\n[environments.dev.services.other]\nurl = "https://other.test"\n'
    text += '[environments.dev.units]\none = { services = ["shop"] }\ntwo = { services = ["other"] }\n'
    configuration = load_text(tmp_path, text)
    for unit, count in (("", 1), ("one", 1), ("two", 0)):
        environment = configuration.environment("dev", unit=unit)
        found = [each for each in targets(environment, configuration, unit=unit) if each.kind == "metric"]
        assert len(found) == count, unit


ALERTS = PROMETHEUS + '[environments.dev.alerts]\ndeadman = "Watchdog"\n'
QUIET = "quiet = { match = 'severity=\"critical\"' }\n"
REFUSED_ALERTS = {
    "nobody to ask": (ALERTS.replace(PROMETHEUS, ""), "alerts: no server is declared to query"),
    "nothing": (ALERTS.replace('deadman = "Watchdog"\n', "required = []\n"), "there is nothing to check"),
    "quiet without proof": (ALERTS.replace('deadman = "Watchdog"', 'required = ["A"]') + QUIET, "if alerts can arrive"),
    "receivers of nobody": (ALERTS + 'receivers = ["team"]\n', "needs `alertmanager`"),
    "no matchers": (ALERTS + 'quiet = { match = "" }\n', "expected label matchers"),
    "half a matcher": (ALERTS + "quiet = { match = 'severity=critical' }\n", "expected label matchers"),
    "an odd expression": (ALERTS + "quiet = { match = 'a=~\"(\"' }\n", "a: expected a regular expression"),
    "no address": (ALERTS + 'alertmanager = "alertmanager:9093"\n', "alertmanager: expected an address"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_ALERTS)
def test_alerts_that_cannot_be_meant_are_refused(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED_ALERTS[case]
    found = mistakes(tmp_path, BASE + text)
    assert len(found) == 1, found
    assert expected in found[0]


def test_an_alertmanager_is_an_address_or_a_table(tmp_path: Path) -> None:
    for value in ('"https://am.test"', '{ url = "https://am.test", authentication = { bearer = { env = "T" } } }'):
        configuration = load_text(tmp_path, f"{BASE}{ALERTS}{QUIET}alertmanager = {value}\n")
        environment = configuration.environment("dev")
        assert environment.alerts is not None
        assert environment.alerts.alertmanager is not None
        assert environment.alerts.alertmanager.url == "https://am.test"
        (found,) = (each for each in targets(environment, configuration) if each.kind == "alerts")
        assert (found.name, sorted(found.features), found.skip) == ("alerts", ["quiet"], "")


def test_matchers_are_read_as_alertmanager_does() -> None:
    text = 'severity="critical", namespace=~"a|b",team!="x\\"y",job!~"b.*"'
    assert matchers(text) == (
        ("severity", "=", "critical"), ("namespace", "=~", "a|b"), ("team", "!=", 'x"y'), ("job", "!~", "b.*"),
    )  # fmt: skip


HOST = f"{PROMETHEUS}[environments.dev.hosts.web]\n"
FROM_PROMETHEUS = 'source = "prometheus"\nmatch = \'instance="web-1"\'\n'
REFUSED_HOSTS = {
    "nobody to ask": (HOST.replace(PROMETHEUS, "") + FROM_PROMETHEUS, "hosts.web: no server is declared to query"),
    "no matchers": (HOST + 'source = "prometheus"\n', "`match` is required with"),
    "matchers of nothing": (HOST + 'source = "here"\nmatch = \'instance="web-1"\'\n', "`match` is required with"),
    "nodes out of reach": (HOST + 'source = "kubernetes"\n', "hosts.web: the cluster's nodes are not in reach"),
    "a relative mount": (HOST + 'source = "here"\nmounts = ["var"]\n', "hosts.web.mounts[0]"),
}


@pytest.mark.parametrize("case", REFUSED_HOSTS)
def test_hosts_that_cannot_be_meant_are_refused(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED_HOSTS[case]
    found = mistakes(tmp_path, BASE + text)
    assert len(found) == 1, found
    assert expected in found[0]


def test_hosts_are_reached_from_where_their_teller_is(tmp_path: Path) -> None:
    text = BASE + PROMETHEUS + 'vantage = "cluster"\n[environments.dev.hosts]\nthis = { source = "here" }\n'
    text += "web = { source = \"prometheus\", match = 'instance=\"web-1\"' }\n"
    text += "out = { source = \"prometheus\", match = 'instance=\"web-2\"', vantage = \"outside\", mounts = [] }\n"
    configuration = load_text(tmp_path, text)
    environment = configuration.environment("dev")
    found = {each.name: each for each in targets(environment, configuration) if each.kind == "host"}
    assert {name: each.skip for name, each in found.items()} == {"this": "", "web": "out-of-reach", "out": ""}
    assert [name for name, each in found.items() if each.features] == ["this", "web"]


def test_only_prometheus_knows_what_was_during_a_load(tmp_path: Path) -> None:
    text = BASE + PROMETHEUS + '[environments.dev.hosts]\nthis = { source = "here" }\n'
    text += "web = { source = \"prometheus\", match = 'instance=\"web-1\"' }\n"
    text += '[environments.dev.load.browse]\nhosts = ["shop.test"]\nlocustfile = "prodcheck.toml"\nduration = "10s"\n'
    for names, expected in (('"web"', []), ('"this"', ["it keeps the values"]), ('"wob"', ["there is no host `wob`"])):
        found = mistakes(tmp_path, f"{text}resources = {{ host = false, hosts = [{names}] }}\n")
        assert len(found) == len(expected), found
        assert all(words in each for words, each in zip(expected, found, strict=True))
