from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import ConfigurationError, find_configuration, load
from pytest_prodcheck.environments.toml.documents import LARGEST
from tests.environments.rule_mistakes import RULES, TOP
from tests.environments.support import BASE, DATA, load_text, mistakes, with_reference_files, write


@pytest.mark.parametrize("case", RULES)
def test_each_rule_is_told_once_with_its_place(case: str, tmp_path: Path) -> None:
    text, expected = RULES[case]
    found = mistakes(tmp_path, BASE + text + "\n")
    assert len(found) == 1, found
    assert found[0].startswith("prodcheck.toml:")
    assert expected in found[0]


@pytest.mark.parametrize("case", TOP)
def test_each_rule_of_the_top_level(case: str, tmp_path: Path) -> None:
    text, expected = TOP[case]
    (found,) = mistakes(tmp_path, BASE.replace("\n", f"\n{text}\n", 1))
    assert expected in found


def test_all_mistakes_are_told_at_once_and_each_only_once(tmp_path: Path) -> None:
    text = (
        BASE
        + 'helth = "/"\n[environments.a]\nextends = "dev"\n[environments.b]\nextends = "dev"\n[gates.g]\n[thresholds]\nx = {}\n'  # noqa: E501
    )
    found = mistakes(tmp_path, text)
    assert [each.split(": ")[1] for each in found] == [
        "environments.dev.services.shop.helth",
        "gates.g",
        "thresholds.x",
    ]


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    canary = "hunter22-canary"
    for value in (f'"{canary}"', f'["{canary}"]', f'{{ env = "A", file = "{canary}" }}', f'{{ vault = "{canary}" }}'):
        text = BASE + f'[environments.dev.redis.r]\nnodes = ["a:1"]\npassword = {value}\n'
        found = mistakes(tmp_path, text)
        assert found
        assert canary not in "".join(found)
    assert canary not in "".join(mistakes(tmp_path, BASE + f'password = "{canary}\n'))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"version = 1\na = \n", "prodcheck.toml:2: not TOML: Invalid value, column 5"),
        (b"version = 1\n[a]\n[a]\n", "prodcheck.toml:3: not TOML: Cannot declare ('a',) twice, column 3"),
        (b"\xef\xbb\xbfversion = 1\n", "prodcheck.toml:1: begins with a byte order mark"),
        (b"version = 1\n# \xff\n", "prodcheck.toml:2: not UTF-8: byte 0xff"),
        (b"v" * (LARGEST + 1), "is larger than 1024 KiB"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "nested"),
        (b"a = " + b"[" * 50 + b"]" * 50, "nested more than 32 deep"),
        (b"version = 1\na = 0x" + b"f" * 5000, "more than 64 bits"),
        (b"", "prodcheck.toml:1: version: is missing: begin the file with `version = 1`"),
        (b"version = 2\nnew_key = 1", "prodcheck.toml:1: version: this version of prodcheck does not know format 2"),
        (b"version = true", "version: this version of prodcheck does not know format"),
        (b"version = 1.0", "version: this version of prodcheck does not know format"),
        (b'version = "1"', "version: this version of prodcheck does not know format"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_configuration_gives_one_message(raw: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "prodcheck.toml").write_bytes(raw)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "prodcheck.toml")
    (problem,) = caught.value.problems
    assert expected in str(problem)


def test_a_folder_a_pipe_and_nothing_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "b")
    for name, expected in (("a", "is a folder"), ("b", "is not a regular file"), ("c", "there is no such file")):
        with pytest.raises(ConfigurationError, match=expected):
            load(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    path.chmod(0)
    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        load(path)


def test_the_nearest_file_upward_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    path = write(tmp_path, BASE)
    assert find_configuration(inner) == path
    (tmp_path / "a" / "prodcheck.toml").symlink_to("nowhere")  # broken: told, rather than the next one used in silence
    assert find_configuration(inner) == tmp_path / "a" / "prodcheck.toml"


def test_windows_line_ends_are_fine(tmp_path: Path) -> None:
    (tmp_path / "prodcheck.toml").write_bytes(BASE.replace("\n", "\r\n").encode())
    assert load(tmp_path / "prodcheck.toml").project.environments["dev"].services["shop"].health == "/healthz"


def test_the_reference_without_later_suites_loads(tmp_path: Path) -> None:
    configuration = load_text(with_reference_files(tmp_path), (DATA / "reference.toml").read_text())
    assert set(configuration.project.environments) == {"staging", "production"}
    production = configuration.environment("production")
    assert production.protected
    assert production.services["catalog"].url == "https://api.shop.example/catalog"
    assert production.postgres["shop"].nodes[2] == "pg-3.pg.prod.internal:5432"
    assert production.alerts is not None
    assert set(production.metrics) == {"error-ratio", "p95"}
    assert configuration.environment("staging").postgres["shop"].expect.synchronous == 1
    assert production.approval is not None
    assert production.approval.repository == "shop/{unit}"


def test_the_whole_reference_lacks_only_files(tmp_path: Path) -> None:
    found = mistakes(tmp_path, (DATA / "reference-whole.toml").read_text())
    assert found
    assert [each for each in found if "there is no file" not in each and "there is no folder" not in each] == []


def test_text_of_many_mistakes_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, BASE + "".join(f"x{number} = 1\n" for number in range(200)))
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "prodcheck.toml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "200 mistakes:"
    assert lines[-1] == "… and 150 more"
