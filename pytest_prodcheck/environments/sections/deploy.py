"""How a unit is deployed: strategy, gates, the programs or the balancer that move copies and traffic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pytest_prodcheck.environments.kinds import Kind, no_targets
from pytest_prodcheck.environments.queries import find_endpoint, light_endpoints
from pytest_prodcheck.environments.rules.common import unknown_name
from pytest_prodcheck.environments.sections.base import Name, Ratio, Seconds, Section

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.toml.error_collector import Complaint

REQUESTS_PER_ENDPOINT = 5  # requests of each endpoint to each copy in a comparison
_SHELL = re.compile(r"(?:.*/)?(?:a|ba|da|fi|k|mk|z)?sh")
_FILLED_IN = re.compile(r"\{(?:slot|revision|unit|shares|percent|phase)\}")


def _no_shell_text(words: tuple[str, ...]) -> tuple[str, ...]:
    """A shell would run what is filled into its text; as a word of its own it is only a word."""
    if any("\0" in word for word in words):
        raise ValueError("an argument of a program cannot contain a NUL character")
    text = [after for option, after in pairwise(words) if re.fullmatch(r"-[a-z]*c", option)]
    if _SHELL.fullmatch(words[0]) and any(_FILLED_IN.search(each) for each in text):
        raise ValueError("a shell would execute the inserted value: write \"$1\" there, and pass it as an argument: "
                         '["sh", "-c", "./start.sh \\"$1\\"", "sh", "{revision}"]')  # fmt: skip
    return words


Program = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), AfterValidator(_no_shell_text)
]


class CopyCommands(Section):
    """Programs that start and stop copies. `{slot}`, `{revision}` and `{unit}` are filled in."""

    # brings the copy `{slot}` to `{revision}` and comes back when it answers; may be run again at any time
    start: Program
    stop: Program | None = None  # ends the copy `{slot}`; may be run again at any time
    # prints one line a slot, "SLOT REVISION", "-" for a copy that is not healthy; the actual state, not the requested
    observe: Program
    timeout: Seconds = 120.0  # of one command, and of the wait until `observe` shows the requested state


class ShareCommands(Section):
    """Programs that move traffic. `{shares}` is filled in as "blue=90,green=10", `{slot}` and `{percent}` for one."""

    # sets the traffic shares: the state to reach, never how much to add; may be run again at any time.
    # With `{slot}` and `{percent}`, those of the second slot
    do: Program
    # prints one line a slot, "SLOT PERCENT"; the actual state, not the requested one
    observe: Program
    timeout: Seconds = 60.0  # of one command, and of the wait until `observe` shows the requested state


class DeployCommands(Section):
    """The programs, relative to prodcheck.toml."""

    copy_: Annotated[CopyCommands, Field(alias="copy")]  # starts, stops and observes copies
    share: ShareCommands | None = None  # moves and observes traffic; not with the driver `haproxy`


class DeployHaproxy(Section):
    """HAProxy in front of the copies: changed at run time, and in a file so that a reload keeps it."""

    socket: str  # path of its stats socket with level admin
    # map file of blue-green and canary: its one line "SLOT PERCENT" is the share of the second slot, by which HAProxy
    # chooses a backend; the backends are named as the slots
    map: str | None = None
    backend: Name | None = None  # backend of rolling: its servers are named as the slots
    # file of `server-state-file`, with `load-server-state-from-file global`; needed with `backend`
    state: str | None = None
    drain: Seconds = 30.0  # how long the open requests of a copy without traffic are waited for
    timeout: Seconds = 5.0  # of one answer

    def model_post_init(self, _context: Any) -> None:
        """Refuses what could not be found again after a reload."""
        if (self.map is None) == (self.backend is None):
            raise ValueError("expected `map` (blue-green, canary) or `backend` (rolling)")
        if self.backend is not None and self.state is None:
            raise ValueError("`backend` needs `state`: after a reload, HAProxy would otherwise "
                "forget which servers are disabled")

    def lock(self, root: Path) -> Path:
        """Held by whoever deploys to it, from whichever folder."""
        file = (root / (self.map or self.state or "")).resolve()
        return file.with_name(f"{file.name}.lock")


class DeployKubernetes(Section):
    """Deployments of the namespace of `kubernetes`, each named by the `workload` of its slot."""

    # image of a container, such as "registry.example/shop:{revision}"; all containers that have it get the new one
    image: Annotated[str, Field(pattern=r"^[^{}\s]*(\{unit\}[^{}\s]*)?\{revision\}[^{}\s]*$")]
    # Service whose selector is given the labels of the new pods (blue-green)
    service: Name | None = None
    # HTTPRoute in whose rules each slot has a backend, which are given weights (canary, blue-green, rolling)
    route: Name | None = None
    # slot -> the Service that is its backend in `route`; left out: named as its Deployment
    backends: dict[Name, Name] = {}
    # how long a copy without traffic is given to end what it was asked, and what stands before it to notice
    drain: Seconds = 10.0
    # how long a roll-out may take; `progressDeadlineSeconds` of the Deployment ends one that stands still before
    timeout: Seconds = 900.0
    # how many journals of ended deployments are kept in the cluster; older ones are removed at the end of a deployment
    keep: Annotated[int, Field(ge=1, le=1000)] = 20


def deployment_of(environment: Environment, slot: str) -> str:
    """The Deployment of a slot, "" where none is named."""
    found = environment.slots[slot].workload or "" if slot in environment.slots else ""
    if "{workload}" in found:
        declared = [each.workload or "" for each in environment.services.values() if each.workload]
        if len(set(declared)) != 1:
            return ""
        found = found.replace("{workload}", declared[0].rpartition("/")[2])
    kind, _, name = found.rpartition("/")
    return name if kind in ("", "deployment") else ""


class DeployMigrations(Section):
    """Programs that apply database migrations. `{phase}`, `{revision}` and `{unit}` are filled in."""

    # prints those that are not applied, in their order: "expand NAME" for one that only adds, so that the old revision
    # can live with it, "contract NAME" for one that takes away or changes; what is, not what was asked for
    pending: Program
    # applies those of `{phase}`, "expand" or "contract"; may be run again at any time
    run: Program
    # file with the SQL of one, relative to prodcheck.toml, such as "migrations/{name}.sql": in those of "expand" squawk
    # has to find nothing that the old revision could not live with, and what is applied has to be what was planned
    sql: Annotated[str, Field(pattern=r"^[^{}]*\{name\}[^{}]*$")] | None = None
    exclude: tuple[str, ...] = ()  # rules of squawk that are not judged, such as "ban-drop-view"
    timeout: Seconds = 600.0  # of one command


Series = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*\{[^\[\]]*\{revision\}[^\[\]]*\}$", max_length=2000)]


class DeployMetrics(Section):
    """Series of Prometheus by which revisions are compared: counters, without a function, `{revision}` in a label."""

    requests: Series  # all requests, such as http_requests_total{service="shop",revision="{revision}"}
    errors: Series  # those of them that failed, such as http_requests_total{revision="{revision}",code=~"5.."}
    times: Series  # buckets of a histogram, such as http_request_duration_seconds_bucket{revision="{revision}"}
    wait: Seconds = 1800.0  # how long `least` requests of both are waited for at each step


class DeployAnalysis(Section):
    """The comparison of a canary with the copy beside it, in the same minutes.

    By requests of our own to both, or by what Prometheus counted of both (`metrics`).
    """

    least: Annotated[int, Field(ge=100, le=100_000)] = 1000  # requests to each copy at each step; fewer cannot tell
    rate: Annotated[float, Field(gt=0, le=1000)] = 50.0  # requests a second to each copy
    ratio: Annotated[float, Field(ge=1, le=10)] = 1.25  # so many times slower is worse, in the median and in the tail
    errors: Ratio = 0.005  # so much of all requests more is worse
    # chance that a deployment of a copy that is as good is undone, all steps and tests together
    alpha: Annotated[float, Field(gt=0, le=0.05)] = 0.001
    # "service.endpoint" of those that are asked; where left out, those of `light`
    endpoints: tuple[str, ...] | None = None
    metrics: DeployMetrics | None = None  # instead of requests of our own

    def model_post_init(self, _context: Any) -> None:
        """Refuses two sources."""
        if self.metrics is not None and self.endpoints is not None:
            raise ValueError("`endpoints` are requested by prodcheck, `metrics` are counted "
                "by Prometheus: declare one of them")


def _is_ascending(shares: tuple[float, ...]) -> bool:
    return all(low < high for low, high in pairwise(shares)) and shares[-1] == 1


class Deploy(Section):
    """How a new revision gets in, guarded by gates, and back out."""

    # "rolling": copy by copy; "blue-green": a whole copy, then all traffic; "canary": more and more traffic
    strategy: Literal["rolling", "blue-green", "canary"] = "rolling"
    # "commands", "haproxy", "kubernetes", or a file of your own such as "ops/driver.py", relative to prodcheck.toml
    driver: Annotated[str, Field(pattern=r"^(commands|haproxy|kubernetes|.+\.py)$")] = "commands"
    # the copies, by their names in `slots`; two for blue-green and canary; one for a Deployment that rolls out in place
    slots: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)]
    # shares of the traffic that a canary gets, one after the other, up to "100%"; it is compared up to half of it
    steps: Annotated[tuple[Ratio, ...], Field(min_length=1)] = (0.1, 0.5, 1.0)
    before: Name = "pre_deploy"  # gate that must be open before anything is touched
    slot: Name = "smoke"  # gate of a new copy before it gets traffic
    after: Name = "smoke"  # gate with traffic on it; also judges the old revision after a rollback
    monitor: Seconds = 600.0  # how long it is watched once it has all traffic
    every: Seconds = 30.0  # pause between two looks while it is watched
    ready: Seconds = 60.0  # how long the gate of a new copy waits for it to be ready
    # what happens where a gate or comparison cannot tell, twice, with traffic on the new revision: the old one comes
    # back, or everything stays as it is and a person is asked (exit code 21)
    cannot_tell: Literal["undo", "hold"] = "undo"
    # true: the old copy is stopped at the end, which is the point of no return; false: it keeps running for `--undo`
    retire: bool = False
    analysis: DeployAnalysis = DeployAnalysis.model_construct()  # how a canary is compared
    commands: DeployCommands | None = None  # programs that move copies and traffic
    # `expand` migrations are applied before the new copy starts, `contract` ones at the end (the point of no return)
    migrations: DeployMigrations | None = None
    haproxy: DeployHaproxy | None = None  # the balancer of the driver `haproxy`
    kubernetes: DeployKubernetes | None = None  # Deployments, Service and route of the driver `kubernetes`

    def model_post_init(self, _context: Any) -> None:
        """Refuses what no driver could do."""
        if len(set(self.slots)) != len(self.slots):
            raise ValueError("`slots` has a duplicate entry")
        if self.strategy != "rolling" and len(self.slots) != 2:
            raise ValueError(f"{self.strategy} needs exactly two `slots`")
        if len(self.slots) == 1 and self.driver != "kubernetes":
            raise ValueError("a single copy cannot be replaced while it has traffic: name at least two `slots`")
        if not _is_ascending(self.steps) or any(abs(each * 100 - round(each * 100)) > 1e-9 for each in self.steps):
            raise ValueError('`steps` must rise in whole percentages up to "100%"')
        if self.strategy == "canary" and self.steps[0] > 0.5:
            raise ValueError("the first step of a canary must be at most 50 %, because the "
                "comparison works up to half of the traffic")
        if self.driver.endswith(".py"):
            return
        if self.driver == "kubernetes":
            self._refuse_other_objects()
            return
        if self.commands is None:
            raise ValueError("`commands.copy` is missing: the command that starts a copy")
        if self.driver == "commands" and self.commands.share is None:
            raise ValueError("`commands.share` is missing: the command that moves the traffic")
        if self.retire and self.commands.copy_.stop is None:
            raise ValueError("`retire` needs `commands.copy.stop`")
        if self.driver == "haproxy":
            if self.haproxy is None:
                raise ValueError("`haproxy` is missing: it tells where the load balancer is")
            if (self.strategy == "rolling") != (self.haproxy.backend is not None):
                raise ValueError("rolling needs `haproxy.backend`; blue-green and canary need `haproxy.map`")


    def _refuse_other_objects(self) -> None:
        if self.kubernetes is None:
            raise ValueError("`kubernetes` is missing: it tells which image the containers get")
        told = self.kubernetes
        if told.service is not None and told.route is not None:
            raise ValueError("`kubernetes` has both `service` and `route`: declare only one, "
                "because traffic is moved in one place")
        if self.strategy == "canary" and told.route is None:
            raise ValueError("a canary needs `kubernetes.route`: a selector cannot split traffic by percentage")
        if self.strategy == "blue-green" and told.service is None and told.route is None:
            raise ValueError("blue-green needs `kubernetes.service` or `kubernetes.route`")
        if self.strategy == "rolling" and (len(self.slots) > 1) != (told.route is not None):
            raise ValueError("rolling needs either one slot, which is updated in place, or "
                "several slots and `kubernetes.route`")
        if other := next((slot for slot in told.backends if slot not in self.slots), None):
            raise ValueError(f"`kubernetes.backends` names {other!r}, which is not in `slots`")


def _rules(environment: Environment, root: Path) -> Iterator[Complaint]:
    """The slots are declared, the files are there, a canary can be asked something."""
    deploy = environment.deploy
    if deploy is None:
        return
    for position, name in enumerate(deploy.slots):
        yield from unknown_name(("deploy", "slots", f"[{position}]"), name, environment.slots, "slot")
    if deploy.driver.endswith(".py") and not (root / deploy.driver).is_file():
        yield ("deploy", "driver"), f"there is no file {deploy.driver!r} beside prodcheck.toml", ""
    yield from _same_address(environment, deploy)
    yield from _in_a_cluster(environment, deploy)
    names = deploy.analysis.endpoints or ()
    for position, name in enumerate(names):
        path, found = ("deploy", "analysis", "endpoints", f"[{position}]"), find_endpoint(environment, name)
        if found is None:
            yield path, f"there is no endpoint `{name}`", ""
        elif not found[1].changes_nothing:
            yield path, f"{name} changes data: a canary comparison sends thousands of requests", ""
    if deploy.analysis.metrics is not None:
        if environment.prometheus is None:
            yield ("deploy", "analysis", "metrics"), ("the section `prometheus`, with the "
                "server to query, is missing"), ""
        return
    count = len(names or light_endpoints(environment))
    if deploy.strategy == "canary" and count * REQUESTS_PER_ENDPOINT > deploy.analysis.least:
        yield (
            ("deploy", "analysis"),
            f"{deploy.analysis.least} requests are too few for {count} endpoints: each needs {REQUESTS_PER_ENDPOINT}",
            f"set `least` to {count * REQUESTS_PER_ENDPOINT} or more, or name fewer `endpoints`",
        )
    asked = names or [name for name, each in environment.services.items() if each.endpoints]
    if deploy.strategy == "canary" and not asked:
        yield (
            ("deploy", "strategy"),
            "a canary comparison needs an endpoint, but none is declared",
            "declare `services.NAME.endpoints`, or deploy blue-green",
        )


def _in_a_cluster(environment: Environment, deploy: Deploy) -> Iterator[Complaint]:
    if deploy.driver != "kubernetes":
        return
    if environment.kubernetes is None:
        what = "the section `kubernetes`, with the cluster, is missing"
        yield ("deploy", "driver"), what, "declare `kubernetes.namespace`"
    names = [deployment_of(environment, slot) for slot in deploy.slots if slot in environment.slots]
    for slot, name in zip(deploy.slots, names, strict=False):
        if not name or names.count(name) > 1:
            path = ("slots", slot)
            yield path, f"{slot} needs its own Deployment", f'set workload = "deployment/NAME-{slot}"'


def _same_address(environment: Environment, deploy: Deploy) -> Iterator[Complaint]:
    """Two copies behind one address: the gate of the new one, or its comparison, would be about the other."""
    there = [(name, environment.slots[name]) for name in deploy.slots if name in environment.slots]
    for (name, one), (other, two) in combinations(there, 2):
        alike = (one.connect_to, one.services) == (two.connect_to, two.services)
        if alike and (deploy.strategy == "canary" or one.workload == two.workload):
            yield ("deploy", "slots"), f"requests to {name} and to {other} go to the same address", ""
            return


KINDS = (Kind(section="deploy", awaited={}, targets=no_targets, rules=_rules, single=True),)
