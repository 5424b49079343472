"""The shop's operations, and those that tell about itself."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from pytest_prodcheck.demo.http_server import Request, Response, json_response, text_response
from pytest_prodcheck.demo.openapi import document
from pytest_prodcheck.demo.orders import OrdersUnavailable
from pytest_prodcheck.demo.routing import route
from pytest_prodcheck.demo.shop import Cart, Refused, Shop, problem, token_of

HOME = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Shop</title></head>
<body><h1>Shop</h1><p>Everything you need at 2 a.m.</p></body>
</html>
"""
_STRING = {"type": "string", "maxLength": 200}
_LINE = {
    "type": "object",
    "required": ["sku", "count"],
    "properties": {"sku": _STRING, "count": {"type": "integer", "minimum": 1, "maximum": 100}},
}


def _object(**properties: object) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _body(request: Request) -> dict[str, Any]:
    try:
        found = request.json()
    except ValueError:
        raise Refused(400) from None
    if not isinstance(found, dict):
        raise Refused(400)
    return found


def _line(shop: Shop, found: object) -> tuple[str, int]:
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
    return json_response(200, document(shop.revision))


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


@route("POST", "/quotes", (200, 400, 422), body=_object(lines={"type": "array", "items": _LINE, "minItems": 1}))
def quote(shop: Shop, request: Request) -> Response:
    """What some lines would cost; changes nothing."""
    lines = _body(request).get("lines")
    if not isinstance(lines, list) or not 1 <= len(lines) <= 100:
        raise Refused(422)
    total = sum(shop.prices[sku] * count for sku, count in (_line(shop, line) for line in lines))
    return json_response(200, {"total": {"amount": total, "currency": "EUR"}})


@route("POST", "/login", (200, 400, 401), body=_object(username=_STRING, password=_STRING))
def login(shop: Shop, request: Request) -> Response:
    """A token for a user name and a password."""
    found = _body(request)
    name, password = found.get("username"), found.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise Refused(400)
    token = shop.log_in(name, password)
    if token is None:
        wrong = {"title": "Unknown user or wrong password", "status": 401}
        return json_response(401, wrong, "application/problem+json")
    return json_response(200, {"token": token, "token_type": "Bearer", "expires_in": 3600})


@route("POST", "/logout", (204, 401), roles=("customer", "admin"))
def logout(shop: Shop, request: Request) -> Response:
    """Revokes the token."""
    with shop.lock:
        shop.tokens.pop(token_of(request), None)
    return Response(204)


@route("GET", "/account", (200, 401), roles=("customer", "admin"))
def account(shop: Shop, request: Request) -> Response:
    """Who is logged in."""
    user = shop.require(request, ("customer", "admin"))
    return json_response(200, {"user": user.name, "role": user.role})


@route("POST", "/carts", (201, 401, 403), roles=("customer",))
def new_cart(shop: Shop, request: Request) -> Response:
    """A new empty cart."""
    user = shop.require(request, ("customer",))
    number = f"c{secrets.token_hex(8)}"
    with shop.lock:
        shop.carts[number] = Cart(user.name)
        while len(shop.carts) > 10_000:
            shop.carts.pop(next(iter(shop.carts)))
    return json_response(201, {"id": number, "lines": []})


def _cart(shop: Shop, request: Request, number: object) -> Cart:
    """The user's cart; another one's is as unknown as none."""
    user = shop.require(request, ("customer",))
    cart = shop.carts.get(number) if isinstance(number, str) else None
    if cart is None or cart.owner != user.name:
        raise Refused(404)
    return cart


@route("GET", "/carts/{cart}", (200, 401, 403, 404), roles=("customer",))
def show_cart(shop: Shop, request: Request, cart: str) -> Response:
    """One cart of one's own."""
    lines = [{"sku": sku, "count": count} for sku, count in _cart(shop, request, cart).lines.items()]
    return json_response(200, {"id": cart, "lines": lines})


@route("POST", "/carts/{cart}/lines", (201, 400, 401, 403, 404, 422), roles=("customer",), body=_LINE)
def add_line(shop: Shop, request: Request, cart: str) -> Response:
    """Puts a product into a cart."""
    found = _cart(shop, request, cart)
    sku, count = _line(shop, _body(request))
    with shop.lock:
        found.lines[sku] = min(100, found.lines.get(sku, 0) + count)
    return json_response(201, {"sku": sku, "count": found.lines[sku]})


@route("DELETE", "/carts/{cart}", (204, 401, 403, 404), roles=("customer",))
def drop_cart(shop: Shop, request: Request, cart: str) -> Response:
    """Drops a cart of one's own."""
    _cart(shop, request, cart)
    with shop.lock:
        shop.carts.pop(cart, None)
    return Response(204)


@route(
    "POST", "/checkouts", (201, 400, 401, 403, 404, 422, 503), roles=("customer",),
    body=_object(cart=_STRING, payment=_STRING),
)  # fmt: skip
def checkout(shop: Shop, request: Request) -> Response:
    """Makes an order of a cart; the cart stays."""
    found = _body(request)
    cart, payment = _cart(shop, request, found.get("cart")), found.get("payment")
    if not isinstance(payment, str) or not payment or not cart.lines:
        raise Refused(422)
    lines = [(sku, count, shop.prices[sku]) for sku, count in cart.lines.items()]
    try:
        number = shop.orders[request.backend].place(cart.owner, lines, payment[:50])
    except OrdersUnavailable as error:
        logging.getLogger(__package__).warning("checkout: %s", error)
        raise Refused(503) from None
    return json_response(201, {"order": str(number), "state": "placed"})


@route("GET", "/orders/{order}", (200, 401, 403, 404, 503), roles=("customer", "admin"))
def show_order(shop: Shop, request: Request, order: str) -> Response:
    """One order, for its customer and admins."""
    user = shop.require(request, ("customer", "admin"))
    found = _order(shop, request, order)
    if user.role != "admin" and found["customer"] != user.name:
        raise Refused(404)
    return json_response(200, {**found, "order": order})


def _order(shop: Shop, request: Request, order: str) -> dict[str, object]:
    if not order.isascii() or not order.isdigit() or len(order) > 18:
        raise Refused(404)
    try:
        found = shop.orders[request.backend].find(int(order))
    except OrdersUnavailable:
        raise Refused(503) from None
    if found is None:
        raise Refused(404)
    return found


@route("POST", "/orders/{order}/cancel", (200, 401, 403, 404, 409, 503), roles=("admin",))
def cancel(shop: Shop, request: Request, order: str) -> Response:
    """Cancels a placed order."""
    _order(shop, request, order)
    try:
        done = shop.orders[request.backend].cancel(int(order))
    except OrdersUnavailable:
        raise Refused(503) from None
    return json_response(200, {"order": order, "state": "cancelled"}) if done else problem(409)


@route("GET", "/admin/report", (200, 401, 403), roles=("admin",))
def report(shop: Shop, request: Request) -> Response:
    """What is going on in the shop."""
    return json_response(200, {"carts": len(shop.carts), "sessions": len(shop.tokens)})
