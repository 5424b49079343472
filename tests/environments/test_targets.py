from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.loading import Configuration, ConfigurationError
from pytest_prodcheck.environments.queries import protected_endpoint
from pytest_prodcheck.environments.targets import Target, settings_of, targets, undeclared_kinds
from tests.environments.support import BASE, DATA, load_text, with_reference_files, write

TEXT = """\
version = 1
[environments.dev]
absent = []
[environments.dev.services.shop]
url = "https://shop.test"
health = "/healthz"
version = { path = "/version", pointer = "/revision" }
openapi = "/openapi.json"
redirect = true
owner = "team-shop"
[environments.dev.services.shop.endpoints]
home = { request = "GET /", status = 200, budget = "1s", allow = ["anonymous"] }
account = { request = "GET /account", status = 200, allow = ["customer"] }
reprice = { request = "PUT /price", allow = ["customer"], control = "account" }
order = { request = "POST /orders", status = 201, allow = ["anonymous"] }
quote = { request = "POST /quotes", safe = true, schema = "s.json" }
[environments.dev.services.bare]
url = "http://bare.test"
connect_to = "other.test:80"
html = true
[environments.dev.services.inner]
url = "http://inner.test"
vantage = "cluster"
endpoints.a = { request = "GET /", status = 200 }
[environments.dev.units]
shop = { services = ["shop"], owner = "team-unit" }
inner = { services = ["inner"], owner = "team-inner" }
[environments.dev.auth]
kind = "json"
service = "shop"
login = "POST /login"
token = "/token"
wrong_password = { user = "lockme" }
[environments.dev.auth.roles]
customer = { user = "c", password = { env = "C" } }
admin = { user = "a", password = { file = "a" } }
[environments.dev.workflows.buy]
unit = "shop"
steps = [{ name = "a", request = "POST shop:/orders" }]
[environments.dev.workflows.look]
steps = [{ name = "a", request = "GET shop:/" }, { name = "b", request = "GET inner:/" }]
[environments.dev.dependencies]
name = { dns = "queue.test" }
port = { tcp = "queue.test:5672", owner = "team-queue" }
[environments.dev.postgres.db]
nodes = ["a:5432"]
vantage = "cluster"
[environments.dev.redis.cache]
nodes = ["a:6379"]
[environments.dev.exposure.edge]
host = "edge.test"
ports = "1-1024"
expected = [443]
owner = "team-edge"
[environments.dev.own.mail-relay]
host = "relay.test"
vantage = "cluster"
owner = "team-mail"
[environments.dev.slots.green]
connect_to = "green.test:443"
[environments.live]
extends = "dev"
protected = true
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    write(tmp_path, "{}", "s.json")
    return load_text(tmp_path, TEXT)


def targets_by_name(configuration: Configuration, name: str = "dev", slot: str = "", **scope: Any) -> dict[str, Target]:
    environment = configuration.environment(name, unit=scope.get("unit", ""), slot=slot)
    return {f"{each.kind}:{each.name}": each for each in targets(environment, configuration, **scope)}


def test_all_kinds_with_their_features(configuration: Configuration) -> None:
    features = {name: set(each.features) for name, each in targets_by_name(configuration).items()}
    assert features == {
        "service:shop": {"http", "health", "version", "openapi", "redirect", "https", "tokens"},
        "service:bare": {"http", "html"},
        "service:inner": {"http"},
        "endpoint:shop.home": {"answer", "budget"},
        "endpoint:shop.account": {"answer", "guarded", "matrix", "private"},
        "endpoint:shop.reprice": {"guarded", "matrix"},
        "endpoint:shop.order": {"answer"},
        "endpoint:shop.quote": {"answer", "schema"},
        "endpoint:inner.a": {"answer"},
        "auth:auth": {"login", "wrong_password"},
        "role:customer": {"login", "session"},
        "role:admin": {"login"},
        "workflow:buy": set(),
        "workflow:look": set(),
        "dns:name": set(),
        "tcp:port": set(),
        "dependency:name": set(),
        "dependency:port": set(),
        "postgres:db": set(),
        "redis:cache": {"writes"},
        "exposure:edge": set(),
        "tls:shop": {"name"},
        "tls:postgres.db": {"name"},
        "load:light": set(),
        "mail-relay:mail-relay": set(),
        "environment:dev": set(),
    }


def test_owners_come_from_the_target_then_its_unit(configuration: Configuration) -> None:
    owners = {name: each.owner for name, each in targets_by_name(configuration).items() if each.owner}
    assert owners["service:shop"] == owners["endpoint:shop.home"] == owners["auth:auth"] == "team-shop"
    assert owners["service:inner"] == owners["endpoint:inner.a"] == "team-inner"
    assert owners["workflow:buy"] == "team-unit"
    assert owners["tcp:port"] == "team-queue"
    assert owners["mail-relay:mail-relay"] == "team-mail"


def skipped(all_: dict[str, Target]) -> dict[str, str]:
    return {name: each.skip for name, each in all_.items() if each.skip}


def test_another_vantage_is_out_of_reach(configuration: Configuration) -> None:
    outside = targets_by_name(configuration)
    far = {"service:inner", "endpoint:inner.a", "workflow:look", "postgres:db", "tls:postgres.db"}
    far.add("mail-relay:mail-relay")
    assert skipped(outside) == dict.fromkeys(far, "out-of-reach")
    assert "--vantage cluster" in outside["postgres:db"].detail
    inside = targets_by_name(configuration, vantage="cluster")
    assert set(skipped(inside)) == set(inside) - far - {"load:light", "environment:dev"}


def test_what_writes_needs_an_opt_in_where_protected(configuration: Configuration) -> None:
    live = targets_by_name(configuration, "live")
    writing = {"endpoint:shop.reprice", "endpoint:shop.order", "workflow:buy"}
    assert {name for name, skip in skipped(live).items() if skip == "opt-in"} == writing
    assert live["workflow:buy"].detail == "writes to a protected environment: allow it with --allow-write buy"
    assert "--allow-write shop.order" in live["endpoint:shop.order"].detail
    allowed = targets_by_name(configuration, "live", allow_write={"buy", "shop.order"})
    assert {name for name, skip in skipped(allowed).items() if skip == "opt-in"} == {"endpoint:shop.reprice"}


def test_a_unit_narrows_services_and_workflows_and_keeps_what_they_depend_on(configuration: Configuration) -> None:
    assert set(targets_by_name(configuration)) - set(targets_by_name(configuration, unit="inner")) == {
        "service:shop",
        "service:bare",
        "endpoint:shop.home",
        "endpoint:shop.account",
        "endpoint:shop.reprice",
        "endpoint:shop.order",
        "endpoint:shop.quote",
        "workflow:buy",
        "tls:shop",
        "load:light",
    }


def test_a_slot_judges_nothing_that_it_does_not_move(configuration: Configuration) -> None:
    """FAIL_OPEN 36: the live copy is not judged in place of the slot's."""
    green = targets_by_name(configuration, slot="green", vantage="cluster")
    assert green["service:inner"].skip == "out-of-reach"
    assert "slots.green.services.inner" in green["service:inner"].detail
    outside = targets_by_name(configuration, slot="green")
    assert outside["service:shop"].features == {"http", "health", "version", "openapi", "https", "tokens"}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"vantage": "clustre"}, "--vantage: no target has the vantage `clustre` (did you mean `cluster`?)"),
        ({"allow_write": {"by"}}, "--allow-write: no writing workflow or endpoint is named `by` (did you mean `buy`?)"),
        ({"allow_write": {"look"}}, "--allow-write: no writing workflow or endpoint is named `look`"),
    ],
)
def test_names_that_nothing_has_are_refused(scope: dict[str, Any], expected: str, configuration: Configuration) -> None:
    with pytest.raises(ConfigurationError) as caught:
        targets_by_name(configuration, **scope)
    assert expected in str(caught.value)


def test_settings_are_the_declared_table_with_secrets_as_references(configuration: Configuration) -> None:
    environment = configuration.environment("dev")
    all_ = {name: settings_of(environment, each) for name, each in targets_by_name(configuration).items()}
    assert all_["endpoint:shop.home"]["request"] == "GET /"
    assert all_["endpoint:shop.quote"]["schema"] == "s.json"
    assert all_["endpoint:shop.home"]["budget"] == 1.0
    assert all_["service:shop"]["version"]["path"] == "/version"
    assert all_["role:admin"]["password"] == {"env": None, "file": "a", "command": None}
    assert all_["tcp:port"]["tcp"] == "queue.test:5672"
    assert all_["mail-relay:mail-relay"]["host"] == "relay.test"
    assert all_["environment:dev"] == {}
    assert [name for name, settings in all_.items() if not settings] == ["environment:dev"]


def test_undeclared_kinds_are_told_where_protected(tmp_path: Path) -> None:
    """FAIL_OPEN 35: a section that was deleted is noticed."""
    configuration = load_text(
        tmp_path, BASE + '[environments.live]\nextends = "dev"\nprotected = true\nabsent = ["redis"]\n'
    )
    assert undeclared_kinds(configuration.environment("dev")) == ()
    assert undeclared_kinds(configuration.environment("live")) == ("auth", "workflows", "postgres")


def test_the_endpoint_a_session_must_open(configuration: Configuration) -> None:
    environment = configuration.environment("dev")
    assert protected_endpoint(environment, "customer") == "shop.account"
    assert protected_endpoint(environment, "admin") == ""


def test_the_reference_from_outside_and_from_the_cluster(tmp_path: Path) -> None:
    configuration = load_text(with_reference_files(tmp_path), (DATA / "reference.toml").read_text())
    outside = targets_by_name(configuration, "production")
    assert skipped(outside)["workflow:order"] == "out-of-reach"  # its clean-up goes through a service in the cluster
    assert outside["endpoint:catalog.reprice"].skip == "opt-in"
    inside = targets_by_name(configuration, "production", vantage="cluster", allow_write={"order"})
    assert not inside["workflow:order"].skip
    assert not inside["service:orders"].skip


def test_importing_targets_brings_no_pydantic() -> None:
    code = "import sys, pytest_prodcheck.environments.targets; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_hsts_is_not_asked_of_addresses(tmp_path: Path) -> None:
    """RFC 6797, 8.1.1: browsers ignore it for IP addresses."""
    text = "version = 1\n" + "".join(
        f'[environments.dev.services.{name}]\nurl = "https://{host}"\n'
        for name, host in (("a", "192.0.2.7:8443"), ("b", "[2001:db8::1]"), ("c", "shop.test"))
    )
    features = {name: each.features for name, each in targets_by_name(load_text(tmp_path, text)).items()}
    assert [name for name, each in features.items() if "https" in each] == ["service:c"]


@pytest.mark.parametrize(
    ("request_", "more", "private"),
    [
        ("GET /a", 'as = "customer", status = 200', True),
        ("GET /a", 'allow = ["customer"]', True),
        ("GET /a", 'as = "customer", status = [403, 404]', False),  # a refusal is no answer that could be shared
        ("GET /a", 'allow = ["anonymous", "customer"]', False),
        ("GET /a", "status = 200", False),
        ("POST /a", 'as = "customer", safe = true, status = 200', False),
    ],
)
def test_which_answers_are_private(request_: str, more: str, private: bool, tmp_path: Path) -> None:
    endpoint = f'endpoints.a = {{ request = "{request_}", {more} }}\n'
    text = TEXT.replace('endpoints.a = { request = "GET /", status = 200 }\n', endpoint)
    write(tmp_path, "{}", "s.json")
    assert ("private" in targets_by_name(load_text(tmp_path, text))["endpoint:inner.a"].features) is private


def test_where_each_target_is_declared(tmp_path: Path, configuration: Configuration) -> None:
    (tmp_path / ".git").mkdir()
    environment = configuration.environment("dev")
    there = targets(environment, configuration)
    found = configuration.places(environment, there)
    lines = TEXT.splitlines()
    assert set(found) == {f"{each.kind}:{each.name}" for each in there} | {"environment:"}
    wanted = {
        "service:shop": "[environments.dev.services.shop]", "endpoint:shop.home": "home =", "dns:name": "name =",
        "role:admin": "admin =", "postgres:db": "[environments.dev.postgres.db]", "environment:": "[environments.dev]",
        "mail-relay:mail-relay": "[environments.dev.own.mail-relay]",
    }  # fmt: skip
    for name, start in wanted.items():
        file, _, line = found[name].rpartition(":")
        assert file == "prodcheck.toml"
        assert lines[int(line) - 1].startswith(start), name
