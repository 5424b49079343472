"""A dump of pg_dump loaded into an empty scratch server."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pytest_prodcheck.evidence.backups.verification import is_archive
from pytest_prodcheck.evidence.postgres.programs import major_of, programs
from pytest_prodcheck.evidence.postgres.safe_sql import quoted
from pytest_prodcheck.evidence.postgres.server_text import of_error
from pytest_prodcheck.evidence.restore.loading import LOADER, LoadResult, load
from pytest_prodcheck.evidence.restore.scratch_server import ScratchServer
from pytest_prodcheck.evidence.restore.source_files import give_to, private_file
from pytest_prodcheck.evidence.restore.sql_text import PIECE, SqlText
from pytest_prodcheck.evidence.tools import program_errors
from pytest_prodcheck.evidence.tools.compressed_files import BROKEN, opened, regular
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import end
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.restore.source_facts import SourceFacts
    from pytest_prodcheck.evidence.restore.source_files import Source
_EXPANDS = 20  # bytes of a dump's text for each byte of free room: a table takes up more than that
_LOADING = {"wal_level": "minimal", "maintenance_work_mem": "256MB"}  # indexes without WAL, sorted in memory
_TRUSTED = re.compile(r"\s*(trusted|superuser)\s*=")
_LEFT_OUT = ("--no-owner", "--no-acl", "--no-tablespaces", "--no-publications", "--no-subscriptions",
             "--no-security-labels")  # fmt: skip


class DumpServer(ScratchServer):
    """An empty server that a dump is loaded into once it runs."""

    source: Source
    database: str
    facts: SourceFacts
    as_superuser: bool

    def access(self) -> str:
        """The loader comes in without a password; the superuser's is known to us alone."""
        return f"local all {LOADER} trust\nlocal all all scram-sha-256\n"

    def fill(self, deadline: Deadline) -> str:
        """Loads the dump as a role without rights; owners and grants are left out, for the roles are not in it."""
        odd = self._make_database()
        found: list[LoadResult | None] = []

        def loading() -> None:
            room = os.statvfs(self.scratch)
            user = self.superuser if self.as_superuser else LOADER
            try:
                with self._text(deadline) as stream, self.connect(self.database, user) as connection:
                    text = SqlText(stream, deadline, _EXPANDS * room.f_bavail * room.f_frsize)
                    found.append(load(connection.pgconn, text))
            except EvidenceProblem as error:  # it cannot be read whole: that is what the dump is like
                if error.problem.kind != "protocol":
                    raise
                found.insert(0, LoadResult(error.problem.message))

        side_by_side((loading,), deadline.time_left())
        deadline.seconds_left()
        loaded = found[0] if found else None
        assert loaded is not None
        for kind, count in sorted(loaded.left_out.items()):
            deadline.note(f"not restored, for it would act: {count} {kind}")
        if loaded.forbidden:
            what = f"the dump needs a superuser to be loaded ({loaded.reason})"
            hint = "backups.restore.as_superuser = true loads it as one, shut in all the same"
            raise EvidenceProblem(Problem("configuration", what, hint))
        if loaded.reason and odd:
            hint = "install that locale (locale-gen)"
            raise EvidenceProblem(Problem("configuration", f"not loaded: {loaded.reason}; {odd}", hint))
        return f"the dump was not loaded whole: {loaded.reason}" if loaded.reason else ""

    def trust_extensions(self, deadline: Deadline) -> None:
        """Lets the loader create the extensions that are installed: their scripts are the system's, not the dump's.

        An extension's functions that reach files or other servers ask for rights of their own, which the loader lacks.
        """
        if not self.place.confined:
            return
        told = self.place.run((str(self.programs / "initdb"), "--show", "-D", str(self.data)), deadline, system=True)
        found = re.search(r"^share_path=(.+)$", told.output + told.errors, re.MULTILINE)
        folder = Path(found[1]) / "extension" if found else self.data
        seen = {}
        for control in folder.glob("*.control") if found else ():
            lines = [line for line in control.read_text(errors="replace").splitlines() if _TRUSTED.match(line) is None]
            ours = self.files / f"extension-{control.name}"
            ours.write_text("\n".join([*lines, "trusted = true", ""]))
            seen[ours] = control
        self.place = replace(self.place, seen={**self.place.seen, **seen})

    def _make_database(self) -> str:
        """The database and the roles that the dump may name; what is not as it is there, "" for nothing."""
        import psycopg

        odd = ""
        with self.connect("template1") as connection:
            connection.execute(f"create role {LOADER} login nosuperuser")
            for role in self.facts.roles:
                if role not in (LOADER, self.superuser):
                    connection.execute(f"create role {quoted(role)} nologin")
            name = quoted(self.database)
            if self.database == "postgres":
                connection.execute("drop database postgres")
            making = f"create database {name} template template0 owner {LOADER}"
            try:
                connection.execute(f"{making} {self.facts.options(self.major)}")
            except (psycopg.errors.InvalidParameterValue, psycopg.errors.WrongObjectType) as error:
                odd = f"the database's locale is not known here: {of_error(error)}"
                connection.execute(f"{making} encoding 'UTF8' lc_collate 'C' lc_ctype 'C'")
        with self.connect(self.database) as connection:
            connection.execute(f"alter schema public owner to {LOADER}")
            self._make_wrappers(connection)
        return odd

    def _make_wrappers(self, connection: Any) -> None:
        """Foreign-data wrappers, which only a superuser makes: servers and foreign tables of the dump lead nowhere.

        There is no network where the server is shut in; a wrapper that reads files asks for rights that nobody has.
        """
        import psycopg

        for extension, wrapper in self.facts.wrappers if self.place.confined else ():
            with suppress(psycopg.Error):  # it is not installed here: the dump's own statement will say so
                connection.execute(f"create extension if not exists {quoted(extension)}")
                connection.execute(f"grant usage on foreign data wrapper {quoted(wrapper)} to {LOADER}")

    @contextmanager
    def _text(self, deadline: Deadline) -> Iterator[IO[bytes]]:
        """The dump as SQL text, unpacked on the way; raises EvidenceProblem where it cannot be read whole."""
        place = self.source.place
        if not place.is_dir() and not is_archive(place):
            with opened(place) as stream:
                try:
                    yield stream
                except BROKEN as error:
                    raise EvidenceProblem(Problem("protocol", f"it cannot be unpacked: {plain(str(error))}")) from None
            return
        words = [str(self.programs / "pg_restore"), "--file", "-", *_LEFT_OUT]
        if place.is_dir():
            give_to(self.scratch / "tablespaces", self.place.user)
            words.append(str(self._folder(deadline)))
        errors = self.scratch / "pg_restore.log"
        with (_plain_file(place) if place.is_file() else open(os.devnull, "rb")) as given, private_file(errors) as log:
            child = self.place.pipe(words, given, log)
            assert child.stdout is not None
            with suppress(OSError):  # more than a user may have: it is slower, no more
                fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, PIECE)
            try:
                yield child.stdout
                given_up = bool(child.stdout.read(1))
                code = 0 if given_up else child.wait(max(deadline.time_left(), 0.01))
            except subprocess.TimeoutExpired:
                code = -1
            finally:
                child.stdout.close()
                end(child)
        if code:
            said = program_errors.last_words(errors.read_text(errors="replace")[-4000:], 300) or f"it ended with {code}"
            raise EvidenceProblem(Problem("protocol", f"pg_restore: {said}"))

    def _folder(self, deadline: Deadline) -> Path:
        """A dump in directory format, where the place may read it: a copy, where we are another user than it."""
        copy = self.data / "dump"
        self.source.copy(copy, self.scratch / "none", deadline)
        give_to(copy, self.place.user)
        return copy


def _plain_file(path: Path) -> IO[bytes]:
    """Opened without following a link; raises EvidenceProblem for a pipe or a device."""
    try:
        return regular(path, follow=False)
    except OSError as error:
        raise EvidenceProblem(Problem("configuration", f"{path}: {error.strerror}")) from None


def load_dump(
    settings: Backups, source: Source, database: str, facts: SourceFacts, scratch: Path, root: Path,
    deadline: Deadline,
) -> DumpServer:  # fmt: skip
    """An empty server, not started yet, with the name of the database to load into; raises EvidenceProblem."""
    assert settings.restore is not None
    restore, folder = settings.restore, programs("initdb", None, settings.programs, root)
    server = DumpServer(scratch, folder, major_of(folder), restore.user, restore.unconfined)
    server.source, server.database, server.facts = source, database, facts
    server.as_superuser, server.password = restore.as_superuser, secrets.token_hex(16)
    give_to(server.data, server.place.user)
    password = server.files / "first"
    password.write_text(server.password)
    server.share_files()
    words = (str(folder / "initdb"), "-D", str(server.data), "-U", restore.user, "-A", "trust", "-N")
    more = ("--pwfile", str(password), "-E", "UTF8", "--locale=C")
    done = server.place.run((*words, *more), deadline, system=True)
    password.unlink()
    if done.code:
        raise EvidenceProblem(Problem("configuration", f"initdb: {done.error_text}"))
    server.trust_extensions(deadline)
    server.configure({**_LOADING, **restore.settings})
    return server
