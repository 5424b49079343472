"""What a collector is given: the environment, secrets, and what is made once in a run and closed at its end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.evidence.deadlines import Deadline

T = TypeVar("T")
SHORTEST_SECRET = 6  # characters: blanking a shorter one would blank half the report


class ResolvesSecrets(Protocol):
    """`environments.secrets.SecretResolver`."""

    def resolve(self, ref: SecretRef, timeout: float) -> str:
        """The secret's value."""


class Redacts(Protocol):
    """`environments.redaction.Redactor`."""

    def add(self, value: str) -> None:
        """Makes a value secret from now on."""

    def redact(self, text: str) -> str:
        """The text without secrets."""

    def redact_data(self, obj: Any) -> Any:
        """Plain data without secrets."""


class Slots:
    """How many requests run at once to each host. `changed` is notified when one ends."""

    def __init__(self, per_host: int) -> None:
        self.per_host = per_host
        self.changed = threading.Condition()
        self._taken: dict[str, int] = {}

    def take(self, host: str) -> bool:
        """Takes a slot if one is free; never waits."""
        with self.changed:
            taken = self._taken.get(host, 0)
            if taken >= self.per_host:
                return False
            self._taken[host] = taken + 1
            return True

    def give(self, host: str) -> None:
        """Gives one back."""
        with self.changed:
            self._taken[host] -= 1
            if not self._taken[host]:
                del self._taken[host]
            self.changed.notify()

    @contextlib.contextmanager
    def more(self, host: str, wanted: int) -> Iterator[int]:
        """Up to `wanted` further slots for one who has one already; yields how many there were."""
        got = 0
        try:
            while got < wanted and self.take(host):
                got += 1
            yield got
        finally:
            for _ in range(got):
                self.give(host)


@dataclass
class _SharedValue:
    began: float = 0.0
    value: Any = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Context:
    """One run's environment as collectors see it. Thread-safe.

    root: the folder of prodcheck.toml. revision: what this run is about, "" for none. run_id fills `{run}` in headers.
    state: the folder of runs and history, None where nothing may be kept. vantage: the location it probes from.
    window: seconds that the run's gate has metrics judged over, None where it does not say. passed: environment
    variables that programs we start may see beside the usual ones. key: seals what later runs read, b"" for none.
    """

    def __init__(
        self,
        environment: Environment,
        root: Path,
        *,
        secrets: ResolvesSecrets,
        redactor: Redacts,
        revision: str = "",
        run_id: str = "",
        state: Path | None = None,
        vantage: str = "outside",
        window: float | None = None,
        passed: tuple[str, ...] = (),
        key: bytes = b"",
    ) -> None:
        self.environment = environment
        self.root = root
        self.revision = revision
        self.run_id = run_id
        self.state = state
        self.vantage = vantage
        self.window = window
        self.passed = passed
        self.key = key
        self.redactor = redactor
        self.slots = Slots(environment.gathering.per_host)
        self.reached: set[str] = {""}  # "10.0.0.7:443": peers that have taken a connection in this run
        self._secrets = secrets
        self._lock = threading.Lock()
        self._made: dict[Hashable, _SharedValue] = {}
        self._told: dict[str, str] = {}
        self._ends: list[Callable[[], None]] = []
        self._closed = False
        self._relied_on: set[str] = set()

    def relies_on(self, *files: str | Path | None) -> None:
        """Says that these files (or patterns) decide as much as what is measured: a verdict holds for no others."""
        with self._lock:
            self._relied_on.update(str(each) for each in files if each is not None)

    @property
    def relied_on(self) -> frozenset[str]:
        """What `relies_on` was told."""
        with self._lock:
            return frozenset(self._relied_on)

    def tell(self, name: str, text: str) -> None:
        """Tells a person how something long goes, in one line; "" ends it."""
        with self._lock:
            self._told.pop(name, None)
            if text:
                self._told[name] = text

    @property
    def told(self) -> str:
        """What `tell` was told last and has not ended, "" for nothing."""
        with self._lock:
            return next(reversed(self._told.values()), "")

    def at_end(self, end: Callable[[], None]) -> Callable[[], None]:
        """Has something ended when the gathering ends, however it does; the returned function forgets it."""
        with self._lock:
            late = self._closed
            if not late:
                self._ends.append(end)
        if late:
            end()

        def forget() -> None:
            with self._lock:
                if end in self._ends:
                    self._ends.remove(end)

        return forget

    def once(self, key: Hashable, make: Callable[[], T], deadline: Deadline | None = None) -> T:
        """What `make` returns or raises, called once however many ask; the others wait, at most until `deadline`."""
        with self._lock:
            known = self._made.get(key)
            mine = known is None
            if known is None:
                known = self._made[key] = _SharedValue(time.time())
        if mine:
            try:
                known.value = make()
            except BaseException as error:
                known.error = error
                raise
            finally:
                known.done.set()
        elif not known.done.wait(deadline.seconds_left() if deadline else None):
            raise EvidenceProblem(
                Problem("timeout", "shared data that another piece of evidence fetches did not arrive in time")
            )
        if deadline is not None:
            deadline.used(known.began)
        if known.error is not None:
            if isinstance(known.error, EvidenceProblem):
                raise EvidenceProblem(known.error.problem)
            raise known.error
        value: T = known.value
        return value

    def forget(self, first: str) -> None:
        """Has what `once` made for keys that begin so made anew for whoever asks next."""
        with self._lock:
            for key in [each for each in self._made if isinstance(each, tuple) and each[0] == first]:
                del self._made[key]

    def secret(self, ref: SecretRef, deadline: Deadline | None = None) -> str:
        """The value of a secret, from now on redacted; raises EvidenceProblem (configuration) naming the reference."""
        value = self.once(("secret", ref), lambda: self._resolve_secret(ref, deadline))
        return value

    def _resolve_secret(self, ref: SecretRef, deadline: Deadline | None) -> str:
        try:
            value = self._secrets.resolve(ref, min(deadline.seconds_left(), 30.0) if deadline else 30.0)
        except EvidenceProblem:
            raise
        except Exception as error:
            raise EvidenceProblem(Problem("configuration", f"secret {describe(ref)}: {error}")) from None
        if len(value) < SHORTEST_SECRET:
            hint = f"use a secret of at least {SHORTEST_SECRET} characters, so that reports can redact it"
            raise EvidenceProblem(Problem("configuration", f"secret {describe(ref)} is too short", hint))
        self.redactor.add(value)
        return value

    def close(self) -> None:
        """Ends what `at_end` was told of; what is told of later is ended at once."""
        with self._lock:
            ends, self._ends, self._closed = self._ends, [], True
        for end in ends:
            end()


def describe(ref: SecretRef) -> str:
    """A secret's reference in words, without its value."""
    if ref.command is not None:
        return f'{{ command = ["{ref.command[0] if ref.command else ""}", …] }}'
    return f'{{ env = "{ref.env}" }}' if ref.env is not None else f'{{ file = "{ref.file}" }}'
