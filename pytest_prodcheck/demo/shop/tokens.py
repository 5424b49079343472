"""The shop's access tokens: JSON Web Tokens signed with RS256, and the ways in which others check them badly."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import Any

ISSUER, AUDIENCE, KID = "https://shop.demo.test", "shop", "demo-1"
GUESSABLE = "secret"  # what the fault signs with


class Issuer:
    """Issues tokens and checks them. The key is made at first use."""

    def __init__(self) -> None:
        self._lock = Lock()

    @cached_property
    def _keys(self) -> tuple[Any, Any]:
        """The key in use, and the one before it (or after it) while keys are changed."""
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

        return generate_private_key(65537, 2048), generate_private_key(65537, 2048)

    def prepare(self) -> None:
        """Makes the keys."""
        with self._lock:
            _ = self._keys

    def issue(self, user: str, role: str, session: str, life: float, faults: frozenset[str]) -> str:
        """A token of a session."""
        claims = self.claims(user, role, session, life)
        if "token-secret-guessable" in faults:
            import jwt

            return jwt.encode(claims, GUESSABLE, "HS256")
        return self.sign(claims)

    def claims(self, user: str, role: str, session: str, life: float) -> dict[str, Any]:
        """What a token says."""
        now = int(time.time())
        named = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "role": role, "jti": session}
        return {**named, "iat": now, "nbf": now, "exp": now + int(life)}

    def sign(self, claims: dict[str, Any]) -> str:
        """A token with these claims, whatever they are."""
        import jwt

        self.prepare()
        return jwt.encode(claims, self._keys[0], "RS256", {"kid": KID})

    def jwks(self, faults: frozenset[str]) -> dict[str, Any]:
        """The public keys; two while keys are changed, the new one first."""
        from jwt.algorithms import RSAAlgorithm

        self.prepare()
        named = ((KID, self._keys[0]), ("demo-2", self._keys[1]))
        listed = [
            {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "RS256", "use": "sig"}
            for kid, key in named
        ]
        return {"keys": listed[::-1] if "token-keys-changing" in faults else listed[:1]}

    def session_of(self, token: str, faults: frozenset[str]) -> str:
        """The session that a good token stands for, "" for others."""
        import jwt

        self.prepare()
        for fault in sorted(faults):
            if fault in WEAKNESSES and (claims := WEAKNESSES[fault](token, self._keys[0])) is not None:
                return str(claims.get("jti", ""))
        try:
            claims = jwt.decode(
                token, self._keys[0].public_key(), ["RS256"], audience=AUDIENCE, issuer=ISSUER,
                options={"require": ["exp", "nbf", "iss", "aud", "jti"]},
            )  # fmt: skip
        except jwt.InvalidTokenError:
            return ""
        return str(claims["jti"])


Weakness = Callable[[str, Any], dict[str, Any] | None]  # (token, private key) -> claims that are believed


def _token_parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes] | None:
    """Header, claims, what is signed, signature; None for what cannot be read."""
    head, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    try:
        header, claims = (json.loads(_bytes(part)) for part in (head, body))
        return header, claims, f"{head}.{body}".encode(), _bytes(signature)
    except ValueError:
        return None


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _accepts_if(condition: Callable[[dict[str, Any], bytes, bytes, Any], bool]) -> Weakness:
    """Believes claims where the condition holds; it is given header, what is signed, signature and the private key."""

    def weakness(token: str, key: Any) -> dict[str, Any] | None:
        parts = _token_parts(token)
        if parts is None:
            return None
        header, claims, signed, signature = parts
        return claims if condition(header, signed, signature, key) else None

    return weakness


def _without_checking(*checks: str) -> Weakness:
    """A good signature is enough, whatever these claims say."""

    def weakness(token: str, key: Any) -> dict[str, Any] | None:
        import jwt

        options: Any = {f"verify_{each}": False for each in checks}
        audience = None if "aud" in checks else AUDIENCE
        issuer = None if "iss" in checks else ISSUER
        try:
            return jwt.decode(token, key.public_key(), ["RS256"], options, audience=audience, issuer=issuer)
        except jwt.InvalidTokenError:
            return None

    return weakness


def _hmac_with(secret: Callable[[dict[str, Any], Any], bytes]) -> Weakness:
    def condition(header: dict[str, Any], signed: bytes, signature: bytes, key: Any) -> bool:
        made = hmac.digest(secret(header, key), signed, hashlib.sha256)
        return header.get("alg") == "HS256" and hmac.compare_digest(made, signature)

    return _accepts_if(condition)


def _pem(header: dict[str, Any], key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def _key_file(header: dict[str, Any], key: Any) -> bytes:
    """What the file named by `kid` holds: nothing where it leads to /dev/null."""
    return b"" if str(header.get("kid")).endswith("/dev/null") else b"a key that nobody knows"


def _key_row(header: dict[str, Any], key: Any) -> bytes:
    """The key that a database finds for `kid`, put into the statement as it is."""
    import sqlite3

    with sqlite3.connect(":memory:") as database:
        database.execute("create table keys (kid text, secret text)")
        try:
            row = database.execute(f"select secret from keys where kid = '{header.get('kid')}'").fetchone()
        except sqlite3.Error:
            row = None
    return str(row[0]).encode() if row else b"a key that nobody knows"


def _own_key(header: dict[str, Any], signed: bytes, signature: bytes, key: Any) -> bool:
    """Whether the key that the token itself brings verifies it."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    if "jwk" not in header:
        return False
    try:
        found = PyJWK(header["jwk"], algorithm="RS256")
        return bool(found.Algorithm.verify(signed, found.key, signature))
    except PyJWTError:
        return False


WEAKNESSES: dict[str, Weakness] = {
    "token-alg-none": _accepts_if(lambda header, signed, signature, key: header.get("alg") == "none"),
    # "none" itself is on a list of what is not allowed
    "token-alg-none-cased": _accepts_if(
        lambda header, *_: header.get("alg") != "none" and str(header.get("alg")).lower() == "none"
    ),
    "token-signature-optional": _accepts_if(lambda header, signed, signature, key: not signature),
    "token-signature-unchecked": _accepts_if(lambda header, signed, signature, key: True),
    "token-any-rsa-key": _accepts_if(lambda header, signed, signature, key: len(signature) == 256),
    "token-algorithm-swapped": _hmac_with(_pem),
    "token-empty-secret": _hmac_with(lambda header, key: b""),
    "token-kid-path": _hmac_with(_key_file),
    "token-kid-sql": _hmac_with(_key_row),
    "token-kid-unknown": _accepts_if(lambda header, signed, signature, key: header.get("kid") != KID),
    "token-brings-its-key": _accepts_if(_own_key),
    "token-key-from-address": _accepts_if(lambda header, *_: "jku" in header or "x5u" in header),
    "token-expired": _without_checking("exp"),
    "token-not-yet-valid": _without_checking("nbf"),
    "token-other-issuer": _without_checking("iss"),
    "token-other-audience": _without_checking("aud"),
    "token-secret-guessable": _hmac_with(lambda header, key: GUESSABLE.encode()),
}


def samples(issuer: Issuer, user: str, role: str, session: str) -> dict[str, str]:
    """Name -> a token that was really signed and must not open anything, though its session lives."""
    now = int(time.time())
    changed: dict[str, dict[str, Any]] = {
        "expired": {"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600},
        "not-yet-valid": {"nbf": now + 86400, "exp": now + 2 * 86400},
        "other-issuer": {"iss": "https://shop.staging.test"},
        "other-audience": {"aud": "warehouse"},
    }
    base = issuer.claims(user, role, session, 86400)
    return {name: issuer.sign({**base, **more}) for name, more in changed.items()}
