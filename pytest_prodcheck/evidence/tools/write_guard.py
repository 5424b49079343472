"""A backup tool: it sees and reaches all that it needs, and can write nowhere but where it is to.

A backup may name files and links outside of the folder that it is restored into; tablespaces do by nature. An ordinary
user's tool is shut in by Landlock where the kernel has it, for ssh believes none of root's files in a user namespace.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.tools import landlock
from pytest_prodcheck.evidence.tools.confinement import by_unshare, maker, why_unavailable
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline

# as root: what brings back owners, and what becomes another user; numbers of linux/capability.h
_KEPT = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "SETGID": 6, "SETUID": 7, "SETPCAP": 8}
_BECOMES = ("sudo", "su", "runuser", "doas", "pkexec")


def why_unguarded(words: Sequence[str]) -> str:
    """Why a command cannot be kept from writing elsewhere, with what would help; "" where it can."""
    name = Path(words[0]).name
    if name == "ssh":  # what it starts writes on another machine, and it itself only what we ask for
        return ""
    if os.geteuid() != 0 and name in _BECOMES:
        return f"{words[0]} becomes another user, which it cannot in namespaces: run prodcheck as that user"
    return "" if guarded_by() == "landlock" else why_unavailable()


def guarded_by() -> str:
    """What keeps a tool from writing elsewhere: "landlock", "bwrap" or "unshare"."""
    return "landlock" if os.geteuid() != 0 and landlock.usable() else maker()


def reading_only(words: Sequence[str], writable: Iterable[Path], deadline: Deadline) -> tuple[str, ...]:
    """The command of a tool that is only asked, with everything read-only but what it notes for itself.

    It is the command itself where that cannot be had, with a note: it restores nothing of what it reads.
    """
    if why := why_unguarded(words):
        deadline.note(f"{words[0]} can write where this user may, for it cannot be kept from that: {why}")
        return tuple(words)
    return guarded(words, writable, accepted=False)


def guarded(words: Sequence[str], writable: Iterable[Path], accepted: bool) -> tuple[str, ...]:
    """The command with everything read-only but some folders; without /proc.

    Raises EvidenceProblem where that cannot be had; it is the command itself where that risk is `accepted`.
    """
    if why := why_unguarded(words):
        if accepted:
            return tuple(words)
        what = f"a backup may name files outside of its folder, and {words[0]} cannot be kept from writing them: {why}"
        hint = "or accept that it writes with the rights of this user: backups.restore.unconfined = true"
        raise EvidenceProblem(Problem("configuration", what, hint))
    if Path(words[0]).name == "ssh":
        return tuple(words)
    kept = _KEPT if os.geteuid() == 0 else {}
    if guarded_by() == "landlock":
        limits = json.dumps({"writable": [str(path) for path in writable]})
        return (sys.executable, "-I", "-S", "-B", landlock.__file__, limits, *words)
    if guarded_by() != "bwrap":
        plan = {"writable": [str(path) for path in writable], "user": None, "group": None, "kept": [*kept.values()]}
        return by_unshare(plan, (), words)
    found = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc"]
    found += ["--ro-bind", "/", "/", "--dev", "/dev"]
    found += ["--tmpfs", "/proc", "--perms", "1777", "--tmpfs", "/dev/shm"]
    found += [word for path in writable for word in ("--bind", str(path), str(path))]
    found += [word for each in kept for word in ("--cap-add", f"CAP_{each}")]
    return (*found, "--", *words)
