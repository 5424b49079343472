"""Faults, and benign habits, of who gets in: roles, methods, owners, logins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl

from pytest_prodcheck.demo.shop.application import Shop, problem, token_of
from pytest_prodcheck.demo.shop.changes import Changes, Healthy, Wrapper
from pytest_prodcheck.demo.shop.http_server import Request, Response, json_response

CHANGES = Changes()
changes = CHANGES.changes
ACCOUNT, STATEMENT, ORDER = "GET /account", "GET /statement", "GET /orders/{order}"
REPORT, REPRICE, LOGIN = "GET /admin/report", "PUT /products/{sku}/price", "POST /login"
# faults of the shop that are no wrappers: it looks at their names itself
ELSEWHERE = ("logout-keeps-cookie", "token-keys-changing")
PATIENCE = 10  # bad tokens, after which a lock-out refuses good ones too

Who = Callable[[Shop, Request], bool]


def _anonymous(shop: Shop, request: Request) -> bool:
    return shop.user_of(request) is None


def _customer(shop: Shop, request: Request) -> bool:
    user = shop.user_of(request)
    return user is not None and user.role == "customer"


def _other_customer(shop: Shop, request: Request) -> bool:
    user = shop.user_of(request)
    return user is not None and user.name == "other-customer"


def _head(shop: Shop, request: Request) -> bool:
    return request.method == "HEAD"


def _bad_token(shop: Shop, request: Request) -> bool:
    return bool(token_of(request)) and shop.user_of(request) is None


def _answers_instead(who: Who, make: Callable[[], Response]) -> Wrapper:
    """Answers some otherwise."""

    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        return make() if who(shop, request) else healthy()

    return wrapper


def _opening() -> Response:
    return json_response(200, {"carts": 7, "sessions": 7})


def _status(status: int) -> Callable[[], Response]:
    return lambda: problem(status)


changes("report-open-to-customers", REPORT)(_answers_instead(_customer, _opening))
changes("report-open-to-one", REPORT)(_answers_instead(_other_customer, _opening))
changes("report-open-to-head", REPORT)(_answers_instead(_head, _opening))
changes("report-500-for-customers", REPORT)(_answers_instead(_customer, _status(500)))
changes("report-429-for-customers", REPORT)(_answers_instead(_customer, _status(429)))
changes("report-404-for-customers", REPORT)(_answers_instead(_customer, _status(404)))
changes("report-redirects-customers", REPORT)(
    _answers_instead(_customer, lambda: Response(302, b"", {"Location": "https://shop.demo.test/"}))
)
changes("reprice-open-to-customers", REPRICE)(_answers_instead(_customer, _opening))
changes("reprice-open-to-all", REPRICE)(_answers_instead(_anonymous, _opening))
changes("reprice-checks-late", REPRICE)(_answers_instead(_customer, _status(422)))
changes("statement-open", STATEMENT)(_answers_instead(_anonymous, _opening))
changes("order-403-for-strangers", ORDER)(_answers_instead(_other_customer, _status(403)))
changes("order-500-for-strangers", ORDER)(_answers_instead(_other_customer, _status(500)))
changes("token-forged-429", ACCOUNT)(_answers_instead(_bad_token, _status(429)))
changes("token-forged-500", ACCOUNT)(_answers_instead(_bad_token, _status(500)))
changes("token-forged-400", ACCOUNT)(_answers_instead(_bad_token, _status(400)))


@changes("order-open-to-strangers", ORDER)
def _open_order(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return _first_order(shop, request) if _other_customer(shop, request) else healthy()


@changes("order-shown-in-refusal", ORDER)
def _shown_order(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return replace(_first_order(shop, request), status=404) if _other_customer(shop, request) else healthy()


def _first_order(shop: Shop, request: Request) -> Response:
    return json_response(200, {**(shop.orders[request.backend].find(1) or {}), "order": "1"})


@changes("token-locks-out", ACCOUNT)
def _locks_out(shop: Shop, request: Request, healthy: Healthy) -> Response:
    bad = _bad_token(shop, request)
    count = shop.turn("token-locks-out") if bad else shop.counts.get("token-locks-out", 0)
    return problem(401) if count >= PATIENCE else healthy()


@changes("login-slow", LOGIN)
def _slow(shop: Shop, request: Request, healthy: Healthy) -> Response:
    time.sleep(0.4)
    return healthy()


@changes("throttling-slows", LOGIN)
def _slows(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """Each wrong password takes longer than the one before."""
    response = healthy()
    if response.status == 401:
        time.sleep(min(0.1 * shop.turn("throttling-slows"), 1))
    return response


@changes("throttling-locks-everybody", LOGIN)
def _locks_everybody(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return problem(403) if shop.throttle.wait("") else healthy()


@CHANGES.rewrites("override-header-honoured", "override-field-honoured")
def overridden(shop: Shop, request: Request) -> Request | None:
    """The request that a header or a form field makes of another one, where a fault lets it; None for no such."""
    method, body = "", request.body
    if "override-header-honoured" in shop.faults:
        method = request.headers.get("x-http-method-override", "")
    if "override-field-honoured" in shop.faults and "urlencoded" in request.headers.get("content-type", ""):
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        method = fields.pop("_method", "")
        plain = {name: int(value) if value.isdigit() else value for name, value in fields.items()}
        body = json.dumps(plain).encode()
    return replace(request, method=method, body=body) if method and request.method == "POST" else None
