from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import ConfigurationError, load
from tests.environments.support import BASE, load_text, mistakes, write

ROOT = BASE.replace("version = 1\n", 'version = 1\ninclude = ["conf.d/*.toml"]\n')
WAIVER = '[[waivers]]\ncheck = "a"\ntarget = "{}"\nenvironment = "dev"\nreason = "r"\nowner = "o"\nticket = "t"\nexpires = 2027-01-01\n'  # noqa: E501


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_included_values_are_defaults_that_the_root_file_replaces(tmp_path: Path) -> None:
    write(tmp_path, 'runbooks = "https://a/{runbook}"\n[thresholds]\nx = { warn = 1, fail = 2 }\n', "conf.d/a.toml")
    write(tmp_path, '[thresholds]\ny = "off"\n', "conf.d/b.toml")
    configuration = load_text(tmp_path, ROOT + "[thresholds]\nx = { fail = 3 }\n")
    assert configuration.project.runbooks == "https://a/{runbook}"
    x = configuration.project.thresholds["x"]
    assert not isinstance(x, str)
    assert (x.warn, x.fail) == (1, 3)
    assert configuration.project.thresholds["y"] == "off"


def test_digests_of_all_files_and_of_the_names_that_a_pattern_matches(tmp_path: Path) -> None:
    write(tmp_path, "", "conf.d/b.toml")
    write(tmp_path, "# a\n", "conf.d/a.toml")
    assert load_text(tmp_path, ROOT).files == {
        "prodcheck.toml": sha(ROOT),
        "conf.d/a.toml": sha("# a\n"),
        "conf.d/b.toml": sha(""),
        "include:conf.d/*.toml": sha("conf.d/a.toml\nconf.d/b.toml"),
    }


def test_the_gate_computes_the_same_digests(tmp_path: Path) -> None:
    from pytest_prodcheck.gates.bound_files import digest

    write(tmp_path, "# a\n", "conf.d/deep/a.toml")
    files = load_text(tmp_path, ROOT.replace("conf.d/*.toml", "conf.d/**/*.toml")).files
    assert len(files) == 3
    assert {name: digest(str(tmp_path), name) for name in files} == files


def test_a_key_set_in_two_included_files_names_both(tmp_path: Path) -> None:
    write(tmp_path, "[environments.dev]\nprotected = true\n", "conf.d/a.toml")
    write(tmp_path, "[environments.dev]\nprotected = false\n[thresholds]\nx = { fail = 1 }\n", "conf.d/b.toml")
    write(tmp_path, '[thresholds]\nx = "off"\n', "conf.d/c.toml")
    found = mistakes(tmp_path, ROOT)
    assert found == [
        "conf.d/b.toml:2: environments.dev.protected: is set in conf.d/a.toml:2 too "
        "(set it in one of the included files, or in prodcheck.toml)",
        "conf.d/c.toml:2: thresholds.x: is set in conf.d/b.toml:4 too "
        "(set it in one of the included files, or in prodcheck.toml)",
    ]


def test_waivers_of_all_files_add_up_and_keep_their_places(tmp_path: Path) -> None:
    write(tmp_path, WAIVER.format("x"), "conf.d/a.toml")
    write(tmp_path, WAIVER.format("y"), "conf.d/b.toml")
    assert [each.target for each in load_text(tmp_path, ROOT + WAIVER.format("z")).project.waivers] == ["x", "y", "z"]
    found = mistakes(tmp_path, ROOT + WAIVER.format("y"))
    assert found == ["prodcheck.toml:6: waivers[0]: repeats waiver number 2 (keep one)"]


def test_mistakes_of_all_files_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, "include = []\nversion = 2\n", "conf.d/a.toml")
    write(tmp_path, "[environments.dev.services.shop]\nhelth = 1\n", "conf.d/b.toml")
    found = mistakes(tmp_path, ROOT + "publc = true\n")
    assert [each.partition(": ")[0] for each in found] == [
        "conf.d/a.toml:1",
        "conf.d/a.toml:2",
        "conf.d/b.toml:2",
        "prodcheck.toml:6",
    ]


def test_all_unreadable_files_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, "a = ", "conf.d/a.toml")
    write(tmp_path, "b = ", "conf.d/b.toml")
    (tmp_path / "conf.d" / "c.toml").mkdir()
    assert [each.partition(": ")[0] for each in mistakes(tmp_path, ROOT)] == [
        "conf.d/a.toml:1",
        "conf.d/b.toml:1",
        "conf.d/c.toml",
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("none.toml", "include[0]: there is no file 'none.toml'"),
        ("none.d/*.toml", "include[0]: there is no folder 'none.d'"),
        ("/etc/*.toml", "include[0]: expected a path relative to the folder of prodcheck.toml"),
        ("*.toml", "include[0]: prodcheck.toml would include itself"),
        ("", "include[0]: expected a path"),
    ],
)
def test_patterns_that_cannot_be_meant(pattern: str, expected: str, tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, ROOT.replace("conf.d/*.toml", pattern))
    assert expected in found


def test_a_folder_without_files_is_fine(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    assert mistakes(tmp_path, ROOT) == []


def test_loading_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf.d").mkdir()
    write(tmp_path, ROOT)
    monkeypatch.chdir(tmp_path)
    assert load(Path("prodcheck.toml")).root == tmp_path
    with pytest.raises(ConfigurationError):
        load(Path("other.toml"))
