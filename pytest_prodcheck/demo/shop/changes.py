"""How faults change the shop's requests and answers: each module of faults fills a table by decorators."""

from __future__ import annotations

from collections.abc import Callable

from pytest_prodcheck.demo.shop.application import Shop
from pytest_prodcheck.demo.shop.http_server import Request, Response

NO_ROUTE = "-"  # the route name of requests that nothing is there for
Healthy = Callable[[], Response]
Wrapper = Callable[[Shop, Request, Healthy], Response]
Finisher = Callable[[Request, Response], None]
Rewriter = Callable[[Shop, Request], Request | None]


class Changes:
    """A table of what faults do; several are put together by `Changes(one, another)`.

    wrappers: fault name -> route name ("*" for all) -> wrapper. finishers: fault name -> what it does to the headers
    of every answer. rewriters: fault name -> the request that another one hides, None where it hides none.
    """

    def __init__(self, *tables: Changes) -> None:
        self.wrappers: dict[str, dict[str, Wrapper]] = {}
        self.finishers: dict[str, list[Finisher]] = {}
        self.rewriters: dict[str, Rewriter] = {}
        for table in tables:
            for fault, wrappers in table.wrappers.items():
                self.wrappers.setdefault(fault, {}).update(wrappers)
            for fault, finishers in table.finishers.items():
                self.finishers.setdefault(fault, []).extend(finishers)
            self.rewriters.update(table.rewriters)

    @property
    def names(self) -> set[str]:
        """The faults that it knows."""
        return {*self.wrappers, *self.finishers, *self.rewriters}

    def changes(self, fault: str, *routes: str) -> Callable[[Wrapper], Wrapper]:
        """Registers what a fault does to routes."""

        def register(wrapper: Wrapper) -> Wrapper:
            self.wrappers.setdefault(fault, {}).update(dict.fromkeys(routes, wrapper))
            return wrapper

        return register

    def finishes(self, fault: str, finisher: Finisher) -> None:
        """Registers what a fault does to the headers of every answer."""
        self.finishers.setdefault(fault, []).append(finisher)

    def rewrites(self, *faults: str) -> Callable[[Rewriter], Rewriter]:
        """Registers which request is answered instead, unguarded, while one of these faults is on."""

        def register(rewriter: Rewriter) -> Rewriter:
            self.rewriters.update(dict.fromkeys(faults, rewriter))
            return rewriter

        return register
