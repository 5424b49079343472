"""What pods of the namespace may do to their nodes, and whether its volumes are encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import KubernetesPods, StorageClasses


@check("security.kubernetes.pods", severity="high", runbook="kubernetes-pod-security")
def test_pods_keep_to_themselves(kubernetes_pods: KubernetesPods) -> None:
    """Pods meet the baseline Pod Security Standard; host ports, and what the restricted one forbids, warn."""
    judge("pods", len(kubernetes_pods.pods), at_least=1)
    risks: dict[str, tuple[set[str], set[str]]] = {}
    for pod in kubernetes_pods.pods:
        if pod.phase not in ("Succeeded", "Failed"):
            grave, slight = risks.setdefault(pod.workload, (set(), set()))
            grave.update(pod.grave)
            slight.update(pod.slight)
    for workload, (grave, slight) in sorted(risks.items()):
        judge("meets the baseline standard", not grave, of=workload, reason="; ".join(sorted(grave)))
        judge("meets the restricted standard", not slight, of=workload, warn_only=True,
              reason="; ".join(sorted(slight)))  # fmt: skip


@check("security.encryption.storage", severity="high", runbook="encryption-storage")
def test_volumes_are_encrypted(kubernetes_storage: StorageClasses) -> None:
    """The storage classes of the namespace's claims say that they encrypt; no statement warns."""
    judge("storage classes in use", len(kubernetes_storage.classes), at_least=0)
    for name, encrypted in kubernetes_storage.classes:
        judge("encrypts", encrypted is not False, of=name, reason="its parameters switch encryption off")
        judge("encryption is declared", encrypted is not None, of=name, warn_only=True,
              reason="its parameters do not mention encryption; the provider may encrypt anyway")  # fmt: skip
