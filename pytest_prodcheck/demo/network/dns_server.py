"""A small DNS server for demo.test on loopback (UDP)."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal

BRANCH = "xn--mnchen-3ya.demo.test"  # münchen.demo.test: the shop under a second name

Trouble = Literal["nxdomain", "servfail", "silent"]


class DnsServer:
    """Answers A and AAAA for known names, NXDOMAIN for others. `a`, `aaaa` and `trouble` may change at any time."""

    def __init__(self, sock: socket.socket, shop: tuple[str, ...]) -> None:
        hosts = ("db-1", "db-2", "db-rw", "cache-1", "cache-2", "queue", "mail", "payments")
        self.a = {"shop.demo.test": shop, BRANCH: shop[:1]} | {f"{host}.demo.test": ("127.0.0.1",) for host in hosts}
        self.aaaa: dict[str, tuple[str, ...]] = {}
        self.trouble: dict[str, Trouble] = {}
        self._sock = sock

    def start(self) -> None:
        """Serves in a thread until the process ends."""
        threading.Thread(target=self._serve, name="names", daemon=True).start()

    def _serve(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # whatever a client sent, the next one is answered
                wire, client = self._sock.recvfrom(4096)
                if answer := self._answer(wire):
                    self._sock.sendto(answer, client)

    def _answer(self, wire: bytes) -> bytes | None:
        import dns.flags
        import dns.message
        import dns.rcode
        import dns.rdatatype
        import dns.rrset

        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        trouble = self.trouble.get(name)
        if trouble == "silent":
            return None
        response.flags |= dns.flags.AA
        if trouble == "servfail":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif trouble == "nxdomain" or name not in self.a:
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            kinds = {dns.rdatatype.A: ("A", self.a), dns.rdatatype.AAAA: ("AAAA", self.aaaa)}
            kind, table = kinds.get(question.rdtype, ("", {}))
            if found := table.get(name):
                response.answer.append(dns.rrset.from_text(question.name, 1, "IN", kind, *found))
        return response.to_wire(want_shuffle=False)


def bound_udp() -> socket.socket:
    """A UDP socket on loopback with a free port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock
