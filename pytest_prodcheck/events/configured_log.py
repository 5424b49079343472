"""Opens the event log that a project declares: its PostgreSQL server, else the file in the state folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.events.log import EventLog, LogProblem, open_file, open_server

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Events
    from pytest_prodcheck.environments.sections.base import SecretRef


def open_log(
    state: Path, declared: Events | None, resolve: Callable[[SecretRef], str]
) -> AbstractContextManager[EventLog]:
    """The log to use in a `with`; raises LogProblem."""
    if declared is None:
        return open_file(state)
    try:
        return open_server(resolve(declared.dsn))
    except ValueError as error:  # a secret that does not resolve
        raise LogProblem(f"the event log: {error}") from None
