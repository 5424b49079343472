"""What Prometheus scrapes: requests of a shop's services under many revisions, each with a fault of its own, all along.

A run about a revision (`--revision slow`) judges that one, so that no test waits until a fault fills a window.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICES = ("cart", "orders")
LIMITS = ("0.1", "0.5", "1", "2.5", "5", "+Inf")  # of the histogram, in seconds


@dataclass(frozen=True)
class Traffic:
    """Requests a second of one revision, the share of them that fails, the bucket of all of them, oddities."""

    rate: float = 100.0
    errors: float = 0.0
    bucket: int = 0
    tail: float = 0.0  # the share of them that takes more than five seconds
    stuck_buckets: bool = False  # counted, but in no bucket: a percentile of nothing


HEALTHY = Traffic()
ORDERS = {  # revision -> what becomes of `orders`; `cart` stays healthy
    "good": HEALTHY,
    "failing": Traffic(errors=0.1),
    "failing-somewhat": Traffic(errors=0.02),
    "slow": Traffic(bucket=4),
    "slowish": Traffic(bucket=3),
    "steady": Traffic(bucket=1),
    "steady-too": Traffic(bucket=1),
    "begins-to-fail": Traffic(bucket=1),
    "started-again": Traffic(bucket=1),
    "twice": Traffic(bucket=2),
    "tail": Traffic(bucket=1, tail=0.1),
    "failing-steadily": Traffic(bucket=1, errors=0.1),
    "idle": Traffic(rate=0.0),
    "hardly-used": Traffic(rate=0.5),
    "stuck": Traffic(stuck_buckets=True),
    "mortal": HEALTHY,
}


@dataclass(frozen=True)
class Machine:
    """Shares of 1 that are in use on a host that a node_exporter tells of."""

    cpu: float = 0.3
    memory: float = 0.5
    disk: float = 0.5
    inodes: float = 0.1
    mounts: tuple[str, ...] = ("/", "/var")
    answers: bool = True
    read_only: tuple[str, ...] = ("/",)  # as it is meant to be
    broke: str = ""  # what became read-only after two scrapes

    def text(self, seconds: float, scrape: int) -> str:
        """Its series. Two processors; a twentieth of the disk is for root."""
        lines = ["node_memory_MemTotal_bytes 8e9", f"node_memory_MemAvailable_bytes {8e9 * (1 - self.memory)}"]
        for cpu in (0, 1):
            for mode, share in (("user", self.cpu), ("idle", (1 - self.cpu) / 2), ("iowait", (1 - self.cpu) / 2)):
                lines.append(f'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"}} {1e5 + share * seconds}')
        for mount in self.mounts:
            disk, inodes = (self.disk, self.inodes) if mount == "/var" else (0.5, 0.1)
            files = 0 if mount == "/" else 1e6
            numbers = {
                "size_bytes": 1e9, "free_bytes": 1e9 - 0.95e9 * disk, "avail_bytes": 0.95e9 * (1 - disk),
                "files": files, "files_free": files * (1 - inodes),
                "readonly": int(mount in self.read_only or (mount == self.broke and scrape > 2)),
            }  # fmt: skip
            lines += [f'node_filesystem_{name}{{mountpoint="{mount}"}} {value}' for name, value in numbers.items()]
        return "\n".join([*lines, ""])


MACHINES = {  # instance -> what it tells; "web-1" and "web-2" are the healthy ones
    "web-1": Machine(), "web-2": Machine(),
    "busy": Machine(cpu=0.97), "busyish": Machine(cpu=0.8), "swapping": Machine(memory=0.97),
    "tight": Machine(memory=0.9), "full": Machine(disk=0.97), "filling": Machine(disk=0.9),
    "littered": Machine(inodes=0.97), "littering": Machine(inodes=0.9), "unmounted": Machine(mounts=("/",)),
    "silent": Machine(answers=False), "frozen": Machine(broke="/var"),
}  # fmt: skip


@dataclass
class Numbers:
    """What is told on the next scrape. dead: revision -> when it stopped telling new numbers (seconds of `clock`)."""

    began: float = field(default_factory=time.monotonic)
    dead: dict[str, float] = field(default_factory=dict)
    first_errors: set[str] = field(default_factory=set)  # revisions whose series of errors is there only now
    anew: set[str] = field(default_factory=set)  # revisions whose process was started again
    down: str = ""  # severity of the alert that the shop is down, "" where it is up
    maintenance: bool = False
    scrapes: Counter[str] = field(default_factory=Counter)  # of each machine

    def heal(self) -> None:
        """All as in the beginning."""
        for each in (self.dead, self.first_errors, self.anew):
            each.clear()
        self.down, self.maintenance = "", False

    def text(self) -> str:
        """All series, in Prometheus's text format."""
        lines: list[str] = []
        for revision, traffic in ORDERS.items():
            seconds = self.dead.get(revision, time.monotonic()) - self.began
            if revision in self.anew:
                seconds /= 100
            if revision in self.first_errors:
                lines.append(f'http_requests_total{{service="orders",revision="{revision}",code="500"}} 90')
            for service in SERVICES:
                lines += _requests(service, revision, traffic if service == "orders" else HEALTHY, seconds)
        for severity in ("critical", "warning"):
            lines.append(f'shop_down{{severity="{severity}"}} {int(self.down == severity)}')
        lines.append(f"shop_maintenance {int(self.maintenance)}")
        return "\n".join([*lines, ""])


def _requests(service: str, revision: str, traffic: Traffic, seconds: float) -> Iterator[str]:
    count = 1000 + traffic.rate * seconds
    labels = f'service="{service}",revision="{revision}"'
    yield f'http_requests_total{{{labels},code="200"}} {count * (1 - traffic.errors)}'
    if traffic.errors:
        yield f'http_requests_total{{{labels},code="500"}} {count * traffic.errors}'
    for place, limit in enumerate(LIMITS):
        within = 1000 if traffic.stuck_buckets else count if place >= traffic.bucket else 0
        if limit != "+Inf" and not traffic.stuck_buckets:
            within *= 1 - traffic.tail
        yield f'http_request_duration_seconds_bucket{{{labels},le="{limit}"}} {within}'
    yield f"http_request_duration_seconds_count{{{labels}}} {count}"


class _Handler(BaseHTTPRequestHandler):
    numbers: Numbers

    def do_GET(self) -> None:
        good, text = self.path == "/worker", "worker_jobs 1\n"
        if self.path == "/metrics":
            good, text = True, self.numbers.text()
        elif self.path.startswith("/node/"):
            machine = MACHINES[self.path.removeprefix("/node/")]
            self.numbers.scrapes[self.path] += 1
            good = machine.answers
            text = machine.text(time.monotonic() - self.numbers.began, self.numbers.scrapes[self.path])
        content = text.encode()
        self.send_response(200 if good else 503)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever asked had no time left
            self.wfile.write(content)

    def do_POST(self) -> None:
        """Takes Alertmanager's notifications."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that answers so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def exporter(numbers: Numbers) -> Iterator[str]:
    """The address of an exporter of these numbers."""
    with serving(type("Handler", (_Handler,), {"numbers": numbers})) as address:
        yield address
