"""A `curl` line that sends a request once more: for a person with a shell, without secrets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.tools import sanitizing

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Service

LONGEST_BODY = 400  # characters


def curl(
    request: Request, url: str, service: Service, headers: Mapping[str, object], redact: Callable[[str], str]
) -> str:
    """The line; a secret header is `$NAME_HEADER`, a body that is long or holds a secret is `@body`.

    headers: those of environment, service and request, secret references among them. url: fit to be shown.
    """
    words = ["curl", "-sS", "-i", "--compressed", *_method(request), *_connection_options(service)]
    for name, value in headers.items():
        words += ["-H", _header(name, value, redact)]
    words += _body(request, redact)
    words += ["-g"] if set("[]{}") & set(url) else []  # else curl takes these for ranges and lists
    return " ".join([*words, shlex.quote(url)])


def _method(request: Request) -> Iterator[str]:
    has_body = request.json is not None or request.form is not None or request.text is not None
    if request.method == "HEAD":
        yield "--head"
    elif request.method != ("POST" if has_body else "GET"):
        yield from ("-X", shlex.quote(request.method))


def _connection_options(service: Service) -> Iterator[str]:
    """Whom to connect to, and whom to trust."""
    tls = service.tls
    if service.connect_to is not None:
        yield from ("--connect-to", shlex.quote(f"::{service.connect_to}"))
    if service.proxy is not None:
        yield from ("--proxy", shlex.quote(sanitizing.url(service.proxy)))
    if tls.verify == "off":
        yield "-k"
    for option, file in (("--cacert", tls.ca), ("--cert", tls.certificate), ("--key", tls.key)):
        if file is not None:
            yield from (option, shlex.quote(str(file)))


def _header(name: str, value: object, redact: Callable[[str], str]) -> str:
    secret = not isinstance(value, str) or sanitizing.is_secret_name(name) or redact(value) != value
    if secret or type(value) is not str:
        variable = "".join(each if each.isalnum() else "_" for each in name.upper())
        return f'"${variable}_HEADER"'  # the whole field: what names it would be taken for the secret itself
    return shlex.quote(f"{name}: {value}")


def _body(request: Request, redact: Callable[[str], str]) -> Iterator[str]:
    if request.json is not None:
        yield from ("-H", "'Content-Type: application/json'")
        text = json.dumps(request.json, ensure_ascii=False)
    elif request.form is not None:
        text = "&".join(f"{name}={value}" for name, value in request.form.items())
    elif request.text is not None:
        text = request.text
    else:
        return
    hidden = len(text) > LONGEST_BODY or sanitizing.is_secret_name(text) or redact(text) != text
    yield from ("--data-binary", "@body" if hidden else shlex.quote(text))
