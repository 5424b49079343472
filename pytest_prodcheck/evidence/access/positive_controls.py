"""Whether somebody who may gets through a route by an unsafe method: without that, a refusal may be a CSRF filter's."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import writes
from pytest_prodcheck.evidence.services.endpoint import endpoint_answer
from pytest_prodcheck.evidence.services.workflow import workflow
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_prodcheck.environments.sections.services import Endpoint
    from pytest_prodcheck.environments.sections.workflows import Step
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records import Exchange, StepAnswer

_VARIABLE = re.compile(r"\\\{[^{}]*\\\}")


def unsafe_control(
    target: str, service: str, declared: Endpoint, allowed: Collection[str], context: Context, deadline: Deadline
) -> tuple[bool | None, str]:
    """Whether a role that may got through in this run, by the endpoint's own request or a workflow's step like it.

    None where it does not matter: the request changes nothing. Else what to declare.
    """
    if declared.changes_nothing or context.environment.auth is None:
        return None, ""
    if declared.as_ in allowed:
        with contextlib.suppress(EvidenceProblem):
            status = endpoint_answer(target, context, deadline).status
            if status in declared.status if declared.status else status < 400:
                return True, ""
            return False, f"as {declared.as_} the answer was {status}; is [auth] `csrf` declared and correct?"
    for name, flow in context.environment.workflows.items():
        fitting = {step.name for step in flow.steps if _is_same(step, service, declared) and step.as_ in allowed}
        if fitting and not (context.environment.protected and writes(flow)):
            with contextlib.suppress(EvidenceProblem):
                if any(_got_through(step, fitting) for step in workflow.gather(name, context, deadline).steps):
                    return True, ""
    who = " or ".join(f'`as = "{role}"`' for role in sorted(allowed)) or "`allow`"
    csrf = ", and [auth] `csrf` if the framework requires a CSRF token" if carried_by_cookie(context) else ""
    return False, f"declare {who} at the endpoint{csrf}"


def carried_by_cookie(context: Context) -> bool:
    """Whether browsers carry the sessions of roles, so that a CSRF filter may stand before every endpoint."""
    auth = context.environment.auth
    return auth is not None and auth.cookie is not None and auth.token is None


def looks_at_credentials(entries: Collection[Exchange]) -> bool:
    """Whether who has none is asked for some (401), before others and after: no firewall tells them apart."""
    return len(entries) > 1 and all(each.status == 401 for each in entries)


def _got_through(step: StepAnswer, fitting: Collection[str]) -> bool:
    good = not step.cleanup and step.exchange is not None and step.exchange.status < 400
    return step.name in fitting and good and not step.reasons


def _is_same(step: Step, service: str, declared: Endpoint) -> bool:
    """Whether a step's path can be the endpoint's: its variables stand for one segment each."""
    pattern = _VARIABLE.sub("[^/]+", re.escape(step.path.partition("?")[0]))
    same = re.fullmatch(pattern, declared.path.partition("?")[0]) is not None
    return step.service == service and step.method == declared.method and same
