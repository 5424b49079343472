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
    _relay("expired", "the mail relay's certificate expired yesterday", _EXPIRY),
    _relay("not-yet-valid", "the mail relay's certificate becomes valid in two hours", _TRUST),
    _relay("self-signed", "the mail relay's certificate is self-signed", _TRUST),
    _relay("unknown-ca", "the mail relay's certificate was issued by an unknown CA", _TRUST),
    _relay("incomplete-chain", "the mail relay does not send the certificate of the intermediate CA", _TRUST),
    _relay(
        "expired-intermediate", "the certificate of the mail relay's intermediate CA expired yesterday",
        (*_TRUST, *_EXPIRY),
    ),
    _relay("wrong-host", "the mail relay's certificate is for another name", _HOSTNAME),
    _relay("rsa-1024", "the mail relay's RSA key has 1024 bits", _KEY, _PROFILE),
    _relay("small-ca-key", "the key of the mail relay's intermediate CA has 224 bits", _KEY),
    _relay("sha1", "the mail relay's certificate is signed with SHA-1", _SIGNATURE, _PROFILE),
    _relay("ends-398-days", "the mail relay's certificate of 398 days expires in 5 days", _EXPIRY, _PROFILE),
    _relay(
        "ends-soon-398-days", "the mail relay's certificate of 398 days expires in 15 days",
        _EXPIRY, _PROFILE, warns=True,
    ),
    _relay("ends-6-days", "the mail relay's certificate of 6 days expires in 10 hours", _EXPIRY),
    _relay(
        "second-certificate-expired", "the mail relay has two certificates, and the RSA one expired yesterday",
        _EXPIRY,
    ),
    _relay("1-0", "the mail relay accepts TLS 1.0", _PROTOCOLS, (*_PROFILE, *_CIPHERS)),
    _relay("1-1", "the mail relay accepts TLS 1.1", _PROTOCOLS, (*_PROFILE, *_CIPHERS)),
    _relay("without-1-3", "the mail relay does not support TLS 1.3", _PROTOCOLS, warns=True),
    _relay("null-cipher", "the mail relay accepts a cipher that encrypts nothing", _CIPHERS, _PROFILE),
    _relay("anonymous-cipher", "the mail relay accepts an anonymous cipher", _CIPHERS, _PROFILE),
    _relay("no-forward-secrecy", "with TLS 1.2, the mail relay accepts only static RSA", _CIPHERS, _PROFILE),
    _relay("static-rsa", "the mail relay also accepts static RSA", _CIPHERS, _PROFILE, warns=True),
    _relay("cbc", "the mail relay accepts CBC ciphers", _CIPHERS, _PROFILE, warns=True),
    _relay("weak-dh", "the mail relay's Diffie-Hellman parameters have 1024 bits", _CIPHERS, _PROFILE),
    _relay("renegotiates", "the mail relay lets a client renegotiate without limit", _ATTACKS),
    _relay(
        "heartbleed", "the mail relay has the Heartbleed bug: it sends its memory to clients",
        _ATTACKS, (*_PROTOCOLS, *_PROFILE),
    ),
    _relay(
        "early-ccs", "the mail relay accepts a ChangeCipherSpec message too early",
        _ATTACKS, (*_PROTOCOLS, *_PROFILE),
    ),
    _relay(
        "robot", "the mail relay has the ROBOT bug: its answers show whether an RSA padding is valid",
        _ATTACKS, (*_PROTOCOLS, *_CIPHERS, *_PROFILE),
    ),
    _relay("many-curves", "the mail relay accepts a curve that its TLS profile does not allow", _PROFILE),
    _relay("must-staple", "the mail relay's certificate requires an OCSP response, but none is sent", _REVOCATION),
    _relay(
        "not-stapled", "the mail relay's CA has an OCSP responder, but no response is sent",
        _REVOCATION, warns=True,
    ),
    _relay("revoked", "the OCSP response of the mail relay says that its certificate was revoked", _REVOCATION),
    _relay("stale-staple", "the OCSP response of the mail relay expired two days ago", _REVOCATION),
    _relay("half-scanned", "the mail relay answers 8 connections, and no more after that", _SCAN, _CERTIFICATE),
    _relay("hangs", "the mail relay accepts connections and never answers", (*_CERTIFICATE, *_SCAN)),
    _relay("down", "the mail relay refuses connections", (*_CERTIFICATE, *_SCAN)),
    _relay("not-offered", "the mail relay does not offer STARTTLS", (*_CERTIFICATE, *_SCAN)),
    Fault(
        "postgres-tls-1-0", "PostgreSQL accepts TLS 1.0", _PROTOCOLS, _CIPHERS, part="PostgreSQL's nodes",
    ),
)  # fmt: skip


def _benign(name: str, does: str) -> Fault:
    return Fault(f"tls-{name}", does, part=_RELAY, suites=("security",))


BENIGN: tuple[Fault, ...] = (
    _benign("short-lived", "the mail relay's certificate of 6 days has just been renewed"),
    _benign("extra-certificate", "the mail relay also sends an unrelated CA certificate"),
    _benign("intermediate-sent", "the mail relay sends the certificate of its intermediate CA"),
    _benign("1-3-only", "the mail relay accepts TLS 1.3 only"),
    _benign("two-certificates", "the mail relay has an EC and an RSA certificate"),
    _benign("no-tickets", "the mail relay issues no session tickets"),
    _benign("stapled", "the mail relay sends the OCSP response that its certificate requires"),
    _benign("wildcard", "the mail relay has a wildcard certificate"),
)
