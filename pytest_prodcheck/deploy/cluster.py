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
CONFLICT, THERE_IS_NONE = 409, 404
PAUSE = 0.3  # seconds between two looks
PATIENCE = 300.0  # seconds that an API server may take to come back in a deployment: upgrades of it take minutes
BRIEF = 10.0  # the same, where nothing was begun
_CALL = 20.0  # seconds of one request
_TRIES = 10  # of a change whose object was changed meanwhile
_WARMING_UP = 60.0  # seconds after a break in which rights may not be known yet
_T = TypeVar("_T")
_NOT_YET = (401, 403, 500)


class Cluster:
    """One namespace. fence: called before each change; raises DriverProblem where we may not act any more."""

    def __init__(self, environment: Environment, root: Path, passed: tuple[str, ...] = ()) -> None:
        from pytest_prodcheck.environments.redaction import Redactor
        from pytest_prodcheck.environments.secrets import SecretResolver
        from pytest_prodcheck.evidence.context import Context

        settings = environment.kubernetes
        assert settings is not None
        self.namespace = settings.namespace
        self.fence: Callable[[], None] = lambda: None
        self.patience = BRIEF
        context = Context(
            environment, root, secrets=SecretResolver(root, passed), redactor=Redactor(), run_id="deploy", passed=passed
        )
        self._api: Api | None = None
        self._connect = partial(Api, settings, context)
        self._broke = -_WARMING_UP

    def path(self, group: str, plural: str, name: str = "") -> str:
        """Of an object, or of all of its kind. group: "apps/v1", "v1"."""
        root = "apis" if "/" in group else "api"
        return f"/{root}/{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def find(self, path: str) -> Object | None:
        """An object, None where there is none; raises DriverProblem."""
        status, found = self.ask("GET", path)
        if status == THERE_IS_NONE:
            return None
        return self._good("GET", path, status, found)

    def get(self, path: str) -> Object:
        """An object that has to be there; raises DriverProblem."""
        found = self.find(path)
        if found is None:
            raise DriverProblem(f"there is no {path.rpartition('/namespaces/')[2]} in the cluster")
        return found

    def items(self, path: str, **query: str) -> list[Object]:
        """All objects of a list; raises DriverProblem."""
        return self._patiently(lambda api, deadline: api.items(path, deadline, _whole, None, **query))

    def change(
        self, path: str, patch: Callable[[Object], Any], kind: str = MERGE, same: Callable[[Object], Any] | None = None
    ) -> Object:
        """Changes an object as it is now by a patch (None: nothing to do), again where it was changed meanwhile.

        same: the part of it that nobody else may change between two tries. Raises DriverProblem.
        """
        found = self.get(path)
        first = same(found) if same else None
        for _ in range(_TRIES):
            body = patch(found)
            if body is None:
                return found
            status, answer = self.fenced("PATCH", path, _as_read(body, found, kind), kind)
            if status != CONFLICT:
                return self._good("PATCH", path, status, answer)
            found = self.get(path)
            if same and same(found) != first and patch(found) is not None:
                raise DriverProblem(f"another client is changing {path.rpartition('/namespaces/')[2]} now")
        raise DriverProblem(f"{path}: it was changed by others {_TRIES} times, each time before we could")

    def create(self, path: str, body: Object, *, fenced: bool = True) -> tuple[int, Object]:
        """Status and object; CONFLICT where there is one already."""
        status, answer = (self.fenced if fenced else self.ask)("POST", path, body)
        return status, answer if status == CONFLICT else self._good("POST", path, status, answer)

    def ask(
        self, method: str, path: str, body: Any = None, kind: str = PLAIN, within: float | None = None
    ) -> tuple[int, Object]:
        """Status and JSON; an API server that is away, or has just come back, is asked again.

        within: seconds, where less than the usual patience.
        """
        return self._patiently(lambda api, deadline: api.change(method, path, body, deadline, kind), within)

    def fenced(self, method: str, path: str, body: Any, kind: str = PLAIN) -> tuple[int, Object]:
        """The same, and before each try we have to be allowed to."""

        def send(api: Api, deadline: Deadline) -> tuple[int, Object]:
            self.fence()
            return api.change(method, path, body, deadline, kind)

        return self._patiently(send)

    def _patiently(self, call: Callable[[Api, Deadline], _T], within: float | None = None) -> _T:
        end = time.monotonic() + (self.patience if within is None else within)
        while True:
            try:
                self._api = self._api or self._connect()
                found = call(self._api, Deadline(_CALL if within is None else within))
            except EvidenceProblem as error:
                broke = error.problem.kind in NO_ANSWER
                again = broke or (isinstance(error, Unwanted) and self._passes(error.status))
                if not again or time.monotonic() > end:
                    raise DriverProblem(str(error.problem)) from None
                if broke:
                    self._broke = time.monotonic()
            else:
                status = found[0] if isinstance(found, tuple) else 200
                if not self._passes(status) or time.monotonic() > end:
                    return found
            time.sleep(PAUSE)

    def _passes(self, status: int) -> bool:
        """Whether an answer is one of an API server, or of a balancer before it, that has to be asked again."""
        return status in BUSY or (status in _NOT_YET and time.monotonic() < self._broke + _WARMING_UP)

    def _good(self, method: str, path: str, status: int, answer: Object) -> Object:
        if 200 <= status < 300:
            return answer
        said = plain(str(answer.get("message") or ""), 400) or f"answered {status}"
        hint = "; docs/deploying.md lists the rights that a deployer needs" if status == 403 else ""
        raise DriverProblem(f"{method} {path}: {said}{hint}")


def _whole(item: Object) -> Object:
    return item


def version(item: Object) -> str:
    """What a change of it has to name."""
    return str(table(item, "metadata").get("resourceVersion", ""))


def _as_read(body: Any, found: Object, kind: str) -> Any:
    """The patch, refused (409) where the object is not as it was read."""
    if kind == JSON_PATCH:
        return [*body, {"op": "replace", "path": "/metadata/resourceVersion", "value": version(found)}]
    metadata = {**body.get("metadata", {}), "resourceVersion": version(found)}
    return {**body, "metadata": metadata}


def labelled(labels: Mapping[str, str]) -> str:
    """A selector of exactly these labels."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
