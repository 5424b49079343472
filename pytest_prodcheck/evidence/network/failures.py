"""What went wrong with an exchange, in one of the kinds of problems, with what to do about it."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.answers.http_heads import CutAnswer, LargeHead, NotHttp
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

NO_ANSWER = ("timeout", "refused", "unreachable", "reset", "dns", "tls")  # kinds of problems: nothing came back
_CHAIN = (18, 19, 20, 21)  # X509_V_ERR_*: self-signed, or the issuer is not known
_EXPIRED, _NOT_YET, _NAME, _ADDRESS = 10, 9, 62, 64
_WEAK = (66, 67, 68)  # key, CA key or digest below the security level of this machine's OpenSSL
# alerts by which a server refuses the client's certificate, or the lack of one (RFC 8446, 6.2)
_OUR_CERTIFICATE = re.compile(
    r"alert (?:certificate (?:required|expired|revoked|unknown)|bad certificate|unsupported certificate|unknown ca"
    r"|access denied)"
)


def worth_another_try(problem: Problem) -> bool:
    """Whether the network may just have hiccuped: a broken or refused connection, a silent name server."""
    temporary = problem.kind == "dns" and any(
        word in problem.message.lower() for word in ("temporary", "servfail", "no answer")
    )
    return problem.kind in ("reset", "refused") or temporary


def classify(error: BaseException, what: str, deadline: Deadline, peer: str) -> Problem:
    """The problem that an exception of an exchange stands for. what: "GET https://…"."""
    if isinstance(error, EvidenceProblem) and error.problem.kind != "timeout":
        known = error.problem
        return known if known.message.startswith(what) else Problem(known.kind, f"{what}: {known.message}", known.hint)
    if deadline.expired:
        took = (
            f"no whole answer within {deadline.seconds:.3g} s"
            if peer
            else f"no connection within {deadline.seconds:.3g} s"
        )
        return Problem("timeout", f"{what}: {took}", "is it overloaded, or is a firewall in between?")
    if isinstance(error, EvidenceProblem):
        return Problem("timeout", f"{what}: {error.problem.message}", error.problem.hint)
    if isinstance(error, CutAnswer):
        cut = f"the answer {error}" if str(error) else "the connection was closed before an answer"
        return Problem("reset", f"{what}: {cut}")
    from http.client import HTTPException  # of exchanges that a library does: Kubernetes' client

    causes = list(_causes(error))
    for cause in causes:
        problem = _certificate(cause, what) or _connection(cause, what)
        if problem is not None:
            return problem
    for cause in causes:
        if isinstance(cause, LargeHead):
            return Problem("too-large", f"{what}: {cause}")
        if isinstance(cause, (NotHttp, HTTPException, UnicodeError)):
            said = sanitizing.plain(str(cause))
            return Problem("protocol", f"{what}: the answer is not HTTP ({said})", "is this the right port?")
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            return Problem("reset", f"{what}: {cause.strerror}")
    return Problem("internal", f"{what}: {type(error).__name__}: {sanitizing.plain(str(error))}")


def _certificate(cause: BaseException, what: str) -> Problem | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        hints = {
            _EXPIRED: "renew the certificate",
            _NOT_YET: "is a clock wrong?",
            _NAME: "the certificate is for other names than the URL's",
            _ADDRESS: "the certificate is for other names than the URL's",
        }
        hint = (
            "does the server send its intermediate certificates? name a private CA in tls.ca"
            if cause.verify_code in _CHAIN
            else hints.get(cause.verify_code, "")
        )
        if cause.verify_code in _WEAK:
            said = sanitizing.plain(cause.verify_message)
            return Problem("configuration", f"{what}: this machine's OpenSSL refuses the certificate: {said}")
        return Problem("tls", f"{what}: the certificate is not trusted: {sanitizing.plain(cause.verify_message)}", hint)
    if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Problem("reset", f"{what}: the connection was closed within TLS")
    if isinstance(cause, ssl.SSLError):
        reason = str(cause.reason or cause).replace("_", " ").lower()
        if _OUR_CERTIFICATE.search(reason):
            refused = f"{what}: it refuses our side of TLS: {sanitizing.plain(reason)}"
            return Problem("denied", refused, "name a client certificate that it takes in tls.certificate")
        hint = "does it speak TLS on this port?" if "wrong version" in reason or "http request" in reason else ""
        if "alert handshake failure" in reason:
            hint = "does it ask for a client certificate? name it in tls.certificate"
        return Problem("tls", f"{what}: TLS failed: {sanitizing.plain(reason)}", hint)
    return None


def _connection(cause: BaseException, what: str) -> Problem | None:
    from http.client import IncompleteRead

    if isinstance(cause, IncompleteRead):
        return Problem("reset", f"{what}: the answer was cut off in its body")
    if isinstance(cause, EvidenceProblem):
        return Problem(cause.problem.kind, f"{what}: {cause.problem.message}", cause.problem.hint)
    if isinstance(cause, ConnectionRefusedError):
        return Problem("refused", f"{what}: connection refused")
    if isinstance(cause, (ConnectionError, BrokenPipeError)):
        return Problem("reset", f"{what}: the connection was reset")
    if isinstance(cause, (TimeoutError, socket.timeout)):
        return Problem("timeout", f"{what}: no answer in time")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it wraps, the innermost first: urllib3 and requests wrap several times."""
    seen: list[BaseException] = []
    stack: list[object] = [error]
    while stack:
        each = stack.pop()
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            stack += [each.__context__, each.__cause__, getattr(each, "reason", None), *each.args]
    return reversed(seen)
