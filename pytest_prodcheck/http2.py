"""HTTP/2 as a client speaks it (RFC 9113), through the kept library `h2`: bytes in and out, no socket.

One exchange at a time. GOAWAY is read here, for h2 takes nothing more of a connection that has said so, while servers
that end one gently still answer what they took.
"""

from __future__ import annotations

from collections.abc import Iterable

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error

OFFERED = ["h2", "http/1.1"]  # by ALPN, as browsers offer it
_OF_HTTP_1 = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host")
_FRAME_HEAD, _GOAWAY = 9, 0x7  # bytes; a type of frames


class Http2Error(Exception):
    """No answer. malformed: what came is no HTTP/2. unprocessed: the request may be sent again (RFC 9113, 8.7)."""

    def __init__(self, message: str, *, malformed: bool = False, unprocessed: bool = False) -> None:
        super().__init__(message)
        self.malformed, self.unprocessed = malformed, unprocessed


class Http2:
    """One connection: `request`, then `receive` what comes until `ended`; `out` is what has to be sent by then.

    head: fields of the answer, None before they came. body: pieces that nobody took yet.
    """

    def __init__(self) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._h2.initiate_connection()
        self._came = bytearray()
        self._unsent = b""
        self._stream = 0
        self.head: list[tuple[str, str]] | None = None
        self.body: list[bytes] = []
        self.ended = True
        self.closing = False  # the server takes no further request

    def request(self, method: str, scheme: str, target: str, fields: Iterable[tuple[str, str]], body: bytes) -> None:
        """Begins an exchange; fields: those of HTTP/1.1, with Host."""
        self._stream = self._h2.get_next_available_stream_id()
        self.head, self.body, self.ended, self._unsent = None, [], False, body
        named = [(name.lower(), value) for name, value in fields]
        authority = next((value for name, value in named if name == "host"), "")
        head = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", target)]
        head += [each for each in named if each[0] not in _OF_HTTP_1]
        self._h2.send_headers(self._stream, head, end_stream=not body)
        self._send_body()

    def receive(self, data: bytes) -> None:
        """Takes bytes that came; raises Http2Error."""
        for frame in self._frames(data):
            if frame[3] == _GOAWAY and len(frame) >= _FRAME_HEAD + 8:
                self._goaway(frame)
                continue
            try:
                found = self._h2.receive_data(frame)
            except H2Error as error:
                raise Http2Error(str(error), malformed=True) from None
            for event in found:
                self._take(event)
        self._send_body()

    def out(self) -> bytes:
        """What has to be sent now."""
        return bytes(self._h2.data_to_send())

    def _frames(self, data: bytes) -> Iterable[bytes]:
        self._came += data
        while len(self._came) >= _FRAME_HEAD:
            end = _FRAME_HEAD + int.from_bytes(self._came[:3], "big")
            if end - _FRAME_HEAD > self._h2.max_inbound_frame_size:
                raise Http2Error("a frame is larger than allowed", malformed=True)
            if len(self._came) < end:
                return
            frame = bytes(self._came[:end])
            del self._came[:end]
            yield frame

    def _take(self, event: events.Event) -> None:
        if getattr(event, "stream_id", self._stream) not in (0, self._stream) or self.ended:
            return
        if isinstance(event, events.ResponseReceived):
            self.head = [(str(name), str(value)) for name, value in event.headers or ()]
        elif isinstance(event, events.DataReceived):
            self.body.append(event.data or b"")
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, self._stream)
        elif isinstance(event, events.StreamEnded):
            self.ended = True
        elif isinstance(event, events.StreamReset):
            told = f"the server ended the stream ({_error_name(event.error_code)})"
            raise Http2Error(told, unprocessed=event.error_code == ErrorCodes.REFUSED_STREAM)

    def _goaway(self, frame: bytes) -> None:
        self.closing = True
        last = int.from_bytes(frame[9:13], "big") & 0x7FFFFFFF
        code = int.from_bytes(frame[13:17], "big")
        if not self.ended and (last < self._stream or code):
            raise Http2Error(f"the server ended the connection ({_error_name(code)})", unprocessed=last < self._stream)

    def _send_body(self) -> None:
        """Sends as much of a body as the server takes now (RFC 9113, 5.2)."""
        while self._unsent and not self.ended:
            room = min(self._h2.local_flow_control_window(self._stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            piece, self._unsent = self._unsent[:room], self._unsent[room:]
            self._h2.send_data(self._stream, piece, end_stream=not self._unsent)


def _error_name(code: int | None) -> str:
    try:
        return str(ErrorCodes(code or 0).name)
    except ValueError:
        return str(code)
