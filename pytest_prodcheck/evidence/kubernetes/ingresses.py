"""`kubernetes-ingress`: ingresses and services, each with the ready endpoints behind its ports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.kubernetes.cluster import host, reads, seconds
from pytest_prodcheck.evidence.kubernetes.endpoint_reasons import (
    ASLEEP,
    NO_REPLICAS,
    endpoint_reason,
    is_asleep,
    lacks_replicas,
)
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of, raw
from pytest_prodcheck.evidence.kubernetes.object_events import latest_warning
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.records.kubernetes import IngressBackends, KubernetesIngress

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

ACTION = "alb.ingress.kubernetes.io/actions."  # AWS Load Balancer Controller: what a path leads to besides services
# whoever comes is sent elsewhere, so that no backend is ever asked: ingress-nginx, HAProxy Ingress, HAProxy's own
REDIRECTS = (
    "nginx.ingress.kubernetes.io/permanent-redirect", "nginx.ingress.kubernetes.io/temporal-redirect",
    "haproxy-ingress.github.io/redirect-to", "ingress.kubernetes.io/redirect-to", "haproxy.org/request-redirect",
)  # fmt: skip
SOLVER = "acme.cert-manager.io/http01-solver"  # label: cert-manager's, for the minutes that a certificate takes


@dataclass(frozen=True)
class _ReadyEndpoints:
    """The ready endpoints of services: of each port by its name, and of a whole service whatever its ports."""

    ports: dict[tuple[str, str], set[str]]
    all: dict[str, set[str]]

    def count(self, service: Object, port: Object) -> int:
        """How many are behind a port."""
        return len(self.ports.get((name_of(service), str(port.get("name") or "")), ()))


@evidence(
    "kubernetes-ingress", axis="kubernetes", seconds=seconds, host=host,
    sends=reads("ingresses", "services", "endpointslices", "workloads", "pods",
                "events, of what has no address or no ready endpoint"),
)  # fmt: skip
def kubernetes_ingress(target: str, context: Context, deadline: Deadline) -> KubernetesIngress:
    """Ingresses with the ready endpoints behind them, and services that select pods."""
    services = {name_of(each): each for each in raw("", "services", context, deadline)}
    behind = _ready_endpoints(raw("discovery.k8s.io/v1", "endpointslices", context, deadline))
    found = [each for each in raw("networking.k8s.io/v1", "ingresses", context, deadline)
             if SOLVER not in labels_of(each)]  # fmt: skip
    ingresses = [
        IngressBackends(name_of(each), addresses := tuple(_addresses(each)), tuple(_backends(each, services, behind)),
                 "" if addresses else latest_warning("Ingress", name_of(each), context, deadline))
        for each in found
    ]
    selecting = {name: each for name, each in services.items() if table(each, "spec", "selector")}
    asleep = [name for name, each in selecting.items()
              if not behind.all.get(name) and is_asleep(each, context, deadline)]  # fmt: skip
    alone = [name for name, each in selecting.items()
             if not behind.all.get(name) and name not in asleep
             and lacks_replicas(each, context, deadline)]  # fmt: skip
    counted = {name: list(_ports(each, behind)) for name, each in selecting.items()
               if name not in (*asleep, *alone) and not _external(each)}  # fmt: skip
    reasons = {
        name: endpoint_reason(services[name], bool(behind.all.get(name)), context, deadline)
        for name, ports in counted.items() if not all(ready for _, ready in ports)
    } | dict.fromkeys(asleep, ASLEEP) | dict.fromkeys(alone, NO_REPLICAS)  # fmt: skip
    unreached = [name for name, each in services.items() if _lacks_address(each)]
    return KubernetesIngress(
        tuple(ingresses), tuple(pair for ports in counted.values() for pair in ports), tuple(asleep),
        tuple(reasons.items()), tuple((name, latest_warning("Service", name, context, deadline)) for name in unreached),
        tuple(alone),
    )  # fmt: skip


def _ready_endpoints(slices: list[Object]) -> _ReadyEndpoints:
    found = _ReadyEndpoints({}, {})
    for each in slices:
        of = str(table(each, "metadata", "labels").get("kubernetes.io/service-name", ""))
        serving = [endpoint for endpoint in rows(each, "endpoints") if _is_ready(endpoint)]
        ready = {uid for endpoint in serving for uid in _endpoint_identity(endpoint)}
        found.all.setdefault(of, set()).update(ready)
        for port in rows(each, "ports"):
            found.ports.setdefault((of, str(port.get("name") or "")), set()).update(ready)
    return found


def _is_ready(endpoint: Object) -> bool:
    """Takes traffic and can serve it: with publishNotReadyAddresses `ready` is told of all, `serving` of ready pods."""
    told = table(endpoint, "conditions")
    return told.get("ready") is not False and told.get("serving") is not False and told.get("terminating") is not True


def _endpoint_identity(endpoint: Object) -> list[str]:
    """Whom it leads to, once for both families of addresses."""
    uid = table(endpoint, "targetRef").get("uid")
    return [str(uid)] if uid else [str(each) for each in endpoint.get("addresses") or ()]


def _lacks_address(service: Object) -> bool:
    """Whether it waits for a load balancer of its own."""
    told = table(service, "spec")
    balanced = told.get("type") == "LoadBalancer" and not told.get("externalIPs")
    return balanced and not _addresses(service)


def _external(service: Object) -> bool:
    return table(service, "spec").get("type") == "ExternalName"


def _ports(service: Object, behind: _ReadyEndpoints) -> Iterator[tuple[str, int]]:
    """Each port of a service; of a headless one all together, for its names lead to pods, not to ports."""
    name, ports = name_of(service), rows(service, "spec", "ports")
    if not ports or table(service, "spec").get("clusterIP") == "None":
        yield name, len(behind.all.get(name, ()))
        return
    for each in ports:
        shown = f"{name}, port {each.get('name') or each.get('port')}" if len(ports) > 1 else name
        yield shown, behind.count(service, each)


def _addresses(item: Object) -> list[str]:
    """Of an Ingress or a Service; controllers also write entries with neither."""
    told = rows(item, "status", "loadBalancer", "ingress")
    return [str(each) for one in told if (each := one.get("ip") or one.get("hostname"))]


def _backends(ingress: Object, services: dict[str, Object], behind: _ReadyEndpoints) -> list[tuple[str, int]]:
    """`(service:port, ready endpoints)`; -1: there is no such service or port."""
    annotations = table(ingress, "metadata", "annotations")
    if any(annotations.get(each) for each in REDIRECTS):
        return []
    found: dict[str, int] = {}
    for name, port in backend_services(ingress, annotations):
        service = services.get(name)
        ready = -1 if service is None else 1 if _external(service) else _ready_count(service, port, behind)
        found[f"{name}:{port}"] = ready
    return list(found.items())


def _ready_count(service: Object, wanted: str, behind: _ReadyEndpoints) -> int:
    for each in rows(service, "spec", "ports"):
        if wanted in (str(each.get("name") or ""), str(each.get("port"))):
            return behind.count(service, each)
    return -1


def backend_services(ingress: Object, annotations: Object) -> Iterator[tuple[str, str]]:
    """The services that an ingress leads to, each with its port's name or number."""
    paths = [path for rule in rows(ingress, "spec", "rules") for path in rows(rule, "http", "paths")]
    named = [table(each, "backend", "service") for each in paths]
    for each in (*named, table(ingress, "spec", "defaultBackend", "service")):
        name, port = str(each.get("name", "")), table(each, "port")
        if port.get("name") == "use-annotation" and f"{ACTION}{name}" in annotations:
            yield from _of_action(str(annotations[f"{ACTION}{name}"]))
        elif each:
            yield name, str(port.get("name") or port.get("number"))


def _of_action(text: str) -> Iterator[tuple[str, str]]:
    """The services that an action forwards to; redirects, fixed answers and ready-made target groups have none."""
    try:
        action = json.loads(text)
    except (ValueError, RecursionError):
        return
    lower = {str(key).lower(): value for key, value in action.items()} if isinstance(action, dict) else {}
    config = lower.get("forwardconfig")
    groups = next((value for key, value in config.items() if str(key).lower() == "targetgroups"), ()) \
        if isinstance(config, dict) else ()  # fmt: skip
    for each in (lower, *groups) if isinstance(groups, list) else (lower,):
        told = {str(key).lower(): value for key, value in each.items()} if isinstance(each, dict) else {}
        if told.get("servicename"):
            yield str(told["servicename"]), str(told.get("serviceport", ""))
