"""Certificates and OCSP answers of any dates, by cryptography."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


class Issued:
    """A certificate with its key; without an issuer it signs itself. Days from now."""

    def __init__(
        self, name: str, issuer: Issued | None, begin: float, end: float, *, ca: bool = False,
        names: Sequence[str] = (), more: Sequence[x509.ExtensionType] = (),
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> None:  # fmt: skip
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + begin * DAY)
            .not_valid_after(NOW + end * DAY)
            .add_extension(x509.BasicConstraints(ca, None), True)
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
        for each in more:
            made = made.add_extension(each, False)
        self.certificate: x509.Certificate = made.sign((issuer or self).key, hashes.SHA256())

    def write(self, file: Path, key: bool = False) -> Path:
        """As PEM, with its key where asked for."""
        text = self.certificate.public_bytes(PEM)
        if key:
            plain = serialization.NoEncryption()
            text += self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain)
        file.write_bytes(text)
        return file


def answered(
    about: Issued, ca: Issued, signer: Issued, begin: float, end: float | None, file: Path, *enclosed: Issued
) -> Path:
    """A good OCSP answer, days from now."""
    made = ocsp.OCSPResponseBuilder().add_response(
        about.certificate, ca.certificate, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD,
        NOW + begin * DAY, None if end is None else NOW + end * DAY, None, None,
    )  # fmt: skip
    made = made.responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate)
    if enclosed:
        made = made.certificates([each.certificate for each in enclosed])
    file.write_bytes(made.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    return file


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
