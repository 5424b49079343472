"""The series that a PromQL query selects, each with the function that it is given to, and their label matchers."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What is not closed reaches to the end, so that no pattern begins again at each character.
_STRING = r"""(?s:"(?:[^"\\]|\\.)*(?:"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)|`[^`]*(?:`|\Z))"""
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>#[^\n]*)|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<number>[0-9][0-9A-Za-z_.]*)"
    rf"|(?P<braces>\{{(?:{_STRING}|[^}}\"'`])*(?:\}}|\Z))|(?P<range>\[[^\][]*\])|(?P<other>\S)"
)
_NAMED = re.compile(r"""__name__\s*=\s*["'`]([A-Za-z_:][A-Za-z0-9_:]*)["'`]""")
LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset(
    {"and", "or", "unless", "offset", "bool", "atan2", "inf", "nan", "default", "if", "ifnot", "keep_metric_names"}
)  # the last four are of VictoriaMetrics
_PART = re.compile(r"(?<![0-9])([0-9]{1,18})(ms|[smhdwy])")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


@dataclass(frozen=True)
class Selector:
    """`http_requests_total{code="500"}`, without range and offset."""

    text: str
    name: str  # of the metric, "" where a pattern chooses it
    function: str  # the innermost that it is an argument of, "" for none
    range: str = ""  # "[5m]"

    @property
    def matchers(self) -> tuple[tuple[str, str, str], ...]:
        """Label, operator and value of each, as they are written, quotes included."""
        found, label, operator = [], "", ""
        for kind, text in [*tokens_of(self.text.partition("{")[2][:-1]), ("other", ",")]:
            if kind == "string" and operator:
                found.append((label, operator, text))
                label = operator = ""
            elif kind in ("name", "string"):
                label = text
            elif text in ("=", "!", "~"):
                operator += text
            elif label:  # {"http.requests"}: a name in quotes
                found.append(("__name__", "=", label))
                label = ""
        return tuple(found)


def tokens_of(query: str) -> list[tuple[str, str]]:
    """Kind and text of each token, without comments."""
    return [(str(each.lastgroup), each[0]) for each in _TOKEN.finditer(query) if each.lastgroup != "comment"]


def selectors(query: str) -> tuple[Selector, ...]:
    """All of a query, in its order, each once."""
    tokens = [*tokens_of(query), ("end", "")]
    found: list[Selector] = []
    functions, called, at = [""], "", 0
    while at < len(tokens) - 1:
        (kind, text), (next_kind, following) = tokens[at], tokens[at + 1]
        at += 1
        if kind == "name" and text.lower() in LABEL_LISTS:
            if following == "(":
                at = _after_parenthesis(tokens, at)
        elif kind == "name" and (following == "(" or following.lower() in ("by", "without")):
            called = "" if text.lower() in _WORDS else text.lower()
        elif kind == "name" and text.lower() not in _WORDS:
            matchers = following if next_kind == "braces" else ""
            at += bool(matchers)
            found.append(Selector(text + matchers, text, functions[-1], _range_at(tokens, at)))
        elif kind == "braces" and text.endswith("}"):
            name = _NAMED.search(text)
            found.append(Selector(text, name[1] if name else "", functions[-1], _range_at(tokens, at)))
        elif text == "(":
            functions.append(called or functions[-1])
            called = ""
        elif text == ")" and len(functions) > 1:
            functions.pop()
    return tuple(dict.fromkeys(found))


def lookback(query: str) -> float:
    """How far back a query looks, in seconds: its longest range and its longest offset."""
    ranges, offsets, before = [0.0], [0.0], ["", ""]
    for each in _TOKEN.finditer(query):
        if each.lastgroup == "range":
            ranges.append(_seconds(each[0].partition(":")[0]))
        elif each.lastgroup == "number" and "offset" in before:
            offsets.append(_seconds(each[0]))
        before = [before[1], each[0].lower()]
    return max(ranges) + max(offsets)


def _range_at(tokens: list[tuple[str, str]], at: int) -> str:
    kind, text = tokens[at]
    return text if kind == "range" and ":" not in text else ""


def _after_parenthesis(tokens: list[tuple[str, str]], at: int) -> int:
    while at < len(tokens) - 1 and tokens[at][1] != ")":
        at += 1
    return at + 1


def _seconds(duration: str) -> float:
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
