"""From an OpenAPI document: its server, and the requests that need neither login nor parameters."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pytest_prodcheck.proposals.proposal import CannotPropose, Proposal, name_of

MOST = 10  # endpoints that are proposed


def from_openapi(document: dict[str, Any]) -> Proposal:
    """Raises CannotPropose where no server is named."""
    server = _server(document)
    if not server.lower().startswith(("http://", "https://")):
        raise CannotPropose("the OpenAPI document names no server with a full URL: use the URL of the service instead")
    parts = urlsplit(server)
    host = parts.netloc.rpartition("@")[2]
    info = document.get("info")
    title = str(info.get("title", "")) if isinstance(info, dict) else ""
    name = name_of(title)
    service: dict[str, Any] = {"url": f"{parts.scheme}://{host}{parts.path.rstrip('/')}"}
    if found := endpoints_of(document):
        service["endpoints"] = found
    notes = ["add `health` and `version`: where the service reports its health and its revision."]
    return Proposal(name, True, {"services": {name: service}}, notes)


def endpoints_of(document: dict[str, Any]) -> dict[str, Any]:
    """Requests that change nothing and need nothing, with the status that they promise."""
    found: dict[str, Any] = {}
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        get = item.get("get") if isinstance(item, dict) else None
        if not isinstance(get, dict) or "{" in str(path) or not str(path).startswith("/") or len(found) >= MOST:
            continue
        needed = [*_list(item.get("parameters")), *_list(get.get("parameters"))]
        if any(not isinstance(each, dict) or each.get("required") or "$ref" in each for each in needed):
            continue
        if get.get("security", document.get("security")):
            continue
        answers = get.get("responses")
        good = sorted(str(each) for each in answers if str(each).startswith("2")) if isinstance(answers, dict) else []
        status = int(good[0]) if good and good[0].isdigit() else 200
        name = name_of(str(get.get("operationId") or path), "root")
        found.setdefault(name, {"request": f"GET {path}", "status": status})
    return found


def _server(document: dict[str, Any]) -> str:
    servers = _list(document.get("servers"))
    if servers and isinstance(servers[0], dict):
        return str(servers[0].get("url", ""))
    if document.get("host"):  # OpenAPI 2
        scheme = str(next(iter(_list(document.get("schemes"))), "https"))
        return f"{scheme}://{document['host']}{document.get('basePath', '')}"
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
