"""Loads over HTTP/2 of Node and nginx, which keep the truth; and what a server may say of connections (RFC 9113)."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.run import load_run
from pytest_prodcheck.http2 import Http2, Http2Error
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.judging.load_validity import flaws
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records.load import LoadEndpoint, LoadRun
from pytest_prodcheck.reports.load_table import load_lines
from suites.performance import test_load
from tests.evidence.contexts import context_for
from tests.evidence.load.test_load import is_as, judged, only, outcomes
from tests.field.web.support import certify, folder_for_nginx, free_port, program, running

EACH, PATIENCE = 12, 3  # requests of an endpoint in two seconds; seconds
LARGE = 200_000  # bytes that are posted, three times the first window
NODE = """
const fs = require('fs'), pem = fs.readFileSync(process.argv[3]);
let refused = 0, sessions = 0;
const say = line => fs.appendFileSync('truth', line + '\\n');
const server = require('http2').createSecureServer({ key: pem, cert: pem, allowHTTP1: true }, (request, answer) => {
  const path = request.url;
  if (path === '/refused' && refused++ % 4 === 0) { say('refused'); return request.stream.close(7); }
  if (path === '/reset') return request.stream.close(2);
  let size = 0;
  request.on('data', piece => size += piece.length);
  request.on('end', () => {
    say(`${request.httpVersion} ${path} ${size}`);
    answer.setHeader('content-type', 'application/json');
    if (path === '/slow') return setTimeout(() => answer.end("{}"), 20000);
    answer.end(path === '/long' ? JSON.stringify({ text: 'x'.repeat(300000) }) : `{"size": ${size}}`);
  });
});
server.on('session', () => say('session'));
server.listen(+process.argv[2], '127.0.0.1');
"""
NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  log_format told "$server_protocol $connection $status";
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  ssl_certificate {leaf}; ssl_certificate_key {leaf};
  server {{ listen 127.0.0.1:{new} ssl http2; keepalive_requests 3; access_log {folder}/new told; return 200 "ok"; }}
  server {{ listen 127.0.0.1:{old} ssl; access_log {folder}/old told; return 200 "ok"; }}
}}
"""


@dataclass(frozen=True)
class Met:
    """What loads saw that ask for HTTP/2, and that take it where it is offered; what the servers know."""

    asked: LoadRun
    taken: LoadRun
    node: Counter[str]
    new: list[str]
    old: list[str]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    folder = folder_for_nginx(tmp_path_factory.mktemp("http2"))
    ca, leaf = certify(folder, "shop.test")
    ports = {name: free_port() for name in ("node", "new", "old")}
    (folder / "node.js").write_text(NODE)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, leaf=leaf, **ports))
    with (
        running([program("node"), "node.js", str(ports["node"]), leaf], ports["node"], folder),
        running([program("nginx"), "-p", ".", "-c", "nginx.conf", "-e", "stderr"], ports["new"], folder) as nginx,
        socket.create_server(("127.0.0.1", 0), backlog=64) as hung,  # nobody ever says anything
        ThreadPoolExecutor(3) as pool,
    ):
        ports |= {"slow": ports["node"], "hung": hung.getsockname()[1]}
        node = {name: {"request": f"GET /{name}", "status": 200} for name in ("page", "long", "refused", "reset")}
        node["post"] = {"request": "POST /post", "json": {"text": "x" * LARGE}, "status": 200, "safe": True}
        services = {
            name: {
                "url": f"https://shop.test:{port}", "connect_to": f"127.0.0.1:{port}", "tls": {"ca": ca},
                "endpoints": node if name == "node" else {"it": {"request": f"GET /{name}", "status": 200}},
                "timeout": f"{PATIENCE if name in ('slow', 'hung') else 30}s",
            }
            for name, port in ports.items()
        }  # fmt: skip
        asked_for = [*(f"node.{each}" for each in node), "old.it", "slow.it", "hung.it"]
        mixes = {"2": asked_for, "auto": ["new.it", "old.it"]}

        def run(http: str) -> LoadRun:
            mix = mixes[http]
            load = {
                "hosts": ["shop.test", "127.0.0.1"], "mix": dict.fromkeys(mix, 1), "duration": "2s", "http": http,
                "rate": f"{EACH * len(mix) / 2}/s", "abort": {"error_ratio": 1},
            }  # fmt: skip
            context = context_for(folder, services=services, load={"it": load})
            found: LoadRun = load_run.gather("it", context, Deadline(60))
            return found

        def reload() -> None:
            until = time.monotonic() + 60
            while time.monotonic() < until and not (folder / "new").stat().st_size:
                time.sleep(0.05)
            for _ in range(3):
                nginx.send_signal(signal.SIGHUP)
                time.sleep(0.4)

        reloading = pool.submit(reload)
        asked, taken = pool.map(run, mixes)
        reloading.result()
        yield Met(asked, taken, Counter((folder / "truth").read_text().splitlines()),
                  *((folder / name).read_text().splitlines() for name in ("new", "old")))  # fmt: skip


def endpoint(run: LoadRun, name: str) -> LoadEndpoint:
    (found,) = (each for each in run.endpoints if each.name == name)
    return found


@pytest.mark.parametrize("name", ["page", "long", "post"])
def test_answers_and_bodies_larger_than_a_window_are_whole(name: str, met: Met) -> None:
    found = endpoint(met.asked, f"node.{name}")
    assert (found.good, found.reasons) == (EACH, ())
    size = LARGE + len('{"text": ""}') if name == "post" else 0
    assert sum(number for line, number in met.node.items() if line.startswith(f"2.0 /{name} ")) == EACH
    assert any(line.startswith(f"2.0 /{name} ") and int(line.split()[2]) >= size - 1 for line in met.node)


def test_a_stream_that_was_refused_is_sent_again(met: Met) -> None:
    """RFC 9113, 8.7: the server did nothing of it."""
    found = endpoint(met.asked, "node.refused")
    assert found.good + found.failed == EACH
    assert found.good == met.node["2.0 /refused 0"]
    assert 0 < found.retried <= met.node["refused"]


def test_what_fails_over_http_2(met: Met) -> None:
    reset, slow = endpoint(met.asked, "node.reset"), endpoint(met.asked, "slow.it")
    assert reset.reasons == (("the server ended the stream (INTERNAL_ERROR)", EACH),)
    assert slow.failed == EACH
    assert all(f"{PATIENCE} s" in why for why, _ in slow.reasons)  # on a busy machine some in the handshake
    assert (slow.times.percentile(1) or 0) >= PATIENCE * 0.99


def test_a_server_that_hangs_in_the_handshake_is_to_blame(met: Met) -> None:
    run = replace(only(met.asked, "hung.it", EACH), shortages=())
    assert run.overall.reasons == ((f"timed out in the TLS handshake: {PATIENCE} s", EACH),)
    assert (run.overall.times.percentile(1) or 0) >= PATIENCE * 0.99
    found = judged(test_load.test_errors_are_rare, run, Limit(fail="0.1%"))
    assert is_as(found.outcome, Outcome.FAILED, run)


def test_users_share_no_connection(met: Met) -> None:
    node = [each for each in met.asked.addresses if each.service in ("node", "slow")]
    assert sum(each.http2 for each in node) == sum(each.connections for each in node) == met.node["session"] > 16


def test_a_service_that_does_not_choose_it_proves_nothing_where_it_is_asked_for(met: Met) -> None:
    assert any("did not negotiate HTTP/2" in each for each in flaws(met.asked))
    assert outcomes(met.asked)["validity"] is Outcome.ERRORED


def test_where_it_is_offered_it_is_taken_and_a_server_that_leaves_gently_fails_nothing(met: Met) -> None:
    """Nginx says GOAWAY before it answers the last of three requests of a connection, and is reloaded three times."""
    assert (met.taken.overall.failed, met.taken.overall.good) == (0, 2 * EACH)
    assert Counter(line.split()[0] for line in met.new) == {"HTTP/2.0": EACH}
    assert max(Counter(line.split()[1] for line in met.new).values()) <= 3
    assert {line.split()[0] for line in met.old} == {"HTTP/1.1"}
    http2, whole = (sum(getattr(each, name) for each in met.taken.addresses) for name in ("http2", "connections"))
    assert f"  HTTP/2 on {http2} of {whole} connections" in load_lines([met.taken], 200)


def test_phases_are_told_of_each_endpoint(met: Met) -> None:
    for run in (met.asked, met.taken):
        for each in run.endpoints:
            if each.good:
                phases = dict(each.phases)
                assert list(phases) == ["connect", "tls", "first-byte", "last-byte"]
                assert phases["first-byte"].count == each.good
    whole = dict(met.taken.overall.phases)
    assert whole["first-byte"].count == 2 * EACH
    assert whole["tls"].count == sum(each.connections for each in met.taken.addresses)
    lines = load_lines([met.taken], 200)
    told = re.compile(r"P50 / P95 of connect .+, TLS .+, first byte .+, last byte")
    assert len([line for line in lines if told.search(line)]) == 3


# -- without sockets


def server_of(line: Http2) -> H2Connection:
    """A server that has read what a client sent at first."""
    made = H2Connection(H2Configuration(client_side=False))
    made.initiate_connection()
    line.request("GET", "https", "/", [("Host", "shop.test"), ("Connection", "close")], b"")
    (asked,) = (each for each in made.receive_data(line.out()) if isinstance(each, RequestReceived))
    assert (b":authority", b"shop.test") in asked.headers
    assert all(name != b"connection" for name, _ in asked.headers)
    return made


def test_what_was_taken_before_the_end_is_answered() -> None:
    line = Http2()
    server = server_of(line)
    server.send_headers(1, [(":status", "200")])
    server.send_data(1, b"chair", end_stream=True)
    answer = server.data_to_send()
    goaway = b"\0\0\x08\x07\0\0\0\0\0" + (1).to_bytes(4, "big") + (0).to_bytes(4, "big")
    for place in range(0, len(whole := goaway + answer), 7):  # frames come in pieces
        line.receive(whole[place : place + 7])
    assert (line.ended, line.closing, b"".join(line.body)) == (True, True, b"chair")


@pytest.mark.parametrize(
    ("last", "code", "unprocessed"),
    [(0, ErrorCodes.NO_ERROR, True), (0, ErrorCodes.ENHANCE_YOUR_CALM, True), (1, ErrorCodes.INTERNAL_ERROR, False)],
)
def test_only_what_a_server_did_not_take_may_be_sent_again(last: int, code: ErrorCodes, unprocessed: bool) -> None:
    line = Http2()
    server_of(line)
    with pytest.raises(Http2Error) as told:
        line.receive(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + int(code).to_bytes(4, "big"))
    assert (told.value.unprocessed, told.value.malformed) == (unprocessed, False)
    assert code.name in str(told.value)


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\x01\x01\x04\0\0\0\x01\xff", b"\xff" * 20])
def test_what_is_no_http_2(data: bytes) -> None:
    line = Http2()
    server_of(line)
    with pytest.raises(Http2Error) as told:
        line.receive(data)
    assert told.value.malformed


def test_an_answer_that_is_too_short() -> None:
    line = Http2()
    server = server_of(line)
    server.send_headers(1, [(":status", "200"), ("content-length", "10")])
    server.send_data(1, b"chair", end_stream=True)
    with pytest.raises(Http2Error) as told:
        line.receive(server.data_to_send())
    assert told.value.malformed


def test_a_body_waits_for_room() -> None:
    line, server = Http2(), H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    line.request("POST", "https", "/", [("Host", "shop.test")], b"x" * LARGE)
    came = 0
    for _ in range(20):
        for event in server.receive_data(line.out()):
            if isinstance(event, DataReceived):
                came += len(event.data or b"")
                server.acknowledge_received_data(event.flow_controlled_length or 0, 1)
        line.receive(server.data_to_send())
    assert came == LARGE

