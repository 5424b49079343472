"""What other objects than pods refer to: Kubernetes' own (https://kubernetes.io/docs/reference/) and operators'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pytest_prodcheck.evidence.kubernetes.ingresses import REDIRECTS, backend_services
from pytest_prodcheck.evidence.kubernetes.manifest_files import template
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.pod_references import Reference, of_pod

_NGINX = "nginx.ingress.kubernetes.io/"
_ACME = ("cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme")
_PAIR = ("tls.crt", "tls.key")  # without them controllers serve a certificate of their own
_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
_HOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")


def of_object(item: Object) -> Iterator[Reference]:
    """All that an object names, its pods' references first."""
    yield from of_pod(template(item))
    kind = str(item.get("kind"))
    for kinds, what in _KINDS:
        if kind in kinds:
            yield from what(item)


def _ingress(item: Object) -> Iterator[Reference]:
    spec, noted = table(item, "spec"), table(item, "metadata", "annotations")
    if spec.get("ingressClassName"):
        yield Reference("IngressClass", str(spec["ingressClassName"]), slight=True)
    made = any(noted.get(each) for each in _ACME)
    for each in rows(spec, "tls"):
        if each.get("secretName") and not made:
            hosts = tuple(str(host) for host in each.get("hosts") or ())
            yield from (Reference("Secret", str(each["secretName"]), key, hosts=hosts) for key in _PAIR)
    for name in ("auth-secret", "auth-tls-secret"):
        space, _, secret = str(noted.get(f"{_NGINX}{name}") or "").rpartition("/")
        if secret:
            yield Reference("Secret", secret, namespace=space)
    if not any(noted.get(each) for each in REDIRECTS):
        yield from (Reference("Service", name, port) for name, port in backend_services(item, noted))


def _gateway(item: Object) -> Iterator[Reference]:
    yield Reference("GatewayClass", str(table(item, "spec").get("gatewayClassName", "")), slight=True)
    for listener in rows(item, "spec", "listeners"):
        named = rows(listener, "tls", "certificateRefs")
        hosts = (str(listener["hostname"]),) if listener.get("hostname") and len(named) == 1 else ()
        for each in named:
            if each.get("kind", "Secret") == "Secret":
                space = str(each.get("namespace") or "")
                yield from (Reference("Secret", str(each.get("name")), key, space, hosts=hosts) for key in _PAIR)


def _route(item: Object) -> Iterator[Reference]:
    for each in rows(item, "spec", "parentRefs"):
        if each.get("kind", "Gateway") in ("Gateway", "Service"):
            kind, space = str(each.get("kind", "Gateway")), str(each.get("namespace") or "")
            yield Reference(kind, str(each.get("name")), namespace=space)
    for rule in rows(item, "spec", "rules"):
        mirrors = [table(each, "requestMirror", "backendRef") for each in rows(rule, "filters")]
        for each in (*rows(rule, "backendRefs"), *mirrors):
            if each and each.get("kind", "Service") == "Service":
                port, space = str(each.get("port") or ""), str(each.get("namespace") or "")
                yield Reference("Service", str(each.get("name")), port, space)


def _scaled(item: Object) -> Iterator[Reference]:
    for field in ("scaleTargetRef", "targetRef", "workloadRef"):
        target = table(item, "spec", field)
        if target.get("name"):
            yield Reference(str(target.get("kind") or "Deployment"), str(target["name"]))
    for each in rows(item, "spec", "triggers"):
        told = table(each, "authenticationRef")
        if told.get("name") and told.get("kind", "TriggerAuthentication") == "TriggerAuthentication":
            yield Reference("TriggerAuthentication", str(told["name"]))


def misdirected(item: Object) -> Iterator[tuple[str, str]]:
    """`(what, what is wrong)` of a target that its autoscaler looks for in a group of the API that does not have it."""
    target = table(item, "spec", "scaleTargetRef")
    group, kind = str(target.get("apiVersion") or "").rpartition("/")[0], target.get("kind")
    if item.get("kind") == "HorizontalPodAutoscaler" and kind in ("Deployment", "StatefulSet", "ReplicaSet"):
        wrong = f'its apiVersion is {target.get("apiVersion") or "missing"}: the autoscaler finds no {kind} there'
        yield f"scaleTargetRef {kind} {target.get('name', '')}", "" if group == "apps" else wrong


def _binding(item: Object) -> Iterator[Reference]:
    role = table(item, "roleRef")
    yield Reference(str(role.get("kind", "")), str(role.get("name", "")))
    for each in rows(item, "subjects"):
        if each.get("kind") == "ServiceAccount":
            yield Reference("ServiceAccount", str(each.get("name", "")), namespace=str(each.get("namespace") or ""))


def _account(item: Object) -> Iterator[Reference]:
    for field in ("imagePullSecrets", "secrets"):
        yield from (Reference("Secret", str(each.get("name"))) for each in rows(item, field))


def _stateful(item: Object) -> Iterator[Reference]:
    if table(item, "spec").get("serviceName"):
        yield Reference("Service", str(table(item, "spec")["serviceName"]), slight=True)
    for each in rows(item, "spec", "volumeClaimTemplates"):
        yield from _claim(each)


def _claim(item: Object) -> Iterator[Reference]:
    if table(item, "spec").get("storageClassName"):
        yield Reference("StorageClass", str(table(item, "spec")["storageClassName"]), slight=True)  # a name is enough
    source = table(item, "spec", "dataSource")
    if source.get("kind") == "PersistentVolumeClaim":
        yield Reference("PersistentVolumeClaim", str(source.get("name")))


def _hook(item: Object) -> Iterator[Reference]:
    told = [table(each, "clientConfig", "service") for each in rows(item, "webhooks")]
    told += [table(item, "spec", "service"), table(item, "spec", "conversion", "webhook", "clientConfig", "service")]
    for each in told:
        if each.get("name"):
            yield Reference("Service", str(each["name"]), namespace=str(each.get("namespace") or ""))


def _rollout(item: Object) -> Iterator[Reference]:
    strategy = table(item, "spec", "strategy")
    named = [table(strategy, "canary").get(each) for each in ("canaryService", "stableService")]
    named += [table(strategy, "blueGreen").get(each) for each in ("activeService", "previewService")]
    yield from (Reference("Service", str(each)) for each in named if each)


def _certificate(item: Object) -> Iterator[Reference]:
    issuer = table(item, "spec", "issuerRef")
    if issuer.get("kind", "Issuer") in ("Issuer", "ClusterIssuer") and issuer.get("name"):
        yield Reference(str(issuer.get("kind", "Issuer")), str(issuer["name"]))


def _external(item: Object) -> Iterator[Reference]:
    store = table(item, "spec", "secretStoreRef")
    if store.get("name"):
        yield Reference(str(store.get("kind", "SecretStore")), str(store["name"]))


_KINDS: tuple[tuple[tuple[str, ...], Callable[[Object], Iterator[Reference]]], ...] = (
    (("Ingress",), _ingress), (("Gateway",), _gateway), (_ROUTES, _route),
    (("HorizontalPodAutoscaler", "VerticalPodAutoscaler", "ScaledObject", "Rollout"), _scaled),
    (("Rollout",), _rollout),
    (("RoleBinding", "ClusterRoleBinding"), _binding), (("ServiceAccount",), _account), (("StatefulSet",), _stateful),
    (("PersistentVolumeClaim",), _claim), ((*_HOOKS, "APIService", "CustomResourceDefinition"), _hook),
    (("Certificate",), _certificate), (("ExternalSecret",), _external),
)  # fmt: skip
