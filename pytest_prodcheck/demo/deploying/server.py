"""One copy of a small shop, `server.py PORT REVISION`: how it behaves follows from the name of its revision.

On SIGTERM it answers what it was asked, and 503 to what is new, as servers do that end in order.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Copy(BaseHTTPRequestHandler):
    """Answers as its revision does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    revision = ""
    ending = False
    asked = 0

    def do_GET(self) -> None:
        """/healthz, /version and /product."""
        how, chance = self.revision.partition("-")[2], random.random()
        type(self).asked += 1
        if self.path == "/product":
            if how == "slow":
                time.sleep(0.06)
            if how == "tail" and chance < 0.3:
                time.sleep(0.7)
            time.sleep(0.004 + random.expovariate(1000))
        if how == "down" and self.path == "/product":
            self.close_connection = True
            return
        status = 503 if self.ending or (self.path == "/product" and how == "errors" and chance < 0.4) else 200
        if how == "sick" and self.path == "/healthz":
            status = 503
        told = {"revision": self.revision, "status": "pass" if status == 200 else "fail"}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.ending:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of clients that went away."""


def main(port: int, revision: str) -> None:
    """Serves until SIGTERM."""
    Copy.revision = revision
    server = Server(("127.0.0.1", port), Copy)

    def end(*_: object) -> None:
        Copy.ending = True
        threading.Timer(0.2, lambda: os._exit(0)).start()

    signal.signal(signal.SIGTERM, end)
    server.serve_forever(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
