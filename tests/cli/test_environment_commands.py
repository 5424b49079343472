from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_prodcheck.cli import main
from pytest_prodcheck.cli.commands import COMMANDS
from tests.environments.support import BASE, write
from tests.environments.test_targets import TEXT

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_they_are_commands() -> None:
    assert {"env", "init", "schema"} <= set(COMMANDS)


def test_env_lists_the_environments(here: Path, capsys: Capture) -> None:
    write(here, "{}", "s.json")
    write(here, TEXT)
    assert main(["env"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "dev   25 targets; units shop, inner; slots green",
        "live  25 targets; protected; units shop, inner; slots green",
    ]
    assert main(["env", "--format", "json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["dev", "live"]


def test_env_shows_values_with_where_they_come_from(here: Path, capsys: Capture) -> None:
    write(here, "{}", "s.json")
    write(
        here,
        TEXT
        + '[thresholds]\n"smoke.x" = "1s"\n'.replace('"1s"', '{ fail = "1s" }').replace(
            "[thresholds]", "[environments.live.thresholds]"
        ),
    )
    assert main(["env", "live"]) == 0
    rows = [[part.strip() for part in line.split("  # ")] for line in capsys.readouterr().out.splitlines()]
    table = {row[0]: row[1] for row in rows}
    assert table['services.shop.url = "https://shop.test"'] == "prodcheck.toml:5 (environments.dev)"
    assert table["protected = true"].startswith("prodcheck.toml:")
    assert "(" not in table["protected = true"]
    assert table['auth.roles.customer.password = { env = "C" }'].endswith("(environments.dev)")
    assert table['thresholds."smoke.x".fail = "1s"'].startswith("prodcheck.toml:")


def test_env_never_resolves_a_secret(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C", "hunter22-canary")
    write(here, "hunter22-canary", "a")
    write(here, "{}", "s.json")
    write(here, TEXT + '[environments.live.own.x]\ndsn = "postgresql://u:hunter22-canary@h/d"\n')
    for arguments in (["env", "live"], ["env", "live", "--format", "json"]):
        assert main(arguments) == 0
        assert "hunter22-canary" not in capsys.readouterr().out


def test_env_narrows_to_a_unit_and_shows_a_slot(here: Path, capsys: Capture) -> None:
    write(here, "{}", "s.json")
    write(here, TEXT)
    assert main(["env", "dev", "--unit", "shop", "--slot", "green", "--format", "json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["services.shop.connect_to"] == {
        "key": "services.shop.connect_to",
        "value": "green.test:443",
        "from": "slot green",
    }
    assert not [key for key in rows if key.startswith(("services.bare", "services.inner"))]
    assert "workflows.look.steps" in rows


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["env", "prod"], "there is no environment `prod` (there is dev)"),
        (["env", "dev", "--unit", "x"], "environment `dev` has no unit `x` (there are none)"),
        (["env", "--unit", "x"], "--unit and --slot need the NAME of an environment"),
        (["env", "dev", "--format", "xml"], "invalid choice"),
    ],
)
def test_env_refuses_what_does_not_exist(arguments: list[str], expected: str, here: Path, capsys: Capture) -> None:
    write(here, BASE)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err


def test_env_tells_all_mistakes_on_standard_error(here: Path, capsys: Capture) -> None:
    write(here, BASE + "a = 1\nb = 2\n")
    assert main(["env"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "prodcheck env: 2 mistakes:"
    assert len(err.splitlines()) == 3


def test_env_without_a_file_says_what_to_do(here: Path, capsys: Capture) -> None:
    assert main(["env"]) == 2
    assert "`prodcheck init` writes one" in capsys.readouterr().err


def test_init_writes_a_file_that_loads_and_never_over_another(here: Path, capsys: Capture) -> None:
    assert main(["init"]) == 0
    assert main(["env", "production"]) == 0
    (here / "prodcheck.toml").write_text("mine")
    assert main(["init"]) == 2
    assert "already exists; --force replaces it" in capsys.readouterr().err
    assert (here / "prodcheck.toml").read_text() == "mine"
    assert main(["init", "--force"]) == 0
    first, then = (here / "prodcheck.toml").read_text().splitlines()[:2]
    assert first == "#:schema ./prodcheck.schema.json"
    assert then.startswith("# What prodcheck validates")
    assert json.loads((here / "prodcheck.schema.json").read_text())["$id"].endswith("/prodcheck.schema.json")


def test_init_into_a_folder_and_where_it_cannot(here: Path, capsys: Capture) -> None:
    (here / "deploy").mkdir()
    assert main(["init", "deploy"]) == 0
    assert (here / "deploy" / "prodcheck.toml").is_file()
    assert main(["init", "none/prodcheck.toml"]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert main(["init", "other.toml"]) == 2
    (here / "prodcheck.toml").symlink_to("nowhere")
    assert main(["init"]) == 2


def test_schema_prints_json(capsys: Capture) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "prodcheck.toml"
