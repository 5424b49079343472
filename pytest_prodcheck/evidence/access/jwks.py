"""The issuer's public keys: fetched once, and tried on tokens by PyJWT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_prodcheck.evidence.http.clients import client_at, client_of
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.evidence.access.token_forging import Jwt
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

MOST = 32  # keys of one document that are looked at


def address_of(auth: Auth, context: Context, deadline: Deadline) -> str:
    """Where the keys are, as declared or as the issuer's discovery document says; "" where nobody says."""
    if auth.tokens.jwks is not None:
        return auth.tokens.jwks
    if auth.kind != "oidc" or auth.issuer is None:
        return ""
    from pytest_prodcheck.evidence.login.oauth import discovery, refuse_undeclared

    found = discovery(auth.issuer, auth, context, deadline).get("jwks_uri")
    parts = urlsplit(found) if isinstance(found, str) else None
    good = parts is not None and parts.hostname and parts.scheme in ("https", urlsplit(auth.issuer).scheme)
    if not good:
        return ""
    refuse_undeclared(str(found), "jwks_uri", auth, context)
    return str(found)


def keys(auth: Auth, context: Context, deadline: Deadline) -> tuple[Any, ...]:
    """The public keys (PyJWT's PyJWK), () where none are declared; raises EvidenceProblem for what is no JWKS."""
    address = address_of(auth, context, deadline)
    if not address:
        return ()
    return context.once(("jwks", address), lambda: _fetch(address, auth, context, deadline), deadline)


def _fetch(address: str, auth: Auth, context: Context, deadline: Deadline) -> tuple[Any, ...]:
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    from pytest_prodcheck.evidence.http.messages import Request

    client = client_of(context, str(auth.service)) if address.startswith("/") else client_at(context, address, auth.tls)
    answer = client.ask(Request("GET", address, {"Accept": "application/json"}), deadline)
    if answer.exchange.status != 200:
        raise EvidenceProblem(Problem("protocol", f"GET {address}: answered {answer.exchange.status}, no JWKS"))
    document: Any = answer.json()
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not listed:
        raise EvidenceProblem(Problem("protocol", f"GET {address}: is not a JWKS with keys"))
    if len(listed) > MOST:
        raise EvidenceProblem(Problem("too-large", f"GET {address}: {len(listed)} keys, at most {MOST} are allowed"))
    found = []
    for each in listed:
        try:
            found.append(PyJWK(each))
        except (PyJWTError, ValueError, TypeError, AttributeError, KeyError):
            continue  # a kind of key that PyJWT does not know
    return tuple(found)


def verifies(key: Any, jwt: Jwt) -> bool:
    """Whether a key of the JWKS made a token's signature."""
    from base64 import urlsafe_b64decode

    from jwt.algorithms import get_default_algorithms

    methods = get_default_algorithms().get(jwt.algorithm)
    if methods is None or jwt.algorithm.startswith(("HS", "none")):
        return False
    signature = urlsafe_b64decode(jwt.signature + "=" * (-len(jwt.signature) % 4))
    try:
        return bool(methods.verify(f"{jwt.head}.{jwt.body}".encode(), key.key, signature))
    except Exception:  # a key of another kind: PyJWT and cryptography raise what they like
        return False


def forms(key: Any) -> tuple[tuple[str, bytes], ...]:
    """A public key in the forms in which servers hold it, so that one of them may be taken for an HMAC secret."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.key
    pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    found = [
        ("PEM", pem),
        ("PEM without its last line end", pem.rstrip(b"\n")),
        ("DER", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    ]
    if isinstance(public, RSAPublicKey):
        found.append(("PKCS#1", public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)))
    return tuple(found)
