from __future__ import annotations

import base64
import html
import json
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_prodcheck.environments.redaction import BLANK, Redactor

SECRET = "p&ss \"w/ö+r'd>"


def redactor(*values: str) -> Redactor:
    made = Redactor()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET).lower(),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        repr(SECRET)[1:-1],
        html.escape(SECRET),
        html.escape(SECRET, quote=False),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_every_form_of_a_secret_is_blanked(shown: str) -> None:
    assert redactor(SECRET).redact(f"x {shown} y") == f"x {BLANK} y"


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=6, max_size=40), st.text(max_size=9), st.text(max_size=9))
def test_a_secret_within_base64_is_not_readable(secret: str, before: str, after: str) -> None:
    secret = secret.encode("utf-8", "replace").decode()
    encoded = base64.b64encode(f"{before}:{secret}{after}".encode("utf-8", "replace")).decode()
    made = redactor(secret)
    clean = made.redact(encoded)
    assert BLANK in clean
    rest = max(len(part) for part in clean.split(BLANK))
    assert rest <= len(base64.b64encode(f"{before}{after}::".encode("utf-8", "replace"))) + 8


def test_the_longest_secret_wins() -> None:
    assert redactor("abcdef", "abcdef-longer").redact("abcdef-longer abcdef") == f"{BLANK} {BLANK}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-1", f"Authorization: Bearer {BLANK}"),
        ('{"authorization": "Basic dXNlcjpw"}', f'{{"authorization": "Basic {BLANK}"}}'),
        ("Proxy-Authorization: xyz", f"Proxy-Authorization: {BLANK}"),
        ("sent Bearer abcdefgh12345678 to", f"sent Bearer {BLANK} to"),
        ("Set-Cookie: sid=1; Path=/", f"Set-Cookie: {BLANK}"),
        ("https://u:pw@host/path", f"https://u:{BLANK}@host/path"),
        ("postgresql://:pw@h/d?sslmode=require", f"postgresql://:{BLANK}@h/d?sslmode=require"),
        ("host=h password=pw user=u", f"host=h password={BLANK} user=u"),
        ("password='a b' user=u", f"password={BLANK} user=u"),
        ("GET /?access_token=abc&x=1", f"GET /?access_token={BLANK}&x=1"),
        ("api_key=abc&client_secret=def", f"api_key={BLANK}&client_secret={BLANK}"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", f"a {BLANK} b"),
        ("-----BEGIN PRIVATE KEY-----\nMII cut off", BLANK),
        ("token eyJhbGciOi.eyJzdWIiOi.sig-1 end", f"token {BLANK} end"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_blanked_and_stays_so(text: str, expected: str) -> None:
    made = Redactor()
    assert made.redact(text) == expected
    assert made.redact(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "kind = basic authentication with bearer authentication",
        "assert token == 'x'",
        "the password is wrong",
        "https://host:8443/a@b",
        "time: 12:30 user@host",
        "eyJ is how a token begins",
        "cookies: two",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor().redact(text) == text


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    text: str
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    table: dict[str, object] = field(default_factory=dict)


def test_data_keeps_its_shape() -> None:
    made = redactor("secret-1")
    data = Outer((Inner("a secret-1"),), {"secret-1": [b"x secret-1", 1, None, {"secret-1"}, 1.5, True]})
    assert made.redact_data(data) == Outer(
        (Inner(f"a {BLANK}"),), {BLANK: [f"x {BLANK}".encode(), 1, None, {BLANK}, 1.5, True]}
    )
    assert isinstance(made.redact_data(data).inner[0].colour, Colour)
    assert made.redact_data(b"\xff\xfe") == b"\xff\xfe"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "eyJ",
        "-eyJ",
        "eyJaaaaa.",
        "://",
        "://a:",
        "Bearer ",
        "token=",
        "-----BEGIN PRIVATE KEY-----",
        "authorization: ",
        "cookie: ",
    ],
)
def test_a_hostile_megabyte_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    started = time.perf_counter()
    redactor("secret-1").redact(text)
    assert time.perf_counter() - started < 5


def test_secrets_may_be_added_while_others_redact() -> None:
    made = Redactor()

    def add(number: int) -> None:
        for count in range(20):
            made.add(f"secret-{number}-{count}")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        made.redact("secret-0-0")
    for thread in threads:
        thread.join(30)
    assert all(made.redact(f"secret-{n}-{k}") == BLANK for n in range(4) for k in range(20))


def test_a_text_that_was_clean_before_a_secret_was_known_is_blanked_after() -> None:
    redactor = Redactor()
    text = "the answer was correct-horse-battery"
    assert redactor.redact(text) == redactor.redact(text) == text
    redactor.add("correct-horse-battery")
    assert redactor.redact(text) == "the answer was [redacted]"


def test_capitals_that_depend_on_their_neighbours() -> None:
    redactor = Redactor()
    redactor.add("ΚΩΔΙΚΟΣ")
    assert redactor.redact("xΚΩΔΙΚΟΣy ΚΩΔΙΚΟΣ κωδικος İκωδικος") == f"x{BLANK}y {BLANK} {BLANK} İ{BLANK}"


PIECES = st.sampled_from([
    "secret-1", "SECRET-1", "c2VjcmV0LTE=", "Authorization:", " ", "basic ", "x7", "password=", "https://me:", "@", "=",
    "-----BEGIN PRIVATE KEY-----", "Cookie: ", "bearer abcdefgh12345678", "eyJaaaaa.bbbbb.c",
    "\0", "Σ", "İ", "\n", "\\",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=4).map("".join)
DATA = st.recursive(
    TEXTS | TEXTS.map(str.encode) | st.none() | st.integers() | TEXTS.map(Inner),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(DATA)
def test_one_look_at_all_strings_overlooks_none(data: object) -> None:
    """What is not gone through string by string had nothing to blank."""
    made = redactor("secret-1")
    assert made.redact_data(data) == made._redacted(data)
