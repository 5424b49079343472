"""Reads one TOML file within bounds: its data, the line of each key, its digest; or one clear message."""

from __future__ import annotations

import hashlib
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_prodcheck.environments.toml.errors import Mistake
from pytest_prodcheck.environments.toml.key_lines import KeyPath as KeyPath
from pytest_prodcheck.environments.toml.key_lines import positions
from pytest_prodcheck.trusted_files import OwnerProblem, refuse_foreign

LARGEST = 1024 * 1024  # bytes; the reference of a whole organisation has 20 KiB
DEEPEST = 32  # tables within tables


class Unreadable(Exception):
    """A file that is no configuration; holds the mistake."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake


@dataclass(frozen=True)
class Document:
    """One file: its name relative to the root, its data, key path -> line, SHA-256 hex of its bytes."""

    name: str
    data: dict[str, Any]
    lines: dict[tuple[str, ...], int]
    sha256: str


def read_document(root: Path, name: str) -> Document:
    """Reads `root/name`; raises Unreadable."""
    raw = _bytes(root / name, name)
    text = _text(raw, name)
    try:
        data = tomllib.loads(text)
        lines = positions(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _syntax(str(error), text)
        raise Unreadable(Mistake(name, line, "", f"not TOML: {message}")) from None
    except (RecursionError, ValueError) as error:  # ValueError: a number or date that Python cannot hold
        why = "tables or lists are nested too deeply" if isinstance(error, RecursionError) else str(error).split(";")[0]
        raise Unreadable(Mistake(name, None, "", f"cannot be read: {why}")) from None
    if any(isinstance(value, int) and abs(value) >= 2**63 for _, value in walk(data)):
        raise Unreadable(Mistake(name, None, "", "contains an integer of more than 64 bits"))
    if _depth(data) > DEEPEST:
        raise Unreadable(Mistake(name, None, "", f"tables or lists are nested more than {DEEPEST} deep"))
    return Document(name, data, lines, hashlib.sha256(raw).hexdigest())


def walk(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every key path below and its value, tables and lists included."""
    if isinstance(data, dict):
        inner: Any = data.items()
    elif isinstance(data, list):
        inner = ((f"[{position}]", value) for position, value in enumerate(data))
    else:
        return
    for key, value in inner:
        yield (*path, key), value
        yield from walk(value, (*path, key))


def _bytes(path: Path, name: str) -> bytes:
    try:
        refuse_foreign(str(path), "it")
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise Unreadable(Mistake(name, None, "", "is a folder, not a file"))
        if not stat.S_ISREG(mode):
            raise Unreadable(Mistake(name, None, "", "is not a regular file"))
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OwnerProblem as error:
        raise Unreadable(Mistake(name, None, "", str(error))) from None
    except FileNotFoundError:
        raise Unreadable(Mistake(name, None, "", f"there is no such file ({path})")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise Unreadable(Mistake(name, None, "", f"cannot be read: {reason}")) from None
    if len(raw) > LARGEST:
        raise Unreadable(
            Mistake(name, None, "", f"is larger than {LARGEST // 1024} KiB, which is too large for a configuration")
        )
    return raw


def _text(raw: bytes, name: str) -> str:
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(Mistake(name, 1, "", "begins with a byte order mark: save it as UTF-8 without one"))
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unreadable(Mistake(name, line, "", f"not UTF-8: byte 0x{raw[error.start]:02x}")) from None


def _syntax(message: str, text: str) -> tuple[str, int]:
    """The message with its place apart: "Invalid value (at line 3, column 5)" -> ("Invalid value, column 5", 3)."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if found:
        return f"{message[: found.start()]}, column {found[2]}", int(found[1])
    return message.replace(" (at end of document)", ": the file ends too early"), text.count("\n") + 1


def _depth(data: Any) -> int:
    deepest, level = 0, [data]
    while level:
        deepest += 1
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(inner, (dict, list))
        ]
        if deepest > DEEPEST:
            break
    return deepest
