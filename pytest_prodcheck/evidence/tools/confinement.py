"""A place in which what others wrote may act: with a file system of its own, no network, no secrets and no rights.

`bwrap` (bubblewrap) makes it of namespaces. Where we are root it does so as root, and what runs in it is a user that
nobody else is. A place sees PostgreSQL's programs, the system's libraries, and the folders that it is given; there is
no shell and no other program in it unless it is given one, no /proc, and none of our environment.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import Done, User, run, servers_user, start
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

UIDS = (61184, 65519)  # the range that systemd takes for services' passing users: nobody else is one of them
_SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/share", "/lib", "/lib32", "/lib64",
           "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime")  # fmt: skip
_WHOLE = ("/usr", "/bin", "/sbin", *_SYSTEM[4:])
PASSWD = "passwd"  # the file that names the user of the place


@dataclass(frozen=True)
class Person:
    """Whom a program runs as."""

    pw_uid: int
    pw_gid: int


@dataclass(frozen=True)
class Place:
    """How programs are run that meet what others wrote. user: None for ourselves. confined: no namespaces where false.

    readable, writable: folders and files that are seen at their own paths. private: folder of ours, for files that are
    only read in the place.
    """

    private: Path
    user: User | None
    confined: bool = True
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    seen: Mapping[Path, Path] = field(default_factory=dict)  # what lies there -> as what it is seen

    def words(self, program: Sequence[str], *, system: bool = False) -> tuple[str, ...]:
        """The command that runs a program in it. system: with the system's programs, for what meets nothing yet."""
        if not self.confined:
            return tuple(program)
        found = [_bwrap(), "--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid", "--unshare-net",
                 "--unshare-uts", "--hostname", "restore", "--dev", "/dev"]
        for open_to_all in ("/dev/shm", "/tmp"):
            found += ["--perms", "1777", "--tmpfs", open_to_all]
        found += _system(_WHOLE if system else _SYSTEM)
        found += _bound("--ro-bind", self.private / PASSWD, Path("/etc/passwd"))
        for there in self.readable:
            found += _bound("--ro-bind", there, there)
        for there in self.writable:
            found += _bound("--bind", there, there)
        for there, shown in self.seen.items() if not system else ():
            found += _bound("--ro-bind", there, shown)
        found += ["--chdir", "/"]
        if os.geteuid() != 0:
            return (*found, "--unshare-user", "--", *program)
        setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
        assert self.user is not None
        found += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        found += [] if system else _bound("--ro-bind", Path(setpriv), Path(setpriv))
        who = [f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", "--no-new-privs"]
        return (*found, "--", setpriv, *who, "--pdeathsig=KILL", "--", *program)

    def run(
        self, program: Sequence[str], deadline: Deadline, environ: Mapping[str, str] | None = None, *,
        system: bool = False, discard: bool = False, given: int | IO[bytes] = subprocess.DEVNULL,
    ) -> Done:  # fmt: skip
        """Runs a program in it to its end; raises EvidenceProblem. given: its standard input."""
        words = self.words(program, system=system)
        done = run(
            words, deadline, folder=self.private, user=self.starter, only=bare_environment() | dict(environ or {}),
            discard=discard, given=given,
        )  # fmt: skip
        return Done(tuple(program), done.code, done.output, done.errors)

    def start(
        self, program: Sequence[str], output: IO[bytes], environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a program in it, both outputs to one file."""
        words = self.words(program)
        only = bare_environment() | dict(environ or {})
        return start(words, folder=self.private, user=self.starter, output=output, errors=output, only=only)

    def pipe(self, program: Sequence[str], given: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts a program in it whose output is read while it runs."""
        words = self.words(program)
        return start(
            words, folder=self.private, user=self.starter, output=subprocess.PIPE, errors=errors, given=given,
            only=bare_environment(),
        )  # fmt: skip

    @property
    def starter(self) -> User | None:
        """Whom the command itself is run as: where the place is made as root, its user is changed in it."""
        return None if self.confined else self.user


def bare_environment() -> dict[str, str]:
    """All that a program gets to know of ours: no secret, nothing that leads PostgreSQL's programs elsewhere."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def person() -> User | None:
    """A user that nobody else is, where we are root and may become it; else ourselves."""
    if os.geteuid() != 0:
        return None
    while True:
        number = random.SystemRandom().randint(*UIDS)
        if not _known(number):
            return Person(number, number)


def _known(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def place(private: Path, accepted: bool) -> Place:
    """A place for one restore; raises EvidenceProblem where there is none and the risk is not accepted.

    private: an empty folder of ours. accepted: without confinement it is done all the same, as an ordinary user.
    """
    why = missing()
    if not why:
        found = Place(private, person())
        who = found.user or Person(os.geteuid(), os.getegid())
        (private / PASSWD).write_text(f"restore:x:{who.pw_uid}:{who.pw_gid}::/:/none\n")
        return found
    if accepted:
        return Place(private, servers_user(), confined=False)
    what = f"what a backup holds can run code while it is restored, and it cannot be shut in here: {why}"
    hint = "or accept that it runs with the rights of this user: backups.restore.unconfined = true"
    raise EvidenceProblem(Problem("configuration", what, hint))


@cache
def missing() -> str:
    """Why a place cannot be made here, with what would help; "" where it can. Asked once."""
    if shutil.which("bwrap") is None:
        return "bwrap is not installed (apt-get install bubblewrap)"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "setpriv is not installed (apt-get install util-linux)"
    import tempfile

    with tempfile.TemporaryDirectory(prefix="prodcheck-place-") as folder:
        Path(folder, PASSWD).write_text("")
        words = Place(Path(folder), person()).words(("/usr/bin/true",), system=True)
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=20, env=bare_environment()
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bwrap does not start: {plain(str(error))}"
    if done.returncode:
        said = plain(done.stderr.strip()) or f"it ended with {done.returncode}"
        return f"bwrap may not make namespaces ({said}): allow user namespaces, or run it where they are allowed"
    return ""


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"


def _system(paths: Iterable[str]) -> list[str]:
    """The system's files as they are, links as links."""
    found: list[str] = []
    for each in paths:
        path = Path(each)
        if path.is_symlink() and not each.startswith("/etc"):
            found += ["--symlink", os.readlink(path), each]
        elif path.exists():
            found += _bound("--ro-bind", path, path)
    return found


def _bound(how: str, there: Path, shown: Path) -> list[str]:
    """A file or folder in the place; folders above it are open, which bwrap would make for itself alone."""
    above = [str(each) for each in reversed(shown.parents) if each != Path("/")]
    return [word for each in above for word in ("--dir", each)] + [how, str(there), str(shown)]
