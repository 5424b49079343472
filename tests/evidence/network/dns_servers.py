"""A DNS server that answers as a test wants."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import dns.message

from tests.evidence.network.speakers import speaker


@contextlib.contextmanager
def dns_server(answer: Callable[[dns.message.Message, bool], bytes | None]) -> Iterator[str]:
    """A DNS server by UDP and TCP; `answer(query, by_tcp)` gives the datagram, None for silence. Yields IP:PORT."""
    import struct

    def by_tcp(client: socket.socket) -> None:
        (size,) = struct.unpack("!H", client.recv(2))
        if reply := answer(dns.message.from_wire(client.recv(size)), True):
            client.sendall(struct.pack("!H", len(reply)) + reply)

    with speaker(by_tcp) as address, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", int(address.rpartition(":")[2])))
        ended = threading.Event()
        udp.settimeout(0.05)

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    wire, client = udp.recvfrom(4096)
                    if reply := answer(dns.message.from_wire(wire), False):
                        udp.sendto(reply, client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            ended.set()
            thread.join(2)
