"""How much a page's Content-Security-Policy protects: what Mozilla's Observatory and CSP Evaluator look for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pytest_prodcheck.judging.headers import csp, shared_hosts
from pytest_prodcheck.judging.headers.csp import Policy
from pytest_prodcheck.judging.headers.findings import Findings, fails

SHORTEST_NONCE = 22  # characters of base64: 128 bits, as CSP Level 3, 7.1 asks for
# CSP Level 3, Trusted Types, Upgrade Insecure Requests, and what older levels and drafts had
_KNOWN = """base-uri block-all-mixed-content child-src connect-src default-src fenced-frame-src font-src form-action
    frame-ancestors frame-src img-src manifest-src media-src navigate-to object-src plugin-types prefetch-src referrer
    reflected-xss report-to report-uri require-sri-for require-trusted-types-for sandbox script-src script-src-attr
    script-src-elem style-src style-src-attr style-src-elem trusted-types upgrade-insecure-requests webrtc
    worker-src"""
_GONE = (  # which browsers have dropped, or never had
    "block-all-mixed-content", "navigate-to", "plugin-types", "prefetch-src", "referrer", "reflected-xss",
    "require-sri-for",
)  # fmt: skip
_WITHOUT_QUOTES = tuple(each.strip("'") for each in csp.KEYWORDS)
_LISTS = ("base-uri", "form-action", "frame-ancestors")  # of sources, beside all that end in -src, -elem, -attr


def judged(policies: Sequence[Policy]) -> Findings:
    """What the policies of one page let through, and what of them a browser drops."""
    enforced = [policy for policy in policies if policy.enforced]
    if not enforced:
        only = " (Content-Security-Policy-Report-Only blocks nothing)" if policies else ""
        return fails(f"no policy is enforced{only}")
    return Findings(tuple(_holes(enforced)), (*_weak(enforced), *_dropped(enforced)))


def _holes(enforced: Sequence[Policy]) -> Iterable[str]:
    def everywhere(allows: Callable[[Policy], bool]) -> bool:
        return csp.allowed_by_all(enforced, allows)

    if everywhere(lambda policy: policy.scripts is None):
        yield "it does not restrict scripts: script-src and default-src are missing"
    elif everywhere(lambda policy: csp.allows_any_script(policy.scripts)):
        yield "scripts may come from every host"
    elif everywhere(lambda policy: csp.allows_data(policy.scripts) or csp.allows_any_script(policy.scripts)):
        yield "scripts may come from data: URLs, which is as unsafe as inline scripts"


def _weak(enforced: Sequence[Policy]) -> Iterable[str]:
    def everywhere(allows: Callable[[Policy], bool]) -> bool:
        return csp.allowed_by_all(enforced, allows)

    restricted = [policy for policy in enforced if policy.scripts is not None]
    if not restricted:
        return
    if everywhere(lambda policy: csp.allows_inline(policy.scripts)):
        yield "inline scripts run ('unsafe-inline' without a nonce or hash)"
    elif everywhere(lambda policy: csp.allows_inline(policy.handlers)):
        yield "inline event handlers run ('unsafe-inline' without a nonce or hash)"
    if everywhere(lambda policy: csp.allows_eval(policy.evaluated)):
        yield "text may be executed as code ('unsafe-eval')"
    if everywhere(lambda policy: csp.allows_any_host(policy.objects)):
        yield "plug-ins are not restricted: object-src and default-src are missing"
    yield from _reachable(restricted)
    by_content = any(csp.trusts_by_content(policy.scripts or ()) for policy in restricted)
    if by_content and everywhere(lambda policy: csp.allows_any_host(policy.directives.get("base-uri"))):
        yield "base-uri is missing: an injected <base> moves the scripts that have a nonce or hash"
    short = {nonce for policy in restricted for nonce in csp.nonces(policy) if len(nonce.rstrip("=")) < SHORTEST_NONCE}
    if short:
        yield "a nonce has less than 128 bits"


def _reachable(restricted: Sequence[Policy]) -> Iterable[str]:
    """What strangers can have scripts served by although hosts are listed: where all the policies let them."""
    listed = [policy.scripts or () for policy in restricted]
    if any(csp.has(sources, "'strict-dynamic'") for sources in listed):
        return  # hosts are out of force
    fewest = min(listed, key=len)
    for source in fewest:
        if csp.is_source(source) and not csp.allows_any_host((source,)):
            if why := shared_hosts.anybody_serves(source):
                yield f"{source[:60]} in the scripts' list: {why}"
            elif source.lower().startswith("http://"):
                yield (
                    f"{source[:60]} in the scripts' list: attackers on the network can "
                    "change scripts that come over plain HTTP"
                )


def _dropped(enforced: Sequence[Policy]) -> Iterable[str]:
    for policy in enforced:
        for name in dict.fromkeys(policy.repeated):
            yield f"{name} exists twice: browsers use the first one"
        for name, sources in policy.directives.items():
            if name not in _KNOWN.split():
                yield f"{name[:40]} is not a directive: browsers ignore it"
            elif name == "require-trusted-types-for" and not csp.has(sources, "'script'"):
                yield "require-trusted-types-for without 'script' has no effect"
            elif name == "trusted-types" and "*" in sources:
                yield "trusted-types *: every script may create its own policy"
            if name.endswith(("-src", "-src-elem", "-src-attr")) or name in _LISTS:
                yield from _no_sources(name, sources)


def _no_sources(name: str, sources: Sequence[str]) -> Iterable[str]:
    """What of a list is no source expression, or means another thing than it looks like."""
    for source in sources:
        lower = source.lower()
        if lower in _WITHOUT_QUOTES or lower.startswith(("nonce-", "sha256-", "sha384-", "sha512-")):
            yield f"{source[:20]} in {name} has no quotes, so browsers read it as a host"
        elif lower.startswith("'nonce-") and not csp.is_nonce(source):
            yield f"a nonce in {name} is not base64: browsers ignore it"
        elif not csp.is_source(source):
            yield f"{source[:40]} in {name} is not a source: browsers ignore it"
        elif lower == "'none'" and len(sources) > 1:
            yield f"'none' in {name} has no effect together with other sources"


def extras(policies: Sequence[Policy]) -> Iterable[str]:
    """What a policy that restricts scripts could do besides; nothing where none does."""
    restricted = [policy for policy in policies if policy.enforced and policy.scripts is not None]
    enforced = [policy for policy in policies if policy.enforced]
    if not restricted:
        return
    if csp.allowed_by_all(enforced, lambda policy: csp.allows_any_host(policy.directives.get("form-action"))):
        yield "form-action is missing or allows every host: an injected form could send user input to any site"
    for name in dict.fromkeys(name for policy in enforced for name in policy.directives if name in _GONE):
        yield f"{name} in the policy is obsolete: browsers ignore it"


def same_nonce(pages: Sequence[Sequence[Policy]]) -> bool:
    """Whether several answers of one page share a nonce, which then is no secret; False for fewer than two."""
    each = [{nonce for policy in policies for nonce in csp.nonces(policy)} for policies in pages]
    return len(each) > 1 and bool(set.intersection(*each))
