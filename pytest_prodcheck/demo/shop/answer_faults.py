"""What faults, and benign habits, do to the shop's answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace

from pytest_prodcheck.demo.files.configuration import Ports
from pytest_prodcheck.demo.shop.application import Shop, problem, token_of
from pytest_prodcheck.demo.shop.changes import Changes, Healthy, Wrapper
from pytest_prodcheck.demo.shop.http_server import Request, Response, json_response, text_response
from pytest_prodcheck.demo.shop.login_page import login_form, read_login

CHANGES = Changes()
changes = CHANGES.changes
HEALTH, VERSION, PRODUCT, ACCOUNT = "GET /healthz", "GET /version", "GET /products/{sku}", "GET /account"
FORM, LOGIN, LOGOUT, OPENAPI = "GET /login", "POST /login", "POST /logout", "GET /openapi.json"
HOME, QUOTE = "GET /", "POST /quotes"

ERROR_PAGE = "<!doctype html><title>Error</title><h1>Something went wrong</h1>"
LOGIN_PAGE = '<!doctype html><title>Log in</title><form method="post"><input type="password" name="password"></form>'


def _answers_always(make: Callable[[], Response]) -> Wrapper:
    return lambda shop, request, healthy: make()


def _health(code: int = 200, **document: object) -> Wrapper:
    return _answers_always(lambda: json_response(code, document, "application/health+json"))


def _html(text: str) -> Wrapper:
    return _answers_always(lambda: text_response(200, text, "text/html"))


def _slow(seconds: float) -> Wrapper:
    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        time.sleep(seconds)
        return healthy()

    return wrapper


changes("health-503", HEALTH)(_health(503, status="fail"))
changes("health-says-fail", HEALTH)(_health(status="fail"))
changes("health-error-page", HEALTH)(_html(ERROR_PAGE))
changes("health-login-page", HEALTH)(_html(LOGIN_PAGE))
changes("health-degraded", HEALTH)(_health(status="warn"))
changes("health-says-up", HEALTH)(_answers_always(lambda: json_response(200, {"status": "UP"})))
changes("health-says-ok", HEALTH)(_answers_always(lambda: json_response(200, {"status": "ok"})))
changes("health-extra-fields", HEALTH)(
    _health(status="pass", version="1", checks={"database:connections": [{"status": "pass", "observedValue": 3}]})
)
changes("health-slow", HEALTH)(_slow(3))
changes("health-sluggish", HEALTH)(_slow(0.8))
changes("version-old", VERSION)(_answers_always(lambda: json_response(200, {"revision": "demo-0"})))
changes("version-garbage", VERSION)(
    _answers_always(lambda: Response(200, b"\x00\xffdemo", {"Content-Type": "application/json"}))
)
changes("product-500", PRODUCT)(_answers_always(lambda: problem(500)))
changes("product-empty", PRODUCT)(_answers_always(lambda: Response(200, b"", {"Content-Type": "application/json"})))
changes("quote-500", QUOTE)(_answers_always(lambda: problem(500)))
changes("home-lacks-title", HOME)(_html("<!doctype html><title>It works!</title>"))
changes("product-slow", PRODUCT)(_slow(0.75))
changes("product-very-slow", PRODUCT)(_slow(1.5))
changes("quote-very-slow", QUOTE)(_slow(1.5))
changes("home-very-slow", HOME)(_slow(3))
changes("openapi-html", OPENAPI)(_html(ERROR_PAGE))
changes("openapi-invalid", OPENAPI)(
    _answers_always(lambda: json_response(200, {"openapi": "3.1.0", "info": [], "paths": 7}))
)
changes("login-500", LOGIN)(_answers_always(lambda: problem(500)))
changes("login-refuses", LOGIN)(_answers_always(lambda: problem(401)))
changes("token-rejected", ACCOUNT)(_answers_always(lambda: problem(401)))
changes("logout-keeps-token", LOGOUT)(_answers_always(lambda: Response(204)))
changes("logout-500", LOGOUT)(_answers_always(lambda: problem(500)))
changes("checkout-500", "POST /checkouts")(_answers_always(lambda: problem(500)))
changes("checkout-loses-order", "POST /checkouts")(
    _answers_always(lambda: json_response(201, {"order": "999999999", "state": "placed"}))
)
changes("cart-stays", "DELETE /carts/{cart}")(_answers_always(lambda: Response(204)))
changes("cancel-refused", "POST /orders/{order}/cancel")(_answers_always(lambda: problem(403)))


@changes("health-often-slow", HEALTH)
def _often_slow(shop: Shop, request: Request, healthy: Healthy) -> Response:
    if shop.turn("health-often-slow") % 3:
        time.sleep(2.5)
    return healthy()


@changes("health-slow-once", HEALTH)
def _slow_once(shop: Shop, request: Request, healthy: Healthy) -> Response:
    if shop.turn("health-slow-once") == 0:
        time.sleep(1.5)
    return healthy()


@changes("version-old-on-one", VERSION)
def _old_on_one(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return json_response(200, {"revision": "demo-0"}) if request.backend else healthy()


@changes("product-breaks-schema", PRODUCT)
def _breaks_schema(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return json_response(200, {"sku": "smoke-sku-1", "title": "Product", "price": "12.90 EUR"})


@changes("product-truncated", PRODUCT)
def _truncated(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    response.length, response.cut = len(response.body), True
    response.body = response.body[: len(response.body) // 2]
    return response


@changes("home-wrong-type", HOME)
def _wrong_type(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    return response


@changes("openapi-lacks-endpoint", OPENAPI)
def _lacks_endpoint(shop: Shop, request: Request, healthy: Healthy) -> Response:
    document = json.loads(healthy().body)
    del document["paths"]["/products/{sku}"]
    return json_response(200, document)


@changes("login-without-token", LOGIN)
def _without_token(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    return json_response(200, {"welcome": True}) if response.status == 200 else response


def _accepting(unless_empty: bool) -> Wrapper:
    """Logs known users in with a wrong password: any that is not empty, or only the empty one."""

    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        response = healthy()
        if response.status != 401:
            return response
        asked = read_login(request)
        if asked["username"] not in shop.users or bool(asked["password"]) != unless_empty:
            return response
        return json_response(200, {"token": shop.new_token(asked["username"]), "token_type": "Bearer"})

    return wrapper


@changes("login-form-lacks-token", FORM)
def _lacks_token(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    response.body = re.sub(rb"<input type=.hidden.[^>]*>", b"", response.body)
    return response


@changes("login-form-cookie-dropped", FORM)
def _cookie_dropped(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """`__Host-` without Secure: browsers refuse it."""
    response = healthy()
    response.headers["Set-Cookie"] = response.headers["Set-Cookie"].replace("; Secure", "")
    return response


@changes("login-form-token-new", FORM)
def _token_new(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return login_form(shop, replace(request, headers={}))


@changes("login-form-asks-more", FORM)
def _asks_more(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    response.body = response.body.replace(b"<button>", b'<input type="hidden" name="next" value="/"><button>')
    return response


@changes("login-form-asks-more", LOGIN)
def _wants_more(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return healthy() if read_login(request).get("next") == "/" else problem(400)


changes("login-accepts-any-password", LOGIN)(_accepting(unless_empty=True))
changes("login-accepts-empty-password", LOGIN)(_accepting(unless_empty=False))


def _reveals_users(status: int, title: str) -> Wrapper:
    """Answers unknown users otherwise than wrong passwords."""

    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        response = healthy()
        if response.status == 401 and read_login(request)["username"] not in shop.users:
            return json_response(status, {"title": title, "status": status}, "application/problem+json")
        return response

    return wrapper


changes("login-names-unknown-user", LOGIN)(_reveals_users(401, "There is no such user"))
changes("login-404-for-unknown-user", LOGIN)(_reveals_users(404, "Unknown user or wrong password"))


def _open(condition: Callable[[Shop, Request], bool], document: dict[str, str]) -> Wrapper:
    """Opens a protected page where the condition holds."""

    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        return json_response(200, document) if condition(shop, request) else healthy()

    return wrapper


def _anonymous(shop: Shop, request: Request) -> bool:
    return "authorization" not in request.headers


def _garbage(shop: Shop, request: Request) -> bool:
    return bool(token_of(request)) and shop.user_of(request) is None


changes("account-open", ACCOUNT)(_open(_anonymous, {"user": "customer", "role": "customer"}))
changes("report-open", "GET /admin/report")(_open(_anonymous, {"carts": "many"}))
changes("account-accepts-garbage", ACCOUNT)(_open(_garbage, {"user": "customer", "role": "customer"}))


@changes("account-500-without-token", ACCOUNT)
def _breaks_without_token(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return problem(500) if _anonymous(shop, request) else healthy()


@changes("account-redirects-without-token", ACCOUNT)
def _redirects_without_token(shop: Shop, request: Request, healthy: Healthy) -> Response:
    to_login = Response(302, b"", {"Location": "https://shop.demo.test/login"})
    return to_login if _anonymous(shop, request) else healthy()


@changes("cart-wrong-id", "POST /carts")
def _wrong_id(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    return json_response(201, {"id": "c0000", "lines": []}) if response.status == 201 else response


@changes("big-headers", "*")
def _big_headers(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    response.headers |= {f"X-Trace-{number}": "t" * 300 for number in range(20)}
    return response


@changes("chunked", "*")
def _chunked(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    response.chunked = bool(response.body)
    return response


@changes("uncompressed")
def _uncompressed(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return healthy()  # the dispatcher looks for it


@changes("plain-stale", "GET /")
def _plain_stale(shop: Shop, request: Request, healthy: Healthy) -> Response:
    old = text_response(200, "<!doctype html><title>The former shop</title>", "text/html")
    return healthy() if "gzip" in request.headers.get("accept-encoding", "") else old


@changes("http2-upgrade", "*")
def _http2_upgrade(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    if request.http2:
        response.headers["Upgrade"] = "h2,h2c"  # of a backend, passed on (RFC 9113, 8.2.2)
    return response


@changes("http2-old", "GET /version")
def _http2_old(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return json_response(200, {"revision": "demo-0"}) if request.http2 else healthy()


def _location(status: int, target: Callable[[Ports, str], str]) -> Callable[[Ports, str], Response]:
    return lambda ports, path: Response(status, b"", {"Location": target(ports, path)})


# what plain HTTP answers instead of its redirect, from the ports and the path that was asked for
PLAIN: dict[str, Callable[[Ports, str], Response]] = {
    "redirect-missing": lambda ports, path: text_response(200, "<!doctype html><title>Shop</title>", "text/html"),
    "redirect-elsewhere": _location(308, lambda ports, path: f"https://shop.example.org{path}"),
    "redirect-loop": _location(308, lambda ports, path: f"http://shop.demo.test:{ports.http}{path}"),
    "redirect-to-plain": _location(302, lambda ports, path: f"http://shop.demo.test:{ports.http}/welcome"),
    "redirect-301": _location(301, lambda ports, path: f"https://shop.demo.test:{ports.https}{path}"),
}
