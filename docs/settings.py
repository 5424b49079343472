"""The page about prodcheck.toml: its JSON Schema in the order in which a reader needs it, an example a section."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().with_name("example.toml")
_E = "environments.ENV"
SECTIONS = {  # section -> where it stands in the file; in the order of the page
    "Project": "The whole file",
    "Threshold": f"[thresholds], [{_E}.thresholds]",
    "Environment": f"[{_E}]",
    "EvidenceSettings": f"[{_E}.evidence]",
    "Gathering": f"[{_E}.gathering]",
    "Unit": f"[{_E}.units.NAME]",
    "Slot": f"[{_E}.slots.NAME]",
    "Service": f"[{_E}.services.NAME]",
    "Endpoint": f"[{_E}.services.NAME.endpoints.NAME]",
    "VersionSource": f"[{_E}.services.NAME.version]",
    "ServiceTls": f"[{_E}.services.NAME.tls]",
    "TlsExpiry": f"[{_E}.services.NAME.tls.expiry], the same for `postgres`, `redis` and [{_E}.tls.NAME.expiry]",
    "Authentication": f"[{_E}.services.NAME.authentication], the same for `vulnerabilities`, `prometheus`, …",
    "BasicCredentials": f"[{_E}.services.NAME.authentication.basic], [{_E}.vulnerabilities.NAME.authentication.basic]",
    "Auth": f"[{_E}.auth]",
    "Trust": f"[{_E}.auth.tls], [{_E}.prometheus.tls], [{_E}.alerts.alertmanager.tls]",
    "Fields": f"[{_E}.auth.fields]",
    "WrongPassword": f"[{_E}.auth.wrong_password]",
    "Tokens": f"[{_E}.auth.tokens]",
    "Throttling": f"[{_E}.auth.throttling]",
    "Role": f"[{_E}.auth.roles.NAME]",
    "SecretRef": "Wherever a key takes a secret",
    "Workflow": f"[{_E}.workflows.NAME]",
    "Step": "In `steps` and `cleanup` of a workflow",
    "Dependency": f"[{_E}.dependencies.NAME]",
    "Postgres": f"[{_E}.postgres.NAME]",
    "PostgresExpect": f"[{_E}.postgres.NAME.expect]",
    "PostgresTls": f"[{_E}.postgres.NAME.tls]",
    "Timeouts": f"[{_E}.postgres.NAME.timeouts]",
    "Migrations": f"[{_E}.postgres.NAME.migrations]",
    "Invariant": f"[{_E}.postgres.NAME.invariants.NAME]",
    "Relation": f"[{_E}.postgres.NAME.relations.NAME]",
    "Orphans": f"[{_E}.postgres.NAME.orphans]",
    "Newest": f"[{_E}.postgres.NAME.freshness.NAME]",
    "Structure": f"[{_E}.postgres.NAME.structure]",
    "Tolerated": f"[{_E}.postgres.NAME.tolerate]",
    "Levels": "Wherever a limit is declared with what it limits",
    "Column": f"[{_E}.postgres.NAME.columns]",
    "Backups": f"[{_E}.postgres.NAME.backups]",
    "Command": "Wherever a key takes a program",
    "BackupExpect": f"[{_E}.postgres.NAME.backups.expect]",
    "ObjectStore": f"[{_E}.postgres.NAME.backups.s3]",
    "Restore": f"[{_E}.postgres.NAME.backups.restore]",
    "RestoreTarget": f"[{_E}.postgres.NAME.backups.restore.target]",
    "Content": f"[{_E}.postgres.NAME.content]",
    "Redis": f"[{_E}.redis.NAME]",
    "RedisExpect": f"[{_E}.redis.NAME.expect]",
    "RedisTls": f"[{_E}.redis.NAME.tls]",
    "Vulnerabilities": f"[{_E}.vulnerabilities.NAME]",
    "Exposure": f"[{_E}.exposure.NAME]",
    "Kubernetes": f"[{_E}.kubernetes]",
    "Prometheus": f"[{_E}.prometheus]",
    "Metric": f"[{_E}.metrics.NAME]",
    "Settings": f"[{_E}.settings.NAME]",
    "Setting": f"[{_E}.settings.NAME.keys]",
    "Rollback": f"[{_E}.rollback]",
    "Approval": f"[{_E}.approval]",
    "Alerts": f"[{_E}.alerts]",
    "Alertmanager": f"[{_E}.alerts.alertmanager]",
    "Quiet": f"[{_E}.alerts.quiet]",
    "Host": f"[{_E}.hosts.NAME]",
    "TlsServer": f"[{_E}.tls.NAME]",
    "Load": f"[{_E}.load.NAME]",
    "Abort": f"[{_E}.load.NAME.abort]",
    "Stress": f"[{_E}.load.NAME.stress]",
    "Compare": f"[{_E}.load.NAME.compare]",
    "Resources": f"[{_E}.load.NAME.resources]",
    "LoadCaps": f"[{_E}.load_caps]",
    "Light": f"[{_E}.light]",
    "GateDefaults": "[gates.defaults]",
    "Gate": "[gates.NAME]",
    "Need": "In `needs` of a gate",
    "Waiver": "[[waivers]]",
    "Seal": "[seal]",
}
_HEAD = """\
`prodcheck schema` prints this as a JSON Schema for editors. `prodcheck env NAME` shows an environment as resolved,
with the line that each value comes from. All mistakes of a file are told at once; a key that is not listed here is
refused.

- The file is found from the working folder upward. Relative paths begin at its folder.
- `extends` names the environment to inherit from: tables merge key by key, lists and values replace.
  **`NAME = false` removes an inherited table**; that is why it may stand wherever a table may.
- `{name}` in a string is filled in from `vars` of the environment.
- A *duration* is text with a unit, such as `"500ms"`, `"90s"`, `"15m"`, `"26h"` or `"7d"`; a bare number is seconds.
- A *quantity* is a number or text with a unit, such as `3`, `"1%"`, `"500ms"` or `"50MB"`.
- A *name* is letters, digits, `.`, `_` and `-`.
- *as there* means: the defaults are those of that table.
- *required* means: in the environment as resolved, so an inherited value will do.

The examples are parts of one file, [example.toml](example.toml).

"""


def page() -> str:
    """Every table and key of prodcheck.toml; raises ValueError for a section that has no place on the page."""
    from pytest_prodcheck.environments.project import Project
    from pytest_prodcheck.environments.schema import schema

    document = schema()
    sections: dict[str, Any] = {"Project": document, **document["$defs"]}
    built = Project.model_json_schema(by_alias=True)
    needed = {name: set(each.get("required", ())) for name, each in {**built["$defs"], "Project": built}.items()}
    if odd := sorted(set(sections) ^ set(SECTIONS)):
        raise ValueError(f"docs/settings.py: SECTIONS does not fit the models: {', '.join(odd)}")
    parts = examples()
    texts = [_section(name, sections[name], needed[name], parts.get(name, "")) for name in SECTIONS]
    return _HEAD + "".join(texts)


def examples() -> dict[str, str]:
    """Section -> its part of the example file."""
    pieces = re.split(r"^#: (\w+)\n", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _section(name: str, section: dict[str, Any], needed: set[str], example: str) -> str:
    where = SECTIONS[name] if "[" not in SECTIONS[name] else f"`{SECTIONS[name]}`"
    lines = [f"## {name}\n\n{where}: {escaped(section['description'])}\n\n"]
    lines.append("| key | type | default | meaning |\n|---|---|---|---|\n")
    for key, value in section["properties"].items():
        default = "*required*" if key in needed else _default(value)
        lines.append(f"| `{key}` | {_type(value)} | {default} | {escaped(value.get('description', ''))} |\n")
    lines.append(f"\n```toml\n{example.strip()}\n```\n\n" if example else "\n")
    return "".join(lines)


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if isinstance(default, dict) and default:
        return "as there"
    if default is None or default == "" or default == [] or default == {}:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return ", ".join(f"`{each}`" for each in default)
    return f'`"{_duration(default)}"`' if _type(value) == "duration" else f"`{default}`"


def _duration(seconds: float) -> str:
    units = (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
    unit, size = next((unit, size) for unit, size in units if (seconds / size).is_integer())
    return f"{seconds / size:g}{unit}"


_WORDS = {"string": "text", "boolean": "true or false", "integer": "whole number", "object": "table"}


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    options = value.get("anyOf", value.get("oneOf"))
    if options is not None:
        left = [each for each in options if each.get("const") is not False and each.get("type") != "null"]
        kinds = list(dict.fromkeys(_type(each) for each in left))
        return {"text or number": "duration", "text or whole number or number": "quantity"}.get(
            " or ".join(kinds), " or ".join(kinds)
        )
    if "enum" in value:
        return " or ".join(f"`{each}`" for each in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    kind = value.get("type", "anything")
    if kind == "array":
        return f"list of {_type(value['items'])}" if isinstance(value.get("items"), dict) else "list"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"{_type(value['additionalProperties'])} by name"
    if kind == "string" and value.get("format") == "date":
        return "date"
    return _WORDS.get(str(kind), str(kind))


def escaped(text: str) -> str:
    """One line that can stand in a cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
