"""What has to fit together in the sections about one release: its approval, its dependencies, its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import settings_format
from pytest_prodcheck.environments.rules.common import file, unknown_name
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.approval import Approval
    from pytest_prodcheck.environments.sections.settings import Settings

_NEEDED = {"file": "record", "url": "url", "github-deployments": "repository"}
_GITHUB, _WEB = ("github-deployments",), ("url", "github-deployments")
_GOES_WITH = {  # key -> the kinds of approval that it goes with
    "record": ("file",), "url": _WEB, "authentication": _WEB, "ca": _WEB, "repository": _GITHUB, "deployment": _GITHUB,
}  # fmt: skip


def dependency_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about dependencies: files, and stores that they name."""
    for name, dependency in environment.dependencies.items():
        path = ("dependencies", name)
        yield from file((*path, "ca"), dependency.ca, root)
        for key in ("postgres", "redis"):
            if (there := getattr(dependency, key)) is not None:
                yield from unknown_name((*path, key), there, getattr(environment, key), f"target of `{key}`")


def settings_complaints(environment: Environment, _root: Path) -> Iterator[Complaint]:
    """Everything about settings."""
    for name, settings in environment.settings.items():
        yield from _settings(("settings", name), settings, environment)


def approval_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about the approval."""
    if environment.approval is not None:
        yield from _approval(environment.approval, environment, root)


def _settings(path: tuple[str, ...], settings: Settings, environment: Environment) -> Iterator[Complaint]:
    if (settings.file is None) == (settings.configmap is None):
        yield path, "expected exactly one of `file` and `configmap`", ""
    if settings.configmap is not None and environment.kubernetes is None:
        yield (*path, "configmap"), "`configmap` needs the section `kubernetes`", ""
    if settings.entry is not None and settings.configmap is None:
        yield (*path, "entry"), "`entry` is allowed with `configmap` only", ""
    if (settings.file is not None or settings.entry is not None) and not settings_format(settings):
        yield path, "the format cannot be derived from the file name", "set `format`: env, json, toml or yaml"
    if settings.unit is not None:
        yield from unknown_name((*path, "unit"), settings.unit, environment.units, "unit")


def _approval(approval: Approval, environment: Environment, root: Path) -> Iterator[Complaint]:
    path = ("approval",)
    if getattr(approval, _NEEDED[approval.kind]) is None:
        yield path, f'kind = "{approval.kind}" needs `{_NEEDED[approval.kind]}`', ""
    for key, kinds in _GOES_WITH.items():
        if getattr(approval, key) is not None and approval.kind not in kinds:
            yield (*path, key), f'`{key}` is not allowed with kind = "{approval.kind}"', ""
    for key in ("ca", "freeze"):
        yield from file((*path, key), getattr(approval, key), root)
    named = f"{approval.repository} {approval.deployment}"
    if approval.kind == "github-deployments" and len(environment.units) > 1 and "{unit}" not in named:
        hint = "put {unit} into `repository` or `deployment`"
        yield path, "an approval for one unit would count for all units", hint
