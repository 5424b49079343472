"""Contexts to gather with, and what gathering says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.project import Environment
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.environments.sections.base import SecretRef
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem, Problem

MADE: list[Context] = []  # closed after each test


def context_for(root: Path, **settings: Any) -> Context:
    """A context of an environment with these settings."""
    environment = Environment.model_validate({"name": "test", **settings})
    secrets = SecretResolver(root)
    context = Context(environment, root, secrets=secrets, redactor=Redactor(), revision="r-1", run_id="run-7")
    MADE.append(context)
    return context


class FileSecrets:
    """Secrets are the text of `{ file = … }` itself."""

    def resolve(self, ref: SecretRef, timeout: float) -> str:
        return str(ref.file)


class NoRedactor:
    def add(self, value: str) -> None: ...

    def redact(self, text: str) -> str:
        return text

    def redact_data(self, obj: Any) -> Any:
        return obj


def context(root: Path = Path("/"), **tables: Any) -> Context:
    return Context(Environment(**tables), root, secrets=FileSecrets(), redactor=NoRedactor())


def gather(name: str, target: str, given: Context, seconds: float | None = None) -> Any:
    collector = find(name)
    allowed = seconds or collector.seconds_for(target, given.environment)
    return collector.gather(target, given, Deadline(allowed))


def problem_of(call: Callable[[], Any]) -> Problem:
    with pytest.raises(EvidenceProblem) as caught:
        call()
    return caught.value.problem
