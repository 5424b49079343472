"""Names that get other addresses while a load runs: users ask for them again, and so does a load."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.plan import addresses_behind
from pytest_prodcheck.load.renewals import ADDRESSES, write_renewal
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_prodcheck.evidence.context import Context

EVERY = 10.0  # seconds between two questions
PATIENCE = 2.0  # seconds that one may take


class AddressRenewal:
    """The addresses of a load's services as they were found last."""

    def __init__(self, plan: Mapping[str, Any], context: Context, deadline: Deadline) -> None:
        self.context, self.deadline = context, deadline
        self.known = {name: each["addresses"] for name, each in plan["clients"].items()}
        self.told: set[str] = set()
        self.due = time.monotonic() + EVERY

    def look(self, folder: Path) -> None:
        """Asks again where it is time to, and leaves what is another set than before where the load finds it."""
        if time.monotonic() < self.due or not self.known:
            return
        changed = False
        for name, before in self.known.items():
            try:
                found = addresses_behind(self.context.environment.services[name], self.context, Deadline(PATIENCE))
            except EvidenceProblem:  # as a resolver that keeps what it knew
                continue
            if found and sorted(found) != sorted(before):
                self.known[name], changed = found, True
                if name not in self.told:  # some names have others each time
                    self.told.add(name)
                    addresses = ", ".join(ip for ip, _ in found)
                    self.deadline.note(f"{name} got other addresses during the load, first: {addresses}")
        if changed:
            write_renewal(folder, ADDRESSES, self.known)
        self.due = time.monotonic() + EVERY
