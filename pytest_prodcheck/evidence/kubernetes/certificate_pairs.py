"""Certificates in Secrets: whether the pair of `tls.crt` and `tls.key` can be served now."""

from __future__ import annotations

import base64
import time

from pytest_prodcheck.evidence.kubernetes.objects import Object, table

_BEGINS = b"-----BEGIN CERTIFICATE-----"


def pair_fault(secret: Object) -> str:
    """Why controllers serve a certificate of their own, or browsers refuse this one; "" for nothing.

    A value that is no PEM is not judged: it may be encrypted, or filled in later. Nor is any without cryptography.
    """
    certificate, key = _value(secret, "tls.crt"), _value(secret, "tls.key")
    if not certificate.lstrip().startswith(_BEGINS) or not key.lstrip().startswith(b"-----BEGIN"):
        return ""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509 import load_pem_x509_certificate
    except ImportError:
        return ""
    try:
        found = load_pem_x509_certificate(certificate)
        fits = found.public_key() == load_pem_private_key(key, None).public_key()
    except UnsupportedAlgorithm:
        return ""
    except (ValueError, TypeError):
        return "its tls.crt or tls.key cannot be read"
    now = time.time()
    if not fits:
        return "its tls.key is not the key of the certificate in tls.crt"
    if found.not_valid_after_utc.timestamp() < now:
        return f"its certificate ended {(now - found.not_valid_after_utc.timestamp()) / 86400:.1f} days ago"
    if found.not_valid_before_utc.timestamp() > now:
        return "its certificate is not valid yet"
    return ""


def _value(secret: Object, name: str) -> bytes:
    plain = table(secret, "stringData").get(name)
    if isinstance(plain, str):
        return plain.encode()
    try:
        return base64.b64decode(str(table(secret, "data").get(name) or ""))
    except ValueError:
        return b""
