"""Who may frame a page: `frame-ancestors` (CSP Level 3, 6.4.2), else X-Frame-Options as the HTML Standard reads it."""

from __future__ import annotations

from pytest_prodcheck.judging.headers import csp
from pytest_prodcheck.judging.headers.fields import Headers, listed
from pytest_prodcheck.judging.headers.findings import Findings, fails, warns

_CONFLICTING = ("deny", "allowall", "sameorigin")


def judged(headers: Headers) -> Findings:
    """Whether strangers are kept from framing the page; <meta> and Report-Only do not count here."""
    headers = tuple(headers)
    enforced = [policy for policy in csp.policies(headers) if policy.enforced]
    ancestors = [policy.directives["frame-ancestors"] for policy in enforced if "frame-ancestors" in policy.directives]
    options = tuple(dict.fromkeys(value.lower() for value in listed(headers, "X-Frame-Options") or ()))
    if ancestors:
        if all(csp.allows_any_host(sources) for sources in ancestors):
            beside = ", which overrides X-Frame-Options" if options else ""
            return fails(f"frame-ancestors allows every site to frame it{beside}")
        return Findings()
    return _options(options)


def _options(options: tuple[str, ...]) -> Findings:
    """HTML Standard, "check a navigation response's adherence to X-Frame-Options"."""
    if len(options) > 1:
        if any(value in _CONFLICTING for value in options):
            return warns([f"X-Frame-Options contradicts itself ({', '.join(options)[:60]}): browsers block all frames"])
        return fails(f"X-Frame-Options: {', '.join(options)[:60]} is not understood, so every site may frame it")
    if not options:
        return fails("neither frame-ancestors nor X-Frame-Options: every site may frame it")
    if options[0] not in ("deny", "sameorigin"):
        return fails(f"X-Frame-Options: {options[0][:60]} is not understood, so every site may frame it")
    return Findings()
