"""`prodcheck record-backup`: writes down what a database holds, beside a backup that was just taken."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.cli.gate_options import duration
from pytest_prodcheck.reports.escaping import safe

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.content.record_file import ContentRecord
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

EXAMPLES = """\
  pg_basebackup -D /backups/base/monday && \\
    prodcheck record-backup shop --env production -o /backups/records/monday.json

  `prodcheck grants` prints the privileges that the role needs: EXECUTE on two functions, and SELECT on all tables.
  The check data_integrity.backups.restore replays WAL up to the recorded position and compares the tables with the
  record. If `backups.restore.sample` is declared, large tables are recorded in parts, and some parts are compared.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck record-backup`."""
    parser.add_argument("name", metavar="NAME", help="the cluster, as in [environments.ENV.postgres.NAME]")
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="where to write the record")
    parser.add_argument("--database", default="", metavar="NAME", help="use this database instead of the declared one")
    parser.add_argument("--user", default="", metavar="NAME", help="use this role instead of the declared one")
    parser.add_argument(
        "--table", action="append", default=[], metavar="SCHEMA.TABLE", help="only this table; may be repeated"
    )
    parser.add_argument(
        "--timeout",
        type=_positive_duration,
        default=3600.0,
        metavar="DURATION",
        help="time limit, such as 2h (default: 1h)",
    )


def _positive_duration(text: str) -> float:
    if not (seconds := duration(text)):
        raise argparse.ArgumentTypeError("expected a duration greater than zero")
    return seconds


def main(args: argparse.Namespace) -> int:
    """Writes the record; 2 for what cannot be read, 3 where the database cannot be recorded."""
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.environments.redaction import Redactor
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records import EvidenceProblem
    from pytest_prodcheck.scope import ScopeError, read_scope

    root = Path.cwd()
    try:
        environment = read_scope(args.env, root)[1]
    except (ConfigurationError, ScopeError) as error:
        print(f"prodcheck record-backup: {error}", file=sys.stderr)
        return 2
    if args.name not in environment.postgres:
        known = ", ".join(environment.postgres) or "none"
        told = f"{args.env} declares no postgres {args.name!r}; declared: {known}"
        print(f"prodcheck record-backup: {told}", file=sys.stderr)
        return 2
    from pytest_prodcheck.environments.loading import find_configuration

    found = find_configuration(root)
    place = found.parent if found is not None else root
    context = Context(environment, place, secrets=SecretResolver(place), redactor=Redactor())
    try:
        record = _record(args, context, Deadline(args.timeout))
    except EvidenceProblem as error:
        print(f"prodcheck record-backup: {safe(str(error.problem))}", file=sys.stderr)
        return 3
    count = len(record.tables)
    print(f"{args.output}: {count} table{'s' * (count != 1)} recorded")
    if not record.archived:
        what = (
            "a restore can reach this position only after the current WAL file is "
            "archived; run pg_switch_wal() to archive it now"
        )
        print(f"prodcheck record-backup: {what}", file=sys.stderr)
    return 0


def _record(args: argparse.Namespace, context: Context, deadline: Deadline) -> ContentRecord:
    """Records and writes whole or not at all. Raises EvidenceProblem."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    from pytest_prodcheck.evidence.content.recording import record_content
    from pytest_prodcheck.evidence.network.resolving import split_address
    from pytest_prodcheck.evidence.postgres.libpq_environment import hidden
    from pytest_prodcheck.evidence.postgres.members import libpq_parameters, members
    from pytest_prodcheck.evidence.postgres.server_text import of_error
    from pytest_prodcheck.records import EvidenceProblem, Problem

    primaries = [each for each in members(args.name, context, deadline) if each.problem is None and not each.recovering]
    if len(primaries) != 1 or primaries[0].address is None:
        what = f"postgres {args.name}: expected one primary, found {len(primaries)}"
        raise EvidenceProblem(Problem("configuration", what, "see smoke.postgres.primary"))
    address = primaries[0].address
    reach = {"host": split_address(primaries[0].declared)[0], "hostaddr": address.ip, "port": str(address.port)}
    parameters = libpq_parameters(args.name, context, args.database)
    wanted = {**parameters, **reach, "application_name": "prodcheck record-backup"}
    if args.user:
        wanted["user"] = args.user
    conninfo = make_conninfo("", **wanted)
    try:
        with hidden():
            first, second = psycopg.connect(conninfo), psycopg.connect(conninfo)
        with first as connection, second as witness:
            backups = context.environment.postgres[args.name].backups
            physical = backups is not None and backups.kind != "dump"
            parts = backups is not None and backups.restore is not None and backups.restore.sample < 1
            record = record_content(connection, witness, args.table, physical, parts, deadline)
    except psycopg.errors.InsufficientPrivilege as error:
        hint = "prodcheck grants prints all privileges that the role needs"
        raise EvidenceProblem(Problem("denied", of_error(error), hint)) from None
    except psycopg.Error as error:
        raise EvidenceProblem(Problem("protocol", of_error(error))) from None
    path = Path(args.output)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_text(record.text(), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise EvidenceProblem(Problem("configuration", f"{path}: {error.strerror}")) from None
    return record
