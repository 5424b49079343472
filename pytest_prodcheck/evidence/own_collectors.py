"""A team's own collectors: how they register, and their section of prodcheck.toml checked against its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

from pytest_prodcheck.evidence.collectors import OWN, Collector, record_type
from pytest_prodcheck.evidence.table import COLLECTORS
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

Own = TypeVar("Own", bound=Callable[..., Any])
ALWAYS_ALLOWED = ("vantage", "owner")
FILE_KEYS = ("ca", "certificate", "key", "file", "path")  # also whatever ends in _file or _path
_SECRET_WAYS = ({"env"}, {"file"}, {"command"})


def collector(name: str, *, settings: Mapping[str, Any], seconds: float = 15.0) -> Callable[[Own], Own]:
    """Makes a collector of a function `(settings, deadline) -> Record` of one's own; checks ask for it by `needs=`.

    name: also the name of its section `[environments.X.own.NAME]`. settings: key -> type (`str`, `int`, `str | None`,
    …); the section is checked against it, `vantage` and `owner` are always allowed. Relative paths under keys such as
    `ca` start at prodcheck.toml, `{ env = … }` and the like under a `str` key is the secret. seconds: deadline of the
    whole. The record should be a frozen dataclass of plain data. Raises ValueError for a name that is taken.
    """

    def make(gather: Own) -> Own:
        known = OWN.get(name)
        if name in COLLECTORS or (known is not None and _file(known.gather) != _file(gather)):
            raise ValueError(f"there is already a collector {name!r}: give yours another name")
        adapted = adapt(name, dict(settings), gather)
        OWN[name] = Collector(name, name, adapted, record_type(gather), "", seconds, host_of(name), settings=settings)
        return gather

    return make


def _file(gather: Callable[..., Any]) -> str:
    return str(getattr(gather, "__wrapped__", gather).__code__.co_filename)


def adapt(name: str, settings: dict[str, Any], gather: Callable[..., Any]) -> Callable[[str, Context, Deadline], Any]:
    """Makes `(target, context, deadline)` of an own collector's `(settings, deadline)`."""

    @wraps(gather)
    def adapted(target: str, context: Context, deadline: Deadline) -> Any:
        return gather(read_settings(name, settings, context, deadline), deadline)

    return adapted


def host_of(name: str) -> Callable[[str, Environment], str]:
    """Whom an own collector talks to: `host` and `port` of its section, its own name where there is none."""

    def host(target: str, environment: Environment) -> str:
        section = environment.own.get(name, {})
        return f"{section['host']}:{section.get('port', '')}" if "host" in section else name

    return host


def read_settings(name: str, shape: dict[str, Any], context: Context, deadline: Deadline) -> dict[str, Any]:
    """The section of one own collector; raises EvidenceProblem (configuration) with all that is wrong with it."""
    where = f"[environments.{context.environment.name}.own.{name}]"
    section = context.environment.own.get(name)
    if section is None:
        raise EvidenceProblem(Problem("configuration", f"{where} is not there"))
    wrong = [f"unknown key {key!r}" for key in section if key not in shape and key not in ALWAYS_ALLOWED]
    found: dict[str, Any] = {}
    for key, kind in shape.items():
        value = section.get(key)
        if value is not None and _may_be(kind, str) and isinstance(value, dict) and set(value) in _SECRET_WAYS:
            from pytest_prodcheck.environments.sections.base import SecretRef

            value = context.secret(SecretRef.model_validate(value), deadline)
        elif isinstance(value, str) and _names_a_file(key):
            value = str(context.root / value)
        if not _fits(value, kind):
            wrong.append(f"{key!r} is missing" if key not in section else f"{key!r} is no {_type_text(kind)}")
        found[key] = value
    if wrong:
        hint = ", ".join(f"{key} = {_type_text(kind)}" for key, kind in shape.items())
        raise EvidenceProblem(Problem("configuration", f"{where}: {'; '.join(wrong)}", f"expected: {hint}"))
    return found


def _names_a_file(key: str) -> bool:
    return key in FILE_KEYS or key.endswith(("_file", "_path"))


def _types_of_union(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (NoneType if kind is None else kind,)


def _may_be(kind: Any, wanted: type) -> bool:
    return wanted in _types_of_union(kind)


def _fits(value: object, kind: Any) -> bool:
    for each in _types_of_union(kind):
        plain = get_origin(each) or each
        if plain is Any:
            return value is not None
        if plain is float and isinstance(value, int) and not isinstance(value, bool):
            return True
        if isinstance(value, plain) and (not isinstance(value, bool) or plain in (bool, object)):
            return True
    return False


def _type_text(kind: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "nothing"}
    return " or ".join(names.get(each, getattr(each, "__name__", str(each))) for each in _types_of_union(kind))
