"""What a plan says of itself: whom it is for, and when somebody last looked at it."""

from __future__ import annotations

import datetime
import re

_DATE = re.compile(r"(?<![\d-])(\d{4})-(\d{2})-(\d{2})(?![\d-])")
_LOOKED = re.compile(r"review|tested|updated|verified|validated|rehears|drill|checked|exercis|\bdate\b", re.I)
_AHEAD = re.compile(r"\b(next|due|until|expires?|expiry|planned|before)\b", re.I)
_CLAUSE = re.compile(r"\n|(?<=[.;])\s")


def mentions(text: str, wanted: tuple[str, ...]) -> bool:
    """Whether a text has one of the names as a word of its own: "shop" is not in "shop-api"."""
    return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.I) for name in wanted)


def dated(text: str, now: float) -> float | None:
    """The day a plan was last looked at, as epoch seconds; None where it names none that has come.

    Days in sentences that speak of a review, test or update count before others. What is due next does not count, nor
    do days to come.
    """
    looked: list[float] = []
    others: list[float] = []
    for clause in _CLAUSE.split(text):
        if _AHEAD.search(clause):
            continue
        for year, month, day in _DATE.findall(clause):
            try:
                moment = datetime.datetime(int(year), int(month), int(day), tzinfo=datetime.UTC).timestamp()
            except ValueError:
                continue
            if moment <= now + 86_400:  # a day begins earlier in the east
                (looked if _LOOKED.search(clause) else others).append(min(moment, now))
    return max(looked or others, default=None)
