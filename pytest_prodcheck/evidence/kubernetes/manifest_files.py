"""The files that are about to be applied: YAML or JSON, several documents in one, lists taken apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.evidence.kubernetes.selectors import labels_of
from pytest_prodcheck.evidence.tools.bounded_data import refuse_bombs
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context

LARGEST = 16 * 1024 * 1024  # bytes of one file
MOST = 5000  # objects in all


def documents(context: Context) -> tuple[tuple[str, Object], ...]:
    """`(file, object)` of every object, () where no files are declared; raises EvidenceProblem (configuration).

    A pattern that fits no file is a problem: an empty folder must not look like a good one.
    """
    cluster = context.environment.kubernetes
    if cluster is None or not cluster.manifests:
        return ()
    unit = context.environment.unit
    context.relies_on(*(_without_placeholders(each, unit, context.revision) for each in cluster.manifests))
    return context.once(
        ("kubernetes-manifests",), lambda: tuple(read(context.root, cluster.manifests, unit, context.revision))
    )


def with_coming(kind: str, live: Iterable[Object], context: Context) -> list[Object]:
    """Live objects of the namespace as the files will have them: their specification, and those that are new."""
    cluster = context.environment.kubernetes
    space = cluster.namespace if cluster else ""
    found = {str(table(each, "metadata").get("name")): each for each in live}
    for _, each in documents(context):
        metadata = table(each, "metadata")
        if each.get("kind") == kind and str(metadata.get("namespace") or space) == space:
            name = str(metadata.get("name"))
            found[name] = {**found.get(name, {}), **each}
    return list(found.values())


def manifests_of(kind: str, name: str, context: Context) -> Iterator[Object]:
    """The objects of the files of one kind (in lower case) and name; raises EvidenceProblem as `documents`."""
    for _, each in documents(context):
        if (str(each.get("kind", "")).lower(), str(table(each, "metadata").get("name", ""))) == (kind, name):
            yield each


def _without_placeholders(pattern: str, unit: str, revision: str) -> str:
    return pattern.replace("{unit}", unit).replace("{revision}", revision)


def read(root: Path, patterns: tuple[str, ...], unit: str, revision: str) -> Iterator[tuple[str, Object]]:
    """`(file, object)` of every object of files below `root`; raises EvidenceProblem (configuration, too-large)."""
    count = 0
    for pattern in patterns:
        filled = _without_placeholders(pattern, unit, revision)
        files = sorted(glob(str(root / filled), recursive=True))
        if not files:
            hint = "render the files first; {unit} and {revision} in the path are filled in"
            raise EvidenceProblem(Problem("configuration", f"kubernetes.manifests: no file matches {filled}", hint))
        for file in map(Path, files):
            for each in _objects(file):
                count += 1
                if count > MOST:
                    raise EvidenceProblem(Problem("too-large", f"kubernetes.manifests: more than {MOST} objects"))
                yield file.name, each
    if not count:
        raise EvidenceProblem(Problem("configuration", "kubernetes.manifests: the files contain no object"))


def _objects(file: Path) -> Iterator[Object]:
    try:
        import yaml
    except ImportError:
        hint = "pip install 'pytest-prodcheck[kubernetes]'"
        raise EvidenceProblem(Problem("missing-extra", "reading manifests needs PyYAML", hint)) from None
    from pytest_prodcheck.evidence.kubernetes.yaml_reading import Loader

    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        found = list(yaml.load_all(file.read_bytes(), Loader))
        refuse_bombs(found)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        what = plain(str(error), 300) or type(error).__name__
        raise EvidenceProblem(Problem("configuration", f"{file.name} cannot be read: {what}")) from None
    for each in found:
        if each is None:
            continue
        if not isinstance(each, dict) or not each.get("kind") or not each.get("apiVersion"):
            raise EvidenceProblem(
                Problem("configuration", f"{file.name} contains a document without kind and apiVersion")
            )
        if str(each["kind"]).endswith("List") and isinstance(each.get("items"), list):
            yield from rows(each, "items")
        else:
            yield each


def kind_and_name(item: Object) -> str:
    """Kind and name: "Deployment storefront"."""
    return f"{item.get('kind', '')} {table(item, 'metadata').get('name', '')}"


def template(item: Object) -> Object:
    """The specification of the pods that an object makes, {} for one that makes none."""
    kind = item.get("kind")
    if kind == "Pod":
        return table(item, "spec")
    if kind == "CronJob":
        return table(item, "spec", "jobTemplate", "spec", "template", "spec")
    return table(item, "spec", "template", "spec")


def template_labels(item: Object) -> dict[str, str]:
    """The labels of the pods that an object makes."""
    spec = table(item, "spec", "jobTemplate", "spec") if item.get("kind") == "CronJob" else table(item, "spec")
    return labels_of(item if item.get("kind") == "Pod" else table(spec, "template"))
