"""The lock of a deployer in a cluster: a Lease, renewed while it is held. No clock but our own is believed.

Who holds it may go on only while it was renewed in time; who wants it takes it only after it was seen unchanged for as
long as it lasts (https://kubernetes.io/docs/concepts/architecture/leases/).
"""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.deploy.cluster_client import CONFLICT, MERGE, resource_version
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.evidence.kubernetes.objects import Object, table

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster_client import ClusterClient

GROUP = "coordination.k8s.io/v1"
LEASE_SECONDS = 15  # that it lasts without being renewed
_SLOW_ANSWER = 3.0  # seconds from which an API server counts as one that was away
_RELEASE_TIMEOUT = 3.0  # seconds that each part of giving it back may take
_MAX_ATTEMPTS = 5  # of a renewal, where somebody changes something else of it
_NEVER = (0.0, 0.0)
_POLL_INTERVAL = 0.5  # seconds between two looks at a Lease of somebody else


class LeaseTaken(DriverProblem):
    """Another deployment holds the Lease."""


class Lease:
    """One Lease. `take` and `give_back` belong to one thread; another one renews it.

    is_taken: whether that one has seen that it is another deployer's.
    """

    def __init__(self, cluster: ClusterClient, name: str, seconds: int = LEASE_SECONDS) -> None:
        self._cluster, self._name, self._seconds = cluster, name, seconds
        self._path = cluster.path(GROUP, "leases", name)
        self._identity = f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._version, self._valid_until, self.is_taken = "", _NEVER, threading.Event()

    def acquire(self) -> None:
        """Raises LeaseTaken if another deployment renews it, DriverProblem if that cannot be determined."""
        seen, since = "", time.monotonic()
        while True:
            asked = time.monotonic()
            found = self._cluster.find(self._path)
            if time.monotonic() - asked > _SLOW_ANSWER:  # nobody could renew it meanwhile
                seen, since = "", time.monotonic()
            if found is None:
                metadata = {"name": self._name, "namespace": self._cluster.namespace}
                body = {"apiVersion": GROUP, "kind": "Lease", "metadata": metadata, "spec": self._held_spec()}
                began = _clocks()
                status, answer = self._cluster.create(self._cluster.path(GROUP, "leases"), body, fenced=False)
                if status != CONFLICT:
                    return self._start_renewing(answer, began)
                continue
            spec = table(found, "spec")
            free = spec.get("holderIdentity") in (None, "", self._identity)
            if seen and resource_version(found) != seen and not free:
                raise LeaseTaken(f"the Lease is held by {spec.get('holderIdentity')}")
            seen = resource_version(found)
            lasts = float(spec.get("leaseDurationSeconds") or self._seconds)
            if free or time.monotonic() - since > lasts:
                began = _clocks()
                status, answer = self._write(self._held_spec(), resource_version(found))
                if status == CONFLICT:
                    seen, since = "", time.monotonic()
                    continue
                return self._start_renewing(answer, began)
            time.sleep(_POLL_INTERVAL)

    def ensure_held(self) -> None:
        """Raises LeaseTaken unless we surely hold it: one that was not renewed in time is renewed first."""
        with self._lock:
            if all(now < end for now, end in zip(_clocks(), self._valid_until, strict=True)):
                return
            self._renew()

    def release(self) -> None:
        """Lets another deployer take it at once, where that takes some seconds only: else it ends by itself."""
        self._stopped.set()
        if not self._lock.acquire(timeout=_RELEASE_TIMEOUT):
            return
        try:
            with contextlib.suppress(DriverProblem):
                self._write({"holderIdentity": "", "leaseDurationSeconds": 1}, self._version, _RELEASE_TIMEOUT)
        finally:
            self._lock.release()

    def _start_renewing(self, answer: Object, began: tuple[float, float]) -> None:
        self._version, self._valid_until = resource_version(answer), self._end(began)
        threading.Thread(target=self._renew_loop, daemon=True).start()

    def _renew_loop(self) -> None:
        while not self._stopped.wait(self._seconds / 5):
            try:
                with self._lock:
                    if not self._stopped.is_set():
                        self._renew()
            except LeaseTaken:
                self.is_taken.set()
                self._valid_until = _NEVER  # the next `check` looks, and says so
                return
            except DriverProblem:
                continue

    def _renew(self) -> None:
        for _ in range(_MAX_ATTEMPTS):
            began = _clocks()
            status, answer = self._write(self._held_spec(), self._version)
            if status != CONFLICT:
                self._version, self._valid_until = resource_version(answer), self._end(began)
                return
            found = self._cluster.get(self._path)
            if table(found, "spec").get("holderIdentity") != self._identity:
                raise LeaseTaken("another deployment has taken the Lease")
            self._version = resource_version(found)  # something else of it was changed, or an answer was lost
        raise DriverProblem(
            f"the Lease {self._name} was changed by other clients {_MAX_ATTEMPTS} times in a row, so it was not renewed"
        )

    def _end(self, began: tuple[float, float]) -> tuple[float, float]:
        """Until when it is held for sure, by each clock."""
        return began[0] + self._seconds * 2 / 3, began[1] + self._seconds * 2 / 3

    def _write(self, spec: Object, read_version: str, timeout: float | None = None) -> tuple[int, Object]:
        body = {"metadata": {"resourceVersion": read_version}, "spec": spec}
        status, answer = self._cluster.request("PATCH", self._path, body, MERGE, timeout)
        if status not in (200, CONFLICT):
            message = str(answer.get("message") or f"answered {status}")[:300]
            raise DriverProblem(f"the Lease {self._name} cannot be written: {message}")
        return status, answer

    def _held_spec(self) -> Object:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"holderIdentity": self._identity, "leaseDurationSeconds": self._seconds, "renewTime": now}


def _clocks() -> tuple[float, float]:
    """One stands still while the machine sleeps, the other may be set: what is over by either is over."""
    return time.monotonic(), time.time()


def holder(found: Object | None, now: float) -> str:
    """Who holds it by the clocks of all, for people; "" for nobody."""
    spec: dict[str, Any] = table(found, "spec")
    try:
        renewed = datetime.datetime.fromisoformat(str(spec.get("renewTime"))).timestamp()
    except ValueError:
        return ""
    return str(spec.get("holderIdentity") or "") if now < renewed + float(spec.get("leaseDurationSeconds") or 0) else ""
