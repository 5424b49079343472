"""The migrations that a revision ships: read as text and syntax tree, never imported, never run."""

from __future__ import annotations

import ast
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.database import Migrations as Settings

MOST_FILES = 20_000
LARGEST_FILE = 4 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Script:
    """One migration. version: its name in the database. parents: what it builds on. checksum: Flyway's, "" for none.

    repeatable: runs again whenever it changed. replaces: what it stands for when squashed. title: its description.
    """

    version: str
    file: Path
    parents: tuple[str, ...] = ()
    checksum: str = ""
    title: str = ""
    repeatable: bool = False
    replaces: tuple[str, ...] = ()


def shipped(settings: Settings, root: Path) -> dict[str, Script]:
    """All scripts by version; raises EvidenceProblem (configuration) for a folder without any, or one unreadable."""
    folder = root / settings.scripts
    if not folder.is_dir():
        what = f"migrations: there is no folder {settings.scripts}"
        raise EvidenceProblem(Problem("configuration", what, "scripts is relative to prodcheck.toml"))
    readers = {"alembic": _alembic, "flyway": _flyway, "django": _django, "table": _numbered}
    found: dict[str, Script] = {}
    for script in readers[settings.kind](folder):
        other = found.get(script.version)
        if other is not None:
            raise _broken(script.file, f"{script.version} is {other.file.name} too")
        found[script.version] = script
    if not found:
        what = f"migrations: {settings.scripts} holds no migration of {settings.kind}"
        raise EvidenceProblem(Problem("configuration", what, "is this the right folder, and kind?"))
    return found


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for count, path in enumerate(sorted(folder.rglob(pattern))):
        if count == MOST_FILES:
            what = f"migrations: more than {MOST_FILES} files in {folder.name}"
            raise EvidenceProblem(Problem("too-large", what, "name the folder with the migrations alone"))
        if path.is_file():
            yield path


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise _broken(path, f"larger than {LARGEST_FILE // 1024} kB")
        return content.decode("utf-8")
    except (OSError, UnicodeError) as error:
        raise _broken(path, str(error)) from None


def _broken(path: Path, why: str) -> EvidenceProblem:
    return EvidenceProblem(Problem("configuration", f"migrations: {path.name}: {why}"))


def _names(path: Path, body: list[ast.stmt], wanted: tuple[str, ...]) -> dict[str, Any]:
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
    raise _broken(path, f"{name} is no literal, and scripts are never run")


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(_text(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise _broken(path, f"is no Python ({error})") from None


def _many(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(each) for each in value)


def _alembic(folder: Path) -> Iterator[Script]:
    """`versions/*.py` with `revision` and `down_revision` (alembic.sqlalchemy.org, "Create a Migration Script")."""
    where = folder / "versions" if (folder / "versions").is_dir() else folder
    found = []
    for path in _files(where, "*.py"):
        names = _names(path, _tree(path).body, ("revision", "down_revision", "depends_on"))
        if isinstance(names.get("revision"), str):
            found.append((path, names["revision"], _many(names.get("down_revision")), _many(names.get("depends_on"))))
    known = {revision for _, revision, _, _ in found}
    for path, revision, down, depends in found:
        for parent in down:
            if parent not in known:
                raise _broken(path, f"it builds on {parent}, which is not shipped")
        # what depends_on names may also be the label of a branch
        yield Script(revision, path, down + tuple(each for each in depends if each in known), title=path.stem)


_FLYWAY = re.compile(r"(?P<kind>[VR])(?P<version>[0-9][0-9._]*)?__(?P<title>.+)\.sql\Z")


def _flyway(folder: Path) -> Iterator[Script]:
    """V1_2__Title.sql and R__Title.sql, with Flyway's checksum (documentation.red-gate.com/flyway)."""
    for path in _files(folder, "*.sql"):
        found = _FLYWAY.match(path.name)
        if found is None or (found["kind"] == "V") != (found["version"] is not None):
            continue
        title = found["title"].replace("_", " ")
        repeatable = found["kind"] == "R"
        version = title if repeatable else dotted(found["version"])
        yield Script(version, path, checksum=flyway_checksum(_text(path)), title=title, repeatable=repeatable)


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


def _django(folder: Path) -> Iterator[Script]:
    """`APP/migrations/NAME.py` with a class Migration; the app's label is taken to be its folder's name."""
    for path in _files(folder, "*.py"):
        if path.parent.name != "migrations" or path.name == "__init__.py":
            continue
        app = path.parent.parent.name
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef) and node.name == "Migration":
                names = _names(path, node.body, ("dependencies", "replaces"))
                parents = tuple(".".join(map(str, each)) for each in names.get("dependencies") or () if len(each) == 2)
                replaces = tuple(".".join(map(str, each)) for each in names.get("replaces") or ())
                yield Script(f"{app}.{path.stem}", path, parents, title=path.stem, replaces=replaces)


_NUMBERED = re.compile(r"[Vv]?(?P<version>[0-9][0-9._]*?)(?:[_.-]+(?P<title>.*?))?(?P<up>\.up)?\.(sql|py|rb)\Z")


def _numbered(folder: Path) -> Iterator[Script]:
    """Files whose names begin with a number: 0007_title.sql, 20240131120000_title.up.sql; `.down.` is left out."""
    for path in _files(folder, "*"):
        found = _NUMBERED.match(path.name)
        if found is not None and ".down." not in path.name:
            yield Script(dotted(found["version"]), path, title=found["title"] or "")
