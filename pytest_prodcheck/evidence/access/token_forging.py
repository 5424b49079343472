"""JSON Web Tokens as attackers make them out of a good one. Pure; assembled by hand, for libraries refuse to.

What is tried: RFC 8725 (JSON Web Token Best Current Practices) section 2, and the OWASP Web Security Testing Guide,
WSTG-SESS-10. Remote keys (`jku`, `x5u`) are named under `.invalid`, which leads nowhere (RFC 6761).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

NOWHERE = "https://prodcheck.invalid"
KEY_NAMES = (("unknown", "no-such-key"), ("a path", "../../../../../../../../dev/null"))
INJECTED = "prodcheck"
INJECTION = f"x' UNION SELECT '{INJECTED}'-- "
# what tutorials and libraries' examples sign with, tried without asking anybody
GUESSES = (
    "secret", "password", "changeme", "changeit", "your-256-bit-secret", "your_jwt_secret", "jwt_secret", "jwtsecret",
    "secretkey", "secret-key", "mysecret", "my_secret", "supersecret", "s3cr3t", "test", "key", "private", "admin",
    "123456", "12345678", "development", "default", "shhhhh", "token", "qwerty", "",
)  # fmt: skip
_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


@dataclass(frozen=True)
class Jwt:
    """A token taken apart. head, body, signature: as they stand in it, base64url."""

    header: dict[str, Any] = field(repr=False)
    claims: dict[str, Any] = field(repr=False)
    head: str = field(repr=False)
    body: str = field(repr=False)
    signature: str = field(repr=False)

    @property
    def algorithm(self) -> str:
        """Of the header, "" where it is no text."""
        found = self.header.get("alg")
        return found if isinstance(found, str) else ""


@dataclass(frozen=True)
class TokenForgery:
    """A token that must be refused."""

    case: str
    token: str = field(repr=False)


def parse(token: str) -> Jwt | None:
    """The parts of a signed JSON Web Token (RFC 7519, compact form); None for any other token."""
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        return None
    try:
        header, claims = (json.loads(_bytes(part)) for part in parts[:2])
        _bytes(parts[2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict) or "alg" not in header:
        return None
    return Jwt(header, claims, *parts)


def guessable(jwt: Jwt) -> bool:
    """Whether it is signed with a secret that everybody tries first."""
    hashed = _HASHES.get(jwt.algorithm)
    if hashed is None:
        return False
    signed, signature = f"{jwt.head}.{jwt.body}".encode(), _bytes(jwt.signature)
    return any(hmac.compare_digest(hmac.digest(guess.encode(), signed, hashed), signature) for guess in GUESSES)


def garbled(token: str) -> Iterator[TokenForgery]:
    """Any token, opaque ones too: one character changed, the end missing."""
    middle = len(token) // 2
    changed = "A" if token[middle] != "A" else "B"
    yield TokenForgery("one character changed", f"{token[:middle]}{changed}{token[middle + 1 :]}")
    yield TokenForgery("its end missing", token[: max(len(token) * 3 // 4, 1)])


def forgeries(jwt: Jwt, public: tuple[tuple[str, bytes], ...] = ()) -> Iterator[TokenForgery]:
    """All of a good token's forgeries. public: the issuer's public key in the forms it travels in, by name."""
    for word in ("none", "None", "NONE", "nOnE"):
        yield TokenForgery(f"algorithm {word}", f"{_encoded_json({**jwt.header, 'alg': word})}.{jwt.body}.")
    yield TokenForgery("signature removed", f"{jwt.head}.{jwt.body}.")
    yield TokenForgery("signature removed with its dot", f"{jwt.head}.{jwt.body}")
    signature = bytearray(_bytes(jwt.signature))
    signature[len(signature) // 2] ^= 0xFF
    yield TokenForgery("signature changed", f"{jwt.head}.{jwt.body}.{_text(bytes(signature))}")
    yield TokenForgery(
        "claims changed under their signature",
        f"{jwt.head}.{_encoded_json(_with_later_expiry(jwt.claims))}.{jwt.signature}",
    )
    if jwt.algorithm.startswith("ES"):  # CVE-2022-21449
        yield TokenForgery("signature of zeros", f"{jwt.head}.{jwt.body}.{_text(bytes(len(signature)))}")
    yield from _by_own_key(jwt)
    yield TokenForgery("signed with an empty HMAC secret", _hmac(jwt, {"alg": "HS256"}, b""))
    yield TokenForgery("kid is a path to an empty file", _hmac(jwt, {"alg": "HS256", "kid": KEY_NAMES[1][1]}, b""))
    yield TokenForgery("kid is an SQL injection", _hmac(jwt, {"alg": "HS256", "kid": INJECTION}, INJECTED.encode()))
    for name, form in public:
        yield TokenForgery(f"signed with the public key as HMAC secret ({name})", _hmac(jwt, {"alg": "HS256"}, form))


def _by_own_key(jwt: Jwt) -> Iterator[TokenForgery]:
    """Signed with a key of one's own, that the token offers in each of the ways it can."""
    own = _OwnKey(jwt.algorithm)
    offers: dict[str, dict[str, Any]] = {
        "signed with another key": {},
        "kid is unknown": {"kid": KEY_NAMES[0][1]},
        "its own key in jwk": {"jwk": own.jwk, "kid": own.jwk["kid"]},
        "its own key at jku": {"jku": f"{NOWHERE}/jwks.json", "kid": own.jwk["kid"]},
        "its own certificate at x5u": {"x5u": f"{NOWHERE}/key.pem"},
    }
    for case, more in offers.items():
        signed = f"{_encoded_json({**jwt.header, 'alg': own.algorithm, **more})}.{jwt.body}"
        yield TokenForgery(case, f"{signed}.{_text(own.sign(signed.encode()))}")


class _OwnKey:
    """A new key for an algorithm of PyJWT's, RS256 where it does not know the algorithm."""

    def __init__(self, algorithm: str) -> None:
        from jwt.algorithms import get_default_algorithms

        known: dict[str, Any] = get_default_algorithms()
        self.algorithm = algorithm if algorithm in known and algorithm != "none" else "RS256"
        self._methods = known[self.algorithm]
        self._key, public = _new_key(self.algorithm)
        self.jwk = {**self._methods.to_jwk(public, as_dict=True), "kid": "prodcheck"}

    def sign(self, message: bytes) -> bytes:
        """The signature."""
        signature: bytes = self._methods.sign(message, self._key)
        return signature


@cache  # making one takes as long as all that is tried with it
def _new_key(algorithm: str) -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if algorithm.startswith("HS"):
        secret = secrets.token_bytes(64)
        return secret, secret
    curves: dict[str, type[Any]] = {"ES384": ec.SECP384R1, "ES512": ec.SECP521R1, "ES256K": ec.SECP256K1}
    key: Any
    if algorithm.startswith("ES"):
        key = ec.generate_private_key(curves.get(algorithm, ec.SECP256R1)())
    elif algorithm.startswith("Ed"):
        key = ed448.Ed448PrivateKey.generate() if algorithm == "Ed448" else ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(65537, 2048)
    return key, key.public_key()


def _with_later_expiry(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims with a later end, as somebody would want them whose token is about to expire."""
    end = claims.get("exp")
    return {**claims, "exp": end + 86400} if isinstance(end, (int, float)) else {**claims, "exp": 4102444800}


def _hmac(jwt: Jwt, header: dict[str, Any], secret: bytes) -> str:
    signed = f"{_encoded_json({**jwt.header, **header})}.{jwt.body}"
    return f"{signed}.{_text(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _encoded_json(data: dict[str, Any]) -> str:
    return _text(json.dumps(data, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Of base64url without padding; raises ValueError for what is none."""
    if not text.isascii() or not text.replace("-", "A").replace("_", "A").isalnum():
        raise ValueError("no base64url")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
