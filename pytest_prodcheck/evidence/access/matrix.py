"""`auth-matrix`: every role at an endpoint, and by way of other methods where its own is closed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pytest_prodcheck.environments.queries import ANONYMOUS, controls, guarded
from pytest_prodcheck.evidence.access.method_overrides import override_names, override_requests
from pytest_prodcheck.evidence.access.positive_controls import carried_by_cookie, looks_at_credentials, unsafe_control
from pytest_prodcheck.evidence.access.role_requests import SECONDS, declared_request, entry, got_in
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import endpoint, endpoint_host, host_of
from pytest_prodcheck.evidence.login.forms import visitor_headers
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.access import Entry, OverrideEntry, RoleEntry, RoleMatrix

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Endpoint, Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


def _roles(environment: Environment, declared: Endpoint) -> list[tuple[str, bool]]:
    """Each role with whether it is allowed, anonymous first; by an OpenAPI document only of anonymous it is known."""
    roles = list(environment.auth.roles) if environment.auth else []
    if declared.allow is None:
        return [(ANONYMOUS, False)]
    return [(role, role in declared.allow) for role in (ANONYMOUS, *roles)]


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    service, declared, _ = endpoint(environment, target)
    host, writes = host_of(service), not declared.changes_nothing
    asked = [role for role, allowed in _roles(environment, declared) if not (allowed and writes)]
    lines = [Sending(host, f"{declared.request} as {role}", writes=writes) for role in asked]
    if declared.allow is None:
        lines.append(Sending(host, f"GET {service.openapi}"))
    if writes and declared.control:
        lines.append(Sending(host, f"{service.endpoints[declared.control].request} (control)"))
    elif declared.allow is None:
        lines.append(Sending(host, f"{declared.request} (control)"))
    if writes and declared.as_ in (declared.allow or ()):
        lines.append(Sending(host, f"{declared.request} as {declared.as_}, who may", writes=True))
    if writes:
        lines.append(Sending(host, f"{declared.request} as {ANONYMOUS} again (at most)", writes=True))
    lines += [Sending(host, f"{declared.path}: {how}", writes=writes) for how in override_names(declared, service)]
    return tuple(lines)


@evidence("auth-matrix", axis="endpoint", feature="matrix", seconds=SECONDS, host=endpoint_host, sends=_sends)
def auth_matrix(target: str, context: Context, deadline: Deadline) -> RoleMatrix:
    """The control first; then each role in turn, until one got in that must not where the request is unsafe."""
    service, declared, name = endpoint(context.environment, target)
    source: Literal["allow", "openapi"] = "openapi" if declared.allow is None else "allow"
    closed = guarded(declared) or (source == "openapi" and _closed_by_document(name, declared, context, deadline))
    short, role = _control(target, service, declared, name, context)
    proof = service.endpoints[short]
    control = RoleEntry(role, True, _as_role(name, proof, role, context, deadline))
    expected = proof.status or tuple(range(200, 300))
    found: list[RoleEntry] = []
    for who, allowed in _roles(context.environment, declared):
        found.append(
            RoleEntry(who, allowed, _entry_of_role(name, declared, who, allowed, control, found, context, deadline))
        )
    tried_as, overrides = _overrides(name, service, declared, found, context, deadline) if closed else ("", ())
    allowed_ones = [who for who, allowed in _roles(context.environment, declared) if allowed]
    passed = unsafe_control(target, name, declared, allowed_ones, context, deadline)
    if passed[0] is False and not carried_by_cookie(context):
        first = [each.entry.exchange for each in found if each.role == ANONYMOUS and each.entry.exchange]
        if first and first[0].status == 401 and not any(got_in(each.entry) for each in found if not each.allowed):
            again = _as_role(name, declared, ANONYMOUS, context, deadline).exchange
            passed = (None, "") if again and looks_at_credentials([*first, again]) else passed
    return RoleMatrix(
        declared.request, source, closed, control, proof.request, expected, tuple(found), tried_as, overrides,
        *passed,
    )  # fmt: skip


def _entry_of_role(
    name: str, declared: Endpoint, who: str, allowed: bool, control: RoleEntry, so_far: list[RoleEntry],
    context: Context, deadline: Deadline,
) -> Entry:  # fmt: skip
    """One role's entry; an unsafe request is not sent as a role that may, nor after one got in that must not."""
    if not declared.changes_nothing and (allowed or any(got_in(each.entry) for each in so_far)):
        return Entry()
    if allowed and who == control.role:
        return control.entry
    return _as_role(name, declared, who, context, deadline)


def _as_role(name: str, declared: Endpoint, role: str, context: Context, deadline: Deadline) -> Entry:
    try:
        headers = session_of(context, role, deadline).headers
        if role == ANONYMOUS and not declared.changes_nothing:
            headers = visitor_headers(context, deadline)
    except EvidenceProblem as error:
        return Entry(problem=error.problem)
    request = declared_request(declared, headers, anonymous=role == ANONYMOUS)
    return entry(name, request, context, deadline)[0]


def _control(target: str, service: Service, declared: Endpoint, name: str, context: Context) -> tuple[str, str]:
    """Endpoint (of the service) and role that prove that route and token work."""
    short = target.removeprefix(f"{name}.")
    if not declared.changes_nothing:
        short = declared.control or ""
    proof = service.endpoints.get(short)
    if proof is not None and declared.allow is None:
        return short, str(proof.as_)
    fitting = controls(context.environment, service, declared)
    if proof is None or not proof.changes_nothing or not fitting:
        hint = "in `allow`, name a role of [auth.roles]; for unsafe requests, also declare a safe endpoint as `control`"
        raise EvidenceProblem(
            Problem(
                "configuration", f"{target}: no role is declared that may use this endpoint (positive control)", hint
            )
        )
    return short, str(proof.as_) if proof.as_ in fitting else fitting[0]


def _closed_by_document(name: str, declared: Endpoint, context: Context, deadline: Deadline) -> bool:
    """Whether the operation asks for credentials: `security`, its own or the document's, without an empty way."""
    from pytest_prodcheck.evidence.services.openapi import fetch
    from pytest_prodcheck.evidence.services.openapi_document import operation

    exchange, document = fetch(name, context, deadline)
    if not 200 <= exchange.status < 300 or not isinstance(document, dict):
        what = f"{exchange.url}: answered {exchange.status} without an OpenAPI document"
        raise EvidenceProblem(Problem("protocol", what))
    found = operation(document, context.environment.services[name].url, declared)
    if found is None:
        what = f"{declared.request}: the OpenAPI document does not say which roles may use it"
        raise EvidenceProblem(
            Problem("protocol", what, "declare `allow`, or describe the access in the OpenAPI document")
        )
    ways_in = found.get("security", document.get("security"))
    return isinstance(ways_in, list) and bool(ways_in) and all(bool(way) for way in ways_in)


def _as_shown(head: Entry, refused: list[RoleEntry], role: str) -> Entry:
    """The answer to HEAD: that of the login page, where GET shows it and the heads tell of the same page."""
    theirs = [each.entry for each in refused if each.role == role]
    shown = next((each.exchange for each in theirs if each.login_page == "shown"), None)
    if shown is None or head.exchange is None or head.exchange.method != "HEAD":
        return head
    told = ("Content-Type", "Content-Length", "Location")
    same = all(head.exchange.header(each) == shown.header(each) for each in told)
    return replace(head, login_page="shown") if same and head.exchange.status == shown.status else head


def _overrides(
    name: str, service: Service, declared: Endpoint, found: list[RoleEntry], context: Context, deadline: Deadline
) -> tuple[str, tuple[OverrideEntry, ...]]:
    """Tried as one role that was refused, one that is logged in where there is one."""
    refused = [each for each in found if not each.allowed and each.entry.exchange and not got_in(each.entry)]
    if not refused or any(got_in(each.entry) for each in found if not each.allowed):
        return "", ()  # nobody is kept out: there is nothing to get around
    role = next((each.role for each in refused if each.role != ANONYMOUS), ANONYMOUS)
    headers = session_of(context, role, deadline).headers
    tried: list[OverrideEntry] = []
    for way in override_requests(declared, service, headers, anonymous=role == ANONYMOUS):
        answered = _as_shown(entry(name, way.request, context, deadline)[0], refused, role)
        if way.baseline and got_in(answered):
            if declared.changes_nothing:
                tried.append(OverrideEntry(way.how, answered))
            else:
                deadline.note(
                    f"{way.how} is allowed for {role}, so the effect of a method override in it cannot be distinguished"
                )
            break
        tried.append(OverrideEntry(way.how, answered))
        if got_in(answered):
            break
    return role, tuple(tried)
