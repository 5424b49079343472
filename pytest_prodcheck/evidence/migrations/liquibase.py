"""What a changelog of Liquibase ships, with everything that it includes, and the checksums that are of text alone."""

from __future__ import annotations

import csv
import hashlib
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.migrations.liquibase_files import FORMATS, Node, tree
from pytest_prodcheck.evidence.migrations.model import MOST_FILES, Script, broken, read_text
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.database import Migrations as Settings

DEEPEST = 50  # includes within includes
# parts of a change set that are no changes
_NO_CHANGES = ("preConditions", "validCheckSum", "validCheckSums", "rollback", "comment", "modifySql", "comments")
_UNSURE_ID = re.compile(r"0[0-9_]+\Z|[0-9]++[_.][0-9_.]*+\Z|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")


@dataclass(frozen=True)
class ChangeSet(Script):
    """One change set; its version is "FILE::ID::AUTHOR", and its checksum "" where Liquibase alone computes it.

    filters: its contexts and those of what includes it, all of which have to match. tags: its labels and theirs.
    """

    filters: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    always: bool = False  # runs each time
    valid: tuple[str, ...] = ()  # other checksums that are accepted
    goes_on: bool = False  # it is left out, and not noted, where its preconditions fail
    foreign: bool = False  # of another kind of database, or to be ignored


@dataclass(frozen=True)
class Place:
    """Where a changelog was included from: what its change sets inherit."""

    filters: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    depth: int = 0
    ignored: bool = False


def normal(path: str) -> str:
    """A file as Liquibase notes it: without "classpath:", and relative to its search path."""
    path = re.sub(r"\A(?:classpath\*?:|file:)", "", path.replace("\\", "/"))
    return posixpath.normpath(path).lstrip("/")


def key(file: str, identity: str, author: str) -> str:
    """What a change set is called in messages, and found by."""
    return f"{normal(file)}::{identity}::{author}"


class Changelog:
    """Reads a changelog and what it includes, each file once a place."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self._values = dict(settings.placeholders)
        self._files = 0

    def change_sets(self) -> Iterator[ChangeSet]:
        """In the order in which Liquibase runs them; raises EvidenceProblem for what cannot be read."""
        yield from self._file(self._settings.liquibase.changelog, Place())

    def _file(self, name: str, place: Place) -> Iterator[ChangeSet]:
        name = normal(name)
        path = self._folder / name
        self._files += 1
        if self._files > MOST_FILES or place.depth > DEEPEST:
            raise broken(path, f"more than {MOST_FILES} files, or includes more than {DEEPEST} deep")
        if not path.is_file():
            hint = "`scripts` is the search path of Liquibase; `liquibase.changelog` is relative to it"
            raise broken(path, f"there is no such changelog ({name})", hint)
        if path.suffix not in FORMATS:
            raise broken(path, f"a changelog ends in {', '.join(FORMATS)}")
        root = tree(path, read_text(path))
        place = _included_place(place, root.given)
        for node in root.children:
            if node.name == "property":
                self._property(path, node)
            elif node.name == "changeSet":
                yield self._change_set(node, path, root.given.get("logicalFilePath") or name, place, name)
            elif node.name == "include":
                file = _relative_name(name, node, self._text(node.given.get("file", "")))
                if (self._folder / normal(file)).is_file() or node.given.get("errorIfMissing") != "false":
                    yield from self._file(file, _included_place(place, node.given))
            elif node.name == "includeAll":
                yield from self._all(name, path, node, place)

    def _all(self, name: str, path: Path, node: Node, place: Place) -> Iterator[ChangeSet]:
        """Every changelog of a folder and those below, in the order of their paths."""
        if node.given.get("filter"):
            raise broken(
                path,
                "includeAll has a filter, and prodcheck does not run filter programs",
                "include the files one by one",
            )
        inner = normal(_relative_name(name, node, self._text(node.given.get("path", ""))))
        folder = self._folder / inner
        least, most = int(node.given.get("minDepth") or 0), int(node.given.get("maxDepth") or 1 << 30)
        ending = node.given.get("endsWithFilter", "")
        found = [each for each in folder.rglob("*") if each.is_file() and each.suffix in FORMATS
                 and each.name.endswith(ending) and least <= len(each.relative_to(folder).parts) <= most]  # fmt: skip
        if not found and node.given.get("errorIfMissingOrEmpty") != "false":
            raise broken(path, f"includeAll finds no changelog in {inner}")
        for each in sorted(found, key=str):
            yield from self._file(str(each.relative_to(self._folder)), _included_place(place, node.given))

    def _property(self, path: Path, node: Node) -> None:
        said = node.given
        if "name" not in said or said["name"] in self._values:
            return  # the first one counts, and the command line before all
        if said.get("dbms", "postgresql") not in ("postgresql", "all"):
            return
        if {"context", "contextFilter", "labels"} & set(said) or said.get("global") == "false":
            hint = "declare its value in migrations.placeholders"
            raise broken(path, f"the property {said['name']} has different values", hint)
        if "value" in said:
            self._values[said["name"]] = said["value"]

    def _text(self, text: str) -> str:
        return re.sub(r"\$\{([^}:{$]+)\}", lambda found: self._values.get(found[1].strip(), found[0]), text)

    def _change_set(self, node: Node, path: Path, logical: str, place: Place, name: str) -> ChangeSet:
        given = node.given
        identity, author = self._text(given.get("id", "")), self._text(given.get("author", ""))
        if path.suffix in (".yaml", ".yml") and _UNSURE_ID.match(identity):
            raise broken(path, f"the id {identity} is no text in YAML: Liquibase notes another one", "quote it")
        own = _included_place(place, given)
        version = key(given.get("logicalFilePath") or logical, identity, author)
        asked = [each.given.get(when, "HALT").upper() for when in ("onFail", "onError")
                 for each in node.all("preConditions")]  # fmt: skip
        valid = [each.text.strip() or each.given.get("validCheckSum", "") for each in node.all("validCheckSum")]
        return ChangeSet(
            version, path, title=identity, repeatable=_is_true(given, "runOnChange"),
            always=_is_true(given, "runAlways"),
            checksum=self._checksum(node, path, name), filters=own.filters, tags=own.tags, goes_on="CONTINUE" in asked,
            foreign=not _for_postgresql(given.get("dbms", "")) or own.ignored,
            valid=tuple(each.replace(" ", "") for each in valid if each),
        )  # fmt: skip

    def _checksum(self, node: Node, path: Path, name: str) -> str:
        """Version 9: MD5 over those of the changes; "" where one of them is more than SQL text."""
        if node.all("modifySql"):
            return ""
        changes = [each for each in node.children if each.name not in _NO_CHANGES]
        if len(changes) == 1 and changes[0].name == "changes":
            changes = list(changes[0].children)
        sums = []
        for each in changes:
            text = self._text(each.given.get("sql") or each.text)
            if each.name == "sqlFile":
                inner = self._folder / normal(_relative_name(name, each, self._text(each.given.get("path", ""))))
                if not inner.is_file() or each.given.get("encoding", "UTF-8").upper() not in ("UTF-8", "UTF8"):
                    return ""
                text = read_text(inner)  # its placeholders are replaced when it runs
            elif each.name != "sql":
                return ""
            sums.append(_md5(re.sub(r"[ \n\r\t]", "", text)) + ":")
        return _md5("".join(sums)) if sums else ""


def change_sets_of(folder: Path, settings: Settings, root: Path) -> Iterator[ChangeSet]:
    """The change sets of the declared changelog; checksums that are not of text come from what Liquibase wrote."""
    if not settings.liquibase.changelog:
        what = "migrations: the first changelog of Liquibase is not declared"
        raise EvidenceProblem(Problem("configuration", what, "set migrations.liquibase.changelog"))
    known = _recorded_checksums(root / settings.liquibase.checksums) if settings.liquibase.checksums else {}
    for each in Changelog(folder, settings).change_sets():
        said = known.get(each.version, "")
        if said and each.checksum and said != each.checksum and said.startswith("9:"):
            what = f"{each.version} has a different checksum in this file: the file is from another revision"
            raise broken(Path(settings.liquibase.checksums or ""), what, "generate it again from the shipped changelog")
        yield replace(each, checksum=each.checksum or said)


def _recorded_checksums(path: Path) -> dict[str, str]:
    """Checksums by change set of the CSV that `liquibase update-sql` keeps for an offline database."""
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
        return {key(row["FILENAME"], row["ID"], row["AUTHOR"]): row["MD5SUM"] for row in rows}
    except (KeyError, TypeError, AttributeError, csv.Error):
        hint = "liquibase update-sql --url 'offline:postgresql?changeLogFile=checksums.csv' writes it"
        raise broken(path, "it is not a changelog file of an offline database", hint) from None


def _md5(text: str) -> str:
    return "9:" + hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _relative_name(name: str, node: Node, path: str) -> str:
    return posixpath.join(posixpath.dirname(name), path) if _is_true(node.given, "relativeToChangelogFile") else path


def _is_true(given: dict[str, str], name: str) -> bool:
    return given.get(name, "").lower() == "true"


def _included_place(place: Place, given: dict[str, str]) -> Place:
    context = given.get("contextFilter") or given.get("context") or ""
    labels = frozenset(each.strip().lower() for each in given.get("labels", "").split(",") if each.strip())
    filters = (*place.filters, context) if context.strip() else place.filters
    ignored = place.ignored or _is_true(given, "ignore")
    return Place(filters, place.tags | labels, place.depth + 1, ignored)


def _for_postgresql(dbms: str) -> bool:
    names = [each.strip().lower() for each in dbms.split(",") if each.strip()]
    wanted = [each for each in names if not each.startswith("!")]
    if "!postgresql" in names or "none" in names:
        return False
    return not wanted or "all" in wanted or "postgresql" in wanted


_TOKEN = re.compile(r"(\(|\)|,|!|(?:and|or|not)(?=[\s(])|[^\s(),!]+)")


def matches(expression: str, held: Sequence[str] | frozenset[str]) -> bool:
    """Whether an expression of contexts or labels holds: "prod and !(eu or us)", commas are or.

    Where nothing is held everything holds, but for contexts that have to be named: "@test".
    """
    if not expression.strip() or (not held and "@" not in expression):
        return True
    tokens = [found[1] for found in _TOKEN.finditer(expression.strip())]
    known = {each.lower().removeprefix("@") for each in held}

    def one() -> bool:
        word = tokens.pop(0) if tokens else ""
        if word in ("!", "not"):
            return not one()
        if word == "(":
            value = either()
            if tokens:
                tokens.pop(0)
            return value
        return word.lower().removeprefix("@") in known or (not held and not word.startswith("@"))

    def both() -> bool:
        value = one()
        while tokens and tokens[0] == "and":
            tokens.pop(0)
            value = one() and value
        return value

    def either() -> bool:
        value = both()
        while tokens and tokens[0] in ("or", ","):
            tokens.pop(0)
            value = both() or value
        return value

    return either()
