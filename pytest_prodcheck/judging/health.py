"""What the answer of a health address says: JSON, XML, plain text, the pages that frameworks make of a plain "OK"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

GOOD = ("pass", "passed", "passing", "up", "ok", "healthy", "green", "serving", "true", "running", "ready", "alive",
        "available", "success", "online", "operational")  # fmt: skip
BAD = ("fail", "failed", "failure", "failing", "unhealthy", "down", "error", "critical", "ko", "nok", "dead",
       "unavailable", "false", "offline", "stopped", "crashed", "maintenance", "not")  # fmt: skip
# the last one is of "not ready" and "NOT_SERVING", which are texts
DEGRADED = ("warn", "warning", "degraded", "yellow")
TELLING = ("status", "state", "health", "healthy", "ok", "up", "alive", "ready", "success")
_CODES = ("code", "statuscode", "status_code")
_FLAGS = ("healthy", "ok", "alive", "ready", "success")  # "up": 0 may be the seconds since the start
_MAINTENANCE = ("maintenance", "maintenancemode", "maintenance_mode", "inmaintenance")
# of a member that is not named so, such as {"database": "down"}: words that are hardly a setting's
_PLAIN_BAD = ("fail", "failed", "failing", "unhealthy", "down", "unavailable", "dead", "ko", "nok", "crashed")
_PONG = ("pong", "live", "alive", "working")  # further words of pages that are no pages
_DEEPEST, _MOST = 8, 500  # levels and members of a document that are looked at
_WORD = re.compile(r"[a-z]+")
_ELEMENT = re.compile(r"<([a-zA-Z][\w.-]*+)(?:\s[^<>]*+)?>\s*+([\w-]++)[^<>]*+</")
_ATTRIBUTE = re.compile(r"\s([a-zA-Z][\w.-]*+)=[\"']\s*+([\w-]++)")
_LINE = re.compile(r"(?m)^[ \t]*([a-zA-Z]+)[ \t]*[:=][ \t]*([a-zA-Z_-]+)")
_LOADS = re.compile(r"<(?:script|form|input|a|link|img|iframe|meta http-equiv)[\s>]", re.I)
_GREEN = re.compile(r"<body style=\"background-color: green\">\s*</body>", re.I)  # Rails::HealthController
_LONGEST_PAGE = 2000


@dataclass(frozen=True)
class HealthWord:
    """One word of an answer, lower case, and the part of the document that says it, "" for the whole."""

    word: str
    part: str = ""

    def __str__(self) -> str:
        """For people."""
        return f'{self.part} says "{self.word}"' if self.part else f'it says "{self.word}"'


def of_document(document: Any, standard: bool) -> tuple[HealthWord, tuple[HealthWord, ...]]:
    """What a JSON document says as a whole, and which of its parts say otherwise though the whole is good.

    standard: it is an application/health+json, which has to have a status. Where the whole says nothing of itself, the
    worst of its parts counts (Airflow, Kafka Connect): they are all that it tells.
    """
    if not isinstance(document, (dict, list)):
        return HealthWord(str(document).strip().lower()), ()
    parts = list(_parts(document))
    if isinstance(document, list):
        return (_worst(parts), ()) if parts else (HealthWord(str(document)[:100].lower()), ())
    named = {_key(key): value for key, value in document.items()}
    if any(named.get(key) is True for key in _MAINTENANCE):
        return HealthWord("maintenance"), ()
    told = [word for key in (*TELLING, *_CODES) if (word := _word(key, named.get(key))) is not None]
    if told:
        wrong = [each for each in told if each in BAD or each.isdigit()]  # {"ok": false, "status": "running"}
        return HealthWord((wrong or told)[0]), tuple(each for each in _bad(parts) if each.part)
    if named.get("error") or named.get("errors"):
        return HealthWord("error"), ()
    if standard:
        return HealthWord("no status"), ()
    if parts:
        return _worst(parts), ()
    plain = [HealthWord(value.strip().lower(), str(key)) for key, value in document.items() if isinstance(value, str)]
    return next((each for each in plain if each.word in _PLAIN_BAD), HealthWord("pass")), ()


def _bad(parts: list[HealthWord]) -> list[HealthWord]:
    return [each for each in parts if first_word(each.word) in BAD]


def _worst(parts: list[HealthWord]) -> HealthWord:
    degraded = [each for each in parts if each.word in DEGRADED]
    return (_bad(parts) or degraded or [HealthWord("pass")])[0]


def _parts(document: Any) -> Iterator[HealthWord]:
    """The members named as states are, at every level below the first, each with the way to it."""
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
            elif path and _key(key) in TELLING and isinstance(inner, (str, bool)):
                yield HealthWord(str(inner).strip().lower()[:100], ".".join(path)[:100])


def _key(name: Any) -> str:
    """The name of a member: "Status", as .NET may write it, "ok?", as Ruby does."""
    return str(name).lower().rstrip("?")


def _word(key: str, value: Any) -> str | None:
    """What a member of the whole says; a number only where it is an error's of HTTP, or no instead of yes."""
    if isinstance(value, (str, bool)):
        return None if key in _CODES else str(value).strip().lower()
    if not isinstance(value, int):
        return None
    if key in _FLAGS:
        return None if value else "false"
    return str(value) if 400 <= value < 600 else None


def _name_of(part: Any) -> str:
    """What an element of a list calls itself."""
    named = part if isinstance(part, dict) else {}
    return next((str(named[key]) for key in ("name", "id") if key in named), "one")


def of_xml(text: str) -> HealthWord:
    """What elements and attributes named as states are say; "pass" where there is none: the status of HTTP counts."""
    told = [(name, word) for pattern in (_ELEMENT, _ATTRIBUTE) for name, word in pattern.findall(text)]
    parts = [HealthWord(word.lower(), name) for name, word in told if name.lower() in TELLING]
    return _worst(parts)


def of_text(text: str) -> HealthWord:
    """The first word; of lines such as "status: DOWN" what is said there."""
    lines = [HealthWord(word.lower(), name) for name, word in _LINE.findall(text) if name.lower() in TELLING]
    return next(iter(_bad(lines)), HealthWord(first_word(text)))


def is_page(text: str, content_type: str) -> bool:
    """Whether an answer is a page for people, not a word that a framework sends as HTML unless told otherwise."""
    html = content_type in ("text/html", "application/xhtml+xml")
    if not html and not text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return False
    if not text.strip():
        return False
    if len(text) > _LONGEST_PAGE or _LOADS.search(text):
        return True
    return not _GREEN.search(text) and first_word(visible(text)) not in (*GOOD, *BAD, *DEGRADED, *_PONG)


def visible(text: str) -> str:
    """What a short page shows."""
    for end in ("</head>", "</title>", "</style>"):
        text = text.lower().rpartition(end)[2]
    return re.sub(r"<[^<>]*>", " ", text)


def first_word(text: str) -> str:
    """The first word in lower case, "" for none."""
    found = _WORD.search(text.lower())
    return found[0] if found else ""
