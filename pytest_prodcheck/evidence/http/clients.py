"""The HTTP clients of a run: one for each server, made at first use and closed when the gathering ends."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.environments.sections.tls import Trust
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.http.client import HttpClient


def client_of(context: Context, name: str) -> HttpClient:
    """The client of a declared service."""
    return _made_once(context, ("http", name), context.environment.services[name], name)


def client_at(context: Context, address: str, trust: Trust) -> HttpClient:
    """A client for the server of an absolute address that is no declared service's, trusted as declared."""
    from pytest_prodcheck.environments.sections.services import Service, ServiceTls

    parts = urlsplit(address)
    service = Service(url=f"{parts.scheme}://{parts.netloc}", tls=ServiceTls(**trust.model_dump()))
    return client_to(context, service)


def client_to(context: Context, service: Service) -> HttpClient:
    """A client for an address that is no declared service, such as an identity provider's."""
    return _made_once(context, ("http-to", service.model_dump_json()), service, "")


def _made_once(context: Context, key: Hashable, service: Service, name: str) -> HttpClient:
    def make() -> HttpClient:
        from pytest_prodcheck.evidence.http.client import HttpClient

        client = HttpClient(service, context, name)
        context.at_end(client.close)
        return client

    return context.once(key, make)
