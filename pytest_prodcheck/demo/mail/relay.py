"""The demo's mail relay: SMTP with STARTTLS, whose TLS can be as bad as OpenSSL still lets it be."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.demo.runtime.certificate_kinds import CertificateRequest, IssuedCertificate, issue

if TYPE_CHECKING:
    from pytest_prodcheck.demo.network.balancer import Address

PATIENCE = 10.0  # seconds for a silent client
Serve = Callable[[socket.socket], None]  # takes a connection on which TLS begins


class Relay:
    """A server on loopback. `serve` may be replaced at any time; connections that began keep what they had.

    hang_after: so many connections are answered, the next ones never (None: all are answered). offers: whether it
    offers STARTTLS.
    """

    def __init__(self, authority: IssuedCertificate) -> None:
        self.authority = authority
        self.certificate = issue(CertificateRequest(), authority)
        self.serve: Serve | None = None
        self.offers = True
        self._hang_after: int | None = None
        self._count = itertools.count()
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def address(self) -> Address:
        """Where it listens."""
        return "127.0.0.1", int(self._sock.getsockname()[1])

    def hang_after(self, connections: int | None) -> None:
        """Counts from now on."""
        self._count, self._hang_after = itertools.count(), connections

    def start(self) -> None:
        """Serves in a thread until the process ends."""
        threading.Thread(target=self._accept, name="mail", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._sock.accept()
            except OSError:
                continue
            number = next(self._count)
            hangs = self._hang_after is not None and number >= self._hang_after
            threading.Thread(target=self._serve_client, args=(client, hangs), daemon=True).start()

    def _serve_client(self, client: socket.socket, hangs: bool) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(PATIENCE)
            if hangs:
                client.recv(1)  # nobody greets
                return
            client.sendall(b"220 mail.demo.test ESMTP\r\n")
            serve = self.serve
            if self._smtp_until_starttls(client) and serve is not None:
                serve(client)

    def _smtp_until_starttls(self, client: socket.socket) -> bool:
        """SMTP until STARTTLS; whether that was asked for."""
        with client.makefile("rb") as lines:
            while line := lines.readline(1000).strip().upper():
                if line.startswith((b"EHLO", b"HELO")):
                    offer = b"250-STARTTLS\r\n" if self.offers else b""
                    client.sendall(b"250-mail.demo.test\r\n" + offer + b"250 HELP\r\n")
                elif line == b"STARTTLS" and self.offers:
                    client.sendall(b"220 go ahead\r\n")
                    return True
                elif line == b"QUIT":
                    client.sendall(b"221 bye\r\n")
                    return False
                else:
                    client.sendall(b"502 not here\r\n")
        return False
