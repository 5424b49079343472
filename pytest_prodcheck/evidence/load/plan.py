"""What a load is about to send, as the plan that its driver reads: endpoints as bytes, addresses, limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.answers.good import wanted
from pytest_prodcheck.environments.reach import services_of_load
from pytest_prodcheck.evidence.http.service_requests import endpoint
from pytest_prodcheck.evidence.load.requests import raw_request
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.evidence.network.resolving import addresses_of
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

INTERVALS = 300  # most intervals that a run is divided into
SHORTEST_INTERVAL = 0.5  # seconds
LARGEST_SAMPLE = 64 * 1024  # bytes of a body that is held against its schema


def load_of(name: str, context: Context) -> Load:
    """One declared scenario; raises EvidenceProblem (configuration) for another name."""
    if name not in context.environment.load:
        raise EvidenceProblem(Problem("configuration", f"no load {name!r} is declared"))
    return context.environment.load[name]


def plan_of(name: str, context: Context, deadline: Deadline, *, stress: bool = False) -> dict[str, Any]:
    """The plan of a scenario with a mix, or of its search for the knee; logs roles in. Raises EvidenceProblem."""
    load = load_of(name, context)
    segments = load.stress_segments if stress else load.segments
    seconds = sum(each[0] for each in segments)
    endpoints = {target: _endpoint(target, context, deadline) for target in load.mix}
    for target, weight in load.mix.items():
        endpoints[target]["weight"] = weight
    clients = {
        service: client(service, load, context, deadline) for service in services_of_load(context.environment, name)
    }
    longest = max(each["timeout"] for each in endpoints.values())
    highest = max(max(each[1:]) for each in segments)
    return {
        "mode": "open",
        "workers": load.expect_workers or load.workers,
        "segments": segments,
        "by_segment": stress,
        "final": len(segments) - 2 if stress else len(segments),
        "interval": interval_of(seconds),
        "in_flight": int(highest * (longest + 1)) + 20,  # so many wait at most, whatever the server does
        "abort": {
            "error_ratio": load.abort.error_ratio,
            "p95": load.stress.p95 if stress and load.stress is not None else None,
        },
        "endpoints": endpoints,
        "clients": clients,
    }


def interval_of(seconds: float) -> float:
    """The length of the intervals of a run."""
    return max(SHORTEST_INTERVAL, seconds / INTERVALS)


def _endpoint(target: str, context: Context, deadline: Deadline) -> dict[str, Any]:
    service, declared, name = endpoint(context.environment, target)
    session = session_of(context, declared.as_, deadline)
    return {
        "client": name,
        "method": declared.method,
        "raw": raw_request(target, session, context, deadline),
        "safe": declared.changes_nothing,
        "wanted": asdict(wanted(declared.model_dump(by_alias=True))),
        "timeout": service.timeout,
        "keep": LARGEST_SAMPLE if declared.schema_ else 0,
    }


def client(name: str, load: Load, context: Context, deadline: Deadline) -> dict[str, Any]:
    """How one service is reached; raises EvidenceProblem where it is no host that may be loaded."""
    from pytest_prodcheck.evidence.network.transport import has_route

    service = context.environment.services[name]
    if service.proxy:
        raise EvidenceProblem(Problem("configuration", f"{name} goes through a proxy, which a load does not"))
    host, port = service.host, service.port
    if service.connect_to is not None:  # also where a slot says so
        text, _, number = service.connect_to.rpartition(":")
        host, port = text.strip("[]"), int(number)
    for each in (service.host, host):
        if each not in load.hosts:
            hint = "add it to `hosts` of the load if it may be loaded"
            raise EvidenceProblem(Problem("configuration", f"{name}: {each} may not be loaded", hint))
    found = [address for address in addresses_of(context, host, port, deadline) if has_route(address)]
    if not found:
        raise EvidenceProblem(Problem("unreachable", f"{name}: no address of {host} can be reached from here"))
    return {
        "addresses": [[address.ip, address.port] for address in found],
        "server_name": service.host,
        "tls": _tls(service, context) if service.url.startswith("https:") else None,
    }


def _tls(service: Service, context: Context) -> dict[str, Any]:
    def path(name: str | None) -> str | None:
        return str(context.root / name) if name else None

    tls = service.tls
    return {
        "ca": path(tls.ca), "certificate": path(tls.certificate), "key": path(tls.key), "verify": tls.verify == "on"
    }  # fmt: skip
