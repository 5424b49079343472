"""Single values straight from prodcheck.toml, for `prodcheck gate`, which has no time to load it all."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator

from pytest_prodcheck.gates.paths import CONFIGURATION, included
from pytest_prodcheck.trusted_files import read_regular, refuse_foreign

Table = dict[str, object]
_LARGEST = 16 * 1024 * 1024  # bytes of a file


class TomlError(ValueError):
    """prodcheck.toml, or a value in it, cannot be used; the message says why."""


def tables(root: str) -> Iterator[tuple[str, Table]]:
    """prodcheck.toml and the files it includes, parsed, by name; raises TomlError."""
    first = _parse(root, CONFIGURATION)
    yield CONFIGURATION, first
    include = first.get("include")
    for pattern in include if isinstance(include, list) else ():
        if isinstance(pattern, str):
            for name in included(root, pattern):
                yield name, _parse(root, name)


def configured_key(root: str) -> tuple[str, str] | None:
    """The text of the configured key and where it lies, None where `[seal]` is not written; raises TomlError."""
    for name, table in tables(root):
        seal = table.get("seal")
        if seal is not None:
            reference = seal.get("key") if isinstance(seal, dict) else None
            return _key(root, f"{name}: seal.key", reference)
    return None


def _key(root: str, where: str, reference: object) -> tuple[str, str]:
    if not isinstance(reference, dict) or len(reference) != 1:
        raise TomlError(f'{where}: expected {{ env = "NAME" }} or {{ file = "PATH" }}')
    way, value = next(iter(reference.items()))
    if way == "env" and isinstance(value, str):
        if not os.environ.get(value):
            raise TomlError(f"{where}: the environment variable {value} is not set")
        return os.environ[value], f"the environment variable {value}"
    if way == "file" and isinstance(value, str):
        try:
            return read_regular(os.path.join(root, value), 4096).decode(), value
        except (OSError, ValueError) as error:
            raise TomlError(f"{where}: {value} cannot be read: {error}") from None
    raise TomlError(f'{where}: a gate does not run commands: expected {{ env = "NAME" }} or {{ file = "PATH" }}')


def environments(root: str) -> dict[str, Table]:
    """The environments as written, those of included files too; raises TomlError."""
    found: dict[str, Table] = {}
    for _, table in tables(root):
        written = table.get("environments")
        for name, each in written.items() if isinstance(written, dict) else ():
            if isinstance(each, dict):
                found[name] = {**found.get(name, {}), **each}
    return found


def revision(root: str, environment: str) -> str:
    """The revision that prodcheck.toml names for an environment, through `extends`; "" where it names none."""
    found = environments(root)
    seen: set[str] = set()
    while environment in found and environment not in seen:
        seen.add(environment)
        value = found[environment].get("revision")
        if isinstance(value, str):
            if "{" in value:
                raise TomlError(f"the revision of {environment} is {value!r}: give it with --revision")
            return value
        environment = str(found[environment].get("extends"))
    return ""


def _parse(root: str, name: str) -> Table:
    try:
        refuse_foreign(os.path.join(root, name), "the configuration")
        return tomllib.loads(read_regular(os.path.join(root, name), _LARGEST).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise TomlError(f"{name} cannot be read: {error}") from None
