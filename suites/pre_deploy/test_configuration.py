"""What is about to be applied: would the server take it, is everything there that it refers to; and its settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.records import ConfiguredSettings, Finding, KubernetesManifests, ManifestFacts


def _minor(version: str) -> int | None:
    found = re.match(r"v?1\.(\d+)", version)
    return int(found[1]) if found else None


@check("pre_deploy.configuration.manifests", severity="critical", runbook="configuration-manifests")
def test_the_server_would_take_them(kubernetes_manifests: KubernetesManifests) -> None:
    """A dry run on the server accepts every object: admission, validation and defaults included."""
    unasked = [each.problem for each in kubernetes_manifests.manifests if each.problem is not None]
    asked = [each for each in kubernetes_manifests.manifests if each.problem is None]
    if unasked and all(each.accepted or each.waits for each in asked):
        raise EvidenceProblem(unasked[0])
    judge("all objects could be dry-run", not unasked, warn_only=True, reason=unasked[0].message if unasked else "")
    for each in asked:
        if each.waits:
            judge("dry run", False, of=each.name, reason=f"not judged: {each.waits}", warn_only=True)
            continue
        how = f" ({each.way})" if each.way else ""
        judge("dry run", each.accepted, of=each.name, reason=f"{each.said}{how}")
        judge("no field is dropped", not each.lost, of=each.name, warn_only=True,
              reason=f"{'; '.join(each.lost)}{how}")  # fmt: skip
        dropped = [warning for warning in each.warnings if "unknown field" in warning]
        judge("all fields are known", not dropped, of=each.name, reason="; ".join(dropped), warn_only=True)


@check("pre_deploy.configuration.deprecations", severity="high", runbook="configuration-deprecations")
def test_api_versions_last(kubernetes_manifests: KubernetesManifests) -> None:
    """The API server serves the API version of every object; a deprecated version warns."""
    for each in kubernetes_manifests.manifests:
        judge("is served", each.served or bool(each.waits), of=each.name,
              reason=f"{each.api_version} {each.kind} is not served by {kubernetes_manifests.server}")  # fmt: skip
        told = [warning for warning in each.warnings if "deprecated" in warning]
        judge("is not deprecated", not told, of=each.name, reason="; ".join(told), warn_only=True)


def _judge(what: str, findings: tuple[Finding, ...]) -> None:
    judge(f"{what} checked", len(findings), at_least=0)
    for each in findings:
        judge(what, not each.wrong, of=each.what, reason=each.wrong)
        if each.later:
            judge(f"{what} already exists", False, of=each.what, reason=each.later, warn_only=True)


@check("pre_deploy.configuration.references", severity="critical", runbook="configuration-references")
def test_everything_named_is_there(manifest_facts: ManifestFacts) -> None:
    """Every ConfigMap, Secret, key, service account, claim and port that the objects refer to exists."""
    _judge("reference", manifest_facts.references)


@check("pre_deploy.configuration.images", severity="high", runbook="configuration-images")
def test_images_are_pinned(manifest_facts: ManifestFacts) -> None:
    """Every image has a digest, or a tag other than latest."""
    _judge("image", manifest_facts.images)


@check("pre_deploy.configuration.workload", severity="medium", runbook="configuration-workload")
def test_pods_are_made_well(manifest_facts: ManifestFacts) -> None:
    """Pods have probes, limits, requests, a user other than root, a read-only root, and are spread."""
    _judge("pod template", manifest_facts.workloads)


@check("pre_deploy.configuration.settings", severity="critical", runbook="configuration-settings")
def test_settings_are_filled_in(configured_settings: ConfiguredSettings) -> None:
    """Every declared setting exists, has its type, and is neither a placeholder nor a well-known secret."""
    for each in configured_settings.settings:
        if each.optional and not each.present:
            continue
        if not judge(
            "value", each.present, of=each.name, reason=f"{configured_settings.source} does not contain this setting"
        ):
            continue
        judge("value", not each.empty, of=each.name, reason="it is empty")
        judge("value", not each.wrong, of=each.name, reason=each.wrong)
        looks = "it is a placeholder" + ("" if each.secret else f": {each.placeholder}")
        judge("value", not each.placeholder, of=each.name, reason=looks)
        if each.secret:
            judge("value", not each.known, of=each.name, reason="it is a widely known default value")
        elif each.known:
            judge("password", False, of=each.name, reason="it is a widely known default value")
