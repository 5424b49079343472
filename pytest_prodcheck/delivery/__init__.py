"""What a run tells others when it is over: people, a Pushgateway, a collector of traces. No gate waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.verdict_documents import AnyVerdict

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Project
    from pytest_prodcheck.environments.sections.base import SecretRef

Resolve = Callable[["SecretRef"], str]


def deliver(
    project: Project,
    state: Path,
    run: RunRecord,
    verdicts: Sequence[AnyVerdict],
    resolve: Resolve,
    seen: Mapping[str, Sequence[tuple[int, int]]] | None = None,
) -> Iterator[str]:
    """Delivers what is declared; one line for each thing that could not be delivered, without any secret.

    seen: key of evidence -> trace and span ids that the answers in it named.
    """
    if project.notify:
        from pytest_prodcheck.delivery.notifications import tell_people

        yield from _problems_of_section("notify", tell_people(project, state, run, verdicts, resolve))
    if project.pushgateway is not None:
        from pytest_prodcheck.delivery.pushgateway import push

        yield from _problems_of_section("pushgateway", push(project.pushgateway, run, verdicts, resolve))
    if project.traces is not None:
        from pytest_prodcheck.delivery.traces import send_trace

        yield from _problems_of_section("traces", send_trace(project.traces, run, verdicts, resolve, seen))


def _problems_of_section(section: str, problems: Iterator[str]) -> Iterator[str]:
    """The problems of one section, an unforeseen error among them: the other sections are still delivered."""
    try:
        yield from problems
    except Exception as error:  # its text may hold a secret
        yield f"{section}: not delivered, because of an error in prodcheck itself: {type(error).__name__}"
