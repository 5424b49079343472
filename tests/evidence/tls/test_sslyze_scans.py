"""What sslyze finds out, and what becomes of servers and of an sslyze that misbehave."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.mail import vulnerable_tls
from pytest_prodcheck.demo.mail.tls import MODERN, tls_server
from pytest_prodcheck.demo.runtime.certificate_kinds import CertificateRequest
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.tls import sslyze_client
from pytest_prodcheck.evidence.tls.sslyze_client import Scanner
from pytest_prodcheck.evidence.tls.sslyze_process import Server
from pytest_prodcheck.records import Problem
from pytest_prodcheck.records.tls import AcceptedSuites, TlsAttacks, TlsProfile, TlsSuites
from tests.evidence.contexts import gather, problem_of
from tests.evidence.network.speakers import hang
from tests.evidence.tls.servers import Lab, V, lab

__all__ = ["lab"]
RSA = CertificateRequest(("localhost",), key="rsa-2048")


@pytest.fixture(scope="module")
def scanner() -> Iterator[Scanner]:
    """One process for all tests, as for all servers of a run."""
    made = Scanner()
    yield made
    made.close()


@pytest.fixture
def ask(lab: Lab, scanner: Scanner) -> Callable[..., Any]:
    def gathered(collector: str, address: str, **settings: Any) -> Any:
        context = lab.context(address, **settings)
        context.once("tls-scanner", lambda: scanner)
        context.close = lambda: None  # type: ignore[method-assign]
        return gather(collector, "server", context, 30)

    return gathered


def accepted(found: TlsSuites) -> AcceptedSuites:
    assert isinstance(found, TlsSuites)
    (one,) = found.accepted
    return one


def accepted_versions(one: AcceptedSuites) -> list[str]:
    assert one.problem is None
    return [version for version, _ in one.versions]


def test_versions_and_suites(lab: Lab, ask: Callable[..., Any]) -> None:
    with lab.server() as address:
        one = accepted(ask("tls-suites", address))
    assert accepted_versions(one) == ["TLSv1.2", "TLSv1.3"]
    suites = dict(one.versions)
    assert sorted(each.name for each in suites["TLSv1.2"]) == [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ]  # fmt: skip
    assert len(suites["TLSv1.3"]) == 3


@pytest.mark.parametrize(
    ("settings", "versions"),
    [
        ({"lowest": V.TLSv1, "ciphers": "ECDHE+AES"}, ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        ({"lowest": V.TLSv1_1, "highest": V.TLSv1_1, "ciphers": "ECDHE+AES"}, ["TLSv1.1"]),
        ({"highest": V.TLSv1_2}, ["TLSv1.2"]),
        ({"lowest": V.TLSv1_3}, ["TLSv1.3"]),
    ],
)
def test_versions(lab: Lab, ask: Callable[..., Any], settings: dict[str, Any], versions: list[str]) -> None:
    with lab.server(**settings) as address:
        assert accepted_versions(accepted(ask("tls-suites", address))) == versions


def test_weak_suites_are_found_among_good_ones(lab: Lab, ask: Callable[..., Any]) -> None:
    weak = ("AES128-GCM-SHA256", "AES128-SHA", "NULL-SHA256", "AECDH-AES256-SHA", "CAMELLIA256-SHA")
    words = ":".join((MODERN, *weak, "DHE-RSA-AES128-GCM-SHA256"))
    with lab.server(tls_server(lab.tls(lab.issue(RSA), ciphers=words, weak_dh=True))) as address:
        suites = dict(accepted(ask("tls-suites", address)).versions)["TLSv1.2"]
    names = {each.name: each for each in suites}
    assert {
        "TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_NULL_SHA256",
        "TLS_ECDH_anon_WITH_AES_256_CBC_SHA", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    } <= set(names)  # fmt: skip
    assert names["TLS_ECDH_anon_WITH_AES_256_CBC_SHA"].anonymous
    assert names["TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"].exchange_bits == 1024


def test_attacks(lab: Lab, ask: Callable[..., Any]) -> None:
    own = lab.issue(RSA)
    old = lab.tls(own, ciphers=f"{MODERN}:AES128-GCM-SHA256", highest=V.TLSv1_2)
    bugs = {
        "Heartbleed": vulnerable_tls.heartbleed,
        "CCS injection": vulnerable_tls.early_ccs,
        "ROBOT": vulnerable_tls.robot(own.key),
    }
    servers: dict[str, Callable[[socket.socket], None]] = {
        name: lambda client, bug=bug: vulnerable_tls.serve(client, old, bug)  # type: ignore[misc]
        for name, bug in bugs.items()
    }
    servers["client renegotiation"] = tls_server(lab.tls(renegotiates=True))
    servers[""] = tls_server(lab.tls())
    for name, serve in servers.items():
        with lab.server(serve) as address:
            found = ask("tls-attacks", address)
        assert isinstance(found, TlsAttacks)
        (server,) = found.servers
        assert server.problem is None
        assert len(server.attacks) == 6
        assert [each.name for each in server.attacks if each.open is not False] == ([name] if name else []), name


def test_profile(lab: Lab, ask: Callable[..., Any]) -> None:
    with lab.server() as address:
        found = ask("tls-profile", address, profile="intermediate")
        modern = ask("tls-profile", address, profile="modern")
    assert isinstance(found, TlsProfile)
    assert (found.profile, found.version, found.servers[0].deviations) == ("intermediate", "5.7", ())
    assert {"tls_versions", "ciphers"} <= {name for name, _ in modern.servers[0].deviations}


@pytest.mark.parametrize("settings", [{}, {"curve": None}, {"curve": None, "highest": V.TLSv1_2}], ids=repr)
def test_curves_offered_together_are_those_that_are_found_one_by_one(lab: Lab, settings: dict[str, Any]) -> None:
    def told(ran: list[Any]) -> list[tuple[str, int, bool]]:
        results = [value for value, _, _ in ran]
        return sorted((each.curve.name, each.curve.openssl_nid, each.was_accepted_by_server) for each in results)

    with lab.server(tls_server(lab.tls(**settings))) as address:
        asked = {"name": "localhost", "ip": "127.0.0.1", "port": int(address.rpartition(":")[2]), "timeout": 5}
        server = Server({**asked, "starttls": "", "certificate": None, "key": None})
        server._info = server._test_connectivity()
        jobs = server._jobs("elliptic_curves")[1]
        one_by_one = told([server._run_job(job) for job in jobs])
        before = server._met
        together = told(server._curves(jobs))
        assert [each[1:] for each in together if each[2]] == [each[1:] for each in one_by_one if each[2]]
        assert {each[1] for each in together} == {each[1] for each in one_by_one}
        assert server._met - before < len(jobs) / 2


def test_starttls_client_certificate_and_name(lab: Lab, ask: Callable[..., Any]) -> None:
    import ssl

    (lab.folder / "client.pem").write_bytes(lab.issue(CertificateRequest(("client",), ca=True)).pem())
    tls = lab.tls()
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(lab.folder / "ca.pem")
    asked = set()
    tls.sni_callback = lambda sock, name, context: asked.add(name)
    then = tls_server(tls)

    def serve(client: socket.socket) -> None:
        client.recv(8)
        client.sendall(b"S")
        then(client)

    settings = {"starttls": "postgres", "certificate": "client.pem", "server_name": "db.test"}
    with lab.server(serve) as address:
        assert accepted_versions(accepted(ask("tls-suites", address, **settings))) == ["TLSv1.2", "TLSv1.3"]
    assert "db.test" in asked


@pytest.mark.parametrize("protocol", ["smtp", "imap", "ldap"])
def test_the_scan_speaks_the_protocol_before_tls(lab: Lab, ask: Callable[..., Any], protocol: str) -> None:
    """`postgres` is above; that the handshakes for certificates speak all of them is a test beside them."""
    then = tls_server(lab.tls())

    def serve(client: socket.socket) -> None:
        scanned_after(client, protocol)
        then(client)

    with lab.server(serve) as address:
        assert accepted_versions(accepted(ask("tls-suites", address, starttls=protocol))) == ["TLSv1.2", "TLSv1.3"]


def scanned_after(client: socket.socket, protocol: str) -> None:
    """Answers what sslyze says before TLS; it reads what has come so far, so one thing is sent at a time."""
    greeting, wanted, go = {
        "smtp": (b"220 mail\r\n", (b"EHLO", b"STARTTLS"), (b"250-mail\r\n250 STARTTLS\r\n", b"220 go\r\n")),
        "imap": (b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", (b"STARTTLS",), (b". OK begin\r\n",)),
        "ldap": (b"", (b"1.3.6.1.4.1.1466.20037",),
                 (b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",)),
    }[protocol]  # fmt: skip
    client.sendall(greeting)
    for word, answer in zip(wanted, go, strict=True):
        assert word in client.recv(500).upper()
        client.sendall(answer)


# -- servers that misbehave


@contextlib.contextmanager
def breaking(lab: Lab, after: int, then: Callable[[socket.socket], None]) -> Iterator[str]:
    """A good server, for so many connections."""
    good, count = tls_server(lab.tls()), itertools.count()
    with lab.server(lambda client: (good if next(count) < after else then)(client)) as address:
        yield address


@pytest.mark.parametrize("then", [hang, lambda client: None], ids=["hangs", "closes"])
@pytest.mark.parametrize("collector", ["tls-suites", "tls-attacks"])
@pytest.mark.parametrize("after", [3, 8])
def test_half_a_scan_is_none(
    lab: Lab, ask: Callable[..., Any], after: int, collector: str, then: Callable[[socket.socket], None]
) -> None:
    """Row 15: sslyze itself takes time-outs and closed connections for refusals."""
    began = time.monotonic()
    with breaking(lab, after, then) as address:
        found = ask(collector, address, timeout="1s")
    problem = (found.accepted if collector == "tls-suites" else found.servers)[0].problem
    assert problem is not None
    assert "half scanned" in problem.message
    assert time.monotonic() - began < 15


def test_silence_to_an_old_version_alone_is_a_refusal(lab: Lab, ask: Callable[..., Any]) -> None:
    """Some load balancers and firewalls drop hellos of SSL and old TLS without a word."""
    context = lab.tls()

    def serve(client: socket.socket) -> None:
        head = client.recv(11, socket.MSG_PEEK)
        if head[:1] != b"\x16" or head[9:11] in (b"\x03\x00", b"\x03\x01", b"\x03\x02"):
            hang(client)
        else:
            tls_server(context)(client)

    with lab.server(serve) as address:
        one = accepted(ask("tls-suites", address, timeout="1s"))
    assert one.problem is None
    assert accepted_versions(one) == ["TLSv1.2", "TLSv1.3"]
    assert set(one.silent) == {"SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"}


@pytest.mark.parametrize(
    ("talk", "kinds"),
    [
        (hang, ("timeout", "tls")),
        (lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ("tls", "refused", "protocol")),
        (lambda client: client.sendall(os.urandom(4096)), ("tls", "refused", "protocol", "internal")),
        (lambda client: None, ("tls", "refused", "protocol")),
    ],
    ids=["hangs", "http", "garbage", "closes"],
)
def test_what_is_no_tls_server(
    lab: Lab, ask: Callable[..., Any], talk: Callable[[socket.socket], None], kinds: tuple[str, ...]
) -> None:
    began = time.monotonic()
    with lab.server(talk) as address:
        problem = accepted(ask("tls-suites", address, timeout="1s")).problem
    assert problem is not None
    assert problem.kind in kinds, problem
    assert time.monotonic() - began < 15


def test_nobody_there(ask: Callable[..., Any]) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as sock:
        port = sock.getsockname()[1]
    problem = accepted(ask("tls-suites", f"localhost:{port}")).problem
    assert problem is not None
    assert problem.kind == "refused"


# -- an sslyze that misbehaves

REQUEST = {"part": "suites", "server": "a", "timeout": 1}
ANSWERS = """\
import json, os, signal, sys, time
for line in sys.stdin:
    request = json.loads(line)
    id = request['id']
"""


def scanner_of(folder: Path, *lines: str) -> Scanner:
    file = folder / "program.py"
    file.write_text(ANSWERS + "".join(f"    {line}\n" for line in lines), encoding="utf-8")
    return Scanner((sys.executable, str(file)))


def problem_of_scan(scanner: Scanner, seconds: float = 5, **request: Any) -> Problem:
    try:
        return problem_of(lambda: scanner.ask({**REQUEST, **request}, "a.test:443", Deadline(seconds)))
    finally:
        scanner.close()


def test_a_crash_is_the_problem_of_that_server_alone(tmp_path: Path) -> None:
    good = "print(json.dumps({'id': id, 'found': {'good': request['server']}}), flush=True)"
    made = scanner_of(tmp_path, "if request['server'] == 'bad': os.kill(os.getpid(), signal.SIGSEGV)", good)
    problem = problem_of(lambda: made.ask({**REQUEST, "server": "bad"}, "bad.test:443", Deadline(10)))
    assert (problem.kind, problem.message) == (
        "internal", "bad.test:443: sslyze ended with signal SIGSEGV when it scanned this server",
    )  # fmt: skip
    assert made.ask({**REQUEST, "server": "good"}, "good.test:443", Deadline(10)) == {"good": "good"}
    made.close()


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        ("time.sleep(60)", "timeout", "not done within"),
        ("print('{\"id\": 7', flush=True); time.sleep(60)", "internal", "an answer that is none"),
        ("print('no JSON', flush=True)", "internal", "an answer that is none"),
        ("sys.exit(0)", "internal", "sslyze ended with exit code 0"),
        ("print(json.dumps({'missing': 'No module named sslyze'}), flush=True)", "missing-extra", "needs sslyze"),
        ("print(json.dumps({'id': id, 'kind': 'odd', 'problem': 'x'}), flush=True)", "internal", "a.test:443: x"),
        ("print(json.dumps({'id': id}), flush=True)", "internal", "a.test:443"),
    ],
)
def test_answers_that_are_none(tmp_path: Path, line: str, kind: str, text: str) -> None:
    problem = problem_of_scan(scanner_of(tmp_path, line), 1.5)
    assert problem.kind in (kind, "timeout"), problem
    if problem.kind == kind:
        assert text in problem.message
    if kind == "missing-extra":
        assert problem.hint == "pip install 'pytest-prodcheck[tls]'"


def test_a_missing_sslyze_is_told(tmp_path: Path) -> None:
    (tmp_path / "sslyze.py").write_text("raise ImportError('not here')", encoding="utf-8")
    path = f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); "
    run = f"runpy.run_path({str(sslyze_client.PROGRAM)!r}, run_name='__main__')"
    problem = problem_of_scan(Scanner((sys.executable, "-c", path + run)), 20)
    assert problem.kind == "missing-extra"


def test_an_answer_of_another_shape_is_an_error(lab: Lab, tmp_path: Path) -> None:
    made = scanner_of(tmp_path, "print(json.dumps({'id': id, 'found': {'versions': 7}}), flush=True)")
    context: Context = lab.context("127.0.0.1:9")
    context.once("tls-scanner", lambda: made)
    problem = accepted(gather("tls-suites", "server", context, 10)).problem
    context.close()
    assert problem is not None
    assert (problem.kind, problem.hint) == ("internal", "is this version of sslyze supported?")


def test_the_process_ends_with_the_run(lab: Lab) -> None:
    context = lab.context("localhost:9", timeout="1s")
    gather("tls-suites", "server", context, 20)
    made = context.once("tls-scanner", Scanner)
    assert made._process is not None
    child = made._process._child
    assert child.poll() is None
    context.close()
    assert child.wait(5) is not None
