"""What the documentation says is so: pages made from the code are current, nothing is undocumented, examples work."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_prodcheck.catalogue import entries
from pytest_prodcheck.cli.commands import COMMANDS
from pytest_prodcheck.cli.parsing import parser_of
from pytest_prodcheck.demo import FAULTS
from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.schema import schema
from tests.faults.elsewhere import noticed as noticed_elsewhere

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pytest_prodcheck"
WRITTEN = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")]  # runbooks: test_runbooks.py
PAGES = sorted([*ROOT.glob("*.md"), *WRITTEN])
SHOWN = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *WRITTEN])
MADE_BY_THE_SITE = {"runbooks/index.md"}  # docs/site_pages.py


def blocks(page: Path, language: str) -> list[str]:
    fenced = rf'^```{language}(?: title="[^"\n]+")?\n(.*?)^```$'
    return re.findall(fenced, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def every(language: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{page.name}-{number}")
        for page in SHOWN
        for number, text in enumerate(blocks(page, language), 1)
    ]


def test_generated_pages_are_up_to_date() -> None:
    words = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_key_has_a_meaning() -> None:
    document = schema()
    tables = {"the file": document, **document["$defs"]}
    keys = [(name, key, value) for name, table in tables.items() for key, value in table["properties"].items()]
    assert [(name, key) for name, key, value in keys if not value.get("description", "").strip()] == []
    assert len(keys) > 150
    assert [name for name, table in tables.items() if not table.get("description", "").strip()] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_examples(name: str) -> None:
    parser = parser_of(name)
    assert COMMANDS[name][1]
    assert [action.dest for action in parser._actions if not action.help] == []
    lines = [line.strip() for line in (parser.epilog or "").splitlines()]
    examples = [line for line in lines if line.startswith(f"prodcheck {name}")]
    assert examples
    for line in examples:
        assert mistakes_in(line.partition("   ")[0]) == []


def test_every_option_of_the_plugin_has_help() -> None:
    from pytest_prodcheck.plugin.options import add_options

    parser = pytest.Parser(_ispytest=True)
    add_options(parser)
    (group,) = (each for each in parser._groups if each.name == "prodcheck")
    assert len(group.options) > 10
    assert [option.names() for option in group.options if not option.attrs().get("help")] == []


def test_every_check_says_what_it_judges_how_to_mend_it_and_what_turns_it_red() -> None:
    noticed = {check for fault in FAULTS.values() for check in fault.notices}
    noticed |= noticed_elsewhere()
    for entry in entries():
        assert len(entry.title.split()) >= 4, entry.id
        assert re.fullmatch(r"[a-z0-9-]+", entry.runbook), entry.id
        found = any(each == entry.id or each.startswith(entry.id.removesuffix("*")) for each in noticed)
        assert found, f"no fault makes {entry.id} fail: add one to demo/faults/, or to FAULTS in its test_faults.py"


@pytest.mark.parametrize("text", every("toml"))
def test_toml_is_what_prodcheck_takes(text: str, tmp_path: Path) -> None:
    plain = json.loads(json.dumps(tomllib.loads(text), default=datetime.date.isoformat))
    whole = "version" in plain and "environments" in plain
    if not whole:
        plain.setdefault("version", 1)
    validator().validate(plain)
    if whole:
        load(laid_out(text, tmp_path))


def test_the_example_of_the_configuration_page_is_one_whole_file(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "example.toml").read_text(encoding="utf-8")
    configuration = load(laid_out(text, tmp_path))
    assert set(configuration.project.environments) == {"staging", "production"}
    parts = re.split(r"^#: \w+\n", text, flags=re.MULTILINE)[1:]
    shown = blocks(ROOT / "docs" / "configuration.md", "toml")
    assert sorted(part.strip() for part in parts) == sorted(part.strip() for part in shown)


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def laid_out(text: str, folder: Path) -> Path:
    """The file in a folder in which everything lies that it names."""
    for name in ("checks", "prodcheck.d", "ca", "schemas"):
        (folder / name).mkdir()
    for name in ("ca/internal.pem", "ca/client.pem"):
        (folder / name).touch()
    (folder / "freeze.toml").touch()
    (folder / "schemas" / "order.json").write_text("{}", encoding="utf-8")
    file = folder / "prodcheck.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_command_lines_name_commands_and_options_that_exist(page: Path) -> None:
    wrong = [mistake for line in command_lines(page) for mistake in mistakes_in(line)]
    assert wrong == []


def test_the_search_for_command_lines_finds_them_and_their_mistakes() -> None:
    assert len(command_lines(ROOT / "README.md")) >= 8
    assert len([line for page in SHOWN for line in command_lines(page)]) > 60
    assert mistakes_in("prodcheck gte smoke") == ["prodcheck gte smoke: there is no command gte"]
    assert mistakes_in("prodcheck gate smoke --enw x") == ["prodcheck gate smoke --enw x: --enw"]
    assert mistakes_in("pytest -m smoke --enw x") == ["pytest -m smoke --enw x: --enw"]
    assert mistakes_in("prodcheck run smoke --env x -- --junit-xml y && ./z --other") == []


def command_lines(page: Path) -> list[str]:
    text = re.sub(r"^```(?:toml|python)(?: [^\n]*)?\n.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [found.strip() for found in re.findall(r"(?:(?<=[`$] )|(?<=`)|^ *)(?:prodcheck|pytest) [^`\n]+", text, re.M)]


def mistakes_in(line: str) -> list[str]:
    """The command and the options in a line of documentation that do not exist."""
    own, dashes, rest = re.split(r"&&|\|\||;|  +#", line)[0].partition(" -- ")
    program, command = own.split()[:2]
    if program == "pytest":
        return [f"{line}: {each}" for each in options(own) if each not in pytest_options()]
    if command.startswith("-"):
        return [f"{line}: {each}" for each in options(own) if each not in ("--help", "--version")]
    if command in ("COMMAND", "…"):
        return []
    if command not in COMMANDS:
        return [f"{line}: there is no command {command}"] if re.fullmatch(r"[a-z]+", command) else []
    known = {text for action in parser_of(command)._actions for text in action.option_strings}
    wrong = [f"{line}: {each}" for each in options(own) if each not in known]
    if dashes and command == "run":
        wrong += [f"{line}: {each}" for each in options(rest) if each not in pytest_options()]
    return wrong


def options(text: str) -> list[str]:
    return re.findall(r"(?<![\w\"-])--[a-z][a-z-]*", text)


@cache
def pytest_options() -> frozenset[str]:
    words = [sys.executable, "-m", "pytest", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    return frozenset(re.findall(r"(?<!\w)--[a-z][a-z-]*", done.stdout)) | {"--junit-xml"}


def test_the_example_of_contributing_names_what_is_there() -> None:
    """The walk through one commit: its files are there, and no more than seven are a person's."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Example")[2]
    files = re.findall(r"^\| `([^`]+)` \|", text, re.M)
    assert 5 < len(files) <= 7
    named = files + re.findall(r"`((?:pytest_prodcheck|tests|suites)/[^` …]*)`", text)
    assert [each for each in named if not (ROOT / each).exists()] == []


WALKS = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Three walks")[2].strip().split("\n\n")


@pytest.mark.parametrize("walk", WALKS, ids=["key", "verdict", "pods"])
def test_the_walks_of_the_architecture_pass_what_they_name(walk: str) -> None:
    """Five steps each; their files are there, and a collector is defined in the file that is said to define it."""
    steps = walk.splitlines()[1:]
    assert len(steps) == 5
    for step in steps:
        for name in re.findall(r"`([\w/]+\.py)`", step):
            assert (ROOT / name).is_file() or any(PACKAGE.glob(f"**/{name}")), step
        for name, collector in re.findall(r'`([\w/]+\.py)`[^`]* defines the collector ("[a-z-]+")', step):
            assert any(collector in each.read_text(encoding="utf-8") for each in PACKAGE.glob(f"evidence/**/{name}"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        there = page.parent / file if file else page
        if os.path.relpath(there, ROOT / "docs") in MADE_BY_THE_SITE:
            continue
        assert there.exists(), f"{page.name}: {file}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {file}#{anchor}"


@cache
def anchors(page: Path) -> frozenset[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return frozenset(re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles)


def test_the_checks_on_the_page_about_own_checks_are_collected(tmp_path: Path) -> None:
    page = ROOT / "docs" / "writing-checks.md"
    (tmp_path / "checks").mkdir()
    for number, text in enumerate(blocks(page, "python")):
        (tmp_path / "checks" / f"test_{number}.py").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "examples" / "shop" / "prodcheck.toml", tmp_path)
    shutil.copytree(ROOT / "examples" / "shop" / "schemas", tmp_path / "schemas")
    words = [sys.executable, "-m", "pytest", "-q", "--env", "staging", "--collect-only", "-p", "no:randomly", "checks"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    found = {line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line}
    assert found == {
        "test_no_answer_is_slow[cart]",
        "test_no_answer_is_slow[catalog]",
        "test_cart_charges_the_price_that_the_catalogue_shows",
        "test_relay_offers_tls",
    }, done.stdout + done.stderr


def test_the_site_lists_every_page_once() -> None:
    """`make site` builds it, strictly; that nothing is left out of its navigation is seen without MkDocs too."""
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- .+: ([\w./-]+\.md)$", settings.partition("\nnav:\n")[2], re.M)
    made = {"SECURITY.md", "bench.md", "CHANGELOG.md", *MADE_BY_THE_SITE}
    assert sorted(listed) == sorted({page.relative_to(ROOT / "docs").as_posix() for page in WRITTEN} | made)
