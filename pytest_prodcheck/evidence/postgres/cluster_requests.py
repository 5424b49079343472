"""What collectors that read a PostgreSQL cluster have in common: whom they ask, how long, what `plan` lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.collectors import Sending

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment

Sends = Callable[[str, "Environment"], tuple[Sending, ...]]


def first_node(target: str, environment: Environment) -> str:
    """Whom it talks to, for the cap on requests to one host."""
    return environment.postgres[target].nodes[0]


def seconds_for(target: str, environment: Environment) -> float:
    """For the roles of the nodes, a connection and two statements."""
    timeouts = environment.postgres[target].timeouts
    return 2 * (timeouts.connect + timeouts.statement) + 2


def to_primary(what: str) -> Sends:
    """One read-only session with the primary, whichever node that is."""

    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        return (_login_line(target, environment, "primary", what),)

    return sends


def for_long_reads(what: str) -> Sends:
    """One read-only session with the node that long reads go to."""

    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        settings = environment.postgres[target]
        standby = settings.read_on == "standby" or (settings.read_on is None and settings.expect.standbys > 0)
        return (_login_line(target, environment, "standby" if standby else "primary", what),)

    return sends


def to_every_node(what: str) -> Sends:
    """One read-only session with each node."""

    def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
        settings = environment.postgres[target]
        text = f"PostgreSQL login as {settings.user}, read only: {what}"
        return tuple(Sending(node, text) for node in settings.nodes)

    return sends


def _login_line(target: str, environment: Environment, role: str, what: str) -> Sending:
    settings = environment.postgres[target]
    to = settings.nodes[0] if len(settings.nodes) == 1 else f"the {role} of {target}"
    return Sending(to, f"PostgreSQL login as {settings.user}, read only: {what}")
