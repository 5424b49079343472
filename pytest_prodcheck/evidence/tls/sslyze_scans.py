"""`tls-suites`, `tls-attacks` and `tls-profile`: what sslyze finds out about each address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pytest_prodcheck.environments.tls_targets import policy
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.tls.endpoints import each_address, endpoints, first_address
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.tls import (
    AcceptedSuites,
    Attack,
    AttackedServer,
    CipherSuite,
    ProfiledServer,
    TlsAttacks,
    TlsProfile,
    TlsSuites,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress
    from pytest_prodcheck.evidence.tls.endpoints import TlsEndpoint
    from pytest_prodcheck.evidence.tls.sslyze_client import Scanner

LONGEST = 60.0  # seconds for all that one scan may take, besides the time-outs of single handshakes
T = TypeVar("T")
HANDSHAKE = 5.0  # seconds that one of the scan's handshakes may take at most
_ATTACKS: dict[str, tuple[str, Callable[[dict[str, Any]], bool | None], str]] = {
    "heartbleed": ("Heartbleed", lambda told: told["is_vulnerable_to_heartbleed"], "it gives memory away"),
    "openssl_ccs_injection": (
        "CCS injection", lambda told: told["is_vulnerable_to_ccs_injection"], "it takes an early ChangeCipherSpec",
    ),
    "robot": (
        "ROBOT", lambda told: None if "UNKNOWN" in told["result"] else told["result"].startswith("VULNERABLE"),
        "it tells good RSA paddings from bad ones",
    ),
    "tls_compression": ("compression (CRIME)", lambda told: told["supports_compression"], "it compresses"),
    "session_renegotiation": (
        "client renegotiation",
        lambda told: told["is_vulnerable_to_client_renegotiation_dos"] or not told["supports_secure_renegotiation"],
        "it renegotiates as often as a client likes, or insecurely",
    ),
    "tls_fallback_scsv": (
        "downgrade (no TLS_FALLBACK_SCSV)", lambda told: not told["supports_fallback_scsv"],
        "it takes a lower version without asking why (RFC 7507)",
    ),
}  # fmt: skip


def _sending(what: str, times: int) -> Callable[[str, Environment], tuple[Sending, ...]]:
    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        return tuple(Sending(each.address, what, times) for each in endpoints(target, environment))

    return sends


def _seconds(target: str, environment: Environment) -> float:
    return LONGEST + max(each.timeout for each in endpoints(target, environment))


@evidence(
    "tls-suites", axis="tls", seconds=_seconds, host=first_address,
    sends=_sending("TLS handshake of the scan for versions and ciphers, at most, with each address", 600),
)  # fmt: skip
def tls_suites(target: str, context: Context, deadline: Deadline) -> TlsSuites:
    """The protocol versions and cipher suites that every address accepts."""

    def read(where: str, found: dict[str, Any]) -> AcceptedSuites:
        versions = tuple((name, tuple(map(_suite, some))) for name, some in sorted(found["versions"].items()))
        return AcceptedSuites(where, None, versions, tuple(found["silent"]))

    return TlsSuites(_scan("suites", target, context, deadline, read, AcceptedSuites))


def _suite(told: dict[str, Any]) -> CipherSuite:
    return CipherSuite(told["name"], told["bits"], told["anonymous"], told["exchange"], told["exchange_bits"])


@evidence(
    "tls-attacks", axis="tls", seconds=_seconds, host=first_address,
    sends=_sending("TLS handshake of the harmless probes for known attacks, at most, with each address", 60),
)  # fmt: skip
def tls_attacks(target: str, context: Context, deadline: Deadline) -> TlsAttacks:
    """How every address stands up to harmless probes for known attacks."""

    def read(where: str, found: dict[str, Any]) -> AttackedServer:
        return AttackedServer(where, None, tuple(_attack(name, told) for name, told in found["attacks"].items()))

    return TlsAttacks(_scan("attacks", target, context, deadline, read, AttackedServer))


def _attack(name: str, told: dict[str, Any]) -> Attack:
    title, judged, why = _ATTACKS[name]
    if "problem" in told:
        return Attack(title, None, plain(str(told["problem"]), 300))
    is_open = judged(told)
    return Attack(title, is_open, why if is_open else "its answers contradict each other" if is_open is None else "")


@evidence(
    "tls-profile", axis="tls", feature="profile", seconds=_seconds, host=first_address,
    sends=_sending("TLS handshake of the scan for the profile, at most, with each address", 40),
)  # fmt: skip
def tls_profile(target: str, context: Context, deadline: Deadline) -> TlsProfile:
    """Where every address departs from the declared profile, as sslyze's checker tells it."""
    profile = str(policy(context.environment, target).profile)
    versions: list[str] = []

    def read(where: str, found: dict[str, Any]) -> ProfiledServer:
        versions.append(found["version"])
        told = sorted(found["deviations"].items())
        return ProfiledServer(where, None, tuple((key, plain(_readable(text), 500)) for key, text in told))

    servers = _scan(f"profile:{profile}", target, context, deadline, read, ProfiledServer)
    return TlsProfile(profile, next(iter(versions), ""), servers)


def _readable(text: str) -> str:
    """What sslyze says, without Python's signs of a set."""
    return text.translate(str.maketrans("", "", "{}'")).rstrip(".")


def _scanner_of(context: Context) -> Scanner:
    """The one process that scans for a run, started at first use and ended when the gathering ends."""

    def start() -> Scanner:
        from pytest_prodcheck.evidence.tls.sslyze_client import Scanner

        scanner = Scanner()
        context.at_end(scanner.close)
        return scanner

    return context.once("tls-scanner", start)


def _scan(
    part: str,
    target: str,
    context: Context,
    deadline: Deadline,
    read: Callable[[str, dict[str, Any]], T],
    failed: Callable[[str, Problem], T],
) -> tuple[T, ...]:
    scanner = _scanner_of(context)

    def ask(endpoint: TlsEndpoint, address: ResolvedAddress, where: str, until: Deadline) -> T:
        found = scanner.ask(_request(endpoint, address, context, part), where, until)
        try:
            until.used(float(found["began"]))  # another piece may have asked before
            return read(where, found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{where}: sslyze's answer is not as it was expected ({type(error).__name__}: {error})"
            raise EvidenceProblem(Problem("internal", what, "is this version of sslyze supported?")) from None

    return each_address(target, context, deadline, ask, failed)


def _request(endpoint: TlsEndpoint, address: ResolvedAddress, context: Context, part: str) -> dict[str, Any]:
    def file(name: str | None) -> str | None:
        return None if name is None else str(context.root / name)

    server = (address.ip, address.port, endpoint.name, endpoint.starttls, endpoint.certificate)
    return {
        "part": part, "server": " ".join(map(str, server)),
        "name": endpoint.name.encode("idna").decode(), "ip": address.ip, "port": address.port,
        "starttls": endpoint.starttls, "certificate": file(endpoint.certificate), "key": file(endpoint.key),
        "timeout": min(endpoint.timeout, HANDSHAKE),
    }  # fmt: skip
