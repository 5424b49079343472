"""What a pod asks for, as the API server fills it in and as scheduler and quotas count it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_prodcheck.evidence.kubernetes.objects import Object, quantity, rows, table


def with_default_requests(pod: Object, ranges: Iterable[Object]) -> Object:
    """A pod's specification with a request where it has a limit alone, then with the defaults of limit ranges.

    https://kubernetes.io/docs/concepts/policy/limit-range/
    """
    ranges = tuple(ranges)
    changed = dict(pod)
    for part in ("containers", "initContainers"):
        if isinstance(pod.get(part), list):
            changed[part] = [_container(each, ranges) if isinstance(each, dict) else each for each in pod[part]]
    return changed


def _container(container: Object, ranges: Iterable[Object]) -> Object:
    told = table(container, "resources")
    limits = dict(table(told, "limits"))
    asked = {**limits, **table(told, "requests")}
    for each in ranges:
        for row in rows(each, "spec", "limits"):
            if row.get("type") == "Container":
                asked = {**table(row, "defaultRequest"), **asked}
                limits = {**table(row, "default"), **limits}
    return {**container, "resources": {**told, "requests": asked, "limits": limits}}


def resource_amounts(pod: Object, which: str) -> dict[str, float]:
    """All that a pod's specification asks for; which: "requests" or "limits".

    Containers together, or the largest init container if that is more; sidecars and overhead besides; what the pod as a
    whole asks for goes before it. https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    total: dict[str, float] = {}
    for each in rows(pod, "containers"):
        _add(total, _amounts_of_container(each, which))
    sidecars: dict[str, float] = {}
    highest: dict[str, float] = {}
    for each in rows(pod, "initContainers"):
        now = dict(sidecars)
        _add(now, _amounts_of_container(each, which))
        highest = {name: max(highest.get(name, 0.0), now.get(name, 0.0)) for name in {**highest, **now}}
        if each.get("restartPolicy") == "Always":
            sidecars = now
    _add(total, sidecars)
    total = {name: max(total.get(name, 0.0), highest.get(name, 0.0)) for name in {**total, **highest}}
    whole = table(pod, "resources")
    if which == "requests":
        total = {**_numbers(table(whole, "limits")), **total}
    total |= _numbers(table(whole, which))
    overhead = _numbers(table(pod, "overhead"))
    _add(total, overhead if which == "requests" else {name: more for name, more in overhead.items() if total.get(name)})
    return total


def _amounts_of_container(container: Object, which: str) -> dict[str, float]:
    told = table(container, "resources")
    if which == "requests":
        return _numbers({**table(told, "limits"), **table(told, "requests")})
    return _numbers(table(told, which))


def _numbers(told: Mapping[str, object]) -> dict[str, float]:
    return {str(name): quantity(value) for name, value in told.items()}


def _add(total: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0.0) + value
