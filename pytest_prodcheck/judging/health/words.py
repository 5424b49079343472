"""The words by which health addresses say how they are, whatever they are written in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

GOOD = ("pass", "passed", "passing", "up", "ok", "okay", "healthy", "green", "serving", "true", "running", "ready",
        "alive", "live", "available", "success", "online", "operational")  # fmt: skip
BAD = ("fail", "failed", "failure", "failing", "unhealthy", "down", "error", "critical", "crit", "ko", "nok", "dead",
       "unavailable", "false", "offline", "stopped", "crashed", "maintenance", "red", "starting", "initializing",
       "draining", "disconnected", "unreachable", "not", "out")  # fmt: skip
# the last two are of "not ready", "NOT_SERVING" and "OUT_OF_SERVICE"
DEGRADED = ("warn", "warning", "degraded", "yellow")
TELLING = ("status", "state", "health", "healthy", "ok", "up", "alive", "ready", "success")
# of a member that is not named so, such as {"database": "down"}: words that are hardly a setting's
_PLAIN_BAD = ("fail", "failed", "failing", "unhealthy", "down", "unavailable", "dead", "ko", "nok", "crashed",
              "disconnected", "unreachable", "not connected", "not ready", "not available",
              "out of service")  # fmt: skip
_WORD = re.compile(r"[a-z]+")
_UNUSED = re.compile(r"\s*not[ _-](?:applicable|checked|configured|enabled|installed|needed|required|used)\b", re.I)
_BEHIND = re.compile(r"[:;,.(\[-]")  # "down: no route", "failed (timeout)"


@dataclass(frozen=True)
class HealthWord:
    """One word of an answer, lower case, and the part of the document that says it, "" for the whole."""

    word: str
    part: str = ""

    def __str__(self) -> str:
        """For people."""
        return f'{self.part} says "{self.word}"' if self.part else f'it says "{self.word}"'


def first_word(text: str) -> str:
    """The first word in lower case, "" for none."""
    found = _WORD.search(text.lower())
    return found[0] if found else ""


def is_bad(word: str) -> bool:
    """Whether a word of something named as a state is bad: "DOWN", "OUT_OF_SERVICE"; what is not in use is not."""
    return first_word(word) in BAD and not _UNUSED.match(word)


def is_plainly_bad(text: str) -> bool:
    """Whether a text that nothing names as a state says that something is out of order."""
    return " ".join(_BEHIND.split(text, maxsplit=1)[0].lower().replace("_", " ").split()) in _PLAIN_BAD


def bad_ones(parts: Sequence[HealthWord]) -> list[HealthWord]:
    """Those that say something bad."""
    return [each for each in parts if is_bad(each.word)]


def worst(parts: Sequence[HealthWord]) -> HealthWord:
    """The word that counts where all are parts of one whole that says nothing of itself."""
    degraded = [each for each in parts if first_word(each.word) in DEGRADED]
    return (bad_ones(parts) or degraded or [HealthWord("pass")])[0]
