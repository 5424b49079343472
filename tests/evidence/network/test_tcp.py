from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import pytest

from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records.flow import PortAnswer
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.network.dns_servers import dns_server
from tests.evidence.network.speakers import hang, speaker
from tests.evidence.network.test_resolving import NAME, reply


def ask(address: str, server: str | None = None, timeout: float = 0.6) -> PortAnswer:
    tables: dict[str, Any] = {"nameserver": server, "dependencies": {"queue": {"tcp": address, "timeout": timeout}}}
    answer = gather("tcp-port", "queue", context(**tables))
    assert isinstance(answer, PortAnswer)
    assert answer.address == address
    return answer


def closed_port() -> str:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as sock:
        return f"127.0.0.1:{sock.getsockname()[1]}"


def test_port_that_accepts() -> None:
    with speaker(hang) as address:
        assert ask(address).accepted


def test_port_that_refuses() -> None:
    answer = ask(closed_port())
    assert not answer.accepted
    assert "connection refused" in answer.reason


def test_port_that_never_answers() -> None:
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            plug = opened.enter_context(socket.socket())
            plug.setblocking(False)
            plug.connect_ex(full.getsockname())
        began = time.monotonic()
        answer = ask(f"127.0.0.1:{full.getsockname()[1]}")
    assert not answer.accepted
    assert "no answer within" in answer.reason
    assert time.monotonic() - began < 2


def test_one_dead_address_of_several_is_found() -> None:
    """FAIL_OPEN 28: clients meet any of the addresses."""
    with speaker(hang) as address:
        port = address.rpartition(":")[2]
        records = ((NAME, "A", "127.0.0.1"), (NAME, "A", "127.0.0.2"))
        with dns_server(lambda query, _: reply(query, *records)) as server:
            answer = ask(f"{NAME}:{port}", server)
    assert not answer.accepted
    assert "127.0.0.2" in answer.reason


@pytest.mark.parametrize("ip", ["::1", "ff0e::db8:1"])
def test_family_on_which_nobody_listens_is_left_out(ip: str) -> None:
    """The benign side: a name with an IPv6 address that this service or this machine does not use."""
    with speaker(hang) as address:
        port = address.rpartition(":")[2]
        with dns_server(lambda query, _: reply(query, (NAME, "A", "127.0.0.1"), (NAME, "AAAA", ip))) as server:
            assert ask(f"{NAME}:{port}", server).accepted


def test_both_families_dead() -> None:
    port = closed_port().rpartition(":")[2]
    with dns_server(lambda query, _: reply(query, (NAME, "A", "127.0.0.1"), (NAME, "AAAA", "::1"))) as server:
        assert not ask(f"{NAME}:{port}", server).accepted


def test_name_that_is_gone_is_proven() -> None:
    with dns_server(lambda query, _: reply(query, code=3)) as server:
        answer = ask(f"{NAME}:80", server)
    assert not answer.accepted
    assert "NXDOMAIN" in answer.reason


def test_name_server_that_fails_proves_nothing() -> None:
    with dns_server(lambda query, _: reply(query, code=2)) as server:
        assert problem_of(lambda: ask(f"{NAME}:80", server)).kind == "dns"


def test_what_is_sent() -> None:
    collector, environment = find("tcp-port"), context(dependencies={"q": {"tcp": "queue.test:25"}}).environment
    assert collector.host("q", environment) == "queue.test:25"
    assert collector.sends("q", environment) == (Sending("queue.test:25", "TCP connection, closed at once"),)
