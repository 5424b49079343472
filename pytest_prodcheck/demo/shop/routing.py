"""What the shop offers: each module of operations fills a table of routes by a decorator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pytest_prodcheck.demo.shop.http_server import Response

Handler = Callable[..., Response]  # (shop, request, **names in the path)


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

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches request paths; groups are the names in the path."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z0-9._-]{1,64})", self.path) + r"\Z")


class Routes:
    """A table of routes; several are put together by `Routes(one, another)`."""

    def __init__(self, *tables: Routes) -> None:
        self._routes = [route for table in tables for route in table]

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def route(self, method: str, path: str, statuses: tuple[int, ...], **more: Any) -> Callable[[Handler], Handler]:
        """Registers a handler."""

        def register(handler: Handler) -> Handler:
            summary = (handler.__doc__ or "").rstrip(".")
            self._routes.append(Route(method, path, handler, summary, statuses, **more))
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str], list[str]]:
        """The route with its path's names, or None with the methods that the path allows."""
        wanted = "GET" if method == "HEAD" else method
        allowed = []
        for one in self._routes:
            if matched := one.pattern.match(path):
                if one.method == wanted:
                    return one, matched.groupdict(), []
                allowed.append(one.method)
        return None, {}, allowed
