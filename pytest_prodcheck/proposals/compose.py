"""From a compose file: what publishes a port on this machine, databases and caches by their images."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from pytest_prodcheck.proposals.proposal import CannotPropose, Proposal, name_of

_KINDS = {
    "postgres": ("postgres", "postgis", "timescaledb", "pgvector"),
    "redis": ("redis", "valkey", "keydb"),
    "memcached": ("memcached",),
}
_USUAL = {"postgres": 5432, "redis": 6379, "memcached": 11211}
_NOT_HTTP = ("mysql", "mariadb", "mongo", "rabbitmq", "kafka", "nats", "zookeeper", "mosquitto")
_HEALTH = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?(/[A-Za-z0-9/_.-]{1,200})")


def from_compose(document: dict[str, Any], folder: str) -> Proposal:
    """Raises CannotPropose where nothing publishes a port."""
    proposal = Proposal(name_of(str(document.get("name") or folder), "project"), False)
    for key, service in document["services"].items():
        if isinstance(service, dict):
            _add(proposal, name_of(str(key)), service)
    if not proposal.sections:
        raise CannotPropose("no service of the compose file publishes a port: no service can be reached from here")
    return proposal


def _add(proposal: Proposal, name: str, service: dict[str, Any]) -> None:
    image = str(service.get("image", "")).rpartition("/")[2].partition(":")[0].lower()
    kind = next((kind for kind, images in _KINDS.items() if image.startswith(images)), "services")
    ports = _ports(service.get("ports"))
    if not ports:
        proposal.notes.append(f"{name} publishes no port, so it cannot be reached from here.")
        return
    if kind == "services":
        if image.startswith(_NOT_HTTP):
            host, port, _ = ports[0]
            proposal.sections.setdefault("dependencies", {})[name] = {"tcp": f"{host}:{port}"}
            return
        host, port, inside = ports[0]
        made: dict[str, Any] = {"url": f"{'https' if inside in (443, 8443) else 'http'}://{host}:{port}"}
        if found := _HEALTH.search(_text(service.get("healthcheck"))):
            made["health"] = found[1]
        else:
            proposal.notes.append(f"{name}: add where it reports its health and its revision.")
    else:
        host, port, _ = next((each for each in ports if each[2] == _USUAL[kind]), ports[0])
        made = {"nodes": [f"{host}:{port}"]}
        if kind == "postgres":
            made |= _login(name, _environment(service.get("environment")))
            made |= {"expect": {"primaries": 1, "standbys": 0}, "tls": {"mode": "disable"}}
            proposal.notes.append(
                f"{name}: set {_variable(name)} to its password; a separate role for prodcheck is better."
            )
        elif kind == "redis" and "requirepass" in _text(service.get("command")):
            made["password"] = {"env": _variable(name)}
            proposal.notes.append(f"{name}: set {_variable(name)} to its password.")
    proposal.sections.setdefault(kind, {})[name] = made


def _login(name: str, variables: dict[str, str]) -> dict[str, Any]:
    """User and database where they are written out; never the password."""
    user, database = variables.get("POSTGRES_USER", "postgres"), variables.get("POSTGRES_DB", "")
    user = user if "$" not in user else "postgres"
    database = database if database and "$" not in database else user
    return {"user": user, "database": database, "password": {"env": _variable(name)}}


def _variable(name: str) -> str:
    return f"{name.replace('-', '_').upper()}_PASSWORD"


def _environment(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {str(key): str(each) for key, each in value.items() if each is not None}
    pairs = (str(each).partition("=") for each in value) if isinstance(value, list) else ()
    return {key: each for key, equals, each in pairs if equals}


def _ports(value: Any) -> list[tuple[str, int, int]]:
    """Host, published and inner port of each that is written out: "8080:80", "127.0.0.1:8080:80/tcp", a table."""
    found = []
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict):
            host, outside, inside = (
                str(each.get("host_ip") or ""),
                str(each.get("published", "")),
                str(each.get("target")),
            )
            udp = each.get("protocol") == "udp"
        else:
            plain, _, protocol = str(each).partition("/")
            before, _, inside = plain.rpartition(":")
            host, _, outside = before.rpartition(":")
            udp = protocol == "udp"
        if not udp and outside.isdecimal() and inside.isdecimal() and 0 < int(outside) < 65536:
            host = host.strip("[]")
            found.append(("127.0.0.1" if _is_here(host) else host, int(outside), int(inside)))
    return found


def _text(value: Any) -> str:
    """The words of a command, whichever way it is written."""
    if isinstance(value, dict):
        value = value.get("test")
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _is_here(host: str) -> bool:
    """Whether a port published at this address is reached by 127.0.0.1: all addresses, or a loopback one."""
    try:
        return not host or ip_address(host).is_unspecified or ip_address(host).is_loopback
    except ValueError:
        return False
