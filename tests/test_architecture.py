"""The import table of ARCHITECTURE.md is kept by the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest_prodcheck

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pytest_prodcheck"
# imported only inside the function that needs them
HEAVY = ("requests", "urllib3", "psycopg", "redis", "dns", "pydantic", "jsonschema", "trustme", "cryptography", "jwt")
# of the standard library, what reaches nothing outside
PURE = (
    "__future__", "collections", "collections.abc", "dataclasses", "datetime", "email.utils", "functools", "html",
    "html.parser", "ipaddress", "itertools", "json", "math", "re", "statistics", "typing", "urllib.parse",
)  # fmt: skip
MAY_BE_HEAVY = {"environments": ("pydantic",)}


def table() -> dict[str, set[str]]:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_/]+)` \| [^|]+ \| ([^|]+) \|$", text, flags=re.MULTILINE)
    return {name.rstrip("/"): set(re.findall(r"`([a-z_]+)`", allowed)) for name, allowed in rows}


def layer(file: Path) -> str:
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else file.stem


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
            found.append((node.module, early))
            if node.module == "pytest_prodcheck":
                found += [(f"pytest_prodcheck.{alias.name}", early) for alias in node.names]
    return found


def files() -> list[Path]:
    return sorted(file for file in PACKAGE.rglob("*.py") if "suites" not in file.relative_to(PACKAGE).parts)


def test_each_package_imports_only_what_the_table_allows() -> None:
    allowed = table()
    wrong = []
    for file in files():
        here = layer(file)
        if here == "__init__":
            continue
        assert here in allowed, f"{here} is missing in the table of ARCHITECTURE.md"
        for module, _ in imports(file):
            parts = module.split(".")
            if parts[0] != "pytest_prodcheck" or len(parts) == 1:
                continue
            if (
                parts[1] not in {here, *allowed[here]}
                and (PACKAGE / parts[1]).exists() | (PACKAGE / f"{parts[1]}.py").exists()
            ):
                wrong.append(f"{file.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(wrong)


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
    pure = ("declared_limits", "headers", "load_validity", "statistics")
    ours = tuple(f"pytest_prodcheck.judging.{name}" for name in pure)
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
        if module not in PURE and not module.startswith("pytest_prodcheck.judging.headers")
    ]
    assert not wrong, "\n".join(wrong)


def test_judging_of_load_is_pure() -> None:
    fine = ("pytest_prodcheck.records", "pytest_prodcheck.judging.", "pytest_prodcheck.quantities")
    wrong = [
        f"{name} imports {module}"
        for name in ("declared_limits", "load_validity", "statistics")
        for module, _ in imports(PACKAGE / "judging" / f"{name}.py")
        if module not in {*PURE, "math", "statistics"} and not module.startswith(fine)
    ]
    assert not wrong, "\n".join(wrong)
