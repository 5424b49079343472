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


_MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst",
          b"\x04\x22\x4d\x18": ".lz4"}  # fmt: skip
# openssl enc, age, and packets of OpenPGP that come first: session keys, for a recipient or of a password
_SEALED = (b"Salted__", b"age-encryption.org/", b"-----BEGIN PGP", b"\x84", b"\x85", b"\x8c", b"\xc1", b"\xc3")


def packing(path: Path) -> str:
    """How a file is packed by what it begins with: ".gz" and the like, "sealed" where it is encrypted, "" else.

    Archives are packed under plain names too (`gzip < %p > archive/%f`). Raises OSError.
    """
    with regular(path, follow=False) as file:
        head = file.read(32)
    packed = next((suffix for magic, suffix in _MAGIC.items() if head.startswith(magic)), "")
    return packed or ("sealed" if head.startswith(_SEALED) else "")


@contextmanager
def opened(path: Path, packed: str | None = None) -> Iterator[IO[bytes]]:
    """The content of a file, unpacked by its name's ending or as told; raises OSError for what is no plain file."""
    unpackers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    unpack = unpackers.get(path.suffix if packed is None else packed)
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
