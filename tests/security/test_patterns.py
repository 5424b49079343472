"""No text of a target or a file makes a regular expression of ours take long: they hold the interpreter meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = 2
MOST = 2.0  # seconds for 200 kB on a machine that does much else: linear ones need some hundredths


@pytest.mark.parametrize("part", range(PARTS))
def test_every_pattern_is_linear(part: int) -> None:
    words = [sys.executable, "-m", "tests.security.patterns", str(part), str(PARTS)]
    root = Path(__file__).resolve().parent.parent.parent
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, cwd=root, check=False)
    except subprocess.TimeoutExpired as error:  # exponential: it never came back
        last = (error.stdout or b"").decode().splitlines()[-1]
        raise AssertionError(f"this one never came back: {last}") from None
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = [{**each, **took} for each, took in zip(lines[::2], lines[1::2], strict=True)]
    assert len(told) > 60
    slow = [each for each in told if each["seconds"] > MOST]
    assert slow == []


def test_the_search_finds_what_is_not_linear() -> None:
    import re

    from tests.security.patterns import pumped

    assert pumped(re.compile(r"([^&=;]+)=([^&;]*)"), "sub")[0] > MOST
    assert pumped(re.compile(r"(a|aa)+$"), "match")[0] > MOST
    assert pumped(re.compile(r"COMMENT|ALTER\s+[^;]*\sOWNER"), "match")[0] > MOST
    assert pumped(re.compile(r"(#[^\n]*\r?\n)*!"), "match")[0] > MOST
    assert pumped(re.compile(r"[a-z]+[0-9]"), "match")[0] < MOST
