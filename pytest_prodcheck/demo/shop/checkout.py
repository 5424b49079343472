"""The shop's operations on carts and orders."""

from __future__ import annotations

import logging
import secrets

from pytest_prodcheck.demo.shop.application import Cart, Refused, Shop, problem
from pytest_prodcheck.demo.shop.http_server import Request, Response, json_response
from pytest_prodcheck.demo.shop.orders import OrdersUnavailable
from pytest_prodcheck.demo.shop.pages import LINE, STRING, object_schema, read_body, read_line
from pytest_prodcheck.demo.shop.routing import Routes

ROUTES = Routes()
route = ROUTES.route


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


@route("POST", "/carts/{cart}/lines", (201, 400, 401, 403, 404, 422), roles=("customer",), body=LINE)
def add_line(shop: Shop, request: Request, cart: str) -> Response:
    """Puts a product into a cart."""
    found = _cart(shop, request, cart)
    sku, count = read_line(shop, read_body(request))
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
    body=object_schema(cart=STRING, payment=STRING),
)  # fmt: skip
def checkout(shop: Shop, request: Request) -> Response:
    """Makes an order of a cart; the cart stays."""
    found = read_body(request)
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
    return json_response(200, {"carts": len(shop.carts), "sessions": len(shop.sessions)})
