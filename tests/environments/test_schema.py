from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_prodcheck.demo.files.configuration import describe
from pytest_prodcheck.environments.init_template import STARTER
from pytest_prodcheck.environments.schema import schema
from tests.environments.support import DATA, with_reference_files, write
from tests.environments.test_inheritance import TEXT as INHERITANCE
from tests.environments.test_targets import TEXT as TARGETS


def plain(text: str) -> Any:
    return json.loads(json.dumps(tomllib.loads(text), default=date.isoformat))


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def errors(text: str) -> list[str]:
    return [f"{'.'.join(map(str, each.path))}: {each.message}" for each in validator().iter_errors(plain(text))]


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "text",
    [
        (DATA / "reference.toml").read_text(encoding="utf-8"),
        STARTER,
        re.sub(r"^#(?=\S)", "", STARTER, flags=re.MULTILINE),
        describe(),
        INHERITANCE,
        TARGETS,
        "version = 1\n[environments.a]\nauth = false\npostgres.x = false\nservices.y.tls = false\n",
        'version = 1\n[gates.defaults]\nlow = "warn"\n',
    ],
)
def test_what_the_loader_takes_is_valid(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version = 2", "version"),
        ("x = 1", "x"),
        ("version = 1\n[environments.a.services.b]\nhelth = 1", "environments.a.services"),
        ('version = 1\n[environments.a]\nname = "x"', "environments.a"),
        ("version = 1\ngate_defaults = {}", "gate_defaults"),
        ("version = 1\n[gates.g]\nlow = 1", "gates.g.low"),
        ("version = 1\n[gates.defaults]\nselect = []", "gates.defaults"),
        ('version = 1\n[environments.a.redis.b]\npassword = "x"', "environments.a.redis"),
        ('version = 1\n[[waivers]]\ncheck = "a"', "waivers.0"),
        ("[environments]", "version"),
    ],
)
def test_what_the_loader_refuses_is_marked(text: str, expected: str) -> None:
    assert any(expected in each for each in errors(text))


def test_editors_show_the_comments_of_the_models_as_help() -> None:
    made = schema()
    service = made["$defs"]["Service"]["properties"]
    assert service["connect_to"]["description"] == "connect here instead; name, Host header and SNI stay"
    assert made["$defs"]["Endpoint"]["properties"]["schema"]["description"].startswith("file with a JSON Schema")
    assert all("description" in each for each in made["$defs"].values() if each.get("type") == "object")


def test_the_starter_loads_as_written_and_with_everything_uncommented(tmp_path: Path) -> None:
    from pytest_prodcheck.environments.loading import load

    with_reference_files(tmp_path)
    assert set(load(write(tmp_path, STARTER)).project.environments) == {"production"}
    whole = re.sub(r"^#(?=\S)", "", STARTER, flags=re.MULTILINE)
    whole = whole.replace('absent    = ["auth", "workflows"', 'absent    = ["workflows"')
    configuration = load(write(tmp_path, whole))
    assert set(configuration.project.environments) == {"production", "staging"}
    assert len([line for line in STARTER.splitlines() if line and not line.startswith("#")]) <= 10
