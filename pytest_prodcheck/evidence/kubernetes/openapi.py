"""What the API server's OpenAPI v3 says of a kind: how its lists are merged, and whether it can be dry-run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Fields:
    """The fields of one schema, and how the list or table itself is merged.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy ; the plain one replaces lists.
    """

    schemas: Object = field(default_factory=dict, repr=False)
    schema: Object = field(default_factory=dict, repr=False)
    strategies: tuple[str, ...] = ()
    key: str = ""  # of the items of a merged list

    @property
    def strategy(self) -> str:
        """Either "merge", "replace", or "" for what is usual: tables are merged, lists replaced."""
        return next((each for each in self.strategies if each != "retainKeys"), "")

    @property
    def retains_keys(self) -> bool:
        """Whether fields that are not named are cleared."""
        return "retainKeys" in self.strategies

    def of(self, name: str) -> Fields:
        """Those of one field, of the items where it is a list; empty for one that the schema does not know."""
        told = table(self.schema, "properties", name)
        strategies = tuple(part for part in str(told.get("x-kubernetes-patch-strategy", "")).split(",") if part)
        key = str(told.get("x-kubernetes-patch-merge-key", ""))
        return Fields(self.schemas, self._resolved(table(told, "items") or told), strategies, key)

    def _resolved(self, schema: Object) -> Object:
        first = next(iter(rows(schema, "allOf")), schema)
        name = str(first.get("$ref", "")).rpartition("/")[2]
        return table(self.schemas, name) if name else first


@dataclass(frozen=True)
class Description:
    """One kind: whether its patches may be strategic, whether requests about it may be dry-run."""

    strategic: bool
    dry_runs: bool
    fields: Fields


def kind_description(version: str, kind: str, context: Context, deadline: Deadline) -> Description | None:
    """What the server says of a kind, None where its description lacks it; raises EvidenceProblem."""
    group, _, short = version.rpartition("/")
    wanted = {"group": group, "version": short, "kind": kind}
    document = _document(version, context, deadline)
    for path in table(document, "paths").values():
        patch = table(path, "patch")
        if table(patch, "x-kubernetes-group-version-kind") != wanted or patch.get("x-kubernetes-action") != "patch":
            continue
        parameters = [*rows(patch, "parameters"), *rows(path, "parameters")]
        strategic = STRATEGIC in table(patch, "requestBody", "content")
        schemas = table(document, "components", "schemas")
        known = (each for each in schemas.values() if strategic and wanted in rows(each, _KINDS))
        schema: Object = next(known, {})
        dry_runs = any(each.get("name") == "dryRun" for each in parameters)
        return Description(strategic, dry_runs, Fields(schemas, schema))
    return None


_KINDS = "x-kubernetes-group-version-kind"


def _document(version: str, context: Context, deadline: Deadline) -> Object:
    path = f"/openapi/v3/{'apis' if '/' in version else 'api'}/{version}"

    def ask() -> Any:
        status, text = api(context, deadline).text(path, deadline)
        if status != 200:
            hint = "it defines how lists are merged; the cluster role system:discovery grants read access to it"
            raise EvidenceProblem(Problem("protocol", f"GET {path}: answered {status}", hint))
        return json.loads(text)

    document = context.once(("kubernetes-openapi", version), ask, deadline)
    return document if isinstance(document, dict) else {}
