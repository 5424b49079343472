"""What the TLS checks make of facts, also of such as no server of today can be made to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck import Limit
from pytest_prodcheck.judging.ledger import Ledger, close_ledger, open_ledger
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import Problem
from pytest_prodcheck.records.tls import (
    AcceptedSuites,
    Attack,
    AttackedServer,
    Certificate,
    CipherSuite,
    ProfiledServer,
    ServedCertificate,
    Staple,
    TlsAttacks,
    TlsCertificates,
    TlsProfile,
    TlsSuites,
)
from suites.security import test_tls as checks

DAY, NOW = 86400.0, 1_800_000_000.0
PASSED, WARNED, FAILED, ERRORED = Outcome.PASSED, Outcome.WARNED, Outcome.FAILED, Outcome.ERRORED
EXPIRY = Limit(warn="25%", fail="10%")
SILENT = Problem("timeout", "a:443: no answer")


def ledger(check: Callable[..., None], *given: Any) -> Ledger:
    open_ledger()
    try:
        check(*given)
    finally:
        made = close_ledger()
    return made


def certificate(**facts: Any) -> Certificate:
    usual: dict[str, Any] = {
        "subject": "CN=a", "issuer": "CN=CA", "fingerprint": "00", "not_before": NOW - 5 * DAY,
        "not_after": NOW + 85 * DAY, "key": "EC", "bits": 256, "signature_hash": "sha256", "self_signed": False,
    }  # fmt: skip
    return Certificate(**{**usual, **facts})


ROOT = certificate(subject="CN=CA", signature_hash="sha1", self_signed=True)


def served(own: Certificate | None = None, **facts: Any) -> TlsCertificates:
    own = own or certificate()
    usual: dict[str, Any] = {
        "address": "a:443", "version": "TLSv1.3", "sent": (own,), "path": (own, ROOT), "name": "a", "for_name": True,
        "seen_at": NOW,
    }  # fmt: skip
    return TlsCertificates((ServedCertificate(**{**usual, **facts}),), 21 * DAY, 7 * DAY)


# -- certificates


@pytest.mark.parametrize(
    ("logged", "public", "browsers", "expected"),
    [(False, True, True, WARNED), (True, True, True, PASSED), (None, True, True, PASSED), (False, True, False, PASSED)],
)
def test_transparency(logged: bool | None, public: bool, browsers: bool, expected: Outcome) -> None:
    given = served(logged=logged, public=public, browsers=browsers)
    assert ledger(checks.test_a_trusted_ca_stands_behind_the_certificate, given).outcome is expected


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [
        (6, 3, PASSED), (6, 1.4, WARNED), (6, 0.5, FAILED), (6, 6, PASSED),
        (47, 12, PASSED), (47, 11, WARNED), (47, 4.6, FAILED),
        (90, 30, PASSED), (90, 20, WARNED), (90, 22, PASSED), (90, 6.9, FAILED), (90, 7.1, WARNED),
        (200, 22, PASSED), (200, 20, WARNED), (200, 6, FAILED),
        (398, 60, PASSED), (398, 22, PASSED), (398, 20, WARNED), (398, 8, WARNED), (398, 6.5, FAILED),
        (3650, 22, PASSED), (3650, 20, WARNED), (3650, 6, FAILED),
        (90, 0, FAILED), (90, -1, FAILED), (398, -0.01, FAILED),
    ],
)  # fmt: skip
def test_expiry_of_lifetimes_of_6_to_398_days(lifetime: float, left: float, expected: Outcome) -> None:
    own = certificate(not_before=NOW - (lifetime - left) * DAY, not_after=NOW + left * DAY)
    assert ledger(checks.test_certificate_outlives_its_renewal, served(own), EXPIRY).outcome is expected


def test_expiry_as_declared_and_configured() -> None:
    own = certificate(not_before=NOW - 368 * DAY, not_after=NOW + 30 * DAY)
    (one,) = served(own).served
    judged = checks.test_certificate_outlives_its_renewal
    assert ledger(judged, TlsCertificates((one,), 45 * DAY, 14 * DAY), EXPIRY).outcome is WARNED
    assert ledger(judged, TlsCertificates((one,), 90 * DAY, 31 * DAY), EXPIRY).outcome is FAILED
    assert ledger(judged, TlsCertificates((one,), 45 * DAY, 14 * DAY), Limit(warn="2%", fail="1%")).outcome is PASSED
    assert ledger(judged, served(own), Limit(warn="30d", fail="7d")).outcome is ERRORED
    assert ledger(judged, served(own), Limit(off=True)).outcome is PASSED
    assert "expired" not in ledger(judged, served(own), EXPIRY).reasons()


def test_a_lifetime_of_nothing_is_errored() -> None:
    own = certificate(not_before=NOW, not_after=NOW)
    assert ledger(checks.test_certificate_outlives_its_renewal, served(own), EXPIRY).outcome is ERRORED


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, PASSED),
        ({"key": "RSA", "bits": 2048}, PASSED),
        ({"key": "RSA", "bits": 2047}, FAILED),
        ({"key": "RSASSA-PSS", "bits": 2048}, PASSED),
        ({"key": "RSASSA-PSS", "bits": 1024}, FAILED),
        ({"key": "EC", "bits": 224}, FAILED),
        ({"key": "EC", "bits": 521}, PASSED),
        ({"key": "Ed25519", "bits": 256}, PASSED),
        ({"key": "DSA", "bits": 2048}, FAILED),
        ({"key": "1.2.3", "bits": 0}, FAILED),
    ],
)
def test_keys(facts: dict[str, Any], expected: Outcome) -> None:
    own = certificate(**facts)
    assert ledger(checks.test_keys_are_long_enough, served(own)).outcome is expected
    behind = served(path=(certificate(), own, ROOT))
    assert ledger(checks.test_keys_are_long_enough, behind).outcome is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # golang/go#47681, rcgen#410, brave-browser#13184, nmos-testing#206
        ({"key": "Ed25519", "bits": 256}, FAILED), ({"key": "EC", "bits": 521}, FAILED),
        ({"key": "RSASSA-PSS", "bits": 2048}, FAILED),  # zlint#326, mozilla/pkipolicy#217
        ({"key": "EC", "bits": 384}, PASSED), ({"key": "RSA", "bits": 4096}, PASSED),
    ],
)  # fmt: skip
def test_keys_that_browsers_do_not_take(facts: dict[str, Any], expected: Outcome) -> None:
    """Chromium 156 refuses the handshake with all of these, whoever issued the certificate."""
    (one,) = served(certificate(**facts), browsers=True).served
    (beside,) = served(certificate(), address=f"{one.address}, RSA key", browsers=True).served
    judged = checks.test_keys_are_long_enough
    assert ledger(judged, TlsCertificates((one,), 21 * DAY, 7 * DAY)).outcome is expected
    assert ledger(judged, TlsCertificates((one, beside), 21 * DAY, 7 * DAY)).outcome is PASSED
    assert ledger(judged, TlsCertificates((replace(one, browsers=False),), 21 * DAY, 7 * DAY)).outcome is PASSED


@pytest.mark.parametrize("name", ["sha1", "SHA-1", "md5", "ecdsa-with-SHA1"])
def test_broken_signatures(name: str) -> None:
    bad = certificate(signature_hash=name)
    judged = checks.test_signatures_are_sound
    assert ledger(judged, served(bad)).outcome is FAILED
    assert ledger(judged, served(path=(certificate(), bad, ROOT))).outcome is FAILED
    assert ledger(judged, served(path=(certificate(), bad))).outcome is PASSED  # it is itself the trusted one
    assert ledger(judged, served(path=(certificate(), bad), distrust="unknown")).outcome is FAILED
    assert ledger(judged, served(path=(certificate(signature_hash=""), ROOT))).outcome is PASSED  # Ed25519


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, PASSED),
        ({"crl": ("http://ca/crl",)}, PASSED),
        ({"ocsp": ("http://ca/",)}, WARNED),
        ({"must_staple": True}, FAILED),
        ({"staple": Staple("good", NOW - DAY, NOW + DAY, "")}, PASSED),
        ({"staple": Staple("good", NOW - DAY, None, "")}, PASSED),
        ({"staple": Staple("good", NOW - DAY, NOW - 1, "")}, FAILED),
        ({"staple": Staple("good", NOW - DAY, NOW + DAY, "not signed")}, FAILED),
        ({"staple": Staple("revoked", NOW - DAY, NOW + DAY, "")}, FAILED),
        ({"staple": Staple("unknown", NOW - DAY, NOW + DAY, "")}, FAILED),
    ],
)
def test_revocation(facts: dict[str, Any], expected: Outcome) -> None:
    assert ledger(checks.test_certificate_is_not_revoked, served(**facts)).outcome is expected


def test_trust_and_name() -> None:
    assert ledger(checks.test_a_trusted_ca_stands_behind_the_certificate, served()).outcome is PASSED
    assert ledger(checks.test_a_trusted_ca_stands_behind_the_certificate, served(distrust="no")).outcome is FAILED
    early = served(certificate(not_before=NOW + 60))
    assert ledger(checks.test_a_trusted_ca_stands_behind_the_certificate, early).outcome is FAILED
    assert ledger(checks.test_the_certificate_is_for_the_name, served()).outcome is PASSED
    assert ledger(checks.test_the_certificate_is_for_the_name, served(for_name=False)).outcome is FAILED


# -- versions and suites


def suite(name: str, exchange_bits: int = 256, anonymous: bool = False) -> CipherSuite:
    return CipherSuite(name, 128, anonymous, "ECDH", exchange_bits)


GOOD = suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
TLS_1_3 = ("TLSv1.3", (suite("TLS_AES_128_GCM_SHA256"),))


def accepting(*versions: tuple[str, tuple[CipherSuite, ...]]) -> TlsSuites:
    return TlsSuites((AcceptedSuites("a:443", None, versions),))


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (["TLSv1.2", "TLSv1.3"], PASSED), (["TLSv1.3"], PASSED), (["TLSv1.2"], WARNED),
        (["TLSv1.1", "TLSv1.2", "TLSv1.3"], FAILED), (["TLSv1.0", "TLSv1.3"], FAILED), (["TLSv1.0"], FAILED),
        (["SSLv3", "TLSv1.2", "TLSv1.3"], FAILED), (["SSLv2", "TLSv1.2", "TLSv1.3"], FAILED), ([], FAILED),
    ],
)  # fmt: skip
def test_versions(versions: list[str], expected: Outcome) -> None:
    facts = accepting(*((each, (GOOD,)) for each in versions))
    assert ledger(checks.test_old_versions_are_refused, facts).outcome is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", PASSED),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", WARNED),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", WARNED),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CCM", PASSED),
        ("TLS_RSA_WITH_NULL_SHA256", FAILED),
        ("TLS_NULL_WITH_NULL_NULL", FAILED),
        ("TLS_ECDHE_RSA_WITH_NULL_SHA", FAILED),
        ("TLS_DH_anon_WITH_AES_128_GCM_SHA256", FAILED),
        ("TLS_ECDH_anon_WITH_AES_256_CBC_SHA", FAILED),
        ("TLS_RSA_EXPORT_WITH_RC4_40_MD5", FAILED),
        ("TLS_RSA_EXPORT_WITH_DES40_CBC_SHA", FAILED),
        ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", FAILED),
        ("TLS_RSA_WITH_DES_CBC_SHA", FAILED),
        ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", FAILED),
        ("SSL_CK_DES_192_EDE3_CBC_WITH_MD5", FAILED),
        ("SSL_CK_RC2_128_CBC_EXPORT40_WITH_MD5", FAILED),
        ("TLS_RSA_WITH_IDEA_CBC_SHA", FAILED),
    ],
)
def test_suites(name: str, expected: Outcome) -> None:
    facts = accepting(("TLSv1.2", (GOOD, suite(name))), TLS_1_3)
    assert ledger(checks.test_weak_ciphers_are_refused, facts).outcome is expected


def test_no_forward_secrecy_in_a_version_and_weak_parameters() -> None:
    judged = checks.test_weak_ciphers_are_refused
    static = suite("TLS_RSA_WITH_AES_128_GCM_SHA256")
    assert ledger(judged, accepting(("TLSv1.2", (static,)), TLS_1_3)).outcome is FAILED
    for bits, expected in ((512, FAILED), (1024, FAILED), (2047, FAILED), (2048, PASSED), (4096, PASSED), (0, PASSED)):
        dhe = suite("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", bits)
        assert ledger(judged, accepting(("TLSv1.2", (GOOD, dhe)))).outcome is expected, bits


def test_no_version_at_all_is_no_pass() -> None:
    assert ledger(checks.test_weak_ciphers_are_refused, accepting()).outcome is ERRORED


# -- attacks and profile


def attacked(*states: bool | None) -> TlsAttacks:
    attacks = tuple(Attack(f"n{number}", state, "") for number, state in enumerate(states))
    return TlsAttacks((AttackedServer("a:443", None, attacks),))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((False,) * 6, PASSED),
        ((False, False, False, True, False, False), FAILED),
        ((False, False, None, False, False, False), ERRORED),
        ((None, True, False, False, False, False), FAILED),
        ((False,) * 5, ERRORED),
    ],
)
def test_attacks(states: tuple[bool | None, ...], expected: Outcome) -> None:
    assert ledger(checks.test_known_attacks_fail, attacked(*states)).outcome is expected


def test_what_sslyze_tells_of_attacks() -> None:
    from pytest_prodcheck.evidence.tls.sslyze_scans import _attack

    told: dict[str, list[tuple[dict[str, Any], bool | None]]] = {
        "heartbleed": [({"is_vulnerable_to_heartbleed": True}, True), ({"is_vulnerable_to_heartbleed": False}, False)],
        "openssl_ccs_injection": [({"is_vulnerable_to_ccs_injection": True}, True)],
        "robot": [
            ({"result": "VULNERABLE_STRONG_ORACLE"}, True), ({"result": "VULNERABLE_WEAK_ORACLE"}, True),
            ({"result": "NOT_VULNERABLE_NO_ORACLE"}, False), ({"result": "UNKNOWN_INCONSISTENT_RESULTS"}, None),
            ({"problem": "connection reset"}, None),
        ],
        "tls_compression": [({"supports_compression": True}, True), ({"supports_compression": False}, False)],
        "session_renegotiation": [
            ({"is_vulnerable_to_client_renegotiation_dos": True, "supports_secure_renegotiation": True}, True),
            ({"is_vulnerable_to_client_renegotiation_dos": False, "supports_secure_renegotiation": False}, True),
            ({"is_vulnerable_to_client_renegotiation_dos": False, "supports_secure_renegotiation": True}, False),
        ],
        "tls_fallback_scsv": [({"supports_fallback_scsv": False}, True), ({"supports_fallback_scsv": True}, False)],
    }  # fmt: skip
    for name, cases in told.items():
        for plain, expected in cases:
            assert _attack(name, plain).open is expected, (name, plain)


def test_profile() -> None:
    good = TlsProfile("intermediate", "5.7", (ProfiledServer("a:443"),))
    bad = TlsProfile("intermediate", "5.7", (ProfiledServer("a:443", None, (("ciphers", "weak"),)),))
    assert ledger(checks.test_server_keeps_the_declared_profile, good).outcome is PASSED
    assert ledger(checks.test_server_keeps_the_declared_profile, bad).outcome is FAILED


# -- nothing known, nothing passed

SILENT_ONE = TlsCertificates((ServedCertificate("a:443", SILENT),), 1, 1)
UNKNOWN: list[tuple[Callable[..., None], Any, tuple[Any, ...]]] = [
    (checks.test_a_trusted_ca_stands_behind_the_certificate, SILENT_ONE, ()),
    (checks.test_the_certificate_is_for_the_name, SILENT_ONE, ()),
    (checks.test_certificate_outlives_its_renewal, SILENT_ONE, (EXPIRY,)),
    (checks.test_keys_are_long_enough, SILENT_ONE, ()),
    (checks.test_signatures_are_sound, SILENT_ONE, ()),
    (checks.test_certificate_is_not_revoked, SILENT_ONE, ()),
    (checks.test_old_versions_are_refused, TlsSuites((AcceptedSuites("a:443", SILENT),)), ()),
    (checks.test_weak_ciphers_are_refused, TlsSuites((AcceptedSuites("a:443", SILENT),)), ()),
    (checks.test_known_attacks_fail, TlsAttacks((AttackedServer("a:443", SILENT),)), ()),
    (checks.test_server_keeps_the_declared_profile, TlsProfile("old", "", (ProfiledServer("a:443", SILENT),)), ()),
]  # fmt: skip


@pytest.mark.parametrize(("check", "facts", "more"), UNKNOWN, ids=lambda each: getattr(each, "__name__", ""))
def test_a_silent_address_is_errored(check: Callable[..., None], facts: Any, more: tuple[Any, ...]) -> None:
    made = ledger(check, facts, *more)
    assert made.outcome is ERRORED
    assert "a:443: no answer" in made.reasons()[0]


@pytest.mark.parametrize(
    ("check", "facts"),
    [
        (checks.test_a_trusted_ca_stands_behind_the_certificate, TlsCertificates((), 1, 1)),
        (checks.test_old_versions_are_refused, TlsSuites(())),
        (checks.test_known_attacks_fail, TlsAttacks(())),
        (checks.test_server_keeps_the_declared_profile, TlsProfile("old", "", ())),
    ],
    ids=["certificates", "suites", "attacks", "profile"],
)
def test_no_address_is_no_pass(check: Callable[..., None], facts: Any) -> None:
    """Row 24."""
    assert ledger(check, facts).outcome is ERRORED


def test_a_bad_address_beside_a_silent_one_is_failed() -> None:
    """Row 43: all are judged."""
    both = TlsSuites((AcceptedSuites("a:443", SILENT), AcceptedSuites("b:443", None, (("TLSv1.0", (GOOD,)),))))
    made = ledger(checks.test_old_versions_are_refused, both)
    assert made.outcome is FAILED
    assert {each.of for each in made.judgements if each.outcome is not PASSED} == {"a:443", "b:443"}
