"""A place in which what others wrote may act: with a file system of its own, no network, no secrets and no rights.

`bwrap` (bubblewrap) makes it of namespaces, else `unshare` and `namespaces.py`. Where we are root it is made as root,
and what runs in it is a user that nobody else is. A place sees PostgreSQL's programs, the system's libraries, and the
folders that it is given; there is no shell and no other program in it unless it is given one, no /proc, and none of our
environment. A user of its own alone would not do: it has the network, /tmp and every file that others may read.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from pytest_prodcheck.evidence.tools import namespaces
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.subprocesses import CompletedProgram, User, run, servers_user, start
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

UIDS = (61184, 65519)  # the range that systemd takes for services' passing users: nobody else is one of them
_SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/share", "/lib", "/lib32", "/lib64",
           "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime")  # fmt: skip
_WHOLE = ("/usr", "/bin", "/sbin", *_SYSTEM[4:])
PASSWD = "passwd"  # the file that names the user of the place


@dataclass(frozen=True)
class RunAsUser:
    """Whom a program runs as."""

    pw_uid: int
    pw_gid: int


class Mount(NamedTuple):
    """What a place sees. kind: "read", "write", "tmpfs", or "link" to `what`."""

    kind: str
    what: str
    shown: str


@dataclass(frozen=True)
class Sandbox:
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
    variables: Mapping[str, str] = field(default_factory=dict)  # of all its programs

    @property
    def environ(self) -> dict[str, str]:
        """All that a program gets to know of ours: no secret, nothing that leads PostgreSQL's programs elsewhere."""
        return bare_environment() | dict(self.variables)

    def words(self, program: Sequence[str], *, system: bool = False) -> tuple[str, ...]:
        """The command that runs a program in it. system: with the system's programs, for what meets nothing yet."""
        if not self.confined:
            return tuple(program)
        build = _by_bwrap if maker() == "bwrap" else _by_unshare
        return build(self._mounts(system), self, program)

    def _mounts(self, system: bool) -> list[Mount]:
        found = [Mount("tmpfs", "", "/dev/shm"), Mount("tmpfs", "", "/tmp"), *_system(_WHOLE if system else _SYSTEM)]
        found.append(Mount("read", str(self.private / PASSWD), "/etc/passwd"))
        found += [Mount("read", str(there), str(there)) for there in self.readable]
        found += [Mount("write", str(there), str(there)) for there in self.writable]
        return found + [Mount("read", str(there), str(shown)) for there, shown in self.seen.items() if not system]

    def run(
        self, program: Sequence[str], deadline: Deadline, environ: Mapping[str, str] | None = None, *,
        system: bool = False, discard: bool = False, given: int | IO[bytes] = subprocess.DEVNULL,
    ) -> CompletedProgram:  # fmt: skip
        """Runs a program in it to its end; raises EvidenceProblem. given: its standard input."""
        words = self.words(program, system=system)
        done = run(
            words, deadline, folder=self.private, user=self.starter, only=self.environ | dict(environ or {}),
            discard=discard, given=given,
        )  # fmt: skip
        return CompletedProgram(tuple(program), done.code, done.output, done.errors)

    def start(self, program: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts a program in it, both outputs to one file."""
        words = self.words(program)
        return start(words, folder=self.private, user=self.starter, output=output, errors=output, only=self.environ)

    def pipe(self, program: Sequence[str], given: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts a program in it whose output is read while it runs."""
        words = self.words(program)
        return start(
            words, folder=self.private, user=self.starter, output=subprocess.PIPE, errors=errors, given=given,
            only=self.environ,
        )  # fmt: skip

    @property
    def starter(self) -> User | None:
        """Whom the command itself is run as: where the place is made as root, its user is changed in it."""
        return None if self.confined else self.user


def bare_environment() -> dict[str, str]:
    """What programs get to know that need nothing of ours."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def sandbox_user() -> User | None:
    """A user that nobody else is, where we are root and may become it; else ourselves."""
    if os.geteuid() != 0:
        return None
    while True:
        number = random.SystemRandom().randint(*UIDS)
        if not _user_exists(number):
            return RunAsUser(number, number)


def _user_exists(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def sandbox(private: Path, accepted: bool, user: User | None = None) -> Sandbox:
    """A place for one restore; raises EvidenceProblem where there is none and the risk is not accepted.

    private: an empty folder of ours. accepted: without confinement it is done all the same, as an ordinary user.
    user: where we are root, whom programs run as; else nobody that there is.
    """
    why = why_unavailable()
    if not why:
        found = Sandbox(private, (user or sandbox_user()) if os.geteuid() == 0 else None)
        who = found.user or RunAsUser(os.geteuid(), os.getegid())
        (private / PASSWD).write_text(f"restore:x:{who.pw_uid}:{who.pw_gid}::/:/none\n")
        return found
    if accepted:
        return Sandbox(private, servers_user(), confined=False)
    what = f"what a backup holds can run code while it is restored, and it cannot be shut in here: {why}"
    hint = "or accept that it runs with the rights of this user: backups.restore.unconfined = true"
    raise EvidenceProblem(Problem("configuration", what, hint))


@cache
def why_unavailable() -> str:
    """Why a place cannot be made here, with what would help; "" where it can. Asked once."""
    return "; ".join(why for why in _failed_makers().values()) if "" not in _failed_makers().values() else ""


def maker() -> str:
    """What places are made by: "bwrap", where it works, else "unshare"."""
    return next((name for name, why in _failed_makers().items() if not why), "bwrap")


@cache
def _failed_makers() -> dict[str, str]:
    """What makes places -> why it does not work here, up to the first that does."""
    found: dict[str, str] = {}
    for name, build, package in (("bwrap", _by_bwrap, "bubblewrap"), ("unshare", _by_unshare, "util-linux")):
        found[name] = _why_not(name, build, package)
        if not found[name]:
            break
    return found


def _why_not(name: str, build: Callable[[list[Mount], Sandbox, Sequence[str]], tuple[str, ...]], package: str) -> str:
    import tempfile

    if shutil.which(name) is None:
        return f"{name} is not installed (apt-get install {package})"
    if name == "bwrap" and os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "setpriv is not installed (apt-get install util-linux)"
    with tempfile.TemporaryDirectory(prefix="prodcheck-place-") as folder:
        Path(folder, PASSWD).write_text("")
        there = Sandbox(Path(folder), sandbox_user())
        words = build(there._mounts(system=True), there, ("/usr/bin/true",))
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=20, env=bare_environment()
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{name} does not start: {plain(str(error))}"
    if done.returncode:
        said = plain(done.stderr.strip()) or f"it ended with {done.returncode}"
        return f"{name} may not make namespaces ({said}): allow user namespaces, or run it where they are allowed"
    return ""


def _by_bwrap(mounts: list[Mount], place: Sandbox, program: Sequence[str]) -> tuple[str, ...]:
    found = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid",
             "--unshare-net", "--unshare-uts", "--hostname", "restore", "--dev", "/dev"]  # fmt: skip
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    if place.user is not None:
        mounts = [*mounts, Mount("read", setpriv, setpriv)]
    for kind, what, shown in mounts:
        if kind == "link":
            found += ["--symlink", what, shown]
        elif kind == "tmpfs":
            found += ["--perms", "1777", "--tmpfs", shown]
        else:  # folders above it are open, which bwrap would make for itself alone
            above = [str(each) for each in reversed(Path(shown).parents) if each != Path("/")]
            found += [word for each in above for word in ("--dir", each)]
            found += ["--ro-bind" if kind == "read" else "--bind", what, shown]
    found += ["--chdir", "/"]
    if place.user is None:
        return (*found, "--unshare-user", "--", *program)
    found += [word for each in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{each}")]
    who = [f"--reuid={place.user.pw_uid}", f"--regid={place.user.pw_gid}", "--clear-groups", "--no-new-privs"]
    who += ["--inh-caps=-all", "--bounding-set=-all", "--pdeathsig=KILL"]
    return (*found, "--", setpriv, *who, "--", *program)


def _by_unshare(mounts: list[Mount], place: Sandbox, program: Sequence[str]) -> tuple[str, ...]:
    plan = {
        "mounts": mounts, "kept": (),
        "user": place.user.pw_uid if place.user else None, "group": place.user.pw_gid if place.user else None,
    }  # fmt: skip
    return by_unshare(plan, ("--net", "--uts"), program)


def by_unshare(plan: Mapping[str, object], more: Sequence[str], program: Sequence[str]) -> tuple[str, ...]:
    """The command that runs a program in a place of namespaces.py. more: what of ours it does not share either."""
    import json

    mine = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() != 0 else []
    found = [shutil.which("unshare") or "unshare", *mine, "--mount", "--pid", "--fork", "--kill-child=KILL", "--ipc",
             *more, "--"]  # fmt: skip
    return (*found, sys.executable, "-I", "-S", "-B", namespaces.__file__, json.dumps(plan), *program)


def _system(paths: Iterable[str]) -> Iterator[Mount]:
    """The system's files as they are, links as links."""
    for each in paths:
        path = Path(each)
        if path.is_symlink() and not each.startswith("/etc"):
            yield Mount("link", os.readlink(path), each)
        elif path.exists():
            yield Mount("read", each, each)
