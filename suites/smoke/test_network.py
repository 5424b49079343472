"""Names and ports of the dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import NameAnswer, PortAnswer


@check("smoke.dns.resolves", severity="critical", runbook="dns")
def test_name_resolves(dns_name: NameAnswer) -> None:
    """The declared name resolves, and to the declared addresses if there are any."""
    judge("addresses", len(dns_name.addresses), at_least=1, reason=f"{dns_name.name} has no address")
    for address in dns_name.expected:
        judge("declared address is there", address in dns_name.addresses, of=address, reason="not among the answers")


@check("smoke.tcp.open", severity="critical", runbook="tcp")
def test_port_accepts(tcp_port: PortAnswer) -> None:
    """The declared port accepts a connection."""
    judge("port", tcp_port.accepted, reason=tcp_port.reason)
