"""`postgres-migration-lint`: squawk (squawkhq.com) on the SQL of migrations that are not applied yet."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.child_processes import child_environment, end_with_us
from pytest_prodcheck.evidence.collectors import evidence
from pytest_prodcheck.evidence.migrations.applied import compared
from pytest_prodcheck.evidence.postgres.cluster_requests import first_node, seconds_for, to_primary
from pytest_prodcheck.evidence.postgres.members import members
from pytest_prodcheck.evidence.tools import program_errors
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.database import LintFinding, MigrationLint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.database import Migrations as Settings
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.migrations.model import Script

SECONDS = 20.0  # squawk itself; a file takes milliseconds
MOST_FILES = 500
MOST_FINDINGS = 200


def _seconds(target: str, environment: Environment) -> float:
    return seconds_for(target, environment) + SECONDS


@evidence(
    "postgres-migration-lint", axis="postgres", feature="migration-sql", seconds=_seconds, host=first_node,
    sends=to_primary("the table of migrations"),
)  # fmt: skip
def postgres_migration_lint(target: str, context: Context, deadline: Deadline) -> MigrationLint:
    """What squawk says about the migrations that are shipped and not applied; those that are applied cannot be helped.

    Raises EvidenceProblem where squawk is not installed or does not answer as it should.
    """
    settings = context.environment.postgres[target].migrations
    if settings is None:
        raise EvidenceProblem(Problem("configuration", f"postgres {target}: no migrations are declared"))
    scripts, state = compared(target, context, deadline)
    new = [scripts[version] for version in dict.fromkeys((*state.pending, *state.skipped)) if version in scripts]
    if len(new) > MOST_FILES:
        what = f"postgres {target}: {len(new)} migrations are pending, more than {MOST_FILES}"
        raise EvidenceProblem(Problem("too-large", what, "is this the right database?"))
    found = {script.version: _sql_of(script, settings, context.root) for script in new}
    files = [file for file in found.values() if file is not None]
    version = max((member.version for member in members(target, context, deadline)), default=0)
    findings = lint(files, version, settings.exclude, context.root, deadline) if files else []
    return MigrationLint(
        files=tuple(_relative_path(file, context.root) for file in files),
        without_sql=tuple(version for version, file in found.items() if file is None),
        findings=tuple(findings[:MOST_FINDINGS]),
    )


def lint(
    files: list[Path], version: int, exclude: tuple[str, ...], root: Path, deadline: Deadline
) -> list[LintFinding]:
    """All that squawk finds in files; version: of the server, 0 for any. Raises EvidenceProblem."""
    return [_finding(each, root) for each in _squawk_findings(files, version, exclude, root, deadline)]


def _sql_of(script: Script, settings: Settings, root: Path) -> Path | None:
    if settings.sql is None:
        return script.file if script.file.suffix == ".sql" else None
    for name in (script.version, script.file.stem):
        file = root / settings.sql / f"{name}.sql"
        if file.is_file():
            return file
    return None


def _program() -> str:
    beside = Path(sys.executable).with_name("squawk")  # where pip puts it, whether or not that is on PATH
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("squawk")
    if found is None:
        raise EvidenceProblem(Problem("missing-extra", "checking migrations needs squawk", "pip install squawk-cli"))
    return found


def _squawk_findings(
    files: list[Path], version: int, exclude: tuple[str, ...], root: Path, deadline: Deadline
) -> list[Any]:
    """Its findings: exit code 1 stands for some, and for much else, so that its JSON alone is believed."""
    command = [_program(), "--reporter", "json"]
    if version:
        command += ["--pg-version", f"{version // 10000}.{version % 10000}"]
    if exclude:
        command += ["--exclude", ",".join(exclude)]
    command += [str(file) for file in files]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, errors="replace", check=False,
            timeout=deadline.at_most(SECONDS).seconds_left(), stdin=subprocess.DEVNULL,
            env=child_environment(command[0]), preexec_fn=end_with_us(signal.SIGKILL),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EvidenceProblem(Problem("timeout", f"squawk: not done within {SECONDS:g} s")) from None
    except OSError as error:
        raise EvidenceProblem(Problem("missing-extra", f"squawk cannot be run: {error.strerror}")) from None
    try:
        said = json.loads(done.stdout)
        if not isinstance(said, list) or done.returncode not in (0, 1) or (done.returncode == 1 and not said):
            raise ValueError("no list of findings")
    except ValueError as error:
        words = program_errors.last_words(done.stderr or done.stdout, 300)
        what = f"squawk exited with {done.returncode}, and its output cannot be read ({error}): {words}"
        raise EvidenceProblem(Problem("protocol", what, "run squawk by hand on the files")) from None
    return said


def _finding(said: Any, root: Path) -> LintFinding:
    try:
        line = int(said["line"]) + 1
        file = _relative_path(Path(str(said["file"])), root)
        return LintFinding(file, line, str(said["rule_name"]), str(said["level"]), plain(str(said["message"])))
    except (KeyError, TypeError, ValueError):
        raise EvidenceProblem(Problem("protocol", "squawk's findings have an unexpected format")) from None


def _relative_path(file: Path, root: Path) -> str:
    return str(file.relative_to(root)) if file.is_relative_to(root) else file.name
