"""Tells what a source is, and has the right reader propose from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_prodcheck.evidence.tools.bounded_data import refuse_bombs
from pytest_prodcheck.proposals.proposal import CannotPropose, Proposal
from pytest_prodcheck.trusted_files import read_regular

_LARGEST = 8 * 1024 * 1024


def propose(source: str, ca: str | None = None) -> Proposal:
    """What is proposed from an address or a file; raises CannotPropose.

    ca: file with the CA certificates to trust, where an address is asked; the system's for None.
    """
    if source.lower().startswith(("http://", "https://")):
        from pytest_prodcheck.proposals.address import from_address

        return from_address(source, ca)
    try:
        text = read_regular(source, _LARGEST + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotPropose(f"{source} cannot be read: {error}") from None
    document = _parsed(text, source)
    if "openapi" in document or "swagger" in document:
        from pytest_prodcheck.proposals.openapi import from_openapi

        return from_openapi(document)
    if document.get("kind") == "Config" and isinstance(document.get("contexts"), list):
        from pytest_prodcheck.proposals.kubeconfig import from_kubeconfig

        return from_kubeconfig(document, source)
    if isinstance(document.get("services"), dict):
        from pytest_prodcheck.proposals.compose import from_compose

        return from_compose(document, Path(source).resolve().parent.name)
    raise CannotPropose(f"{source} is not an OpenAPI document, a kubeconfig or a compose file")


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except CannotPropose:
        raise
    except RecursionError:
        raise CannotPropose(f"{source} is nested too deeply") from None
    except Exception as error:  # of either parser
        raise CannotPropose(f"{source} is neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from None
    try:
        refuse_bombs(found)
    except ValueError as error:
        raise CannotPropose(f"{source}: {error}") from None
    if not isinstance(found, dict):
        raise CannotPropose(f"{source} does not contain a mapping of keys")
    return found


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise CannotPropose("reading YAML needs PyYAML: pip install 'pytest-prodcheck[kubernetes]'") from None
    return yaml.safe_load(text)
