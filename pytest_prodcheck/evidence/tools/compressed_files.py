"""Files that may be compressed, read as what was in them."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

SUFFIXES = (".gz", ".bz2", ".xz")
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)  # what reading a cut or damaged one raises


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file, unpacked by its name's ending; raises OSError for what is no plain file."""
    unpackers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    unpack = unpackers.get(path.suffix)
    with regular(path) as file:
        if unpack is None:
            yield file
        else:
            with unpack(file, "rb") as unpacked:
                yield unpacked


def regular(path: Path, follow: bool = True) -> IO[bytes]:
    """A plain file, opened; raises OSError for anything else. follow: a link is one, too."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags if follow else flags | os.O_NOFOLLOW), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return file
