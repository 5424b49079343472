"""What a page says about itself in <meta>: policies where browsers honour them, referrer, generator.

Where the head of a page ends is not where its `</head>` stands (HTML Standard, 13.2.6.4.1 to 13.2.6.4.6). Of the kept
parsers none fits text that a stranger wrote: 100 KB of nested elements take selectolax (lexbor) 9 seconds, and those
that follow html5lib longer. The head needs no tree, so its rules are here; tests/judging/headers/test_browser.py
compares them with Chromium's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_prodcheck.judging.headers.html_tokens import TEXT, Token, tokens

_VOID = ("base", "basefont", "bgsound", "link", "meta")
_IN_HEAD = (*_VOID, "title", "noscript", "noframes", "style", "script", "template")
_AFTER_HEAD = (*_VOID, "title", "noframes", "style", "script", "template")  # put into the head all the same
_ENDS_HEAD = ("body", "html", "br")  # end tags


@dataclass
class Head:
    """csp: policies of <meta http-equiv>, referrer: of <meta name=referrer>, both in order; generator: "" for none.

    late: a policy stands behind a script, which it does not hold for. outside: policies that browsers do not honour,
    for they stand in the body.
    """

    csp: list[str] = field(default_factory=list)
    referrer: list[str] = field(default_factory=list)
    generator: str = ""
    late: bool = False
    outside: int = 0


def head_of(body: str) -> Head:
    """What the page's <meta> elements say."""
    found, where, templates, scripts = Head(), "before", 0, False
    for token in tokens(body):
        if token.name == "template":
            if not token.end:
                where = "head" if where == "before" else where
                templates += 1
            else:
                templates = max(0, templates - 1)
            continue
        if templates:  # a document of its own, which is not shown
            continue
        where = _next_part(where, token)
        scripts = scripts or (token.name == "script" and not token.end)
        if token.name == "meta" and not token.end:
            _collect_tag(found, token.attributes, where != "body", scripts)
    return found


def _next_part(where: str, token: Token) -> str:
    """The part of the page after a token: before, head, after (the head), body."""
    if where == "body" or (token.name == "html" and not token.end):
        return where
    if token.name == TEXT:
        return "body"
    if token.end:
        if token.name == "head":
            return "after" if where != "after" else where
        return "body" if token.name in _ENDS_HEAD else where
    if token.name == "head":
        return "head" if where == "before" else where
    if where == "after":
        return "after" if token.name in _AFTER_HEAD else "body"
    return "head" if token.name in _IN_HEAD else "body"


def _collect_tag(found: Head, given: dict[str, str], in_head: bool, scripts: bool) -> None:
    content, name = given.get("content", ""), given.get("name", "").strip().lower()
    if given.get("http-equiv", "").lower() == "content-security-policy" and content:
        if in_head:
            found.csp.append(content)
            found.late = found.late or scripts
        else:
            found.outside += 1
    if name == "referrer" and content.strip():
        found.referrer.append(content)
    if name == "generator" and not found.generator:
        found.generator = content
