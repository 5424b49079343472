"""Secrets that would go by plain HTTP to another machine: refused where that machine is declared by HTTPS too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from pytest_prodcheck.environments.queries import ANONYMOUS, http_services, is_loopback

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.environments.toml.error_collector import Complaint


class Sent(NamedTuple):
    """A secret that goes to an address. path: the key of the address. what: the secret, for messages."""

    path: tuple[str, ...]
    url: str
    what: str

    @property
    def host(self) -> str:
        """The host name of the address."""
        return urlsplit(self.url).hostname or ""


def complaints(environment: Environment) -> Iterator[Complaint]:
    """Secrets that would go in clear to a host that is declared by HTTPS elsewhere."""
    encrypted = https_hosts(environment)
    for sent in secrets_in_clear(environment):
        if sent.host in encrypted:
            what = (
                f"{sent.what} would be sent over plain HTTP to {sent.host}, which "
                f"{encrypted[sent.host]} declares with HTTPS"
            )
            yield sent.path, what, "use https here too, or another host"


def https_hosts(environment: Environment) -> dict[str, str]:
    """Host -> the first key that declares an HTTPS address of it."""
    found: dict[str, str] = {}
    for path, url in _addresses(environment):
        if url.startswith("https:"):
            found.setdefault(urlsplit(url).hostname or "", ".".join(path))
    return found


def secrets_in_clear(environment: Environment) -> Iterator[Sent]:
    """What goes by HTTP to other machines, the first for each address."""
    for sent in _sent(environment):
        if sent.url.startswith("http:") and not on_this_machine(urlsplit(sent.url).netloc):
            yield sent


def on_this_machine(address: str) -> bool:
    """Whether HOST:PORT is loopback."""
    return is_loopback(urlsplit(f"//{address}").hostname or "")


def _sent(environment: Environment) -> Iterator[Sent]:
    for name, service in http_services(environment).items():
        if what := _of_service(name, service, environment):
            yield Sent(("services", name, "url"), service.url, what)
    if environment.auth is not None and environment.auth.roles:
        for path, url in _addresses(environment):
            if path[0] == "auth":
                yield Sent(path, url, "the credentials of roles")
    watching = (("prometheus", environment.prometheus),
                ("alerts.alertmanager", environment.alerts.alertmanager if environment.alerts else None))  # fmt: skip
    for where, each in watching:
        if each is not None and (each.authentication is not None or _secret(each.headers)):
            yield Sent((*where.split("."), "url"), each.url, "its credentials")


def _of_service(name: str, service: Service, environment: Environment) -> str:
    """What is secret of all that one service is sent, "" for nothing; the environment's headers are held back."""
    if service.authentication is not None or _secret(service.headers):
        return "its credentials"
    auth = environment.auth
    if auth is not None and auth.service == name and auth.login is not None:
        return "the tokens of roles" if auth.kind == "token" else "the passwords of roles"
    for endpoint in service.endpoints.values():
        roles = [role for role in (endpoint.as_, *(endpoint.allow or ())) if role not in (None, ANONYMOUS)]
        if roles:
            return f"the token of the role {roles[0]}"
    return ""


def _secret(headers: Mapping[str, object]) -> bool:
    return any(not isinstance(value, str) for value in headers.values())


def _addresses(environment: Environment) -> Iterator[tuple[tuple[str, ...], str]]:
    """Key path and address of everything that is declared by one."""
    for name, service in http_services(environment).items():
        yield ("services", name, "url"), service.url
    if (auth := environment.auth) is not None:
        for key, url in (("issuer", auth.issuer), ("token_url", auth.token_url)):
            if url:
                yield ("auth", key), url
        for position, url in enumerate(auth.origins):
            yield ("auth", "origins", f"[{position}]"), url
    if environment.prometheus is not None:
        yield ("prometheus", "url"), environment.prometheus.url
    if environment.alerts is not None and environment.alerts.alertmanager is not None:
        yield ("alerts", "alertmanager", "url"), environment.alerts.alertmanager.url
