"""Seals and keys."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_prodcheck.gates import seal
from pytest_prodcheck.gates.seal import KeyProblem, find_key, holds, local_key, sign

KEY = b"k" * 32


@pytest.fixture(autouse=True)
def _no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODCHECK_KEY", raising=False)


def test_a_seal_holds_for_what_was_sealed_with_that_key_only() -> None:
    document = sign({"a": 1, "b": [1.5, None, "ü"]}, KEY)
    assert holds(document, KEY)
    assert holds(dict(reversed(document.items())), KEY)
    assert not holds(document, b"x" * 32)
    changes = [("a", 2), ("c", 1), ("b", []), ("seal", ""), ("seal", None), ("seal", "ü"), ("a", float("nan"))]
    for name, value in changes:
        assert not holds({**document, name: value}, KEY)
    assert not holds({"a": 1}, KEY)


def test_the_local_key_is_made_by_a_run_only(tmp_path: Path) -> None:
    state = str(tmp_path / ".prodcheck")
    assert find_key(state, None) is None
    assert not os.path.exists(state)
    key = find_key(state, None, create=True)
    assert key is not None
    assert len(bytes.fromhex(key.decode())) == 32
    assert find_key(state, None) == key
    assert stat.S_IMODE(os.stat(os.path.join(state, "key")).st_mode) == 0o600
    assert os.listdir(state) == ["key"]


def test_runs_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: local_key(str(tmp_path / "s"), create=True), range(8)))
    assert len(keys) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    local_key(str(tmp_path), create=True)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(KeyProblem, match="chmod 600"):
        local_key(str(tmp_path))


def test_odd_local_keys(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises(KeyProblem, match="regular file"):
        local_key(str(tmp_path))
    (tmp_path / "key").rmdir()
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(KeyProblem, match="regular file"):
        local_key(str(tmp_path))
    (tmp_path / "key").unlink()
    (tmp_path / "key").symlink_to("/etc/hostname")
    with pytest.raises(KeyProblem, match="cannot be read"):
        local_key(str(tmp_path))
    (tmp_path / "key").unlink()
    (tmp_path / "key").touch(0o600)
    with pytest.raises(KeyProblem, match="shorter than 16"):
        local_key(str(tmp_path), create=True)


def test_where_a_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, root = str(tmp_path / ".prodcheck"), str(tmp_path)
    local = find_key(state, root if (tmp_path / "prodcheck.toml").exists() else None, create=True)
    (tmp_path / "prodcheck.toml").write_text('[seal]\nkey = { env = "SHOP_KEY" }\n')
    monkeypatch.setenv("SHOP_KEY", "shop-key-shop-key")
    assert find_key(state, root) == b"shop-key-shop-key"
    (tmp_path / "key.txt").write_text("file-key-file-key\n")
    (tmp_path / "prodcheck.toml").write_text('include = ["more/*.toml"]\n')
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.toml").write_text('[seal]\nkey = { file = "key.txt" }\n')
    assert find_key(state, root) == b"file-key-file-key"
    (tmp_path / "more" / "a.toml").write_text("")
    assert find_key(state, root) == local
    monkeypatch.setenv("PRODCHECK_KEY", "from-environment-1")
    assert find_key(state, root) == b"from-environment-1"
    monkeypatch.setenv("PRODCHECK_KEY", "short")
    with pytest.raises(KeyProblem, match="PRODCHECK_KEY is shorter"):
        find_key(state, root)


def test_a_key_behind_escapes_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "shop-key-shop-key")
    (tmp_path / "prodcheck.toml").write_text('["s\\u0065al"]\nkey = { env = "SHOP_KEY" }\n')
    assert find_key(str(tmp_path / ".prodcheck"), str(tmp_path)) == b"shop-key-shop-key"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[seal]\nkey = { command = ["vault"] }', "does not run commands"),
        ('[seal]\nkey = "plain-text-in-the-file"', "expected"),
        ("[seal]\n", "expected"),
        ("seal = 1", "expected"),
        ('[seal]\nkey = { env = "PRODCHECK_NOT_SET" }', "is not set"),
        ('[seal]\nkey = { file = "missing" }', "cannot be read"),
        ("[seal\n", "cannot be read"),
    ],
)
def test_a_configured_key_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "prodcheck.toml").write_text(text)
    with pytest.raises(KeyProblem, match=words):
        find_key(str(tmp_path / ".prodcheck"), str(tmp_path))


def test_canonical_form_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        seal.canonical({"a": float("inf")})
