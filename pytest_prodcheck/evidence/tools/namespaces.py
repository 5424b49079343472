"""Makes a place of namespaces without bubblewrap, and runs a program in it: a process of its own, below `unshare`.

`python namespaces.py PLAN PROGRAM …`, where PLAN is a JSON object: `mounts`, a list of [KIND, WHAT, SHOWN AS], or
`writable`, the folders that are left so where all else is only read; `user` and `group`, whom to become, null to stay
who we are; `kept`, numbers of capabilities. It uses the standard library alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

# linux/mount.h, linux/fcntl.h, linux/prctl.h, linux/capability.h; mount_setattr(2) has one number everywhere
_NOSUID, _NODEV, _BIND, _REC, _PRIVATE = 2, 4, 4096, 16384, 1 << 18
_SET_ATTRIBUTES, _THIS_FOLDER, _RECURSIVE = 442, -100, 0x8000
_IS_READ_ONLY, _IS_NOSUID, _IS_NODEV = 1, 2, 4
_DETACH = 2
_SET_DEATH_SIGNAL, _DROP_BOUNDING, _NO_NEW_PRIVILEGES, _AMBIENT, _CLEAR_ALL = 1, 24, 38, 47, 4
_CAPABILITIES_3 = 0x20080522
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))
_BOUND = ("read", "write", "device")
_OLD, _NEW = "/old", "/new"
_SHARED = "/dev/shm"
_library = ctypes.CDLL(None, use_errno=True)


def main(plan: dict[str, Any], program: list[str]) -> None:
    """Never comes back: becomes the program, or ends with a message."""
    if "writable" in plan:
        _keep_from_writing(plan["writable"])
    else:
        _build(plan["mounts"])
    _give_up_rights(plan["user"], plan["group"], plan["kept"])
    os.execvpe(program[0], program, dict(os.environ))


def _keep_from_writing(writable: list[str]) -> None:
    """All that there is, only to be read, but some folders; without /proc."""
    _mount("none", "/", None, _REC | _PRIVATE)
    for each in writable:
        _mount(each, each, None, _BIND | _REC)
    _mount("tmpfs", "/proc", "tmpfs", _NOSUID | _NODEV, "mode=755")
    if os.path.isdir(_SHARED):
        _mount("tmpfs", _SHARED, "tmpfs", _NOSUID | _NODEV, "mode=1777")
        writable = [*writable, _SHARED]
    _restrict("/", _IS_READ_ONLY | _IS_NOSUID, _RECURSIVE)
    for each in writable:
        _restrict(each, 0, 0, _IS_READ_ONLY)
    os.chdir(os.getcwd())


def _build(planned: list[tuple[str, str, str]]) -> None:
    """A file system of its own that holds what is planned."""
    mounts = [(kind, os.path.realpath(what) if kind in _BOUND else what, shown) for kind, what, shown in planned]
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount("tmpfs", "/tmp", "tmpfs", _NOSUID | _NODEV, "mode=755")
    for name in (_OLD, _NEW):
        os.mkdir(f"/tmp{name}")
    _pivot_root("/tmp", f"/tmp{_OLD}")  # nothing covers a part of the old root then
    _mount("tmpfs", _NEW, "tmpfs", _NOSUID | _NODEV, "mode=755")
    for kind, what, shown in (*mounts, *(("device", each, each) for each in _DEVICES)):
        _make_mount(kind, _OLD + what if kind in _BOUND else what, _NEW + shown)
    _unmount(_OLD)
    os.chdir(_NEW)
    _pivot_root(".", ".")
    _unmount(".")
    os.chdir("/")
    _restrict("/", _IS_READ_ONLY | _IS_NOSUID | _IS_NODEV, 0)


def _make_mount(kind: str, what: str, there: str) -> None:
    if kind == "link":
        os.makedirs(os.path.dirname(there), exist_ok=True)
        os.symlink(what, there)
    elif kind == "tmpfs":
        os.makedirs(there, exist_ok=True)
        _mount("tmpfs", there, "tmpfs", _NOSUID | _NODEV, "mode=1777")
    else:
        _target(there, os.path.isdir(what))
        _mount(what, there, None, _BIND | _REC)
        no_devices, no_writing = kind != "device" and _IS_NODEV, kind == "read" and _IS_READ_ONLY
        _restrict(there, _IS_NOSUID | no_devices | no_writing, _RECURSIVE)


def _pivot_root(new: str, old: str) -> None:
    if _library.syscall(_PIVOT_ROOT[os.uname().machine], os.fsencode(new), os.fsencode(old)):
        _fail("pivot_root")


def _unmount(there: str) -> None:
    if _library.umount2(os.fsencode(there), _DETACH):
        _fail(f"umount {there}")


def _restrict(there: str, attributes: int, how: int, taken_back: int = 0) -> None:
    """Adds to what a mount may not do, and all mounts below it where `how` says so."""
    wanted = (ctypes.c_uint64 * 4)(attributes, taken_back)
    path = os.fsencode(there)
    if _library.syscall(_SET_ATTRIBUTES, _THIS_FOLDER, path, how, wanted, ctypes.sizeof(wanted)):
        _fail(f"mount_setattr {there}")


def _target(there: str, folder: bool) -> None:
    os.makedirs(there if folder else os.path.dirname(there), exist_ok=True)
    if not folder and not os.path.exists(there):
        os.close(os.open(there, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def _give_up_rights(user: int | None, group: int | None, kept: list[int]) -> None:
    _control(_AMBIENT, _CLEAR_ALL)
    for capability in set(range(64)) - set(kept):
        _library.prctl(_DROP_BOUNDING, capability, 0, 0, 0)  # those that this kernel does not know are refused
    if user is not None and group is not None:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    low = sum(1 << each for each in kept)  # all that anybody keeps is below 32
    if _library.capset(header, (ctypes.c_uint32 * 6)(low, low)):
        _fail("capset")
    _control(_NO_NEW_PRIVILEGES, 1)
    _control(_SET_DEATH_SIGNAL, 9)


def _control(option: int, value: int) -> None:
    if _library.prctl(option, value, 0, 0, 0):
        _fail("prctl")


def _mount(what: str, there: str, kind: str | None, flags: int, options: str = "") -> None:
    words = [os.fsencode(each) if each is not None else None for each in (what, there, kind)]
    if _library.mount(*words, ctypes.c_ulong(flags), os.fsencode(options) if options else None):
        _fail(f"mount {there}")


def _fail(what: str) -> None:
    sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
