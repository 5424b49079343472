"""How a closed method may be asked for in another one: what frameworks and gateways take for the method. Pure.

OWASP Web Security Testing Guide, WSTG-CONF-06: X-HTTP-Method, X-HTTP-Method-Override, X-Method-Override. `_method` is
the form field of Rails, Laravel, Symfony and Spring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.http.messages import Request

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Endpoint, Service

HEADERS = ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")
FIELD = "_method"


@dataclass(frozen=True)
class OverrideRequest:
    """One request. baseline: the other method alone, which has to be closed itself for the others to tell anything."""

    how: str
    request: Request
    baseline: bool = False


def other_method(declared: Endpoint, service: Service) -> tuple[str, bool]:
    """The method to hide the closed one in, and whether it is asked alone first, which only a safe one is.

    HEAD for a safe request. POST for an unsafe one, as frameworks look into no other; GET where it is a POST itself, or
    the path's POST is declared and so does something of its own.
    """
    if declared.changes_nothing:
        return "HEAD", True
    path = declared.path.partition("?")[0]
    posts = any(
        each.method == "POST" and each.path.partition("?")[0] == path and each is not declared
        for each in service.endpoints.values()
    )
    return ("GET", True) if declared.method == "POST" or posts else ("POST", False)


def override_requests(
    declared: Endpoint, service: Service, headers: Mapping[str, str], *, anonymous: bool = False
) -> Iterator[OverrideRequest]:
    """The requests, baseline first; none for methods without a fitting other one."""
    if declared.method in ("HEAD", "OPTIONS") or (declared.changes_nothing and declared.method != "GET"):
        return
    method, alone = other_method(declared, service)
    own = {**declared.headers, **headers}
    json = None if method in ("GET", "HEAD") else declared.json_
    sent = None if method in ("GET", "HEAD") else declared.form
    if alone:
        yield OverrideRequest(method, Request(method, declared.path, own, anonymous=anonymous), baseline=True)
    for name in HEADERS:
        request = Request(method, declared.path, {**own, name: declared.method}, json, sent, anonymous=anonymous)
        yield OverrideRequest(f"{method} with {name}: {declared.method}", request)
    mark = "&" if "?" in declared.path else "?"
    path = f"{declared.path}{mark}{FIELD}={declared.method}"
    form = {FIELD: declared.method, **_fields(declared.json_), **(declared.form or {})} if method == "POST" else None
    yield OverrideRequest(
        f"{method} with {FIELD}={declared.method}", Request(method, path, own, form=form, anonymous=anonymous)
    )


def _fields(document: object) -> dict[str, str]:
    """The plain values of a JSON object as form fields, for the form has to be one that the handler understands."""
    plain = document.items() if isinstance(document, dict) else ()
    return {str(name): str(value) for name, value in plain if isinstance(value, (str, int, float))}


def override_names(declared: Endpoint, service: Service) -> list[str]:
    """The same in words, for `prodcheck plan`."""
    return [way.how for way in override_requests(declared, service, {})]
