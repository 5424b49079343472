"""What a load is about to send, as the plan that its driver reads: endpoints as bytes, addresses, limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.answers.variables import VARIABLE
from pytest_prodcheck.environments.queries import longest_of_flow, services_of_load
from pytest_prodcheck.evidence.load.data_feeds import columns, feed_of
from pytest_prodcheck.evidence.load.requests import PlannedRequest, origin_of, planned_requests
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.evidence.network.resolving import addresses_of
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.environments.sections.workflows import Step
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

INTERVALS = 300  # most intervals that a run is divided into
SHORTEST_INTERVAL = 0.5  # seconds
MOST_SAMPLES = 20  # bodies of an endpoint that are held against its schema, of each worker, spread over the run
ALL_SAMPLES = 16 * 1024 * 1024  # bytes of all of them


def load_of(name: str, context: Context) -> Load:
    """One declared scenario; raises EvidenceProblem (configuration) for another name."""
    if name not in context.environment.load:
        raise EvidenceProblem(Problem("configuration", f"no load {name!r} is declared"))
    return context.environment.load[name]


def plan_of(name: str, context: Context, deadline: Deadline, *, stress: bool = False) -> dict[str, Any]:
    """The plan of a scenario or of its search for the knee; logs roles in. Raises EvidenceProblem."""
    load = load_of(name, context)
    segments = load.stress_segments if stress else load.segments
    seconds = sum(each[0] for each in segments)
    feeds = {each: feed_of(vary, context.root) for each, vary in load.vary.items()}
    names = {each: columns(feed) for each, feed in feeds.items()}
    asked = planned_requests(load, context.environment, names)
    endpoints = {each.name: _endpoint(each, context, deadline) for each in asked.values()}
    for each in (*load.mix, *load.flows):
        _insist_on_values(each, load, names.get(each, set()), context)
    clients = {
        service: client(service, load, context, deadline) for service in services_of_load(context.environment, name)
    }
    longest = max(each["timeout"] for each in endpoints.values())
    longest = max([longest, *(longest_of_flow(each, load, context.environment) for each in load.flows)])
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
        "longest": longest,  # seconds that a request, or a user of a flow, may take
        "arrivals": {**load.mix, **load.flows},
        "endpoints": endpoints,
        "flows": {each: _flow(each, load, asked, context) for each in load.flows},
        "feeds": feeds,
        "samples": _samples(endpoints, load, seconds),
        "clients": clients,
    }


def interval_of(seconds: float) -> float:
    """The length of the intervals of a run."""
    return max(SHORTEST_INTERVAL, seconds / INTERVALS)


def _endpoint(asked: PlannedRequest, context: Context, deadline: Deadline) -> dict[str, Any]:
    session = session_of(context, asked.role, deadline)
    return {
        "weight": asked.weight,
        "client": asked.service,
        "method": asked.method,
        "raw": asked.raw(session, context, deadline),
        "safe": asked.safe,
        "wanted": asdict(asked.wanted),
        "timeout": context.environment.services[asked.service].timeout,
        "ends": session.expires_at,
        "same": asked.same,
        "keep": context.environment.gathering.body if asked.schema or asked.capture or asked.wanted.graphql else 0,
        "sampled": asked.schema,
    }


def _samples(endpoints: Mapping[str, Mapping[str, Any]], load: Load, seconds: float) -> dict[str, float]:
    """How many bodies of an endpoint are sampled, how many seconds apart, and how many bytes they may be."""
    sampled = sum(each["sampled"] for each in endpoints.values())
    workers = load.expect_workers or load.workers
    return {"most": MOST_SAMPLES, "every": seconds / MOST_SAMPLES, "bytes": ALL_SAMPLES // max(sampled * workers, 1)}


def _flow(name: str, load: Load, asked: Mapping[str, PlannedRequest], context: Context) -> dict[str, Any]:
    workflow = context.environment.workflows[name]

    def steps(declared: Iterable[Step]) -> list[dict[str, Any]]:
        found = [asked[f"{name}.{step.name}"] for step in declared]
        return [
            {
                "call": each.name, "capture": dict(each.capture or {}),
                "url": origin_of(each.service, context.environment),
            }
            for each in found
        ]  # fmt: skip

    return {
        "steps": steps(workflow.steps), "cleanup": steps(workflow.cleanup), "values": dict(workflow.values),
        "think": load.think,
    }  # fmt: skip


def _insist_on_values(name: str, load: Load, columns: set[str], context: Context) -> None:
    """Raises EvidenceProblem (configuration) for a `{name}` of what varies that is no column."""
    vary = load.vary.get(name)
    if vary is None or name in load.flows:
        return
    missing = sorted(set(VARIABLE.findall(f"{vary.path or ''} {json.dumps([vary.json_, vary.headers])}")) - columns)
    if missing:
        hint = f"columns of every row: {', '.join(sorted(columns)) or 'none'}"
        raise EvidenceProblem(Problem("configuration", f"vary of {name}: there is no column {missing[0]}", hint))


def client(name: str, load: Load, context: Context, deadline: Deadline) -> dict[str, Any]:
    """How one service is reached; raises EvidenceProblem where it is no host that may be loaded."""
    service = context.environment.services[name]
    if service.proxy:
        raise EvidenceProblem(Problem("configuration", f"{name} uses a proxy, but load cannot be sent through a proxy"))
    host, _ = _connect_address(service)
    for each in (service.host, host):
        if each not in load.hosts:
            hint = "if load may be sent to it, add it to `hosts` of the load"
            raise EvidenceProblem(Problem("configuration", f"{name}: load may not be sent to {each}", hint))
    found = addresses_behind(service, context, deadline)
    if not found:
        raise EvidenceProblem(
            Problem("unreachable", f"{name}: none of the addresses of {host} can be reached from here")
        )
    return {
        "addresses": found,
        "server_name": service.host,
        "http": load.http,
        "tls": _tls(service, context) if service.url.startswith("https:") else None,
    }


def addresses_behind(service: Service, context: Context, deadline: Deadline) -> list[list[Any]]:
    """[ip, port] of each address that can be reached from here; raises EvidenceProblem (dns)."""
    from pytest_prodcheck.evidence.network.transport import has_route

    found = addresses_of(context, *_connect_address(service), deadline)
    return [[address.ip, address.port] for address in found if has_route(address)]


def _connect_address(service: Service) -> tuple[str, int]:
    """Host and port that are connected to."""
    if service.connect_to is None:  # a slot may say so too
        return service.host, service.port
    text, _, number = service.connect_to.rpartition(":")
    return text.strip("[]"), int(number)


def _tls(service: Service, context: Context) -> dict[str, Any]:
    def path(name: str | None) -> str | None:
        return str(context.root / name) if name else None

    tls = service.tls
    context.relies_on(tls.ca)
    return {
        "ca": path(tls.ca), "certificate": path(tls.certificate), "key": path(tls.key), "verify": tls.verify == "on"
    }  # fmt: skip
