"""Small rules that others are made of: names, files, headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.toml.error_collector import Complaint
from pytest_prodcheck.environments.toml.errors import did_you_mean

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.environments.sections.services import Service

CREDENTIAL_HEADERS = ("authorization", "proxy-authorization", "cookie")


def unknown_name(path: tuple[str, ...], name: str, there: Iterable[str], what: str) -> Iterator[Complaint]:
    """Complains about a name that is not there."""
    if name not in set(there):
        yield path, f"there is no {what} `{name}`", did_you_mean(name, there)


def unknown_http_service(path: tuple[str, ...], name: str, services: Mapping[str, Service]) -> Iterator[Complaint]:
    """Complains about a service that is not there, or that is sent no request because it has no `url`."""
    yield from unknown_name(path, name, services, "service")
    if name in services and not services[name].speaks_http:
        yield path, f"service `{name}` has no `url`", "name a service that speaks HTTP"


def file(path: tuple[str, ...], name: str | None, root: Path) -> Iterator[Complaint]:
    """Complains about a file that is not there."""
    if name is None:
        return
    try:
        there = (root / name).is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        yield path, f"there is no file {name!r} beside prodcheck.toml", "relative paths begin at its folder"


def headers(
    path: tuple[str, ...], headers: Mapping[str, str | SecretRef], *, references: bool = True
) -> Iterator[Complaint]:
    """Complains about headers that cannot or should not be sent; references: whether a value may be one."""
    better = "or { env = … } as the value" if references else "or { env = … } as a value of the service's `headers`"
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            yield (*path, name), "is not a valid HTTP header name", ""
        if not isinstance(value, str):
            continue
        if name.lower() in CREDENTIAL_HEADERS:
            yield (
                (*path, name),
                "credentials in a header would be readable in this file",
                f"use `authentication` of the service, `auth`, {better}",
            )
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]", value):
            yield (*path, name), "expected plain text in Latin-1 without control characters", ""


def nodes(path: tuple[str, ...], nodes: tuple[str, ...], expected: dict[str, int]) -> Iterator[Complaint]:
    """Complains about nodes that are listed twice, and about more of them expected than there are."""
    for position, node in enumerate(nodes):
        if node in nodes[:position]:
            yield (*path, "nodes", f"[{position}]"), f"{node} is listed twice", ""
    if sum(expected.values()) > len(nodes):
        words = " and ".join(f"{count} {what}" for what, count in expected.items())
        yield (*path, "expect"), f"{words} are expected, but {len(nodes)} nodes are declared", ""


def tls_files(path: tuple[str, ...], tls: object, root: Path) -> Iterator[Complaint]:
    """Complains about files of a table with `ca`, `certificate` and `key` that are not there."""
    for key in ("ca", "certificate", "key"):
        yield from file((*path, key), getattr(tls, key, None), root)
