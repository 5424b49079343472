"""Keeps a program from writing but where it may, by Landlock: without namespaces, in which ssh does not believe root.

`python landlock.py PLAN PROGRAM …`, where PLAN is a JSON object: `writable`, a list of folders. It uses the standard
library alone. Rights, owners and times of what is there are not Landlock's business; the program has no more rights
to change them than its user.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

# linux/landlock.h, linux/prctl.h; the system calls have one number everywhere
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _BENEATH = 1, 1
_WRITE_FILE = 1 << 1
_WRITING = _WRITE_FILE | sum(1 << each for each in range(4, 15))  # to remove, make, link, rename and cut too
_OLDEST = 3  # the first version that knows of cutting files
_SCOPES, _SCOPED = 6, 3  # since then: no signals to others, no abstract sockets of theirs
_SET_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_library = ctypes.CDLL(None, use_errno=True)


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Of the kernel's Landlock, less than 1 where it has none that can be used."""
    return int(_library.syscall(_CREATE, None, 0, _ASK_VERSION))


def usable() -> bool:
    """Whether it does here what is needed."""
    return sys.platform == "linux" and version() >= _OLDEST


def main(writable: list[str], program: list[str]) -> None:
    """Never comes back: becomes the program, or ends with a message."""
    known = version()
    fields = (ctypes.c_uint64 * 3)(_WRITING, 0, _SCOPED if known >= _SCOPES else 0)
    rules = _called(_CREATE, fields, 24 if known >= _SCOPES else 8, 0)
    for path, allowed in (*((each, _WRITING) for each in writable), *((each, _WRITE_FILE) for each in _DEVICES)):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _called(_ADD, rules, _BENEATH, ctypes.byref(_Rule(allowed, opened)), 0)
    for option, value in ((_NO_NEW_PRIVILEGES, 1), (_SET_DEATH_SIGNAL, 9)):
        if _library.prctl(option, value, 0, 0, 0):
            _fail("prctl")
    _called(_RESTRICT, rules, 0)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]} cannot be started: {error.strerror}")


def _called(number: int, *arguments: object) -> int:
    done = int(_library.syscall(number, *arguments))
    if done < 0:
        _fail("landlock")
    return done


def _fail(what: str) -> None:
    sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1])["writable"], sys.argv[2:])
