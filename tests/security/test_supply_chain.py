"""What is installed with us: declared, locked, with known licences, without pytest plugins that nobody asked for."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCK = (ROOT / ".ci" / "requirements.lock").read_text()


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


def declared() -> set[str]:
    return {name_of(each) for each in (*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra))}


@functools.cache
def imported() -> tuple[tuple[str, Path], ...]:
    return tuple(_imported())


def _imported() -> Iterator[tuple[str, Path]]:
    for folder in ("pytest_prodcheck", "suites"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    yield from ((each.name.partition(".")[0], file) for each in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module.partition(".")[0], file


def test_every_direct_import_is_declared() -> None:
    brought_by = metadata.packages_distributions()
    known = declared()
    missing = set()
    for module, file in imported():
        if module in sys.stdlib_module_names or module in ("pytest_prodcheck", "suites", "_pytest"):
            continue
        names = {name_of(each) for each in brought_by.get(module, [module])}
        if not names & known:
            missing.add(f"{module} ({', '.join(sorted(names))}) in {file.relative_to(ROOT)}")
    assert missing == set()


def test_the_lock_knows_everything_with_hashes_and_no_hosts() -> None:
    locked = {name_of(each) for each in re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==", LOCK, re.MULTILINE)}
    wanted = {name_of(each) for extra in ("demo", "kubernetes") for each in EXTRAS[extra]}
    wanted |= {name_of(each) for each in PROJECT["dependencies"]}
    lines = (ROOT / ".ci" / "requirements.in").read_text().splitlines()
    wanted |= {name_of(each) for each in lines if each and not each.startswith("#")}
    assert wanted <= locked
    assert "://" not in LOCK
    assert "index-url" not in LOCK
    blocks = re.split(r"\n(?=\S)", LOCK)
    assert [each.partition(" ")[0] for each in blocks if "==" in each and "--hash=sha256:" not in each] == []


def closure(names: set[str]) -> set[str]:
    found: set[str] = set()
    while names - found:
        name = sorted(names - found)[0]
        found.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        names |= {name_of(each) for each in needs if "extra ==" not in each}
    return found


PLUGINS = {"pytest-html", "pytest-metadata", "pytest-xdist", "pytest-prodcheck"}


def test_the_base_set_brings_no_pytest_plugins_of_its_own() -> None:
    """One of anyio costs every start 0.2 s, that of Locust defines `--host` and a fixture `session`."""
    base = closure({name_of(each) for each in PROJECT["dependencies"]})
    brought = {name for name in base if plugins_of(name)}
    assert brought <= PLUGINS


def plugins_of(name: str) -> list[Any]:
    try:
        return [each for each in metadata.distribution(name).entry_points if each.group == "pytest11"]
    except metadata.PackageNotFoundError:
        return []


def test_the_demo_is_not_in_all() -> None:
    """It brings whole servers, which production's judge does not need."""
    (everything,) = EXTRAS["all"]
    named = set(re.findall(r"[a-z0-9]+", everything.partition("[")[2]))
    assert named == set(EXTRAS) - {"all", "demo"}


PRIVATE = ("pytest", "pytest-xdist", "pytest-html", "jsonschema", "kubernetes", "locust", "sslyze")


@pytest.mark.parametrize("name", PRIVATE)
def test_what_we_touch_private_parts_of_has_an_upper_bound(name: str) -> None:
    every = [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
    found = [each for each in every if name_of(each) == name]
    assert found
    assert all(re.search(r"<\d", each) for each in found), found


def test_licences_with_copyleft_are_named_in_the_readme() -> None:
    said = json.loads(subprocess.run([sys.executable, ROOT / ".ci" / "sbom"], capture_output=True, check=True).stdout)
    readme = (ROOT / "README.md").read_text()
    strict = {
        each["name"]
        for each in said["components"]
        for licence in each["licenses"]
        if re.search(r"GPL|Affero|General Public|EUPL|SSPL", licence["license"]["name"], re.IGNORECASE)
    }
    assert strict
    assert {name for name in strict if name.removesuffix("-binary") not in readme} == set()
    assert said["bomFormat"] == "CycloneDX"
    assert all(each["hashes"] for each in said["components"])


def test_sslyze_is_imported_in_a_process_of_its_own_alone() -> None:
    """It is AGPL-3.0, and holds crashes and hangs of C code."""
    found = {file.name for module, file in imported() if module in ("sslyze", "nassl")}
    assert found <= {"sslyze_process.py", "sslyze_scans.py", "sslyze_client.py"}
