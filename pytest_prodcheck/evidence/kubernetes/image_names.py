"""Names of images as container runtimes read them, and whether they name one image.

The grammar: https://github.com/distribution/reference/blob/main/reference.go
"""

from __future__ import annotations

import re

_HOST = re.compile(r"(?:[A-Za-z0-9]+(?:(?:\.|-+)[A-Za-z0-9]+)*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?")
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_ID = re.compile(r"[0-9a-f]{64}")
LONGEST = 255  # characters of a repository's name


def image_fault(image: str) -> str:
    """Why the pods would not start, or might start another image tomorrow; "" for nothing."""
    if unreadable := _unreadable(image):
        return f"no container runtime can read this name: {unreadable}"
    named, at, _ = image.partition("@")
    tag = _split(named)[2]
    if at or tag not in ("", "latest"):
        return ""
    return "the tag latest: the newest image would start" if tag else \
        "neither a tag nor a digest: the newest image would start"


def _unreadable(image: str) -> str:
    named, at, digest = image.partition("@")
    host, path, tag = _split(named)
    if host and _HOST.fullmatch(host) is None:
        return f"{host} is no registry"
    if not _is_repository(path) or _ID.fullmatch(named):
        upper = path != path.lower() and _is_repository(path.lower())
        return "the repository must be in lower case" if upper else f"{path!r} is no repository"
    if (tag or named.endswith(":")) and _TAG.fullmatch(tag) is None:
        return f"{tag!r} is no tag"
    return f"{digest!r} is no digest" if at and _DIGEST.fullmatch(digest) is None else ""


def _is_repository(path: str) -> bool:
    return len(path) <= LONGEST and all(_PART.fullmatch(each) for each in path.split("/"))


def _split(named: str) -> tuple[str, str, str]:
    """Registry, repository, tag; the first part is a registry where it cannot be a part of a repository."""
    first, slash, rest = named.partition("/")
    has_host = ":" in first or "." in first or first == "localhost" or first != first.lower()
    has_host = has_host and bool(slash) and "_" not in first
    host, whole = (first, rest) if has_host else ("", named)
    path, _, tag = whole.partition(":")
    return host, path, tag
