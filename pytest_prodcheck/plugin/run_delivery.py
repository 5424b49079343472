"""Tells others of a run that is over; what goes wrong there is said and changes no verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.gates.verdict import Verdict
    from pytest_prodcheck.outcomes import RunRecord
    from pytest_prodcheck.plugin.http_exchanges import Source
    from pytest_prodcheck.plugin.run_start import RunContext


def deliver_run(opened: RunContext, run: RunRecord, verdicts: Sequence[Verdict], source: Source | None) -> list[str]:
    """Delivers what is declared; returns what could not be delivered. Nobody is told of runs that touch no gate."""
    project = opened.configuration.project
    if run.replay_of or opened.options.no_gate or not (project.notify or project.pushgateway or project.traces):
        return []
    from pytest_prodcheck.delivery import deliver
    from pytest_prodcheck.environments.secrets import SecretResolver

    resolver = SecretResolver(opened.configuration.root, project.pass_environment)
    problems: list[str] = []
    try:
        seen = {}
        if project.traces is not None and source is not None:
            from pytest_prodcheck.plugin.http_exchanges import trace_ids

            seen = trace_ids(source, (key for each in run.results for key in each.evidence))
        problems.extend(deliver(project, opened.state, run, verdicts, resolver.resolve, seen))
    except (Exception, KeyboardInterrupt) as error:  # the verdicts stand, whatever became of telling others
        problems.append(f"notifications about this run could not be sent: {type(error).__name__}")
    return problems
