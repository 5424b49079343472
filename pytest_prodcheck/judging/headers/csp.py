"""Content-Security-Policy as browsers parse and enforce it (CSP Level 3, 2.2, 6.7 and 6.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from pytest_prodcheck.judging.headers.fields import SPACE, Headers, lines

Sources = tuple[str, ...]
_NOT_IN_META = ("frame-ancestors", "report-uri", "sandbox")
_NONCE = re.compile(r"'nonce-([A-Za-z0-9+/_-]+={0,2})'\Z", re.I)
_HASH = re.compile(r"'sha(?:256|384|512)-[A-Za-z0-9+/_-]+={0,2}'\Z", re.I)
# every host: "*", "https:", "http://*", "*:443", "https://*:*/path"
KEYWORDS = (
    "'none'", "'self'", "'unsafe-inline'", "'unsafe-eval'", "'strict-dynamic'", "'report-sample'", "'unsafe-hashes'",
    "'wasm-unsafe-eval'", "'unsafe-allow-redirects'", "'inline-speculation-rules'", "'trusted-types-eval'",
    "'report-sha256'", "'report-sha384'", "'report-sha512'",
)  # fmt: skip
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\*|(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])"
    r"(?::([0-9]+|\*))?(/[^\s;,?#]*)?"
)
_ANY_HOST = re.compile(r"(?:(?:https?|wss?):|(?:(?:https?|wss?)://)?\*(?::(?:\*|[0-9]+))?(?:/.*)?)\Z", re.I)


@dataclass(frozen=True)
class Policy:
    """One policy. directives: name -> source expressions; of a repeated one the first. repeated: those dropped."""

    directives: Mapping[str, Sources]
    enforced: bool = True
    repeated: tuple[str, ...] = ()

    def sources(self, *names: str) -> Sources | None:
        """The expressions of the first of these directives that is there, None where none is: nothing restricts it."""
        return next((self.directives[name] for name in names if name in self.directives), None)

    @property
    def scripts(self) -> Sources | None:
        """Where script elements may come from."""
        return self.sources("script-src-elem", "script-src", "default-src")

    @property
    def handlers(self) -> Sources | None:
        """What holds for inline event handlers."""
        return self.sources("script-src-attr", "script-src", "default-src")

    @property
    def evaluated(self) -> Sources | None:
        """What holds for eval()."""
        return self.sources("script-src", "default-src")

    @property
    def objects(self) -> Sources | None:
        """Where plug-ins' data may come from."""
        return self.sources("object-src", "default-src")


def parse(text: str, enforced: bool = True) -> Policy:
    """One serialized policy (2.2.1): unknown directives stay, of a repeated one only the first counts."""
    directives: dict[str, Sources] = {}
    repeated = []
    for token in (each.strip(SPACE) for each in text.split(";")):
        if not token or not token.isascii():
            continue
        name, *sources = token.split()
        if name.lower() in directives:
            repeated.append(name.lower())
        else:
            directives[name.lower()] = tuple(sources)
    return Policy(directives, enforced, tuple(repeated))


def policies(headers: Headers, metas: Iterable[str] = ()) -> tuple[Policy, ...]:
    """All policies of a page, in fields (lists, split at commas) and <meta>; those without directives are none."""
    headers = tuple(headers)
    found = [
        parse(part, enforced)
        for name, enforced in (("Content-Security-Policy", True), ("Content-Security-Policy-Report-Only", False))
        for value in lines(headers, name)
        for part in value.split(",")
    ]
    for text in metas:
        policy = parse(text)  # 3.3: some directives do not count in <meta>
        kept = {name: sources for name, sources in policy.directives.items() if name not in _NOT_IN_META}
        found.append(Policy(kept, True, policy.repeated))
    return tuple(policy for policy in found if policy.directives)


def allowed_by_all(enforced: Sequence[Policy], allows: Callable[[Policy], bool]) -> bool:
    """Whether something is allowed by a page's policies: only where all of them allow it (4.1)."""
    return all(allows(policy) for policy in enforced)


def is_nonce(source: str) -> bool:
    """Whether an expression is a valid nonce; browsers drop others."""
    return bool(_NONCE.match(source))


def nonces(policy: Policy) -> set[str]:
    """The values of all nonces of a policy."""
    every = (source for sources in policy.directives.values() for source in sources)
    return {found[1] for source in every if (found := _NONCE.match(source))}


def trusts_by_content(sources: Sources) -> bool:
    """Whether a list holds a nonce or a hash."""
    return any(is_nonce(source) or _HASH.match(source) for source in sources)


def has(sources: Sources, keyword: str) -> bool:
    """Whether a list holds a keyword such as 'unsafe-inline'; keywords know no case."""
    return any(source.lower() == keyword for source in sources)


def allows_inline(sources: Sources | None) -> bool:
    """Whether any inline script may run (6.7.3.2): 'unsafe-inline' counts for nothing beside a nonce or a hash."""
    if sources is None:
        return True
    if trusts_by_content(sources) or has(sources, "'strict-dynamic'"):
        return False
    return has(sources, "'unsafe-inline'")


def is_source(source: str) -> bool:
    """Whether it is a source expression (2.3.1); browsers drop what is none."""
    lower = source.lower()
    if lower.startswith("'"):
        return lower in KEYWORDS or is_nonce(source) or bool(_HASH.match(source))
    return bool(_SCHEME.fullmatch(source) or _HOST.fullmatch(source))


def allows_url(sources: Sources, url: str, own: str) -> bool:
    """Whether a list lets a page of the origin `own` load a script from an address (6.7.2.7)."""
    if has(sources, "'strict-dynamic'"):
        return False  # for those that stand in the page, and have no nonce or hash
    return any(_matches(source, urlsplit(url), urlsplit(own)) for source in sources)


def _matches(source: str, url: SplitResult, own: SplitResult) -> bool:
    if source.lower() == "'self'":
        return (url.scheme, url.hostname, url.port) == (own.scheme, own.hostname, own.port)
    if scheme := _SCHEME.fullmatch(source):
        return _same_scheme(scheme[1].lower(), url.scheme)
    parts = _HOST.fullmatch(source)
    if parts is None:
        return False
    scheme_of, host, port, path = parts.groups()
    if source == "*":
        return url.scheme in ("http", "https", "ws", "wss", own.scheme)
    if not _same_scheme((scheme_of or own.scheme).lower(), url.scheme):
        return False
    name = (url.hostname or "").lower()
    host = host.lower()
    if not (host in ("*", name) or (host.startswith("*.") and name.endswith(host[1:]))):
        return False
    default = {"http": 80, "https": 443}.get(url.scheme)
    here = url.port or default
    if port != "*" and here != (int(port) if port else default) and not (port == "80" and here == 443):
        return False
    if not path or path == "/":
        return True
    return url.path.startswith(unquote(path)) if path.endswith("/") else url.path == unquote(path)


def _same_scheme(allowed: str, asked: str) -> bool:
    """A plain scheme allows its encrypted sister (6.7.2.9)."""
    return allowed == asked or (allowed, asked) in (("http", "https"), ("ws", "wss"))


def allows_any_host(sources: Sources | None) -> bool:
    """Whether content may come from, or be framed by, every host."""
    return sources is None or any(_ANY_HOST.match(source) for source in sources)


def allows_any_script(sources: Sources | None) -> bool:
    """Whether scripts may come from every host: for them alone (6.7.1.1) 'strict-dynamic' puts hosts out of force."""
    return sources is None or (not has(sources, "'strict-dynamic'") and allows_any_host(sources))


def allows_data(sources: Sources | None) -> bool:
    """Whether `data:` addresses may be loaded, which anybody can write inline."""
    if sources is None:
        return True
    return not has(sources, "'strict-dynamic'") and any(source.lower() == "data:" for source in sources)


def allows_eval(sources: Sources | None) -> bool:
    """Whether text may be made code."""
    return sources is None or has(sources, "'unsafe-eval'")
