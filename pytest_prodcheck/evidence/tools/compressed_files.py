"""Files that may be compressed, read as what was in them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import IO

SUFFIXES = (".gz", ".bz2", ".xz")
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)  # what reading a cut or damaged one raises


def opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The content of a file, unpacked by its name's ending."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".bz2":
        return bz2.open(path, "rb")
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    return path.open("rb")
