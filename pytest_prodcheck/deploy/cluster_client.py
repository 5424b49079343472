"""Reads and changes objects of a Kubernetes cluster: only as they were read, through a restart of its API server.

Every change names the `resourceVersion` that was read, so that two writers cannot overwrite each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.evidence_context import evidence_context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.api import BUSY, Api, Unwanted
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.network.failures import NO_ANSWER
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, PLAIN = "application/json-patch+json", "application/json"
CONFLICT, NOT_FOUND = 409, 404
POLL_INTERVAL = 0.3  # seconds between two looks
LONG_PATIENCE = 300.0  # seconds that an API server may take to come back in a deployment: upgrades of it take minutes
SHORT_PATIENCE = 10.0  # the same, where nothing was begun
_REQUEST_TIMEOUT = 20.0  # seconds of one request
_MAX_ATTEMPTS = 10  # of a change whose object was changed meanwhile
_WARM_UP_SECONDS = 60.0  # seconds after a break in which rights may not be known yet
_T = TypeVar("_T")
_WARM_UP_STATUSES = (401, 403, 500)


class ClusterClient:
    """One namespace. fence: called before each change; raises DriverProblem where we may not act any more.

    is_replaced: whether it was noticed that another deployer took over; asks nobody.
    """

    def __init__(self, environment: Environment, root: Path, passed_environment: tuple[str, ...] = ()) -> None:
        settings = environment.kubernetes
        assert settings is not None
        self.namespace = settings.namespace
        self.fence: Callable[[], None] = lambda: None
        self.is_replaced: Callable[[], bool] = lambda: False
        self.patience = SHORT_PATIENCE
        self._api: Api | None = None
        self._connect = partial(Api, settings, evidence_context(environment, root, passed_environment))
        self._last_failure = -_WARM_UP_SECONDS

    def path(self, group: str, plural: str, name: str = "") -> str:
        """Of an object, or of all of its kind. group: "apps/v1", "v1"."""
        root = "apis" if "/" in group else "api"
        return f"/{root}/{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def find(self, path: str) -> Object | None:
        """An object, None where there is none; raises DriverProblem."""
        status, found = self.request("GET", path)
        if status == NOT_FOUND:
            return None
        return self._require_success("GET", path, status, found)

    def get(self, path: str) -> Object:
        """An object that has to be there; raises DriverProblem."""
        found = self.find(path)
        if found is None:
            raise DriverProblem(f"the cluster has no {path.rpartition('/namespaces/')[2]}")
        return found

    def items(self, path: str, **query: str) -> list[Object]:
        """All objects of a list; raises DriverProblem."""
        return self._retry(lambda api, deadline: api.items(path, deadline, _unchanged, None, **query))

    def change(
        self,
        path: str,
        patch: Callable[[Object], Any],
        kind: str = MERGE,
        watched_part: Callable[[Object], Any] | None = None,
    ) -> Object:
        """Changes an object as it is now by a patch (None: nothing to do), again where it was changed meanwhile.

        watched_part: the part that nobody else may change between two attempts. Raises DriverProblem.
        """
        found = self.get(path)
        first = watched_part(found) if watched_part else None
        for _ in range(_MAX_ATTEMPTS):
            body = patch(found)
            if body is None:
                return found
            status, answer = self.request_fenced("PATCH", path, _with_resource_version(body, found, kind), kind)
            if status != CONFLICT:
                return self._require_success("PATCH", path, status, answer)
            found = self.get(path)
            if watched_part and watched_part(found) != first and patch(found) is not None:
                raise DriverProblem(f"another client is modifying {path.rpartition('/namespaces/')[2]} now")
        raise DriverProblem(
            f"{path}: other clients changed it {_MAX_ATTEMPTS} times in a row, so our change was not applied"
        )

    def create(self, path: str, body: Object, *, fenced: bool = True) -> tuple[int, Object]:
        """Status and object; CONFLICT where there is one already."""
        status, answer = (self.request_fenced if fenced else self.request)("POST", path, body)
        return status, answer if status == CONFLICT else self._require_success("POST", path, status, answer)

    def request(
        self, method: str, path: str, body: Any = None, kind: str = PLAIN, timeout: float | None = None
    ) -> tuple[int, Object]:
        """Status and JSON; retried while the API server is unavailable, or has just restarted.

        timeout: seconds, if less than the usual patience.
        """
        return self._retry(lambda api, deadline: api.change(method, path, body, deadline, kind), timeout)

    def request_fenced(self, method: str, path: str, body: Any, kind: str = PLAIN) -> tuple[int, Object]:
        """The same; the fence is checked before each attempt."""

        def send(api: Api, deadline: Deadline) -> tuple[int, Object]:
            self.fence()
            return api.change(method, path, body, deadline, kind)

        return self._retry(send)

    def _retry(self, call: Callable[[Api, Deadline], _T], timeout: float | None = None) -> _T:
        end = time.monotonic() + (self.patience if timeout is None else timeout)
        while True:
            try:
                self._api = self._api or self._connect()
                found = call(self._api, Deadline(_REQUEST_TIMEOUT if timeout is None else timeout))
            except EvidenceProblem as error:
                broke = error.problem.kind in NO_ANSWER
                again = broke or (isinstance(error, Unwanted) and self._is_transient(error.status))
                if not again or time.monotonic() > end:
                    raise DriverProblem(str(error.problem)) from None
                if broke:
                    self._last_failure = time.monotonic()
            else:
                status = found[0] if isinstance(found, tuple) else 200
                if not self._is_transient(status) or time.monotonic() > end:
                    return found
            time.sleep(POLL_INTERVAL)

    def _is_transient(self, status: int) -> bool:
        """Whether a status of an API server, or of a balancer in front of it, calls for a retry."""
        return status in BUSY or (
            status in _WARM_UP_STATUSES and time.monotonic() < self._last_failure + _WARM_UP_SECONDS
        )

    def _require_success(self, method: str, path: str, status: int, answer: Object) -> Object:
        if 200 <= status < 300:
            return answer
        message = plain(str(answer.get("message") or ""), 400) or f"answered {status}"
        hint = "; `prodcheck grants --deployer` prints the permissions that a deployment needs" if status == 403 else ""
        raise DriverProblem(f"{method} {path}: {message}{hint}")


def _unchanged(item: Object) -> Object:
    return item


def resource_version(item: Object) -> str:
    """The version of an object, which a change of it must name."""
    return str(table(item, "metadata").get("resourceVersion", ""))


def _with_resource_version(body: Any, found: Object, kind: str) -> Any:
    """The patch with the version that was read: refused (409) if the object has changed since."""
    if kind == JSON_PATCH:
        return [*body, {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version(found)}]
    metadata = {**body.get("metadata", {}), "resourceVersion": resource_version(found)}
    return {**body, "metadata": metadata}


def label_selector(labels: Mapping[str, str]) -> str:
    """A selector of exactly these labels."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
