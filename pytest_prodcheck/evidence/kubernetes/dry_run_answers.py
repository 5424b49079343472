"""What an answer to a dry run says: taken, refused, or that it could not be asked."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from pytest_prodcheck.evidence.kubernetes.objects import rows, table
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import Problem
from pytest_prodcheck.records.kubernetes import Manifest

# a server-side apply's no to a file that it cannot read as the kind, answered with 500
_UNREADABLE = re.compile(r"failed to (?:create typed|convert) ")
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')  # RFC 9110 had it; Kubernetes sends it for deprecations
_NO_DRY_RUN = re.compile(r'admission webhook "([^"]+)" does not support dry run')
_CALL_FAILED = re.compile(r'failed calling webhook "([^"]+)"')
_LONG = 400  # characters
_REFUSED = "denied the request"  # by a webhook, whatever status it gave
_NOT_OURS = ("forbidden: User", "is attempting to grant RBAC permissions not currently held")


def with_answer(asked: Manifest, answer: tuple[int, bytes, str], verb: str) -> Manifest:
    """The object with what the server answered; verb: the right that the request takes."""
    status, content, header = answer
    found = tuple(each.replace('\\"', '"') for each in _WARNING.findall(header))
    if 200 <= status < 300:
        return replace(asked, accepted=True, warnings=found)
    said = message(content)
    refused = replace(asked, accepted=False, said=said, warnings=found)
    problem = _problem(status, said, asked.name, f"{verb} {asked.kind}")
    return refused if problem is None else replace(refused, problem=problem)


def message(content: bytes) -> str:
    """The message of a Status; a value that it quotes whole is cut in the middle, for the reason stands behind it."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return "no JSON"
    if not isinstance(document, dict):
        return "no JSON object"
    whole, details = str(document.get("message", "")), table(document, "details")
    causes = [
        f"{each.get('field', '')}: {_shortened(str(each.get('message', '')))}" for each in rows(details, "causes")
    ]
    if len(whole) > _LONG and causes:
        whole = f"{details.get('kind', '')} {details.get('name', '')} is invalid: {'; '.join(causes)}"
    return plain(whole, 1000)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:60]} … {text[-120:]}"


def _problem(status: int, said: str, name: str, right: str) -> Problem | None:
    """Why an answer is neither a yes nor a no, None for a no."""
    if _REFUSED in said or _UNREADABLE.match(said):
        return None
    if status in (401, 403) and any(each in said for each in _NOT_OURS):
        hint = f"grant {right} to the role of prodcheck; `prodcheck grants --kubernetes` prints that role"
        return Problem("denied", f"{name}: {said}", hint)
    if webhook := _NO_DRY_RUN.search(said):
        hint = "if it has no side effects, declare sideEffects: None or NoneOnDryRun in its configuration"
        return Problem("protocol", f"{name}: the webhook {webhook[1]} does not support dry runs", hint)
    if webhook := _CALL_FAILED.search(said):
        hint = "the webhook stops the real request, too"
        return Problem("protocol", f"{name}: the webhook {webhook[1]} does not answer: {said}", hint)
    if status == 401 or status == 429 or status >= 500:
        return Problem("protocol", f"{name}: answered {status}: {said}")
    return None
