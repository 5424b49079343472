"""On which line each key of a TOML text stands. The text is known to be valid: `tomllib` read it first."""

from __future__ import annotations

import re

KeyPath = tuple[str, ...]  # list positions are "[0]", "[1]", …

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")|' r"'''.*?'{3,5}(?!')|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'",
    re.DOTALL,
)


def positions(text: str) -> dict[KeyPath, int]:
    """Key path -> line, counted from 1, for every table, key and list item."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.counted, self.line = text, 0, 0, 1
        self.found: dict[KeyPath, int] = {}
        self.items: dict[KeyPath, int] = {}  # tables of `[[name]]` seen so far

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while True:
            self._skip(_SPACE)
            if self.at >= len(self.text):
                return self.found
            if self._starts_with("["):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> KeyPath:
        many = self._starts_with("[[")
        self.at += 2 if many else 1
        keys = self._keys()
        table: KeyPath = ()
        for position, key in enumerate(keys):
            table = (*table, key)
            last = position == len(keys) - 1
            self._mark(table)
            if many and last:
                self.items[table] = self.items.get(table, -1) + 1
            if table in self.items:
                table = (*table, f"[{self.items[table]}]")
                self._mark(table)
        self.found[table] = self._line()  # a header says where the table is, rather than a key within it
        self.at += 2 if many else 1
        return table

    def _pair(self, table: KeyPath) -> None:
        path = table
        for key in self._keys():
            path = (*path, key)
            self._mark(path)
        self.at += 1  # =
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._starts_with("["):
            self._list(path)
        elif self._starts_with("{"):
            self._inline(path)
        else:
            string = _STRING.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            self.at = string.end() if string else self.at + 1

    def _list(self, path: KeyPath) -> None:
        self.at += 1
        for position in range(len(self.text)):
            self._skip(_SPACE)
            if self._closed("]"):
                return
            item = (*path, f"[{position}]")
            self._mark(item)
            self._value(item)
            self._comma()

    def _inline(self, path: KeyPath) -> None:
        self.at += 1
        while True:
            self._skip(_SPACE)
            if self._closed("}"):
                return
            self._pair(path)
            self._comma()

    def _closed(self, mark: str) -> bool:
        if self.at >= len(self.text) or self._starts_with(mark):
            self.at += 1
            return True
        return False

    def _comma(self) -> None:
        self._skip(_SPACE)
        if self._starts_with(","):
            self.at += 1

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            if bare := _BARE.match(self.text, self.at):
                keys.append(bare[0])
                self.at = bare.end()
            elif quoted := _STRING.match(self.text, self.at):
                keys.append(_unquoted(quoted[0]))
                self.at = quoted.end()
            self._skip(_BLANK)
            if not self._starts_with("."):
                return keys
            self.at += 1

    def _starts_with(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _line(self) -> int:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = max(self.at, self.counted)
        return self.line

    def _mark(self, path: KeyPath) -> None:
        self.found.setdefault(path, self._line())


def _unquoted(key: str) -> str:
    import tomllib

    return str(next(iter(tomllib.loads(f"{key} = 0"))))
