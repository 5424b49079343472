"""Content-Security-Policy as browsers parse and enforce it (CSP Level 3, 2.2, 6.7 and 6.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_prodcheck.judging.headers.fields import SPACE, Headers, lines

Sources = tuple[str, ...]
_NOT_IN_META = ("frame-ancestors", "report-uri", "sandbox")
_NONCE = re.compile(r"'nonce-([A-Za-z0-9+/_-]+={0,2})'\Z", re.I)
_HASH = re.compile(r"'sha(?:256|384|512)-[A-Za-z0-9+/_-]+={0,2}'\Z", re.I)
# every host: "*", "https:", "http://*", "*:443", "https://*:*/path"
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


def everywhere(enforced: Sequence[Policy], allows: Callable[[Policy], bool]) -> bool:
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
