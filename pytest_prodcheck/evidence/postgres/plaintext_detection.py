"""What plain text looks like in a value that should be encrypted: card numbers, addresses, accounts, order. Pure."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEAST_BYTES = 512  # of which 512 random ones measure 7.6 bits a byte, and English 4.2
_DIGITS = re.compile(r"(?<![0-9A-Za-z])[2-6](?:[ -]?\d){12,18}(?![0-9A-Za-z])")  # payment cards begin with 2 to 6
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z])")
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![0-9A-Za-z])")
_HEX = re.compile(r"(?:\\x|0x)?((?:[0-9a-fA-F]{2}){8,})")
_MARKS = re.compile(r"[:$|.]")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}={0,2}")


@dataclass(frozen=True)
class PlaintextCounts:
    """Counts over some values: how many hold what."""

    card_like: int = 0
    cards: int = 0
    emails: int = 0
    ibans: int = 0
    plain: int | None = None
    misshapen: int | None = None
    size: int = 0
    entropy: float | None = None


def detect_plaintext(values: Sequence[str], plain: str | None, form: str | None, entropy: bool) -> PlaintextCounts:
    """Looks at values as they stand and at what they are the base64 or hex of."""
    cards = card_like = emails = ibans = 0
    for texts in map(readings, values):
        numbers = [number for text in texts for number in _DIGITS.findall(text)]
        card_like += bool(numbers)
        cards += any(map(is_card, numbers))
        emails += any(_EMAIL.search(text) is not None for text in texts)
        ibans += any(is_iban(each) for text in texts for each in _IBAN.findall(text))
    told = None if plain is None else sum(any(re.search(plain, text) for text in readings(each)) for each in values)
    wrong = None if form is None else sum(re.match(form, each) is None for each in values)
    data = b"".join(decoded(values)) if entropy else b""
    measured = bits_a_byte(data) if len(data) >= LEAST_BYTES else None
    return PlaintextCounts(card_like, cards, emails, ibans, told, wrong, len(data), measured)


def readings(value: str) -> tuple[str, ...]:
    """The value, and the text that it, or its end after a mark as in "v1:…", is the base64 or hex of.

    Encoding is no encryption.
    """
    inner = _decode(value) or _decode(_MARKS.split(value)[-1])
    if inner is None:
        return (value,)
    try:
        text = inner.decode("utf-8")
    except UnicodeDecodeError:
        return (value,)
    return (value, text) if sum(each.isprintable() for each in text) >= 0.9 * len(text) > 0 else (value,)


def decoded(values: Sequence[str]) -> Iterable[bytes]:
    """The values without what all begin with (a version, a key's name), out of base64 or hex where they are such."""
    least, most = min(values, default=""), max(values, default="")
    same = next((place for place, pair in enumerate(zip(least, most, strict=False)) if pair[0] != pair[1]), 0)
    start = least[:same]
    # what all begin with is cut at a mark, so that the rest can be decoded; with blanks in it, it is text
    skip = 0 if " " in start else max(start.rfind(mark) for mark in ":$|.") + 1
    for value in values:
        rest = value[skip:]
        inner = _decode(rest)
        yield rest.encode() if inner is None else inner


def _decode(value: str) -> bytes | None:
    if found := _HEX.fullmatch(value):
        return bytes.fromhex(found[1])
    if not _BASE64.fullmatch(value):
        return None
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        return None


def is_card(number: str) -> bool:
    """Whether the last digit is the check digit of the others (Luhn, ISO/IEC 7812-1)."""
    digits = [int(each) for each in number if each.isdigit()]
    doubled = (each * 2 - 9 * (each > 4) for each in digits[-2::-2])
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the two check digits are right (ISO 13616: the rest of 97 is 1)."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(each, 36)) for each in moved)) % 97 == 1


def bits_a_byte(data: bytes) -> float:
    """Shannon's entropy: 8 for random bytes, about 4 to 5 for text."""
    return -sum(count / len(data) * math.log2(count / len(data)) for count in Counter(data).values())
