"""Certificates as servers send them, had without a scan."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pytest_prodcheck.demo.mail.tls import staples, tls_server
from pytest_prodcheck.demo.runtime.certificate_kinds import DAY, CertificateRequest, issue, status
from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.evidence.network import resolving
from pytest_prodcheck.evidence.network.certificate_names import is_for
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
from pytest_prodcheck.evidence.table import find
from tests.evidence.contexts import context_for, gather, problem_of
from tests.evidence.network.speakers import drip, flood, hang, raw_server, say
from tests.evidence.tls.servers import HOST, Lab, V, lab

__all__ = ["lab"]


def test_facts_of_a_good_server(lab: Lab) -> None:
    with lab.server() as address:
        served = lab.certificate(address)
    (own,) = served.sent
    assert (served.problem, served.version, served.distrust, served.for_name) == (None, "TLSv1.3", "", True)
    assert (own.key, own.bits, own.signature_hash, own.subject) == ("EC", 256, "sha256", "CN=localhost")
    assert abs(own.not_after - own.not_before - 90 * 86400) < 1
    assert [each.subject for each in served.path] == ["CN=localhost", "CN=Test CA"]
    assert (served.names, served.staple, served.must_staple) == (("DNS:localhost",), None, False)


def test_without_a_declared_ca_the_system_decides(lab: Lab) -> None:
    with lab.server() as address:
        served = lab.certificate(address, ca=None)
    assert "CN=Test CA was not sent and is not trusted" in served.distrust


@pytest.mark.parametrize(
    ("wanted", "sent", "distrust"),
    [
        (CertificateRequest(("Intermediate",), ca=True), True, ""),
        (CertificateRequest(("Intermediate",), ca=True), False, "the chain is incomplete"),
        (
            CertificateRequest(("Intermediate",), ca=True, left=-DAY, age=9 * DAY),
            True,
            "a CA certificate on the way has expired",
        ),
        (
            CertificateRequest(("Intermediate",), ca=True, age=-DAY),
            True,
            "a CA certificate on the way is not yet valid",
        ),
        (CertificateRequest(("Intermediate",)), True, "a certificate on the way is no CA's"),
    ],
)
def test_intermediate_certificates(lab: Lab, wanted: CertificateRequest, sent: bool, distrust: str) -> None:
    intermediate = lab.issue(wanted)
    own = issue(HOST, intermediate)
    own.chain = [intermediate.certificate] if sent else []
    with lab.server(tls_server(lab.tls(own))) as address:
        found = lab.certificate(address).distrust
    assert (distrust in found) if distrust else not found


def test_its_own_times_are_facts_and_no_distrust(lab: Lab) -> None:
    for wanted in (
        CertificateRequest(("localhost",), age=9 * DAY, left=-DAY),
        CertificateRequest(("localhost",), age=-DAY),
    ):
        with lab.server(tls_server(lab.tls(lab.issue(wanted)))) as address:
            assert lab.certificate(address).distrust == ""


def test_self_signed_and_unknown_ca(lab: Lab) -> None:
    alone = issue(HOST, None)
    with lab.server(tls_server(lab.tls(alone))) as address:
        assert "self-signed" in lab.certificate(address).distrust
    stranger = issue(CertificateRequest(("Stranger",), ca=True), None)
    own = issue(HOST, stranger)
    own.chain = [stranger.certificate]
    with lab.server(tls_server(lab.tls(own))) as address:
        assert lab.certificate(address).distrust == "its CA is not trusted (CN=Stranger)"
        (lab.folder / "stranger.pem").write_bytes(stranger.pem())
        assert lab.certificate(address, ca="stranger.pem").distrust == ""


def test_both_certificates_of_a_server_are_seen(lab: Lab) -> None:
    rsa = lab.issue(CertificateRequest(("localhost",), key="rsa-2048", left=-DAY, age=9 * DAY))
    with lab.server(tls_server(lab.tls(lab.issue(), rsa))) as address:
        first, second = lab.gather("tls-certificate", address).served
    assert (first.sent[0].key, second.sent[0].key) == ("EC", "RSA")
    assert second.address == f"{address}, RSA key"
    assert second.sent[0].not_after < time.time()


@pytest.mark.parametrize(
    "settings",
    [
        {"lowest": V.TLSv1, "highest": V.TLSv1, "ciphers": "ECDHE+AES"},
        {"lowest": V.TLSv1_1, "highest": V.TLSv1_1, "ciphers": "ECDHE+AES"},
        {"highest": V.TLSv1_2},
        {"lowest": V.TLSv1_3},
    ],
    ids=["1.0", "1.1", "1.2", "1.3"],
)
def test_every_version_is_met(lab: Lab, settings: dict[str, Any]) -> None:
    with lab.server(**settings) as address:
        assert lab.certificate(address).problem is None


def test_server_name_and_connect_to(lab: Lab) -> None:
    asked = []
    tls = lab.tls(lab.issue(CertificateRequest(("mail.test",))))
    tls.sni_callback = lambda sock, name, context: asked.append(name)
    with lab.server(tls_server(tls)) as address:
        served = lab.certificate("mail.test:465", connect_to=address)
        other = lab.certificate(address, server_name="other.test")
    assert (served.for_name, other.for_name, other.name) == (True, False, "other.test")
    assert set(asked) == {"mail.test", "other.test"}


def test_a_client_certificate_is_shown_where_declared(lab: Lab) -> None:
    for highest in (V.TLSv1_2, V.TLSv1_3):
        tls = lab.tls(highest=highest)
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(lab.folder / "ca.pem")
        seen: list[object] = []

        def serve(client: socket.socket, tls: ssl.SSLContext = tls, seen: list[object] = seen) -> None:
            with tls.wrap_socket(client, server_side=True) as wrapped:
                seen.append(wrapped.getpeercert())
                wrapped.recv(1)

        (lab.folder / "client.pem").write_bytes(lab.issue(CertificateRequest(("client",), ca=True)).pem())
        with lab.server(serve) as address:
            assert lab.certificate(address).problem is None  # the server's own is seen without one, too
            assert not seen
            lab.certificate(address, certificate="client.pem")
            end = time.monotonic() + 5
            while not seen and time.monotonic() < end:
                time.sleep(0.05)
            assert seen


def test_an_unusable_file_is_told(lab: Lab) -> None:
    (lab.folder / "empty.pem").write_text("")
    with lab.server() as address:
        served = lab.certificate(address, ca="empty.pem")
    assert served.problem is not None
    assert served.problem.kind == "configuration"
    assert "empty.pem cannot be used" in served.problem.message


def test_every_address_of_a_name_is_looked_at(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 28: one of several addresses serves something else."""
    bad = tls_server(lab.tls(lab.issue(CertificateRequest(("localhost",), left=-DAY, age=9 * DAY))))
    with raw_server(tls_server(lab.tls())) as port, raw_server(bad, "127.0.0.2", port):
        context = lab.context(f"localhost:{port}")
        found = tuple(ResolvedAddress("IPv4", ip, port) for ip in ("127.0.0.1", "127.0.0.2", "127.0.0.3"))
        monkeypatch.setattr(resolving, "resolve", lambda *_: found)
        good, expired, closed = gather("tls-certificate", "server", context).served
    assert good.sent[0].not_after > time.time() > expired.sent[0].not_after
    assert closed.problem is not None
    assert closed.problem.kind == "refused"


# -- staples


def test_staples(lab: Lab) -> None:
    own, other = lab.issue(), lab.issue()
    stranger = issue(CertificateRequest(("Stranger",), ca=True), None)
    cases = {
        "good": (status(own, lab.authority), "good", ""),
        "revoked": (status(own, lab.authority, revoked=True), "revoked", ""),
        "of another": (status(other, lab.authority), "good", "another certificate"),
        "by a stranger": (status(own, stranger), "good", "did not sign"),
        "garbage": (b"\x30\x03abc", "unknown", "cannot be read"),
    }
    for name, (response, told, doubt) in cases.items():
        with lab.server(staples(lab.folder, own, response)) as address:
            staple = lab.certificate(address).staple
        assert staple is not None, name
        assert staple.status == told, name
        assert doubt in staple.problem, name
        assert bool(doubt) == bool(staple.problem), name


def test_a_staple_that_is_over_and_a_certificate_that_asks_for_one(lab: Lab) -> None:
    own = lab.issue(CertificateRequest(("localhost",), must_staple=True, ocsp="http://ocsp.test/"))
    with lab.server(staples(lab.folder, own, status(own, lab.authority, left=-timedelta(hours=1)))) as address:
        served = lab.certificate(address)
    assert served.must_staple
    assert served.ocsp == ("http://ocsp.test/",)
    assert served.staple is not None
    assert served.staple.good_until is not None
    assert served.staple.good_until < time.time()


# -- names


@pytest.mark.parametrize(
    ("names", "wanted", "common_name", "good"),
    [
        (("DNS:a.test",), "a.test", False, True),
        (("DNS:A.Test",), "a.test.", False, True),
        (("DNS:*.test",), "a.test", False, False),  # a whole public suffix
        (("DNS:*.a.test",), "b.a.test", False, True),
        (("DNS:*.a.test",), "a.test", False, False),
        (("DNS:*.a.test",), "c.b.a.test", False, False),
        (("DNS:b*.a.test",), "bc.a.test", False, False),
        (("DNS:xn--bcher-kva.test",), "xn--bcher-kva.test", False, True),
        (("IP:127.0.0.1",), "127.0.0.1", False, True),
        (("IP:::1",), "::1", False, True),
        (("DNS:127.0.0.1",), "127.0.0.1", False, False),
        (("CN:a.test",), "a.test", False, False),
        (("CN:a.test",), "a.test", True, True),
        ((), "a.test", True, False),
    ],
)
def test_names(names: tuple[str, ...], wanted: str, common_name: bool, good: bool) -> None:
    assert is_for(names, wanted, common_name) is good


# -- plain text first


def _line(client: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = client.recv(1)
        if not piece:
            break
        data += piece
    return data


def _smtp(client: socket.socket) -> None:
    client.sendall(b"220-welcome\r\n220 mail\r\n")
    assert _line(client).startswith(b"EHLO")
    client.sendall(b"250-mail\r\n250-STARTTLS\r\n250 HELP\r\n")
    assert _line(client) == b"STARTTLS\r\n"
    client.sendall(b"220 go\r\n")


def _imap(client: socket.socket) -> None:
    client.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
    assert _line(client).endswith(b"STARTTLS\r\n")
    client.sendall(b"a OK begin\r\n")


def _pop3(client: socket.socket) -> None:
    client.sendall(b"+OK ready\r\n")
    assert _line(client) == b"STLS\r\n"
    client.sendall(b"+OK begin\r\n")


def _ftp(client: socket.socket) -> None:
    client.sendall(b"220-hello\r\n220 ready\r\n")
    assert _line(client) == b"AUTH TLS\r\n"
    client.sendall(b"234 begin\r\n")


def _ldap(client: socket.socket) -> None:
    assert b"1.3.6.1.4.1.1466.20037" in client.recv(100)
    client.sendall(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")


def _postgres(client: socket.socket) -> None:
    assert client.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
    client.sendall(b"S")


def _xmpp(client: socket.socket) -> None:
    assert b"to='localhost'" in client.recv(500)
    client.sendall(b"<stream:stream><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    client.sendall(b"</stream:features>")
    assert b"<starttls" in client.recv(500)
    client.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")


TALKS: dict[str, Callable[[socket.socket], None]] = {
    "smtp": _smtp, "imap": _imap, "pop3": _pop3, "ftp": _ftp, "ldap": _ldap, "postgres": _postgres, "xmpp": _xmpp,
    "xmpp-server": _xmpp,
}  # fmt: skip


@pytest.mark.parametrize("protocol", TALKS)
def test_plain_text_first(lab: Lab, protocol: str) -> None:
    then = tls_server(lab.tls())

    def serve(client: socket.socket) -> None:
        TALKS[protocol](client)
        then(client)

    with lab.server(serve) as address:
        assert lab.certificate(address, starttls=protocol).problem is None


NO: dict[str, bytes] = {
    "smtp": b"220 mail\r\n250 HELP\r\n", "imap": b"* OK ready\r\na NO not here\r\n", "pop3": b"+OK\r\n-ERR\r\n",
    "ftp": b"220 ready\r\n500 what\r\n", "ldap": b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00",
    "postgres": b"N", "xmpp": b"<stream:stream><stream:features></stream:features>",
}  # fmt: skip


@pytest.mark.parametrize("protocol", NO)
def test_plain_text_only(lab: Lab, protocol: str) -> None:
    def serve(client: socket.socket) -> None:
        for line in NO[protocol].splitlines(keepends=True):
            client.sendall(line)
            client.recv(1000)

    with lab.server(serve) as address:
        problem = lab.certificate(address, starttls=protocol).problem
    assert problem is not None
    assert problem.kind == "tls", problem
    assert f"refuses TLS for {protocol}" in problem.message


# -- hostile

HELLO = b"\x16\x03\x03"


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (hang, "timeout"),
        (say(b""), "tls"),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls"),
        (say(b"\x15\x03\x03\x00\x02\x02\x28"), "tls"),  # alert: handshake failure
        (flood(b"\x00" * 4096), "tls"),
        (flood(HELLO + b"\x40\x00" + b"\x00" * 0x4000), "too-large"),
        (drip(HELLO), "timeout"),
        (say(HELLO + b"\x00\x04\x02\x00\x00\x00"), "tls"),
    ],
    ids=["hang", "close", "http", "alert", "flood", "records", "drip", "broken hello"],
)
@pytest.mark.parametrize("starttls", [None, "smtp"])
def test_what_is_no_tls_server(
    lab: Lab, talk: Callable[[socket.socket], None], kind: str, starttls: str | None
) -> None:
    began = time.monotonic()
    with raw_server(talk) as port:
        problem = lab.certificate(f"localhost:{port}", starttls=starttls, timeout="1s").problem
    assert problem is not None
    assert problem.kind in ((kind,) if starttls is None else (kind, "protocol", "timeout", "tls", "reset")), problem
    assert f"localhost:{port}" in problem.message
    assert time.monotonic() - began < 3


def test_endless_certificates_end(lab: Lab) -> None:
    """A server that says that gigabytes of certificates follow."""

    def serve(client: socket.socket) -> None:
        client.recv(4096)
        random = b"\x01" * 32
        hello = b"\x03\x03" + random + b"\x00\xc0\x2b\x00"  # TLS 1.2, ECDHE-ECDSA-AES128-GCM-SHA256
        message = b"\x02" + len(hello).to_bytes(3) + hello
        client.sendall(HELLO + len(message).to_bytes(2) + message)
        client.sendall(HELLO + b"\x40\x00\x0b\xff\xff\xff" + b"\x00" * 0x3FFC)
        while True:
            client.sendall(HELLO + b"\x40\x00" + b"\x00" * 0x4000)

    began = time.monotonic()
    with lab.server(serve) as address:
        problem = lab.certificate(address).problem
    assert problem is not None
    assert problem.kind in ("tls", "too-large")
    assert time.monotonic() - began < 4


def test_a_flight_with_bytes_changed_is_a_fact_or_a_problem(lab: Lab) -> None:
    """Certificates of TLS 1.2 come in plain text: whatever is in them, nothing else is raised."""
    chance = random.Random(7)
    tls = lab.tls(highest=V.TLSv1_2)

    def serve(client: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = tls.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(client.recv(16384))
        with contextlib.suppress(ssl.SSLError):
            server.do_handshake()
        flight = bytearray(outgoing.read())
        for _ in range(chance.randint(1, 8)):
            flight[chance.randrange(5, len(flight))] = chance.randrange(256)
        client.sendall(flight)

    kinds = set()
    with lab.server(serve) as address:
        context = lab.context(address)
        for _ in range(150):
            context._made = {key: value for key, value in context._made.items() if "tls-context" in str(key)}
            (served, *_) = gather("tls-certificate", "server", context).served
            kinds.add(served.problem.kind if served.problem else "fact")
    assert kinds <= {"tls", "protocol", "fact"}, kinds
    assert "fact" in kinds


def test_nobody_there_and_no_such_name(lab: Lab) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as sock:
        port = sock.getsockname()[1]
    problem = lab.certificate(f"localhost:{port}").problem
    assert problem is not None
    assert problem.kind == "refused"
    problem = lab.certificate("no-such-name.invalid:443").problem
    assert problem is not None
    assert problem.kind == "dns"


# -- as a collector


def test_without_pyopenssl_the_line_to_install_it_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    problem = problem_of(lambda: lab.gather("tls-certificate", "localhost:1"))
    assert (problem.kind, problem.hint) == ("missing-extra", "pip install 'pytest-prodcheck[tls]'")


def test_the_plan_says_what_is_sent(lab: Lab) -> None:
    services = {"shop": {"url": "https://shop.test/", "connect_to": "green.test:8443"}, "old": {"url": "http://a.test"}}
    postgres = {"db": {"nodes": ["a.test:5432", "b.test:5432"], "writer": "w.test:5432"}}
    redis = {"cache": {"nodes": ["r.test:6379"], "tls": {}}}
    environment = context_for(lab.folder, services=services, postgres=postgres, redis=redis).environment
    collector = find("tls-certificate")
    assert collector.sends("shop", environment) == (
        Sending("green.test:8443", "TLS handshake for the certificate, with each address", 2),
    )
    assert [each.to for each in collector.sends("postgres.db", environment)] == [
        "a.test:5432", "b.test:5432", "w.test:5432",
    ]  # fmt: skip
    assert [each.to for each in find("tls-suites").sends("redis.cache", environment)] == ["r.test:6379"]
    assert problem_of(lambda: collector.sends("old", environment)).kind == "configuration"


def test_twenty_servers_in_under_a_second(lab: Lab) -> None:
    """Processor time: the clock belongs to whoever else uses the machine. `make bench` measures by the clock."""
    tls = lab.tls()
    with contextlib.ExitStack() as opened:
        addresses = [opened.enter_context(lab.server(tls_server(tls))) for _ in range(20)]
        tables = {f"s{number}": {"address": each, "ca": "ca.pem"} for number, each in enumerate(addresses)}
        context = context_for(lab.folder, tls=tables)
        began = time.process_time()
        for name in tables:
            assert gather("tls-certificate", name, context).served[0].problem is None
        assert time.process_time() - began < 2
