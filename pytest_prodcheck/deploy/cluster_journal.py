"""The journal in a ConfigMap and the lock by a Lease: what outlives a runner that loses its disk."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.cluster_client import (
    CONFLICT,
    LONG_PATIENCE,
    MERGE,
    NOT_FOUND,
    SHORT_PATIENCE,
    resource_version,
)
from pytest_prodcheck.deploy.deployment_state import FINISHED, replay
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.journal import DeploymentInProgress, Journal, JournalDamaged, Store, journal_numbers
from pytest_prodcheck.deploy.lease import GROUP, Lease, LeaseTaken, holder
from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.gates.seal import find_key, local_key

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.cluster_client import ClusterClient

_DATA_KEY = "journal"
_LABEL = "prodcheck-deployments"  # the label by which they are found
_MAX_ATTEMPTS = 5  # of a line, where somebody changes something else of the ConfigMap
_MAX_NAME_LENGTH = 40  # characters of a name


class ClusterJournal(Journal):
    """One ConfigMap, `name`; a line is kept when the API server has answered. read_version: "" before the first."""

    def __init__(self, path: Path, key: bytes, cluster: ClusterClient, name: str, group: str) -> None:
        self._cluster, self.name, self._group = cluster, name, group
        self._configmaps_path = cluster.path("v1", "configmaps")
        self.read_version = ""
        super().__init__(path, key)

    def _read(self) -> bytes | None:
        try:
            found = self._cluster.find(f"{self._configmaps_path}/{self.name}")
        except DriverProblem as error:
            raise PlanProblem(f"the journal cannot be read: {error}", 3) from None
        if found is None:
            return None
        self.read_version = resource_version(found)
        content = _journal_text(found).encode()
        if not content:
            raise JournalDamaged(f"the journal {self.name} in the cluster is damaged: it is empty")
        return content

    def _append(self, content: bytes) -> None:
        """Writes it behind what we know; raises DeploymentInProgress, JournalDamaged, OSError."""
        known_text = "".join(f"{line}\n" for line in self._sealed_lines)
        try:
            answer = self._write(known_text, known_text + content.decode())
        except LeaseTaken:
            raise DeploymentInProgress from None
        except DriverProblem as error:
            raise OSError(5, str(error), f"the journal {self.name}") from None
        self.read_version = resource_version(answer)

    def _write(self, known_text: str, whole_text: str) -> Object:
        path, labels = f"{self._configmaps_path}/{self.name}", {_LABEL: self._group}
        body: Object = {"metadata": {"name": self.name, "labels": labels}, "data": {_DATA_KEY: whole_text}}
        for _ in range(_MAX_ATTEMPTS):
            if self.read_version:
                body["metadata"]["resourceVersion"] = self.read_version
                status, answer = self._cluster.request_fenced("PATCH", path, body, MERGE)
            else:
                made = {"apiVersion": "v1", "kind": "ConfigMap", **body}
                status, answer = self._cluster.create(self._configmaps_path, made)
            if status in (200, 201):
                return answer
            if status != CONFLICT:
                break
            answer = self._cluster.get(path)
            if _journal_text(answer) == whole_text:
                return answer  # ours: only the answer was lost
            if _journal_text(answer) != known_text:
                raise JournalDamaged(f"another client writes the journal {self.name}")
            self.read_version = resource_version(answer)
        raise DriverProblem(str(answer.get("message"))[:300])


class ClusterStore(Store):
    """Journals of one unit of an environment, in the namespace of its cluster.

    copies: the Deployments; the lock is theirs, so that whoever calls them otherwise is told.
    """

    def __init__(
        self, start: str, environment: str, unit: str, cluster: ClusterClient, keep: int, copies: Sequence[str]
    ) -> None:
        super().__init__(start, environment, unit)
        self._cluster, self._kept_count, self._configmaps_path = cluster, keep, cluster.path("v1", "configmaps")
        self._base_name = _resource_name(environment, unit)
        self._lease_name = _resource_name(*sorted(copies))
        self._lease = Lease(cluster, self._lease_name)

    def key(self, *, create: bool = False) -> bytes | None:
        """One that is given: the key of a disk is lost with the disk."""
        found = find_key(str(self.state_folder), self.root)
        is_configured = os.environ.get("PRODCHECK_KEY") is not None or found != local_key(str(self.state_folder))
        if found is None or not is_configured:
            raise PlanProblem("the journal is stored in the cluster: set its key with PRODCHECK_KEY or `[seal]`", 2)
        return found

    def _journal(self, number: int, key: bytes) -> ClusterJournal:
        return ClusterJournal(
            self._path_of(number), key, self._cluster, f"{self._base_name}-{number:06}", self._base_name
        )

    def _numbers(self) -> list[int]:
        try:
            found = self._cluster.items(self._configmaps_path, labelSelector=f"{_LABEL}={self._base_name}")
        except DriverProblem as error:
            raise PlanProblem(f"the journals cannot be listed: {error}", 3) from None
        names = [str(table(each, "metadata").get("name")) for each in found]
        return journal_numbers(name.removeprefix(f"{self._base_name}-") for name in names)

    def prune(self, key: bytes) -> str:
        """Removes journals of deployments that ended, but for the newest of them, and the one that can be undone."""
        self._cluster.patience = SHORT_PATIENCE
        try:
            for name, read in self._removable(key):
                body = {"preconditions": {"resourceVersion": read}}
                status, answer = self._cluster.request_fenced("DELETE", f"{self._configmaps_path}/{name}", body)
                if status not in (200, NOT_FOUND, CONFLICT):
                    message = str(answer.get("message") or f"answered {status}")[:300]
                    return f"old journals cannot be removed: {message}"
        except (DriverProblem, PlanProblem) as error:
            return f"old journals cannot be removed: {error}"
        return ""

    def _removable(self, key: bytes) -> list[tuple[str, str]]:
        """Name and version of the ConfigMaps that nobody needs any more. Damaged journals are kept."""
        ended, can_be_undone, found = 0, False, []
        for number in reversed(self._numbers()):
            try:
                journal = self._journal(number, key)
                state = replay(journal.lines)[1]
            except JournalDamaged:
                continue
            if state.status not in FINISHED:
                continue
            ended += 1
            newest_change = state.last_begun >= 0 and not can_be_undone
            can_be_undone = can_be_undone or newest_change
            if ended > self._kept_count and not newest_change:
                found.append((journal.name, journal.read_version))
        return found

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Holds the lock of this machine, so that no killed call acts, and the Lease; raises DeploymentInProgress."""
        with super().locked() as handle:
            try:
                self._lease.acquire()
            except LeaseTaken:
                raise DeploymentInProgress from None
            except DriverProblem as error:
                raise PlanProblem(f"the lock: {error}", 3) from None
            self._cluster.fence, self._cluster.patience = self._lease.ensure_held, LONG_PATIENCE
            self._cluster.is_replaced = self._lease.is_taken.is_set
            try:
                yield handle
            finally:
                self._lease.release()

    @property
    def busy(self) -> bool:
        """Whether a deployment is in progress; changes nothing."""
        try:
            return bool(holder(self._cluster.find(self._cluster.path(GROUP, "leases", self._lease_name)), time.time()))
        except DriverProblem as error:
            raise PlanProblem(f"the lock: {error}", 3) from None


def _journal_text(found: Object) -> str:
    return str(table(found, "data").get(_DATA_KEY, ""))


def _resource_name(*parts: str) -> str:
    """A name that Kubernetes takes; another one for other parts."""
    plain = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:_MAX_NAME_LENGTH].strip("-")
    whole_text = "\0".join(parts)
    return f"prodcheck-{plain}-{hashlib.sha256(whole_text.encode()).hexdigest()[:8]}"
