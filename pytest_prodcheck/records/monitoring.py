"""What Prometheus and Alertmanager say."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class MetricReading:
    """A metric of one service, or of the environment: a finite number, or what came instead of one."""

    of: str  # the service, "" for what is asked once
    value: float | None  # in base units: seconds, bytes, a ratio of 1
    said: str  # what was answered where `value` is None: "nothing", "NaN", "+Inf"
    samples: float | None  # how many the number is made of; None where nothing is counted
    recent: float | None  # how many of them are of the newest part of the window; None: nothing, or not asked
    problem: Problem | None = None  # why Prometheus gave no answer
    capped: bool = False  # a quantile that is the bound of its largest bucket: it may be anything above


@dataclass(frozen=True)
class MetricValues:
    """`metric` (metric): one declared metric, asked of each service in scope, or once."""

    revision: str  # that `{revision}` stood for, "" where it is about whatever runs
    window: float  # seconds
    recent: float | None  # seconds of the newest part that was asked about, None for none
    readings: tuple[MetricReading, ...]


@dataclass(frozen=True)
class AlertingRule:
    """One alerting rule as Prometheus has loaded it."""

    name: str
    group: str
    health: str  # "ok", "err", or "unknown" where it was never evaluated
    error: str  # the last error, "" for none
    firing: bool
    age: float  # seconds since it was looked at last, by Prometheus's clock
    interval: float  # seconds between two looks
    lacks: str = ""  # which series that it rests on is not there, so that it cannot fire; "" for none
    silenced: str = ""  # the silence that all of its alerts meet: "until 2027-01-15T08:00:00Z: works"; "" for none


@dataclass(frozen=True)
class RecordingRule:
    """A rule that makes a recorded series which a query rests on."""

    name: str
    health: str  # "ok", "err", "unknown"; "elsewhere" for one that another server runs
    error: str  # the last error, "" for none
    age: float | None  # seconds since it was looked at last; of one elsewhere: since its newest sample, None: no series
    interval: float  # seconds between two looks


@dataclass(frozen=True)
class ScrapedJob:
    """A job of Prometheus: how many of its targets answered a scrape of the last two minutes."""

    name: str
    up: int
    down: int
    pushed: bool = False  # it has no targets, and series all the same


@dataclass(frozen=True)
class ReceiverUse:
    """A receiver as Alertmanager is configured."""

    name: str
    integrations: tuple[str, ...]  # "slack", "webhook"; () where it notifies nobody


@dataclass(frozen=True)
class Notifications:
    """What an integration of Alertmanager sent in the last hour."""

    integration: str  # "slack", "webhook"
    sent: float  # those that failed included
    failed: float  # given up after all tries
    ours: bool  # whether only declared receivers use it


@dataclass(frozen=True)
class FiringAlert:
    """An alert that fires."""

    name: str
    labels: tuple[tuple[str, str], ...]
    seconds: float  # how long it has been firing, by Prometheus's clock
    suppressed: str  # "silenced" or "inhibited"; "muted" where only a time interval holds it back; "" for none


@dataclass(frozen=True)
class AlertRules:
    """`alert-rules` (alerts): whether the declared alerts could come, and would be passed on."""

    required: tuple[str, ...]
    rules: tuple[AlertingRule, ...]  # those of the required names, and the dead man's
    jobs: tuple[ScrapedJob, ...]
    deadman: str  # name of the alert that always fires, "" where none is declared
    alertmanagers: int | None  # how many Prometheus sends to; None where Alertmanager itself was asked
    arrived: FiringAlert | None  # the dead man's alert in Alertmanager, None where it is not there or nobody was asked
    asked: bool  # whether Alertmanager is declared
    receivers: tuple[str, ...]  # those that Alertmanager has
    wanted: tuple[str, ...]  # those that are declared
    recorded: tuple[RecordingRule, ...] = ()  # the rules that the required ones rest on
    uses: tuple[ReceiverUse, ...] = ()  # how Alertmanager uses its receivers; () where it does not tell
    notifications: tuple[Notifications, ...] = ()  # () where they are not counted
    unreached: str = ""  # "1 of 3": Prometheus does not send to all peers of the cluster; "" otherwise
    refused: bool = False  # Prometheus refused its last configuration


@dataclass(frozen=True)
class AlertsFiring:
    """`alerts-firing` (alerts with quiet): what fires of the declared kind, and the proof that it would be seen."""

    match: str
    shortest: float  # seconds an alert has to be firing
    source: str  # who was asked: "Alertmanager", or "Prometheus", which knows nothing of silences
    deadman: str
    control: bool  # whether the dead man's alert is there too
    alerts: tuple[FiringAlert, ...]
    able: int  # alerting rules whose alerts may match
