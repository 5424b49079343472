"""The load's client over real sockets, without Locust: which connections it uses again."""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from socket import SO_LINGER, SOL_SOCKET

import pytest

from pytest_prodcheck.answers.expected_answers import ExpectedAnswer
from pytest_prodcheck.load import client as module
from pytest_prodcheck.load.client import Call, Client, RequestFailed, clock
from pytest_prodcheck.load.templates import Template
from tests.evidence.load.servers import GOOD

REST = 0.2  # seconds after which the server ends a connection


class Impatient(socketserver.BaseRequestHandler):
    """Resets a connection whose next request comes after it has rested: as where its end crosses that request."""

    def handle(self) -> None:
        ended = time.monotonic()
        while self.request.recv(65536):
            if time.monotonic() - ended > REST:
                self.request.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                return
            self.request.sendall(GOOD)
            ended = time.monotonic()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(module, "SPREAD", 1)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Impatient) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Client({"addresses": [server.server_address], "server_name": "it", "tls": None, "http": "1.1"})
        yield made
        made.move([("127.0.0.1", 9)])  # closes what rests
        server.shutdown()


def ask(client: Client, method: str, *, safe: bool) -> bool:
    """Whether a request was sent twice; raises RequestFailed."""
    raw = f"{method} / HTTP/1.1\r\nHost: it\r\nContent-Length: 0\r\n\r\n"
    call = Call("it", client, method, Template(raw), safe, ExpectedAnswer((200,)), 30)
    answer, again = client.ask(call, call.template.render({}), clock() + 30)
    assert answer.get_code() == 200
    return again


def test_what_cannot_be_sent_twice_goes_over_no_connection_that_rested(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """golang/go#22158, nodejs/node#47130: a POST meets the end of a connection that rested for too long."""
    monkeypatch.setattr(module, "RESTED", REST / 4)
    (address,) = client.addresses
    ask(client, "POST", safe=False)
    time.sleep(2 * REST)
    assert not ask(client, "POST", safe=False)
    assert address.connections == 2
    time.sleep(2 * REST)
    assert ask(client, "GET", safe=True), "what changes nothing is sent again instead"
    monkeypatch.setattr(module, "RESTED", 60)
    time.sleep(2 * REST)
    with pytest.raises(RequestFailed, match="connection reset"):
        ask(client, "POST", safe=False)
