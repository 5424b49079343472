"""The page where people log in, and its proof against request forgery: a hidden field that belongs to a cookie."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pytest_prodcheck.demo.shop.application import HEADERS, Refused, Shop, cookie_of
from pytest_prodcheck.demo.shop.http_server import Request, Response, text_response
from pytest_prodcheck.demo.shop.routing import Routes

ROUTES = Routes()
COOKIE, FIELD = "__Host-form", "form_token"
_KEY = secrets.token_bytes(32)
_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Log in - Shop</title></head>
<body><form method="post" action="/login">
<input type="hidden" name="{field}" value="{token}">
<label>Name <input name="username" autocomplete="username"></label>
<label>Password <input type="password" name="password" autocomplete="current-password"></label>
<button>Log in</button>
</form></body>
</html>
"""


@ROUTES.route("GET", "/login", (200,), content_type="text/html")
def login_form(shop: Shop, request: Request) -> Response:
    """The form to log in by."""
    cookie = cookie_of(request, COOKIE) or secrets.token_urlsafe(18)
    response = text_response(200, _PAGE.format(field=FIELD, token=_token(cookie)), "text/html")
    policy = HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")
    cookie_field = f"{COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict"
    response.headers |= {"Content-Security-Policy": policy, "Set-Cookie": cookie_field}
    return response


def read_login(request: Request) -> dict[str, Any]:
    """What somebody logs in with: JSON, which no foreign page can send, or this site's own form; else 400 or 403."""
    if "urlencoded" not in request.headers.get("content-type", ""):
        try:
            document = request.json()
        except ValueError:
            raise Refused(400) from None
        if not isinstance(document, dict):
            raise Refused(400)
        return document
    found = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    cookie = cookie_of(request, COOKIE)
    proven = hmac.compare_digest(_token(cookie).encode(), found.get(FIELD, "").encode())
    if not cookie or not proven or not _from_here(request):
        raise Refused(403)
    return found


def _token(cookie: str) -> str:
    return hmac.new(_KEY, cookie.encode(), hashlib.sha256).hexdigest()


def _from_here(request: Request) -> bool:
    """Whether a browser says that one of our own pages sent it."""
    told = request.headers.get("origin") or request.headers.get("referer", "")
    return urlsplit(told).netloc == request.headers.get("host", "")
