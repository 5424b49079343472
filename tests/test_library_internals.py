"""Names that libraries do not promise: each is used in one module, and each test fails when the library changes it."""

from __future__ import annotations

import argparse
import codecs
import re
import threading
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pytest_prodcheck"
DOCUMENTED = {"_exit", "_fields", "_getframe", "_replace"}  # of os, sys and named tuples
USED_IN = {
    "_JSON_PROFILE_PATH": "evidence/tls/sslyze_process.py",
    "_actions": "cli/parsing.py",
    "_body_buffer": "load/answer.py",
    "_finalizers": "plugin/pytest_internals.py",
    "_id": "plugin/pytest_internals.py",
    "_is_text_encoding": "answers/texts.py",
    "_lru_cache_wrapper": "environments/redaction.py",
    "_nodeid": "plugin/pytest_internals.py",
    "_pytest": "reports/junit.py",
    "_register_atexit": "plugin/process_exit.py",
    "_report_sections": "plugin/pytest_internals.py",
    "_tw": "plugin/pytest_internals.py",
}
_OWN = re.compile(r"(?:def|class) (_\w+)|(?:self|cls|made|found)\.(_\w+)|^ *(_\w+)[:=, ]", re.M)
_USED = re.compile(r"\w\.(_[A-Za-z]\w*)|attr\(\w+, \"(_[A-Za-z]\w*)\"|(?:from|import) (_[a-z]\w*)")


def test_private_names_of_libraries_are_used_in_one_module_each() -> None:
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    own = {name for text in texts.values() for names in _OWN.findall(text) for name in names}
    used: dict[str, set[str]] = {}
    for path, text in texts.items():
        for names in _USED.findall(text):
            name = next(filter(None, names))
            if name not in own | DOCUMENTED or name in USED_IN:
                used.setdefault(name, set()).add(path)
    assert used == {name: {path} for name, path in USED_IN.items()}


def test_argparse_lists_the_options_of_a_parser() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--key", dest="place", metavar="FILE")
    assert [(each.dest, each.metavar) for each in parser._actions] == [("place", "FILE")]


def test_codecs_that_are_no_text_say_so() -> None:
    assert [codecs.lookup(name)._is_text_encoding for name in ("utf-8", "hex")] == [True, False]


def test_threading_tells_when_the_interpreter_ends() -> None:
    assert callable(threading._register_atexit)  # type: ignore[attr-defined]


def test_sslyze_says_which_version_of_the_profiles_it_has() -> None:
    checker = pytest.importorskip("sslyze.mozilla_tls_profile.tls_config_checker", reason="no sslyze")
    assert re.fullmatch(r"[\d.]+", checker.MozillaTlsConfiguration._JSON_PROFILE_PATH.stem)


def test_geventhttpclient_collects_the_body_that_came() -> None:
    response = pytest.importorskip("geventhttpclient.response", reason="no geventhttpclient")
    found = response.HTTPResponse()
    found.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
    assert bytes(found._body_buffer) == b"ab"


def test_pytest_keeps_its_junit_writer_in_the_stash(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    from _pytest.junitxml import LogXML, xml_key

    assert pytestconfig.stash.get(xml_key, None) is None or isinstance(pytestconfig.stash[xml_key], LogXML)
    assert callable(LogXML(str(tmp_path / "report.xml"), None).add_global_property)
