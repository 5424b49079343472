from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_prodcheck.reports.escaping import MOST_CHARACTERS, MOST_LINES, safe, safe_ascii, safe_html, safe_lines
from tests.reports.hostile import STRINGS

COMMAND = re.compile(r"(?im)^\s*::[A-Za-z-]+(\s|::)|##\[|##vso\[|##teamcity\[|section_(start|end):\d")
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ufeff\ud800-\udfff\ufffe\uffff]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("Ärger mit 注文 ✅ ⚠️", "Ärger mit 注文 ✅ ⚠️"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\tb\nc", "a b\\nc"),
        ("\u202eabc", "\\u202eabc"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("::error::x", ": :error::x"),
        ("x ::error file=a::y", "x : :error file=a::y"),
        ("[::1]:80 and ::1 and ::ffff:10.0.0.1", "[::1]:80 and ::1 and ::ffff:10.0.0.1"),
        ("std::error::code", "std::error::code"),
        ("::debug", ": :debug"),
        ("a ##vso[x] ##[y] ## z", "a # #vso[x] # #[y] ## z"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert safe(text) == shown


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_strings_are_shown_not_obeyed(text: str) -> None:
    for shown in (safe(text), *safe_lines(text)):
        assert not OBEYED.search(shown)
        assert not COMMAND.search(shown)
        shown.encode("utf-8")


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=300))
def test_nothing_that_is_obeyed_comes_out(text: str) -> None:
    shown = "\n".join([safe(text), *safe_lines(text)])
    assert not OBEYED.search(shown.replace("\n", ""))
    assert not COMMAND.search(shown)
    element = ET.Element("x", value=safe(text))
    assert ET.fromstring(ET.tostring(element)).get("value") == safe(text)
    assert not set("<>\"'") & set(safe_html(text))


@settings(deadline=None)
@given(st.text(alphabet=":#[]vso error\n\t \x1b", max_size=60))
def test_nothing_that_ci_obeys_comes_out(text: str) -> None:
    assert not COMMAND.search("\n".join([safe(text), *safe_lines(text)]))


def test_length_is_bounded() -> None:
    assert len(safe("z" * 10**6)) < MOST_CHARACTERS + 40
    assert "1000000 characters" in safe("z" * 10**6)
    assert len(safe_lines("x\n" * 900)) == MOST_LINES + 1
    assert len(safe("\x1b" * 10**6)) < 5 * MOST_CHARACTERS


def test_ascii() -> None:
    assert safe_ascii("é … ok") == "\\xe9 \\u2026 ok"
