"""What cryptography keeps private and we use behaves as we rely on."""

from __future__ import annotations

from cryptography.x509 import ObjectIdentifier

from pytest_prodcheck.evidence.tls.x509 import oid_name


def test_the_name_of_a_signature_algorithm() -> None:
    assert oid_name(ObjectIdentifier("1.2.840.113549.1.1.4")) == "md5WithRSAEncryption"
    assert oid_name(ObjectIdentifier("1.2.3.4.5")) == "Unknown OID"
