"""A backup tool that restores: it sees and reaches all that it needs, and can write nowhere but where it is to.

A backup may name files and links outside of the folder that it is restored into; tablespaces do by nature.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_prodcheck.evidence.tools.confinement import bwrap

# as root: what brings back owners, and what becomes another user
_KEPT = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "SETPCAP")


def guarded(words: Sequence[str], writable: Iterable[Path]) -> tuple[str, ...]:
    """The command with everything read-only but some folders; without /proc.

    It is the command itself where bubblewrap does not work here, or an ordinary user's command becomes somebody else,
    which it cannot in namespaces (sudo).
    """
    program = bwrap()
    if not program or (os.geteuid() != 0 and Path(words[0]).name not in ("pgbackrest", "barman")):
        return tuple(words)
    found = [program, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/", "--dev", "/dev"]
    found += ["--tmpfs", "/proc", "--perms", "1777", "--tmpfs", "/dev/shm"]
    found += [word for path in writable for word in ("--bind", str(path), str(path))]
    if os.geteuid() == 0:
        found += [word for each in _KEPT for word in ("--cap-add", f"CAP_{each}")]
    return (*found, "--", *words)
