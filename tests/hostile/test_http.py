"""Whole runs against HTTP servers that misbehave: in time, in little memory, never open, and told in words."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.evidence.network.speakers import raw_server
from tests.hostile.speakers import BAD, SHORT, cut
from tests.hostile.support import Ended, bare, is_readable, measured

ROOM = 48  # MiB above an idle run
HEAD = """\
version = 1
project = "hostile"
[environments.dev]
revision = "r1"
[environments.dev.gathering]
deadline = "30s"
"""
TIMEOUT = 1.0


def service(name: str, port: int, scheme: str = "http") -> str:
    return f"""
[environments.dev.services.{name}]
url = "{scheme}://127.0.0.1:{port}"
health = "/healthz"
timeout = {TIMEOUT}
version = {{ path = "/version", pointer = "/status", connections = 2 }}
openapi = "/openapi.json"
endpoints.page = {{ request = "GET /page", status = 200, contains = "pass", budget = "1s" }}
"""


def polite(connection: socket.socket) -> None:
    from tests.evidence.http.servers import read_request

    while read_request(connection):
        connection.sendall(SHORT)


@contextlib.contextmanager
def served(speakers: dict[str, Callable[[socket.socket], None]], scheme: str = "http") -> Iterator[str]:
    """The servers, and the configuration that names them."""
    with contextlib.ExitStack() as stack:
        yield HEAD + "".join(
            service(name, stack.enter_context(raw_server(speak)), scheme) for name, speak in speakers.items()
        )


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """As many services that do nothing wrong."""
    with served(dict.fromkeys(BAD, polite)) as toml:
        return measured(bare(tmp_path_factory.mktemp("idle"), toml))


def judged_safely(ended: Ended, idle: Ended) -> None:
    assert ended.code in (1, 13), ended.stdout[-3000:] + ended.stderr[-3000:]
    assert is_readable(ended.stdout + ended.stderr)
    print(f"{ended.seconds:.1f} s, {ended.peak - idle.peak:.0f} MiB above idle")
    assert ended.peak - idle.peak < ROOM, (ended.peak, idle.peak)
    for key, result in ended.results().items():
        if result["outcome"] in ("failed", "errored"):
            assert result["reason"].strip(), key
            assert is_readable(result["reason"]), key
            assert "internal" not in result["reason"], (key, result["reason"])
            assert len(result["reason"]) < 5000, key


LARGE = [name for name in BAD if name in ("nested", "huge-number", "gzip-bomb", "endless-body", "endless-chunks")]
GROUPS = {"large bodies": LARGE, "others": [name for name in BAD if name not in LARGE]}


@pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS.keys())
def test_many_ways_at_once(names: list[str], tmp_path: Path, idle: Ended) -> None:
    with served({name: BAD[name] for name in names}) as toml:
        project = bare(tmp_path, toml)
        ended = measured(project)
        judged_safely(ended, idle)
        assert ended.seconds < 30 + 5 + 3 * idle.seconds  # how long it takes on this machine now
        assert project.gate() in (1, 3)
    results = ended.results()
    for name in names:
        assert results["smoke.service.health", name]["outcome"] in ("failed", "errored"), name
        assert results["smoke.service.version", name]["outcome"] in ("failed", "errored"), name


def test_tls_garbage(tmp_path: Path, idle: Ended) -> None:
    chance = random.Random(5)

    def garbage(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x16\x03\x03" + chance.randbytes(chance.choice((5, 500, 70_000))))

    def alerts(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"\x15\x03\x03\x00\x02\x01\x5a" * 1000)

    def dripped(connection: socket.socket) -> None:
        for _ in range(2000):
            connection.sendall(b"\x16")
            time.sleep(0.05)

    chosen = {name: BAD[name] for name in ("silent", "resets", "closes", "zeros", "endless-body", "headers-100000")}
    with served({**chosen, "garbage": garbage, "alerts": alerts, "dripped": dripped}, "https") as toml:
        ended = measured(bare(tmp_path, toml))
    judged_safely(ended, idle)
    assert {each["outcome"] for each in ended.results().values()} <= {"failed", "errored"}


def test_cut_at_each_byte(tmp_path: Path) -> None:
    """By reset and by a plain end; only the whole answer is one."""
    with raw_server(cut) as port:
        toml = HEAD + f'\n[environments.dev.services.s]\nurl = "http://127.0.0.1:{port}"\ntimeout = 3\n'
        toml += "[environments.dev.services.s.endpoints]\n"
        for way in ("reset", "close"):
            for size in range(len(SHORT) + 1):
                toml += f'{way}{size} = {{ request = "GET /{way}/{size}", status = 200 }}\n'
        ended = measured(bare(tmp_path, toml))
    assert ended.code in (1, 13)
    assert is_readable(ended.stdout + ended.stderr)
    for (check, target), result in ended.results().items():
        if check != "smoke.api.endpoint":
            continue
        if target == f"s.close{len(SHORT)}":
            assert result["outcome"] == "passed"
        elif target != f"s.reset{len(SHORT)}":  # there the reset may come before the answer was read
            assert result["outcome"] == "errored", (target, result)
