"""The least rights of a deployer in its cluster, for the driver `kubernetes`: what it reads and changes, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_prodcheck.deploy.kubernetes_traffic import GATEWAY_API_GROUP
from pytest_prodcheck.deploy.lease import GROUP as LEASES
from pytest_prodcheck.evidence.kubernetes.rights import bound

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment

NAME = "prodcheck-deployer"


def rules(environment: Environment) -> list[dict[str, Any]]:
    """Of one namespace. Names of journals and Leases are not known to RBAC: it can name no beginnings."""
    from pytest_prodcheck.environments.sections.deploy import deployment_of

    deploy = environment.deploy
    assert deploy is not None
    assert deploy.kubernetes is not None
    copies = [deployment_of(environment, slot) for slot in deploy.slots]
    found = [_rule("apps", "deployments", ["get", "patch"], copies), _rule("", "pods", ["list"])]
    if deploy.kubernetes.service is not None:
        found.append(_rule("", "services", ["get", "patch"], [deploy.kubernetes.service]))
        found.append(_rule("discovery.k8s.io", "endpointslices", ["list"]))
    if deploy.kubernetes.route is not None:
        backends = [deploy.kubernetes.backends.get(slot, name) for slot, name in zip(deploy.slots, copies, strict=True)]
        found.append(_rule("", "services", ["get"], backends))
        found.append(_rule(GATEWAY_API_GROUP, "httproutes", ["get", "patch"], [deploy.kubernetes.route]))
    found.append(_rule("", "configmaps", ["get", "list", "create", "patch", "delete"]))
    found.append(_rule(LEASES.partition("/")[0], "leases", ["get", "create", "patch"]))
    return found


def manifest(environment: Environment) -> list[dict[str, Any]]:
    """A service account with a role of these rights."""
    assert environment.kubernetes is not None
    space = environment.kubernetes.namespace
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": space}}
    return [account, *bound(NAME, space, rules(environment), space, NAME)]


def _rule(group: str, resource: str, verbs: list[str], names: list[str] | None = None) -> dict[str, Any]:
    """names: of the objects; all of the namespace where one is not known, as without a unit."""
    rule: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
    return {**rule, "resourceNames": names} if names and all(names) else rule
