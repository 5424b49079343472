"""What health answers say that are no JSON: XML, plain text, the pages that frameworks make of a plain "OK"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_prodcheck.judging.health.words import BAD, DEGRADED, GOOD, TELLING, HealthWord, bad_ones, first_word, worst

_PONG = ("pong", "working")  # further words of pages that are no pages
_ELEMENT = re.compile(
    r"<(?:[\w.-]++:)?([a-zA-Z][\w.-]*+)(?:\s[^<>]*+)?>\s*+(?:<!\[CDATA\[\s*+)?([\w-]++)[^<>]*+>?\s*+</"
)
_ATTRIBUTE = re.compile(r"\s([a-zA-Z][\w.-]*+)=[\"']\s*+([\w-]++)")
_LINE = re.compile(r"(?m)^[ \t]*(?:-[ \t]+)?[\"']?([a-zA-Z]+)[\"']?[ \t]*[:=][ \t]*[\"']?([a-zA-Z_-]+)")
_LOADS = re.compile(r"<(?:script|form|input|a|link|img|iframe|meta http-equiv)[\s>]", re.I)
_GREEN = re.compile(r"<body style=\"background-color: green\">\s*</body>", re.I)  # Rails::HealthController
_LONGEST = 2000  # characters: of a page that is a word, of a text that is read to its end
# "health_check failed: …", "[-]etcd failed", "database: DOWN", "not ready"
_TROUBLE = re.compile(
    r"\b(?:failed|unhealthy|unavailable|unreachable|crashed|disconnected|out of service)\b"
    r"|\bnot (?:ready|ok|healthy|available|connected|serving|running|reachable)\b"
    r"|(?:[:=]|\b(?:is|are)\b)\s*+[\"'\[(]?(fail|failing|down|dead|offline|ko|nok)\b",
    re.I,
)
# "no check failed", "3 checks failed"; "failed: 0", "failed jobs: 0", "failed before"
_NONE_BEFORE = re.compile(
    r"\b(?:no|none|never|without|nothing|last|previous|previously|if|when)\b|\b[0-9]+ (?:\w+ )?\Z", re.I
)
_NONE_BEHIND = re.compile(
    r"(?: +\w+)?(?:\s*[:=]\s*|\s+)(?:[0-9]+\s*(?:\Z|[,;)])|none\b|never\b|before\b|no\s*\Z)", re.I
)
_NO_FAILURE = re.compile(r"\W*fail(?:ed|ures?)\s*[:=]\s*0\b", re.I)  # a count at the beginning


def of_xml(text: str) -> HealthWord:
    """What elements and attributes named as states are say; "pass" where there is none: the status of HTTP counts."""
    told = [(name, word) for pattern in (_ELEMENT, _ATTRIBUTE) for name, word in pattern.findall(text)]
    return worst([HealthWord(word.lower(), name) for name, word in told if name.lower() in TELLING])


def of_text(text: str) -> tuple[HealthWord, tuple[HealthWord, ...]]:
    """What a text says of the whole, and lines that contradict a good beginning.

    Of lines such as "status: DOWN" what is said there, else the first word; where it is not a good one, the first line
    that tells of trouble.
    """
    lines = [HealthWord(word.lower(), name) for name, word in _LINE.findall(text) if name.lower() in TELLING]
    if bad := bad_ones(lines):
        return bad[0], ()
    first = HealthWord("" if _NO_FAILURE.match(text) else first_word(text))
    trouble = tuple(_troubles(text[:_LONGEST]))
    if first.word in GOOD or first.word in BAD or not trouble:
        return first, trouble if first.word in GOOD else ()
    return trouble[0], ()


def _troubles(text: str) -> Iterator[HealthWord]:
    """Lines that tell of trouble, each with the word by which it does; metrics and comments do not."""
    for line in (each.strip().replace("_", " ") for each in text.splitlines()):
        told = None if line.startswith("#") or "{" in line else _TROUBLE.search(line)
        if told and not _NONE_BEFORE.search(line[: told.start()]) and not _NONE_BEHIND.match(line[told.end() :]):
            yield HealthWord((told[1] or told[0]).lower(), line[:100])


def is_page(text: str, content_type: str) -> bool:
    """Whether an answer is a page for people, not a word that a framework sends as HTML unless told otherwise."""
    html = content_type in ("text/html", "application/xhtml+xml")
    if not html and not text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return False
    if not text.strip():
        return False
    if len(text) > _LONGEST or _LOADS.search(text):
        return True
    return not _GREEN.search(text) and first_word(visible(text)) not in (*GOOD, *BAD, *DEGRADED, *_PONG)


def visible(text: str) -> str:
    """What a short page shows."""
    for end in ("</head>", "</title>", "</style>"):
        text = text.lower().rpartition(end)[2]
    return re.sub(r"<[^<>]*>", " ", text)
