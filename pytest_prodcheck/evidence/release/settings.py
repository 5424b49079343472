"""`configured-settings`: what the declared settings are, without their values."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.queries import settings_format
from pytest_prodcheck.evidence.collectors import THIS_MACHINE, Sending, evidence
from pytest_prodcheck.evidence.release import setting_values
from pytest_prodcheck.evidence.release.setting_files import parse
from pytest_prodcheck.evidence.tools.placeholders import fill_placeholders
from pytest_prodcheck.evidence.vulnerabilities.report_source import file
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.settings import ConfiguredSettings, SettingFound

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.settings import Setting, Settings
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LARGEST = 4 * 1024 * 1024  # bytes
SHORTEST = 8  # characters of a secret that is blanked wherever else it stands


def _host(target: str, environment: Environment) -> str:
    return THIS_MACHINE if environment.settings[target].file is not None else "kubernetes"


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings = environment.settings[target]
    if settings.file is not None:
        return (Sending(THIS_MACHINE, f"reads the file {settings.file}"),)
    return (Sending("Kubernetes API", "GET configmaps, unless it is in the manifests"),)


def _seconds(target: str, environment: Environment) -> float:
    return environment.kubernetes.timeout + 5.0 if environment.kubernetes else 10.0


@evidence("configured-settings", axis="settings", seconds=_seconds, host=_host, sends=_sends)
def configured_settings(target: str, context: Context, deadline: Deadline) -> ConfiguredSettings:
    """Which settings are there, and what is wrong with them; values are looked at and forgotten.

    Raises EvidenceProblem (configuration) where the file or ConfigMap is not there or cannot be read.
    """
    declared = context.environment.settings[target]
    source, found, text = _read(declared, context, deadline)
    settings = tuple(_setting(name, each, found, text, context) for name, each in declared.keys.items())
    return ConfiguredSettings(source, settings)


def _read(declared: Settings, context: Context, deadline: Deadline) -> tuple[str, dict[str, Any], bool]:
    """The source's name, its settings, and whether it knows texts alone."""
    unit = declared.unit or ""
    if declared.file is not None:
        name = fill_placeholders(declared.file, context, unit)
        form = settings_format(declared)
        return name, parse(file(name, context.root, LARGEST).content, form, name), form == "env"
    name = fill_placeholders(declared.configmap or "", context, unit)
    data, source = _configmap(name, context, deadline), f"ConfigMap {name}"
    if declared.entry is None:
        return source, data, True
    if declared.entry not in data:
        raise EvidenceProblem(Problem("configuration", f"{source} has no entry {declared.entry}"))
    form = settings_format(declared)
    source = f"{source}, {PurePath(declared.entry).name}"
    return source, parse(str(data[declared.entry]).encode(), form, source), form == "env"


def _configmap(name: str, context: Context, deadline: Deadline) -> dict[str, Any]:
    """The data of a ConfigMap that is about to be applied, else of the cluster's."""
    from pytest_prodcheck.evidence.kubernetes.api import listed
    from pytest_prodcheck.evidence.kubernetes.cluster import namespaced
    from pytest_prodcheck.evidence.kubernetes.manifest_files import documents
    from pytest_prodcheck.evidence.kubernetes.namespace_objects import name_of
    from pytest_prodcheck.evidence.kubernetes.objects import table

    for _, item in documents(context):
        if item.get("kind") == "ConfigMap" and name_of(item) == name:
            return table(item, "data")
    path = namespaced("", "configmaps", context)

    def take(item: dict[str, Any]) -> dict[str, Any] | None:
        return table(item, "data") if name_of(item) == name else None

    found: list[dict[str, Any]] = listed(f"configmap {name}", path, context, deadline, take)
    if not found:
        where = "neither in the manifests nor in the namespace"
        raise EvidenceProblem(Problem("configuration", f"there is no ConfigMap {name}, {where}"))
    return found[0]


def _setting(name: str, declared: Setting, found: dict[str, Any], text: bool, context: Context) -> SettingFound:
    secret = setting_values.is_secret(name, declared)
    value = found.get(name)
    if value is None or value == "":
        return SettingFound(name, secret, declared.optional, name in found, empty=name in found)
    looks, known = setting_values.placeholder(value), False
    if secret or setting_values.password_of(value):
        known = not looks and setting_values.is_known_secret(name, value)
        if not looks and not known and len(str(value)) >= SHORTEST:
            context.redactor.add(str(value))
    wrong = context.redactor.redact(setting_values.mistake(value, declared, text=text, secret=secret))
    wrong = "" if looks else wrong
    return SettingFound(name, secret, declared.optional, True, wrong=wrong, placeholder=looks, known=known)
