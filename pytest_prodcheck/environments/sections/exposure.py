"""Hosts whose open ports are looked for: only what is declared is ever connected to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pytest_prodcheck.environments.kinds import EnvironmentView, Kind, Target, no_rules
from pytest_prodcheck.environments.sections.base import Name, Seconds, Section
from pytest_prodcheck.environments.sections.host_names import ascii_host

MOST_PORTS = 4096  # of one host; all 65,535 would be a scan that somebody's alarm is for
Port = Annotated[int, Field(ge=1, le=65535)]


def port_numbers(text: str) -> tuple[int, ...]:
    """The ports of "1-1024,8080", each once, rising; ValueError for anything else, or for more than MOST_PORTS."""
    found: set[int] = set()
    for part in text.split(","):
        matched = re.fullmatch(r"\s*([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?\s*", part)
        first, last = (int(matched[1]), int(matched[2] or matched[1])) if matched else (0, 0)
        if not 1 <= first <= last <= 65535:
            raise ValueError('expected ports such as "1-1024,8080"')
        found |= set(range(first, last + 1))
    if len(found) > MOST_PORTS:
        raise ValueError(f"expected at most {MOST_PORTS} ports")
    return tuple(sorted(found))


def _ports(value: str) -> str:
    port_numbers(value)
    return value


def _host(value: str) -> str:
    value = ascii_host(value)
    if not re.fullmatch(r"\[?[0-9A-Za-z:._-]+\]?", value) or "/" in value:
        raise ValueError('expected one host, such as "shop.example" or "192.0.2.7"; no networks')
    return value


class Exposure(Section):
    """One host whose ports are looked at, and which of them are meant to be open."""

    host: Annotated[str, AfterValidator(_host)]  # name or address; every address behind the name, at most 4
    # ports that are connected to besides the expected ones, such as "1-1024,8080"; at most 4096
    ports: Annotated[str, AfterValidator(_ports)]
    expected: Annotated[tuple[Port, ...], Field(min_length=1)]  # ports that are meant to be open; one of them has to be
    timeout: Seconds = 1.0  # after which a silent port counts as closed
    at_once: Annotated[int, Field(ge=1, le=100)] = 16  # connections at the same time
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    @property
    def numbers(self) -> tuple[int, ...]:
        """All ports that are connected to."""
        return tuple(sorted({*port_numbers(self.ports), *self.expected}))

    def model_post_init(self, _context: Any) -> None:
        """Refuses bounds that would never end."""
        if self.timeout > 10:
            raise ValueError(
                "expected a `timeout` of at most 10s, because every port without an answer takes that long"
            )


def _targets(looking: EnvironmentView) -> Iterator[Target]:
    for name, exposure in looking.environment.exposure.items():
        yield Target("exposure", name, frozenset(), *looking.reach(exposure.vantage), owner=exposure.owner)


KINDS = (
    Kind(
        section="exposure",
        awaited={"exposure": ()},
        targets=_targets,
        rules=no_rules,
    ),
)
