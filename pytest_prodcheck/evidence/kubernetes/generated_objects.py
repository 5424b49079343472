"""Secrets and config maps that an operator makes of another object, in files or in the namespace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table

# kind -> (API group and version, plural): asked for where a Secret is missing that no file makes
KNOWN = {
    "ExternalSecret": ("external-secrets.io/v1", "externalsecrets"),
    "SealedSecret": ("bitnami.com/v1alpha1", "sealedsecrets"),
    "Certificate": ("cert-manager.io/v1", "certificates"),
    "VaultStaticSecret": ("secrets.hashicorp.com/v1beta1", "vaultstaticsecrets"),
    "VaultDynamicSecret": ("secrets.hashicorp.com/v1beta1", "vaultdynamicsecrets"),
    "OnePasswordItem": ("onepassword.com/v1", "onepassworditems"),
    "InfisicalSecret": ("secrets.infisical.com/v1alpha1", "infisicalsecrets"),
    "DopplerSecret": ("secrets.doppler.com/v1alpha1", "dopplersecrets"),
    "ObjectBucketClaim": ("objectbucket.io/v1alpha1", "objectbucketclaims"),
    "KafkaUser": ("kafka.strimzi.io/v1", "kafkausers"),
    "Cluster": ("postgresql.cnpg.io/v1", "clusters"),
    "RabbitmqCluster": ("rabbitmq.com/v1beta1", "rabbitmqclusters"),
    "Elasticsearch": ("elasticsearch.k8s.elastic.co/v1", "elasticsearches"),
    "Kafka": ("kafka.strimzi.io/v1beta2", "kafkas"),
}
_SECRETS_OF = {  # what is behind the object's own name
    "RabbitmqCluster": ("default-user",), "Elasticsearch": ("es-elastic-user", "es-http-certs-public"),
    "Kafka": ("cluster-ca-cert", "clients-ca-cert"),
}  # fmt: skip
_SERVING = "service.beta.openshift.io/serving-cert-secret-name"


@dataclass(frozen=True)
class GeneratedObject:
    """One Secret or ConfigMap that will be made."""

    kind: str
    name: str
    by: str  # "ExternalSecret keys"
    keys: frozenset[str] | None  # None: whatever its source has
    failing: str = ""  # why it is not made: what its producer says of itself in the cluster


def generated_objects(item: Object) -> Iterator[GeneratedObject]:
    """What an operator makes of an object."""
    kind, spec = str(item.get("kind")), table(item, "spec")
    name = str(table(item, "metadata").get("name", ""))
    by, failing = f"{kind} {name}", _failing(item)
    for of, made, keys in _generated_by(kind, name, item, spec):
        if made:
            yield GeneratedObject(of, str(made), by, keys, failing)


def _generated_by(
    kind: str, name: str, item: Object, spec: Object
) -> Iterator[tuple[str, object, frozenset[str] | None]]:
    if kind == "ExternalSecret":
        target = table(spec, "target")
        if target.get("creationPolicy", "Owner") in ("Owner", "Orphan"):
            whole = spec.get("dataFrom") or table(target, "template")
            keys = frozenset(str(each.get("secretKey")) for each in rows(spec, "data"))
            yield "Secret", target.get("name") or name, None if whole else keys
    elif kind == "SealedSecret":
        own = table(spec, "template", "metadata").get("name") or name
        templated = table(spec, "template", "data").keys()
        yield "Secret", own, frozenset(map(str, {*table(spec, "encryptedData"), *templated}))
    elif kind == "Certificate":
        more = None if spec.get("keystores") or spec.get("additionalOutputFormats") else frozenset(
            ("tls.crt", "tls.key", "ca.crt"))  # fmt: skip
        yield "Secret", spec.get("secretName"), more
    elif kind in ("VaultStaticSecret", "VaultDynamicSecret"):
        destination = table(spec, "destination")
        yield "Secret", destination.get("name") if destination.get("create") else None, None
    elif kind in ("OnePasswordItem", "KafkaUser"):
        yield "Secret", name, None
    elif kind == "ObjectBucketClaim":
        yield from (("Secret", name, None), ("ConfigMap", name, None))
    elif kind == "InfisicalSecret":
        told = [table(spec, "managedSecretReference"), *rows(spec, "managedKubeSecretReferences")]
        yield from (("Secret", each.get("secretName"), None) for each in told)
    elif kind == "DopplerSecret":
        yield "Secret", table(spec, "managedSecret").get("name"), None
    elif kind == "Cluster" and str(item.get("apiVersion")).startswith("postgresql.cnpg.io/"):
        yield from (("Secret", f"{name}-{each}", None) for each in ("app", "superuser", "ca", "server", "replication"))
    elif kind in _SECRETS_OF:
        yield from (("Secret", f"{name}-{each}", None) for each in _SECRETS_OF[kind])
    elif kind == "Bundle":
        yield from (("ConfigMap", name, None), ("Secret", name, None))
    elif kind == "SecretProviderClass":
        for each in rows(spec, "secretObjects"):
            yield "Secret", each.get("secretName"), frozenset(str(row.get("key")) for row in rows(each, "data"))
    elif kind == "Service":
        yield "Secret", table(item, "metadata", "annotations").get(_SERVING), frozenset(("tls.crt", "tls.key"))
    yield "Secret", table(spec, "writeConnectionSecretToRef").get("name"), None  # Crossplane's


def _failing(item: Object) -> str:
    for each in rows(item, "status", "conditions"):
        if each.get("type") in ("Ready", "Synced", "SecretSynced") and each.get("status") == "False":
            return str(each.get("message") or each.get("reason") or "it is not ready")
    return ""
