"""How evidence is gathered: a collector is a function with a name, an axis and bounds.

A built-in collector is written `@evidence("http-health", axis="service", feature="health")` on a function
`(target: str, context: Context, deadline: Deadline) -> Record`; `COLLECTORS` in `evidence/table.py` names its module.
A team's own one is written `@collector("mail-relay", settings={...})` on `(settings, deadline) -> Record`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

THIS_MACHINE = "this machine"  # whom reading a file or running a program goes to in a plan
Seconds = float | Callable[[str, "Environment"], float]


@dataclass(frozen=True)
class Sending:
    """One line of `prodcheck plan`: what would be sent where, how often.

    once: names what is fetched once in a run however many collectors ask for it; "" where each asks by itself.
    """

    to: str  # "shop.example:443"
    what: str  # "GET /healthz"
    times: int = 1
    writes: bool = False
    once: str = ""


@dataclass(frozen=True)
class Collector:
    """One kind of evidence.

    name: "http-health"; its fixture is `http_health`. axis: the kind of target it is about. feature: what must be
    declared of the target, "" for nothing. seconds: the deadline of one piece, a number or a function of its target.
    host: whom it talks to, for the cap on requests at once to one host. sends: what it would send, for `prodcheck
    plan`. exclusive: gathered alone, after everything quiet. settings: shape of an own collector's section, None for
    built-in ones. only: a further feature, without which there is nothing to gather: the check is judged all the same,
    and gets None. ready: whether a record says that the target is up, for `--wait`; None where it is not waited for,
    which the `Kind` of its section says too (`awaited`).
    """

    name: str
    axis: str
    gather: Callable[[str, Context, Deadline], Any]
    record: Any
    feature: str = ""
    seconds: Seconds = 15.0
    host: Callable[[str, Environment], str] = lambda target, environment: target
    sends: Callable[[str, Environment], tuple[Sending, ...]] = lambda target, environment: ()
    exclusive: bool = False
    settings: Mapping[str, Any] | None = None
    only: str = ""
    ready: Callable[[Any], bool] | None = None

    @property
    def fixture(self) -> str:
        """The name of the fixture that hands its record to checks."""
        return self.name.replace("-", "_")

    def seconds_for(self, target: str, environment: Environment) -> float:
        """The deadline of the piece about one target, in seconds."""
        return self.seconds(target, environment) if callable(self.seconds) else self.seconds


OWN: dict[str, Collector] = {}  # collectors of the users' own folders, registered while pytest collects


def evidence(
    name: str,
    *,
    axis: str,
    feature: str = "",
    seconds: Seconds = 15.0,
    host: Callable[[str, Environment], str],
    sends: Callable[[str, Environment], tuple[Sending, ...]],
    exclusive: bool = False,
    only: str = "",
    ready: Callable[[Any], bool] | None = None,
) -> Callable[[Callable[..., Any]], Collector]:
    """Turns a function `(target, context, deadline) -> Record` of the package into a collector."""

    def make(gather: Callable[..., Any]) -> Collector:
        return Collector(
            name, axis, gather, record_type(gather), feature, seconds, host, sends, exclusive, only=only, ready=ready
        )

    return make


def record_type(gather: Callable[..., Any]) -> Any:
    """What a collector's function is annotated to return."""
    # only the return annotation is read: the others may name what is imported for type checkers alone
    annotations = {"return": gather.__annotations__.get("return", Any)}
    return get_type_hints(SimpleNamespace(__annotations__=annotations), globalns=gather.__globals__)["return"]
