"""WAL for a scratch server that sees no archive: it names the file it needs, we bring it.

`restore_command` writes a name into one pipe and reads from another whether the file is there. What comes in is a name
and nothing else; what we bring lies in a folder that the server can read and not write.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.backups.archived_wal import Archive, plain_file
from pytest_prodcheck.evidence.backups.pgbackrest_barman import barman_folders
from pytest_prodcheck.evidence.restore.source_files import share_with
from pytest_prodcheck.evidence.tools.subprocesses import User, end, environment, servers_user, start
from pytest_prodcheck.evidence.tools.write_guard import guarded
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.deadlines import Deadline

NAME = re.compile(r"[0-9A-F]{8}\.history|[0-9A-F]{24}(\.[0-9A-F]{8}\.backup)?")
_LONGEST = 100  # bytes of a line in the pipe
_SCRIPT = """\
#!/bin/sh
# $1: name of a WAL file, $2: where it is to lie. Ends with 1 where there is none.
printf '%s\\n' "$1" > {ask} || exit 1
while read -r name there; do
  [ "$name" = "$1" ] || continue
  [ "$there" = yes ] || exit 1
  exec cp {files}/"$1" "$2"
done < {answer}
exit 1
"""
Bring = Callable[[str, Path], bool]


class WalFeed:
    """Answers a server's questions in a thread of its own. folder: of ours, where pipes and files lie.

    Use it in a `with` statement around the server's life. bring: puts a file of a name at a path, False for none.
    """

    def __init__(self, folder: Path, bring: Bring, user: User | None) -> None:
        self.files, self._ask, self._answer = folder / "files", folder / "ask", folder / "answer"
        self._bring, self._last, self._user = bring, "", user
        self.problem: Problem | None = None
        self.files.mkdir(mode=0o700)
        for pipe in (self._ask, self._answer):
            os.mkfifo(pipe, 0o600)
        self.script = folder / "fetch-wal"
        quoted = {name: f"'{path}'" for name, path in (("ask", self._ask), ("answer", self._answer),
                                                       ("files", self.files))}  # fmt: skip
        self.script.write_text(_SCRIPT.format(**quoted))
        for each in (folder, self.files, self._ask, self._answer, self.script):
            share_with(each, user)
        for pipe in (self._ask, self._answer):
            pipe.chmod(0o660 if user is not None else 0o600)
        self.script.chmod(0o750 if user is not None else 0o700)
        self._over = threading.Event()

    def __enter__(self) -> WalFeed:
        """Begins to answer. Both pipes are opened for reading and writing, so that nobody's end ends them."""
        self._in = os.open(self._ask, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._out = os.open(self._answer, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._serve, name="prodcheck-wal", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answers no more."""
        self._over.set()
        self._thread.join(30)
        if not self._thread.is_alive():
            os.close(self._in)
            os.close(self._out)

    def _serve(self) -> None:
        waiting = b""
        while not self._over.is_set():
            if not select.select([self._in], [], [], 0.1)[0]:
                continue
            with contextlib.suppress(BlockingIOError):
                waiting += os.read(self._in, 4096)
            *lines, waiting = waiting.split(b"\n")
            waiting = waiting if len(waiting) <= _LONGEST else b""
            for line in lines:
                self._provide_segment(line.decode(errors="replace"))

    def _provide_segment(self, name: str) -> None:
        there = False
        if NAME.fullmatch(name):
            try:
                if self._last and self._last != name:
                    (self.files / self._last).unlink(missing_ok=True)
                (self.files / name).unlink(missing_ok=True)
                there, self._last = self._bring(name, self.files / name), name
                if there:
                    share_with(self.files / name, self._user)
            except EvidenceProblem as error:
                self.problem = error.problem
            except OSError as error:
                self.problem = Problem("configuration", f"WAL file {name}: {error.strerror}")
        else:
            name = "none"
        with contextlib.suppress(BlockingIOError):  # a server that asks and does not read gets no more answers
            os.write(self._out, f"{name} {'yes' if there else 'no'}\n".encode())


def from_archive(archive: Archive, deadline: Deadline) -> Bring:
    """From a folder of archived WAL, unpacked; what is no plain file is not there."""
    return lambda name, target: archive.copy_to(name, target, deadline)


def from_tool(settings: Backups, folder: Path, root: Path, deadline: Deadline) -> Bring:
    """By pgBackRest or Barman, which run here as they are declared, with their own rights and settings.

    folder: of ours, that the tool may write to; its `pg1` has the pg_control by which pgBackRest knows the cluster.
    """
    assert settings.restore is not None
    user, accepted = servers_user(), settings.restore.unconfined
    more = barman_folders(settings, root, deadline) if settings.kind == "barman" else ()
    for each in (folder, *folder.rglob("*")):
        if user is not None:
            os.chown(each, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def bring(name: str, target: Path) -> bool:
        got = folder / name
        got.unlink(missing_ok=True)
        words: tuple[str, ...]
        if settings.kind == "pgbackrest":
            how = (f"--stanza={settings.stanza}", f"--pg1-path={folder / 'pg1'}", "--log-level-file=off",
                   "--no-archive-async")  # which would need its spool folder
            words = (*settings.tool_words, *how, f"--lock-path={folder}", "archive-get", name, str(got))
        else:
            words = (*settings.tool_words, "get-wal", settings.server or "", name)
        only = environment(words[0]) | {"TMPDIR": str(folder)}
        words = guarded(words, (folder, *more), accepted)
        with got.open("xb") if settings.kind == "barman" else contextlib.nullcontext(subprocess.DEVNULL) as output:
            child = start(words, folder=root, output=output, only=only)
            try:
                code = child.wait(max(deadline.time_left(), 0.01))
            except subprocess.TimeoutExpired:
                return False
            finally:
                end(child)
        if code or not plain_file(got):
            return False
        shutil.copyfile(got, target, follow_symlinks=False)
        got.unlink()
        return True

    return bring
