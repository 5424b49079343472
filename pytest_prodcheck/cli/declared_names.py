"""Whether what a command names is there at all: a gate, an environment, a unit, a slot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load
from pytest_prodcheck.gates.paths import EMBEDDED
from pytest_prodcheck.judging.checks import SUITES

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.gates.verdict_files import VerdictQuery


class UnknownName(ValueError):
    """Something that was named and is not there; the message names what is."""


def refuse_unknown(ask: VerdictQuery) -> Environment | None:
    """The environment that a question is about, None for the embedded one; raises NotThere."""
    path = find_configuration(Path.cwd())
    gates: list[str] = list(SUITES)
    environment = None
    try:
        configuration = load(path) if path is not None else None
        if configuration is not None and (
            ask.environment != EMBEDDED or EMBEDDED in configuration.project.environments
        ):
            environment = configuration.environment(ask.environment, unit=ask.unit, slot=ask.slot)
            gates += configuration.project.gates
        elif ask.environment != EMBEDDED:
            raise UnknownName("there is no prodcheck.toml in this folder or above it")
    except ConfigurationError as error:
        raise UnknownName(str(error)) from None
    if ask.gate not in gates:
        raise UnknownName(f"there is no gate {ask.gate!r}; there are {', '.join(gates)}")
    return environment
