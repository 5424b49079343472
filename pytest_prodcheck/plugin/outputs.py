"""Writes reports to where they were asked for: files are replaced whole, pipes are written to, links kept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_STREAMS = ("/dev/", "/proc/")  # what stands for something that is open already: /dev/stdout, /dev/fd/63 of `>(…)`


def write_output(path: Path, text: str) -> None:
    """A report for a person or program; raises OSError."""
    if str(path).startswith(_STREAMS) or _is_stream(path):
        _write_in_place(path, text)
    else:
        write_whole(Path(os.path.realpath(path)), text)


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Whole or not at all: a full disk raises and leaves what was there. mode: less what the umask takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _is_stream(path: Path) -> bool:
    """Whether it is there and is neither a file nor a folder, links followed."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _write_in_place(path: Path, text: str) -> None:
    """Writes to something that may not be replaced; a FIFO without a reader is an error at once, no hanging."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    try:
        os.set_blocking(handle, True)
        content = memoryview(text.encode("utf-8", "backslashreplace"))
        while content:
            content = content[os.write(handle, content) :]
    finally:
        os.close(handle)
