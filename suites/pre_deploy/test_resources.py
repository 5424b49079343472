"""Hosts: is there room for what a deployment takes for a while: processor, memory, disk, inodes?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import HostsMounts, HostsUse


def _insist_on_hosts(found: int, expected: int) -> None:
    """Raises EvidenceProblem where hosts are missing: how those are nobody knows."""
    if found < expected:
        hint = "are the hosts scraped, do the matchers select them, or is `expect` too high?"
        raise EvidenceProblem(Problem("empty", f"{found} hosts were found, {expected} are expected", hint))


@check("pre_deploy.resources.cpu", severity="high", limit=Limit(warn="70%", fail="90%"), runbook="resources")
def test_processors_have_room(host_use: HostsUse, limit: Limit) -> None:
    """Mean CPU usage of each host, over five minutes if the source has them."""
    _insist_on_hosts(len(host_use.hosts), host_use.expected)
    for each in host_use.hosts:
        share = None if each.cpu is None else 100 * each.cpu
        judge("processor", share, at_most=limit, unit="%", of=each.name, reason=each.why)


@check("pre_deploy.resources.memory", severity="high", limit=Limit(warn="80%", fail="95%"), runbook="resources")
def test_memory_has_room(host_use: HostsUse, limit: Limit) -> None:
    """Memory of each host that is not available; page cache counts as available."""
    _insist_on_hosts(len(host_use.hosts), host_use.expected)
    for each in host_use.hosts:
        share = None if each.memory is None else 100 * each.memory
        judge("memory", share, at_most=limit, unit="%", of=each.name, reason=each.why)


@check("pre_deploy.resources.disk", severity="high", limit=Limit(warn="85%", fail="95%"), runbook="resources-disk")
def test_disks_have_room(host_mounts: HostsMounts, limit: Limit) -> None:
    """Used space of each declared mount point, as `df` shows it; none became read-only."""
    _insist_on_hosts(host_mounts.hosts, host_mounts.expected)
    for each in host_mounts.mounts:
        share = None if each.space is None else 100 * each.space
        judge("disk", share, at_most=limit, unit="%", of=each.name, reason=each.why)
        if each.became_read_only:
            told = "it became read-only: look for errors of the disk in the kernel's log"
            judge("is writable", False, of=each.name, reason=told)


@check("pre_deploy.resources.inodes", severity="high", limit=Limit(warn="85%", fail="95%"), runbook="resources-disk")
def test_inodes_are_left(host_mounts: HostsMounts, limit: Limit) -> None:
    """Used inodes of each declared mount point; a file system without a fixed number passes."""
    _insist_on_hosts(host_mounts.hosts, host_mounts.expected)
    for each in host_mounts.mounts:
        if not each.counted and not each.why:
            judge("has no fixed number of inodes", True, of=each.name)
            continue
        share = None if each.inodes is None else 100 * each.inodes
        judge("inodes", share, at_most=limit, unit="%", of=each.name, reason=each.why)
