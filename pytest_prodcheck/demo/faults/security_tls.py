"""What the TLS checks of the security suite must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

_TRUST, _HOSTNAME, _EXPIRY = ("security.tls.trust",), ("security.tls.hostname",), ("security.tls.expiry",)
_KEY, _SIGNATURE, _REVOCATION = ("security.tls.key",), ("security.tls.signature",), ("security.tls.revocation",)
_PROTOCOLS, _CIPHERS = ("security.tls.protocols",), ("security.tls.ciphers",)
_ATTACKS, _PROFILE = ("security.tls.attacks",), ("security.tls.profile",)
_CERTIFICATE = (*_TRUST, *_HOSTNAME, *_EXPIRY, *_KEY, *_SIGNATURE, *_REVOCATION)
_SCAN = (*_PROTOCOLS, *_CIPHERS, *_ATTACKS, *_PROFILE)
_RELAY = "the mail relay's TLS"


def _relay(
    name: str, breaks: str, notices: tuple[str, ...], also: tuple[str, ...] = (), *, warns: bool = False
) -> Fault:
    return Fault(f"tls-{name}", breaks, notices, also, "warned" if warns else "failed", _RELAY)


FAULTS: tuple[Fault, ...] = (
    _relay("expired", "its certificate ended yesterday", _EXPIRY),
    _relay("not-yet-valid", "its certificate begins in two hours", _TRUST),
    _relay("self-signed", "its certificate is self-signed", _TRUST),
    _relay("unknown-ca", "its certificate is from an unknown CA", _TRUST),
    _relay("incomplete-chain", "the intermediate CA's certificate is not sent", _TRUST),
    _relay("expired-intermediate", "the intermediate CA's certificate ended yesterday", (*_TRUST, *_EXPIRY)),
    _relay("wrong-host", "its certificate is for another name", _HOSTNAME),
    _relay("rsa-1024", "its RSA key has 1024 bits", _KEY, _PROFILE),
    _relay("small-ca-key", "the intermediate CA's key has 224 bits", _KEY),
    _relay("sha1", "its certificate is signed with SHA-1", _SIGNATURE, _PROFILE),
    _relay("ends-398-days", "5 days of 398 are left", _EXPIRY, _PROFILE),
    _relay("ends-soon-398-days", "15 days of 398 are left", _EXPIRY, _PROFILE, warns=True),
    _relay("ends-6-days", "10 hours of 6 days are left", _EXPIRY),
    _relay("second-certificate-expired", "of its two certificates the RSA one ended yesterday", _EXPIRY),
    _relay("1-0", "it speaks TLS 1.0", _PROTOCOLS, (*_PROFILE, *_CIPHERS)),
    _relay("1-1", "it speaks TLS 1.1", _PROTOCOLS, (*_PROFILE, *_CIPHERS)),
    _relay("without-1-3", "it does not speak TLS 1.3", _PROTOCOLS, warns=True),
    _relay("null-cipher", "it accepts a cipher that encrypts nothing", _CIPHERS, _PROFILE),
    _relay("anonymous-cipher", "it accepts an anonymous cipher", _CIPHERS, _PROFILE),
    _relay("no-forward-secrecy", "it accepts only static RSA with TLS 1.2", _CIPHERS, _PROFILE),
    _relay("static-rsa", "it accepts static RSA too", _CIPHERS, _PROFILE, warns=True),
    _relay("cbc", "it accepts CBC ciphers", _CIPHERS, _PROFILE, warns=True),
    _relay("weak-dh", "its Diffie-Hellman parameters have 1024 bits", _CIPHERS, _PROFILE),
    _relay("renegotiates", "it renegotiates as often as a client likes", _ATTACKS),
    _relay("heartbleed", "it gives memory away to long heartbeats", _ATTACKS, (*_PROTOCOLS, *_PROFILE)),
    _relay("early-ccs", "it accepts an early ChangeCipherSpec", _ATTACKS, (*_PROTOCOLS, *_PROFILE)),
    _relay("robot", "it tells bad RSA paddings from good ones", _ATTACKS, (*_PROTOCOLS, *_CIPHERS, *_PROFILE)),
    _relay("many-curves", "it accepts a curve that its profile does not allow", _PROFILE),
    _relay("must-staple", "its certificate asks for an OCSP answer, and none is sent", _REVOCATION),
    _relay("not-stapled", "its CA has an OCSP responder, and no answer is sent", _REVOCATION, warns=True),
    _relay("revoked", "its certificate was revoked, as the OCSP answer says that it sends", _REVOCATION),
    _relay("stale-staple", "the OCSP answer that it sends was good until two days ago", _REVOCATION),
    _relay("half-scanned", "it answers 8 connections and no further one", _SCAN, _CERTIFICATE),
    _relay("hangs", "it accepts and never answers", (*_CERTIFICATE, *_SCAN)),
    _relay("down", "it refuses connections", (*_CERTIFICATE, *_SCAN)),
    _relay("not-offered", "it does not offer STARTTLS", (*_CERTIFICATE, *_SCAN)),
    Fault(
        "postgres-tls-1-0", "PostgreSQL speaks TLS 1.0", _PROTOCOLS, _CIPHERS, part="PostgreSQL's nodes",
    ),
)  # fmt: skip


def _benign(name: str, does: str) -> Fault:
    return Fault(f"tls-{name}", does, part=_RELAY, suites=("security",))


BENIGN: tuple[Fault, ...] = (
    _benign("short-lived", "the mail relay's certificate of 6 days was just renewed"),
    _benign("extra-certificate", "the mail relay also sends an unrelated CA certificate"),
    _benign("intermediate-sent", "the mail relay's certificate is of an intermediate CA, which it sends along"),
    _benign("1-3-only", "the mail relay speaks TLS 1.3 only"),
    _benign("two-certificates", "the mail relay has an EC and an RSA certificate"),
    _benign("no-tickets", "the mail relay gives no session tickets"),
    _benign("stapled", "the mail relay sends the OCSP answer along that its certificate asks for"),
    _benign("wildcard", "the mail relay's certificate is a wildcard one"),
)
