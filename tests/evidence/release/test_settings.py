"""Settings in files: what is read, what is a mistake, and that no secret value leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.settings import Setting
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.release.setting_files import parse
from pytest_prodcheck.evidence.release.setting_values import is_known_secret, is_secret, mistake, placeholder
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.settings import ConfiguredSettings, SettingFound
from suites.pre_deploy.test_configuration import test_settings_are_filled_in as judge_settings
from tests.evidence.contexts import context_for
from tests.judged import judged

ENV = r"""
# comment
PLAIN=a b # c
export EXPORTED=1
EMPTY=
HASH=a#b
SINGLE='it is $HOME "so"'
DOUBLE="line\none \"two\""  # c
SEVERAL="-----BEGIN
END-----"
EQUALS=a=b=c
"""


def test_an_environment_file() -> None:
    assert parse(ENV.encode(), "env", "f") == {
        "PLAIN": "a b", "EXPORTED": "1", "EMPTY": "", "HASH": "a#b", "SINGLE": 'it is $HOME "so"',
        "DOUBLE": 'line\none "two"', "SEVERAL": "-----BEGIN\nEND-----", "EQUALS": "a=b=c",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b'{"a": {"b": 1}, "c": true}', "json"),
        (b"c = true\n[a]\nb = 1\n", "toml"),
        (b"a:\n  b: 1\nc: yes\n", "yaml"),
    ],
)
def test_tables_within_tables(content: bytes, form: str) -> None:
    found = parse(content, form, "f")
    assert (found["a.b"], found["c"]) == (1, True)


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"hunter2 is no assignment", "env"),
        (b"A='hunter2", "env"),
        (b"A='hunter2' and more", "env"),
        (b'{"a": "hunter2"', "json"),
        (b"a = hunter2", "toml"),
        (b"a: [hunter2", "yaml"),
        (b"a: !!python/object:hunter2 {}", "yaml"),
        (b'["hunter2"]', "json"),
        (b"\xff\xfehunter2", "env"),
    ],
)
def test_what_is_no_file_of_settings_shows_nothing_of_it(content: bytes, form: str) -> None:
    with pytest.raises(EvidenceProblem) as caught:
        parse(content, form, "f")
    assert caught.value.problem.kind == "configuration"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "changeme", "CHANGE_ME", "pay_change-me", "xxx", "XXXX", "key-xxxx", "TODO", "TODO: ask ops", "<password>",
        "${DB_PASSWORD}",        "https://example.com/", "https://api.example.org/v1", "mailto@example.net", "postgres://u:<password>@h/d",
        "your-api-key", "replace_me", "{{ password }}", "https://$(HOST)/", "placeholder",
    ],
)  # fmt: skip
def test_placeholders(value: str) -> None:
    assert placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        "todo", "exchange-me", "https://myexample.com/", "axxxb", "https://shop.test/", "Shop <shop@shop.test>", "a<b",
        "$5", "yourself", "SELECT 1", "0", "https://example.company/", "changes", 8080, True, "aHR0cHM6Ly94eHg",
    ],
)  # fmt: skip
def test_real_values(value: Any) -> None:
    assert not placeholder(value)


@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ({"type": "int"}, ["0", "-5", "8080"], ["", "eighty", "8080.5", "0x10"]),
        ({"type": "bool"}, ["true", "Off", "1"], ["maybe", "2", ""]),
        ({"type": "url"}, ["https://a/b", "sqlite:///a.db", "postgresql://u:p@h1:1,h2:2/d"],
         ["a.test", "https://", "/a", "h ttp://a"]),
        ({"type": "duration"}, ["30s", "1h30m", "500ms", "PT5M", "P1DT2H"], ["30", "soon", "P", "PT", "s"]),
        ({"one_of": ["a", "b"]}, ["a"], ["A", "c"]),
        ({"matches": "v[0-9]+"}, ["v1"], ["v1b", "xv1"]),
    ],
)  # fmt: skip
def test_types(setting: dict[str, Any], good: list[str], bad: list[str]) -> None:
    declared = Setting.model_validate(setting)
    assert [mistake(each, declared, text=True, secret=False) for each in good] == [""] * len(good)
    assert all(mistake(each, declared, text=True, secret=False) for each in bad)


def test_types_are_strict_where_the_format_has_some() -> None:
    number, truth, text = Setting(type="int"), Setting(type="bool"), Setting()
    assert not mistake(8080, number, text=False, secret=False)
    assert mistake("8080", number, text=False, secret=False)
    assert mistake(True, number, text=False, secret=False)
    assert mistake("true", truth, text=False, secret=False)
    assert mistake(1.1, text, text=False, secret=False)


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("postgres", True), ("Password123", True), ("aaaaaaaa", True), ("DB_PASSWORD", True), ("k9#fT2!pQ7", False),
        ("postgresql://shop:shop@h/d", True), ("postgresql://shop:secret@h/d", True), ("redis://:admin@h", True),
        ("postgresql://shop:k9fT2pQ7@h/d", False), ("postgresql://h/d", False),
    ],
)  # fmt: skip
def test_secrets_that_everybody_knows(value: str, known: bool) -> None:
    assert is_known_secret("DB_PASSWORD", value) == known


def test_what_is_secret() -> None:
    assert [is_secret(name, Setting()) for name in ("DB_PASSWORD", "apiKey", "LOG_LEVEL")] == [True, True, False]
    assert not is_secret("TOKEN_LIFETIME", Setting(secret=False))


def gather(root: Path, **settings: Any) -> ConfiguredSettings:
    context = context_for(root, settings={"shop": settings})
    found: ConfiguredSettings = find("configured-settings").gather("shop", context, Deadline(5))
    return found


def test_no_value_of_a_secret_leaves(tmp_path: Path) -> None:
    secrets = {
        "A_TOKEN": "hunter2-hunter2", "B_PASSWORD": "hunter2", "DSN": "https://u:hunter2@h/", "C_SECRET": "<hunter2>",
    }  # fmt: skip
    (tmp_path / "r-1.env").write_text("".join(f"{name}={value}\n" for name, value in secrets.items()))
    keys = {"A_TOKEN": {"type": "int"}, "B_PASSWORD": {}, "DSN": {"matches": "x"}, "C_SECRET": {}}
    found = gather(tmp_path, file="{revision}.env", keys=keys)
    ledger = judged(judge_settings, found)
    assert ledger.outcome is Outcome.FAILED
    assert "hunter2" not in repr(found) + repr(ledger)
    assert len([each for each in ledger.judgements if each.outcome is Outcome.FAILED]) == 5


def test_a_file_and_what_is_made_of_it(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"db": {"port": 5432, "host": ""}, "mode": "off"}))
    keys = {"db.port": {"type": "int"}, "db.host": {}, "mode": {"one_of": ["on"]}, "dsn": {"optional": True}, "x": {}}
    found = {each.name: each for each in gather(tmp_path, file="s.json", keys=keys).settings}
    assert found["db.port"] == SettingFound("db.port", False, False, True)
    assert (found["db.host"].present, found["db.host"].empty) == (True, True)
    assert found["mode"].wrong == "it is none of on ('off')"
    assert (found["dsn"].present, found["dsn"].optional, found["x"].present) == (False, True, False)


def test_nothing_but_absent_optional_settings_proves_nothing() -> None:
    found = ConfiguredSettings("f", (SettingFound("A", False, True, False),))
    assert judged(judge_settings, found).outcome is Outcome.ERRORED


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvidenceProblem, match="there is no file"):
        gather(tmp_path, file="absent.env", keys={"A": {}})


def test_an_entry_of_a_config_map_that_is_about_to_be_applied(tmp_path: Path) -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"},
            "data": {"app.json": '{"port": "x"}', "LEVEL": "info"}}  # fmt: skip
    (tmp_path / "shop.yaml").write_text(json.dumps(item))
    cluster = {"namespace": "shop", "manifests": ["shop.yaml"]}
    maps = {
        "plain": {"configmap": "shop", "keys": {"LEVEL": {"one_of": ["info"]}}},
        "whole": {"configmap": "shop", "entry": "app.json", "keys": {"port": {"type": "int"}}},
        "other": {"configmap": "shop", "entry": "absent.json", "keys": {"port": {"type": "int"}}},
    }
    context = context_for(tmp_path, kubernetes=cluster, settings=maps)
    wrong = {name: find("configured-settings").gather(name, context, Deadline(5)).settings[0].wrong
             for name in ("plain", "whole")}  # fmt: skip
    assert wrong == {"plain": "", "whole": "it is no int ('x')"}
    with pytest.raises(EvidenceProblem, match="has no entry"):
        find("configured-settings").gather("other", context, Deadline(5))
