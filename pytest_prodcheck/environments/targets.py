"""What a run is about: the declared targets of one environment, as plain data that also travels to xdist workers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One thing that checks are about.

    kind: `service`, `endpoint` (named "service.endpoint"), `auth` (one, named "auth"), `role`, `workflow`, `dns`, `tcp`,
    `postgres`, `redis`, `environment` (one, named as the environment), or the name of a team's own collector.
    features: what of it is declared ("health", "version", …): evidence asks for a feature of its kind.
    skip: why it cannot be judged in this run ("out-of-reach", "opt-in"), "" otherwise; detail says it in words.
    """

    kind: str
    name: str
    features: frozenset[str] = frozenset()
    skip: str = ""
    detail: str = ""
    owner: str = ""
