"""Routes: a table of what the shop offers, filled by a decorator; and the wrappers by which faults change an answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.shop.http_server import Request, Response

if TYPE_CHECKING:
    from pytest_prodcheck.demo.shop.application import Shop

Handler = Callable[..., Response]  # (shop, request, **names in the path)
Healthy = Callable[[], Response]
Wrapper = Callable[["Shop", Request, Healthy], Response]
Finisher = Callable[[Request, Response], None]


@dataclass(frozen=True)
class Route:
    """One operation. `roles` empty: open to everybody. `body`: JSON Schema of what it takes."""

    method: str
    path: str
    handler: Handler
    summary: str
    statuses: tuple[int, ...]
    roles: tuple[str, ...] = ()
    body: dict[str, Any] | None = None
    content_type: str = "application/json"

    @property
    def name(self) -> str:
        """METHOD /path."""
        return f"{self.method} {self.path}"

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches request paths; groups are the names in the path."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z0-9._-]{1,64})", self.path) + r"\Z")


ROUTES: list[Route] = []
WRAPPERS: dict[str, dict[str, Wrapper]] = {}  # fault name -> route name ("*" for all) -> wrapper
NO_ROUTE = "-"  # the route name of requests that nothing is there for
FINISHERS: dict[str, list[Finisher]] = {}  # fault name -> what it does to the headers of every answer


def route(method: str, path: str, statuses: tuple[int, ...], **more: Any) -> Callable[[Handler], Handler]:
    """Registers a handler."""

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, path, handler, (handler.__doc__ or "").rstrip("."), statuses, **more))
        return handler

    return register


def changes(fault: str, *routes: str) -> Callable[[Wrapper], Wrapper]:
    """Registers what a fault does to routes."""

    def register(wrapper: Wrapper) -> Wrapper:
        for name in routes:
            WRAPPERS.setdefault(fault, {})[name] = wrapper
        return wrapper

    return register


def find(method: str, path: str) -> tuple[Route | None, dict[str, str], list[str]]:
    """The route with its path's names, or None with the methods that the path allows."""
    wanted = "GET" if method == "HEAD" else method
    allowed = []
    for one, pattern in _compiled():
        if matched := pattern.match(path):
            if one.method == wanted:
                return one, matched.groupdict(), []
            allowed.append(one.method)
    return None, {}, allowed


def _compiled() -> list[tuple[Route, re.Pattern[str]]]:
    if len(_CACHE) != len(ROUTES):
        _CACHE[:] = [(one, one.pattern) for one in ROUTES]
    return _CACHE


_CACHE: list[tuple[Route, re.Pattern[str]]] = []
