"""`auth-ownership`: what belongs to one user, asked for by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.access.role_requests import declared_request, entry
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import endpoint, endpoint_host, host_of
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.evidence.services.endpoint import endpoint_seconds
from pytest_prodcheck.records.access import Entry, OwnershipPair

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    service, declared, _ = endpoint(environment, target)
    control = service.endpoints[declared.control or ""]
    writes = not declared.changes_nothing
    return (
        Sending(host_of(service), f"{control.request} as {control.as_} (control)"),
        Sending(host_of(service), f"{declared.request} as {declared.as_}", writes=writes),
    )


@evidence(
    "auth-ownership", axis="endpoint", feature="ownership", seconds=endpoint_seconds, host=endpoint_host, sends=_sends
)
def auth_ownership(target: str, context: Context, deadline: Deadline) -> OwnershipPair:
    """The owner's answer (control), then the stranger's."""
    service, declared, name = endpoint(context.environment, target)
    control = service.endpoints[declared.control or ""]
    owned, text = _ask(name, control, context, deadline)
    found, told = _ask(name, declared, context, deadline)
    shown = len(text.strip()) > 1 and text.strip() in told
    expected = control.status or tuple(range(200, 300))
    return OwnershipPair(
        str(control.as_), str(declared.as_), owned, expected, found, declared.status or (), shown
    )  # fmt: skip


def _ask(name: str, declared: Endpoint, context: Context, deadline: Deadline) -> tuple[Entry, str]:
    headers = session_of(context, declared.as_, deadline).headers
    return entry(name, declared_request(declared, headers), context, deadline)
