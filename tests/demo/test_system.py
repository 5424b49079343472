"""The healthy demo serves what its configuration says."""

from __future__ import annotations

import json
import stat
from http import HTTPStatus

import jsonschema
import psutil
import pytest

from pytest_prodcheck.demo import Demo
from tests.demo.client import Client


def test_everything_is_healthy(client: Client) -> None:
    client.assert_healthy()


@pytest.mark.parametrize("name", ["home", "product", "quote", "account", "report"])
def test_declared_endpoints_answer_as_declared(client: Client, name: str) -> None:
    endpoint = client.settings["services"]["shop"]["endpoints"][name]
    sku = client.settings["vars"]["sku"]
    token = client.log_in(endpoint["as"]) if "as" in endpoint else ""
    body = json.loads(json.dumps(endpoint["json"]).replace("{sku}", sku)) if "json" in endpoint else None
    answer = client.ask(endpoint["request"].replace("{sku}", sku), body, token)
    assert answer.status == endpoint["status"]
    assert answer.headers["Content-Type"].startswith(endpoint.get("content_type", "application/json"))
    assert endpoint.get("contains", "") in answer.body.decode()
    if "schema" in endpoint:
        jsonschema.validate(answer.json, json.loads((client.root / endpoint["schema"]).read_text()))
    assert answer.headers["Strict-Transport-Security"]


def test_openapi_declares_what_is_served(client: Client) -> None:
    document = client.ask("GET /openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert {"get", "delete"} <= set(document["paths"]["/carts/{cart}"])
    for endpoint in client.settings["services"]["shop"]["endpoints"].values():
        method, path = endpoint["request"].replace("/orders/1", "/orders/{order}").split(" ")
        assert method.lower() in document["paths"][path]


def test_roles_are_kept_apart(client: Client) -> None:
    customer, other, admin = (client.log_in(role) for role in ("customer", "other-customer", "admin"))
    assert client.ask("GET /admin/report").status == HTTPStatus.UNAUTHORIZED
    assert client.ask("GET /admin/report", token="garbage").status == HTTPStatus.UNAUTHORIZED
    assert client.ask("GET /admin/report", token=customer).status == HTTPStatus.FORBIDDEN
    assert client.ask("GET /orders/1", token=customer).status == HTTPStatus.OK
    assert client.ask("GET /orders/1", token=other).status == HTTPStatus.NOT_FOUND
    assert client.ask("GET /orders/1", token=admin).status == HTTPStatus.OK
    assert client.ask("POST /orders/1/cancel", token=customer).status == HTTPStatus.FORBIDDEN


def test_bad_logins_are_refused_alike(client: Client) -> None:
    tries = [("lockme", "wrong"), ("lockme", ""), ("nobody", "wrong"), ("customer", "wrong")]
    answers = [client.ask("POST /login", {"username": user, "password": word}) for user, word in tries]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}


def test_logout_revokes_on_both_backends(client: Client) -> None:
    token = client.log_in("customer")
    assert client.ask("POST /logout", token=token).status == 204
    assert [client.ask("GET /account", token=token).status for _ in range(2)] == [401, 401]


@pytest.mark.parametrize(
    ("request_line", "body", "status"),
    [
        ("GET /nowhere", None, 404),
        ("DELETE /quotes", None, 405),
        ("POST /quotes", [], 400),
        ("POST /quotes", {"lines": [{"sku": "smoke-sku-1", "count": -1}]}, 422),
        ("POST /login", {"username": 1, "password": 2}, 400),
        ("POST /quotes", "x" * 70_000, 413),
    ],
)
def test_bad_requests_get_a_problem_document(client: Client, request_line: str, body: object, status: int) -> None:
    answer = client.ask(request_line, body)
    assert (answer.status, answer.headers.get_content_type()) == (status, "application/problem+json")


def test_names(client: Client) -> None:
    assert client.names("shop.demo.test") == ("NOERROR", ["127.0.0.1", "127.0.0.2"])
    assert client.names("shop.demo.test", "AAAA") == ("NOERROR", [])
    assert client.names("www.example.org")[0] == "NXDOMAIN"


def test_an_order_reaches_the_standby(client: Client) -> None:
    order = client.order()
    assert client.postgres(1, f"select state from orders where id = {int(order)}") == "cancelled"


def test_secrets_are_closed_to_others(client: Client) -> None:
    for path in (*(client.root / "secrets").iterdir(), *client.root.glob("*.key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((client.root / "control").stat().st_mode) == 0o600


def test_metrics_count(client: Client) -> None:
    client.ask("GET /version")
    text = client.ask("GET /metrics").body.decode()
    assert 'http_requests_total{service="shop",revision="demo-1",route="GET /version",code="200"}' in text


def test_memory_that_a_fault_takes_is_given_back(demo: Demo, client: Client) -> None:
    """One demo is under all fault tests of a process: what each leaves behind adds up, and memory is judged."""
    process = psutil.Process(demo.pid)
    client.ask("GET /products/smoke-sku-1")
    before = process.memory_info().rss
    for name, requests, least in (("perf-hog", 0, 320_000_000), ("perf-leak", 60, 15_000_000)) * 2:
        demo.set_faults([name])
        for _ in range(requests):
            client.ask("GET /products/smoke-sku-1")
        assert process.memory_info().rss - before > least
    demo.set_faults([])
    assert process.memory_info().rss - before < 10_000_000
