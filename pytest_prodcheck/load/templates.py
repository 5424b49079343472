"""Requests that are not always the same: bytes with marks in them, which become the values of a user or a row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pytest_prodcheck.answers.variables import VARIABLE

_MARK = re.compile(r"zqVARYzq((?:[0-9a-f]{2})+)qz")
_WHOLE = re.compile(r'"zqVARYzq((?:[0-9a-f]{2})+)qz"')
_LENGTH = re.compile(r"(?i)(\r\ncontent-length: )\d+")


def marked(part: Any, names: Iterable[str]) -> Any:
    """A text, or a JSON document, whose `{name}`s are marks that need no quoting anywhere; other braces stay."""
    known = set(names)
    if isinstance(part, str):
        return VARIABLE.sub(lambda found: _variable_mark(found[1]) if found[1] in known else found[0], part)
    if isinstance(part, (list, tuple)):
        return [marked(each, known) for each in part]
    return {marked(key, known): marked(each, known) for key, each in part.items()} if isinstance(part, dict) else part


def _variable_mark(name: str) -> str:
    return f"zqVARYzq{name.encode().hex()}qz"


class Template:
    """Head and body of a request, each byte as one character. names: what has to be known before it is sent."""

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self._line, _, rest = raw.partition("\r\n")
        self._fields, _, self._body = rest.partition("\r\n\r\n")
        self.names = {_name(each) for each in _MARK.findall(raw)}
        self._fixed = raw.encode("latin-1")

    def render(self, values: Mapping[str, Any]) -> bytes:
        """The bytes to send; raises KeyError for a name without a value."""
        if not self.names:
            return self._fixed
        line = _MARK.sub(lambda found: quote(str(values[_name(found[1])]), safe=""), self._line)
        fields = _MARK.sub(lambda found: _one_line(str(values[_name(found[1])])), f"\r\n{self._fields}")
        body = _WHOLE.sub(lambda found: json.dumps(values[_name(found[1])]), self._body)
        body = _MARK.sub(lambda found: json.dumps(str(values[_name(found[1])]))[1:-1], body)
        fields = _LENGTH.sub(lambda found: f"{found[1]}{len(body)}", fields)
        return f"{line}{fields}\r\n\r\n{body}".encode("latin-1", "replace")


def _name(coded: str) -> str:
    return bytes.fromhex(coded).decode()


def _one_line(value: str) -> str:
    return re.sub(r"[\r\n\0]", " ", value)
