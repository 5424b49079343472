"""What has to fit together in load scenarios: endpoints that are there, hosts that may be loaded, caps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.queries import LIGHT, endpoints_of, http_services, services_of_load
from pytest_prodcheck.environments.rules.common import file, headers, unknown_name
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.load import Load, LoadCaps
    from pytest_prodcheck.environments.sections.services import Service


def load_complaints(environment: Environment, root: Path, caps: LoadCaps | None) -> Iterator[Complaint]:
    """Everything about the scenarios; caps: the bounds in force."""
    for name, load in environment.load.items():
        path = ("load", name)
        yield from _scenario(path, load, environment, root)
        yield from _capped(path, load, caps)


def _scenario(path: tuple[str, ...], load: Load, environment: Environment, root: Path) -> Iterator[Complaint]:
    if path[-1] == LIGHT:
        yield path, "`light` is reserved for latency without load", "choose another name for the scenario"
    there = endpoints_of(environment)
    for name in load.mix:
        yield from unknown_name((*path, "mix", name), name, there, "endpoint")
        if name in there:
            yield from _may_be_loaded((*path, "hosts"), name, environment.services[there[name][0]], load)
    for name in load.flows:
        yield from unknown_name((*path, "flows", name), name, environment.workflows, "workflow")
        flow = environment.workflows.get(name)
        for step in (*flow.steps, *flow.cleanup) if flow else ():
            if step.form is not None or step.files:
                yield (*path, "flows", name), f"step {step.name} sends a form: a load's steps send `json`", ""
            if step.service in http_services(environment):
                what = f"step {step.name} of {name}"
                yield from _may_be_loaded((*path, "hosts"), what, environment.services[step.service], load)
    yield from _varied((*path, "vary"), load, root)
    yield from _check_protocol((*path, "http"), load, environment)
    yield from file((*path, "locustfile"), load.locustfile, root)
    if load.expect_workers and load.bind is None:
        yield (
            (*path, "bind"),
            "`bind` is missing: the address at which workers reach this machine",
            'such as "10.0.0.5:5557"',
        )
    if load.stress is not None and load.rate is not None and load.stress.until <= load.rate:
        yield (*path, "stress", "until"), "the search for the saturation point begins above the scenario's own rate", ""
    if load.from_ is not None and load.rate is not None and load.from_ > load.rate:
        yield (*path, "from"), "`from` is the lower end: `rate` is the highest rate", ""
    for position, name in enumerate(load.resources.hosts if load.resources else ()):
        here = (*path, "resources", "hosts", f"[{position}]")
        yield from unknown_name(here, name, environment.hosts, "host")
        if name in environment.hosts and environment.hosts[name].source != "prometheus":
            yield here, 'expected a host with source = "prometheus", because it keeps the values during the load', ""


def _check_protocol(path: tuple[str, ...], load: Load, environment: Environment) -> Iterator[Complaint]:
    if load.http != "1.1" and load.locustfile is not None:
        yield path, "a Locust file chooses its own HTTP version: `http` is allowed with `mix` and `flows` only", ""
    there = http_services(environment)
    services = [there.get(each) for each in services_of_load(environment, path[1])]
    plain = next((each for each in services if each is not None and each.url.startswith("http:")), None)
    if load.http == "2" and plain is not None:
        what = f"HTTP/2 is chosen in the TLS handshake, and {plain.url} has none"
        yield path, what, 'expected https, or http = "auto"'


def _varied(path: tuple[str, ...], load: Load, root: Path) -> Iterator[Complaint]:
    for name, vary in load.vary.items():
        yield from unknown_name((*path, name), name, {**load.mix, **load.flows}, "endpoint or flow of this load")
        yield from file((*path, name, "file"), vary.file, root)
        plain = {field: value for field, value in vary.headers.items() if "{" not in value}
        yield from headers((*path, name, "headers"), plain, references=False)
        if name in load.flows and (vary.path or vary.json_ is not None or vary.headers):
            yield (
                (*path, name),
                "the steps of a flow have their own paths, documents and headers",
                "use the columns in the steps",
            )


def _may_be_loaded(path: tuple[str, ...], endpoint: str, service: Service, load: Load) -> Iterator[Complaint]:
    connect = (service.connect_to or "").rpartition(":")[0].strip("[]")
    for host in filter(None, (service.host, connect)):
        if host not in load.hosts:
            yield path, f"{endpoint} is answered by {host}, which is not in the `hosts` that load may be sent to", ""
    if service.proxy:
        yield path, f"{endpoint} uses a `proxy`, which would receive the load too", "run the load from behind the proxy"


def _capped(path: tuple[str, ...], load: Load, caps: LoadCaps | None) -> Iterator[Complaint]:
    if caps is None:
        return
    hint = "if this is intended, raise the cap in `load_caps`"
    seconds = load.duration + sum(each[0] for each in load.stress_segments)
    if load.highest > caps.rate * 1.000001:
        yield (*path, "rate"), f"{load.highest:g} requests per second exceed the cap of {caps.rate:g}", hint
    if seconds > caps.duration:
        yield (*path, "duration"), f"{seconds:g} s exceed the cap of {caps.duration:g} s", hint
    if load.requests > caps.requests:
        yield path, f"{load.requests} requests exceed the cap of {caps.requests}", hint
    if load.locustfile is not None and load.rate is None:
        yield (*path, "rate"), "`rate` is missing: without it the caps cannot be verified", ""


def light_complaints(environment: Environment, _root: Path) -> Iterator[Complaint]:
    """Everything about latency without load."""
    there = endpoints_of(environment)
    for position, name in enumerate(environment.light.endpoints or ()):
        path = ("light", "endpoints", f"[{position}]")
        yield from unknown_name(path, name, there, "endpoint")
        if name in there and not there[name][1].changes_nothing:
            yield path, "expected an endpoint whose request changes nothing", ""
