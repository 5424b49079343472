"""What a page says about itself in its <head>: policies, referrer, generator, and which folders it loads from."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_MOST = 262_144  # characters of a page that are looked at


@dataclass
class Head:
    """csp: policies of <meta http-equiv>, referrer: of <meta name=referrer>, both in order; generator: "" for none."""

    csp: list[str] = field(default_factory=list)
    referrer: list[str] = field(default_factory=list)
    generator: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.head = Head()
        self.inside = True  # a policy in <meta> counts within <head> only

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a <meta>."""
        if tag == "body":
            self.inside = False
        if tag != "meta":
            return
        given = {name: value or "" for name, value in reversed(attrs)}  # of a repeated attribute the first counts
        content, name = given.get("content", ""), given.get("name", "").strip().lower()
        if self.inside and given.get("http-equiv", "").strip().lower() == "content-security-policy":
            self.head.csp.append(content)
        elif name == "referrer" and content.strip():
            self.head.referrer.append(content)
        elif name == "generator" and not self.head.generator:
            self.head.generator = content

    def handle_endtag(self, tag: str) -> None:
        """Notes the end of the head."""
        if tag == "head":
            self.inside = False


def head_of(body: str) -> Head:
    """What the page's <meta> elements say."""
    reader = _Reader()
    reader.feed(body[:_MOST])
    return reader.head
