"""Which WAL files lead from one to another, over changes of timelines."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.evidence.backups.wal_archive import Listing, archive_record, newest_segment, read_archive
from pytest_prodcheck.evidence.backups.wal_names import (
    SEGMENT,
    HistoryEntry,
    history,
    name_of,
    needed,
    position,
    segment_number,
)
from pytest_prodcheck.records import EvidenceProblem

MB = 1024 * 1024
SIZE = 16 * MB


def names(*counts: int, on: int = 1) -> list[str]:
    return [name_of(on, count, SIZE) for count in counts]


def test_names_numbers_and_positions_fit_together() -> None:
    assert name_of(2, 256, SIZE) == "000000020000000100000000"
    assert segment_number("000000020000000100000000", SIZE) == 256
    assert segment_number("000000010000000000000FFF", MB) == 4095
    assert position("1/2A") == (1 << 32) + 42
    with pytest.raises(ValueError):
        position("42")


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("000000010000000000000002", None), ("000000010000000000000002.gz", ".gz"),
        ("000000010000000000000002.gpg", ".gpg"), ("000000010000000000000002.zst.age", ".zst.age"),
        ("000000010000000000000002.00000028.backup", ""), ("000000010000000000000002.tmp", ""),
        ("000000010000000000000002.gz.tmp", ""),
    ],
)  # fmt: skip
def test_compressed_and_encrypted_segments_are_segments(name: str, packed: str | None) -> None:
    """An archive_command that encrypts names its files so; what is being copied, and labels of backups, are none."""
    found = SEGMENT.fullmatch(name)
    assert (found[3] if found else "") == packed


def test_history_files_are_read_as_postgresql_writes_them() -> None:
    text = "1\t0/3000110\tno recovery target specified\n\n2\t0/5000000\tbefore 2026-11-24 06:00:00+00\n"
    assert history(text) == (HistoryEntry(1, position("0/3000110")), HistoryEntry(2, position("0/5000000")))
    with pytest.raises(ValueError):
        history("# nothing\n")


@pytest.mark.parametrize(
    ("left_at", "expected"),
    [
        ("0/3000110", [*names(1, 2), *names(3, 4, 5, on=2)]),  # inside a segment: it begins anew on the new timeline
        ("0/4000000", [*names(1, 2, 3), *names(4, 5, on=2)]),  # at the end of one
    ],
)
def test_a_new_timeline_takes_over_where_the_old_was_left(left_at: str, expected: list[str]) -> None:
    histories = {2: (HistoryEntry(1, position(left_at)),)}
    assert list(needed(names(1)[0], names(5, on=2)[0], histories, SIZE)) == expected


def test_two_changes_in_one_segment() -> None:
    histories = {3: (HistoryEntry(1, position("0/3000100")), HistoryEntry(2, position("0/3000200")))}
    assert list(needed(names(2)[0], names(4, on=3)[0], histories, SIZE)) == [*names(2), *names(3, 4, on=3)]


def test_a_timeline_without_its_history_does_not_lead_there() -> None:
    with pytest.raises(ValueError, match="does not descend from timeline 1"):
        list(needed(names(1)[0], names(5, on=2)[0], {}, SIZE))


def test_segments_of_a_timeline_that_was_given_up_are_not_the_newest() -> None:
    histories = {3: (HistoryEntry(1, position("0/3000100")),)}
    there = [*names(1, 2, 3, 9), *names(7, on=2), *names(4, on=3)]
    assert newest_segment(there, histories, names(1)[0], SIZE) == names(4, on=3)[0]


def archive(there: list[str], told: str = "") -> tuple[int, tuple[str, ...]]:
    found = archive_record("archive", "b", names(2)[0], Listing(dict.fromkeys(there, SIZE)), SIZE, 0.0, (), told)
    return found.missing_count, found.missing


def test_a_gap_is_named_and_what_is_older_than_the_backup_is_not() -> None:
    assert archive(names(2, 3, 4)) == (0, ())
    assert archive(names(2, 4, 6)) == (2, tuple(names(3, 5)))
    assert archive(names(3, 4)) == (1, tuple(names(2)))
    assert archive([]) == (1, tuple(names(2)))


def test_the_end_that_the_primary_has_archived_may_not_be_missing() -> None:
    assert archive(names(2, 3), told=names(5)[0]) == (2, tuple(names(4, 5)))
    assert archive(names(2, 3), told=names(1)[0]) == (0, ())
    assert archive(names(2, 3), told="00000002.history") == (0, ())


@pytest.mark.parametrize("ending", [".gpg", ".gz.age", ".zst"])
def test_a_history_file_that_cannot_be_read(tmp_path: Path, ending: str) -> None:
    """wal-g and scripts encrypt it as they encrypt WAL: where its timeline begins cannot be told."""
    for name in ("000000010000000000000001", "000000020000000000000002"):
        (tmp_path / f"{name}{ending}").write_bytes(b"x")
    (tmp_path / f"00000002.history{ending}").write_bytes(b"sealed")
    listing = read_archive(tmp_path, "000000010000000000000001", 16 << 20)
    with pytest.raises(EvidenceProblem) as caught:
        archive_record("archive", "label", "000000010000000000000001", listing, 16 << 20, 0.0, ())
    assert caught.value.problem.kind == "configuration"
    assert f"00000002.history{ending}" in caught.value.problem.message
    (tmp_path / "00000002.history").write_text("1\t0/2000000\tno recovery target specified\n")
    listing = read_archive(tmp_path, "000000010000000000000001", 16 << 20)
    found = archive_record("archive", "label", "000000010000000000000001", listing, 16 << 20, 0.0, ())
    assert (found.missing, found.complaints) == ((), ())
