"""What a database notes as applied against the scripts that are shipped, for each kind of migration tool."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.migrations import liquibase_state
from pytest_prodcheck.evidence.migrations.model import Row, Scripts, State
from pytest_prodcheck.evidence.migrations.scripts import BASELINE, dotted, version_key
from pytest_prodcheck.evidence.postgres.safe_sql import as_text
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.database import Migrations as Settings


@dataclass(frozen=True)
class Kind:
    """table: its default name. columns: what is read of it; {column} and {failed} are the declared ones."""

    table: str
    columns: str
    compare: Callable[[Sequence[Row], Scripts, Settings], State]


def _heads(scripts: Scripts, among: Iterable[str]) -> list[str]:
    """Those of `among` that no other of them builds on."""
    chosen = set(among)
    below = {parent for version in chosen if version in scripts for parent in scripts[version].parents}
    return sorted(chosen - below)


def _ancestors(scripts: Scripts, heads: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [head for head in heads if head in scripts]
    while waiting:
        version = waiting.pop()
        if version not in found:
            found.add(version)
            waiting.extend(parent for parent in scripts[version].parents if parent in scripts)
    return found


def _alembic(rows: Sequence[Row], scripts: Scripts, settings: Settings) -> State:
    """The table holds the heads alone, or the beginnings of their ids; what they build on is applied."""
    heads = [_revision_named(scripts, str(row[0])) or str(row[0]) for row in rows]
    applied = _ancestors(scripts, heads)
    shipped, untold = _targets(scripts, settings.target)
    wanted = _ancestors(scripts, shipped)
    return State(
        applied=sorted(applied), applied_heads=sorted(heads), shipped_heads=shipped, failed=[],
        unknown=[head for head in heads if head not in scripts],
        pending=[version for version in scripts if version in wanted and version not in applied], skipped=[],
        changed=[], untold=untold,
    )  # fmt: skip


def _revision_named(scripts: Scripts, name: str) -> str:
    """The one revision of that id or label, or whose id begins so, as Alembic finds it; "" for none, or several."""
    if name in scripts:
        return name
    labelled = [version for version, script in scripts.items() if name in script.labels]
    begins = labelled or [version for version in scripts if name and len(version) > 3 and version.startswith(name)]
    return begins[0] if len(begins) == 1 else ""


def _targets(scripts: Scripts, target: str) -> tuple[list[str], list[str]]:
    """The revisions that `alembic upgrade TARGET` leads to, and what cannot be told of them."""
    label, at, name = target.rpartition("@")
    heads = _heads(scripts, scripts)
    if at:
        of = _revision_named(scripts, label)
        # heads of a branch: those that its revision leads to, or that lead to it, not by mere dependencies
        heads = [
            each
            for each in _heads_of(scripts)
            if of and (of in _ancestry(scripts, each) or each in _ancestry(scripts, of))
        ]
    if name == "heads" and heads:
        return heads, []
    if name == "head" and len(heads) == 1:
        return heads, []
    if name == "head" and heads:
        return heads, [f"alembic upgrade {target} is refused, because there are several heads: {', '.join(heads)}; "
                       'merge them, or set migrations.target = "heads" or "LABEL@head"']  # fmt: skip
    if found := _revision_named(scripts, name):
        return [found], []
    return heads, [f"migrations.target = {target!r} is not a revision or branch in the scripts"]


def _heads_of(scripts: Scripts) -> list[str]:
    """Revisions that no other one follows in its own line."""
    below = {parent for script in scripts.values() for parent in script.line}
    return sorted(set(scripts) - below)


def _ancestry(scripts: Scripts, head: str) -> set[str]:
    """A revision and those that it follows, without what it merely depends on."""
    found: set[str] = set()
    waiting = [head]
    while waiting:
        version = waiting.pop()
        if version in scripts and version not in found:
            found.add(version)
            waiting.extend(scripts[version].line)
    return found


def _flyway(rows: Sequence[Row], scripts: Scripts, settings: Settings) -> State:
    """Rows in the order in which they were applied: undone and deleted ones take others away."""
    applied: dict[str, tuple[str | None, str, str]] = {}  # version -> checksum, description, type
    failed: dict[str, bool] = {}
    baseline: tuple[int, ...] = ()
    for version, description, kind, checksum, success in rows:
        repeatable = version is None
        name = str(description) if version is None else dotted(version)
        kind = str(kind)
        if kind == "SCHEMA":
            continue
        if kind.startswith("UNDO") or kind == "DELETE":
            failed[name] = success != "t"
            if success == "t":  # one that failed has undone nothing, or a part
                applied.pop(name, None)
            continue
        failed[name] = success != "t"
        if success == "t":
            applied[name] = (checksum, str(description), "repeatable" if repeatable else kind)
        if kind.endswith("BASELINE"):
            baseline = max(baseline, version_key(name))
    mine = {name: held for name, held in applied.items() if held[2] in ("SQL", "repeatable")}
    versions = [name for name, held in applied.items() if held[2] != "repeatable"]
    newest = max(map(version_key, versions), default=())
    versioned = [each for each in scripts.values() if not each.repeatable and not each.baseline]
    ordered = sorted(versioned, key=lambda each: version_key(each.version))
    bases = sorted((version_key(each.version.removeprefix(BASELINE)), each.version)
                   for each in scripts.values() if each.baseline)  # fmt: skip
    again, untold = [], []
    if bases and not versions:  # an empty database begins with the newest of those that stand for all before
        baseline, base = max((baseline, ""), bases[-1])
        again += [base] if base else []
    left = [each.version for each in ordered if each.version not in applied and version_key(each.version) > baseline]
    for script in scripts.values():
        if not script.repeatable:
            continue
        if script.version not in mine:
            again.append(script.version)
        elif mine[script.version][0] not in (script.checksum, script.replaced or None):
            if script.untold:
                value = f"{script.file.name} holds {script.untold[0]}"
                untold.append(f"{value}: declare its value in migrations.placeholders")
            else:
                again.append(script.version)
    behind = [] if settings.flyway.out_of_order else [each for each in left if version_key(each) < newest]
    gone = [name for name, held in applied.items() if held[2] == "SQL_BASELINE" and BASELINE + name not in scripts]
    gone += [name for name in mine if name not in scripts and version_key_of(name, mine) > baseline]
    if settings.flyway.ignore_missing:
        shipped_to = max((version_key(each.version) for each in ordered), default=())
        kept = {name for name, (_, _, kind) in mine.items() if kind == "repeatable" or version_key(name) <= shipped_to}
        gone = [name for name in gone if name not in kept]
    return State(
        applied=list(applied),
        applied_heads=sorted(versions, key=version_key)[-1:],
        shipped_heads=[each.version for each in ordered][-1:] or [each for _, each in bases][-1:],
        failed=[name for name, bad in failed.items() if bad],
        unknown=gone,
        pending=[version for version in left if version not in behind] + again,
        skipped=behind,
        changed=[
            name for name, (checksum, title, kind) in mine.items()
            if kind == "SQL" and name in scripts and checksum is not None
            and (checksum != scripts[name].checksum or title != scripts[name].title)
        ],
        untold=untold,
    )  # fmt: skip


def version_key_of(name: str, mine: Mapping[str, tuple[str | None, str, str]]) -> tuple[int, ...]:
    """The order of an applied one; repeatable ones are after all."""
    return (1 << 62,) if mine[name][2] == "repeatable" else version_key(name)


def _django(rows: Sequence[Row], scripts: Scripts, settings: Settings) -> State:
    """One row each; apps that ship nothing here, such as Django's own, are not looked at."""
    apps = {version.partition(".")[0] for version in scripts}
    replaced = {old: script.version for script in scripts.values() for old in script.replaces}
    noted = [f"{app}.{name}" for app, name in rows if app in apps]
    applied = set(noted)
    for _ in range(len(replaced) + 1):  # a squashed one may stand for squashed ones
        before = len(applied)
        for script in scripts.values():  # a squashed one is applied when it is noted or all that it replaces is
            if script.replaces and applied >= set(script.replaces):
                applied.add(script.version)
            elif script.version in applied:
                applied |= set(script.replaces)
        if len(applied) == before:
            break
    hidden = {old for old, new in replaced.items() if new in applied or not applied & set(scripts[new].replaces)}
    return State(
        applied=noted, applied_heads=_heads(scripts, applied & set(scripts)),
        shipped_heads=_heads(scripts, set(scripts) - set(replaced)), failed=[],
        unknown=[each for at, each in enumerate(noted)
                 if each not in scripts and each not in replaced and not _was_squashed(each, noted[at + 1 :], scripts)],
        pending=[version for version in scripts if version not in applied and version not in hidden],
        skipped=sorted({
            parent for version in applied & set(scripts) for parent in scripts[version].parents
            if parent in scripts and parent not in applied
        }),
        changed=[], untold=list(_conflicts(scripts, replaced)),
    )  # fmt: skip


def _conflicts(scripts: Scripts, replaced: Mapping[str, str]) -> Iterator[str]:
    """Apps with several migrations that no other one of theirs follows: Django then refuses to migrate anything."""
    followed: set[str] = set()
    for version, script in scripts.items():
        for parent in script.parents:
            passed: set[str] = set()
            while parent in replaced and parent not in passed:  # a squashed one may be squashed again
                passed.add(parent)
                parent = replaced[parent]
            if version not in replaced and parent.partition(".")[0] == version.partition(".")[0]:
                followed.add(parent)
    ends: dict[str, list[str]] = {}
    for version in sorted(set(scripts) - set(replaced) - followed):
        ends.setdefault(version.partition(".")[0], []).append(version)
    for app, last in ends.items():
        if len(last) > 1:
            yield (f"{app} has several last migrations ({', '.join(last)}): Django migrates nothing until they are "
                   "merged (makemigrations --merge)")  # fmt: skip


_NUMBER = re.compile(r"[^.]*\.(\d+)")
_SQUASHED_TO = re.compile(r"_squashed_(\d+)")


def _was_squashed(old: str, later: Sequence[str], scripts: Scripts) -> bool:
    """Whether a migration that is gone went into a squashed one, whose `replaces` is gone too.

    Django leaves its note (`migrate --prune` takes it away) and numbers a squashed migration like the first of those
    that it stands for. So one of the same app, shipped, noted later and not numbered higher, stands for it.
    """
    app, number = old.partition(".")[0], _NUMBER.match(old)
    for version in later:
        its = _NUMBER.match(version)
        if version not in scripts or version.partition(".")[0] != app or its is None or number is None:
            continue
        last = _SQUASHED_TO.search(version)
        if int(its[1]) <= int(number[1]) and (last is None or int(number[1]) <= int(last[1])):
            return True
    return False


def _table(rows: Sequence[Row], scripts: Scripts, settings: Settings) -> State:
    """A row for each version, or the newest version alone."""
    # goose notes a version 0 when it makes its table
    versions = [version for row in rows if (version := dotted(str(row[0]))) != "0" or version in scripts]
    failed = [dotted(str(row[0])) for row in rows if row[1] in ("t", "1", "y")]
    ordered = sorted(scripts, key=version_key)
    newest = max(map(version_key, versions), default=())
    applied = set(versions)
    if settings.holds == "latest":
        if len(rows) > 1:
            what = f"migrations: {len(rows)} rows in the table, expected only the newest version"
            raise EvidenceProblem(Problem("configuration", what, 'set holds = "all"'))
        applied |= {version for version in ordered if version_key(version) <= newest}
    left = [version for version in ordered if version not in applied]
    return State(
        applied=sorted(applied, key=version_key), applied_heads=sorted(versions, key=version_key)[-1:],
        shipped_heads=ordered[-1:], failed=failed,
        unknown=[version for version in versions if version not in scripts],
        pending=[version for version in left if version_key(version) > newest],
        skipped=[version for version in left if version_key(version) < newest], changed=[],
    )  # fmt: skip


KINDS = {
    "alembic": Kind("alembic_version", as_text("version_num"), _alembic),
    "flyway": Kind(
        "flyway_schema_history",
        f"{', '.join(map(as_text, ('version', 'description', 'type', 'checksum')))}, left({as_text('success')}, 1)",
        _flyway,
    ),
    "django": Kind("django_migrations", f"{as_text('app')}, {as_text('name')}", _django),
    "liquibase": Kind(
        "databasechangelog", ", ".join(map(as_text, ("filename", "id", "author", "md5sum", "exectype"))),
        liquibase_state.compared,
    ),
    "table": Kind("schema_migrations", "{column}, {failed}", _table),
}  # fmt: skip
ORDER = {"flyway": " order by installed_rank", "django": " order by id", "liquibase": " order by orderexecuted"}
