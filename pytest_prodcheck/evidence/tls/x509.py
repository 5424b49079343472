"""X.509 certificates and OCSP responses as plain records."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.tls import Certificate, Staple

if TYPE_CHECKING:
    from datetime import datetime


_SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"
_RSASSA_PSS = "1.2.840.113549.1.1.10"  # RFC 4055: a key for such signatures alone
SKEW = 300.0  # seconds that clocks may differ, as OpenSSL has it for OCSP


def record(certificate: Any) -> Certificate:
    """The facts of one certificate of cryptography's; raises ValueError for one that makes no sense."""
    from cryptography.hazmat.primitives.hashes import SHA256

    kind, bits = _key(certificate)
    subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    return Certificate(
        plain(subject, 300), plain(issuer, 300), certificate.fingerprint(SHA256()).hex(),
        certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp(),
        kind, bits, _hash(certificate), certificate.subject == certificate.issuer,
        _exponent(certificate), *_purposes(certificate),
    )  # fmt: skip


def is_logged(certificate: Any) -> bool:
    """Whether it holds proofs of transparency logs (RFC 6962, 3.3); servers that send them apart are rare."""
    return any(each.oid.dotted_string == _SCT_LIST for each in certificate.extensions)


def end_at_a_browsers_root(path: Sequence[Certificate]) -> bool:
    """Whether they end at a root of Mozilla's list; one that somebody added to the system's CAs is not."""
    return bool(path) and path[-1].fingerprint in _roots_of_mozilla()


@lru_cache(maxsize=1)
def _roots_of_mozilla() -> frozenset[str]:
    from certifi import contents

    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    texts = [each.partition(end)[0] for each in contents().split(begin)[1:]]
    return frozenset(sha256(b64decode(each)).hexdigest() for each in texts)


def _exponent(certificate: Any) -> int:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return 0
    return int(key.public_numbers().e) if isinstance(key, rsa.RSAPublicKey) else 0


def _purposes(certificate: Any) -> tuple[bool, bool | None]:
    """Whether it is a CA's, and whether its key may sign; None: nothing is said of that."""
    from cryptography import x509

    basic, usage = _extension(certificate, x509.BasicConstraints), _extension(certificate, x509.KeyUsage)
    return bool(basic is not None and basic.ca), None if usage is None else bool(usage.digital_signature)


def _key(certificate: Any) -> tuple[str, int]:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return certificate.public_key_algorithm_oid.dotted_string, 0
    if certificate.public_key_algorithm_oid.dotted_string == _RSASSA_PSS:  # of the same Python type as any RSA key
        return "RSASSA-PSS", int(getattr(key, "key_size", 0))
    kind = type(key).__name__.removeprefix("_").removesuffix("PublicKey")
    names = {"EllipticCurve": "EC", "ED25519": "Ed25519", "ED448": "Ed448"}
    fixed = {"Ed25519": 256, "Ed448": 456}  # RFC 8032
    kind = names.get(kind, names.get(kind.upper(), kind))
    return kind, int(getattr(key, "key_size", fixed.get(kind, 0)))


def _hash(certificate: Any) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return oid_name(certificate.signature_algorithm_oid)
    return algorithm.name if algorithm is not None else ""


def oid_name(oid: Any) -> str:
    """The name of an object identifier; cryptography has it under a private name only."""
    return str(oid._name)


def asks(certificate: Any) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """Whether it must be stapled; the addresses of its OCSP responders; those of its revocation lists."""
    from cryptography import x509

    def extension(kind: Any) -> Any:
        try:
            return certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return ()

    must = x509.TLSFeatureType.status_request in list(extension(x509.TLSFeature))
    ocsp = [
        each.access_location.value
        for each in extension(x509.AuthorityInformationAccess)
        if each.access_method == x509.oid.AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]
    points = [name for each in extension(x509.CRLDistributionPoints) for name in each.full_name or ()]
    lists = [each.value for each in points if isinstance(each, x509.UniformResourceIdentifier)]
    return must, tuple(plain(each, 300) for each in ocsp[:9]), tuple(plain(each, 300) for each in lists[:9])


def staple(response: bytes, certificate: Any, issuer: Any | None, now: float) -> Staple | None:
    """The stapled OCSP response (RFC 6960) about a certificate; None where there is none. now: epoch seconds."""
    from cryptography.x509 import ocsp

    if not response:
        return None
    try:
        told = ocsp.load_der_ocsp_response(response)
        if told.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return Staple("unknown", 0.0, None, f"the responder answered {told.response_status.name.lower()}")
        problem = _why_unproven(told, certificate, issuer, now)
        until: datetime | None = told.next_update_utc
        return Staple(
            told.certificate_status.name.lower(), told.this_update_utc.timestamp(),
            until.timestamp() if until else None, problem,
        )  # fmt: skip
    except ValueError as error:
        return Staple("unknown", 0.0, None, f"it cannot be read ({plain(str(error), 100)})")


def _why_unproven(told: Any, certificate: Any, issuer: Any | None, now: float) -> str:
    """Why a response proves nothing, "" where the issuer, or whom it named for that, signed it for this certificate."""
    from cryptography import x509

    if told.serial_number != certificate.serial_number:
        return "it is about another certificate"
    if issuer is None:
        return "the issuer's certificate, which it has to be signed by, is not known"
    signers = [issuer]
    for each in told.certificates:
        usage = _extension(each, x509.ExtendedKeyUsage)
        if _signed(each, issuer) and usage is not None and x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING in usage:
            signers.append(each)
    good = [each for each in signers if _verifies(each.public_key(), told)]
    if not good:
        return "the certificate's issuer did not sign it"
    if not any(_is_valid(each, now) for each in good):
        signer = good[-1]
        ended = signer.not_valid_after_utc.timestamp() < now
        return f"the certificate of its signer {'has ended' if ended else 'is not valid yet'}"
    return ""


def _is_valid(certificate: Any, now: float) -> bool:
    begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return bool(begin - SKEW <= now <= end)


def _extension(certificate: Any, kind: Any) -> Any | None:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _signed(certificate: Any, issuer: Any) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _verifies(key: Any, told: Any) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    try:
        signature, signed, algorithm = told.signature, told.tbs_response_bytes, told.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(algorithm))
        else:
            key.verify(signature, signed)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, AttributeError):
        return False
    return True
