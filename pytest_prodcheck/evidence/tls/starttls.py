"""The plain text before TLS: how a client of each protocol asks to change over."""

from __future__ import annotations

import socket
from collections.abc import Callable

from pytest_prodcheck.records import EvidenceProblem, Problem

LONGEST = 65536  # bytes of talk before TLS
_LDAP = b"0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037"  # RFC 4511, 4.14.1
_LDAP_SUCCESS = b"\x0a\x01\x00"  # resultCode success (0)
_XMPP = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:{kind}' xmlns:stream='http://etherx.jabber.org/streams' "
    "to='{name}' version='1.0'>"
)  # RFC 6120, 5.4


def start_tls(sock: socket.socket, protocol: str, name: str, where: str) -> None:
    """Talks until the server is ready for a TLS handshake; raises EvidenceProblem (tls, protocol) where it refuses.

    name: of the server, for XMPP. `sock` has to be under a deadline. OSError passes through.
    """
    _TALKS[protocol](_LineReader(sock, where, protocol), name)


class _LineReader:
    def __init__(self, sock: socket.socket, where: str, protocol: str) -> None:
        self._sock, self._where, self._protocol = sock, where, protocol
        self._read = b""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def until(self, enough: Callable[[bytes], bool]) -> bytes:
        """What the server says until it is enough."""
        heard = b""
        while not enough(heard):
            data = self._sock.recv(4096)
            self._read += data
            if not data or len(self._read) > LONGEST:
                raise self.refused(heard, "speaks no", "is it this protocol's port?", kind_tls=False)
            heard += data
        return heard

    def lines(self, last: Callable[[bytes], bool]) -> bytes:
        """Lines until one that is the last of an answer."""
        return self.until(lambda heard: heard.endswith(b"\n") and last(heard.splitlines()[-1]))

    def refused(self, heard: bytes, what: str, hint: str, *, kind_tls: bool = True) -> EvidenceProblem:
        said = heard[:80].decode("latin-1").strip()
        text = f"{self._where}: {what} {self._protocol}" + (f" ({said})" if said else "")
        return EvidenceProblem(Problem("tls" if kind_tls else "protocol", text, hint))

    def require(self, good: bool, heard: bytes) -> None:
        if not good:
            raise self.refused(heard, "refuses TLS for", "TLS has to be switched on there")


def _postgres(line: _LineReader, name: str) -> None:
    line.send(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest, PostgreSQL's protocol, 55.2.10
    heard = line.until(lambda heard: len(heard) > 0)
    line.require(heard == b"S", heard)


def _smtp(line: _LineReader, name: str) -> None:
    def whole(last: bytes) -> bool:
        return last[3:4] != b"-"

    greeting = line.lines(whole)
    line.require(greeting.startswith(b"220"), greeting)
    line.send(b"EHLO prodcheck.invalid\r\n")
    offers = line.lines(whole)
    line.require(offers.startswith(b"250") and b"STARTTLS" in offers.upper(), offers)
    line.send(b"STARTTLS\r\n")
    ready = line.lines(whole)
    line.require(ready.startswith(b"220"), ready)


def _imap(line: _LineReader, name: str) -> None:
    line.lines(lambda last: True)
    line.send(b"a STARTTLS\r\n")
    heard = line.lines(lambda last: last[:2] == b"a ")
    line.require(heard.splitlines()[-1].upper().startswith(b"A OK"), heard)


def _pop3(line: _LineReader, name: str) -> None:
    line.lines(lambda last: True)
    line.send(b"STLS\r\n")
    heard = line.lines(lambda last: True)
    line.require(heard.startswith(b"+OK"), heard)


def _ftp(line: _LineReader, name: str) -> None:
    def whole(last: bytes) -> bool:
        return last[:3].isdigit() and last[3:4] != b"-"

    line.lines(whole)
    line.send(b"AUTH TLS\r\n")
    heard = line.lines(whole)
    line.require(heard.startswith(b"234"), heard)


def _ldap(line: _LineReader, name: str) -> None:
    line.send(_LDAP)
    # BER: the length of the whole message is told in its second byte, or in those that that one counts
    heard = line.until(lambda heard: len(heard) >= 2 and len(heard) >= _ber_length(heard))
    line.require(_LDAP_SUCCESS in heard, heard[:0])


def _ber_length(data: bytes) -> int:
    if data[1] < 0x80:
        return 2 + data[1]
    count = data[1] & 0x7F
    return 2 + count + int.from_bytes(data[2 : 2 + count]) if len(data) >= 2 + count else LONGEST


def _xmpp(kind: str) -> Callable[[_LineReader, str], None]:
    def talk(line: _LineReader, name: str) -> None:
        line.send(_XMPP.format(kind=kind, name=name).encode())
        heard = line.until(lambda heard: b"</stream:features>" in heard or b"error" in heard)
        line.require(b"urn:ietf:params:xml:ns:xmpp-tls" in heard, b"")
        line.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        heard = line.until(lambda heard: b">" in heard)
        line.require(b"proceed" in heard, b"")

    return talk


_TALKS: dict[str, Callable[[_LineReader, str], None]] = {
    "postgres": _postgres, "smtp": _smtp, "imap": _imap, "pop3": _pop3, "ftp": _ftp, "ldap": _ldap,
    "xmpp": _xmpp("client"), "xmpp-server": _xmpp("server"),
}  # fmt: skip
