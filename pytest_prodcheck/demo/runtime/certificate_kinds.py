"""Certificates of every kind, good and bad, from the demo's CA or from nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = timedelta(days=1)


@dataclass
class IssuedCertificate:
    """A certificate with its key, and what a server sends with it."""

    certificate: Any  # cryptography's x509.Certificate
    key: Any
    chain: list[Any] = field(default_factory=list)  # CA certificates that are sent along

    def pem(self) -> bytes:
        """Key, certificate and chain, as servers read them from one file."""
        from cryptography.hazmat.primitives import serialization as form

        key: bytes = self.key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        parts: list[bytes] = [each.public_bytes(form.Encoding.PEM) for each in (self.certificate, *self.chain)]
        return key + b"".join(parts)


@dataclass(frozen=True)
class CertificateRequest:
    """What a certificate is to be like. age, left: since its beginning and until its end."""

    names: tuple[str, ...] = ("mail.demo.test",)
    age: timedelta = 5 * DAY
    left: timedelta = 85 * DAY
    key: str = "ec-256"  # "ec-224", "rsa-2048", …
    sha1: bool = False
    must_staple: bool = False
    ocsp: str = ""
    ca: bool = False


def issue(wanted: CertificateRequest, by: IssuedCertificate | None) -> IssuedCertificate:
    """A certificate issued by another one, or by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _key(wanted.key)
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, wanted.names[0])])
    issuer, signer = (by.certificate.subject, by.key) if by else (name, key)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - wanted.age).not_valid_after(now + wanted.left)
        .add_extension(x509.BasicConstraints(ca=wanted.ca, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )  # fmt: skip
    if not wanted.ca:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in wanted.names]), critical=False
        )
        usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    if wanted.must_staple:
        builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
    if wanted.ocsp:
        method, place = x509.oid.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(wanted.ocsp)
        builder = builder.add_extension(
            x509.AuthorityInformationAccess([x509.AccessDescription(method, place)]), critical=False
        )
    certificate = builder.sign(signer, hashes.SHA256())
    return IssuedCertificate(_with_sha1(certificate, signer) if wanted.sha1 else certificate, key)


def _key(kind: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    name, _, bits = kind.partition("-")
    if name == "rsa":
        return rsa.generate_private_key(65537, int(bits))
    return ec.generate_private_key({"224": ec.SECP224R1, "256": ec.SECP256R1}[bits]())


def _with_sha1(certificate: Any, key: Any) -> Any:
    """The same, signed with SHA-1, which cryptography itself refuses to do."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from OpenSSL import crypto

        weak = crypto.X509.from_cryptography(certificate)
        weak.sign(crypto.PKey.from_cryptography_key(key), "sha1")
        return weak.to_cryptography()


def status(
    of: IssuedCertificate,
    by: IssuedCertificate,
    *,
    revoked: bool = False,
    age: timedelta = DAY,
    left: timedelta = 5 * DAY,
) -> bytes:
    """An OCSP response (DER) about a certificate, signed by its issuer."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509 import ReasonFlags, ocsp

    now = datetime.now(UTC)
    told = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    builder = ocsp.OCSPResponseBuilder().add_response(
        of.certificate, by.certificate, hashes.SHA1(), told, now - age, now + left,
        now - age if revoked else None, ReasonFlags.key_compromise if revoked else None,
    )  # fmt: skip
    response = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, by.certificate).sign(by.key, hashes.SHA256())
    return response.public_bytes(serialization.Encoding.DER)
