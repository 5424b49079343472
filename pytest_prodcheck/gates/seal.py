"""Seals documents with HMAC-SHA256 and finds the key. Light: `prodcheck gate` starts with it.

A seal protects against accident and edits, not against somebody who can read the key.
"""

from __future__ import annotations

import hmac
import json
import os
import stat

from pytest_prodcheck.trusted_files import read_regular, refuse_foreign

SEAL = "seal"
_SHORTEST = 16  # characters
_LARGEST = 16 * 1024 * 1024  # bytes of prodcheck.toml


class KeyProblem(ValueError):
    """A key that cannot be used as configured; the message says how to fix it."""


def canonical(document: dict[str, object]) -> bytes:
    """The one byte form that is sealed; raises ValueError for NaN and for what JSON cannot hold."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sign(document: dict[str, object], key: bytes) -> dict[str, object]:
    """The document with its seal."""
    bare = {name: value for name, value in document.items() if name != SEAL}
    return {**bare, SEAL: "hmac-sha256:" + hmac.new(key, canonical(bare), "sha256").hexdigest()}


def holds(document: dict[str, object], key: bytes) -> bool:
    """Whether a document carries the right seal."""
    seal = document.get(SEAL)
    if not isinstance(seal, str) or not seal.isascii():
        return False
    try:
        return hmac.compare_digest(seal, str(sign(document, key)[SEAL]))
    except (ValueError, TypeError, RecursionError):
        return False


def find_key(state: str, root: str | None, *, create: bool = False) -> bytes | None:
    """The key: PRODCHECK_KEY, else `[seal]` of prodcheck.toml and its includes, else the local `key`; None without one.

    state: `.prodcheck`; root: folder of prodcheck.toml. No verdict has a say in it: it could name the files that do not
    name the key. Only a run and an override may `create` the local key. Raises KeyProblem, and OSError.
    """
    value = os.environ.get("PRODCHECK_KEY")
    if value is not None:
        return usable(value, "PRODCHECK_KEY")
    if root is not None and _may_name_a_key(root):
        from pytest_prodcheck.gates.toml_values import TomlError, configured_key

        try:
            configured = configured_key(root)
        except TomlError as error:
            raise KeyProblem(str(error)) from None
        if configured is not None:
            return usable(*configured)
    return local_key(state, create=create)


def usable(value: str, where: str) -> bytes:
    """A key's bytes; raises KeyProblem for one that is too short to be one."""
    text = value.strip()
    if len(text) < _SHORTEST:
        raise KeyProblem(f"the key in {where} is shorter than {_SHORTEST} characters: use a longer one")
    return text.encode()


def local_key(state: str, *, create: bool = False) -> bytes | None:
    """The key of this checkout: 32 random bytes as hex, mode 0600."""
    path = os.path.join(state, "key")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        if not create:
            return None
        _create(path)
        return local_key(state)
    except OSError as error:
        raise KeyProblem(f"the key {path} cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(handle)
        mode = found.st_mode
        if not stat.S_ISREG(mode):
            raise KeyProblem(f"the key {path} is not a regular file")
        if found.st_uid not in (os.geteuid(), 0):
            refuse_foreign(path, "the key")
        if mode & 0o077:
            raise KeyProblem(f"the key {path} can be read by users other than its owner: run chmod 600 on it")
        return usable(os.read(handle, 4096).decode("ascii", "replace"), path)
    finally:
        os.close(handle)


def _create(path: str) -> None:
    """Makes the key whole or not at all: written aside, then linked to its name, which fails if there is one."""
    import secrets

    aside = f"{path}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        pass  # another run was first: its key is the one
    except OSError as error:
        raise KeyProblem(f"the key {path} cannot be written: {error.strerror}") from None
    finally:
        if os.path.exists(aside):
            os.unlink(aside)


def _may_name_a_key(root: str) -> bool:
    """Whether prodcheck.toml is worth parsing: "seal" or "include" may stand in it, also with escapes."""
    content = read_regular(os.path.join(root, "prodcheck.toml"), _LARGEST)
    return any(word in content for word in (b"seal", b"include", b"\\u", b"\\U"))
