"""Load: scenarios that send requests at a rate, where they may, and how much of it; and the light mode without load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.load import load_targets
from pytest_prodcheck.environments.queries import longest_of_flow
from pytest_prodcheck.environments.rules.load import load_complaints
from pytest_prodcheck.environments.sections.base import Address, HostName, Name, Ratio, Seconds, Section, amount
from pytest_prodcheck.environments.sections.services import UrlPath

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.toml.error_collector import Complaint

START_AND_END = 45.0  # seconds that Locust may take to start, with its workers, and to end
_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*(s|min|h)\s*")
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}


def rate(value: object) -> object:
    """Requests a second of a text such as "10000/min"; numbers are left as they are."""
    if not isinstance(value, str):
        return value
    found = _RATE.fullmatch(value)
    if found is None or not float(found[1]):
        raise ValueError('expected a rate such as "10000/min" or "50/s"')
    return float(found[1]) / _PER[found[2]]


_size = amount("bytes", 'a size such as "512MB"')
Bytes = Annotated[float, BeforeValidator(_size, json_schema_input_type=str), Field(gt=0)]
Rate = Annotated[float, BeforeValidator(rate, json_schema_input_type=str), Field(gt=0, le=1_000_000)]


def bounded_weights(value: dict[str, int]) -> dict[str, int]:
    """Accepts weights that add up to a round that can be laid out."""
    if sum(value.values()) > 10_000:
        raise ValueError("expected weights that add up to 10,000 at most")
    return value


class Abort(Section):
    """When a load ends itself, so that it is never the outage."""

    error_ratio: Ratio = 0.1  # share of failed requests, over the last five seconds, past which it stops


class Stress(Section):
    """A search for the saturation point (knee): the rate is raised step by step until answers get slow or fail."""

    until: Rate  # highest rate that is tried
    steps: Annotated[int, Field(ge=2, le=50)] = 5  # from the scenario's own rate to `until`
    hold: Seconds = 10.0  # how long each step is held
    p95: Seconds = 1.0  # P95 past which a step counts as past the saturation point
    # how long the own rate is sent afterwards, to see that it recovers; the second half is judged
    recover: Seconds = 10.0


class Compare(Section):
    """The least differences to accepted runs that matter, whatever they are in percent."""

    p95: Seconds = 0.02  # of P95
    p99: Seconds = 0.05  # of P99
    errors: Ratio = 0.001  # of the share of failed requests


class Resources(Section):
    """What is watched during the load: this very machine, where the system runs beside prodcheck, or declared hosts."""

    host: bool = True  # processor and memory of this machine
    # names of `hosts` that Prometheus watches: their processors and memory, over the time of the load
    hosts: tuple[Name, ...] = ()
    # file with the id of a watched process, relative to prodcheck.toml: processor, memory and connections of it and of
    # all below it (workers), and its restarts
    pidfile: str | None = None
    # cores that the process may use; where left out what its affinity and control groups (CPUQuota) allow, else all
    cores: Annotated[float, Field(gt=0)] | None = None
    # memory that it may use, such as "512MB"; where left out what its control groups (MemoryMax) allow, else all
    memory: Bytes | None = None
    # TCP connections that the process may have; where left out, as many as it may open files (its soft RLIMIT_NOFILE)
    connections: Annotated[int, Field(ge=1)] | None = None


class Vary(Section):
    """What differs from request to request, or from user to user of a flow: `{column}` stands for what a row says."""

    # CSV with a line of names, or JSON lines (".jsonl", an object each), relative to prodcheck.toml: a row each time
    file: str | None = None
    # instead of `file`: whole numbers, first and last, such as { id = [1, 5000] }
    numbers: dict[Name, tuple[int, int]] = {}
    order: Literal["turn", "random"] = "turn"  # one row after the other, from the beginning again; or any
    # what is sent in place of the endpoint's own, with `{column}` in it; of a flow the steps themselves have them
    path: UrlPath | None = None
    json_: Any = Field(default=None, alias="json")  # document that is sent
    headers: dict[str, str] = {}  # headers besides, such as { Authorization = "Bearer {token}" }

    def model_post_init(self, _context: Any) -> None:
        """Refuses both or neither of `file` and `numbers`, and numbers that go down."""
        if bool(self.numbers) == (self.file is not None):
            raise ValueError("expected exactly one of `file` and `numbers`")
        for name, (first, last) in self.numbers.items():
            if last < first:
                raise ValueError(f"{name}: expected the first number and the last one, not {[first, last]}")


class Load(Section):
    """One scenario. Load goes only to the hosts that are declared here, and stops by itself."""

    hosts: Annotated[tuple[HostName, ...], Field(min_length=1)]  # names of the hosts that may be loaded
    # "service.endpoint" -> how often, such as { "catalog.product" = 8, "cart.quote" = 2 }; instead of `locustfile`
    mix: Annotated[dict[str, Annotated[int, Field(ge=1, le=10_000)]], AfterValidator(bounded_weights)] = {}
    # workflow -> how often, such as { order = 1 }: each time one user goes through its steps and its clean-up, with
    # cookies of its own and a pause between them; beside `mix` or alone
    flows: dict[Name, Annotated[int, Field(ge=1, le=10_000)]] = {}
    think: Seconds = 1.0  # the pause between two steps of a flow
    vary: dict[Name, Vary] = {}  # "service.endpoint" or flow -> what differs each time, from a file or generated
    # a Locust file of your own, relative to prodcheck.toml: it runs unchanged, and what it sends is judged
    locustfile: str | None = None
    users: Annotated[int, Field(ge=1, le=100_000)] = 10  # of `locustfile`: users at once
    spawn_rate: Annotated[float, Field(gt=0, le=10_000)] = 100.0  # of `locustfile`: users that begin each second
    # requests a second that are due (of flows: users that begin one), the highest where the shape changes it, such as
    # "10000/min"; of a `locustfile` what it is meant to send, judged where given
    rate: Rate | None = None
    duration: Seconds  # how long requests are begun
    # how the rate goes: all along, evenly up from `from`, up in `steps`, a peak in the middle third; "soak" is
    # "constant" for hours
    shape: Literal["constant", "ramp", "step", "spike", "soak"] = "constant"
    from_: Rate | None = Field(default=None, alias="from")  # where ramp, step and spike begin; a tenth of `rate`
    steps: Annotated[int, Field(ge=2, le=100)] = 4  # of the shape "step"
    # what is spoken with https services: "auto" is HTTP/2 where the service chooses it, as browsers do; with "2" a load
    # whose service does not choose it proves nothing. HTTP/2 takes the client twice the processor time
    http: Literal["1.1", "2", "auto"] = "1.1"
    abort: Abort = Abort.model_construct()  # when it ends itself
    workers: Annotated[int, Field(ge=1, le=256)] = 1  # processes that send, on this machine
    # Locust workers on other machines that are waited for instead (`python -m pytest_prodcheck.load.worker HOST:PORT`)
    expect_workers: Annotated[int, Field(ge=0, le=1000)] = 0
    bind: Address | None = None  # where workers on other machines find us, such as "10.0.0.5:5557"
    # "required": without accepted runs to compare with, the comparison cannot tell; "note": it says so and passes
    baseline: Literal["note", "required"] = "note"
    compare: Compare = Compare.model_construct()  # the least differences to accepted runs that matter
    stress: Stress | None = None  # a search for the saturation point (knee), judged by performance.stress
    resources: Resources | None = None  # what is watched on this machine meanwhile
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    def model_post_init(self, _context: Any) -> None:
        """Refuses both or neither of `mix` (or `flows`) and `locustfile`."""
        if bool(self.mix or self.flows) == (self.locustfile is not None):
            raise ValueError("expected `mix` or `flows`, or else `locustfile`")
        if self.locustfile is None and self.rate is None:
            raise ValueError('`rate` is missing and has no default: set it, such as "10000/min"')
        if self.locustfile is not None and self.stress is not None:
            raise ValueError("`stress` raises the rate of a `mix`: it is allowed with `mix` only")

    @property
    def segments(self) -> tuple[tuple[float, float, float], ...]:
        """Seconds, rate at the start and rate at the end of each part, requests a second; () of a `locustfile`."""
        if self.rate is None or self.locustfile is not None:
            return ()
        low, high, whole = self.from_ or self.rate / 10, self.rate, self.duration
        if self.shape == "ramp":
            return ((whole, low, high),)
        if self.shape == "step":
            levels = [low + (high - low) * step / (self.steps - 1) for step in range(self.steps)]
            return tuple((whole / self.steps, level, level) for level in levels)
        if self.shape == "spike":
            return tuple((whole / 3, level, level) for level in (low, high, low))
        return ((whole, high, high),)

    @property
    def stress_segments(self) -> tuple[tuple[float, float, float], ...]:
        """The steps of the search for the knee and, last, two halves of the recovery; () where none is declared."""
        if self.stress is None or self.rate is None:
            return ()
        stress, low = self.stress, self.rate
        levels = [low + (stress.until - low) * (step + 1) / stress.steps for step in range(stress.steps)]
        return (*((stress.hold, level, level) for level in levels), *[(stress.recover / 2, low, low)] * 2)

    @property
    def requests(self) -> int:
        """How many requests it is about to send, with the search for the knee; of a `locustfile` as its `rate` says."""
        if self.locustfile is not None:
            return round((self.rate or 0) * self.duration)
        segments = (*self.segments, *self.stress_segments)
        return sum(max(1, round(seconds * (start + end) / 2)) for seconds, start, end in segments)

    @property
    def highest(self) -> float:
        """The highest rate in it, requests a second."""
        return max(self.rate or 0.0, self.stress.until if self.stress else 0.0)


class LoadCaps(Section):
    """Upper bounds of every load on an environment; what a scenario asks for past them is a mistake."""

    rate: Rate = 10_000 / 60  # highest rate
    duration: Seconds = 600.0  # longest load
    requests: Annotated[int, Field(ge=1, le=1_000_000_000)] = 100_000  # most requests of one load


def seconds_of(name: str, environment: Environment) -> float:
    """How long the evidence about one load may take: with its search for the knee, a start, and what is unanswered."""
    longest = max((service.timeout for service in environment.services.values()), default=10.0)
    load = environment.load.get(name)
    if load is None:
        return environment.light.seconds + longest + 15
    longest = max([longest, *(longest_of_flow(each, load, environment) for each in load.flows)])
    stress = sum(each[0] for each in load.stress_segments)
    return load.duration + longest + START_AND_END + (stress + longest + START_AND_END if stress else 0)


def _rules(environment: Environment, root: Path) -> Iterator[Complaint]:
    """With the bounds in force: those declared, the defaults where protected, else none."""
    caps = environment.load_caps or (LoadCaps() if environment.protected else None)
    yield from load_complaints(environment, root, caps)


KINDS = (
    Kind(
        section="load",
        awaited={"load": ()},
        targets=load_targets,
        rules=_rules,
    ),
)
