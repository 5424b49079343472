"""What an OpenAPI 3 document has to have, and where it describes a request. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_prodcheck.answers.variables import at_pointer

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.services import Endpoint

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MOST_PROBLEMS = 50
_STATUS = re.compile(r"([1-5](\d\d|XX)|default)\Z")
_DATA = ("example", "examples", "default", "enum", "const")
_MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions", "schemas", "responses", "paths")
_NAME = re.compile(r"\{([^{}/]+)\}")


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with the document's structure, at most fifty; [] for a good one.

    Looked at: version 3.0 to 3.2; info.title and info.version; paths (or components, webhooks since 3.1) there; paths
    start with "/" and no two are the same template; operations are objects with responses of valid status keys, each
    described; operationIds once; parameters have name and place, those in the path are required and in the template,
    and the template's names are declared; every "$ref" that starts with "#" leads somewhere. Not looked at: schemas,
    examples, security.
    """
    return list(islice(_problems(document), MOST_PROBLEMS))


def _problems(document: dict[str, Any]) -> Iterator[str]:
    version = document.get("openapi")
    if not isinstance(version, str) or not re.match(r"3\.[0-2]\.\d+", version):
        yield f"openapi: {str(version)[:40]!r} is no version 3.0, 3.1 or 3.2"
        return
    old = version.startswith("3.0")
    info = document.get("info")
    for key in ("title", "version"):
        if not isinstance(info, dict) or not isinstance(info.get(key), str):
            yield f"info.{key}: is missing"
    paths = document.get("paths")
    if paths is None and not old and any(key in document for key in ("components", "webhooks")):
        paths = {}
    if not isinstance(paths, dict):
        yield "paths: is missing"
    else:
        yield from _path_problems(document, paths, old)
    yield from _reference_problems(document)


def _path_problems(document: dict[str, Any], paths: dict[str, Any], old: bool) -> Iterator[str]:
    templates: dict[str, str] = {}
    ids: dict[str, str] = {}
    for path, item in paths.items():
        if path.startswith("x-"):
            continue
        if not path.startswith("/"):
            yield f"paths.{path}: does not start with /"
        other = templates.setdefault(_NAME.sub("{}", path), path)
        if other != path:
            yield f"paths.{path}: is the same template as {other}"
        item = resolved(document, item)
        if not isinstance(item, dict):
            yield f"paths.{path}: is no object"
            continue
        for method in METHODS:
            if method in item:
                yield from _operation_problems(document, path, method, item, old, ids)


def _operation_problems(
    document: dict[str, Any], path: str, method: str, item: dict[str, Any], old: bool, ids: dict[str, str]
) -> Iterator[str]:
    where = f"{method.upper()} {path}"
    found = item[method]
    if not isinstance(found, dict):
        yield f"{where}: is no object"
        return
    if isinstance(name := found.get("operationId"), str) and ids.setdefault(name, where) != where:
        yield f"{where}: operationId {name!r} is that of {ids[name]} too"
    responses = found.get("responses")
    if not isinstance(responses, dict) or not any(not key.startswith("x-") for key in responses):
        if old or responses is not None:
            yield f"{where}: has no responses"
    else:
        for status, response in responses.items():
            if not status.startswith("x-") and not _STATUS.match(status):
                yield f"{where}: {status!r} is no status of a response"
            response = resolved(document, response)
            if not isinstance(response, dict) or not isinstance(
                response.get("description", "" if not old else None), str
            ):
                yield f"{where}: response {status} has no description"
    yield from _parameter_problems(document, where, path, item, found)


def _parameter_problems(
    document: dict[str, Any], where: str, path: str, item: dict[str, Any], found: dict[str, Any]
) -> Iterator[str]:
    told: set[str] = set()
    for source in (item, found):
        parameters = source.get("parameters", [])
        if not isinstance(parameters, list):
            yield f"{where}: parameters is no list"
            continue
        for parameter in parameters:
            parameter = resolved(document, parameter)
            name = parameter.get("name") if isinstance(parameter, dict) else None
            place = parameter.get("in") if isinstance(parameter, dict) else None
            if not isinstance(name, str) or place not in ("query", "header", "path", "cookie", "querystring"):
                yield f"{where}: a parameter has no name or no place"
            elif place == "path":
                told.add(name)
                if parameter.get("required") is not True:
                    yield f"{where}: path parameter {name} is not required"
    for name in sorted(set(_NAME.findall(path)) - told):
        yield f"{where}: {{{name}}} is no declared parameter"


def _reference_problems(document: dict[str, Any]) -> Iterator[str]:
    told: set[str] = set()
    for reference in references(document):
        if reference.startswith("#") and reference not in told and not _is_resolvable(document, reference):
            told.add(reference)
            yield f"$ref {reference[:200]}: leads nowhere"


def references(part: Any) -> Iterator[str]:
    """All "$ref" in a part of a document; not those inside examples, which are data."""
    stack = [(part, False)]
    while stack:
        value, names = stack.pop()  # names: its keys are names that somebody chose, no words of the language
        if isinstance(value, dict):
            if not names and isinstance(found := value.get("$ref"), str):
                yield found
            stack.extend((each, key in _MAPS and not names) for key, each in value.items() if names or key not in _DATA)
        elif isinstance(value, list):
            stack.extend((each, False) for each in value)


def _is_resolvable(document: dict[str, Any], reference: str) -> bool:
    if reference.startswith("#/"):
        try:
            at_pointer(document, unquote(reference[1:]))
        except LookupError:
            return False
    return True  # "#": the document; "#name": an anchor


def resolved(document: dict[str, Any], part: Any) -> Any:
    """What a part stands for: "$ref" inside the document followed, at most ten times."""
    for _ in range(10):
        if not isinstance(part, dict) or not isinstance(part.get("$ref"), str) or not part["$ref"].startswith("#/"):
            return part
        try:
            part = at_pointer(document, unquote(part["$ref"][1:]))
        except LookupError:
            return None
    return None


def operation(document: dict[str, Any], url: str, endpoint: Endpoint) -> dict[str, Any] | None:
    """The operation that describes an endpoint of the service at `url`, None where there is none.

    Paths count from the document's servers; where those say another base than the service's address, from either.
    """
    paths = document.get("paths")
    if not isinstance(paths, dict):
        return None
    path = unquote(endpoint.path.partition("?")[0])
    wanted = {path, *_below_servers(document, urlsplit(url).path.rstrip("/") + path)}
    best: tuple[int, dict[str, Any]] | None = None
    for template, item in paths.items():
        if not any(fits(template, each) for each in wanted):
            continue
        item = resolved(document, item)
        found = item.get(endpoint.method.lower()) if isinstance(item, dict) else None
        names = len(_NAME.findall(template))  # a literal path wins over a template
        if isinstance(found, dict) and (best is None or names < best[0]):
            best = (names, found)
    return best[1] if best else None


def fits(template: str, path: str) -> bool:
    """Whether a path is one of a template's, each "{name}" a non-empty part of a segment; in linear time."""
    pairs = zip(_NAME.sub("\0", template).split("/"), path.split("/"), strict=False)
    return template.count("/") == path.count("/") and all(_segment_fits(wanted, each) for wanted, each in pairs)


def _segment_fits(wanted: str, segment: str) -> bool:
    first, *middle = wanted.split("\0")
    if not middle:
        return first == segment
    last, at = middle.pop(), len(first)
    if not segment.startswith(first):
        return False
    for literal in middle:
        at = segment.find(literal, at + 1)
        if at < 0:
            return False
        at += len(literal)
    return segment.endswith(last) and len(segment) - len(last) >= at + 1


def _below_servers(document: dict[str, Any], path: str) -> Iterator[str]:
    servers = document.get("servers")
    for server in servers if isinstance(servers, list) else []:
        url = server.get("url") if isinstance(server, dict) else None
        if isinstance(url, str):
            try:
                base = urlsplit(url).path.rstrip("/") if "{" not in url.partition("//")[2].partition("/")[0] else ""
            except ValueError:  # no address
                continue
            if path.startswith(f"{base}/"):
                yield path[len(base) :]
