"""HTTP/2 over a connection of its own: one answer at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.answers.http_heads import CutAnswer, insist_on_one
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.http2 import OFFERED, Http2, Http2Error
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.http.opener import Opener
    from pytest_prodcheck.evidence.http.request_heads import PreparedRequest

_PIECE = 65_536  # bytes received at once


class Http2Answer:
    """An answer whose head has been read."""

    def __init__(self, line: Http2Connection, fields: list[tuple[str, str]]) -> None:
        self._line = line
        self.status = int(next((value for name, value in fields if name == ":status"), "0"))
        self.headers = [(name, value) for name, value in fields if not name.startswith(":")]
        self.odd: tuple[str, ...] = ()

    def read(self, size: int) -> bytes:
        """Some bytes of the body, b"" at its whole end; raises CutAnswer where that comes too early."""
        return self._line.body()

    def close(self) -> None:
        """Gives up what was not read, and the connection with it."""
        self._line.close()


class Http2Connection:
    """At most one open connection; one exchange at a time, of requests without a body.

    opener: its TLS offers OFFERED. chosen: what the server chose by ALPN, "" before it was asked or for none.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener, self._route = opener, opener.route
        self._sock: Any = None
        self._http2 = Http2()
        self.chosen = ""
        self.shook_hands = False  # without, nobody knows what would be chosen

    def _open(self, prepared: PreparedRequest, timeout: float) -> None:
        self._sock = self._opener.open(prepared.origin, timeout)
        self.shook_hands = True
        self.chosen = self._sock.selected_alpn_protocol() or ""
        if self.chosen != OFFERED[0]:
            raise EvidenceProblem(Problem("protocol", "the server did not negotiate HTTP/2"))
        self._http2 = Http2()

    def send(self, prepared: PreparedRequest, timeout: float) -> Http2Answer:
        """Sends a request and reads the head of its answer; seconds. Raises what the connection raises, NotHttp."""
        if self._sock is not None and self._http2.closing:  # gently: it answered what it had taken
            self.close()
        if self._sock is None:
            self._open(prepared, timeout)
        else:
            self._route.guard_again()
        self._sock.settimeout(timeout)
        self._route.sent, self._route.sent_at = True, time.monotonic()
        fields = {name.lower(): value.decode("latin-1") for name, value in prepared.headers.items()}
        fields.setdefault("host", prepared.origin.header.decode())
        if prepared.credentials is not None:
            fields.setdefault("authorization", prepared.credentials.decode("latin-1"))
        self._http2.request(prepared.method, prepared.origin.scheme, prepared.target, fields.items(), b"")
        self._flush()
        while self._http2.head is None:
            self._receive()
        answer = Http2Answer(self, self._http2.head)
        insist_on_one(answer.headers)
        return answer

    def body(self) -> bytes:
        """The next bytes of the answer."""
        while not self._http2.body and not self._http2.ended:
            self._receive()
        return self._http2.body.pop(0) if self._http2.body else b""

    def wait_at_most(self, seconds: float) -> None:
        """How long to wait for more of an answer; TimeoutError then."""
        if self._sock is not None:
            self._sock.settimeout(seconds)

    def close(self) -> None:
        """Closes the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            self._route.release()

    def _receive(self) -> None:
        data = self._sock.recv(_PIECE)
        if not data:
            raise CutAnswer("was cut off: the connection ended within an answer")
        try:
            self._http2.receive(data)
        except Http2Error as error:
            self._flush()
            what = plain(str(error))
            if error.malformed:
                what = f"the answer is malformed, and browsers refuse it (RFC 9113, 8.1.1): {what}"
            raise EvidenceProblem(Problem("protocol", what)) from None
        self._flush()

    def _flush(self) -> None:
        if data := self._http2.out():
            self._sock.sendall(data)
