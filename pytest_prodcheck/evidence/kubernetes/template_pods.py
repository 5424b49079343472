"""The pods that an object's template will make, dry-run as well: admission may refuse them and take the object."""

from __future__ import annotations

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table

_REVISION = 10  # digits of the hash of most revisions
ALONE = ("Pod",)  # dry-run as they are
_PLAIN_TEMPLATES = ("", "apps", "batch", "argoproj.io", "apps.openshift.io", "apps.kruise.io")  # API groups


def pod_of(item: Object) -> Object | None:
    """A pod as the object's controller would make it, None where it makes none."""
    spec = table(item, "spec", "jobTemplate", "spec") if item.get("kind") == "CronJob" else table(item, "spec")
    template = table(spec, "template")
    told = table(template, "spec")
    if item.get("kind") in ALONE or not rows(told, "containers"):
        return None
    name = str(table(item, "metadata").get("name") or "pod")
    metadata = {key: value for key, value in table(template, "metadata").items() if key in ("labels", "annotations")}
    if item.get("kind") == "StatefulSet":  # its controller's labels, which may be longer than a label may be
        metadata["labels"] = {**table(metadata, "labels"), **_stateful_set_labels(name, int(spec.get("replicas") or 1))}
    claims = [
        {"name": own, "persistentVolumeClaim": {"claimName": f"{own}-{name}-0"}}
        for each in rows(spec, "volumeClaimTemplates")
        if (own := table(each, "metadata").get("name"))
    ]
    volumes = {"volumes": [*rows(told, "volumes"), *claims]} if claims else {}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "generateName": f"{name}-"},
        "spec": {**told, **volumes},
    }  # fmt: skip


def _stateful_set_labels(name: str, replicas: int) -> dict[str, str]:
    """Labels of the last pod of a StatefulSet: https://github.com/kubernetes/kubernetes/issues/64023 ."""
    return {"statefulset.kubernetes.io/pod-name": f"{name}-{replicas - 1}",
            "controller-revision-hash": f"{name}-{'0' * _REVISION}"}  # fmt: skip


def filled_in_later(said: str, of: Object) -> bool:
    """Whether a pod is refused for what its controller, of another kind, may fill in: its template is none yet."""
    return str(of.get("apiVersion")).rpartition("/")[0] not in _PLAIN_TEMPLATES and " is invalid: " in said


def refuses_rollout(said: str, objects: list[Object]) -> bool:
    """Whether a refusal holds for the rollout, too.

    What is over quota now is judged by `pre_deploy.kubernetes.quota`: old pods go first in some rollouts. What the same
    files make is not there yet.
    """
    if "exceeded quota:" in said:
        return False
    for each in objects:
        name = str(table(each, "metadata").get("name", ""))
        if each.get("kind") == "PriorityClass" and f"no PriorityClass with name {name} was found" in said:
            return False
        if each.get("kind") == "RuntimeClass" and f'RuntimeClass "{name}" not found' in said:
            return False
        if each.get("kind") == "ServiceAccount" and "service account" in said and f'"{name}" not found' in said:
            return False
    return True
