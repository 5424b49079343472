"""The migrations that a revision ships: read as text and syntax tree, never imported, never run."""

from __future__ import annotations

import ast
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.migrations import liquibase
from pytest_prodcheck.evidence.migrations.model import MOST_FILES, Script, broken, read_text
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.database import Migrations as Settings


def scripts_of(settings: Settings, root: Path) -> dict[str, Script]:
    """All scripts by version; raises EvidenceProblem (configuration) for a folder without any, or one unreadable."""
    folder = root / settings.scripts
    if not folder.is_dir():
        what = f"migrations: the folder {settings.scripts} does not exist"
        raise EvidenceProblem(Problem("configuration", what, "scripts is relative to prodcheck.toml"))
    readers = {"alembic": _alembic, "flyway": _flyway, "django": _django, "table": _numbered_scripts}
    found: dict[str, Script] = {}
    scripts = liquibase.change_sets_of(folder, settings, root) if settings.kind == "liquibase" else None
    for script in scripts or readers[settings.kind](folder, settings):
        other = found.get(script.version)
        if other is not None:
            raise broken(script.file, f"{script.version} is {other.file.name} too")
        found[script.version] = script
    if not found:
        what = f"migrations: {settings.scripts} contains no {settings.kind} migration"
        raise EvidenceProblem(Problem("configuration", what, "are `scripts` and `kind` right?"))
    return found


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for count, path in enumerate(sorted(folder.rglob(pattern))):
        if count == MOST_FILES:
            what = f"migrations: more than {MOST_FILES} files in {folder.name}"
            raise EvidenceProblem(Problem("too-large", what, "name a folder that contains only the migrations"))
        if path.is_file():
            yield path


def _assigned_literals(path: Path, body: list[ast.stmt], wanted: tuple[str, ...]) -> dict[str, Any]:
    """The literal values that are given to some names in a module or class."""
    found: dict[str, Any] = {}
    for statement in body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id in wanted:
                found[target.id] = _literal(path, target.id, value)
    return found


def _literal(path: Path, name: str, node: ast.expr) -> Any:
    """A constant, or a list of them; calls within a list (Django's swappable_dependency) are left out."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Tuple, ast.List)):
        return [_literal(path, name, each) for each in node.elts if not isinstance(each, ast.Call)]
    raise broken(path, f"{name} is not a literal, and prodcheck never runs scripts")


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(read_text(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise broken(path, f"is not valid Python ({error})") from None


def _as_tuple(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(each) for each in value)


def _alembic(folder: Path, settings: Settings) -> Iterator[Script]:
    """`versions/*.py` with `revision` and `down_revision` (alembic.sqlalchemy.org, "Create a Migration Script").

    depends_on names a revision, or a branch by a label, which stands for the revision that is labelled.
    """
    where = folder / "versions" if (folder / "versions").is_dir() else folder
    found, below = [], []
    for path in _files(where, "*.py"):
        names = _assigned_literals(path, _tree(path).body, ("revision", "down_revision", "depends_on", "branch_labels"))
        if not isinstance(names.get("revision"), str):
            continue
        if path.parent != where and settings.recursive is not True:
            below.append(path)
            continue
        found.append((path, names["revision"], *(_as_tuple(names.get(key)) for key in
                      ("down_revision", "depends_on", "branch_labels"))))  # fmt: skip
    if below and settings.recursive is None:
        hint = "set migrations.recursive to the value of Alembic's recursive_version_locations, true or false"
        what = f"migrations: {below[0].parent.name}/{below[0].name} is below the folder of versions"
        raise EvidenceProblem(Problem("configuration", what, hint))
    known = {revision: revision for _, revision, *_ in found}
    known |= {label: revision for _, revision, _, _, labels in found for label in labels}
    for path, revision, down, depends, labels in found:
        for parent in (*down, *depends):
            if parent not in known:
                hint = (
                    "`scripts` must contain all version locations: name their parent folder, and set recursive = true"
                )
                raise broken(path, f"it depends on {parent}, which is not in the scripts", hint)
        parents = tuple(known[each] for each in (*down, *depends))
        yield Script(revision, path, parents, title=path.stem, labels=labels, line=tuple(known[each] for each in down))


BASELINE = "baseline "  # before the version of a script of Flyway that stands for all up to it


def _flyway(folder: Path, settings: Settings) -> Iterator[Script]:
    """V1_2__Title.sql, R__Title.sql, B3__Title.sql with Flyway's checksum (documentation.red-gate.com/flyway).

    That of a repeatable one is of the text with its placeholders replaced, from 6.0 on; of the text itself before.
    Undo scripts (U…) are none of those that are to be applied.
    """
    names = settings.flyway
    prefixes = {names.versioned: "V", names.repeatable: "R", names.baseline: "B"}
    named = re.compile(
        rf"(?P<kind>{'|'.join(map(re.escape, sorted(prefixes, key=len, reverse=True)))})(?P<version>[0-9][0-9._]*)?"
        rf"(?:{re.escape(names.separator)}(?P<title>.*))?(?:{'|'.join(map(re.escape, names.suffixes))})\Z"
    )
    for path in _files(folder, "*"):
        found = named.match(path.name)
        if found is None:
            continue
        kind = prefixes[found["kind"]]
        if (kind == "R") != (found["version"] is None) or (kind == "R" and found["title"] is None):
            continue
        title = (found["title"] or "").replace("_", " ")
        version = title if kind == "R" else dotted(found["version"])
        text = read_text(path)
        script = Script(
            BASELINE + version if kind == "B" else version, path, checksum=flyway_checksum(text), title=title,
            repeatable=kind == "R", baseline=kind == "B",
        )  # fmt: skip
        if kind == "R" and names.placeholder_replacement:
            filled, untold = _filled(text, {**settings.placeholders, "flyway:filename": path.name}, settings)
            script = replace(script, replaced="" if untold else flyway_checksum(filled), untold=untold)
        yield script


def _filled(text: str, values: Mapping[str, str], settings: Settings) -> tuple[str, tuple[str, ...]]:
    """The text with its ${placeholders} replaced, and those without a value; names are the same in any case."""
    first, last = settings.flyway.placeholder_prefix, settings.flyway.placeholder_suffix
    placeholder = re.compile(rf"{re.escape(first)}(.+?){re.escape(last)}")
    known = {name.lower(): value for name, value in values.items()}
    untold = dict.fromkeys(found[0] for found in placeholder.finditer(text) if found[1].lower() not in known)
    return placeholder.sub(lambda found: known.get(found[1].lower(), found[0]), text), tuple(untold)


def dotted(version: str) -> str:
    """A version of Flyway as the database has it: "1_2" is "1.2"; trailing zeros say nothing."""
    return ".".join(str(part) for part in version_key(version)) or "0"


def version_key(version: str) -> tuple[int, ...]:
    """What versions are ordered by: 1.10 is after 1.9, and 1.0 is 1."""
    parts = [int(part) for part in re.split(r"[._]", version) if part.isdigit()]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def flyway_checksum(text: str) -> str:
    """CRC-32 over the lines without their ends, as a signed number: what Flyway's ChecksumCalculator computes."""
    crc = 0
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    if lines and lines[-1] == "":
        lines.pop()  # Java's readLine does not return what follows the last line end
    for line in lines:
        crc = zlib.crc32(line.encode("utf-8"), crc)
    return str(crc - (1 << 32) if crc >= 1 << 31 else crc)


def _django(folder: Path, settings: Settings) -> Iterator[Script]:
    """`APP/migrations/NAME.py` with a class Migration; the app's label is that of its AppConfig, else its folder's."""
    for path in _files(folder, "*.py"):
        if path.parent.name != "migrations" or path.name == "__init__.py":
            continue
        app = _label(path.parent.parent)
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef) and node.name == "Migration":
                names = _assigned_literals(path, node.body, ("dependencies", "replaces"))
                parents = tuple(".".join(map(str, each)) for each in names.get("dependencies") or () if len(each) == 2)
                replaces = tuple(".".join(map(str, each)) for each in names.get("replaces") or ())
                yield Script(f"{app}.{path.stem}", path, parents, title=path.stem, replaces=replaces)


@cache
def _label(app: Path) -> str:
    """`label` of the one AppConfig in APP/apps.py where it says one, else the folder's name."""
    path = app / "apps.py"
    classes = [node for node in _tree(path).body if isinstance(node, ast.ClassDef)] if path.is_file() else []
    said = [_assigned_literals(path, node.body, ("label",)).get("label") for node in classes]
    labels = [each for each in said if isinstance(each, str)]
    return labels[0] if len(labels) == 1 else app.name


_NUMBERED = re.compile(r"[Vv]?(?P<version>[0-9][0-9._]*?)(?:[_.-]+(?P<title>.*?))?(?P<up>\.up)?\.(sql|py|rb)\Z")


def _numbered_scripts(folder: Path, settings: Settings) -> Iterator[Script]:
    """Files whose names begin with a number: 0007_title.sql, 20240131120000_title.up.sql; `.down.` is left out."""
    for path in _files(folder, "*"):
        found = _NUMBERED.match(path.name)
        if found is not None and ".down." not in path.name:
            yield Script(dotted(found["version"]), path, title=found["title"] or "")
