"""Tokens that end before a load does are replaced while it runs: an expired one would make good answers 401s."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.load.data_feeds import columns, feed_of
from pytest_prodcheck.evidence.load.requests import PlannedRequest, planned_requests
from pytest_prodcheck.evidence.login.sessions import log_in, session_of
from pytest_prodcheck.load.renewals import REQUESTS, Renewals, write_renewal
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.login.attempts import RoleSession

EARLY = 0.25  # share of a token's life before its end at which it is replaced
ON_THE_WAY = 2.0  # seconds that a login and the way to the senders may take
AGAIN = 5.0  # seconds until a login that failed is tried again


class Renewal:
    """The sessions of one load, and when each of them has to be replaced."""

    def __init__(self, load: Load, context: Context, deadline: Deadline) -> None:
        self.context, self.deadline = context, deadline
        self.asked: dict[str, list[PlannedRequest]] = {}
        names = {each: columns(feed_of(vary, context.root)) for each, vary in load.vary.items()}
        for each in planned_requests(load, context.environment, names).values():
            if each.role is not None:
                self.asked.setdefault(each.role, []).append(each)
        self.due = {role: _due(session_of(context, role, deadline), time.time()) for role in self.asked}

    def look(self, folder: Path) -> None:
        """Replaces the sessions that are about to end, and leaves their requests where the load finds them."""
        now = time.time()
        late = [role for role, due in self.due.items() if due is not None and due <= now]
        renewed = {target: raw for role in late for target, raw in self._renewed(role, now).items()}
        if renewed:
            write_renewal(folder, REQUESTS, renewed)

    def _renewed(self, role: str, now: float) -> Renewals:
        try:
            attempt = log_in(role, self.context, self.deadline)
        except EvidenceProblem:
            attempt = None
        if attempt is None or not attempt.login.granted:
            self.due[role] = now + AGAIN
            return {}
        self.due[role] = _due(attempt.session, now)
        self.deadline.note(f"role {role} was logged in again during the load, because its token expired earlier")
        ends = attempt.session.expires_at
        return {each.name: (each.raw(attempt.session, self.context, self.deadline), ends) for each in self.asked[role]}


def _due(session: RoleSession, now: float) -> float | None:
    """When a session has to be replaced, epoch seconds; None where nothing says when it ends."""
    if session.expires_at is None:
        return None
    life = max(session.expires_at - now, 0.0)
    return session.expires_at - max(EARLY * life, min(ON_THE_WAY, life / 2))
