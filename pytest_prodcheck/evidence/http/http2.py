"""HTTP/2 over a connection of its own (RFC 9113), through the kept library `h2`: one answer at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.network.http_heads import CutAnswer
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pytest_prodcheck.evidence.http.request_heads import Prepared
    from pytest_prodcheck.evidence.network.transport import Route

_PIECE = 65_536  # bytes received at once
OFFERED = ["h2", "http/1.1"]  # as browsers offer it by ALPN
_OF_HTTP_1 = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host")


class Http2Answer:
    """An answer whose head has been read."""

    def __init__(self, line: Http2Connection, stream: int, fields: list[tuple[str, str]]) -> None:
        self._line, self._stream = line, stream
        self.status = int(next((value for name, value in fields if name == ":status"), "0"))
        self.headers = [(name, value) for name, value in fields if not name.startswith(":")]
        self.odd: tuple[str, ...] = ()

    def read(self, size: int) -> bytes:
        """Some bytes of the body, b"" at its whole end; raises CutAnswer where that comes too early."""
        return self._line.body(self._stream)

    def close(self) -> None:
        """Gives up what was not read, and the connection with it."""
        self._line.close()


class Http2Connection:
    """At most one open connection; one exchange at a time, of requests without a body.

    tls: a context that offers OFFERED. chosen: what the server chose by ALPN, "" before it was asked or for none.
    """

    def __init__(self, route: Route, tls: Callable[[], ssl.SSLContext]) -> None:
        self._route, self._tls = route, tls
        self._sock: Any = None
        self._h2: Any = None
        self._body: list[bytes] = []
        self._head: list[tuple[str, str]] | None = None
        self._ended = False
        self.chosen = ""
        self.shook_hands = False  # without, nobody knows what would be chosen

    def _open(self, prepared: Prepared) -> None:
        origin = prepared.origin
        sock = self._route.open(origin.host, origin.port)
        try:
            self._sock = self._tls().wrap_socket(sock, server_hostname=origin.host, suppress_ragged_eofs=False)
        except BaseException:
            sock.close()
            self._route.release()
            raise
        self.shook_hands = True
        self.chosen = self._sock.selected_alpn_protocol() or ""
        if self.chosen != OFFERED[0]:
            raise EvidenceProblem(Problem("protocol", "HTTP/2 is not chosen"))
        try:
            from h2.config import H2Configuration
            from h2.connection import H2Connection
        except ModuleNotFoundError:
            raise EvidenceProblem(Problem("missing-extra", "asking over HTTP/2 needs h2", "pip install h2")) from None
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._h2.initiate_connection()

    def send(self, prepared: Prepared, timeout: float) -> Http2Answer:
        """Sends a request and reads the head of its answer; seconds. Raises what the connection raises, NotHttp."""
        if self._sock is None:
            self._open(prepared)
        else:
            self._route.guard_again()
        self._sock.settimeout(timeout)
        self._route.sent, self._route.sent_at = True, time.monotonic()
        stream = self._h2.get_next_available_stream_id()
        self._body, self._head, self._ended = [], None, False
        names = {name.lower(): value.decode("latin-1") for name, value in prepared.headers.items()}
        authority = names.get("host") or prepared.origin.header.decode()
        head = [(":method", prepared.method), (":scheme", prepared.origin.scheme), (":authority", authority),
                (":path", prepared.target)]  # fmt: skip
        if prepared.credentials is not None and "authorization" not in names:
            names["authorization"] = prepared.credentials.decode("latin-1")
        head += [(name, value) for name, value in names.items() if name not in _OF_HTTP_1]
        self._h2.send_headers(stream, head, end_stream=True)
        self._flush()
        while self._head is None:
            self._receive(stream)
        return Http2Answer(self, stream, self._head)

    def body(self, stream: int) -> bytes:
        """The next bytes of the answer."""
        while not self._body and not self._ended:
            self._receive(stream)
        return self._body.pop(0) if self._body else b""

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

    def _receive(self, stream: int) -> None:
        from h2 import events
        from h2.exceptions import ProtocolError

        data = self._sock.recv(_PIECE)
        if not data:
            raise CutAnswer("was cut off: the connection ended within an answer")
        try:
            found = self._h2.receive_data(data)
        except ProtocolError as error:
            self._flush()
            what = f"browsers refuse the answer, for it is malformed (RFC 9113, 8.1.1): {plain(str(error))}"
            raise EvidenceProblem(Problem("protocol", what)) from None
        for event in found:
            if getattr(event, "stream_id", stream) not in (0, stream):
                continue
            if isinstance(event, events.ResponseReceived):
                self._head = [(str(name), str(value)) for name, value in event.headers or ()]
            elif isinstance(event, events.DataReceived):
                self._body.append(event.data or b"")
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, events.StreamEnded):
                self._ended = True
            elif isinstance(event, (events.StreamReset, events.ConnectionTerminated)):
                code = getattr(event.error_code, "name", event.error_code)
                raise EvidenceProblem(Problem("protocol", f"the server ended the stream ({code})"))
        self._flush()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._sock.sendall(data)
