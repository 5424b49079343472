"""The page about prodcheck.toml: its JSON Schema in the order in which a reader needs it, an example a section."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args, get_origin

EXAMPLE = Path(__file__).resolve().with_name("example.toml")
_E = "environments.ENV"
# model -> where it stands in the file, for those that stand in several places or are written otherwise than their path;
# where all others stand follows from the models
ELSEWHERE = {
    "Project": "The whole file",
    "Threshold": f"[thresholds], [{_E}.thresholds]",
    "TlsExpiry": f"[{_E}.services.NAME.tls.expiry], the same for `postgres`, `redis` and [{_E}.tls.NAME.expiry]",
    "Authentication": f"[{_E}.services.NAME.authentication], the same for `vulnerabilities`, `prometheus`, …",
    "BasicCredentials": f"[{_E}.services.NAME.authentication.basic], [{_E}.vulnerabilities.NAME.authentication.basic]",
    "Trust": f"[{_E}.auth.tls], [{_E}.prometheus.tls], [{_E}.alerts.alertmanager.tls]",
    "SecretRef": "Wherever a key takes a secret",
    "Step": "In `steps` and `cleanup` of a workflow",
    "Levels": "Wherever a limit is declared with what it limits",
    "Column": f"[{_E}.postgres.NAME.columns]",
    "Command": "Wherever a key takes a program",
    "Setting": f"[{_E}.settings.NAME.keys]",
    "GateDefaults": "[gates.defaults]",
    "Need": "In `needs` of a gate",
    "Waiver": "[[waivers]]",
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
- *required* means: in the environment as resolved, so an inherited value is enough.

The examples are parts of one file, [example.toml](example.toml).

"""


def page() -> str:
    """Every table and key of prodcheck.toml."""
    from pytest_prodcheck.environments.project import Project
    from pytest_prodcheck.environments.schema import schema

    document = schema()
    sections: dict[str, Any] = {"Project": document, **document["$defs"]}
    built = Project.model_json_schema(by_alias=True)
    needed = {name: set(each.get("required", ())) for name, each in {**built["$defs"], "Project": built}.items()}
    parts = examples()
    where = places(Project)
    return _HEAD + "".join(
        _section(name, where[name], sections[name], needed[name], parts.get(name, "")) for name in where
    )


def places(project: Any) -> dict[str, str]:
    """Name of each model -> where it stands in the file; in the order of the models. ValueError for a name of none."""
    from pytest_prodcheck.environments.sections.lazy import model_of

    found: dict[str, str] = {}

    def enter(model: Any, path: tuple[str, ...]) -> None:
        if model.__name__ in found:
            return
        told = f"[{'.'.join(path)}]".replace("environments.NAME", _E)
        found[model.__name__] = ELSEWHERE.get(model.__name__, told)
        for name, field in model.model_fields.items():
            look_into(field.annotation, (*path, field.alias or name))

    def look_into(annotation: Any, path: tuple[str, ...]) -> None:
        if (model := model_of(annotation)) is not None:
            enter(model, path)
            return
        inner = get_args(annotation)
        for each in inner[1:] if get_origin(annotation) is dict else inner:
            look_into(each, (*path, "NAME") if get_origin(annotation) is dict else path)

    enter(project, ())
    if odd := sorted(set(ELSEWHERE) - set(found)):
        raise ValueError(f"docs/settings.py: ELSEWHERE names what is no model: {', '.join(odd)}")
    return found


def examples() -> dict[str, str]:
    """Section -> its part of the example file."""
    pieces = re.split(r"^#: (\w+)\n", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _section(name: str, place: str, section: dict[str, Any], needed: set[str], example: str) -> str:
    where = place if "[" not in place else f"`{place}`"
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
