"""Scripts and styles that a page asks for and browsers do not load: mixed content, or its own policy forbids them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.judging.headers import csp
from pytest_prodcheck.judging.headers.csp import Policy
from pytest_prodcheck.judging.headers.html_tokens import tokens


@dataclass(frozen=True)
class Subresource:
    """A script, style or frame that a page asks for. url: whole. trusted: it has a nonce or hash."""

    kind: str  # "script", "style", "frame"
    url: str
    nonce: str = ""
    integrity: str = ""


def subresources(page: str, url: str) -> Iterator[Subresource]:
    """What of a page's text is asked for as soon as it is parsed; what stands in a <template> is not."""
    base, templates, based = url, 0, False
    for token in tokens(page):
        if token.name == "template":
            templates = max(0, templates + (-1 if token.end else 1))
        if token.end or templates:
            continue
        given = token.attributes
        if token.name == "base" and "href" in given and not based:
            base, based = urljoin(url, given["href"]), True
        found = ""
        if token.name == "script" and "src" in given and _runs(given.get("type", "")):
            kind, found = "script", given["src"]
        elif token.name == "link" and "stylesheet" in given.get("rel", "").lower().split():
            kind, found = "style", given.get("href", "")
        elif token.name == "iframe":
            kind, found = "frame", given.get("src", "")
        if found.strip():
            yield Subresource(kind, urljoin(base, found.strip()), given.get("nonce", ""), given.get("integrity", ""))


def _runs(kind: str) -> bool:
    """Whether a <script> of this type is one: JSON and templates are not."""
    essence = kind.partition(";")[0].strip().lower()
    return essence in ("", "module") or essence.endswith(("javascript", "ecmascript", "jscript", "livescript"))


def is_mixed_content(load: Subresource, page_url: str, policies: Sequence[Policy]) -> bool:
    """Whether a browser blocks it as mixed content (Mixed Content, 4.4); upgraded requests are none."""
    if urlsplit(page_url).scheme != "https" or urlsplit(load.url).scheme != "http":
        return False
    if any(policy.enforced and "upgrade-insecure-requests" in policy.directives for policy in policies):
        return False
    return not _is_this_machine(urlsplit(load.url).hostname or "")


def _is_this_machine(host: str) -> bool:
    """Secure Contexts, 3.1: loopback is trustworthy without TLS."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")


def forbidden(load: Subresource, page_url: str, policies: Sequence[Policy]) -> bool:
    """Whether a policy of the page keeps a script of it from loading; others than scripts are not looked at."""
    if load.kind != "script" or urlsplit(load.url).scheme not in ("http", "https"):
        return False
    parts = urlsplit(page_url)
    own = f"{parts.scheme}://{parts.netloc}"
    return any(policy.enforced and not _allows(policy, load, own) for policy in policies)


def _allows(policy: Policy, load: Subresource, own: str) -> bool:
    sources = policy.scripts
    if sources is None or (load.nonce and load.nonce in csp.nonces(policy)):
        return True
    hashes = [f"'{each}'" for each in load.integrity.split()]
    if hashes and all(each in sources for each in hashes):
        return True
    upgraded = "upgrade-insecure-requests" in policy.directives
    url = load.url.replace("http://", "https://", 1) if upgraded else load.url
    return csp.allows_url(sources, url, own)
