"""The tags of a page as browsers cut them out of its text (HTML Standard, 13.2.5): names, attributes, raw texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from html.entities import html5

TEXT = "#text"  # the name of a token that is text and no white space
_SPACE = " \t\n\f\r"
_RAW = ("title", "textarea", "style", "xmp", "iframe", "noembed", "noframes", "noscript", "script", "plaintext")
_NAME = re.compile(r"</?([A-Za-z][^ \t\n\f\r/>]*)")
_ATTRIBUTE = re.compile(
    r"[ \t\n\f\r/]*([^ \t\n\f\r/>][^ \t\n\f\r/>=]*)"
    r"(?:[ \t\n\f\r]*=[ \t\n\f\r]*(?:\"([^\"]*)\"|'([^']*)'|([^ \t\n\f\r>\"'][^ \t\n\f\r>]*)|(?=>)))?"
)
_TAG_END = re.compile(r"[ \t\n\f\r/]*>")
_COMMENT_END = re.compile(r"--!?>")
_SCRIPT = re.compile(r"<!--|-->|<(/?)script(?=[ \t\n\f\r/>])", re.I)
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z][A-Za-z0-9]*;?)")


@dataclass(frozen=True)
class Token:
    """A start tag, an end tag or text that is not white space; attributes: of a repeated one the first."""

    name: str
    end: bool = False
    attributes: dict[str, str] = field(default_factory=dict)


def tokens(text: str) -> Iterator[Token]:
    """All tags in order, and one TEXT for each run of text. What is raw text (scripts, titles) holds no tags."""
    place = 0
    while place < len(text):
        opens = text.find("<", place)
        run = text[place : opens if opens >= 0 else len(text)]
        if run.strip(_SPACE):
            yield Token(TEXT)
        if opens < 0:
            return
        name = _NAME.match(text, opens)
        if name is None:
            if text[opens + 1 : opens + 2] not in ("!", "?", "/") or opens + 2 > len(text):
                yield Token(TEXT)  # a "<" that opens nothing
                place = opens + 1
            else:
                place = _after_markup(text, opens)
            continue
        attributes, place = _attributes(text, name.end())
        if place < 0:
            return  # the text ends within the tag, which then is none
        tag, end = name[1].lower(), text[opens + 1] == "/"
        yield Token(tag, end, {} if end else attributes)
        if tag in _RAW and not end:
            place = _after_raw(tag, text, place)


def _after_markup(text: str, opens: int) -> int:
    """Where a comment, a DOCTYPE or what is taken for a comment ends."""
    if not text.startswith("<!--", opens):
        return text.find(">", opens) + 1 or len(text)
    if text.startswith((">", "->"), opens + 4):
        return text.index(">", opens) + 1
    found = _COMMENT_END.search(text, opens + 4)
    return found.end() if found else len(text)


def _attributes(text: str, place: int) -> tuple[dict[str, str], int]:
    """The attributes of a tag and where it ends, -1 where the text ends before."""
    found: dict[str, str] = {}
    while True:
        ended = _TAG_END.match(text, place)
        if ended:
            return found, ended.end()
        one = _ATTRIBUTE.match(text, place)
        if one is None:
            return found, -1
        value = next((each for each in one.groups()[1:] if each is not None), "")
        found.setdefault(one[1].lower(), _decoded(value))
        place = one.end()
        if one.end() < len(text) and text[place] in "=\"'" and one[2] is None and one[3] is None and one[4] is None:
            quote = re.compile(r"[ \t\n\f\r]*=[ \t\n\f\r]*[\"']").match(text, place)
            if quote:  # a quoted value that never ends
                return found, -1


def _decoded(value: str) -> str:
    """Character references of an attribute's value; one without `;` before a letter, digit or `=` is none."""

    def one(match: re.Match[str]) -> str:
        written = match[0]
        if written[1] == "#" or (written[1:] in html5 and (written[-1] == ";" or value[match.end() :][:1] != "=")):
            return unescape(written)
        return written

    return _REFERENCE.sub(one, value) if "&" in value else value


def _after_raw(tag: str, text: str, place: int) -> int:
    """Where the end tag of an element begins that holds raw text; the end of the text where there is none."""
    if tag == "plaintext":
        return len(text)
    if tag == "script":
        return _after_script(text, place)
    found = re.compile(rf"</{tag}(?=[ \t\n\f\r/>])", re.I).search(text, place)
    return found.start() if found else len(text)


def _after_script(text: str, place: int) -> int:
    """As 13.2.5.15 to 13.2.5.31 have it: `<!--` and then `<script` hide an end tag."""
    escaped = doubly = False
    while found := _SCRIPT.search(text, place):
        word = found[0].lower()
        place = found.end()
        if word == "<!--":
            escaped, place = True, found.start() + 2  # its own dashes may belong to "-->"
            if doubly:
                place = found.end()
        elif word == "-->":
            escaped = doubly = False
        elif word == "<script":
            doubly = doubly or escaped
        elif doubly:
            doubly = False
        else:
            return found.start()
    return len(text)
