"""Writes a run into the event log; a log that cannot be written is said and changes no verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.gates.verdict import Verdict
    from pytest_prodcheck.outcomes import RunRecord
    from pytest_prodcheck.plugin.run_start import RunContext


def record_events(
    opened: RunContext, run: RunRecord, verdicts: Sequence[Verdict], gathered: Mapping[str, float]
) -> str:
    """Appends the run and, where it touches gates, its verdicts; returns what went wrong, "" where nothing did.

    gathered: key of evidence -> how many seconds it took.
    """
    if run.replay_of:
        return ""
    from pytest_prodcheck.environments.secrets import SecretResolver
    from pytest_prodcheck.events.configured_log import open_log
    from pytest_prodcheck.events.log import KEPT, LogProblem
    from pytest_prodcheck.events.run_events import events_of

    project = opened.configuration.project
    resolver = SecretResolver(opened.configuration.root, project.pass_environment)
    keep = project.events.keep if project.events is not None else KEPT
    try:
        with open_log(opened.state, project.events, resolver.resolve) as log:
            log.add(*events_of(run, () if opened.options.no_gate else verdicts, gathered))
            log.forget(time.time() - keep)
    except LogProblem as error:
        return str(error)
    return ""
