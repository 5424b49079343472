"""Load scenarios: what they send, where they may, how much; and who may let them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.sections.load import seconds_of
from pytest_prodcheck.environments.targets import Target, settings_of, targets
from pytest_prodcheck.environments.toml.errors import ConfigurationError
from tests.environments.support import load_text, mistakes, write

HEAD = """\
version = 1
[environments.dev.services.shop]
url = "https://shop.test"
endpoints.home = { request = "GET /", status = 200 }
endpoints.order = { request = "POST /orders", status = 201 }
[environments.dev.services.inner]
url = "http://inner.test"
vantage = "cluster"
endpoints.a = { request = "GET /", status = 200 }
[environments.dev.units]
shop = { services = ["shop"] }
inner = { services = ["inner"] }
"""
LOAD = """\
[environments.dev.load.browse]
hosts = ["shop.test"]
mix = { "shop.home" = 9, "shop.order" = 1 }
rate = "600/min"
duration = "60s"
"""
LIGHT_ORDER = '[environments.dev.light]\nendpoints = ["shop.order"]\n'


def targets_by_name(folder: Path, text: str = "", name: str = "dev", **scope: object) -> dict[str, Target]:
    configuration = load_text(folder, HEAD + LOAD + text)
    environment = configuration.environment(name, unit=str(scope.get("unit", "")))
    return {each.name: each for each in targets(environment, configuration, **scope) if each.kind == "load"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "segments", "requests"),
    [
        ("", [(60, 10, 10)], 600),
        ('shape = "soak"', [(60, 10, 10)], 600),
        ('shape = "ramp"\nfrom = "2/s"', [(60, 2, 10)], 360),
        ('shape = "step"\nfrom = "4/s"\nsteps = 3', [(20, 4, 4), (20, 7, 7), (20, 10, 10)], 420),
        ('shape = "spike"', [(20, 1, 1), (20, 10, 10), (20, 1, 1)], 240),
        (
            'stress = { until = "30/s", steps = 2, hold = "5s", recover = "4s" }',
            [(60, 10, 10)], 600 + 100 + 150 + 40,
        ),
    ],
)  # fmt: skip
def test_shapes(more: str, segments: list[tuple[float, float, float]], requests: int, tmp_path: Path) -> None:
    load = load_text(tmp_path, HEAD + LOAD + more + "\n").environment("dev").load["browse"]
    flat = [part for each in segments for part in each]
    assert [part for each in load.segments for part in each] == pytest.approx(flat)
    assert load.requests == requests


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"shop.home" = 9', '"shop.hame" = 9', "there is no endpoint `shop.hame`"),
        ('hosts = ["shop.test"]', 'hosts = ["other.test"]', "is answered by shop.test, which is not in the `hosts`"),
        ('hosts = ["shop.test"]', "hosts = []", "hosts"),
        ('rate = "600/min"', 'rate = "600"', 'expected a rate such as "10000/min"'),
        ('rate = "600/min"', 'rate = "0/s"', "expected a rate"),
        ('rate = "600/min"\n', "", "`rate` is missing and has no default"),
        ('duration = "60s"', 'duration = "60s"\nlocustfile = "l.py"', "expected `mix` or `flows`, or else"),
        ('duration = "60s"', 'duration = "60s"\nexpect_workers = 2', "`bind` is missing"),
        ('duration = "60s"', 'duration = "60s"\nstress = { until = "5/s" }', "begins above the scenario's own rate"),
        ('duration = "60s"', 'duration = "60s"\nfrom = "20/s"', "`from` is the lower end"),
        ('duration = "60s"', 'duration = "60s"\nabort = { error_ratio = "5s" }', 'expected a share such as "5%"'),
        ('duration = "60s"', 'duration = "60s"\nhttp = "3"', "http"),
        ("load.browse", "load.light", "`light` is reserved for latency without load"),
        ('duration = "60s"', 'duration = "60s"\n[environments.dev.load_caps]\nrate = "5/s"', "exceed the cap of 5"),
        ('duration = "60s"', 'duration = "60s"\n[environments.dev.load_caps]\nduration = "5s"', "the cap of 5 s"),
        ('duration = "60s"', 'duration = "60s"\n[environments.dev.load_caps]\nrequests = 99', "the cap of 99"),
        ("[environments.dev.load", LIGHT_ORDER + "[environments.dev.load", "changes nothing"),
    ],
)
def test_mistakes(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in HEAD + LOAD
    told = mistakes(tmp_path, (HEAD + LOAD).replace(old, new))
    assert any(expected in each for each in told), told


def test_a_protected_environment_has_caps_of_its_own(tmp_path: Path) -> None:
    """10,000 a minute, 10 minutes, 100,000 requests, unless `load_caps` says more."""
    live = HEAD + LOAD.replace("600/min", "10001/min") + "[environments.dev]\nprotected = true\nabsent = ["
    live += '"auth", "workflows", "postgres", "redis", "vulnerabilities"]\n'
    assert any("exceed the cap" in each for each in mistakes(tmp_path, live))
    more = '[environments.dev.load_caps]\nrate = "20000/min"\n'
    assert mistakes(tmp_path, live + more) == []


def test_on_a_protected_environment_load_needs_an_opt_in_and_latency_without_load_does_not(tmp_path: Path) -> None:
    more = '[environments.live]\nextends = "dev"\nprotected = true\n'
    skipped = targets_by_name(tmp_path, more, "live")
    assert skipped["browse"].skip == "opt-in"
    assert "sends about 600 requests" in skipped["browse"].detail
    assert "--allow-load browse" in skipped["browse"].detail
    assert skipped["light"].skip == ""
    allowed = targets_by_name(tmp_path, more, "live", allow_load={"browse"}, allow_write={"shop.order"})
    assert allowed["browse"].skip == ""


def test_on_a_protected_environment_a_load_that_writes_needs_the_opt_in_of_what_writes_too(tmp_path: Path) -> None:
    """As the workflow or endpoint alone: a load leaves its traces thousands of times."""
    more = """\
[environments.dev.workflows.buy]
steps = [{ name = "order", request = "POST shop:/orders", status = 201 }]
[environments.dev.workflows.look]
steps = [{ name = "home", request = "GET shop:/", status = 200 }]
[environments.dev.load.flow]
hosts = ["shop.test"]
flows = { buy = 1, look = 1 }
rate = "60/min"
duration = "60s"
[environments.live]
extends = "dev"
protected = true
"""
    loads = {"browse", "flow"}
    assert {each.skip for each in targets_by_name(tmp_path, more, allow_load=loads).values()} == {""}
    told = targets_by_name(tmp_path, more, "live", allow_load=loads)
    assert (told["browse"].skip, told["flow"].skip, told["light"].skip) == ("opt-in", "opt-in", "")
    assert told["browse"].detail.endswith("allow it with --allow-write shop.order")
    assert told["flow"].detail.endswith("allow it with --allow-write buy")
    allowed = targets_by_name(tmp_path, more, "live", allow_load=loads, allow_write={"shop.order", "buy"})
    assert {each.skip for each in allowed.values()} == {""}


def test_an_unknown_load_cannot_be_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no load is named `brows`"):
        targets_by_name(tmp_path, allow_load={"brows"})


def test_features_units_and_reach(tmp_path: Path) -> None:
    stress = 'stress = { until = "30/s" }\nresources = {}\n'
    assert targets_by_name(tmp_path, stress)["browse"].features == {"run", "stress", "resources"}
    assert set(targets_by_name(tmp_path, unit="inner")) == set()
    assert set(targets_by_name(tmp_path, unit="shop")) == {"browse", "light"}
    assert targets_by_name(tmp_path, vantage="cluster")["browse"].skip == "out-of-reach"
    assert set(targets_by_name(tmp_path, "[environments.dev.light]\nenabled = false\n")) == {"browse"}


def test_what_a_check_is_told_of_it(tmp_path: Path) -> None:
    environment = load_text(tmp_path, HEAD + LOAD).environment("dev")
    assert settings_of(environment, Target("load", "browse"))["mix"] == {"shop.home": 9, "shop.order": 1}
    assert settings_of(environment, Target("load", "light"))["requests"] == 300
    assert seconds_of("browse", environment) > 60
    assert seconds_of("light", environment) < 60


def test_http_2_needs_tls_and_no_locust_file(tmp_path: Path) -> None:
    inner = LOAD.replace("browse", "inner").replace('"shop.home" = 9, "shop.order" = 1', '"inner.a" = 1')
    inner = inner.replace("shop.test", "inner.test")
    assert any("inner.test has none" in each for each in mistakes(tmp_path, HEAD + inner + 'http = "2"\n'))
    assert mistakes(tmp_path, HEAD + inner + 'http = "auto"\n') == []
    assert mistakes(tmp_path, HEAD + LOAD + 'http = "2"\n') == []
    write(tmp_path, "x = 1\n", "l.py")
    own = '[environments.dev.load.own]\nhosts = ["shop.test"]\nlocustfile = "l.py"\nduration = "5s"\nhttp = "auto"\n'
    assert any("chooses its own HTTP version" in each for each in mistakes(tmp_path, HEAD + own))


def test_a_locust_file_has_to_be_there(tmp_path: Path) -> None:
    own = '[environments.dev.load.own]\nhosts = ["shop.test"]\nlocustfile = "l.py"\nduration = "5s"\n'
    assert any("no file 'l.py'" in each for each in mistakes(tmp_path, HEAD + own))
    write(tmp_path, "x = 1\n", "l.py")
    assert mistakes(tmp_path, HEAD + own) == []
