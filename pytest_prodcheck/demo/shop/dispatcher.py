"""How a request finds its handler, through what the faults that are on make of both."""

from __future__ import annotations

import gzip
import time

from pytest_prodcheck.demo.shop.application import HEADERS, Refused, Shop, nothing_there, problem
from pytest_prodcheck.demo.shop.changes import NO_ROUTE, Changes, Healthy, Wrapper
from pytest_prodcheck.demo.shop.http_server import Request, Response
from pytest_prodcheck.demo.shop.routing import Route


class Dispatcher:
    """Answers requests to a shop."""

    def __init__(self, shop: Shop, changes: Changes) -> None:
        self._shop, self._changes = shop, changes

    def answer(self, request: Request) -> Response:
        """The answer to a request, with the headers that all answers have."""
        began = time.monotonic()
        shop = self._shop
        route, names, allowed = shop.routes.find(request.method, request.path)
        other = self._rewritten(request)
        if other is not None and (hidden := shop.routes.find(other.method, other.path))[0] is not None:
            response = hidden[0].handler(shop, other, **hidden[1])  # nobody looked who may
        elif route is None:
            response = self._through_faults(NO_ROUTE, request, lambda: nothing_there(allowed))
        else:
            found = route
            response = self._through_faults(route.name, request, lambda: self._handle(found, request, names))
        response.headers = {**HEADERS, **response.headers}
        if "uncompressed" not in shop.faults:
            _compress(request, response)
        for fault in sorted(shop.faults & self._changes.finishers.keys()):
            for finish in self._changes.finishers[fault]:
                finish(request, response)
        shop.measure(route.name if route else "none", response.status, time.monotonic() - began)
        return response

    def _rewritten(self, request: Request) -> Request | None:
        """The request that this one hides, where a fault believes it."""
        for fault in sorted(self._shop.faults & self._changes.rewriters.keys()):
            if (other := self._changes.rewriters[fault](self._shop, request)) is not None:
                return other
        return None

    def _through_faults(self, route: str, request: Request, call: Healthy) -> Response:
        for fault in sorted(self._shop.faults):
            wrappers = self._changes.wrappers.get(fault, {})
            if wrapper := wrappers.get(route) or wrappers.get("*"):
                call = _wrapped(wrapper, self._shop, request, call)
        return call()

    def _handle(self, route: Route, request: Request, names: dict[str, str]) -> Response:
        try:
            if route.roles:
                self._shop.require(request, route.roles)
            return route.handler(self._shop, request, **names)
        except Refused as refused:
            response = problem(refused.status)
            if refused.status == 401:
                response.headers["WWW-Authenticate"] = 'Bearer realm="shop"'
            return response


def _compress(request: Request, response: Response) -> None:
    """What a browser asks for; an answer that a fault cuts stays as it is."""
    whole = response.length is None and not response.cut and not response.reset
    if response.body and whole and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = gzip.compress(response.body, 1)
        response.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}


def _wrapped(wrapper: Wrapper, shop: Shop, request: Request, inner: Healthy) -> Healthy:
    return lambda: wrapper(shop, request, inner)
