"""Which files may be believed: bounded regular ones, of ourselves or root. Light: `prodcheck gate` starts with it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

_PIECE = 1 << 20  # bytes
SAFE = "PRODCHECK_SAFE_DIRECTORY"  # folders, ":" between, whose owner does not matter; "*" is all


class OwnerProblem(ValueError):
    """A file that somebody else owns and that would decide what is judged or run; the message says how to accept it."""


def read_regular(path: str, most: int, *, follow: bool = True) -> bytes:
    """A file's content; raises OSError for what is no regular file (or a link, unless followed) or holds more bytes."""
    content = bytearray()
    if os.stat(path, follow_symlinks=follow).st_size > most:  # nothing of it needs to be read to know that
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", path)
    for piece in _pieces(path, most + 1, follow=follow):
        content += piece
        if len(content) > most:
            raise OSError(errno.EFBIG, f"it is larger than {most} bytes", path)
    return bytes(content)


def hash_regular(path: str) -> str:
    """SHA-256 hex of a regular file of any size; raises OSError for what is none."""
    from hashlib import sha256

    found = sha256()
    for piece in _pieces(path, _PIECE):
        found.update(piece)
    return found.hexdigest()


def _pieces(path: str, most: int, *, follow: bool = True) -> Iterator[bytes]:
    """A regular file piece by piece, at most so many bytes each."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        while piece := os.read(handle, min(most, _PIECE)):
            yield piece
    finally:
        os.close(handle)


def open_own(path: str, flags: int, mode: int = 0o600) -> int:
    """A regular file opened for writing, made where it is missing; waits for no pipe and follows no link.

    Raises OSError for what is none, and for one that has another name too: its content may be somebody else's.
    """
    handle = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(handle)
        raise OSError(errno.EINVAL, "it is a link, has hard links, or is not a regular file: remove it", path)
    return handle


def refuse_links(state: str, folder: str) -> None:
    """Raises OSError where a folder within the state folder is a link: what is written there would go elsewhere."""
    while len(folder) > len(state):
        if os.path.islink(folder):
            raise OSError(errno.ELOOP, "it is a link to another place: remove it", folder)
        folder = os.path.dirname(folder)


def refuse_foreign(path: str, what: str) -> None:
    """Raises OwnerProblem where a file or folder that is there belongs to somebody else than us or root.

    As git does with `safe.directory`: whoever writes it decides what is run as us. Under sudo the caller is trusted.
    """
    try:
        owner = os.stat(path).st_uid
    except FileNotFoundError:
        return
    if owner in (0, os.geteuid()) or (os.geteuid() == 0 and str(owner) == os.environ.get("SUDO_UID")):
        return
    folder = os.path.realpath(path)
    for each in os.environ.get(SAFE, "").split(":"):
        if each == "*" or (each and os.path.commonpath((os.path.realpath(each), folder)) == os.path.realpath(each)):
            return
    raise OwnerProblem(
        f"{what} {path} belongs to another user ({_name(owner)}), who could run any program as you: "
        f"if you trust this user, set {SAFE}={os.path.dirname(os.path.abspath(path))}"
    )


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
