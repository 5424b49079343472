"""What a health document in JSON says of the whole and of its parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pytest_prodcheck.judging.health.words import TELLING, HealthWord, bad_ones, is_bad, is_plainly_bad, worst

_CODES = ("code", "statuscode")
_FLAGS = ("healthy", "ok", "alive", "ready", "success")  # "up": 0 may be the seconds since the start
_PART_FLAGS = ("live", "reachable", "connected", "serving")  # false is bad; as words they need not be about health
_MAINTENANCE = ("maintenance", "maintenancemode", "inmaintenance")
_LEVELS = ("available", "degraded", "unavailable", "critical")  # Kibana's; others are those of logs
_STATUS_LINE = re.compile(r"([1-5][0-9][0-9])\b")
_DEEPEST, _MOST = 8, 500  # levels and members of a document that are looked at


def of_document(document: Any, standard: bool) -> tuple[HealthWord, tuple[HealthWord, ...]]:
    """What a JSON document says as a whole, and which of its parts say otherwise though the whole is good.

    standard: it is an application/health+json, which has to have a status. Where the whole says nothing of itself, the
    worst of its parts counts (Airflow, Kafka Connect): they are all that it tells.
    """
    if isinstance(document, list):
        return _of_list(document), ()
    if not isinstance(document, dict):
        return HealthWord(str(document).strip().lower()), ()
    named = {_key(key): value for key, value in document.items()}
    if any(named.get(key) is True for key in _MAINTENANCE):
        return HealthWord("maintenance"), ()
    parts = list(_parts(document))
    told = [word for key in (*TELLING, *_PART_FLAGS, *_CODES) if (word := _word(key, named.get(key))) is not None]
    if told:
        wrong = [each for each in told if each.isdigit() or is_bad(each)]  # {"ok": false, "status": "running"}
        return HealthWord((wrong or told)[0]), tuple(bad_ones(parts))
    if named.get("error") or named.get("errors"):
        return HealthWord("error"), ()
    if standard:
        return HealthWord("no status"), ()
    overall = next((each for each in parts if each.part.rpartition(".")[2].lower() == "overall"), None)
    if overall is not None:  # Kibana
        return overall, tuple(each for each in bad_ones(parts) if each is not overall and not is_bad(overall.word))
    return worst(parts), ()


def _of_list(document: list[Any]) -> HealthWord:
    """The worst of a list of results; of ["OK"] and ["CRIT", {…}] the word, as of a tuple."""
    if document and isinstance(document[0], str) and not any(isinstance(each, str) for each in document[1:]):
        return HealthWord(document[0].strip().lower())
    parts = list(_parts(document))
    return worst(parts) if parts else HealthWord(str(document)[:100].lower())


def _parts(document: Any) -> Iterator[HealthWord]:
    """What the members named as states say at every level below the first, and at all levels what is plainly bad."""
    waiting: list[tuple[Any, tuple[str, ...]]] = [(document, ())]
    seen = 0
    while waiting and seen < _MOST:
        value, path = waiting.pop(0)
        seen += 1
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in members:
            if isinstance(inner, (dict, list)):
                if len(path) < _DEEPEST:
                    waiting.append((inner, (*path, _name_of(inner) if isinstance(value, list) else str(key))))
            elif isinstance(value, dict):
                yield from _part(path, str(key), inner)


def _part(path: tuple[str, ...], name: str, value: Any) -> Iterator[HealthWord]:
    """What one member says of the part that it is in, or of the one that it is called after."""
    key = _key(name)
    level = key == "level" and not (path and "log" in path[-1].lower())
    word = value.strip().lower()[:100] if isinstance(value, str) else str(value).lower()
    of_path = HealthWord(word, ".".join(path)[:100])
    said = isinstance(value, (str, bool)) and (key in TELLING or (level and word in _LEVELS))
    if path and (said or (value is False and key in _PART_FLAGS)):
        yield of_path
    elif isinstance(value, str) and key not in TELLING:
        state = key.endswith(("status", "state")) and is_bad(word)  # "overallStatus", "db_state"
        if state or is_plainly_bad(value):
            yield HealthWord(word, ".".join((*path, name))[:100])


def _key(name: Any) -> str:
    """The name of a member: "Status", as .NET may write it, "ok?", as Ruby does, "isHealthy", "is_healthy"."""
    plain = re.sub(r"[\s_-]", "", str(name).lower().rstrip("?"))
    bare = plain.removeprefix("is")
    return bare if bare in TELLING or bare in _PART_FLAGS else plain


def _word(key: str, value: Any) -> str | None:
    """What a member of the whole says; a number only where it is an error's of HTTP, or no instead of yes."""
    if key in _PART_FLAGS:
        return str(value).lower() if isinstance(value, bool) else None
    if isinstance(value, (str, bool)):
        if key in _CODES:
            return None
        word = str(value).strip().lower()
        code = _STATUS_LINE.match(word)  # "200", "503 Service Unavailable"
        return word if code is None else code[1] if int(code[1]) >= 400 else "ok"
    if not isinstance(value, int):
        return None
    if key in _FLAGS:
        return None if value else "false"
    return str(value) if 400 <= value < 600 else None


def _name_of(part: Any) -> str:
    """What an element of a list calls itself."""
    named = part if isinstance(part, dict) else {}
    return next((str(named[key]) for key in ("name", "id") if key in named), "one")
