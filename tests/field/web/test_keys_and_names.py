"""Certificates as openssl makes them: keys that browsers do not take, wildcards that nobody takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.network.certificate_names import is_for
from pytest_prodcheck.evidence.tls import x509
from tests.field.web.support import program

NAMES = ("*.internal", "*.localhost", "*.shop.internal", "shop.internal", "*.vault-internal")
ASKED = (
    "a.internal", "app.localhost", "a.shop.internal", "b.a.shop.internal", "shop.internal", "vault-0.vault-internal",
)  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    words = [program("openssl"), "req", "-x509", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-nodes",
             "-keyout", "key.pem", "-out", "own.pem", "-days", "9", "-subj", "/CN=x",
             "-addext", f"subjectAltName={','.join(f'DNS:{each}' for each in NAMES)}"]  # fmt: skip
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder / "own.pem"


def test_a_key_for_pss_alone_is_told_from_others(certificate: Path) -> None:
    """openssl#2878, zlint#326, mozilla/pkipolicy#217: Chromium refuses the handshake; see tests/suites/test_tls.py."""
    from cryptography.x509 import load_pem_x509_certificate

    own = x509.record(load_pem_x509_certificate(certificate.read_bytes()))
    assert (own.key, own.bits) == ("RSASSA-PSS", 2048)


@pytest.mark.parametrize("name", ASKED)
def test_wildcards_as_openssl_takes_them(name: str, certificate: Path) -> None:
    """curl#15914, #14243, mkcert#237, portless#28: one for a whole top-level domain counts nowhere but in libpq."""
    words = [program("openssl"), "verify", "-CAfile", certificate.name, "-verify_hostname", name, certificate.name]
    taken = subprocess.run(words, cwd=certificate.parent, check=False, capture_output=True, timeout=60).returncode == 0
    told = tuple(f"DNS:{each}" for each in NAMES)
    assert is_for(told, name, common_name=False) is taken
    assert is_for(told, name, common_name=True) is (name.count(".") < 3)
