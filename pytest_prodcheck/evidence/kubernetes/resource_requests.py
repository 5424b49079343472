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


def with_allocated(pod: Object) -> Object:
    """The specification of a pod that runs, where it is being resized with what its node still holds for it.

    The scheduler takes the larger one. A resize that can never be done counts for nothing.
    https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
    """
    specification = table(pod, "spec")
    told = {
        str(each.get("name")): (table(each, "allocatedResources"), table(each, "resources", "requests"))
        for name in ("containerStatuses", "initContainerStatuses")
        for each in rows(pod, "status", name)
    }
    changed = dict(specification)
    for part in ("containers", "initContainers"):
        for place, each in enumerate(rows(specification, part)):
            wanted = table(each, "resources", "requests")
            held = [other for other in told.get(str(each.get("name")), ()) if other and other != wanted]
            if held:
                if changed[part] is specification[part]:
                    changed[part] = list(specification[part])
                asked = held if _infeasible(pod) else [wanted, *held]
                larger = {name: max((other[name] for other in asked if name in other), key=quantity)
                          for name in dict.fromkeys(name for other in asked for name in other)}  # fmt: skip
                changed[part][place] = {**each, "resources": {**table(each, "resources"), "requests": larger}}
    return changed


def _infeasible(pod: Object) -> bool:
    return any(
        each.get("type") == "PodResizePending" and each.get("reason") == "Infeasible"
        for each in rows(pod, "status", "conditions")
    )


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
