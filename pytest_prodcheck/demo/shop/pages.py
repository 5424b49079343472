"""The shop's operations, and those that tell about itself."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.demo.shop.application import TOKEN_LIFE, Refused, Shop, problem, session_cookie
from pytest_prodcheck.demo.shop.http_server import Request, Response, json_response, text_response
from pytest_prodcheck.demo.shop.login_page import read_login
from pytest_prodcheck.demo.shop.openapi import document
from pytest_prodcheck.demo.shop.routing import Routes

ROUTES = Routes()
route = ROUTES.route
HOME = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Shop</title><link rel="stylesheet" href="/shop.css"></head>
<body><h1>Shop</h1><p>Everything you need at 2 a.m.</p></body>
</html>
"""
STRING = {"type": "string", "maxLength": 200}
LINE = {
    "type": "object",
    "required": ["sku", "count"],
    "properties": {"sku": STRING, "count": {"type": "integer", "minimum": 1, "maximum": 100}},
}


def object_schema(**properties: object) -> dict[str, Any]:
    """The JSON Schema of an object with these properties, all required."""
    return {"type": "object", "required": list(properties), "properties": properties}


def read_body(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; refuses others with 400."""
    try:
        found = request.json()
    except ValueError:
        raise Refused(400) from None
    if not isinstance(found, dict):
        raise Refused(400)
    return found


def read_line(shop: Shop, found: object) -> tuple[str, int]:
    """SKU and count of a line; refuses others with 422."""
    if not isinstance(found, dict):
        raise Refused(422)
    sku, count = found.get("sku"), found.get("count")
    if not isinstance(sku, str) or sku not in shop.prices or type(count) is not int or not 1 <= count <= 100:
        raise Refused(422)
    return sku, count


@route("GET", "/", (200,), content_type="text/html")
def home(shop: Shop, request: Request) -> Response:
    """The front page."""
    return text_response(200, HOME, "text/html")


@route("GET", "/shop.css", (200,), content_type="text/css")
def style(shop: Shop, request: Request) -> Response:
    """The style of all pages, which caches may keep."""
    response = text_response(200, "body { font-family: sans-serif }\n", "text/css")
    response.headers["Cache-Control"] = "public, max-age=60"
    return response


@route("GET", "/healthz", (200,), content_type="application/health+json")
def health(shop: Shop, request: Request) -> Response:
    """Whether this backend can serve."""
    return json_response(200, {"status": "pass"}, "application/health+json")


@route("GET", "/version", (200,))
def version(shop: Shop, request: Request) -> Response:
    """What is deployed."""
    return json_response(200, {"revision": shop.revision})


@route("GET", "/openapi.json", (200,))
def openapi(shop: Shop, request: Request) -> Response:
    """This description."""
    return json_response(200, document(shop.revision, shop.routes))


@route("GET", "/metrics", (200,), content_type="text/plain")
def metrics(shop: Shop, request: Request) -> Response:
    """Counters in the text format of Prometheus."""
    with shop.lock:
        measured = sorted(shop.measured.items())
    counts, times = [], []
    for (name, status), (number, seconds) in measured:
        labels = f'{{service="shop",revision="{shop.revision}",route="{name}",code="{status}"}}'
        counts.append(f"http_requests_total{labels} {number:.0f}")
        times.append(f"http_request_duration_seconds_sum{labels} {seconds:.6f}")
        times.append(f"http_request_duration_seconds_count{labels} {number:.0f}")
    lines = ["# HELP http_requests_total Requests answered.", "# TYPE http_requests_total counter", *counts]
    lines += ["# HELP http_request_duration_seconds Time to answer.", "# TYPE http_request_duration_seconds summary"]
    lines += times
    return Response(200, ("\n".join(lines) + "\n").encode(), {"Content-Type": "text/plain; version=0.0.4"})


@route("GET", "/products/{sku}", (200, 404))
def product(shop: Shop, request: Request, sku: str) -> Response:
    """One product."""
    if sku not in shop.prices:
        raise Refused(404)
    price = {"amount": shop.prices[sku], "currency": "EUR"}
    return json_response(200, {"sku": sku, "title": f"Product {sku}", "price": price})


@route("POST", "/quotes", (200, 400, 422), body=object_schema(lines={"type": "array", "items": LINE, "minItems": 1}))
def quote(shop: Shop, request: Request) -> Response:
    """What some lines would cost; changes nothing."""
    lines = read_body(request).get("lines")
    if not isinstance(lines, list) or not 1 <= len(lines) <= 100:
        raise Refused(422)
    total = sum(shop.prices[sku] * count for sku, count in (read_line(shop, line) for line in lines))
    return json_response(200, {"total": {"amount": total, "currency": "EUR"}})


@route("POST", "/login", (200, 400, 401, 403, 429), body=object_schema(username=STRING, password=STRING))
def login(shop: Shop, request: Request) -> Response:
    """A token for a user name and a password."""
    found = read_login(request)
    name, password = found.get("username"), found.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise Refused(400)
    wait = shop.throttle.wait(name)
    if wait:
        response = problem(429)
        response.headers["Retry-After"] = str(wait)
        return response
    if not shop.knows(name, password):
        shop.throttle.failed(name)
        wrong = {"title": "Unknown user or wrong password", "status": 401}
        return json_response(401, wrong, "application/problem+json")
    response = json_response(200, {"token": shop.new_token(name), "token_type": "Bearer", "expires_in": TOKEN_LIFE})
    response.headers["Set-Cookie"] = session_cookie(shop.new_session(name))
    return response


@route("GET", "/.well-known/jwks.json", (200,))
def jwks(shop: Shop, request: Request) -> Response:
    """The public keys that tokens are signed with."""
    return json_response(200, shop.issuer.jwks(shop.faults))


@route("POST", "/logout", (204, 401), roles=("customer", "admin"))
def logout(shop: Shop, request: Request) -> Response:
    """Revokes the token."""
    shop.end(request)
    return Response(204)


@route("GET", "/account", (200, 401), roles=("customer", "admin"))
def account(shop: Shop, request: Request) -> Response:
    """Who is logged in."""
    user = shop.require(request, ("customer", "admin"))
    return json_response(200, {"user": user.name, "role": user.role})


@route("GET", "/statement", (200, 401), roles=("customer", "admin"))
def statement(shop: Shop, request: Request) -> Response:
    """What one still owes."""
    user = shop.require(request, ("customer", "admin"))
    return json_response(200, {"user": user.name, "owes": {"amount": 0, "currency": "EUR"}})


@route(
    "PUT", "/products/{sku}/price", (200, 400, 401, 403, 404, 422), roles=("admin",),
    body=object_schema(amount={"type": "integer", "minimum": 0}),
)  # fmt: skip
def reprice(shop: Shop, request: Request, sku: str) -> Response:
    """Sets a price."""
    if sku not in shop.prices:
        raise Refused(404)
    amount = read_body(request).get("amount")
    if type(amount) is not int or amount < 0:
        raise Refused(422)
    shop.prices[sku] = amount
    return json_response(200, {"sku": sku, "price": {"amount": amount, "currency": "EUR"}})
