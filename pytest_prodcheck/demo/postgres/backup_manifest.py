"""A base backup's manifest, written again after its files were changed: as a backup taken from changed files has it."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

MANIFEST = "backup_manifest"
_TIME = re.compile(r'"Last-Modified": "([^"]+) GMT"')


def rewrite(backup: Path, change: Callable[[str], str]) -> None:
    """Changes the manifest's text and puts the checksum of the whole right (SHA-256 of all lines but the last)."""
    text = change((backup / MANIFEST).read_text())
    body = text[: text.rindex('"Manifest-Checksum"')]
    (backup / MANIFEST).write_text(f'{body}"Manifest-Checksum": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n')


def earlier(backup: Path, days: float) -> None:
    """Makes all times of a manifest so many days older."""

    def moved(found: re.Match[str]) -> str:
        moment = datetime.datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S") - datetime.timedelta(days=days)
        return f'"Last-Modified": "{moment:%Y-%m-%d %H:%M:%S} GMT"'

    rewrite(backup, lambda text: _TIME.sub(moved, text))


def remove_files(backup: Path, *prefixes: str) -> None:
    """Removes the files that begin so, from the backup and from its manifest."""
    for prefix in prefixes:
        for file in backup.glob(f"{prefix}*"):
            file.unlink()
    pattern = "|".join(map(re.escape, prefixes))
    rewrite(backup, lambda text: re.sub(rf'\{{ "Path": "(?:{pattern})[^}}]*\}},?\n', "", text))


def measured_again(backup: Path, path: str) -> None:
    """Puts the checksum of one file right."""
    crc = crc32c((backup / path).read_bytes()).to_bytes(4, "little").hex()
    entry = rf'("Path": "{re.escape(path)}"[^}}]*"Checksum": ")[0-9a-f]+'
    rewrite(backup, lambda text: re.sub(entry, rf"\g<1>{crc}", text))


@cache
def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        found.append(byte)
    return tuple(found)


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), which manifests hold with its bytes in the machine's order."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
