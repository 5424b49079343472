"""Whether what the files refer to is there: in the files, in the cluster, or made by an operator.

By kind, namespace and name. What may not be read is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_prodcheck.evidence.kubernetes.api import listed
from pytest_prodcheck.evidence.kubernetes.certificate_pairs import CertificatePair, certificate_pair
from pytest_prodcheck.evidence.kubernetes.cluster import pods_of
from pytest_prodcheck.evidence.kubernetes.egress_policies import keeps_from_dns
from pytest_prodcheck.evidence.kubernetes.gateway_permissions import crossings
from pytest_prodcheck.evidence.kubernetes.generated_objects import KNOWN, GeneratedObject, generated_objects
from pytest_prodcheck.evidence.kubernetes.manifest_files import kind_and_name, template, template_labels
from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
from pytest_prodcheck.evidence.kubernetes.object_references import misdirected, of_object
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.pod_references import Reference, mounts, named_ports, probes
from pytest_prodcheck.evidence.kubernetes.selectors import fits
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.kubernetes import Finding

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

# kind -> (API group and version, plural, whether it has a namespace)
KINDS = {
    "ConfigMap": ("", "configmaps", True), "Secret": ("", "secrets", True), "Service": ("", "services", True),
    "ServiceAccount": ("", "serviceaccounts", True), "PersistentVolumeClaim": ("", "persistentvolumeclaims", True),
    "Deployment": ("apps/v1", "deployments", True), "StatefulSet": ("apps/v1", "statefulsets", True),
    "DaemonSet": ("apps/v1", "daemonsets", True), "ReplicaSet": ("apps/v1", "replicasets", True),
    "Role": ("rbac.authorization.k8s.io/v1", "roles", True),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles", False),
    "IngressClass": ("networking.k8s.io/v1", "ingressclasses", False),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses", False),
    "ResourceClaim": ("resource.k8s.io/v1", "resourceclaims", True),
    "ResourceClaimTemplate": ("resource.k8s.io/v1", "resourceclaimtemplates", True),
    "Gateway": ("gateway.networking.k8s.io/v1", "gateways", True),
    "GatewayClass": ("gateway.networking.k8s.io/v1", "gatewayclasses", False),
    "SecretProviderClass": ("secrets-store.csi.x-k8s.io/v1", "secretproviderclasses", True),
    "Issuer": ("cert-manager.io/v1", "issuers", True), "ClusterIssuer": ("cert-manager.io/v1", "clusterissuers", False),
    "SecretStore": ("external-secrets.io/v1", "secretstores", True),
    "ClusterSecretStore": ("external-secrets.io/v1", "clustersecretstores", False),
    "TriggerAuthentication": ("keda.sh/v1alpha1", "triggerauthentications", True),
}  # fmt: skip
_READ = ("ConfigMap", "Service", "ServiceAccount", "PersistentVolumeClaim")  # kinds that reach "namespace" promises
# what the control plane makes in every namespace
_ALWAYS = (("ConfigMap", "kube-root-ca.crt"), ("ConfigMap", "openshift-service-ca.crt"), ("ServiceAccount", "default"))
_NONE = "it exists neither in the files nor in the cluster"


@dataclass
class ExistingObjects:
    """What can be referred to: the files' objects first, then the cluster's."""

    context: Context
    deadline: Deadline
    objects: list[Object]
    unread: set[str] = field(default_factory=set)

    @property
    def space(self) -> str:
        """The environment's namespace."""
        cluster = self.context.environment.kubernetes
        return cluster.namespace if cluster else ""

    def space_of(self, item: Object) -> str:
        """The namespace that an object of the files will be in."""
        return str(table(item, "metadata").get("namespace") or self.space)

    def keys(self, kind: str, name: str, space: str) -> set[str] | None:
        """Its keys or ports, None where there is none of that name; raises LookupError for what may not be read."""
        wanted = (kind, name, space if KINDS[kind][2] else "")
        for each in self.objects:
            where = self.space_of(each) if KINDS[kind][2] else ""
            if _is_of_kind(each, kind) and (kind, name_of(each), where) == wanted:
                return _keys(each)
        live = self._live_keys(kind, space).get(name)
        return None if live is None else live[0]

    def certificate_pair(self, name: str, space: str) -> CertificatePair:
        """The certificate in a Secret that is there."""
        mine = (each for each in self.objects if _is_of_kind(each, "Secret") and name_of(each) == name)
        for each in mine:
            if self.space_of(each) == space:
                return certificate_pair(each)
        return self._live_keys("Secret", space)[name][1]

    def _live_keys(self, kind: str, space: str) -> dict[str, tuple[set[str], CertificatePair]]:
        """Of each name its keys, and what its certificate is; values of Secrets are not kept."""
        cluster = self.context.environment.kubernetes
        if kind == "Secret" and (cluster is None or "secrets" not in cluster.reach):
            self.unread.add(kind)
            raise LookupError(kind)
        try:
            found = self._list(*KINDS[kind], space, "keys")
        except EvidenceProblem as error:
            if kind in _READ and space == self.space:
                raise
            self.unread.add(kind if space == self.space else f"{kind} in {space}")
            self.deadline.note(f"references to {kind} were not checked: {error.problem.message}")
            raise LookupError(kind) from None
        return {name: (keys, pair) for name, keys, pair in found}

    def _list(
        self, group: str, plural: str, in_space: bool, space: str, what: str
    ) -> list[tuple[str, set[str], CertificatePair]]:
        root = f"/apis/{group}" if "/" in group else "/api/v1"
        where = f"/namespaces/{quote(space, safe='')}" if in_space else ""
        path = f"{root}{where}/{plural}"
        return listed(what, path, self.context, self.deadline, _live(plural))

    def product(self, kind: str, name: str, space: str) -> GeneratedObject | None:
        """The operator's object that makes it: of the files, or live; a live one tells whether it works."""
        mine = [each for item in self.objects if self.space_of(item) == space for each in generated_objects(item)]
        coming = next((each for each in mine if (each.kind, each.name) == (kind, name)), None)
        told = [each for each in self._live_products(space) if (each.kind, each.name) == (kind, name)]
        return next((each for each in told if each.failing), None) or coming or next(iter(told), None)

    def _live_products(self, space: str) -> Iterator[GeneratedObject]:
        for group, plural in KNOWN.values():
            path = f"/apis/{group}/namespaces/{quote(space, safe='')}/{plural}"
            try:
                found = listed("raw", path, self.context, self.deadline, lambda item: item)
            except EvidenceProblem:
                continue  # not installed, or not to be read
            for each in found:
                yield from generated_objects(each)


def _live(plural: str) -> Callable[[Object], tuple[str, set[str], CertificatePair]]:
    def about(item: Object) -> tuple[str, set[str], CertificatePair]:
        return name_of(item), _keys(item), certificate_pair(item) if plural == "secrets" else CertificatePair()

    return about


def _is_of_kind(item: Object, kind: str) -> bool:
    """Whether it is of this kind, and not of another group's of the same name (Knative's Service)."""
    group, known = str(item.get("apiVersion", "")).rpartition("/")[0], KINDS[kind][0].rpartition("/")[0]
    return item.get("kind") == kind and group == known


def _keys(item: Object) -> set[str]:
    if "ports" in table(item, "spec") or table(item, "spec").get("type") == "ExternalName":
        told = rows(item, "spec", "ports")
        names = {str(each[name]) for each in told for name in ("name", "port") if each.get(name)}
        return {*names, "*"} if table(item, "spec").get("type") == "ExternalName" else names
    return {str(key) for part in ("data", "binaryData", "stringData") for key in table(item, part)}


def references(item: Object, there: ExistingObjects) -> Iterator[Finding]:
    """Each thing that an object refers to, and what is wrong with it."""
    own = kind_and_name(item)
    for each in dict.fromkeys(of_object(item)):
        if each.name and each.kind in KINDS:
            try:
                yield _reference_finding(own, each, each.namespace or there.space_of(item), there)
            except LookupError:
                continue
    for what, wrong in (*crossings(item, there), *probes(template(item)), *mounts(template(item)), *misdirected(item)):
        yield Finding(f"{own}: {what}", wrong)
    if later := keeps_from_dns(item, there):
        yield Finding(f"{own}: egress", later=later)
    if _is_of_kind(item, "Service"):
        yield from (Finding(f"{own}: {what}", wrong) for what, wrong in _target_ports(item, there))
        if later := _selects_nothing(item, there):
            yield Finding(f"{own}: selector", later=later)


def _reference_finding(own: str, wanted: Reference, space: str, there: ExistingObjects) -> Finding:
    what, kind = f"{own}: {wanted.shown}", wanted.kind
    if (kind, wanted.name) in _ALWAYS:
        return Finding(what)
    keys = there.keys(kind, wanted.name, space)
    if keys is not None and (not wanted.key or {wanted.key, "*"} & keys):
        pair = kind == "Secret" and wanted.key == "tls.crt"
        return Finding(what, there.certificate_pair(wanted.name, space).fault_for(wanted.hosts) if pair else "")
    made = there.product(kind, wanted.name, space) if kind in ("Secret", "ConfigMap") else None
    if made is not None and (made.keys is None or not wanted.key or wanted.key in made.keys):
        if made.failing:
            return Finding(what, f"{made.by} does not create it: {made.failing[:300]}")
        return Finding(what, later=f"{made.by} creates it after it is applied")
    wrong = _NONE if keys is None else f"it has no {'port' if kind == 'Service' else 'key'} {wanted.key}"
    slight = wanted.slight or (wanted.pulls and _pulled_without(wanted.name, space, there))
    return Finding(what, later=wrong) if slight else Finding(what, wrong)


def _pulled_without(secret: str, space: str, there: ExistingObjects) -> bool:
    """Whether pods that run and are ready name the secret too, which is not there: their registry does not ask for it.

    https://kubernetes.io/docs/concepts/containers/images/#specifying-imagepullsecrets-on-a-pod
    """
    return space == there.space and any(
        (table(each, "status").get("readyReplicas") or table(each, "status").get("numberReady"))
        and secret in (named.get("name") for named in rows(template(each), "imagePullSecrets"))
        for each in _live_workloads(space, there)
    )


def _selects_nothing(service: Object, there: ExistingObjects) -> str:
    """Why a service of the namespace will have no endpoints, "" where it has some, or operators may make its pods."""
    selector, space = table(service, "spec", "selector"), there.space_of(service)
    if not selector or space != there.space or _external(service):
        return ""
    if _selected_pods(service, there) or any(_makes_pods(each) for each in there.objects):
        return ""
    live = pods_of(there.context, there.deadline)
    if any(fits({"matchLabels": selector}, dict(each.labels)) for each in live):
        return ""
    return f"no pod in the files or the namespace has the labels {_shown_labels(selector)}"


def _external(service: Object) -> bool:
    return table(service, "spec").get("type") == "ExternalName"


def _selected_pods(service: Object, there: ExistingObjects) -> list[Object]:
    """The pods that a service selects: of the files, else of live workloads of the namespace."""
    selector, space = {"matchLabels": table(service, "spec", "selector")}, there.space_of(service)
    pods = _selected(selector, (each for each in there.objects if there.space_of(each) == space))
    if pods or space != there.space:
        return pods
    return _selected(selector, _live_workloads(space, there))


def _live_workloads(space: str, there: ExistingObjects) -> Iterator[Object]:
    for plural in ("deployments", "statefulsets", "daemonsets"):
        path = f"/apis/apps/v1/namespaces/{quote(space, safe='')}/{plural}"
        yield from listed("raw", path, there.context, there.deadline, lambda item: item)


def _makes_pods(item: Object) -> bool:
    """Whether an operator may make pods of it: a kind that is not of Kubernetes itself, and shows no template."""
    group = str(item.get("apiVersion", "")).rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io") and not template(item)


def _shown_labels(labels: Object) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def _target_ports(service: Object, there: ExistingObjects) -> Iterator[tuple[str, str]]:
    """A service's named target ports are those of the pods that it selects: of the files, else of live workloads."""
    if not table(service, "spec", "selector"):
        return
    pods = _selected_pods(service, there)
    names = {found for pod in pods for found in named_ports(pod)}
    for port in rows(service, "spec", "ports") if pods else ():
        wanted, protocol = port.get("targetPort"), str(port.get("protocol") or "TCP")
        if isinstance(wanted, str) and not wanted.isdecimal():
            good = (wanted, protocol) in names
            yield f"port {wanted}", "" if good else f"no container of its pods has a {protocol} port of that name"


def _selected(selector: Object, objects: Iterable[Object]) -> list[Object]:
    found = []
    for each in objects:
        if template(each) and fits(selector, template_labels(each)):
            found.append(template(each))
    return found
