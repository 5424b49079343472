"""The targets of `auth` and of `workflows`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_prodcheck.environments.kinds import EnvironmentView, Target
from pytest_prodcheck.environments.queries import auth_vantage, protected_endpoint, workflow_vantage, writes


def auth_targets(looking: EnvironmentView) -> Iterator[Target]:
    """The login, and each role."""
    environment, auth = looking.environment, looking.environment.auth
    if auth is None:
        return
    reach = looking.reach(auth_vantage(environment, auth))
    owner = auth.owner or looking.owners.get(auth.service or "", "")
    features = {"login"} if auth.roles else set()
    features |= {name for name in ("wrong_password", "throttling") if getattr(auth, name)}
    yield Target("auth", "auth", frozenset(features), *reach, owner=owner)
    for role in auth.roles:
        session = {"session"} if protected_endpoint(environment, role) else set()
        if session and auth.cookie and auth.logout and auth.signs_in:
            session.add("cookie")
        yield Target("role", role, frozenset({"login"} | session), *reach, owner=owner)


def workflow_targets(looking: EnvironmentView) -> Iterator[Target]:
    """The workflows in scope."""
    for name, workflow in looking.environment.workflows.items():
        if not looking.in_scope(workflow.unit):
            continue
        skip, detail = looking.reach(workflow_vantage(looking.environment, workflow))
        if not skip and looking.environment.protected and writes(workflow) and name not in looking.allow_write:
            skip, detail = "opt-in", f"writes to a protected environment: allow it with --allow-write {name}"
        owner = looking.owner_of(workflow.owner, workflow.unit)
        yield Target("workflow", name, frozenset(), skip, detail, owner)
