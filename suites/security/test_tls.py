"""TLS: certificates, versions, ciphers, known attacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import (
        Certificate,
        CipherSuite,
        Problem,
        ServedCertificate,
        TlsAttacks,
        TlsCertificates,
        TlsProfile,
        TlsSuites,
    )

DAY = 86400.0
SKEW = 300.0  # seconds that clocks may differ, as OpenSSL has it for OCSP
LONGEST_STAPLE = 10 * DAY  # where no end is told: CA/Browser Forum baseline requirements, 4.9.10
SECURE = ("TLSv1.2", "TLSv1.3")  # RFC 8996 deprecates 1.0 and 1.1, RFC 7568 SSL 3.0, RFC 6176 SSL 2.0
RSA, EC = 2048, 256  # bits: CA/Browser Forum baseline requirements, 6.1.5
EXPONENT = 65537  # CA/Browser Forum baseline requirements, 6.1.6
DH = 2048  # bits: RFC 9325, 4.4 (logjam)
ATTACKS = 6
BROKEN_HASHES = ("sha1", "md5", "md4", "md2")
FORWARD = ("_ECDHE_", "_DHE_")


class _Looked(Protocol):
    """What is known of one address, or why nothing is."""

    @property
    def address(self) -> str: ...
    @property
    def problem(self) -> Problem | None: ...


Seen = TypeVar("Seen", bound=_Looked)


def _known(what: str, each: Sequence[Seen]) -> Iterator[Seen]:
    """The addresses of which something is known; the others, and none at all, are errored and never passed."""
    judge("addresses", len(each) or None, at_least=1)
    for one in each:
        if one.problem is None:
            yield one
        else:
            judge(what, None, one_of=(), of=one.address, reason=str(one.problem))


@check("security.tls.trust", severity="critical", runbook="tls-trust")
def test_a_trusted_ca_stands_behind_the_certificate(tls_certificate: TlsCertificates) -> None:
    """Every address sends a chain to a trusted CA, and its certificate is already valid."""
    for served in _known("chain", tls_certificate.served):
        judge("chain to a trusted CA", not served.distrust, of=served.address, reason=served.distrust)
        own = served.sent[0]
        early = own.not_before - served.seen_at
        judge("valid already", early <= 0, of=served.address, reason=f"only in {_time(early)}")
        why = "it is a CA certificate (CA:TRUE): Firefox refuses it, and its key can sign other certificates"
        judge("a server's certificate", not own.ca, of=served.address, warn_only=own.self_signed, reason=why)
        for place, each in enumerate(served.sent[1:], 1):
            if not served.distrust and each.not_after < served.seen_at and each not in served.path:
                over = _time(served.seen_at - each.not_after)
                why = f"{each.subject}, issued by {each.issuer}, expired {over} ago: older clients follow it and refuse"
                judge("needless certificate", False, of=f"{served.address}, sent as number {place + 1}", warn_only=True,
                      reason=why)  # fmt: skip
        if served.public and served.browsers and served.logged is False:
            why = "it has no proof of a transparency log (SCT), without which Chromium and Safari refuse it"
            judge("transparency", False, of=served.address, warn_only=True, reason=why)
        if served.public:
            longest, lifetime = _longest(own.not_before), (own.not_after - own.not_before) / DAY
            why = f"it is valid for {lifetime:.0f} days; the CA/Browser Forum allows {longest}"
            judge("lifetime", lifetime <= longest, of=served.address, warn_only=True, reason=why)


def _longest(begin: float) -> int:
    """Days that a certificate for public names may be good for (CA/Browser Forum, SC-081): by its first day."""
    steps = ((1868227200.0, 47), (1805068800.0, 100), (1773532800.0, 200))  # 2029-03-15, 2027-03-15, 2026-03-15
    return next((days for since, days in steps if begin >= since), 398)


@check("security.tls.hostname", severity="critical", runbook="tls-hostname")
def test_the_certificate_is_for_the_name(tls_name: TlsCertificates) -> None:
    """The certificate of every address contains the name that clients use."""
    for served in _known("name", tls_name.served):
        told = ", ".join(served.names[:5]) or "no name"
        judge(
            "certificate's name",
            served.for_name,
            of=served.address,
            reason=f"the certificate is for {told}, not for {served.name}",
        )


@check("security.tls.expiry", severity="critical", limit=Limit(warn="25%", fail="10%"), runbook="renew-certificate")
def test_certificate_outlives_its_renewal(tls_certificate: TlsCertificates, limit: Limit) -> None:
    """The certificate and its CAs have enough lifetime left for a renewal: a share, at most 21 and 7 days."""
    for served in _known("lifetime left", tls_certificate.served):
        for place, each in enumerate(served.path or served.sent[:1]):  # the first end on the path ends it all
            lifetime, left = each.not_after - each.not_before, each.not_after - served.seen_at
            share = 100 * left / lifetime if lifetime > 0 else None
            late = [100 * one / lifetime if lifetime > 0 else 0.0 for one in _within(tls_certificate)]
            ended = f"the certificate expired {_time(-left)} ago" if left < 0 else f"{_time(left)} of {_time(lifetime)}"
            judge("lifetime left", share, at_least=limit.no_higher_than(late[0], late[1], "%"), unit="%",
                  of=_place(served, place), reason=f"{each.subject}: {ended}" if place else ended)  # fmt: skip


def _within(certificates: TlsCertificates) -> tuple[float, float]:
    return certificates.warn_within, certificates.fail_within


def _time(seconds: float) -> str:
    return f"{seconds / DAY:.1f} days" if abs(seconds) >= DAY else f"{seconds / 3600:.1f} hours"


@check("security.tls.key", severity="high", runbook="tls-key",
       fixed={"RSA key, in bits": Limit(fail=RSA), "EC key, in bits": Limit(fail=EC),
              "usual RSA exponent": Limit(warn=EXPONENT)})  # fmt: skip
def test_keys_are_long_enough(tls_certificate: TlsCertificates) -> None:
    """Keys of the certificate and of its CAs are long enough: RSA 2048 bits, EC 256, or Ed25519 and Ed448."""
    for served in _known("key", tls_certificate.served):
        for place, each in enumerate(served.path or served.sent[:1]):
            of = _place(served, place)
            if each.key in ("Ed25519", "Ed448"):
                judge("key", each.key, one_of=("Ed25519", "Ed448"), of=of)
            elif judge("kind of key", each.key, one_of=("RSA", "RSASSA-PSS", "EC"), of=of):
                judge(f"{each.key} key", each.bits, at_least=EC if each.key == "EC" else RSA, unit="bits", of=of)
            if each.exponent:
                why = f"its exponent is {each.exponent}"
                judge("RSA exponent", each.exponent > 1 and each.exponent % 2 == 1, of=of, reason=why)
                judge("usual RSA exponent", each.exponent >= EXPONENT, of=of, warn_only=True, reason=why)
        own = served.sent[0]
        if served.browsers and all(_strange(each.sent[0]) for each in _beside(served, tls_certificate)):
            why = f"it is {own.key} of {own.bits} bits: Chromium refuses the handshake"
            judge("key that browsers take", False, of=served.address, reason=why)
        if served.sent[0].signs is False:
            why = "its keyUsage has no digitalSignature, which every handshake with forward secrecy needs"
            judge("key may sign handshakes", False, of=served.address, reason=why)


@check("security.tls.signature", severity="high", runbook="tls-signature")
def test_signatures_are_sound(tls_certificate: TlsCertificates) -> None:
    """No signature of the certificate or its CAs uses SHA-1 or MD5; a root's self-signature does not count."""
    for served in _known("signature", tls_certificate.served):
        path = served.path or served.sent[:1]
        for place, each in enumerate(path):
            if place and (each.self_signed or (place == len(path) - 1 and not served.distrust)):
                continue
            broken = any(name in each.signature_hash.lower().replace("-", "") for name in BROKEN_HASHES)
            judge("signature", not broken, of=_place(served, place), reason=f"signed with {each.signature_hash}")


def _strange(own: Certificate) -> bool:
    """Whether it is of a kind that browsers do not offer to accept, however good it is: Chromium takes P-256, P-384."""
    return own.key in ("Ed25519", "Ed448", "RSASSA-PSS") or (own.key == "EC" and own.bits == 521)


def _beside(served: ServedCertificate, all_of_them: TlsCertificates) -> list[ServedCertificate]:
    """The certificates that the same address serves to clients with other wishes."""
    own = served.address.partition(", ")[0]
    return [each for each in all_of_them.served if each.problem is None and each.address.partition(", ")[0] == own]


def _place(served: ServedCertificate, place: int) -> str:
    return served.address if place == 0 else f"{served.address}, CA {place}"


@check("security.tls.revocation", severity="medium", runbook="tls-revocation",
       fixed={"remaining validity of a stapled OCSP answer": Limit(fail=f"{SKEW:.0f}s"),
              "age of a stapled OCSP answer without an end date": Limit(fail=f"{LONGEST_STAPLE:.0f}s")})  # fmt: skip
def test_certificate_is_not_revoked(tls_certificate: TlsCertificates) -> None:
    """The stapled OCSP response is good and present if required; the certificate is not revoked."""
    for served in _known("revocation", tls_certificate.served):
        staple, of = served.staple, served.address
        if staple is None:
            judge(
                "OCSP answer that the certificate requires (must-staple)",
                not served.must_staple,
                of=of,
                reason="no answer is stapled",
            )
            if not served.must_staple:
                why = "its CA has an OCSP responder, but the server staples no OCSP answer"
                judge("stapled OCSP answer", not served.ocsp, of=of, warn_only=True, reason=why)
            continue
        judge("stapled OCSP answer counts", not staple.problem, of=of, reason=staple.problem)
        judge("certificate is not revoked", staple.status, equals="good", of=of, reason=f"its CA says {staple.status}")
        early, age = staple.good_from - served.seen_at, served.seen_at - staple.good_from
        judge("stapled OCSP answer is already valid", early <= SKEW, of=of, reason=f"only in {_time(early)}")
        until = staple.good_until if staple.good_until is not None else staple.good_from + LONGEST_STAPLE
        over, of_age = served.seen_at - until, f"; it is {_time(age)} old" if staple.good_until is None else ""
        why = f"it expired {_time(over)} ago{of_age}"
        judge("stapled OCSP answer is fresh", over <= 0, of=of, reason=why)


@check("security.tls.protocols", severity="critical", runbook="tls-protocols")
def test_old_versions_are_refused(tls_suites: TlsSuites) -> None:
    """Every address accepts TLS 1.2 or 1.3 and nothing older; without TLS 1.3 it warns."""
    for accepted in _known("versions", tls_suites.accepted):
        spoken = [version for version, _ in accepted.versions]
        old = [version for version in spoken if version not in SECURE]
        judge("old versions", not old, of=accepted.address, reason=f"it speaks {', '.join(old)}")
        judge("a current TLS version", any(each in SECURE for each in spoken), of=accepted.address)
        judge(
            "TLS 1.3", "TLSv1.3" in spoken, of=accepted.address, warn_only=True, reason="the server does not support it"
        )


@check("security.tls.ciphers", severity="high", runbook="tls-ciphers",
       fixed={"Diffie-Hellman parameters, in bits": Limit(fail=DH)})  # fmt: skip
def test_weak_ciphers_are_refused(tls_suites: TlsSuites) -> None:
    """No broken cipher suite is accepted, and each version offers forward secrecy; CBC and static RSA warn."""
    for accepted in _known("ciphers", tls_suites.accepted):
        judge("versions", len(accepted.versions) or None, at_least=1, of=accepted.address)
        for version, suites in accepted.versions:
            _judge_suites(f"{accepted.address}, {version}", version, suites)


def _judge_suites(of: str, version: str, suites: Sequence[CipherSuite]) -> None:
    broken = [f"{each.name} ({why})" for each in suites if (why := _broken(each))]
    judge("broken ciphers", not broken, of=of, reason=f"it accepts {_list(broken)}")
    weak = [f"{each.exchange_bits} bits with {each.name}" for each in suites if _weak_exchange(each)]
    judge(
        "Diffie-Hellman parameters",
        not weak,
        of=of,
        reason=f"the server uses {_list(weak)}, at least {DH} bits are required",
    )
    static = [each.name for each in suites if not _forward(version, each)]
    if judge("forward secrecy", len(static) < len(suites), of=of, reason=f"it accepts only {_list(static)}"):
        why = f"it accepts {_list(static)}"
        judge("ciphers without forward secrecy", not static, of=of, warn_only=True, reason=why)
    cbc = [each.name for each in suites if "_CBC_" in each.name and not _broken(each)]
    judge("CBC ciphers", not cbc, of=of, warn_only=True, reason=f"it accepts {_list(cbc)}")


def _broken(suite: CipherSuite) -> str:
    """Why a suite is broken, "" where it is not (RFC 9325, 4.1; RFC 7465 for RC4; 3DES and DES: SWEET32)."""
    name = suite.name.upper()
    if suite.anonymous or "_ANON_" in name:
        return "anonymous"
    if "_NULL" in name.replace("_WITH_NULL_NULL", "_NULL"):
        return "no encryption"
    for word, why in (("EXPORT", "export"), ("RC4", "RC4"), ("3DES", "3DES"), ("_DES", "DES"), ("_RC2_", "RC2")):
        if word in name:
            return why
    return "IDEA" if "_IDEA_" in name else "MD5" if name.endswith("_MD5") else ""


def _forward(version: str, suite: CipherSuite) -> bool:
    return version == "TLSv1.3" or any(word in suite.name for word in FORWARD)


def _weak_exchange(suite: CipherSuite) -> bool:
    return "_DHE_" in suite.name and 0 < suite.exchange_bits < DH


def _list(names: Sequence[str]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")


@check("security.tls.attacks", severity="critical", runbook="tls-attacks")
def test_known_attacks_fail(tls_attacks: TlsAttacks) -> None:
    """No server is vulnerable to Heartbleed, CCS injection, ROBOT, CRIME, renegotiation or downgrade attacks."""
    for server in _known("attacks", tls_attacks.servers):
        tried = len(server.attacks) if len(server.attacks) >= ATTACKS else None
        judge("attacks tried", tried, at_least=ATTACKS, of=server.address)
        for attack in server.attacks:
            judge(attack.name, attack.open, equals=False, of=server.address, reason=attack.detail)


@check("security.tls.profile", severity="medium", runbook="tls-profile")
def test_server_keeps_the_declared_profile(tls_profile: TlsProfile) -> None:
    """Every address matches the Mozilla TLS profile that is declared for it."""
    for server in _known("profile", tls_profile.servers):
        told = "; ".join(text for _, text in server.deviations)
        judge(f"profile {tls_profile.profile}", not server.deviations, of=server.address, reason=told)
