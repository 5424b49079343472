"""Real receivers on loopback: SMTP (aiosmtpd) with and without TLS, HTTP and HTTPS that keep what they got."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message as Mail
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Mailbox:
    """What an SMTP server took; `refused` are recipients that it does not take."""

    refused: set[str] = field(default_factory=set)
    mails: list[tuple[list[str], Mail]] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append((list(envelope.rcpt_tos), BytesParser(policy=default).parsebytes(envelope.content)))
        return "250 OK"


@contextmanager
def smtp(context: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """An SMTP server; with a context it asks for STARTTLS before anything else."""
    from aiosmtpd.controller import Controller

    made = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as found:  # its controller wants to know the port
        made.port = found.getsockname()[1]
    more: dict[str, Any] = {"tls_context": context, "require_starttls": True} if context is not None else {}
    controller = Controller(made, hostname="127.0.0.1", port=made.port, **more)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()


@dataclass
class Taken:
    """What an HTTP server got: path, headers, body; `answer` is the status that it gives, with `location`."""

    answer: int = 200
    location: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    promised: int = 0  # bytes of a body that never comes, on a connection that stays open


@contextmanager
def http(context: ssl.SSLContext | None = None) -> Iterator[Taken]:
    """An HTTP server, with a context an HTTPS one."""
    made = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            made.requests.append((self.command, self.path, dict(self.headers), body))
            self.send_response(made.answer)
            if made.location:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", str(made.promised))
            self.end_headers()

        do_GET = do_PUT = do_POST

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with serving(Handler, context) as made.port:
        yield made


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on loopback whose requests a handler answers; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
