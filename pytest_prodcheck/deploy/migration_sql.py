"""Whether migrations that are said to only add do so, by their SQL: squawk knows what breaks clients (squawkhq.com)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.plan import PlanProblem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.deploy import DeployMigrations

_TIMEOUT = 60.0
_DROP_RULES = ("ban-drop-", "renaming-")
# rules about what the old revision cannot live with; ban-drop-… and renaming-… are, too
_BREAKING_RULES = (
    "adding-not-nullable-field", "adding-required-field", "ban-new-write-restriction", "ban-revoke", "ban-set-schema",
    "ban-truncate-cascade", "changing-column-type",
)  # fmt: skip
_HARMLESS_DROPS = ("ban-drop-index", "ban-drop-constraint", "ban-drop-not-null")  # what is allowed then was not before
_SYNTAX_ERROR = "syntax-error"


def sql_digests(settings: DeployMigrations, names: Sequence[str], root: Path) -> tuple[tuple[str, str], ...]:
    """Name and SHA-256 of the SQL of each migration, "" for a file that is not there; () where no SQL is declared."""
    if settings.sql is None:
        return ()
    return tuple((name, _digest(_file(settings.sql, name, root))) for name in names)


def refuse_destructive_migrations(settings: DeployMigrations, expanding: Sequence[str], root: Path) -> None:
    """Raises PlanProblem: 4 for a migration that is said to only add and does not, 3 where nobody can tell."""
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.migrations.squawk import lint
    from pytest_prodcheck.records import EvidenceProblem

    if settings.sql is None or not expanding:
        return
    files = {name: _file(settings.sql, name, root) for name in expanding}
    if missing := next((name for name, file in files.items() if not file.is_file()), ""):
        told = settings.sql.replace("{name}", missing)
        raise PlanProblem(f"cannot tell whether the migration {missing} only adds: there is no file {told}", 3)
    try:
        found = lint(list(files.values()), 0, settings.exclude, root, Deadline(_TIMEOUT))
    except EvidenceProblem as error:
        raise PlanProblem(f"cannot tell whether migrations only add: {error.problem}", 3) from None
    for each in found:
        where = f"{each.file}:{each.line}: {each.rule}: {each.message}"
        if each.rule == _SYNTAX_ERROR:
            raise PlanProblem(f"cannot tell whether a migration only adds: {where}", 3)
        drops = each.rule.startswith(_DROP_RULES) and each.rule not in _HARMLESS_DROPS
        if drops or each.rule in _BREAKING_RULES:
            text = "an `expand` migration would break the old revision"
            raise PlanProblem(f"{text} ({where}): declare it as `contract`")


def _file(pattern: str, name: str, root: Path) -> Path:
    """Raises PlanProblem (4) for a name that leads out of the project."""
    path = (root / pattern.replace("{name}", name)).resolve()
    if not path.is_relative_to(root.resolve()):
        raise PlanProblem(f"the migration {name[:60]!r} names no file in the project")
    return path


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
