"""What a deployment asks services, clusters and Prometheus with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context


def evidence_context(environment: Environment, root: Path, passed_environment: tuple[str, ...] = ()) -> Context:
    """A context of one environment; to be closed by the caller."""
    from pytest_prodcheck.environments.redaction import Redactor
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.evidence.context import Context

    secrets = SecretResolver(root, passed_environment)
    return Context(environment, root, secrets=secrets, redactor=Redactor(), run_id="deploy", passed=passed_environment)
