"""Dumps in folders and listings: what their names, heads and listings tell."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.backups.dumps import dumps, listed
from pytest_prodcheck.records import EvidenceProblem

AWS = {"Contents": [{"Key": "shop/a.dump", "LastModified": "2026-11-24T06:00:00+00:00", "Size": 5000, "ETag": "x"},
                    {"Key": "shop/b.txt", "LastModified": "2026-11-24T07:00:00+00:00", "Size": 5000}]}  # fmt: skip
RCLONE = [{"Path": "a.dump", "Name": "a.dump", "Size": 5000, "ModTime": "2026-11-24T06:00:00Z", "IsDir": False},
          {"Path": "old", "Name": "old", "Size": -1, "ModTime": "2026-11-24T06:00:00Z", "IsDir": True}]  # fmt: skip
MC = '{"status":"success","type":"file","lastModified":"2026-11-24T06:00:00Z","size":5000,"key":"a.dump"}\n'


@pytest.mark.parametrize("text", [json.dumps(AWS), json.dumps(RCLONE), MC], ids=["aws", "rclone", "mc"])
def test_listings_of_three_programs(text: str) -> None:
    (found,) = listed(text, "*.dump", "aws")
    assert (found.label, found.size, found.ended_at, found.problem) == ("a.dump", 5000, 1795500000.0, "")


@pytest.mark.parametrize("text", ["", "[]", '{"Contents": []}', '{"KeyCount": 0}'])
def test_a_listing_of_nothing_holds_no_backup(text: str) -> None:
    assert listed(text, "*", "aws") == []


@pytest.mark.parametrize("text", ["<html>", "[1]", '"x"', '[{"Key": "a", "LastModified": "soon", "Size": 1}]'])
def test_what_is_no_listing_is_told(text: str) -> None:
    with pytest.raises(EvidenceProblem):
        listed(text, "*", "aws")


def test_an_empty_object_cannot_be_relied_on() -> None:
    (found,) = listed(MC.replace("5000", "0"), "*", "mc")
    assert found.problem == "it is empty"


def head(moment: float, database: bytes) -> bytes:
    """The beginning of a custom dump of version 1.14, as pg_dump 15 writes it."""
    now = time.localtime(moment)

    def integer(value: int) -> bytes:
        return b"\0" + value.to_bytes(4, "little")

    fields = (now.tm_sec, now.tm_min, now.tm_hour, now.tm_mday, now.tm_mon - 1, now.tm_year - 1900, 0)
    body = integer(6) + b"".join(map(integer, fields)) + integer(len(database)) + database
    return b"PGDMP\x01\x0e\x00\x04\x08\x01" + body + b"\0" * 200


def test_a_dump_that_was_touched_is_as_old_as_its_head_says(tmp_path: Path) -> None:
    (tmp_path / "a.dump").write_bytes(head(time.time() - 3 * 86400, b"shop"))
    (found,), running = dumps(tmp_path, "*.dump")
    assert (found.database, found.problem, running) == ("shop", "", 0)
    assert time.time() - found.ended_at == pytest.approx(3 * 86400, abs=5)


def test_a_head_in_another_zone_does_not_make_a_dump_old_or_new(tmp_path: Path) -> None:
    (tmp_path / "a.dump").write_bytes(head(time.time() + 10 * 3600, b"shop"))
    (found,), _ = dumps(tmp_path, "*.dump")
    assert abs(time.time() - found.ended_at) < 60


def test_dumps_are_told_in_order_and_unfinished_ones_are_none(tmp_path: Path) -> None:
    for number, name in enumerate(("b.sql", "a.sql", "c.sql.part")):
        (tmp_path / name).write_bytes(b"-" * 100)
        moment = time.time() - 100 + 50 * number
        os.utime(tmp_path / name, (moment, moment))
    found, running = dumps(tmp_path, "*")
    assert [each.label for each in found] == ["b.sql", "a.sql"]
    assert running == 1
