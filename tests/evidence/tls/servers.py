"""Local TLS servers of every kind, with certificates of a CA of their own."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.mail.relay import Serve
from pytest_prodcheck.demo.mail.tls import context as tls_context
from pytest_prodcheck.demo.mail.tls import tls_server
from pytest_prodcheck.demo.runtime.certificate_kinds import CertificateRequest, IssuedCertificate, issue
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.records.tls import ServedCertificate, TlsCertificates
from tests.evidence.contexts import context_for, gather
from tests.evidence.network.speakers import raw_server

HOST = CertificateRequest(("localhost",))
V = ssl.TLSVersion


class Lab:
    """A folder with `ca.pem`, and servers whose certificates are of that CA."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = issue(CertificateRequest(("Test CA",), ca=True, key="rsa-2048"), None)
        (folder / "ca.pem").write_bytes(self.authority.pem())
        self._contexts: dict[str, Context] = {}

    def issue(self, wanted: CertificateRequest = HOST) -> IssuedCertificate:
        return issue(wanted, self.authority)

    def tls(self, *certificates: IssuedCertificate, **settings: Any) -> ssl.SSLContext:
        return tls_context(self.folder, *(certificates or [self.issue()]), **settings)

    @contextlib.contextmanager
    def server(self, serve: Serve | None = None, host: str = "127.0.0.1", **settings: Any) -> Iterator[str]:
        """A server; yields "localhost:PORT"."""
        with raw_server(_patient(serve or tls_server(self.tls(**settings))), host) as port:
            yield f"localhost:{port}"

    def context(self, address: str, **settings: Any) -> Context:
        server = {"address": address, "ca": "ca.pem", "timeout": "2s", **settings}
        server = {key: value for key, value in server.items() if value is not None}
        return context_for(self.folder, nameserver=None, tls={"server": server})

    def gather(self, collector: str, address: str, **settings: Any) -> Any:
        return gather(collector, "server", self.context(address, **settings))

    def certificate(self, address: str, **settings: Any) -> ServedCertificate:
        """What one address serves."""
        found = self.gather("tls-certificate", address, **settings)
        assert isinstance(found, TlsCertificates)
        (served,) = found.served
        return served


def _patient(serve: Callable[[socket.socket], None]) -> Serve:
    def speak(client: socket.socket) -> None:
        client.settimeout(10)
        serve(client)

    return speak


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("tls"))
