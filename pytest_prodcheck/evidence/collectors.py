"""How evidence is gathered: a collector is a function with a name, an axis and bounds.

A built-in collector is written `@evidence("http-health", axis="service", feature="health")` on a function
`(target: str, context: Context, deadline: Deadline) -> Record`; `COLLECTORS` in `evidence/table.py` names its module.
A team's own one is written `@collector("mail-relay", settings={...})` on `(settings, deadline) -> Record`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@dataclass(frozen=True)
class Sending:
    """One line of `prodcheck plan`: what would be sent to whom, how often."""

    to: str  # "shop.example:443"
    what: str  # "GET /healthz"
    times: int = 1
    writes: bool = False


@dataclass(frozen=True)
class Collector:
    """One kind of evidence.

    name: "http-health"; its fixture is `http_health`. axis: the kind of target it is about. feature: what must be declared
    of the target, "" for nothing. seconds: the deadline of one piece. host: whom it talks to, for the cap on
    requests at once to one host. sends: what it would send, for `prodcheck plan`. exclusive: gathered alone, after
    everything quiet. settings: shape of an own collector's section, None for built-in ones.
    """

    name: str
    axis: str
    gather: Callable[[str, Context, Deadline], Any]
    record: type
    feature: str = ""
    seconds: float = 15.0
    host: Callable[[str, Environment], str] = lambda target, environment: target
    sends: Callable[[str, Environment], tuple[Sending, ...]] = lambda target, environment: ()
    exclusive: bool = False
    settings: Mapping[str, Any] | None = None

    @property
    def fixture(self) -> str:
        """The name of the fixture that hands its record to checks."""
        return self.name.replace("-", "_")


OWN: dict[str, Collector] = {}  # collectors of the users' own folders, registered while pytest collects


def evidence(
    name: str,
    *,
    axis: str,
    feature: str = "",
    seconds: float = 15.0,
    host: Callable[[str, Environment], str],
    sends: Callable[[str, Environment], tuple[Sending, ...]],
    exclusive: bool = False,
) -> Callable[[Callable[..., Any]], Collector]:
    """Turns a function `(target, context, deadline) -> Record` of the package into a collector."""

    def make(gather: Callable[..., Any]) -> Collector:
        record = get_type_hints(gather)["return"]
        return Collector(name, axis, gather, record, feature, seconds, host, sends, exclusive)

    return make
