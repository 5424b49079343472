"""What faults and benign habits do to the shop's speed, and to the process that it runs in."""

from __future__ import annotations

import hashlib
import mmap
import socket
import threading
import time
from collections import deque

from pytest_prodcheck.demo.shop.application import Shop, problem
from pytest_prodcheck.demo.shop.changes import Changes, Healthy, Wrapper
from pytest_prodcheck.demo.shop.http_server import Request, Response

CHANGES = Changes()
changes = CHANGES.changes
PRODUCT, QUOTE = "GET /products/{sku}", "POST /quotes"
BOTH = (PRODUCT, QUOTE)
AFTER_LIGHT = 400  # requests: latency without load takes 304, so that this one is in the first second of the load


def _slow_every(name: str, number: int, seconds: float) -> Wrapper:
    """One of so many answers takes longer."""

    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        if shop.turn(name) % number == number - 1:
            time.sleep(seconds)
        return healthy()

    return wrapper


def _replace_every(name: str, number: int, response: Response, first: int = 0) -> Wrapper:
    """One of so many answers, not before the first so many, is another one."""

    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        turn = shop.turn(name)
        if turn < first or turn % number != number - 1:
            return healthy()
        return Response(response.status, response.body, dict(response.headers), reset=response.reset)

    return wrapper


changes("perf-slow", PRODUCT)(_slow_every("perf-slow", 1, 1.3))
changes("perf-slower", PRODUCT)(_slow_every("perf-slower", 1, 0.3))
changes("perf-tail", *BOTH)(_slow_every("perf-tail", 8, 1.4))
changes("perf-rare-tail", *BOTH)(_slow_every("perf-rare-tail", 30, 2.8))
changes("perf-errors", *BOTH)(_replace_every("perf-errors", 25, problem(503)))
changes("perf-resets", *BOTH)(_replace_every("perf-resets", 20, Response(reset=True)))
changes("perf-down", *BOTH)(_replace_every("perf-down", 1, problem(500), first=AFTER_LIGHT))


@changes("perf-slow-once", *BOTH)
def _slow_once(shop: Shop, request: Request, healthy: Healthy) -> Response:
    if shop.turn("perf-slow-once") == AFTER_LIGHT:
        time.sleep(1.0)
    return healthy()


@changes("perf-error-once", *BOTH)
def _error_once(shop: Shop, request: Request, healthy: Healthy) -> Response:
    return problem(503) if shop.turn("perf-error-once") == AFTER_LIGHT else healthy()


@changes("perf-jitter", *BOTH)
def _jitter(shop: Shop, request: Request, healthy: Healthy) -> Response:
    time.sleep(shop.turn("perf-jitter") * 7 % 13 / 1000)
    return healthy()


@changes("perf-no-keep-alive", *BOTH)
def _no_keep_alive(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    response.cut = shop.turn("perf-no-keep-alive") % 10 == 0
    return response


class _Stall:
    """Once, inside the load, everything waits until it is over."""

    end = 0.0

    def __call__(self, shop: Shop, request: Request, healthy: Healthy) -> Response:
        turn, now = shop.turn("perf-stall"), time.monotonic()
        if turn == AFTER_LIGHT:
            self.end = now + 2.2
        if turn >= AFTER_LIGHT:
            time.sleep(max(self.end - now, 0))
        return healthy()


class _Limiter:
    """Refuses, or delays, what comes in more often than so many times in half a second."""

    def __init__(self, most: int, seconds: float | None) -> None:
        self.most, self.seconds = most, seconds
        self.lock, self.seen = threading.Lock(), deque[float]()

    def __call__(self, shop: Shop, request: Request, healthy: Healthy) -> Response:
        now = time.monotonic()
        with self.lock:
            while self.seen and self.seen[0] < now - 0.5:
                self.seen.popleft()
            over = len(self.seen) >= self.most
            if not over or self.seconds is not None:
                self.seen.append(now)
        if over and self.seconds is None:
            return problem(429)
        if over:
            time.sleep(self.seconds or 0)
        return healthy()


class _OneByOne:
    """One answer at a time, each of which takes 25 ms: forty a second."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, shop: Shop, request: Request, healthy: Healthy) -> Response:
        with self.lock:
            time.sleep(0.025)
            return healthy()


class MemoryBlocks:
    """Memory in pages of its own: what `bytes` take may stay with the process's allocator when it is freed."""

    def __init__(self) -> None:
        self._pieces: list[mmap.mmap] = []

    def more(self, size: int) -> None:
        """Takes so many bytes and writes to each page."""
        piece = mmap.mmap(-1, size)
        for place in range(0, size, mmap.PAGESIZE):
            piece[place] = 1
        self._pieces.append(piece)

    def give_back(self) -> None:
        """Gives all of it back to the system."""
        while self._pieces:
            self._pieces.pop().close()


class _Leak:
    """Keeps 300 KB of every request."""

    def __init__(self) -> None:
        self.kept = MemoryBlocks()

    def __call__(self, shop: Shop, request: Request, healthy: Healthy) -> Response:
        self.kept.more(300_000)
        return healthy()

    def off(self) -> None:
        """Forgets them."""
        self.kept.give_back()


class _KeptOpen:
    """Leaves four connections behind with every request, up to 1,480: a pool that nothing is given back to."""

    most = 1480

    def __init__(self) -> None:
        self._kept: list[socket.socket] = []
        self._lock = threading.Lock()

    def __call__(self, shop: Shop, request: Request, healthy: Healthy) -> Response:
        with self._lock, socket.create_server(("127.0.0.1", 0)) as listening:
            for _ in range(2 if len(self._kept) < self.most else 0):
                self._kept += [socket.create_connection(listening.getsockname()), listening.accept()[0]]
        return healthy()

    def off(self) -> None:
        """Closes them."""
        with self._lock:
            while self._kept:
                self._kept.pop().close()


class MemoryHog:
    """Takes memory at once."""

    def __init__(self) -> None:
        self.kept = MemoryBlocks()

    def on(self) -> None:
        """330 MB."""
        self.kept.more(330_000_000)

    def off(self) -> None:
        """Gives them back."""
        self.kept.give_back()


class CpuBurner:
    """Threads that keep processors busy: hashing large pieces lets go of the interpreter's lock."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def on(self) -> None:
        """Starts them."""
        self._end.clear()
        self._threads = [threading.Thread(target=self._burn, daemon=True) for _ in range(8)]
        for thread in self._threads:
            thread.start()

    def _burn(self) -> None:
        piece = b"x" * 4_000_000
        while not self._end.is_set():
            hashlib.sha256(piece).digest()

    def off(self) -> None:
        """Ends them."""
        self._end.set()
        for thread in self._threads:
            thread.join(5)


LEAK, KEPT_OPEN, HOG, BURNER = _Leak(), _KeptOpen(), MemoryHog(), CpuBurner()
changes("perf-stall", *BOTH)(_Stall())
changes("perf-limited", *BOTH)(_Limiter(30, None))
changes("perf-knee", *BOTH)(_Limiter(75, 1.3))
changes("perf-saturated", *BOTH)(_OneByOne())
changes("perf-leak", PRODUCT)(LEAK)
changes("perf-kept-open", *BOTH)(KEPT_OPEN)
