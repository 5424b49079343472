"""Names of WAL files, positions in WAL, and which file follows which over a change of timelines.

A segment's name is timeline, log and number within it, eight hexadecimal digits each (PostgreSQL:
src/include/access/xlog_internal.h); a history file lists the timelines before, with where each was left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# what archive commands add to a name: compression, encryption, or one after the other (".zst.gpg")
_PACKED = r"((?:\.(?:gz|bz2|xz|lz4|zst|zstd|lzo|br|gpg|age|enc|aes|openssl))+)?"
SEGMENT = re.compile(rf"([0-9A-F]{{24}})(\.partial)?{_PACKED}")
HISTORY = re.compile(rf"([0-9A-F]{{8}})\.history{_PACKED}")
_LINE = re.compile(r"^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)")


@dataclass(frozen=True)
class HistoryEntry:
    """One line of a history file: a timeline, and the position at which it was left for the next."""

    timeline: int
    position: int


def position(text: str) -> int:
    """Bytes from the beginning of WAL of "0/3000060"; raises ValueError."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not a WAL position (LSN)")
    return (int(high, 16) << 32) + int(low, 16)


def segment_number(name: str, size: int) -> int:
    """The running number of a segment of `size` bytes, the same on every timeline."""
    return int(name[8:16], 16) * (0x1_0000_0000 // size) + int(name[16:24], 16)


def timeline(name: str) -> int:
    """The timeline of a segment's or history file's name."""
    return int(name[:8], 16)


def name_of(on: int, count: int, size: int) -> str:
    """The name of a segment by timeline and running number."""
    per_log = 0x1_0000_0000 // size
    return f"{on:08X}{count // per_log:08X}{count % per_log:08X}"


def history(text: str) -> tuple[HistoryEntry, ...]:
    """The lines of a history file, oldest timeline first; raises ValueError where it holds none."""
    found = [_LINE.match(line) for line in text.splitlines()]
    lines = tuple(HistoryEntry(int(each[1]), position(each[2])) for each in found if each)
    if not lines:
        raise ValueError("a history file without a timeline")
    return lines


def needed(first: str, newest: str, histories: Mapping[int, tuple[HistoryEntry, ...]], size: int) -> Iterator[str]:
    """The segments that lead from one to another, in order.

    histories: timeline -> its history file. Where a timeline was left inside a segment, that segment is needed on the
    new timeline, which begins with a copy of it. Raises ValueError where the newest does not come from the first.
    """
    goal, start = timeline(newest), timeline(first)
    left = {each.timeline: each.position for each in histories.get(goal, ())}
    if goal != start and start not in left:
        raise ValueError(f"according to its history file, timeline {goal} does not descend from timeline {start}")
    line = sorted(one for one in (*left, goal) if one >= start)
    here = 0
    for count in range(segment_number(first, size), segment_number(newest, size) + 1):
        while line[here] != goal and left[line[here]] // size <= count:
            here += 1
        yield name_of(line[here], count, size)
