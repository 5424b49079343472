"""Reports about TLS under load and about answers that never end, met by one load whose servers keep the truth."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load import plan
from pytest_prodcheck.evidence.load.run import load_run
from pytest_prodcheck.records.load import LoadEndpoint, LoadRun
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import GOOD
from tests.field.web.support import certify

PATIENCE, EACH = 2.0, 24  # seconds, requests of each service in two seconds
PART = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{"
Talk = Callable[[Any], None]


def well(client: Any) -> None:
    while client.recv(65536):
        client.sendall(GOOD)


def begins_and_never_ends(client: Any) -> None:
    client.recv(65536)
    client.sendall(PART)
    client.recv(1)  # until the other side gives up


def never(client: Any) -> None:
    while client.recv(65536):
        pass


def hangs_in_the_handshake(client: Any) -> None:
    time.sleep(PATIENCE + 2)


@dataclass(frozen=True)
class Met:
    run: LoadRun
    ports: dict[str, int]
    connections: Counter[int]

    def endpoint(self, name: str) -> LoadEndpoint:
        (found,) = (each for each in self.run.endpoints if each.name == f"{name}.it")
        return found


@contextmanager
def listening(talk: Talk, tls: ssl.SSLContext | None, seen: Counter[int]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as taking:
        port: int = taking.getsockname()[1]

        def one(client: socket.socket) -> None:
            with suppress(OSError), client:
                whole: Any = client if tls is None else tls.wrap_socket(client, server_side=True)
                with whole:
                    talk(whole)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = taking.accept()
                    seen[port] += 1
                    threading.Thread(target=one, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield port
        taking.shutdown(socket.SHUT_RDWR)


def server_side(leaf: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(leaf)
    return made


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Met:
    folder, other = tmp_path_factory.mktemp("tls"), tmp_path_factory.mktemp("other")
    ca, leaf = certify(folder, "shop.test")
    _, foreign = certify(other, "shop.test")
    ours, theirs = server_side(leaf), server_side(foreign)
    talks: dict[str, tuple[Talk, ssl.SSLContext | None]] = {
        "good": (well, ours), "foreign": (well, theirs), "hanging": (hangs_in_the_handshake, None),
        "never": (never, ours), "endless": (begins_and_never_ends, None), "endless-tls": (begins_and_never_ends, ours),
    }  # fmt: skip
    behind = {
        "half-foreign": ["good", "foreign"], "half-hanging": ["good", "hanging"], "never": ["never"],
        "endless": ["endless"], "endless-tls": ["endless-tls"],
    }  # fmt: skip
    seen: Counter[int] = Counter()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        ports = {name: stack.enter_context(listening(talk, tls, seen)) for name, (talk, tls) in talks.items()}
        told = plan.client

        def client(name: str, *arguments: Any) -> dict[str, Any]:
            return {**told(name, *arguments), "addresses": [["127.0.0.1", ports[each]] for each in behind[name]]}

        patch.setattr(plan, "client", client)
        services = {
            name: {
                "url": f"{'http' if name == 'endless' else 'https'}://shop.test:{ports[first]}",
                "connect_to": f"127.0.0.1:{ports[first]}", "timeout": f"{PATIENCE}s",
                "endpoints": {"it": {"request": "GET /it", "status": 200}},
                **({} if name == "endless" else {"tls": {"ca": ca}}),
            }
            for name, (first, *_) in behind.items()
        }  # fmt: skip
        load = {
            "hosts": ["shop.test", "127.0.0.1"], "mix": {f"{name}.it": 1 for name in behind}, "duration": "2s",
            "rate": f"{EACH * len(behind) / 2}/s", "abort": {"error_ratio": 1},
        }  # fmt: skip
        context = context_for(folder, services=services, load={"it": load})
        run = load_run.gather("it", context, Deadline(60))
    return Met(run, ports, seen)


def test_tls_that_fails_at_one_of_two_addresses_fails_half_of_the_users(met: Met) -> None:
    """Browsers try the next address where one takes no connection, not where its certificate is wrong."""
    found = met.endpoint("half-foreign")
    assert (found.good, found.failed) == (EACH // 2, EACH // 2)
    assert found.reasons == (("TLS: CERTIFICATE_VERIFY_FAILED", EACH // 2),)


def test_a_handshake_that_hangs_at_one_of_two_addresses_is_waited_for(met: Met) -> None:
    found = met.endpoint("half-hanging")
    assert (found.good, found.failed) == (EACH // 2, EACH // 2)
    assert found.reasons == ((f"timed out in the TLS handshake: {PATIENCE:g} s", EACH // 2),)
    assert (found.times.percentile(75) or 0) >= PATIENCE * 0.99


@pytest.mark.parametrize(
    ("name", "why"),
    [("never", "not answered"), ("endless", "not whole answered"), ("endless-tls", "not whole answered")],
)
def test_our_own_end_of_a_connection_is_no_end_of_an_answer(name: str, why: str, met: Met) -> None:
    """An answer without a length ends with its connection; one that we end for its time is none."""
    found = met.endpoint(name)
    assert found.reasons == ((f"{why} within {PATIENCE:g} s", EACH),)
    assert (found.times.percentile(1) or 0) >= PATIENCE * 0.99
