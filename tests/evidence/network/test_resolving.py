from __future__ import annotations

import socket
import struct
import sys
import time
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.network.resolving import NameNotFound, ResolvedAddress, resolve, split_address
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import problem_of
from tests.evidence.network.dns_servers import dns_server

NAME = "db.shop.test"


def reply(query: dns.message.Message, *records: tuple[str, str, str], code: int = 0, short: bool = False) -> bytes:
    """A response that holds the records of the type asked for, and all CNAMEs."""
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.Rcode(code))
    asked = dns.rdatatype.to_text(query.question[0].rdtype)
    for owner, kind, value in records:
        if kind in (asked, "CNAME"):
            response.answer.append(dns.rrset.from_text(owner + ".", 60, "IN", kind, value))
    if short:
        response.flags |= dns.flags.TC
        response.answer.clear()
    return response.to_wire()


def ask(server: str, name: str = NAME, seconds: float = 3.0) -> tuple[ResolvedAddress, ...]:
    return resolve(name, 5432, server, Deadline(seconds))


def ips(found: tuple[ResolvedAddress, ...]) -> list[str]:
    return [each.ip for each in found]


@pytest.mark.parametrize(
    ("address", "parts"), [("db:1", ("db", 1)), ("[::1]:443", ("::1", 443)), ("127.0.0.1:80", ("127.0.0.1", 80))]
)
def test_address_is_split(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


def test_literal_addresses_need_nobody() -> None:
    assert resolve("127.0.0.9", 80, "127.0.0.1:1", Deadline(1)) == (ResolvedAddress("IPv4", "127.0.0.9", 80),)
    assert resolve("::1", 80, None, Deadline(1)) == (ResolvedAddress("IPv6", "::1", 80),)


def test_system_resolver() -> None:
    assert "127.0.0.1" in ips(resolve("localhost", 80, None, Deadline(5)))


def test_system_resolver_knows_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", gone)
    with pytest.raises(NameNotFound, match="knows no such name"):
        resolve(NAME, 80, None, Deadline(2))


def test_system_resolver_that_fails_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(EvidenceProblem, match="temporary") as caught:
        resolve(NAME, 80, None, Deadline(2))
    assert not isinstance(caught.value, NameNotFound)


def test_system_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3))
    began = time.monotonic()
    problem = problem_of(lambda: resolve(NAME, 80, None, Deadline(0.5)))
    assert problem.kind == "dns"
    assert "no answer" in problem.message
    assert time.monotonic() - began < 2


def test_both_families() -> None:
    records = ((NAME, "A", "10.0.0.1"), (NAME, "AAAA", "fd00::1"))
    with dns_server(lambda query, _: reply(query, *records)) as server:
        assert ask(server) == (ResolvedAddress("IPv4", "10.0.0.1", 5432), ResolvedAddress("IPv6", "fd00::1", 5432))


def test_aliases_are_followed_within_and_across_answers() -> None:
    known = {
        NAME: ((NAME, "CNAME", "a.test."), ("a.test", "CNAME", "b.test.")),
        "b.test": (("b.test", "A", "10.0.0.2"),),
    }

    def answer(query: dns.message.Message, _: bool) -> bytes:
        return reply(query, *known[query.question[0].name.to_text(omit_final_dot=True)])

    with dns_server(answer) as server:
        assert ips(ask(server)) == ["10.0.0.2"]


def test_aliases_in_a_circle_end() -> None:
    circle = {NAME: "a.test.", "a.test": f"{NAME}."}

    def answer(query: dns.message.Message, _: bool) -> bytes:
        owner = query.question[0].name.to_text(omit_final_dot=True)
        return reply(query, (owner, "CNAME", circle[owner]))

    with dns_server(answer) as server:
        problem = problem_of(lambda: ask(server))
    assert problem.kind == "dns"
    assert "aliases" in problem.message


def test_long_answer_is_fetched_by_tcp() -> None:
    with dns_server(lambda query, tcp: reply(query, (NAME, "A", "10.0.0.3"), short=not tcp)) as server:
        assert ips(ask(server)) == ["10.0.0.3"]


def test_long_answer_that_tcp_does_not_give_either() -> None:
    with dns_server(lambda query, tcp: None if tcp else reply(query, short=True)) as server:
        problem = problem_of(lambda: ask(server))
    assert problem.kind == "dns"
    assert server in problem.message


def test_lost_question_is_asked_once_more_and_noted() -> None:
    seen: list[int] = []

    def answer(query: dns.message.Message, _: bool) -> bytes | None:
        seen.append(query.question[0].rdtype)
        return reply(query, (NAME, "A", "10.0.0.4")) if seen.count(query.question[0].rdtype) > 1 else None

    with dns_server(answer) as server:
        deadline = Deadline(2)
        assert ips(resolve(NAME, 1, server, deadline)) == ["10.0.0.4"]
    assert any("asked once more" in note for note in deadline.notes)


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_failing_server_proves_nothing(code: int) -> None:
    with dns_server(lambda query, _: reply(query, code=code)) as server, pytest.raises(EvidenceProblem) as caught:
        ask(server)
    assert not isinstance(caught.value, NameNotFound)
    assert caught.value.problem.kind == "dns"
    assert dns.rcode.to_text(dns.rcode.Rcode(code)) in caught.value.problem.message
    assert NAME in caught.value.problem.message
    assert server in caught.value.problem.message
    assert caught.value.problem.hint


@pytest.mark.parametrize("code", [dns.rcode.NXDOMAIN, dns.rcode.NOERROR])
def test_no_name_and_no_address_are_gone(code: int) -> None:
    with dns_server(lambda query, _: reply(query, code=code)) as server, pytest.raises(NameNotFound) as caught:
        ask(server)
    assert NAME in caught.value.problem.message
    assert server in caught.value.problem.message


def test_failing_aaaa_is_no_trouble_where_a_answers() -> None:
    def answer(query: dns.message.Message, _: bool) -> bytes | None:
        return reply(query, (NAME, "A", "10.0.0.5")) if query.question[0].rdtype == 1 else reply(query, code=2)

    with dns_server(answer) as server:
        assert ips(ask(server)) == ["10.0.0.5"]


def test_empty_a_and_failing_aaaa_are_not_gone() -> None:
    def answer(query: dns.message.Message, _: bool) -> bytes | None:
        return reply(query, code=0 if query.question[0].rdtype == 1 else 2)

    with dns_server(answer) as server, pytest.raises(EvidenceProblem) as caught:
        ask(server)
    assert not isinstance(caught.value, NameNotFound)


@pytest.mark.parametrize("data", [b"", b"\xff" * 7, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 600])
def test_garbage_is_told_in_time(data: bytes) -> None:
    with dns_server(lambda query, _: struct.pack("!H", query.id) + data) as server:
        began = time.monotonic()
        problem = problem_of(lambda: ask(server, seconds=1))
    assert problem.kind == "dns"
    assert server in problem.message
    assert time.monotonic() - began < 1.2


def test_silent_server_ends_at_the_deadline() -> None:
    with dns_server(lambda *_: None) as server:
        began = time.monotonic()
        problem = problem_of(lambda: ask(server, seconds=0.8))
    assert problem.kind == "dns"
    assert "no answer" in problem.message
    assert time.monotonic() - began < 2


def test_nobody_at_the_name_servers_address() -> None:
    assert problem_of(lambda: ask("127.0.0.1:1", seconds=0.5)).kind == "dns"


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".test"])
@pytest.mark.parametrize("server", ["127.0.0.1:1", None])
def test_names_that_cannot_be(name: str, server: str | None) -> None:
    assert problem_of(lambda: resolve(name, 1, server, Deadline(2))).kind in ("configuration", "dns")


def test_name_server_by_name_is_refused() -> None:
    assert problem_of(lambda: ask("dns.test:53")).kind == "configuration"


def test_without_dnspython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.exception", None)
    problem = problem_of(lambda: ask("127.0.0.1:1"))
    assert (problem.kind, problem.hint) == ("missing-extra", "pip install 'pytest-prodcheck[dns]'")
