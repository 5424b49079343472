"""Whole runs against PostgreSQL and Redis speakers, ports and names that hang, lie, flood and break off."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.evidence.network.dns_servers import dns_server
from tests.evidence.network.speakers import drip, flood, hang, say, speaker
from tests.hostile.speakers import reset
from tests.hostile.support import bare, is_readable, measured

EVIL = "\x1b[2J\x1b[31m::error::x\n##vso[task.complete result=Succeeded] <script>x()</script> \u202e" + "y" * 50_000
ROOM = 64  # MiB above an idle run


def message(kind: bytes, body: bytes) -> bytes:
    """One message of PostgreSQL's protocol."""
    return kind + struct.pack("!i", len(body) + 4) + body


AUTH_OK = message(b"R", struct.pack("!i", 0))
READY = message(b"Z", b"I")
ERROR = message(b"E", b"SFATAL\0C28P01\0M" + EVIL.encode() + b"\0\0")
NOISE = random.Random(3).randbytes(65536)
POSTGRES: dict[str, Callable[[socket.socket], None]] = {
    "hangs": hang,
    "resets": reset,
    "drips": drip(b"R\0\0\0\x08\0\0\0\0"),
    "noise": flood(NOISE),
    "errors-evil": say(ERROR),
    "flood-of-notices": flood(message(b"N", b"SNOTICE\0M" + b"x" * 5000 + b"\0\0")),
    "flood-of-parameters": flood(message(b"S", b"a\0" + b"b" * 5000 + b"\0")),
    "one-huge-message": say(b"R\x7f\xff\xff\xff" + b"x" * 100_000),
    "negative-length": say(b"E\xff\xff\xff\xff" + b"x" * 100),
    "lies-no-answer": say(AUTH_OK + READY),
    "speaks-http": say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "other-auth": say(message(b"R", struct.pack("!i", 99) + b"\xff" * 100)),
}
REDIS: dict[str, Callable[[socket.socket], None]] = {
    "hangs": hang,
    "resets": reset,
    "drips": drip(b"+PONG\r\n"),
    "noise": flood(NOISE),
    "errors-evil": say(b"-ERR " + EVIL.replace("\n", " ").encode() + b"\r\n"),
    "endless-line": flood(b"+" + b"P" * 60_000),
    "endless-array": flood(b"*1\r\n"),
    "huge-bulk": flood(b"$2147483647\r\n" + b"x" * 60_000),
    "huge-count": say(b"*2147483647\r\n" * 1000),
    "negative": say(b"$-5\r\n*-7\r\n:nan\r\n"),
    "lies-all-ok": flood(b"+OK\r\n"),
    "speaks-http": say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}
PORTS: dict[str, Callable[[socket.socket], None]] = {"floods": flood(NOISE), "resets": reset}


def evil_names(query: dns.message.Message, by_tcp: bool) -> bytes | None:
    """DNS answers that lie, loop and are broken, by the name that is asked for."""
    name = query.question[0].name
    first = name.labels[0].decode()
    reply = dns.message.make_response(query)
    if first == "silent":
        return None
    if first == "refused":
        reply.set_rcode(dns.rcode.REFUSED)
    elif first == "loop":
        reply.answer.append(dns.rrset.from_text(name, 1, "IN", "CNAME", name.to_text()))
    elif first == "cut":
        reply.flags |= dns.flags.TC
        return b"" if by_tcp else reply.to_wire()
    elif first == "noise":
        return reply.to_wire()[:2] + NOISE[:300]
    elif first == "evil":
        reply.answer.append(dns.rrset.from_text(name, 1, "IN", "CNAME", r"\027[31m<script>.\010::error::x.test."))
    return reply.to_wire()


NAMES = ("silent", "refused", "loop", "cut", "noise", "evil")


def configuration(nameserver: str, postgres: dict[str, str], redis: dict[str, str], ports: dict[str, str]) -> str:
    text = f'version = 1\nproject = "hostile"\n[environments.dev]\nrevision = "r1"\nnameserver = "{nameserver}"\n'
    text += '[environments.dev.gathering]\ndeadline = "30s"\n'
    for name, address in postgres.items():
        text += f'[environments.dev.postgres.pg-{name}]\nnodes = ["{address}"]\npassword = {{ env = "PASSWORD" }}\n'
        text += 'tls = { mode = "disable" }\ntimeouts = { connect = "1s", statement = "1s" }\n'
    for name, address in redis.items():
        text += f'[environments.dev.redis.re-{name}]\nnodes = ["{address}"]\ntimeout = "1s"\n'
        text += 'password = { env = "PASSWORD" }\n'
    for name, address in ports.items():
        text += f'[environments.dev.dependencies.port-{name}]\ntcp = "{address}"\n'
    for name in NAMES:
        text += f'[environments.dev.dependencies.name-{name}]\ndns = "{name}.evil.test"\ntimeout = "1s"\n'
    return text


def test_all_ways_at_once(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:

        def served(speakers: dict[str, Callable[[socket.socket], None]]) -> dict[str, str]:
            return {name: stack.enter_context(speaker(talk)) for name, talk in speakers.items()}

        nameserver = stack.enter_context(dns_server(evil_names))
        idle = bare(tmp_path / "idle", 'version = 1\n[environments.dev]\nrevision = "r1"\n')
        usual = measured(idle)
        project = bare(tmp_path / "hostile", configuration(nameserver, served(POSTGRES), served(REDIS), served(PORTS)))
        project.environ["PASSWORD"] = "correct-horse-battery"
        ended = measured(project, "--prodcheck-report", "r.txt", "--junit-xml", "r.xml")
    assert ended.code in (1, 13), ended.stdout[-3000:] + ended.stderr[-3000:]
    assert ended.seconds < 35
    assert is_readable(ended.stdout + ended.stderr)
    # the clients of PostgreSQL, Redis and DNS are loaded in this run only
    print(f"{ended.seconds:.1f} s, {ended.peak - usual.peak:.0f} MiB above idle")
    assert ended.peak - usual.peak < ROOM
    results = ended.results()
    for name in POSTGRES:
        assert results["smoke.postgres.connects", f"pg-{name}"]["outcome"] in ("failed", "errored"), name
    for name in REDIS:
        assert results["smoke.redis.responds", f"re-{name}"]["outcome"] in ("failed", "errored"), name
    for name in NAMES:
        assert results["smoke.dns.resolves", f"name-{name}"]["outcome"] in ("failed", "errored"), name
    for key, result in results.items():
        if result["outcome"] in ("failed", "errored"):
            assert result["reason"].strip(), key
            assert is_readable(result["reason"]), key
            assert "internal" not in result["reason"], (key, result["reason"])
            assert len(result["reason"]) < 5000, key
    for text in (ended.stdout, (project.folder / "r.txt").read_text(encoding="utf-8")):
        assert "\x1b" not in text
        assert "##vso[" not in text
        assert "\u202e" not in text
    assert project.gate() in (1, 3)
