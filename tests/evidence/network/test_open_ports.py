"""Open ports: which are declared, which accept, and when that says nothing."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_prodcheck.environments.sections.exposure import Exposure, port_numbers
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.network.open_ports import tcp_ports
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def closed() -> tuple[socket.socket, int]:
    """A bound socket that refuses, with its port: nobody else can take it."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def gather(tmp_path: Path, **settings: Any) -> Any:
    given = context_for(tmp_path, exposure={"web": {"host": "127.0.0.1", **settings}})
    return tcp_ports.gather("web", given, Deadline(10))


def test_open_ports_are_found(tmp_path: Path) -> None:
    one, other = listening(), listening()
    shut, refused = closed()
    with one, other, shut:
        web, extra = one.getsockname()[1], other.getsockname()[1]
        found = gather(tmp_path, ports=f"{refused},{extra}", expected=[web])
    assert (set(found.open), found.expected, found.asked, found.closed) == ({web, extra}, (web,), 3, 1)


def test_a_host_that_is_down_proves_nothing(tmp_path: Path) -> None:
    shut, refused = closed()
    with shut, pytest.raises(EvidenceProblem, match="closed ports prove nothing"):
        gather(tmp_path, ports="1", expected=[refused])


def test_the_plan_says_how_many(tmp_path: Path) -> None:
    given = context_for(tmp_path, exposure={"web": {"host": "h", "ports": "1-1024,8080", "expected": [443, 8443]}})
    (line,) = tcp_ports.sends("web", given.environment)
    assert (line.to, line.times, "1026 ports" in line.what) == ("h", 1026, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("80", (80,)), ("1-3", (1, 2, 3)), (" 8080 , 1 - 2 ,2", (1, 2, 8080)), ("65535", (65535,))],
)
def test_ports_are_read(text: str, expected: tuple[int, ...]) -> None:
    assert port_numbers(text) == expected


@pytest.mark.parametrize("text", ["", "0", "65536", "5-1", "a", "1-", "80,,81", "1-65535", "-1"])
def test_ports_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Exposure(host="a.example", ports=text, expected=(443,))


@pytest.mark.parametrize("host", ["10.0.0.0/8", "a b", "*.example", "http://a.example", ""])
def test_networks_are_refused(host: str) -> None:
    with pytest.raises(ValidationError):
        Exposure(host=host, ports="1", expected=(443,))


def test_something_has_to_be_expected() -> None:
    with pytest.raises(ValidationError):
        Exposure(host="a.example", ports="1", expected=())


def test_a_port_that_resets_at_once_is_open(tmp_path: Path) -> None:
    """Its reset may come while we still connect."""
    import struct
    import threading

    one, other = listening(), listening()

    def reset() -> None:
        for _ in range(20):
            client, _ = other.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    threading.Thread(target=reset, daemon=True).start()
    with one, other:
        web, extra = one.getsockname()[1], other.getsockname()[1]
        for _ in range(20):
            found = gather(tmp_path, ports=str(extra), expected=[web])
            assert (extra in found.open, found.problem) == (True, None)
