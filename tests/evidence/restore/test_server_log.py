"""The log of a scratch server that ended: what it says of why, and never a row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_prodcheck.demo.runtime.programs import postgres_programs
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.postgres.programs import major_of
from pytest_prodcheck.evidence.restore.scratch_folder import scratch_folder
from pytest_prodcheck.evidence.restore.scratch_server import ScratchServer
from pytest_prodcheck.evidence.restore.source_files import give_to
from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from pytest_prodcheck.evidence.tools.subprocesses import end

CANARY = "Zoe Muster"


@pytest.fixture(scope="module")
def server() -> Iterator[ScratchServer]:
    """Of our own, in its place, with a log that a backup's roles and functions have written to."""
    programs, deadline = postgres_programs(), Deadline(60)
    with (
        tempfile.TemporaryDirectory(prefix="prodcheck-log-") as parent,
        scratch_folder(Path(parent), 0, "") as scratch,
    ):
        Path(parent).chmod(0o711)
        given = ScratchServer(scratch, programs, major_of(programs), "postgres", bool(why_unavailable()))
        give_to(given.data, given.place.user)
        words = (str(programs / "initdb"), "-D", str(given.data), "-U", "postgres", "-N")
        assert given.place.run(words, deadline, system=True).code == 0
        given.configure({})
        with given:
            assert given.wait(deadline) == ""
            yield given


def test_no_row_of_a_log_without_an_error(server: ScratchServer) -> None:
    """A role that logs its statements, a function that tells the log, and a server that is killed."""
    with server.connect("template1") as connection:
        connection.execute("alter role postgres set log_statement = 'all'")
        connection.execute(f"do $$ begin raise log '{CANARY}\n{CANARY} second line'; end $$")
    with server.connect("template1") as connection:
        connection.execute(f"select 'by our own session {CANARY}'")
    with server.connect("template1") as connection:
        connection.execute("set log_statement = 'all'")
        connection.execute(f"select '{CANARY}\n00000|x {CANARY}'")
    assert server._child is not None
    end(server._child)
    log = server.log.read_text()
    assert CANARY in log
    assert "by our own session" not in log
    assert CANARY not in server.trouble()


@pytest.mark.parametrize(("log", "words"), [
    ("00000|LOG:  startup process (PID 41) was terminated by signal 11: Segmentation fault\n"
     f"00000|LOG:  aborting startup due to startup process failure {CANARY}\n",
     "startup process (PID 41) was terminated by signal 11: Segmentation fault"),
    ("postgres: error while loading shared libraries: libicu.so.72: cannot open\n",
     "postgres: error while loading shared libraries: libicu.so.72: cannot open"),
    (f"00000|LOG:  statement: insert into p values ('{CANARY}\n{CANARY}');\n", "it ended without a word"),
    (f"22P02|ERROR:  invalid input syntax for type integer: \"{CANARY}\"\n", "invalid text representation (22P02)"),
    ("", "it ended without a word"),
])  # fmt: skip
def test_what_a_log_says(server: ScratchServer, log: str, words: str) -> None:
    server.log.write_text(log)
    assert server.trouble() == words


def test_a_log_is_read_from_a_lines_beginning(server: ScratchServer) -> None:
    """Of a long one the end is read: where that begins within a line, the rest of the line may be a row."""
    server.log.write_text(f"00000|LOG:  statement: {(CANARY + ' ') * 40_000}\n00000|LOG:  x\n")
    assert CANARY not in server.trouble()
