"""Makes strings that came from a target harmless where they are shown: terminals, CI logs, XML, HTML."""

from __future__ import annotations

import html
import json
import re
import unicodedata

MOST_CHARACTERS = 2000
MOST_LINES = 40
# other categories are letters, marks, digits, punctuation, symbols and the plain space
_UNSHOWABLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
# Azure Pipelines, old GitHub runners and TeamCity find their commands anywhere in a line
_ANYWHERE = re.compile(r"##(?=\[|vso\[|teamcity\[)", re.IGNORECASE)
# GitHub finds `::error …::` at the start of a line; whatever follows a blank may get there when lines are folded
_AT_START = re.compile(r"(^|(?<=\s))::(?=[A-Za-z][A-Za-z_-]*(?:\s|::|$))", re.MULTILINE)
_ADDRESS = re.compile(r"https?://[^\s<>\x00-\x20]+\Z")
_GITLAB = re.compile(r"section_(start|end):(?=\d)")


def safe(text: object, *, most: int = MOST_CHARACTERS) -> str:
    """One line: line breaks, control characters, escape sequences and text direction marks are shown, not obeyed."""
    return _defused(_printable(_shortened(str(text), most)))


def safe_lines(text: object, *, most: int = MOST_CHARACTERS) -> list[str]:
    """The same for a text of several lines; empty lines are left out, lines after the fortieth are counted."""
    lines = _shortened(str(text), most).replace("\r\n", "\n").split("\n")
    shown = [_defused(_printable(line)) for line in lines if line.strip()]
    if len(shown) > MOST_LINES:
        shown = [*shown[:MOST_LINES], f"… and {len(shown) - MOST_LINES} more lines"]
    return shown


def safe_html(text: object, *, most: int = MOST_CHARACTERS) -> str:
    """One line for an HTML text node or quoted attribute."""
    return html.escape(safe(text, most=most), quote=True)


def plain_markdown(text: str) -> str:
    """A safe line in Markdown, where nothing of it means anything; addresses become links by themselves (GFM, 6.9)."""
    return re.sub(r"([\\`*_\[\]<>#|~!&])", r"\\\1", text) if not _ADDRESS.match(text) else f"<{text}>"


def safe_ascii(text: str) -> str:
    r"""For a stream without UTF-8: other characters as \uXXXX."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def safe_json(text: str) -> str:
    """JSON text that means the same and that neither a terminal nor a CI system obeys, where it is printed to a log."""
    text = text.replace("##", r"#\u0023")
    text = _GITLAB.sub(lambda found: found[0][:-1] + r"\u003a", text)
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text).replace(
        "\x7f", r"\u007f"
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _printable(text: str) -> str:
    return text if text.isascii() and text.isprintable() else "".join(map(_character, text))


def _character(character: str) -> str:
    if " " <= character <= "~":
        return character
    if character == "\t":
        return " "
    if character == "\n":
        return "\\n"
    code = ord(character)
    nowhere = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # not allowed in XML
    if unicodedata.category(character) in _UNSHOWABLE or nowhere:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return " " if unicodedata.category(character) == "Zs" else character


def _defused(text: str) -> str:
    if "##" in text:
        text = _ANYWHERE.sub("# #", text)
    if "::" in text:
        text = _AT_START.sub(": :", text)
    return _GITLAB.sub(r"section_\1 :", text) if "section_" in text else text
