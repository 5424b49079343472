"""A row changed behind the server's back, with the page's checksum made good: what a disk or a bug does unnoticed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from pytest_prodcheck.demo.runtime.errors import DemoError

PAGE = 8192
_PRIME = 16777619
# src/include/storage/checksum_impl.h, checksumBaseOffsets
_OFFSETS = (
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C, 0xF8D4474F,
    0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC,
    0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4, 0x783125BB, 0x6CA8EAA2, 0xE407EAC6,
    0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
)  # fmt: skip


def _checksum_round(checksum: int, value: int) -> int:
    mixed = checksum ^ value
    return ((mixed * _PRIME) & 0xFFFFFFFF) ^ (mixed >> 17)


def checksum(page: bytes, block: int) -> int:
    """The checksum of a page as PostgreSQL computes it (pg_checksum_page)."""
    blank = page[:8] + b"\0\0" + page[10:]
    words = struct.unpack("<2048I", blank)
    sums = list(_OFFSETS)
    for start in range(0, 2048, 32):
        for column in range(32):
            sums[column] = _checksum_round(sums[column], words[start + column])
    for _ in range(2):
        sums = [_checksum_round(each, 0) for each in sums]
    result = 0
    for each in sums:
        result ^= each
    return ((result ^ block) % 65535) + 1


def change(file: Path, old: bytes, new: bytes) -> None:
    """Replaces the first `old` in a living row of a relation's file by as many bytes, with a right checksum."""
    data = bytearray(file.read_bytes())
    for start, end in _live_rows(data):
        at = data.find(old, start, end)
        if at >= 0 and len(old) == len(new):
            data[at : at + len(new)] = new
            return _write(file, data, at // PAGE)
    raise DemoError(f"{file}: no living row holds {old!r}")


def _live_rows(data: bytearray) -> Iterator[tuple[int, int]]:
    """Where the rows lie that nobody deleted (src/include/storage/itemid.h, src/include/access/htup_details.h)."""
    for page in range(0, len(data), PAGE):
        (lower,) = struct.unpack_from("<H", data, page + 12)
        for pointer in range(page + 24, page + lower, 4):
            (item,) = struct.unpack_from("<I", data, pointer)
            at, flags, length = page + (item & 0x7FFF), item >> 15 & 3, item >> 17
            if flags != 1:  # LP_NORMAL
                continue
            (xmax,), (mask,) = struct.unpack_from("<I", data, at + 4), struct.unpack_from("<H", data, at + 20)
            if xmax == 0 or mask & 0x0800:  # HEAP_XMAX_INVALID
                yield at, at + length


def kill_row(file: Path, number: int) -> None:
    """Marks a line pointer of the first page as dead (src/include/storage/itemid.h): its row is gone."""
    data = bytearray(file.read_bytes())
    at = 24 + 4 * number
    struct.pack_into("<I", data, at, 3 << 15)  # LP_DEAD, without storage
    _write(file, data, 0)


def _write(file: Path, data: bytearray, block: int) -> None:
    """Repairs a page's checksum and writes the file in place: owner and mode stay."""
    page = bytes(data[block * PAGE : (block + 1) * PAGE])
    struct.pack_into("<H", data, block * PAGE + 8, checksum(page, block))
    with file.open("r+b") as stream:
        stream.write(data)


def flip(file: Path, at: int) -> None:
    """Turns one bit of a file."""
    with file.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)
        stream.seek(at)
        stream.write(bytes([byte[0] ^ 0x10]))
