"""What lies open beside a service's pages: files, debug pages, directory listings, methods, ports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import Exposure, Methods, OpenPorts, Probe

UNUSUAL = ("TRACE", "TRACK", "DEBUG", "CONNECT", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK")


def _judge_probes(probes: Sequence[Probe], known: Iterable[str], missing: Sequence[Probe]) -> None:
    """Judges contents, not statuses; what random names show too is the page for everything that is not there."""
    everywhere = {sign for probe in missing for sign in probe.signs}
    unclear = [f"{probe.path} answered {probe.status}" for probe in probes if _is_unclear(probe)]
    for probe in probes:
        found = [sign for sign in probe.signs if sign in known and sign not in everywhere]
        judge("exposure", not found, of=probe.path, reason=f"it shows {', '.join(found)}")
    if unclear:
        raise EvidenceProblem(Problem("protocol", f"{', '.join(unclear[:5])}: such answers do not show what exists"))


def _is_unclear(probe: Probe) -> bool:
    """A limiter, a proxy or a crash: nothing was seen of the content, and nothing was refused."""
    return not probe.signs and (probe.status == 429 or probe.status >= 500)


@check("security.exposure.files", severity="critical", runbook="exposure-files")
def test_files_do_not_lie_open(http_exposure: Exposure) -> None:
    """Repositories, environment files, dumps, archives and keys are not served; the content decides."""
    known = {probe.what for probe in http_exposure.files}
    _judge_probes(http_exposure.files, known, http_exposure.missing)


@check("security.exposure.debug", severity="critical", runbook="exposure-debug")
def test_debug_pages_do_not_lie_open(http_exposure: Exposure) -> None:
    """Debug and status pages (actuator, phpinfo, profilers, consoles) are not served to visitors."""
    known = {probe.what for probe in http_exposure.debug}
    _judge_probes(http_exposure.debug, known, http_exposure.missing)


@check("security.exposure.listing", severity="critical", runbook="exposure-listing")
def test_folders_are_not_listed(http_exposure: Exposure) -> None:
    """Folders, also those that the front page loads from, do not list their content."""
    known = {probe.what for probe in http_exposure.folders}
    _judge_probes(http_exposure.folders, known, http_exposure.missing)


@check("security.exposure.methods", severity="critical", runbook="exposure-methods")
def test_unusual_methods_do_nothing(http_methods: Methods) -> None:
    """TRACE and TRACK echo no header, and WebDAV lists nothing; the response decides (RFC 9110, 9.3.8)."""
    unclear = []
    for answer in http_methods.answers:
        status = answer.exchange.status
        judge("method", not answer.echoed, of=answer.method, reason=f"answered {status} and executed the method")
        if not answer.echoed and (status == 429 or (status >= 500 and status not in (501, 505))):
            unclear.append(f"{answer.method} answered {status}")
    offered = [method for method in http_methods.allowed if method in UNUSUAL]
    said = f"OPTIONS announces {', '.join(offered)}" if offered else "OPTIONS announces WebDAV"
    judge("offered methods", not (offered or http_methods.dav), warn_only=True, reason=said)
    if unclear:
        raise EvidenceProblem(Problem("protocol", f"{', '.join(unclear)}: that is not a refusal"))


@check(
    "security.exposure.ports",
    severity="medium",
    runbook="exposure-ports",
    opt_in="connects to every declared port of the hosts under `exposure`, as a port scan does",
)
def test_no_port_is_open_that_is_not_meant_to_be(tcp_ports: OpenPorts) -> None:
    """Only the expected ports of a host accept connections."""
    judge("expected ports that are open", len(set(tcp_ports.expected) & set(tcp_ports.open)), at_least=1)
    others = [port for port in tcp_ports.open if port not in tcp_ports.expected]
    for port in others[:50]:
        judge("unexpected port", False, of=f"{tcp_ports.host}:{port}", reason="it accepts connections")
    judge("unexpected ports", len(others), at_most=0, of=tcp_ports.host)
    if tcp_ports.problem is not None:
        raise EvidenceProblem(tcp_ports.problem)
