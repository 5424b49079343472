"""The file of freezes: named times in which nothing may be deployed, once or every week, each in its time zone."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.release import Freeze

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

AHEAD = 86_400.0  # seconds: a freeze that begins within them is told too, for it ends what is approved
MOST = 500
LARGEST = 1024 * 1024  # bytes
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEKLY = re.compile(rf"({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d)")
_KEYS = {"from", "to", "zone", "reason", "except", "emergency"}
_Moment = datetime.datetime | tuple[int, datetime.time]  # once, or a weekday (0 is Monday) and a time


def freezes(content: bytes, name: str, units: tuple[str, ...], now: float) -> tuple[Freeze, ...]:
    """The freezes that are on at `now` (epoch seconds) or begin within a day, those that begin first before others.

    Raises EvidenceProblem (configuration) for a file that cannot be meant, and for one without a table `freeze`: an
    empty or cut file must not look like a calendar without freezes.
    """
    try:
        document = tomllib.loads(content.decode("utf-8"))
        found = list(_declared_freezes(document, units, now))
    except (ValueError, RecursionError) as error:  # decoding errors are ValueErrors too
        hint = "docs/pre-deploy.md shows what it has to hold"
        raise EvidenceProblem(Problem("configuration", f"{name}: {error}", hint)) from None
    return tuple(sorted(found, key=lambda each: each.begins))


def _declared_freezes(document: dict[str, Any], units: tuple[str, ...], now: float) -> Iterator[Freeze]:
    if unknown := sorted(set(document) - {"zone", "freeze"}):
        raise ValueError(f"unknown key {unknown[0]!r}; there are `zone` and tables [freeze.NAME]")
    tables = document.get("freeze")
    if not isinstance(tables, dict):
        raise ValueError("it has no table `freeze`; where there are no freezes, write an empty [freeze]")
    if len(tables) > MOST:
        raise ValueError(f"more than {MOST} freezes")
    for name, table in tables.items():
        if not isinstance(table, dict) or not {"from", "to"} <= set(table) <= _KEYS:
            keys = ", ".join(sorted(_KEYS))
            raise ValueError(f"freeze.{name}: expected a table with `from` and `to`, and of {keys} only")
        try:
            found = _freeze(name, table, _zone(table.get("zone", document.get("zone"))), units, now)
        except ValueError as error:
            raise ValueError(f"freeze.{name}: {error}") from None
        if found is not None:
            yield found


def _freeze(name: str, table: dict[str, Any], zone: ZoneInfo, units: tuple[str, ...], now: float) -> Freeze | None:
    begin, end = _moment(table["from"], zone, last=False), _moment(table["to"], zone, last=True)
    excepted, emergency, reason = table.get("except", []), table.get("emergency", False), table.get("reason", "")
    if not (isinstance(excepted, list) and all(isinstance(each, str) for each in excepted)):
        raise ValueError("`except` is a list of units")
    if not isinstance(emergency, bool) or not isinstance(reason, str):
        raise ValueError("`emergency` is true or false, `reason` is text")
    for begins, ends in _times(begin, end, zone, now):
        if begins - AHEAD <= now < ends:
            mine = any(unit in excepted for unit in units if unit)
            return Freeze(name, begins, ends, reason[:200], mine, emergency)
    return None


def _zone(name: object) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    if not isinstance(name, str):
        raise ValueError('`zone` is missing, such as zone = "Europe/Berlin" or zone = "UTC"')
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"there is no time zone {name!r}") from None


def _moment(value: object, zone: ZoneInfo, *, last: bool) -> _Moment:
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=zone)
    if isinstance(value, datetime.date):
        day = value + datetime.timedelta(days=1) if last else value
        return datetime.datetime.combine(day, datetime.time(), zone)
    if isinstance(value, str) and (found := _WEEKLY.fullmatch(value)):
        return DAYS.index(found[1]), datetime.time(int(found[2]), int(found[3]))
    raise ValueError(f'{value!r} is neither a date nor a time nor a text such as "Fri 16:00"')


def _times(begin: _Moment, end: _Moment, zone: ZoneInfo, now: float) -> Iterator[tuple[float, float]]:
    """Beginnings and ends as epoch seconds: the one, or those of the weeks around now."""
    if isinstance(begin, datetime.datetime) and isinstance(end, datetime.datetime):
        if not begin < end:
            raise ValueError("`to` is not after `from`")
        yield begin.timestamp(), end.timestamp()
        return
    if isinstance(begin, datetime.datetime) or isinstance(end, datetime.datetime):
        raise ValueError("`from` and `to` are both dates, or both weekdays")
    if begin == end:
        raise ValueError("`from` and `to` are the same: a freeze without end needs no weekdays")
    today = datetime.datetime.fromtimestamp(now, zone).date()
    monday = today - datetime.timedelta(days=today.weekday())
    for week in (-1, 0, 1):
        starts, stops = (
            datetime.datetime.combine(monday + datetime.timedelta(weeks=week + later, days=day), time, zone).timestamp()
            for (day, time), later in ((begin, 0), (end, int(end < begin)))
        )
        yield starts, stops
