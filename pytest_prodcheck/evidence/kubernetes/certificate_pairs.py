"""Certificates in Secrets: whether the pair of `tls.crt` and `tls.key` can be served now, and for which names."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.network.certificate_names import is_for, subject_names

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BEGINS = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class CertificatePair:
    """What is known of the certificate in a Secret."""

    names: tuple[str, ...] = ()  # "DNS:shop.example"; () where they are not known
    fault: str = ""  # why controllers serve a certificate of their own, or browsers refuse this one

    def fault_for(self, hosts: Iterable[str]) -> str:
        """What is wrong with it where it is served for these hosts, "" for nothing."""
        others = [each for each in hosts if self.names and not is_for(self.names, each, common_name=False)]
        named = f"its certificate is for {', '.join(self.names[:5])}, not for {', '.join(others[:5])}" if others else ""
        return self.fault or named


def certificate_pair(secret: Object) -> CertificatePair:
    """The pair in a Secret.

    A value that is no PEM is not judged: it may be encrypted, or filled in later. Nor is any without cryptography.
    """
    certificate, key = _value(secret, "tls.crt"), _value(secret, "tls.key")
    if not certificate.lstrip().startswith(_BEGINS) or not key.lstrip().startswith(b"-----BEGIN"):
        return CertificatePair()
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509 import load_pem_x509_certificate
    except ImportError:
        return CertificatePair()
    try:
        found = load_pem_x509_certificate(certificate)
        fits = found.public_key() == load_pem_private_key(key, None).public_key()
        names = subject_names(found)
    except UnsupportedAlgorithm:
        return CertificatePair()
    except (ValueError, TypeError):
        return CertificatePair(fault="its tls.crt or tls.key cannot be read")
    return CertificatePair(names, _fault(found, fits))


def _fault(certificate: Certificate, fits: bool) -> str:
    now = time.time()
    ends, begins = certificate.not_valid_after_utc.timestamp(), certificate.not_valid_before_utc.timestamp()
    if not fits:
        return "its tls.key is not the key of the certificate in tls.crt"
    if ends < now:
        return f"its certificate ended {(now - ends) / 86400:.1f} days ago"
    return "its certificate is not valid yet" if begins > now else ""


def _value(secret: Object, name: str) -> bytes:
    plain = table(secret, "stringData").get(name)
    if isinstance(plain, str):
        return plain.encode()
    try:
        return base64.b64decode(str(table(secret, "data").get(name) or ""))
    except ValueError:
        return b""
