"""The shop: what its two backends share."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from dataclasses import dataclass, field

from pytest_prodcheck.demo.shop.http_server import Request, Response, json_response
from pytest_prodcheck.demo.shop.orders import Orders
from pytest_prodcheck.demo.shop.routing import Routes
from pytest_prodcheck.demo.shop.throttle import Throttle
from pytest_prodcheck.demo.shop.tokens import Issuer

TOKEN_LIFE = 3600  # seconds
SESSION = "__Host-session"  # name of the cookie that browsers get at login

HEADERS = {
    "Server": "shop",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@dataclass
class User:
    """Somebody who can log in."""

    name: str
    role: str
    password: str


@dataclass
class Cart:
    """What a customer is about to buy: count by sku."""

    owner: str
    lines: dict[str, int] = field(default_factory=dict)


class Refused(Exception):
    """The request is answered with this status and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Shop:
    """State shared by both backends. `faults` are the names of those that are on, changed from outside."""

    def __init__(
        self, users: list[User], orders: tuple[Orders, ...], prices: dict[str, int], revision: str, routes: Routes
    ) -> None:
        self.users = {user.name: user for user in users}
        self.orders = orders  # one for each backend
        self.prices = prices
        self.revision = revision
        self.routes = routes
        # session -> user, monotonic end; a session is the id of a token, or the value of a cookie
        self.sessions: dict[str, tuple[str, float]] = {}
        self.issuer = Issuer()
        self.throttle = Throttle()
        self.carts: dict[str, Cart] = {}
        self.faults: frozenset[str] = frozenset()
        self.counts: dict[str, int] = {}  # for faults that only hit some requests
        self.measured: dict[tuple[str, int], list[float]] = {}  # (route, status) -> number, seconds
        self.lock = threading.Lock()

    def measure(self, route: str, status: int, seconds: float) -> None:
        """Counts an answer."""
        with self.lock:
            measured = self.measured.setdefault((route, status), [0, 0.0])
            measured[0] += 1
            measured[1] += seconds

    def require(self, request: Request, roles: tuple[str, ...]) -> User:
        """The user behind a request's token; refuses with 401 without a good token, 403 for another role."""
        user = self.user_of(request)
        if user is None:
            raise Refused(401)
        if user.role not in roles:
            raise Refused(403)
        return user

    def user_of(self, request: Request) -> User | None:
        """The user behind a request's token, None without a good one."""
        session = self.session_of(request)
        name, end = self.sessions.get(session, ("", 0.0))
        return self.users[name] if name and end > time.monotonic() else None

    def session_of(self, request: Request) -> str:
        """The session that a request's token or else its cookie stands for, "" without."""
        token = token_of(request)
        return self.issuer.session_of(token, self.faults) if token else cookie_of(request)

    def knows(self, name: str, password: str) -> bool:
        """Whether these are a user's credentials."""
        user = self.users.get(name)
        known = user.password if user else secrets.token_urlsafe(18)  # the same work for unknown users
        good = hmac.compare_digest(known.encode(), password.encode("utf-8", "replace"))
        return good and user is not None

    def new_session(self, name: str, life: float = TOKEN_LIFE) -> str:
        """A session of a user, as a cookie holds it. life: seconds."""
        session = secrets.token_urlsafe(24)
        with self.lock:
            now = time.monotonic()
            if len(self.sessions) > 10_000:
                self.sessions = {one: kept for one, kept in self.sessions.items() if kept[1] > now}
            self.sessions[session] = (name, now + life)
        return session

    def new_token(self, name: str) -> str:
        """A token that opens what the user may see."""
        session = self.new_session(name)
        return self.issuer.issue(name, self.users[name].role, session, TOKEN_LIFE, self.faults)

    def end(self, request: Request) -> None:
        """Ends the sessions that a request carries: that of its token, and that of its cookie."""
        with self.lock:
            token = token_of(request)
            self.sessions.pop(self.issuer.session_of(token, self.faults) if token else "", None)
            if "logout-keeps-cookie" not in self.faults:
                self.sessions.pop(cookie_of(request), None)

    def turn(self, name: str) -> int:
        """How often this was asked since the fault of that name was switched on, from 0."""
        with self.lock:
            self.counts[name] = self.counts.get(name, -1) + 1
            return self.counts[name]


def token_of(request: Request) -> str:
    """The bearer token of a request, "" without."""
    found = re.fullmatch(r"(?i:bearer) +([A-Za-z0-9._~+/=-]+)", request.headers.get("authorization", ""))
    return found[1] if found else ""


def session_cookie(session: str) -> str:
    """The `Set-Cookie` that keeps a session in a browser."""
    return f"{SESSION}={session}; Path=/; Secure; HttpOnly; SameSite=Strict"


def nothing_there(allowed: list[str]) -> Response:
    """The answer where no route is, or none for this method."""
    response = problem(405 if allowed else 404)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def cookie_of(request: Request, wanted: str = SESSION) -> str:
    """A cookie of a request, that of the session by default; "" without."""
    for pair in request.headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted:
            return value
    return ""


def problem(status: int) -> Response:
    """A problem document (RFC 9457)."""
    titles = {
        400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
        409: "Conflict", 429: "Too many requests", 422: "Cannot be processed", 503: "Orders are unavailable",
    }  # fmt: skip
    document = {"title": titles.get(status, "Error"), "status": status}
    return json_response(status, document, "application/problem+json")


def error(status: int) -> Response:
    """A problem document with the shop's headers, for what fails outside the handlers."""
    response = problem(status)
    response.headers = {**HEADERS, **response.headers}
    return response
