"""Faults and benign habits of the mail relay's TLS, made for real: other certificates, versions, ciphers, bugs."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.mail import vulnerable_tls
from pytest_prodcheck.demo.mail.tls import MODERN, context, healthy, staples, tls_server
from pytest_prodcheck.demo.runtime.certificate_kinds import DAY, CertificateRequest, IssuedCertificate, issue, status

if TYPE_CHECKING:
    from pytest_prodcheck.demo.mail.relay import Serve
    from pytest_prodcheck.demo.network.balancer import Mode
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
Make = Callable[["System"], "Serve"]
HOUR = timedelta(hours=1)
PLAIN, RSA = CertificateRequest(), CertificateRequest(key="rsa-2048")
_OCSP = "http://ocsp.demo.test/"


def _on_and_off(make: Make) -> tuple[Act, Act]:
    def on(system: System) -> None:
        system.mail.serve = make(system)

    def off(system: System) -> None:
        system.mail.serve = healthy(system.place, system.mail.certificate)

    return on, off


def _with_certificate(wanted: CertificateRequest, **settings: Any) -> tuple[Act, Act]:
    """Another certificate of the demo's CA, another context."""

    def make(system: System) -> Serve:
        own = system.mail.certificate if wanted == PLAIN else issue(wanted, system.mail.authority)
        return tls_server(context(system.place, own, **settings))

    return _on_and_off(make)


def _without_known_ca(**ca: Any) -> tuple[Act, Act]:
    """A certificate by itself, or of a CA that nobody knows."""

    def make(system: System) -> Serve:
        stranger = issue(CertificateRequest(("Nobody's CA",), ca=True), None) if ca.get("by") else None
        own = issue(PLAIN, stranger)
        own.chain = [stranger.certificate] if stranger else []
        return tls_server(context(system.place, own))

    return _on_and_off(make)


def _behind_intermediate(wanted: CertificateRequest, sent: bool) -> tuple[Act, Act]:
    """A certificate of an intermediate CA, which is sent along or not."""

    def make(system: System) -> Serve:
        intermediate = issue(wanted, system.mail.authority)
        own = issue(PLAIN, intermediate)
        own.chain = [intermediate.certificate] if sent else []
        return tls_server(context(system.place, own))

    return _on_and_off(make)


def _stapled(wanted: CertificateRequest, **told: Any) -> tuple[Act, Act]:
    def make(system: System) -> Serve:
        own = issue(wanted, system.mail.authority)
        return staples(system.place, own, status(own, system.mail.authority, **told))

    return _on_and_off(make)


def _both(rsa: CertificateRequest) -> tuple[Act, Act]:
    def make(system: System) -> Serve:
        return tls_server(context(system.place, system.mail.certificate, issue(rsa, system.mail.authority)))

    return _on_and_off(make)


def _buggy(bug: Callable[[IssuedCertificate], vulnerable_tls.Bug], ciphers: str) -> tuple[Act, Act]:
    def make(system: System) -> Serve:
        own = issue(RSA, system.mail.authority)
        made = context(system.place, own, ciphers=ciphers, highest=ssl.TLSVersion.TLSv1_2)
        seen = bug(own)
        return lambda client: vulnerable_tls.serve(client, made, seen)

    return _on_and_off(make)


def _extra(system: System) -> Serve:
    own = replace(
        system.mail.certificate, chain=[issue(CertificateRequest(("Some other CA",), ca=True), None).certificate]
    )
    return tls_server(context(system.place, own))


def _hang_after(connections: int | None) -> Act:
    return lambda system: system.mail.hang_after(connections)


def _entrance(mode: Mode) -> Act:
    return lambda system: system.mail_entrance.set_mode(mode)


def _offers(yes: bool) -> Act:
    def act(system: System) -> None:
        system.mail.offers = yes

    return act


def _postgres(**settings: str | None) -> Act:
    def act(system: System) -> None:
        for node in (system.postgres.primary, system.postgres.standby):
            node.configure(**settings)

    return act


_V = ssl.TLSVersion
ACTS: dict[str, tuple[Act, Act]] = {
    "tls-expired": _with_certificate(CertificateRequest(age=90 * DAY, left=-DAY)),
    "tls-not-yet-valid": _with_certificate(CertificateRequest(age=-2 * HOUR)),
    "tls-self-signed": _without_known_ca(),
    "tls-unknown-ca": _without_known_ca(by="nobody"),
    "tls-incomplete-chain": _behind_intermediate(CertificateRequest(("Intermediate CA",), ca=True), sent=False),
    "tls-expired-intermediate": _behind_intermediate(
        CertificateRequest(("Old CA",), age=90 * DAY, left=-DAY, ca=True), sent=True
    ),
    "tls-wrong-host": _with_certificate(CertificateRequest(("relay.demo.test",))),
    "tls-rsa-1024": _with_certificate(CertificateRequest(key="rsa-1024")),
    "tls-small-ca-key": _behind_intermediate(CertificateRequest(("Small CA",), key="ec-224", ca=True), sent=True),
    "tls-sha1": _with_certificate(CertificateRequest(sha1=True)),
    "tls-ends-398-days": _with_certificate(CertificateRequest(age=393 * DAY, left=5 * DAY)),
    "tls-ends-soon-398-days": _with_certificate(CertificateRequest(age=383 * DAY, left=15 * DAY)),
    "tls-ends-6-days": _with_certificate(CertificateRequest(age=6 * DAY - 10 * HOUR, left=10 * HOUR)),
    "tls-second-certificate-expired": _both(CertificateRequest(key="rsa-2048", age=90 * DAY, left=-DAY)),
    "tls-1-0": _with_certificate(PLAIN, lowest=_V.TLSv1, ciphers=f"{MODERN}:ECDHE+AES"),
    "tls-1-1": _with_certificate(PLAIN, lowest=_V.TLSv1_1, ciphers=f"{MODERN}:ECDHE+AES"),
    "tls-without-1-3": _with_certificate(PLAIN, highest=_V.TLSv1_2),
    "tls-null-cipher": _with_certificate(RSA, ciphers=f"{MODERN}:NULL-SHA256"),
    "tls-anonymous-cipher": _with_certificate(PLAIN, ciphers=f"{MODERN}:AECDH-AES256-SHA"),
    "tls-no-forward-secrecy": _with_certificate(RSA, ciphers="AES128-GCM-SHA256:AES256-GCM-SHA384"),
    "tls-static-rsa": _with_certificate(RSA, ciphers=f"{MODERN}:AES128-GCM-SHA256"),
    "tls-cbc": _with_certificate(PLAIN, ciphers=f"{MODERN}:ECDHE+AES"),
    "tls-weak-dh": _with_certificate(RSA, ciphers=f"{MODERN}:DHE-RSA-AES128-GCM-SHA256", weak_dh=True),
    "tls-renegotiates": _with_certificate(PLAIN, renegotiates=True),
    "tls-many-curves": _with_certificate(PLAIN, curve="secp521r1"),
    "tls-must-staple": _with_certificate(CertificateRequest(must_staple=True)),
    "tls-not-stapled": _with_certificate(CertificateRequest(ocsp=_OCSP)),
    "tls-revoked": _stapled(CertificateRequest(ocsp=_OCSP), revoked=True),
    "tls-stale-staple": _stapled(CertificateRequest(ocsp=_OCSP), age=9 * DAY, left=-2 * DAY),
    "tls-heartbleed": _buggy(lambda own: vulnerable_tls.heartbleed, MODERN),
    "tls-early-ccs": _buggy(lambda own: vulnerable_tls.early_ccs, MODERN),
    "tls-robot": _buggy(lambda own: vulnerable_tls.robot(own.key), f"{MODERN}:AES128-GCM-SHA256"),
    "tls-half-scanned": (_hang_after(8), _hang_after(None)),
    "tls-hangs": (_hang_after(0), _hang_after(None)),
    "tls-down": (_entrance("down"), _entrance("serve")),
    "tls-not-offered": (_offers(False), _offers(True)),
    "postgres-tls-1-0": (
        _postgres(ssl_min_protocol_version="TLSv1", ssl_ciphers="ECDHE+AESGCM:ECDHE+AES:@SECLEVEL=0"),
        _postgres(ssl_min_protocol_version="TLSv1.2", ssl_ciphers="ECDHE+AESGCM:ECDHE+CHACHA20"),
    ),
    # what a healthy production does
    "tls-short-lived": _with_certificate(CertificateRequest(age=HOUR, left=6 * DAY)),
    "tls-extra-certificate": _on_and_off(_extra),
    "tls-intermediate-sent": _behind_intermediate(CertificateRequest(("Intermediate CA",), ca=True), sent=True),
    "tls-1-3-only": _with_certificate(PLAIN, lowest=_V.TLSv1_3),
    "tls-two-certificates": _both(RSA),
    "tls-no-tickets": _with_certificate(PLAIN, tickets=False),
    "tls-stapled": _stapled(CertificateRequest(ocsp=_OCSP, must_staple=True)),
    "tls-wildcard": _with_certificate(CertificateRequest(("*.demo.test",))),
}  # fmt: skip
