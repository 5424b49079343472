"""A name server that lies: where its answers lead, and what is sent there. Real servers note what they get."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest
import trustme

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.network.resolving import MOST_ADDRESSES, addresses_of
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for, gather, problem_of
from tests.evidence.http.servers import ok, web
from tests.evidence.network.dns_servers import dns_server

TOKEN = "role-token-4711-canary"
NAME = "shop.test"


def answered(query: dns.message.Message, *addresses: str) -> bytes:
    """A response with those of the family that is asked for."""
    response = dns.message.make_response(query)
    kind = dns.rdatatype.to_text(query.question[0].rdtype)
    mine = [each for each in addresses if (":" in each) == (kind == "AAAA")]
    if mine:
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, *mine))
    return response.to_wire()


def answers(*addresses: str) -> Any:
    return lambda query, by_tcp: answered(query, *addresses)


NOBODYS = (
    "169.254.169.254", "169.254.170.2", "0.0.0.0", "100.100.100.200", "::", "fd00:ec2::254", "fe80::1",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
)  # fmt: skip


@pytest.mark.parametrize("address", NOBODYS)
@pytest.mark.parametrize("beside", [(), ("127.0.0.1",)], ids=["alone", "beside a good one"])
def test_what_no_service_has_is_not_asked(address: str, beside: tuple[str, ...]) -> None:
    """Above all 0.0.0.0, by which this machine would answer for a service whose name is filtered."""
    with dns_server(answers(*beside, address)) as server, web(ok, host="0.0.0.0") as here:
        port = here.server_address[1]
        given = context_for(
            Path("/"), nameserver=server, dependencies={"shop": {"tcp": f"{NAME}:{port}"}},
            services={"shop": {"url": f"http://{NAME}:{port}"}},
        )  # fmt: skip
        for ask in (
            lambda: gather("tcp-port", "shop", given),
            lambda: client_of(given, "shop").ask(Request("GET", "/"), Deadline(5)),
        ):
            problem = problem_of(ask)
            assert problem.kind == "dns"
            assert f"{NAME} is said to be at" in problem.message
    assert here.requests == []


def test_an_address_that_is_declared_itself_is_asked() -> None:
    for address in ("169.254.169.254", "0.0.0.0", "fe80::1"):
        assert [each.ip for each in addresses_of(context_for(Path("/")), address, 80, Deadline(1))] == [address]


def test_a_name_with_thousands_of_addresses_makes_us_no_weapon() -> None:
    """By TCP there is room for 4,000, each of which would be connected to at the same moment."""
    many = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\1" + bytes((n // 250, n % 250 + 1)) for n in range(4000))

    def answer(query: dns.message.Message, by_tcp: bool) -> bytes:
        query.use_edns(False)
        response = dns.message.make_response(query)
        if by_tcp:
            head = response.to_wire()
            return head[:6] + struct.pack("!H", 4000) + head[8:] + many
        response.flags |= dns.flags.TC
        return response.to_wire()

    with dns_server(answer) as server, socket.create_server(("0.0.0.0", 0), backlog=4096) as listening:
        address = f"{NAME}:{listening.getsockname()[1]}"
        given = context_for(Path("/"), nameserver=server, dependencies={"shop": {"tcp": address}})
        problem = problem_of(lambda: gather("tcp-port", "shop", given))
        assert f"4000 addresses, more than {MOST_ADDRESSES}" in problem.message
        listening.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.fixture
def secured(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The service's own certificate, and one of somebody else for the same name."""
    made = []
    for authority in (trustme.CA(), trustme.CA()):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME).configure_cert(tls)
        made.append(tls)
        if len(made) == 1:
            authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made[0], made[1]


def test_a_name_that_moves_between_two_requests(
    secured: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: each new connection asks once, and what is connected to has to prove the declared name."""
    monkeypatch.setenv("TOKEN", TOKEN)
    asked: list[str] = []

    def answer(query: dns.message.Message, by_tcp: bool) -> bytes:
        asked.append(dns.rdatatype.to_text(query.question[0].rdtype))
        return answered(query, "127.0.0.1" if asked.count("A") < 2 else "127.0.0.2")

    with dns_server(answer) as server, web(ok, tls=secured[0]) as service:
        port = service.server_address[1]
        with web(ok, tls=secured[1], host="127.0.0.2", port=port) as other:
            given = context_for(
                tmp_path, nameserver=server,
                services={"shop": {
                    "url": f"https://{NAME}:{port}", "tls": {"ca": "ca.pem"}, "headers": {"X-Token": {"env": "TOKEN"}},
                }},
            )  # fmt: skip
            client = client_of(given, "shop")
            client.ask(Request("GET", "/one"), Deadline(5), fresh=True)
            assert asked.count("A") == 1
            with pytest.raises(EvidenceProblem) as raised:
                client.ask(Request("GET", "/two"), Deadline(5), fresh=True)
            assert raised.value.problem.kind == "tls"
            assert (TOKEN in json.dumps(dict(service.requests[0].headers)), other.requests) == (True, [])


def hostile(kind: str, query: dns.message.Message) -> bytes:
    """An answer that is none to this question, or one that unfolds."""
    good = bytearray(answered(query, "127.0.0.9", "::1"))
    if kind == "another id":
        good[0] ^= 0xFF
    elif kind == "another question":
        good = bytearray(answered(dns.message.make_query("other.test", query.question[0].rdtype), "127.0.0.9", "::1"))
        good[:2] = bytes(answered(query))[:2]
    elif kind == "an address of another name":
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text("other.test.", 60, "IN", "A", "127.0.0.9"))
        return response.to_wire()
    elif kind == "pointers in a circle":
        return bytes(good[:6]) + b"\0\1\0\0\0\0" + bytes(good[12:]).split(b"\0\0", 1)[0][:20] + b"\xc0\x0c" * 40
    elif kind == "a name that points at itself":
        return bytes(good[:12]) + b"\xc0\x0c\0\1\0\1" + bytes(good[18:])
    elif kind == "text with escapes":
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(NAME + ".", 60, "IN", "TXT", r'"\027[2J::error::x"'))
        return response.to_wire()
    elif kind == "an alias with escapes":
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(NAME + ".", 60, "IN", "CNAME", r"\027[2J\010::error::x.test."))
        return response.to_wire()
    elif kind == "more records than there are":
        good[6:8] = b"\xff\xff"
    return bytes(good)


KINDS = (
    "another id", "another question", "an address of another name", "pointers in a circle",
    "a name that points at itself", "text with escapes", "an alias with escapes", "more records than there are",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_to_another_question_leads_nowhere(kind: str) -> None:
    with dns_server(lambda query, _: hostile(kind, query)) as server:
        given: Context = context_for(Path("/"), nameserver=server)
        began = time.monotonic()
        problem = problem_of(lambda: addresses_of(given, NAME, 80, Deadline(3)))
        assert time.monotonic() - began < 3.5
    assert problem.kind == "dns"
    assert problem.message.isprintable()
    assert "::error" not in problem.message
