"""A dump of pg_dump loaded into an empty scratch server."""

from __future__ import annotations

import pwd
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.verification import is_archive
from pytest_prodcheck.evidence.postgres.programs import programs
from pytest_prodcheck.evidence.restore.fetch import give_away
from pytest_prodcheck.evidence.restore.scratch_server import ScratchServer
from pytest_prodcheck.evidence.tools.compressed_files import BROKEN, SUFFIXES, opened
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import run
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.backups import Backup
_ROLE = re.compile(r'role "[^"]*" does not exist')


class DumpServer(ScratchServer):
    """An empty server that a dump is loaded into once it runs."""

    dump: Path
    database: str

    def fill(self, deadline: Deadline) -> str:
        """Loads the dump; owners and grants are left out, for the roles are not in it."""
        with self.connect("template1") as connection:
            quoted = self.database.replace('"', '""')
            if self.database != "postgres":
                connection.execute(f'create database "{quoted}" template template0')
        if self.dump.is_dir() or is_archive(self.dump):
            options = ["--no-owner", "--no-acl", "--exit-on-error", "--dbname", self.database, str(self.dump)]
            done = self.tool(deadline, "pg_restore", *options)
        else:
            try:
                text = self._unpacked()
            except BROKEN as error:
                return f"the dump was not loaded whole: it cannot be unpacked: {plain(str(error))}"
            options = ["-X", "-q", "-d", self.database, "-f", str(text)]
            done = self.tool(deadline, "psql", *options, discard=True)
            # owners and grants name roles that a dump of one database does not hold
            errors = [line for line in done.errors.splitlines() if "ERROR:" in line and not _ROLE.search(line)]
            if errors:
                return f"the dump was not loaded whole: {plain(errors[0])}"
        return "" if done.code == 0 else f"the dump was not loaded whole: {done.said}"

    def _unpacked(self) -> Path:
        if self.dump.suffix not in SUFFIXES:
            return self.dump
        unpacked = self.scratch / "dump.sql"
        with opened(self.dump) as packed, unpacked.open("wb") as copy:
            shutil.copyfileobj(packed, copy)
        return unpacked


def load_dump(
    settings: Backups, backup: Backup, database: str, scratch: Path, user: pwd.struct_passwd | None,
    root: Path, deadline: Deadline,
) -> DumpServer:  # fmt: skip
    """An empty server, not started yet, with the name of the database to load into; raises EvidenceProblem."""
    assert settings.restore is not None
    folder = programs("initdb", None, settings.programs, root)
    give_away(scratch, user)
    options = ("-D", str(scratch / "data"), "-U", settings.restore.user, "-A", "trust", "-N")
    done = run((str(folder / "initdb"), *options, "-E", "UTF8", "--locale=C"), deadline, folder=scratch, user=user)
    if done.code:
        raise EvidenceProblem(Problem("configuration", f"initdb: {done.said}"))
    server = DumpServer(scratch, folder, user, settings.restore.user)
    server.dump = (root / (settings.folder or "") / backup.label).resolve()
    server.database = database
    server.configure(settings.restore.settings)
    give_away(scratch, user)
    return server
