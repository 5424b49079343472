"""A chunk that is not the same on a copy: is it being written, or does it differ?

What changes while one looks proves nothing. A page, or a row, that the primary shows unchanged before and after the
copy was read, at a position that the copy has replayed, is one that differs; what changes meanwhile is read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from pytest_prodcheck.evidence.content.page_ranges import Chunk, by_page, by_row
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records.replication import Difference

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.content.node_pair import ReplicaPair

ROUNDS = 8
PAUSE = 0.15  # seconds before the first repetition; more before each further one
PAGES_SHOWN, KEYS_SHOWN = 8, 20
Key = TypeVar("Key", int, str)
Value = TypeVar("Value")


def recheck(pair: ReplicaPair, chunk: Chunk, seconds: float) -> tuple[Difference | None, str]:
    """(the difference or None, why it could not be told or ""). Reads the chunk a few times, page by page."""
    differing, moving = _stable_difference(pair, lambda session: by_page(session, chunk, seconds), seconds)
    rows, keys = 0, []
    for page in sorted(moving):
        if len(moving) > PAGES_SHOWN:
            break
        wrong, unsettled, words = _rows(pair, chunk, page, seconds)
        moving = moving if unsettled else moving - {page}
        if wrong:
            differing |= {page}
    for page in sorted(differing)[:PAGES_SHOWN]:
        wrong, _, words = _rows(pair, chunk, page, seconds)
        rows += len(wrong)
        keys += [plain(words[place], 100) for place in sorted(wrong)]  # an update is two rows of one key
    if differing:
        more = len(differing) - PAGES_SHOWN
        keys = list(dict.fromkeys(keys))[:KEYS_SHOWN] + ([f"and {more} more pages"] if more > 0 else [])
        return Difference(chunk.part.name, pair.where, str(chunk), rows, tuple(keys)), ""
    if moving:
        return None, f"{chunk.part.name}, {chunk}: {len(moving)} pages changed at every attempt"
    return None, ""


def _rows(pair: ReplicaPair, chunk: Chunk, page: int, seconds: float) -> tuple[set[str], set[str], dict[str, str]]:
    """Rows of a page that differ, those that never settle, and the words for both."""
    words: dict[str, str] = {}

    def read(session: object) -> dict[str, str]:
        found = by_row(session, chunk.part, page, seconds)  # type: ignore[arg-type]
        words.update({place: key for place, (_, key) in found.items()})
        return {place: hashed for place, (hashed, _) in found.items()}

    differing, moving = _stable_difference(pair, read, seconds)
    return differing, moving, words


def _stable_difference(
    pair: ReplicaPair, read: Callable[..., Mapping[Key, Value]], seconds: float
) -> tuple[set[Key], set[Key]]:
    """(what differs, what was still changing at the last look), of what looked unlike at the first look.

    What is written later is no part of the comparison: a table that grows would never come to an end.
    """
    open_: set[Key] = set()
    steady: set[Key] = set()  # unlike while the primary did not change it, at the last look
    for count in range(ROUNDS):
        before = read(pair.reference)
        pair.catch_up(seconds)
        copy = read(pair.copy)
        after = read(pair.reference)
        unlike = {key for key in _keys(before, copy, after) if copy.get(key) != after.get(key)}
        open_ = unlike & open_ if count else unlike
        still = {key for key in open_ if before.get(key) == after.get(key)}
        # twice in a row: a commit that the primary showed before its record was sent looks like this once
        differing = still & steady
        steady = still
        if open_ <= differing:
            return differing, set()
        time.sleep(PAUSE * (count + 1))
    return differing, open_ - differing


def _keys(*found: Iterable[Key]) -> set[Key]:
    return {key for each in found for key in each}
