"""`tls-certificate` and `tls-name`: what each address serves, had by a handshake or two, without a scan."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.tls_targets import policy
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.network.certificate_names import is_for, subject_names
from pytest_prodcheck.evidence.network.nodes import connect
from pytest_prodcheck.evidence.tls import x509 as certificates
from pytest_prodcheck.evidence.tls.endpoints import each_address, endpoints, first_address
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.tls import ServedCertificate, TlsCertificates

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
    from pytest_prodcheck.evidence.tls.endpoints import TlsEndpoint
    from pytest_prodcheck.evidence.tls.handshake import Auth, Handshake

NAMES_SHOWN = 100  # judged are all
_ENDED, _NOT_YET = 10, 9  # of openssl/x509_vfy.h; of the server's own certificate they are judged apart
_ABOUT_STRENGTH = (66, 67, 68)  # key, CA key or digest too weak for OpenSSL's security level: judged apart
_UNKNOWN_CA = (2, 19, 20, 21)
_WORDS = {
    9: "a CA certificate on the way is not yet valid",
    10: "a CA certificate on the way has expired",
    18: "it is self-signed, and not among the trusted certificates",
    24: "a certificate on the way is no CA's",
    26: "it may not be used for a TLS server",
    79: "a certificate on the way is no CA's",
}


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    what = "TLS handshake for the certificate, with each address"
    return tuple(Sending(each.address, what, 2) for each in endpoints(target, environment))


def _seconds(target: str, environment: Environment) -> float:
    # the rest is for imports where the machine is busy
    return 2 * max(each.timeout for each in endpoints(target, environment)) + 10


@evidence("tls-certificate", axis="tls", seconds=_seconds, host=first_address, sends=_sends)
def tls_certificate(target: str, context: Context, deadline: Deadline) -> TlsCertificates:
    """The certificates of every address, each with what stands behind it; a silent address has its own problem."""
    return _gather(target, context, deadline)


@evidence(
    "tls-name",
    axis="tls",
    feature="name",
    seconds=_seconds,
    host=first_address,
    sends=lambda target, environment: (),  # the handshakes of tls-certificate
)
def tls_name(target: str, context: Context, deadline: Deadline) -> TlsCertificates:
    """The same certificates, where clients look at the name."""
    return _gather(target, context, deadline)


def _gather(target: str, context: Context, deadline: Deadline) -> TlsCertificates:
    try:
        import OpenSSL  # noqa: F401
    except ImportError:
        what, hint = "looking at certificates needs pyOpenSSL", "pip install 'pytest-prodcheck[tls]'"
        raise EvidenceProblem(Problem("missing-extra", what, hint)) from None

    def ask(
        endpoint: TlsEndpoint, address: ResolvedAddress, where: str, until: Deadline
    ) -> tuple[ServedCertificate, ...]:
        first = _served_certificate(endpoint, address, where, context, until, "")
        return (first, *_second(first, endpoint, address, where, context, until))

    def failed(where: str, problem: Problem) -> tuple[ServedCertificate, ...]:
        return (ServedCertificate(where, problem),)

    def gather() -> TlsCertificates:
        told = each_address(target, context, deadline, ask, failed)
        expiry = policy(context.environment, target).expiry
        return TlsCertificates(tuple(one for each in told for one in each), expiry.warn, expiry.fail)

    return context.once(("tls-certificate", target), gather, deadline)


def _second(
    first: ServedCertificate,
    endpoint: TlsEndpoint,
    address: ResolvedAddress,
    where: str,
    context: Context,
    deadline: Deadline,
) -> tuple[ServedCertificate, ...]:
    """The certificate of the other key type that servers may have beside the one they prefer; () for none.

    Only TLS 1.2 tells them apart by its cipher suites: of a server that speaks nothing but 1.3 the first is seen.
    """
    others: dict[str, tuple[Auth, str]] = dict.fromkeys(("RSA", "RSASSA-PSS"), ("aECDSA", "EC"))
    auth, kind = others.get(first.sent[0].key, ("aRSA", "RSA"))
    try:
        found = _served_certificate(endpoint, address, f"{where}, {kind} key", context, deadline, auth)
    except EvidenceProblem as error:
        if error.problem.kind != "tls":
            raise
        return ()
    return (found,) if found.sent[0].fingerprint != first.sent[0].fingerprint else ()


def _served_certificate(
    endpoint: TlsEndpoint, address: ResolvedAddress, where: str, context: Context, deadline: Deadline, auth: Auth
) -> ServedCertificate:
    from pytest_prodcheck.evidence.tls.handshake import make_context, shake_hands
    from pytest_prodcheck.evidence.tls.starttls import start_tls

    part = deadline.at_most(endpoint.timeout)
    context.relies_on(endpoint.ca)
    key = ("tls-context", endpoint.ca, endpoint.certificate, endpoint.key, auth)
    tls = context.once(key, lambda: make_context(endpoint, context.root, auth), part)
    seen_at = time.time()
    with connect(where, address, part) as sock, part.guard(sock):
        sock.settimeout(part.seconds_left())
        try:
            if endpoint.starttls is not None:
                start_tls(sock, endpoint.starttls, endpoint.name, where)
        except OSError as error:
            part.seconds_left()
            what = f"{where}: the connection broke before TLS began ({error.strerror or type(error).__name__})"
            raise EvidenceProblem(Problem("reset", what)) from None
        shaken = shake_hands(sock, tls, endpoint.name, where, part)
    try:
        return _served(shaken, endpoint, where, seen_at)
    except ValueError as error:
        what = f"{where}: sent a certificate that cannot be read ({error})"
        raise EvidenceProblem(Problem("protocol", what)) from None


def _served(shaken: Handshake, endpoint: TlsEndpoint, where: str, seen_at: float) -> ServedCertificate:
    own = shaken.sent[0]
    sent = tuple(certificates.record(each) for each in shaken.sent)
    path = tuple(certificates.record(each) for each in shaken.path)
    names = subject_names(own)
    issuer = next((each for each in (*shaken.path[1:], *shaken.sent[1:]) if each.subject == own.issuer), None)
    must, ocsp, lists = certificates.asks(own)
    return ServedCertificate(
        where, None, shaken.version, sent, path, _trust_error(shaken), names[:NAMES_SHOWN], endpoint.name,
        is_for(names, endpoint.name, common_name=endpoint.starttls == "postgres"),
        seen_at, must, ocsp, lists, certificates.staple(shaken.staple, own, issuer, seen_at),
        endpoint.ca is None, endpoint.browsers,
        certificates.is_logged(own) if endpoint.ca is None and certificates.end_at_a_browsers_root(path) else None,
    )  # fmt: skip


def _trust_error(shaken: Handshake) -> str:
    """The first of OpenSSL's complaints about the way to a trusted CA, in words."""
    for error, depth in shaken.errors:
        if (error in (_ENDED, _NOT_YET) and depth == 0) or error in _ABOUT_STRENGTH:
            continue
        if error in _UNKNOWN_CA:
            return _unknown(shaken.sent)
        return _WORDS.get(error, f"OpenSSL's error {error} at depth {depth}")
    return ""


def _unknown(sent: list[Any]) -> str:
    last = sent[-1]
    if last.subject == last.issuer:
        return f"its CA is not trusted ({last.subject.rfc4514_string()})"
    issuer = last.issuer.rfc4514_string()
    if len(sent) == 1:
        return f"its issuer {issuer} was not sent and is not trusted: the chain is incomplete, or its CA is not known"
    return f"the chain ends at {issuer}, which was not sent and is not trusted"
