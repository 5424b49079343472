"""The journal in a ConfigMap and the lock by a Lease: what outlives a runner that loses its disk."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.cluster import BRIEF, CONFLICT, MERGE, PATIENCE, THERE_IS_NONE, version
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.journal import Busy, Damaged, Journal, Store, numbers_in
from pytest_prodcheck.deploy.lease import GROUP, Lease, Taken, holder
from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.deploy.position import FINISHED, position
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.gates.seal import find_key, local_key

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster import Cluster

_KEY = "journal"
_OF = "prodcheck-deployments"  # the label by which they are found
_TRIES = 5  # of a line, where somebody changes something else of the ConfigMap
_SHORT = 40  # characters of a name


class ClusterJournal(Journal):
    """One ConfigMap, `name`; a line is kept when the API server has answered. read_version: "" before the first."""

    def __init__(self, path: Path, key: bytes, cluster: Cluster, name: str, group: str) -> None:
        self._cluster, self.name, self._group = cluster, name, group
        self._all = cluster.path("v1", "configmaps")
        self.read_version = ""
        super().__init__(path, key)

    def _content(self) -> bytes | None:
        try:
            found = self._cluster.find(f"{self._all}/{self.name}")
        except DriverProblem as error:
            raise PlanProblem(f"the journal cannot be read: {error}", 3) from None
        if found is None:
            return None
        self.read_version = version(found)
        content = _text(found).encode()
        if not content:
            raise Damaged(f"the journal {self.name} in the cluster is damaged: it has no lines any more")
        return content

    def _append(self, content: bytes) -> None:
        """Writes it behind what we know; raises Busy where another deployer took over, Damaged, OSError."""
        known = "".join(f"{line}\n" for line in self._sealed)
        try:
            answer = self._written(known, known + content.decode())
        except Taken:
            raise Busy from None
        except DriverProblem as error:
            raise OSError(5, str(error), f"the journal {self.name}") from None
        self.read_version = version(answer)

    def _written(self, known: str, whole: str) -> Object:
        path, labels = f"{self._all}/{self.name}", {_OF: self._group}
        body: Object = {"metadata": {"name": self.name, "labels": labels}, "data": {_KEY: whole}}
        for _ in range(_TRIES):
            if self.read_version:
                body["metadata"]["resourceVersion"] = self.read_version
                status, answer = self._cluster.fenced("PATCH", path, body, MERGE)
            else:
                made = {"apiVersion": "v1", "kind": "ConfigMap", **body}
                status, answer = self._cluster.create(self._all, made)
            if status in (200, 201):
                return answer
            if status != CONFLICT:
                break
            answer = self._cluster.get(path)
            if _text(answer) == whole:
                return answer  # ours: only the answer was lost
            if _text(answer) != known:
                raise Damaged(f"somebody else writes the journal {self.name}")
            self.read_version = version(answer)
        raise DriverProblem(str(answer.get("message"))[:300])


class ClusterStore(Store):
    """Journals and lock of one unit of an environment, in the namespace of its cluster."""

    def __init__(self, start: str, environment: str, unit: str, cluster: Cluster, keep: int) -> None:
        super().__init__(start, environment, unit)
        self._cluster, self._keep, self._all = cluster, keep, cluster.path("v1", "configmaps")
        self._name = _name(environment, unit)
        self._lease = Lease(cluster, self._name)

    def key(self, *, create: bool = False) -> bytes | None:
        """One that is given: the key of a disk is lost with the disk."""
        found = find_key(str(self.state), self.root)
        given = os.environ.get("PRODCHECK_KEY") is not None or found != local_key(str(self.state))
        if found is None or not given:
            raise PlanProblem("the journal lies in the cluster: give its key by PRODCHECK_KEY or `[seal]`", 2)
        return found

    def _journal(self, number: int, key: bytes) -> ClusterJournal:
        return ClusterJournal(self._file(number), key, self._cluster, f"{self._name}-{number:06}", self._name)

    def _numbers(self) -> list[int]:
        try:
            found = self._cluster.items(self._all, labelSelector=f"{_OF}={self._name}")
        except DriverProblem as error:
            raise PlanProblem(f"the journals cannot be listed: {error}", 3) from None
        names = [str(table(each, "metadata").get("name")) for each in found]
        return numbers_in(name.removeprefix(f"{self._name}-") for name in names)

    def tidy(self, key: bytes) -> str:
        """Removes journals of deployments that ended, but for the newest of them, and the one that can be undone."""
        self._cluster.patience = BRIEF
        try:
            for name, read in self._old(key):
                body = {"preconditions": {"resourceVersion": read}}
                status, answer = self._cluster.fenced("DELETE", f"{self._all}/{name}", body)
                if status not in (200, THERE_IS_NONE, CONFLICT):
                    said = str(answer.get("message") or f"answered {status}")[:300]
                    return f"old journals cannot be removed: {said}"
        except (DriverProblem, PlanProblem) as error:
            return f"old journals cannot be removed: {error}"
        return ""

    def _old(self, key: bytes) -> list[tuple[str, str]]:
        """Name and version of the ConfigMaps that nobody needs any more. Damaged ones stay."""
        ended, can_be_undone, found = 0, False, []
        for number in reversed(self._numbers()):
            try:
                journal = self._journal(number, key)
                now = position(journal.lines)[1]
            except Damaged:
                continue
            if now.state not in FINISHED:
                continue
            ended += 1
            newest_change = now.begun >= 0 and not can_be_undone
            can_be_undone = can_be_undone or newest_change
            if ended > self._keep and not newest_change:
                found.append((journal.name, journal.read_version))
        return found

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Holds the lock of this machine, so that no gate of a killed call is left, and the Lease; raises Busy."""
        with super().locked() as handle:
            try:
                self._lease.take()
            except Taken:
                raise Busy from None
            except DriverProblem as error:
                raise PlanProblem(f"the lock: {error}", 3) from None
            self._cluster.fence, self._cluster.patience = self._lease.check, PATIENCE
            try:
                yield handle
            finally:
                self._lease.give_back()

    @property
    def busy(self) -> bool:
        """Whether a deployer is at it; changes nothing."""
        try:
            return bool(holder(self._cluster.find(self._cluster.path(GROUP, "leases", self._name)), time.time()))
        except DriverProblem as error:
            raise PlanProblem(f"the lock: {error}", 3) from None


def _text(found: Object) -> str:
    return str(table(found, "data").get(_KEY, ""))


def _name(environment: str, unit: str) -> str:
    """A name that Kubernetes takes; another one for each environment and unit."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"{environment}-{unit}".lower()).strip("-")[:_SHORT].strip("-")
    whole = "\0".join((environment, unit))
    return f"prodcheck-{plain}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
