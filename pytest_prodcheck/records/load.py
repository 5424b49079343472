"""What a load run, the light mode and the runs before them tell. Times in histograms are whole microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_prodcheck.records.hosts import HostUse

Histogram = tuple[tuple[int, int], ...]  # (microseconds, how many requests took that long), rising


@dataclass(frozen=True)
class ResponseTimes:
    """Times of good answers, and of requests that timed out (at least so long), counted from when each was due.

    Three significant digits.
    """

    histogram: Histogram

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(number for _, number in self.histogram)

    def percentile(self, percent: float) -> float | None:
        """The time in seconds that so many percent did not exceed, None of nothing."""
        wanted = max(1, -(-percent * self.count // 100))
        for microseconds, number in self.histogram:
            wanted -= number
            if wanted <= 0:
                return microseconds / 1e6
        return None

    def rank(self, place: int) -> float | None:
        """The time in seconds of the place-th fastest (from 1), None where there are not so many."""
        for microseconds, number in self.histogram:
            place -= number
            if place <= 0:
                return microseconds / 1e6
        return None


@dataclass(frozen=True)
class LoadInterval:
    """What was due in one interval of a run; percentiles in seconds, None where nothing was answered well."""

    start: float  # seconds after the run's start
    seconds: float  # its length
    begun: int  # requests that were sent
    good: int  # answered as declared
    failed: int  # not so
    p50: float | None = None  # of the good answers
    p95: float | None = None  # of the good answers
    p99: float | None = None  # of the good answers
    asked: float = 0.0  # requests that were due; 0 where nothing says so (a Locust file, the light mode)


@dataclass(frozen=True)
class LoadEndpoint:
    """One endpoint in a run (or, of a team's own Locust file, one name of its requests)."""

    name: str
    begun: int  # requests that were sent
    good: int  # answered as declared
    failed: int  # answered otherwise, or not at all
    reasons: tuple[tuple[str, int], ...]  # why requests failed, how many of each, most first
    times: ResponseTimes  # of the good ones
    intervals: tuple[LoadInterval, ...] = ()
    retried: int = 0  # sent again on a new connection, the kept one having ended without a byte of the answer
    # connect, tls, first-byte (after sending), last-byte (after the first)
    phases: tuple[tuple[str, ResponseTimes], ...] = ()


@dataclass(frozen=True)
class LoadAddress:
    """One address behind a service's name, as the load met it."""

    service: str
    address: str  # "10.0.0.7:443"
    requests: int
    failed: int  # of them, without an answer
    connections: int  # that were made to it
    refused: int  # that could not be made
    http2: int = 0  # connections that spoke HTTP/2


@dataclass(frozen=True)
class SchemaSample:
    """What became of some good answers of an endpoint, held against its JSON Schema."""

    endpoint: str
    sampled: int  # 0: all were too large to be kept
    wrong: int
    why: str  # of the first one that is wrong


@dataclass(frozen=True)
class LoadWorker:
    """One process that sent requests."""

    name: str
    begun: int  # requests that it sent
    busiest: float  # share of a core in its busiest five seconds, 1.0 is a whole one
    ended: bool  # it told all it had counted; False: it was lost on the way
    # share of its worst five seconds (of latency without load: of all) in which it could run and had no processor
    starved: float = 0.0


@dataclass(frozen=True)
class LoadRun:
    """`load-run` (load with run) and `load-latency` (load): requests at a rate, and what came back."""

    name: str
    mode: Literal["light", "open", "users"]  # light: without load; open: on schedule; users: a Locust file's own loop
    asked: int  # requests, or users of flows, that were due; 0 where a Locust file says nothing of it
    asked_rate: float  # the same a second
    began: float  # epoch seconds
    seconds: float  # how long requests were to be begun
    begun: int  # requests that were begun
    begun_in: float  # seconds until the last one was begun
    dropped: int  # requests that were due and not sent, because too many were unanswered
    unanswered: int  # requests of which nothing was known in the end
    in_time: int  # good answers that came within a second of the end of the schedule
    lag: ResponseTimes  # how late requests were begun: the client's part of their times
    aborted: str  # why it was ended before its time, "" where it was not
    trouble: str  # what went wrong with the load itself, "" for nothing
    longest_gap: float  # longest time in seconds without any answer
    workers: tuple[LoadWorker, ...]
    workers_asked: int
    endpoints: tuple[LoadEndpoint, ...]
    overall: LoadEndpoint
    arrived: int = 0  # requests, or users of flows, that came up as they were due; 0 where `begun` says so
    cached: int = 0  # good answers that a cache gave
    shortages: tuple[tuple[str, int], ...] = ()  # what this machine was short of, and how many requests it cost
    task_errors: tuple[tuple[str, int], ...] = ()  # exceptions of a Locust file's tasks, and how often
    users_asked: int = 0  # users of a Locust file; 0 where nothing says so
    users_left: int = 0  # of them, those that were still there at the end
    addresses: tuple[LoadAddress, ...] = ()
    samples: tuple[SchemaSample, ...] = ()
    sent: str = ""  # a digest of what was sent and from where: only runs of one digest are compared


@dataclass(frozen=True)
class StressStep:
    """One step of a search for the saturation point (knee of the latency curve)."""

    rate: float  # requests a second that were due
    begun: int
    good: int
    failed: int
    p95: float | None  # seconds


@dataclass(frozen=True)
class LoadStress:
    """`load-stress` (load with stress): the rate raised step by step, then the scenario's own again."""

    run: LoadRun  # all of it, for its validity
    own_rate: float  # the scenario's own rate, requests a second
    steps: tuple[StressStep, ...]  # those that were begun
    p95_allowed: float  # seconds; a step past it is past the saturation point
    recovery: StressStep | None  # at the scenario's own rate, after the saturation point


@dataclass(frozen=True)
class AcceptedEndpoint:
    """One endpoint in a run that was accepted."""

    name: str
    good: int
    failed: int
    times: ResponseTimes


@dataclass(frozen=True)
class AcceptedRun:
    """A run that was accepted: valid, and nothing of it failed."""

    run: str  # id of the run
    at: float  # when, epoch seconds
    revision: str
    overall: AcceptedEndpoint
    endpoints: tuple[AcceptedEndpoint, ...]


@dataclass(frozen=True)
class Baseline:
    """`load-baseline` (load with run): the last accepted runs of a scenario as it is declared now, oldest first."""

    runs: tuple[AcceptedRun, ...]
    required: bool  # declared so: without any, the comparison cannot tell
    least_p95: float  # seconds; a smaller difference does not matter
    least_p99: float  # seconds
    least_errors: float  # share of 1


@dataclass(frozen=True)
class ResourceSample:
    """One look at this machine, and at the watched process; shares of 1."""

    at: float  # seconds after the load began; the first look is from before
    cpu: float  # of all cores, since the look before
    memory: float  # used: all but what is available
    process_cpu: float | None = None  # of one core, since the look before; of the process and all below it
    process_memory: int | None = None  # bytes in memory (resident), of all of them
    # open TCP connections: of all of them beside a declared number, else of the one that has most
    connections: int | None = None


@dataclass(frozen=True)
class LoadResources:
    """`load-resources` (load with resources): looks at this machine from before a load to its end."""

    host: bool  # whether the machine itself is to be judged
    process: str  # what the watched process is called, "" for none
    restarts: int  # how often the watched process was another one than before
    cores_allowed: float  # cores that the process may use: as declared, else all
    memory_allowed: int  # bytes that the process may use: as declared, else all of the machine
    samples: tuple[ResourceSample, ...]
    connections_allowed: int | None = None  # TCP connections that the process may have, None where nothing tells
    hosts: tuple[HostUse, ...] = ()  # declared hosts, as Prometheus saw them during the load
    hosts_expected: int = 0  # how many of them there have to be
