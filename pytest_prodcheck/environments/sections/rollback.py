"""The rollback plan of a deployment."""

from __future__ import annotations

from pytest_prodcheck.environments.kinds import Kind, no_rules
from pytest_prodcheck.environments.listing.release import rollback_targets
from pytest_prodcheck.environments.sections.base import Section


class Rollback(Section):
    """The rollback runbook. What a cluster keeps of earlier versions is looked at anyway, where it is in reach."""

    # file that says how to go back, relative to prodcheck.toml; it names the unit, and the day it was last looked at.
    # `{unit}` is filled in
    document: str
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


KINDS = (
    Kind(
        section="rollback",
        awaited={"rollback": ()},
        targets=rollback_targets,
        rules=no_rules,
        single=True,
    ),
)
