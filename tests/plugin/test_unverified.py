"""Whose identity nobody checked: named on every verdict."""

from __future__ import annotations

import pytest

from pytest_prodcheck.environments.project import Environment
from pytest_prodcheck.plugin.run_start import unverified_hosts

NODES = ("db.example:5432", "127.0.0.1:6432", "localhost:6432", "[::1]:6432", "10.0.0.7:5432", "127.example:5432")


@pytest.mark.parametrize(("mode", "named"), [
    ("disable", ("10.0.0.7:5432", "127.example:5432", "db.example:5432")),  # a proxy on this machine is no wire
    ("prefer", tuple(sorted(NODES))), ("require", tuple(sorted(NODES))), ("verify-ca", ()), ("verify-full", ()),
])  # fmt: skip
def test_postgres_without_a_certificate_that_is_checked(mode: str, named: tuple[str, ...]) -> None:
    shop = {"nodes": NODES, "tls": {"mode": mode}}
    assert unverified_hosts(Environment.model_validate({"name": "x", "postgres": {"shop": shop}})) == named


@pytest.mark.parametrize(("url", "role", "named"), [
    ("http://shop.example", "buyer", ("shop.example",)), ("http://shop.example:8080/api", "buyer", ("shop.example",)),
    ("https://shop.example", "buyer", ()), ("http://127.0.0.1:8080", "buyer", ()), ("http://[::1]", "buyer", ()),
    ("http://shop.example", None, ()),
])  # fmt: skip
def test_a_token_that_goes_in_clear(url: str, role: str | None, named: tuple[str, ...]) -> None:
    endpoint = {"request": "GET /", "status": 200, **({"as": role} if role else {})}
    services = {"shop": {"url": url, "endpoints": {"it": endpoint}}}
    assert unverified_hosts(Environment.model_validate({"name": "x", "services": services})) == named


@pytest.mark.parametrize("more", [{"authentication": {"bearer": {"env": "T"}}}, {"headers": {"X-Key": {"env": "T"}}}])
def test_other_credentials_that_go_in_clear(more: dict[str, object]) -> None:
    services = {"shop": {"url": "http://shop.example", **more}}
    watching = {"url": "http://prometheus.example", **more}
    environment = {"name": "x", "services": services, "prometheus": watching}
    assert unverified_hosts(Environment.model_validate(environment)) == ("prometheus.example", "shop.example")
