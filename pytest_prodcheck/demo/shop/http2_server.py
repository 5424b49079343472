"""HTTP/2 for the shop's server, where the library `h2` is there: one request after the other, as in HTTP/1.1."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

PROTOCOLS = ["h2", "http/1.1"] if find_spec("h2") else ["http/1.1"]
_PIECE = 16_384  # bytes of a frame, and received at once

# method, path, headers, body -> status, fields, body; None resets the stream
Answer = Callable[[str, str, dict[str, str], bytes], tuple[int, list[tuple[str, str]], bytes] | None]


def chose_http2(connection: Any) -> bool:
    """Whether a client asked for HTTP/2 by ALPN."""
    return isinstance(connection, ssl.SSLSocket) and connection.selected_alpn_protocol() == "h2"


def serve(connection: ssl.SSLSocket, answer: Answer) -> None:
    """Answers until the client leaves."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.errors import ErrorCodes
    from h2.events import DataReceived, RequestReceived, StreamEnded
    from h2.exceptions import ProtocolError

    # what faults put into answers is for clients to notice
    state = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1", validate_outbound_headers=False,
                                         normalize_outbound_headers=False))  # fmt: skip
    state.initiate_connection()
    asked: dict[int, tuple[dict[str, str], bytearray]] = {}
    with contextlib.suppress(OSError, ProtocolError):
        connection.sendall(state.data_to_send())
        while data := connection.recv(65_536):
            for event in state.receive_data(data):
                if isinstance(event, RequestReceived):
                    asked[event.stream_id] = {str(name): str(value) for name, value in event.headers}, bytearray()
                elif isinstance(event, DataReceived):
                    asked[event.stream_id][1].extend(event.data)
                    state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    head, body = asked.pop(event.stream_id)
                    told = answer(head[":method"], head[":path"], head, bytes(body))
                    if told is None:
                        state.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                    else:
                        _send(state, event.stream_id, *told)
            connection.sendall(state.data_to_send())


def _send(state: Any, stream: int, status: int, fields: list[tuple[str, str]], body: bytes) -> None:
    """An answer whose body fits the client's window, as the shop's do."""
    head = [(":status", str(status)), *((name.lower(), value) for name, value in fields)]
    state.send_headers(stream, head, end_stream=not body)
    for begin in range(0, len(body), _PIECE):
        state.send_data(stream, body[begin : begin + _PIECE], end_stream=begin + _PIECE >= len(body))
