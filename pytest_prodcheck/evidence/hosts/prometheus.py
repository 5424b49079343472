"""Hosts by what their node_exporter told Prometheus (https://github.com/prometheus/node_exporter)."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.hosts.local import share
from pytest_prodcheck.evidence.monitoring import prometheus
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.hosts import HostUse, MountUse

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

MINUTES = 5.0
NOT_USED = 'mode=~"idle|iowait"'  # a processor that waits for a disk could do other work
SERIES = "node_filesystem_(size|free|avail)_bytes|node_filesystem_files(_free)?"
BEFORE = "14d"  # a file system that was read-only all the time is meant to be
RECENT = "2m"  # one scrape that failed is no news: the last number of so long holds
_SILENT = "no scrape of this host succeeded in the last two minutes"
_NONE = ("Prometheus has no such samples of this host in that period: is it a "
    "node_exporter, and is it scraped often enough?")


def resource_use(match: str, context: Context, deadline: Deadline) -> tuple[HostUse, ...]:
    """Mean of processor use over five minutes, and memory in use now, of each host that the matchers fit."""
    return _resource_use(match, f"{60 * MINUTES:.0f}s", RECENT, None, context, deadline)


def resource_use_between(
    match: str, began: float, ended: float, context: Context, deadline: Deadline
) -> tuple[HostUse, ...]:
    """Mean of processor use, and most memory in use, between two moments of our clock (epoch seconds)."""
    at = ended + prometheus.clock(context, deadline) - time.time()
    span = f"{max(1, round((ended - began) * 1000))}ms"
    return _resource_use(match, span, span, at, context, deadline)


def _resource_use(
    match: str, span: str, memory_span: str, at: float | None, context: Context, deadline: Deadline
) -> tuple[HostUse, ...]:
    where = selector(match)
    _refuse_merged(where, context, deadline, at)
    # shares of what was counted, so that a host that was started a minute ago is judged by that minute
    cpu = _by_host(
        f"1 - sum by (instance) (rate(node_cpu_seconds_total{{{NOT_USED},{where}}}[{span}]))"
        f" / sum by (instance) (rate(node_cpu_seconds_total{{{where}}}[{span}]))", context, deadline, at,
    )  # fmt: skip
    over = "last_over_time" if at is None else "min_over_time"
    memory = _by_host(
        f"1 - min by (instance) ({over}(node_memory_MemAvailable_bytes{{{where}}}[{memory_span}]))"
        f" / max by (instance) (last_over_time(node_memory_MemTotal_bytes{{{where}}}[{memory_span}]))",
        context, deadline, at,
    )  # fmt: skip
    up = _scrape_success(where, context, deadline, at)
    return tuple(
        HostUse(name, cpu.get(name), memory.get(name), _missing_reason(up.get(name), cpu.get(name), memory.get(name)))
        if up.get(name) != 0
        else HostUse(name, None, None, _SILENT)
        for name in sorted({*up, *cpu, *memory})
    )


def mounts(
    match: str, wanted: tuple[str, ...], context: Context, deadline: Deadline
) -> tuple[int, tuple[MountUse, ...]]:
    """How many hosts there are, and the space and inodes of their declared mount points."""
    where = selector(match)
    _refuse_merged(where, context, deadline)
    up = _scrape_success(where, context, deadline)
    paths = "|".join(_escaped(each) for each in wanted)
    told: dict[tuple[str, str, str], float | None] = {}
    series = f"{{__name__=~{json.dumps(SERIES)},mountpoint=~{json.dumps(paths)},{where}}}"
    query = f"max by (__name__, instance, mountpoint) (last_over_time({series}[{RECENT}]))"
    for each in prometheus.prometheus(context, deadline).vector(query, "file systems", deadline):
        key = each.labels.get("instance", ""), each.labels.get("mountpoint", ""), each.labels.get("__name__", "")
        told[key] = each.value
    names = sorted({*up, *(name for name, _, _ in told)})
    found = {(name, path): _mount(name, path, up.get(name), told) for name in names for path in wanted}
    series = f"node_filesystem_readonly{{mountpoint=~{json.dumps(paths)},{where}}}"
    by = "by (instance, mountpoint)"
    query = f"max {by} (last_over_time({series}[{RECENT}])) > min {by} (min_over_time({series}[{BEFORE}]))"
    for each in prometheus.prometheus(context, deadline).vector(query, "file systems", deadline):
        place = each.labels.get("instance", ""), each.labels.get("mountpoint", "")
        if place in found:
            found[place] = replace(found[place], became_read_only=True)
    return len(names), tuple(found.values())


def _mount(
    name: str, path: str, up: float | None, told: dict[tuple[str, str, str], float | None]
) -> MountUse:
    def number(what: str) -> float | None:
        return told.get((name, path, f"node_filesystem_{what}"))

    shown = plain(f"{name} {path}", 200)
    if up == 0:
        return MountUse(shown, None, None, why=_SILENT)
    size, free, avail = number("size_bytes"), number("free_bytes"), number("avail_bytes")
    files, left = number("files"), number("files_free")
    space = share(size - free, avail) if size is not None and free is not None and avail is not None else None
    inodes = 1 - left / files if files and left is not None else None
    missing = space is None or (inodes is None and files != 0)
    why = "nothing is mounted there, or node_exporter does not report it" if missing else ""
    return MountUse(shown, space, inodes, files != 0, why)


def selector(match: str) -> str:
    """The matchers as PromQL writes them."""
    from pytest_prodcheck.environments.sections.monitoring import matchers
    from pytest_prodcheck.evidence.monitoring.external_labels import quoted

    return ",".join(f"{label}{operator}{quoted(value)}" for label, operator, value in matchers(match))


def _escaped(path: str) -> str:
    """A path in a regular expression of Prometheus (RE2)."""
    return "".join(each if each.isalnum() or each in "/_-" else f"\\{each}" for each in path)


def _scrape_success(
    where: str, context: Context, deadline: Deadline, at: float | None = None
) -> dict[str, float | None]:
    """Host -> 1 where a scrape of it succeeded lately, else 0."""
    return _by_host(f"max by (instance) (max_over_time(up{{{where}}}[{RECENT}]))", context, deadline, at)


def _refuse_merged(where: str, context: Context, deadline: Deadline, at: float | None = None) -> None:
    """Raises EvidenceProblem where several machines have one `instance`: their numbers would be mixed."""
    query = f"count by (instance) (count by (instance, nodename) (node_uname_info{{{where}}})) > 1"
    found = _by_host(query, context, deadline, at)
    if found:
        name, number = next(iter(found.items()))
        told = f"hosts: {number or 2:.0f} machines have the label instance={name}: which numbers are whose is not known"
        hint = "give each its own `instance`, or let `match` select one, for example by its cluster"
        raise EvidenceProblem(Problem("configuration", told, hint))


def _by_host(query: str, context: Context, deadline: Deadline, at: float | None) -> dict[str, float | None]:
    found = prometheus.prometheus(context, deadline).vector(query, "hosts", deadline, at)
    if any("instance" not in each.labels for each in found):
        hint = "the matchers must select series of node_exporter"
        raise EvidenceProblem(Problem("configuration", ("hosts: Prometheus returned series "
            "without an `instance` label"), hint))
    return {plain(each.labels["instance"], 200): each.value for each in found}


def _missing_reason(up: float | None, cpu: float | None, memory: float | None) -> str:
    return _NONE if cpu is None or memory is None else ""
