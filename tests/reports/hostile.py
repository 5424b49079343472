"""Strings that a hostile target would like to see printed, and data that holds one of them wherever there is text."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

STRINGS = (
    "\x1b[2J\x1b[1;31mOPEN\x1b[0m\x07\x9b31m",
    "\x1b]0;title\x07\x1b]8;;http://evil.example\x07link",
    "safe \u202egnp.exe\u202c \u2066x\u2069 \u200b\ufeff\U000e0041",
    "::error file=a,line=1::forged\n::set-output name=x::y\n  ::stop-commands::t",
    "##vso[task.complete result=Succeeded]\n##[error]x ##teamcity[testFinished] ##VSO[x]",
    "a\r🟢 OPEN smoke of production\n🟢 OPEN  smoke of production\r\n\x0b\x0c\x85\u2028x",
    "</td></script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "\" onmouseover=alert(1) x='<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "]]></failure><error/>&amp;&#0; \x00\ufffe\uffff\ud800 \udfff",
    "section_start:1560896352:x[collapsed=true]\r\x1b[0Kx",
    "z" * 100_000,
    "\n" * 5000 + "%s {0} ${jndi:x} `x`",
)


def filled_with_text(kind: Any, text: str, name: str = "") -> Any:
    """An instance of a dataclass from `outcomes` or `gates.verdict` with the text in every place that takes text."""
    if is_dataclass(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind)
        return kind(**{each.name: filled_with_text(hints[each.name], text, each.name) for each in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[2]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return text if str in arguments else filled_with_text(arguments[0], text, name)
    if origin is tuple:
        return (filled_with_text(arguments[0], text, name),)
    if origin is Mapping:
        return {text: filled_with_text(arguments[1], text, name)}
    if kind is str:
        return text if name != "schema" else "prodcheck-run/1"
    return {float: 1.0, int: 1, bool: True}[kind]
