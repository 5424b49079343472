"""What is taken for plain text, and what is not: random bytes in all their forms."""

from __future__ import annotations

import base64
import json
import os
import random

import pytest

from pytest_prodcheck.evidence.postgres.plaintext_detection import (
    LEAST_BYTES,
    bits_a_byte,
    detect_plaintext,
    is_card,
    is_iban,
    readings,
)

NOTHING = {"card_like": 0, "cards": 0, "emails": 0, "ibans": 0}
WORDS = "Ada Lovelace, 12 St James's Square, London SW1Y 4JH. Please ring twice, and mind the engine."


def counts(values: list[str]) -> dict[str, int]:
    found = detect_plaintext(values, None, None, False)
    return {name: getattr(found, name) for name in NOTHING}


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "6011000000000004"],
)
def test_card_numbers_are_found(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    encoded = base64.b64encode(number.encode()).decode()
    for text in (number, f"card {number}, valid", json.dumps({"pan": number}), encoded):
        assert counts([text]) == {**NOTHING, "card_like": 1, "cards": 1}
    assert counts([wrong]) == {**NOTHING, "card_like": 1}
    assert is_card(number)
    assert not is_card(wrong)


@pytest.mark.parametrize("text", ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "NO9386011117947"])
def test_ibans_are_found(text: str) -> None:
    assert counts([f"account {text}."])["ibans"] == 1
    assert counts([text.encode().hex()])["ibans"] == 1
    assert is_iban(text)
    assert not is_iban(text[:-1] + "1" if text[-1] != "1" else text[:-1] + "2")


@pytest.mark.parametrize("text", ["ada@shop.example", "Ada <ada.l+x@mail.shop.example>", '{"mail":"a@b.io"}'])
def test_addresses_are_found(text: str) -> None:
    coded = base64.b64encode(text.encode()).decode()
    twice = base64.urlsafe_b64encode(text.encode() * 2).decode().rstrip("=")
    for value in (text, f"v1:{coded}", coded, "\\x" + text.encode().hex(), twice):
        assert counts([value])["emails"] == 1


def test_ciphertext_is_not_taken_for_plain_text() -> None:
    random.seed(4711)
    for _ in range(20):
        raw = [random.randbytes(48) for _ in range(200)]
        for encode in (
            lambda data: base64.b64encode(data).decode(),
            lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
            lambda data: data.hex(),
            lambda data: f"v1:{base64.b64encode(data).decode()}",
            lambda data: f"vault:v1:{base64.b64encode(data).decode()}",
        ):
            values = [encode(data) for data in raw]
            assert counts(values) == NOTHING
            measured = detect_plaintext(values, None, None, True).entropy
            assert measured is not None
            assert measured > 7.5


def test_numbers_without_meaning_pass_for_cards_by_chance_only() -> None:
    """Tokens that keep a card's form have a right check digit in one case of ten."""
    random.seed(4711)
    found = detect_plaintext([f"4{random.randrange(10**15):015}" for _ in range(500)], None, None, False)
    assert found.card_like == 500
    assert 0.05 < found.cards / found.card_like < 0.2


@pytest.mark.parametrize(
    "encode", [str, lambda text: base64.b64encode(text.encode()).decode(), lambda text: text.encode().hex()]
)
def test_text_does_not_look_random_in_any_form(encode: object) -> None:
    assert callable(encode)
    values = [encode(f"{WORDS} {number}") for number in range(50)]
    measured = detect_plaintext(values, None, None, True).entropy
    assert measured is not None
    assert measured < 5.5


def test_few_bytes_tell_nothing() -> None:
    found = detect_plaintext(["short"] * 3, None, None, True)
    assert (found.size, found.entropy) == (15, None)
    assert bits_a_byte(os.urandom(LEAST_BYTES)) > 7
    assert detect_plaintext([], None, None, True).entropy is None


def test_declared_patterns_are_counted() -> None:
    found = detect_plaintext(["v1:AAAA", "v2:BBBB", "plain"], plain="^pl", form="v[0-9]:", entropy=False)
    assert (found.plain, found.misshapen) == (1, 1)
    assert readings("cGxhaW4gdGV4dCBpbiBiYXNlNjQ=") == ("cGxhaW4gdGV4dCBpbiBiYXNlNjQ=", "plain text in base64")
