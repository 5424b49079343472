"""Whose fault it is that no answer came: `http-addresses` through proxies, at `connect_to`, and in silence."""

from __future__ import annotations

from pathlib import Path

import dns.message
import dns.rcode
import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.network.fault_location import is_server_fault
from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
from pytest_prodcheck.evidence.network.transport import has_route
from pytest_prodcheck.records import Problem
from tests.evidence.contexts import context_for, gather
from tests.evidence.http.servers import web
from tests.evidence.network.dns_servers import dns_server
from tests.field.web.support import free_port

FAR = ResolvedAddress("IPv4", "192.0.2.7", 443)  # for documentation (RFC 5737): nobody's


def test_through_a_proxy(tmp_path: Path) -> None:
    with web(lambda seen: (200, {}, b"ok")) as proxy:
        shop = {"url": "http://shop.example", "proxy": f"http://127.0.0.1:{proxy.port}"}
        (one,) = gather("http-addresses", "shop", context_for(tmp_path, services={"shop": shop})).answers
    assert (one.status, one.problem, one.address) == (200, None, "shop.example through its proxy")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_a_gateway_says_may_be_the_proxys(status: int, tmp_path: Path) -> None:
    with web(lambda seen: (status, {}, b"")) as proxy:
        shop = {"url": "http://shop.example", "proxy": f"http://127.0.0.1:{proxy.port}"}
        (one,) = gather("http-addresses", "shop", context_for(tmp_path, services={"shop": shop})).answers
    assert one.problem is not None
    assert not one.theirs


@pytest.mark.parametrize("url", ["http://shop.example", "https://shop.example"])
def test_a_proxy_that_is_gone_is_not_the_service(url: str, tmp_path: Path) -> None:
    shop = {"url": url, "proxy": f"http://127.0.0.1:{free_port()}"}
    (one,) = gather("http-addresses", "shop", context_for(tmp_path, services={"shop": shop})).answers
    assert one.problem is not None
    assert not one.theirs


def test_connect_to_is_asked(tmp_path: Path) -> None:
    with web(lambda seen: (204, {}, b"")) as server:
        shop = {"url": "http://shop.example:9", "connect_to": f"127.0.0.1:{server.port}"}
        (one,) = gather("http-addresses", "shop", context_for(tmp_path, services={"shop": shop})).answers
    assert (one.status, one.address) == (204, f"127.0.0.1:{server.port}")


@pytest.mark.parametrize("kind", ["refused", "reset", "tls", "protocol"])
def test_what_the_peer_itself_said_is_its_own(kind: str, tmp_path: Path) -> None:
    assert is_server_fault(Problem(kind, "x"), FAR, "192.0.2.7", context_for(tmp_path), Deadline(5))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["dns", "configuration", "denied", "shortage", "internal", "interrupted", "too-large"])
def test_what_is_about_us_is_not(kind: str, tmp_path: Path) -> None:
    assert not is_server_fault(Problem(kind, "x"), FAR, "192.0.2.7", context_for(tmp_path), Deadline(5))  # type: ignore[arg-type]


def test_silence_is_theirs_only_while_our_network_works(tmp_path: Path) -> None:
    """Somebody else, or the name server, has to answer; this machine's own loopback proves nothing of it."""
    if not has_route(FAR):
        pytest.skip("no route to anywhere from here, so silence is always ours; install: a network")
    silence = Problem("timeout", "x")
    dead_server = f"127.0.0.1:{free_port()}"
    context = context_for(tmp_path, nameserver=dead_server)
    context.reached.add("127.0.0.1:443")
    assert not is_server_fault(silence, FAR, "192.0.2.7", context, Deadline(5))
    assert not is_server_fault(silence, FAR, "shop.example", context, Deadline(5))
    context.reached.add("198.51.100.9:5432")
    assert is_server_fault(silence, FAR, "192.0.2.7", context, Deadline(5))


@pytest.mark.parametrize(
    ("ip", "answering", "theirs"),
    [("8.8.8.8", True, True), ("8.8.8.8", False, False), ("10.1.2.3", True, False)],
)
def test_a_literal_address_that_drops_packets(ip: str, answering: bool, theirs: bool, tmp_path: Path) -> None:
    """Its reverse zone has a name server elsewhere; that of a private address is answered by every resolver itself."""
    address = ResolvedAddress("IPv4", ip, 443)
    if not has_route(address):
        pytest.skip("no route to anywhere from here, so silence is always ours; install: a network")
    asked = []

    def answer(query: dns.message.Message, _: bool) -> bytes | None:
        asked.append(query.question[0].name.to_text())
        unknown = dns.message.make_response(query)
        unknown.set_rcode(dns.rcode.NXDOMAIN)
        return unknown.to_wire() if answering else None

    with dns_server(answer) as server:
        context = context_for(tmp_path, nameserver=server)
        assert is_server_fault(Problem("timeout", "x"), address, ip, context, Deadline(5)) == theirs
    assert all(each.endswith(".arpa.") for each in asked)


def test_loopback_needs_no_network(tmp_path: Path) -> None:
    here = ResolvedAddress("IPv4", "127.0.0.1", 443)
    assert is_server_fault(Problem("timeout", "x"), here, "shop.test", context_for(tmp_path), Deadline(5))
