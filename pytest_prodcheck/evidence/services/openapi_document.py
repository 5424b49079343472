"""Where an OpenAPI 3 document describes a request, and what its references stand for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_prodcheck.answers.variables import at_pointer

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Endpoint

DATA = ("example", "examples", "default", "enum", "const")
MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions", "schemas", "responses", "paths")
NAME = re.compile(r"\{([^{}/]+)\}")  # of a parameter in a path


def references(part: Any) -> Iterator[str]:
    """All "$ref" in a part of a document; not those inside examples, which are data."""
    stack = [(part, False)]
    while stack:
        value, names = stack.pop()  # names: its keys are names that somebody chose, no words of the language
        if isinstance(value, dict):
            if not names and isinstance(found := value.get("$ref"), str):
                yield found
            stack.extend((each, key in MAPS and not names) for key, each in value.items() if names or key not in DATA)
        elif isinstance(value, list):
            stack.extend((each, False) for each in value)


def resolved(document: dict[str, Any], part: Any) -> Any:
    """What a part stands for: "$ref" inside the document followed, at most ten times."""
    for _ in range(10):
        if not isinstance(part, dict) or not isinstance(part.get("$ref"), str) or not part["$ref"].startswith("#/"):
            return part
        try:
            part = at_pointer(document, unquote(part["$ref"][1:]))
        except LookupError:
            return None
    return None


def operation(document: dict[str, Any], url: str, endpoint: Endpoint) -> dict[str, Any] | None:
    """The operation that describes an endpoint of the service at `url`, None where there is none.

    Paths count from the document's servers; where those say another base than the service's address, from either.
    """
    paths = document.get("paths")
    if not isinstance(paths, dict):
        return None
    path = unquote(endpoint.path.partition("?")[0])
    wanted = {path, *_below_servers(document, urlsplit(url).path.rstrip("/") + path)}
    best: tuple[int, dict[str, Any]] | None = None
    for template, item in paths.items():
        if not any(fits(template, each) for each in wanted):
            continue
        item = resolved(document, item)
        found = item.get(endpoint.method.lower()) if isinstance(item, dict) else None
        names = len(NAME.findall(template))  # a literal path wins over a template
        if isinstance(found, dict) and (best is None or names < best[0]):
            best = (names, found)
    return best[1] if best else None


def fits(template: str, path: str) -> bool:
    """Whether a path is one of a template's, each "{name}" a non-empty part of a segment; in linear time."""
    pairs = zip(NAME.sub("\0", template).split("/"), path.split("/"), strict=False)
    return template.count("/") == path.count("/") and all(_segment_fits(wanted, each) for wanted, each in pairs)


def _segment_fits(wanted: str, segment: str) -> bool:
    first, *middle = wanted.split("\0")
    if not middle:
        return first == segment
    last, at = middle.pop(), len(first)
    if not segment.startswith(first):
        return False
    for literal in middle:
        at = segment.find(literal, at + 1)
        if at < 0:
            return False
        at += len(literal)
    return segment.endswith(last) and len(segment) - len(last) >= at + 1


def _below_servers(document: dict[str, Any], path: str) -> Iterator[str]:
    servers = document.get("servers")
    for server in servers if isinstance(servers, list) else []:
        if isinstance(server, dict) and isinstance(server.get("url"), str):
            for url in (server["url"], _with_defaults(server["url"], server.get("variables"))):
                base = _path_of(url)
                *head, below = path.split("/", base.count("/") + 1)
                if fits(base, "/".join(head)):
                    yield f"/{below}"


def _with_defaults(url: str, variables: Any) -> str:
    known = variables if isinstance(variables, dict) else {}

    def value(name: re.Match[str]) -> str:
        told = known.get(name[1])
        return str(told.get("default", name[0])) if isinstance(told, dict) else name[0]

    return NAME.sub(value, url)


def _path_of(url: str) -> str:
    """Of an address whose scheme or host may be a variable."""
    _, slashes, behind = url.partition("//")
    path = f"/{behind.partition('/')[2]}" if slashes else url
    return path.partition("?")[0].rstrip("/")
