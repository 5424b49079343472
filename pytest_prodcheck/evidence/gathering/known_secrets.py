"""Learns the secrets that cost nothing to read before anything is gathered: one service may show another's."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.sections.base import SecretRef, Section
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context

PATIENCE = 2.0  # seconds


def learn_secrets(context: Context) -> None:
    """Has the values of `env` and `file` references blanked from now on; commands wait for their first use.

    One that cannot be read is told where it is used; one that hangs (a pipe that nobody writes) holds up for PATIENCE.
    """
    learning = threading.Thread(target=_resolve_all, args=(context,), name="prodcheck-secrets", daemon=True)
    learning.start()
    learning.join(PATIENCE)


def _resolve_all(context: Context) -> None:
    for reference in references(context.environment):
        if reference.command is None:
            try:
                context.secret(reference)
            except EvidenceProblem:
                continue


def places_of_secrets(environment: Environment) -> Iterator[tuple[str, str]]:
    """Where another process of this run finds the secrets that cost nothing to read: `(env or file, name)`."""
    for reference in references(environment):
        if reference.env is not None:
            yield "env", reference.env
        elif reference.file is not None:
            yield "file", reference.file


def references(value: Any) -> Iterator[SecretRef]:
    """The references to secrets in a part of the configuration, those of own collectors too."""
    if isinstance(value, SecretRef):
        yield value
    elif isinstance(value, Section):
        yield from _references_in(vars(value).values())
    elif isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("env", value.get("file")), str):
            yield SecretRef.model_validate(value)
        yield from _references_in(value.values())
    elif isinstance(value, (tuple, list)):
        yield from _references_in(value)


def _references_in(values: Iterable[Any]) -> Iterator[SecretRef]:
    for value in values:
        if isinstance(value, (Section, dict, tuple, list)):  # texts and numbers, of which there are most, hold none
            yield from references(value)
