"""The import table of ARCHITECTURE.md is kept by the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest_prodcheck

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pytest_prodcheck"
# imported only inside the function that needs them
HEAVY = ("requests", "urllib3", "psycopg", "redis", "dns", "pydantic", "jsonschema", "trustme", "cryptography", "jwt")
# of the standard library, what reaches nothing outside
PURE = (
    "__future__", "collections", "collections.abc", "dataclasses", "datetime", "email.utils", "functools", "html",
    "html.entities", "ipaddress", "itertools", "json", "math", "re", "statistics", "typing", "urllib.parse",
)  # fmt: skip
MAY_BE_HEAVY = {"environments": ("pydantic",)}


@cache
def table() -> dict[str, tuple[str, ...]]:
    """Room -> what its row allows, as written: "records", "environments/…", "as evidence/http"."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for names, allowed in re.findall(r"^\| (`[a-z0-9_/*`, ]+`) \| [^|]+ \| ([^|]+) \|$", text, flags=re.MULTILINE):
        rooms = re.findall(r"`([a-z0-9_/*]+)`", names)
        if allowed.startswith(("as ", "`")) or allowed == "nothing":
            found |= dict.fromkeys(rooms, _entries(allowed))
    return found


def _entries(cell: str) -> tuple[str, ...]:
    """"as" counts for every name of its cell: "as `a`, `b`" is a and b with what both may import."""
    names = re.findall(r"`([a-z0-9_/]+(?:/…)?)`", cell)
    return tuple(f"as {each}" if cell.startswith("as ") and "…" not in each else each for each in names)


@cache
def allowed_in(room: str) -> frozenset[str]:
    """The rooms that a room may import, itself included."""
    rooms = table()
    found = {room}
    for entry in rooms[room if room in rooms else _any_other(room)]:
        name = entry.removeprefix("as ").removesuffix("/…")
        assert name in rooms or entry.endswith("/…"), f"{room} may import {name}, which is no room of the table"
        if entry.endswith("/…"):
            found |= {each for each in rooms if each == name or each.startswith(f"{name}/")}
        elif entry.startswith("as "):
            found |= allowed_in(name)
        else:
            found.add(name)
    return frozenset(found)


def _any_other(room: str) -> str:
    """The row for those that have none of their own: "evidence/*"."""
    return f"{room.partition('/')[0]}/*"


def room_of(path: str) -> str:
    """The room of a file ("evidence/tls/x509"), or of a package: the longest name of the table that leads to it."""
    rooms = table()
    parts = path.split("/")
    found = next((name for size in range(len(parts), 0, -1) if (name := "/".join(parts[:size])) in rooms), "")
    has_rooms = any(name.startswith(f"{parts[0]}/") for name in rooms)
    inside_a_folder = len(parts) > 2 or (len(parts) == 2 and (PACKAGE / path).is_dir())
    assert found, f"{path} is in no room of ARCHITECTURE.md"
    if inside_a_folder and found == parts[0] and _any_other(found) in rooms:
        return "/".join(parts[:2])
    homeless = has_rooms and inside_a_folder and found == parts[0]
    assert not homeless, f"the folder of {path} is no room of ARCHITECTURE.md"
    return found


def layer(file: Path) -> str:
    """The floor of a file: "evidence"."""
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else file.stem


@cache
def imports(file: Path) -> list[tuple[str, bool]]:
    """`(module, at import time)` of every import in a file; those under TYPE_CHECKING are left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        early = id(node) not in late
        if isinstance(node, ast.Import):
            found += [(alias.name, early) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [(_module_of(node.module, alias.name), early) for alias in node.names]
    return found


def _module_of(module: str, name: str) -> str:
    """What `from module import name` imports: a module of that name where there is one."""
    inner = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").is_file() else module


def files() -> list[Path]:
    return sorted(file for file in PACKAGE.rglob("*.py") if "suites" not in file.relative_to(PACKAGE).parts)


@cache
def graph() -> dict[str, frozenset[str]]:
    """File ("evidence/tls/x509") -> the files it imports, wherever in it; a package stands for its `__init__`."""
    paths = {_path(file): file for file in files()}
    found = {}
    for path, file in paths.items():
        imported = {module.removeprefix("pytest_prodcheck.").replace(".", "/") for module, _ in imports(file)}
        found[path] = frozenset((imported & paths.keys()) - {path})
    return found


def _path(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return "/".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(edges: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """The sets of two and more that reach each other."""
    reached = {start: _reached(edges, start) for start in edges}
    found: list[set[str]] = []
    for start in edges:
        circle = {start} | {each for each in reached[start] if start in reached.get(each, ())}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def _reached(edges: Mapping[str, Iterable[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(edges[start])
    while todo:
        each = todo.pop()
        if each not in seen:
            seen.add(each)
            todo += edges.get(each, ())
    return seen


def test_each_room_imports_only_what_the_table_allows() -> None:
    wrong = [
        f"{path} imports {other}: {room_of(path)} may not import {room_of(other)}"
        for path, others in graph().items()
        for other in others
        if path and other and room_of(other) not in allowed_in(room_of(path))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_room_of_the_table_is_there() -> None:
    missing = [name for name in table()
               if not (PACKAGE / name.removesuffix("/*")).is_dir() and not (PACKAGE / f"{name}.py").is_file()]
    assert not missing
    assert len(table()) > 40


def test_rooms_form_no_circle() -> None:
    """Neither as the table allows them, nor as they are."""
    assert circles({room: allowed_in(room) - {room} for room in table()}) == []
    rooms: dict[str, set[str]] = {}
    for path, others in graph().items():
        if path:
            rooms.setdefault(room_of(path), set()).update(room_of(each) for each in others if each)
    assert circles({room: others - {room} for room, others in rooms.items()}) == []


def test_files_form_no_circle() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- (`[a-z_/`, ]+`) import each other: \w+", text, flags=re.MULTILINE)
    explained = [set(re.findall(r"`([a-z_/]+)`", line)) for line in lines]
    found = circles(graph())
    assert [each for each in found if each not in explained] == [], "cut it, or say why it has to be"
    assert [each for each in explained if each not in found] == [], "this circle is no more"


def test_circles_are_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["a", "b"]}) == [{"b", "c"}]
    assert circles({"a": ["b"], "b": ["c"], "c": [], "d": ["a"]}) == []


def test_files_that_the_page_names_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", text))
    known = {file.relative_to(ROOT).as_posix() for folder in ("pytest_prodcheck", "suites", "tests")
             for file in (ROOT / folder).rglob("*.py")}  # fmt: skip
    assert len(named) > 15
    assert [name for name in named if not any(f"/{each}".endswith(f"/{name}") for each in known)] == []


def test_third_party_clients_are_imported_where_they_are_used() -> None:
    wrong = []
    for file in files():
        for module, early in imports(file):
            name = module.partition(".")[0]
            if early and name in HEAVY and name not in MAY_BE_HEAVY.get(layer(file), ()):
                wrong.append(f"{file.relative_to(ROOT)} imports {module} at import time")
    assert not wrong, "\n".join(wrong)


def test_suites_only_judge() -> None:
    """Bundled checks import public names and pure judging of texts; they do no I/O of their own."""
    public = {"pytest_prodcheck", *(f"pytest_prodcheck.{name}" for name in pytest_prodcheck.__all__)}
    pure = ("declared_limits", "distribution", "headers", "health", "load_validity", "statistics")
    ours = tuple(f"pytest_prodcheck.judging.{name}" for name in pure)
    ours += ("pytest_prodcheck.answers.expected_answers", "pytest_prodcheck.answers.schemas")
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sorted((ROOT / "suites").rglob("*.py"))
        for module, _ in imports(file)
        if module not in {*PURE, *public, *ours, "pytest_prodcheck.records", "jsonschema"}
        and not module.startswith(tuple(f"{one}." for one in ours))
    ]
    assert not wrong, "\n".join(wrong)


def test_judging_of_headers_is_pure() -> None:
    """What makes verdicts of texts imports nothing that could reach out."""
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sorted((PACKAGE / "judging" / "headers").glob("*.py"))
        for module, _ in imports(file)
        if module not in PURE
        and not module.startswith(("pytest_prodcheck.judging.headers", "pytest_prodcheck.cookies"))
    ]
    assert not wrong, "\n".join(wrong)


def test_judging_of_load_and_health_is_pure() -> None:
    names = ["declared_limits", "distribution", "load_validity", "statistics"]
    names += ["health/documents", "health/texts", "health/words"]
    fine = ("pytest_prodcheck.records", "pytest_prodcheck.judging.", "pytest_prodcheck.quantities")
    wrong = [
        f"{name} imports {module}"
        for name in names
        for module, _ in imports(PACKAGE / "judging" / f"{name}.py")
        if module not in {*PURE, "math", "statistics"} and not module.startswith(fine)
    ]
    assert not wrong, "\n".join(wrong)


def test_threads_import_no_module_by_its_dotted_name() -> None:
    """`import dns.name` in a function may return before `dns` has its attribute, while another thread imports it too.

    Python marks a module as loaded before it sets it in its package; `from dns.name import …` takes it from elsewhere.
    """
    found = []
    for file in sorted((ROOT / "pytest_prodcheck" / "evidence").rglob("*.py")):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                imports = [node for node in ast.walk(function) if isinstance(node, ast.Import)]
                found += [f"{file.name}:{node.lineno}" for node in imports for each in node.names
                          if "." in each.name and not each.asname]  # fmt: skip
    assert found == []
