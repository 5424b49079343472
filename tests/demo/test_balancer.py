"""The balancer in front of servers that speak no TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme

from pytest_prodcheck.demo.network.balancer import Address, LoadBalancer, Loop, bound


@contextmanager
def echo() -> Iterator[tuple[Address, set[socket.socket]]]:
    """A server that answers with what it got, and never closes a connection first; yields the open ones too."""
    open_ones: set[socket.socket] = set()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)
        open_ones.discard(client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                open_ones.add(client)
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[:2], open_ones
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def test_clients_that_go_take_the_servers_connection_with_them(tmp_path: Path) -> None:
    """However they go: a quarter of a megabyte stayed behind for each that did not."""
    authority = trustme.CA()
    (tmp_path / "key").write_bytes(authority.issue_cert("shop.test").private_key_and_cert_chain_pem.bytes())
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with echo() as (address, open_ones):
        entrance = LoadBalancer(Loop(), bound("127.0.0.1"), [address])
        entrance.secure(tmp_path / "key", tmp_path / "key")
        entrance.set_mode("serve")
        socket.create_connection(entrance.address).close()  # says nothing
        with socket.create_connection(entrance.address) as sock:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")  # the start of a ClientHello
        with socket.create_connection(entrance.address) as sock:
            sock.sendall(b"PING\r\n")
        for word in (b"one", b"two"):  # asks, and goes with and without saying so in TLS; by then all others were taken
            sock = socket.create_connection(entrance.address, timeout=60)
            with trust.wrap_socket(sock, server_hostname="shop.test") as client:
                client.sendall(word)
                assert client.recv(100) == word
                if word == b"two":
                    client.unwrap()
        end = time.monotonic() + 60
        while (left := (len(open_ones), entrance.live)) != (0, 0) and time.monotonic() < end:
            time.sleep(0.02)
        assert left == (0, 0)
        entrance.set_mode("down")
        entrance._sock.close()
