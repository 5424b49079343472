"""Changelogs of Liquibase in XML, YAML, JSON and formatted SQL, all as the same tree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pytest_prodcheck.records import EvidenceProblem, Problem

FORMATS = (".xml", ".yaml", ".yml", ".json", ".sql")
MOST_NODES = 500_000  # of one file: aliases of YAML repeat what they stand for


@dataclass(frozen=True)
class Node:
    """An element: its name, attributes, children and text; what is odd about it is left to whoever reads it."""

    name: str
    given: dict[str, str]
    children: tuple[Node, ...] = ()
    text: str = ""

    def all(self, name: str) -> list[Node]:
        """Its children of that name."""
        return [each for each in self.children if each.name == name]


def tree(path: Path, text: str) -> Node:
    """The root of a changelog; raises EvidenceProblem (configuration) for a file that is none."""
    try:
        if path.suffix == ".sql":
            return _formatted_sql(text)
        if path.suffix == ".xml":
            return _xml(text)
        said = json.loads(text) if path.suffix == ".json" else _yaml(text)
        if not isinstance(said, dict) or not isinstance(said.get("databaseChangeLog"), list):
            raise ValueError("it has no list databaseChangeLog")
        left = [MOST_NODES]
        return Node("databaseChangeLog", *_node_contents(said["databaseChangeLog"], left))
    except (ValueError, RecursionError, ElementTree.ParseError) as error:
        what = (
            f"migrations: {path.name}: this is not a Liquibase changelog ({type(error).__name__}: {str(error)[:120]})"
        )
        raise EvidenceProblem(Problem("configuration", what)) from None


def _xml(text: str) -> Node:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("document types and entities are not read")
    root = ElementTree.fromstring(text.encode() if text.startswith("<?xml") else text)
    if _local(root.tag) != "databaseChangeLog":
        raise ValueError("its root is not databaseChangeLog")
    return _element(root)


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _element(each: ElementTree.Element) -> Node:
    text = (each.text or "") + "".join(child.tail or "" for child in each)
    given = {_local(name): value for name, value in each.attrib.items()}
    return Node(_local(each.tag), given, tuple(map(_element, each)), text)


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        what = "changelogs in YAML need PyYAML"
        raise EvidenceProblem(Problem("missing-extra", what, "pip install 'pytest-prodcheck[yaml]'")) from None
    try:
        return yaml.load(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # texts and lists alone
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from None


def _node_contents(value: Any, left: list[int]) -> tuple[dict[str, str], tuple[Node, ...], str]:
    """Attributes, children and text of what a name stands for in YAML or JSON."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"more than {MOST_NODES} parts")
    if not isinstance(value, (dict, list)):
        return {}, (), _scalar(value)
    given: dict[str, str] = {}
    children: list[Node] = []
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            continue
        for name, held in one.items():
            if isinstance(held, (dict, list)):
                children.append(Node(str(name), *_node_contents(held, left)))
            else:
                given[str(name)] = _scalar(held)
    return given, tuple(children), ""


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


_FIRST = re.compile(r"\s*--\s*liquibase\s*formatted", re.IGNORECASE)
_CHANGE_SET = re.compile(r'\s*+--\s*+changeset\s++("[^"]+"|[^:\s][^:]*+):\s*+("[^"]+"|\S++)(.*)', re.IGNORECASE)
_SAID = re.compile(r'(?<!\w)(\w++):("[^"]*"|\S*)')
_PROPERTY = re.compile(r"\s*--\s*property\s", re.IGNORECASE)
_PRECONDITIONS = re.compile(r"\s*--\s*preconditions\b(.*)", re.IGNORECASE)
_VALID = re.compile(r"\s*--\s*validCheckSum:?\s+(\S+)", re.IGNORECASE)
_APART = re.compile(r"\s*--\s*(?:rollback |comment:? |precondition-)", re.IGNORECASE)
_IGNORED = re.compile(r"\s*--\s*ignoreLines:(\w+)", re.IGNORECASE)
_UNDO_BEGINS = re.compile(r"\s*/\*\s*liquibase\s*rollback\s*\Z", re.IGNORECASE)


def _attributes_of(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _SAID.findall(text)}


def _formatted_sql(text: str) -> Node:
    """`-- changeset AUTHOR:ID name:value …`; a file without the first line is one change set, as includeAll has it."""
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or not any(_FIRST.match(line) for line in lines[:1]):
        sql = Node("sql", {}, text=text)
        return Node("databaseChangeLog", {}, (Node("changeSet", {"id": "raw", "author": "includeAll"}, (sql,)),))
    children: list[Node] = []
    given: dict[str, str] | None = None
    parts: list[Node] = []
    sql_lines: list[str] = []

    def end() -> None:
        if given is not None:
            sql = Node("sql", {}, text="\n".join(sql_lines))
            children.append(Node("changeSet", given, (*parts, sql)))

    for line in _without_ignored_lines(lines[1:]):
        if found := _CHANGE_SET.match(line):
            end()
            given = {**_attributes_of(found[3]), "author": found[1].strip().strip('"'), "id": found[2].strip('"')}
            parts, sql_lines = [], []
        elif _PROPERTY.match(line):
            children.append(Node("property", _attributes_of(line)))
        elif found := _PRECONDITIONS.match(line):
            parts.append(Node("preConditions", _attributes_of(found[1])))
        elif found := _VALID.match(line):
            parts.append(Node("validCheckSum", {}, text=found[1]))
        elif not _APART.match(line):
            sql_lines.append(line)
    end()
    return Node("databaseChangeLog", _attributes_of(lines[0]), tuple(children))


def _without_ignored_lines(lines: list[str]) -> Iterator[str]:
    """Without what is between ignoreLines:start and :end, the lines that ignoreLines:N counts, and undo blocks."""
    skip, until = 0, ""
    for line in lines:
        if until:
            found = _IGNORED.match(line)
            ends = line.rstrip().endswith("*/") if until == "*/" else found is not None and found[1].lower() == until
            until = "" if ends else until
        elif skip:
            skip -= 1
        elif found := _IGNORED.match(line):
            if found[1].isdigit():
                skip = int(found[1])
            elif found[1].lower() == "start":
                until = "end"
        elif _UNDO_BEGINS.match(line):
            until = "*/"
        else:
            yield line
