"""Dumps in an S3-compatible store: a real one, and answers that no store should give."""

from __future__ import annotations

import datetime
import importlib
import json
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.backups import object_store
from pytest_prodcheck.records import Problem
from pytest_prodcheck.records.backups import Backups, RestoreRecord
from tests.evidence.backups.s3_server import BUCKET, SECRET, Store, store
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.network.speakers import say, speaker

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
LISTING = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%b</ListBucketResult>'
OBJECT = b"<Contents><Key>dumps/a.dump</Key><LastModified>%b</LastModified><Size>%b</Size></Contents>"
MORE = b"<IsTruncated>true</IsTruncated>"
BOMB = b'<!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><ListBucketResult>&c;</ListBucketResult>'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(tmp_path_factory.mktemp("s3")) as given:
        yield given


def listed(endpoint: str, user: str = "reader", secret: str = "", folder: str = f"s3://{BUCKET}/dumps/") -> Backups:
    found: Backups = gather("postgres-backups", "shop", context_of_bucket(endpoint, user, secret, folder), 15)
    return found


def context_of_bucket(
    endpoint: str, user: str = "reader", secret: str = "", folder: str = f"s3://{BUCKET}/dumps/"
) -> Any:
    keys = {"access_key": {"file": user}, "secret_key": {"file": secret or f"{user}-{SECRET}"}}
    backups = {"kind": "dump", "folder": folder, "pattern": "*.dump", "s3": {"endpoint": endpoint, **keys},
               "restore_record": f"s3://{BUCKET}/drills/restore.json"}  # fmt: skip
    settings = {"nodes": ["127.0.0.1:9"], "database": "shop", "backups": backups}
    return context(Path("/"), postgres={"shop": settings})


def refused(call: Callable[[], Any]) -> Problem:
    problem = problem_of(call)
    assert SECRET not in f"{problem.message} {problem.hint}"
    return problem


def test_objects_are_listed_over_several_pages(running: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed(running.endpoint).found == ()
    names = [f"a {number}+ä&.dump" for number in range(5)]
    for name in (*names, "notes.txt"):
        running.put(f"{BUCKET}/dumps/{name}", b"x" * 500)
    running.put(f"{BUCKET}/dumps/empty.dump", b"")
    running.put(f"{BUCKET}/elsewhere/b.dump", b"x" * 500)
    whole = listed(running.endpoint)
    assert sorted(each.label for each in whole.found) == [*names, "empty.dump"]
    assert {each.size for each in whole.found if each.label != "empty.dump"} == {500}
    assert [each.problem for each in whole.found if each.label == "empty.dump"] == ["it is empty"]
    assert all(abs(time.time() - each.ended_at) < 60 for each in whole.found)
    monkeypatch.setattr(object_store, "PAGE", 2)
    assert sorted(each.label for each in listed(running.endpoint).found) == [*names, "empty.dump"]
    monkeypatch.setattr(object_store, "MOST_PAGES", 2)
    assert refused(lambda: listed(running.endpoint)).kind == "too-large"


def test_a_restore_record_in_the_store(running: Store) -> None:
    def record() -> RestoreRecord:
        found: RestoreRecord = gather("postgres-restore-record", "shop", context_of_bucket(running.endpoint), 15)
        return found

    gone = record().problem
    assert gone is not None
    assert "no restore was ever recorded" in gone.message
    written = {"format": "prodcheck-restore/1", "label": "a", "restored_at": 1, "good": True, "wrong": [],
               "recovery_time": 3.5, "compared": 2, "system_identifier": "7"}  # fmt: skip
    running.put(f"{BUCKET}/drills/restore.json", json.dumps(written).encode())
    assert (record().good, record().label) == (True, "a")


def test_who_may_not_is_told_so(running: Store) -> None:
    wrong = refused(lambda: listed(running.endpoint, secret=f"mistyped-{SECRET}"))
    assert (wrong.kind, "s3.secret_key" in wrong.hint) == ("denied", True)
    unknown = refused(lambda: listed(running.endpoint, user="nobody"))
    assert (unknown.kind, "s3.access_key" in unknown.hint) == ("denied", True)
    stranger = refused(lambda: listed(running.endpoint, user="stranger"))
    assert (stranger.kind, "AccessDenied" in stranger.message) == ("denied", True)
    nowhere = refused(lambda: listed(running.endpoint, user="writer", folder="s3://nowhere/dumps"))
    assert "bucket" in nowhere.hint


def test_a_clock_that_is_wrong_is_told_as_such(running: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Late:
            return cls.fromtimestamp(time.time() - 3600, tz)

    late = types.SimpleNamespace(datetime=Late, date=datetime.date, timezone=datetime.timezone)
    monkeypatch.setattr(importlib.import_module("requests_aws4auth.aws4auth"), "datetime", late)
    problem = refused(lambda: listed(running.endpoint))
    assert (problem.kind, "clock" in problem.hint) == ("denied", True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BOMB, "declares a document type"),
        (b"<html>", "not a listing"),
        (b"<Error/>", "it is a Error"),
        (b"", "not a listing"),
        (LISTING % (OBJECT % (b"soon", b"500")), "is not a time"),
        (LISTING % (OBJECT % (b"2026-11-24T06:00:00Z", b"-1")), "is not a number"),
        (LISTING % MORE, "without a continuation token"),
        (LISTING % (MORE + b"<NextContinuationToken>a</NextContinuationToken>"), "without a continuation token"),
        (b" " * (object_store.LARGEST_PAGE + 1), "more than 4096 kB"),
    ],
    ids=["bomb", "html", "error", "nothing", "time", "size", "no-token", "same-token", "huge"],
)
def test_what_is_no_listing_is_told(content: bytes, words: str) -> None:
    with speaker(say(ANSWER % (len(content), content))) as address:
        assert words in refused(lambda: listed(f"http://{address}")).message
