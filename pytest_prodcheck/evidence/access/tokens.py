"""`auth-tokens`: a role's good token at a guarded endpoint, and what must be refused there: forgeries and samples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.queries import controls, token_endpoint
from pytest_prodcheck.evidence.access.logins import login_line
from pytest_prodcheck.evidence.access.role_requests import SECONDS, declared_request, entry
from pytest_prodcheck.evidence.access.token_forging import Jwt, TokenForgery, forgeries, garbled, guessable, parse
from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.service_requests import endpoint, host_of, service_host
from pytest_prodcheck.evidence.login.fixed_tokens import token_in
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.quantities import format_quantity
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.access import Entry, ForgedToken, ForgedTokens

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.login.attempts import RoleSession

MOST = 21  # forgeries of one JSON Web Token


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    opens = token_endpoint(environment, target)
    if not opens or environment.auth is None:
        return ()
    service, declared, _ = endpoint(environment, opens)
    host, tokens = host_of(service), environment.auth.tokens
    lines = [
        Sending(host, f"{declared.request} with a good token (control)", 2),
        Sending(host, f"{declared.request} with forged tokens, at most", MOST),
    ]
    if tokens.refused:
        lines.append(Sending(host, f"{declared.request} with sample tokens", len(tokens.refused)))
    if tokens.jwks:
        to = host if tokens.jwks.startswith("/") else tokens.jwks.split("/")[2]
        lines.append(Sending(to, f"GET {tokens.jwks}"))
    return (*lines, *login_line(environment, len(environment.auth.roles)))


@evidence("auth-tokens", axis="service", feature="tokens", seconds=SECONDS, host=service_host, sends=_sends)
def auth_tokens(target: str, context: Context, deadline: Deadline) -> ForgedTokens:
    """The good token, the bad ones one after another, the good one again."""
    auth = context.environment.auth
    opens = token_endpoint(context.environment, target)
    if auth is None or not opens:
        what = f"{target}: no protected endpoint is declared to try the tokens on"
        raise EvidenceProblem(Problem("configuration", what))
    service, declared, name = endpoint(context.environment, opens)
    fitting = controls(context.environment, service, declared)
    role = declared.as_ if declared.as_ in fitting else fitting[0]
    session = session_of(context, role, deadline)
    good = _token_of(session, auth)
    jwt = parse(good)
    bad, not_tried = _forgeries(good, jwt, auth, context, deadline)

    def ask(headers: Mapping[str, str]) -> Entry:
        return entry(name, declared_request(declared, headers), context, deadline)[0]

    def carrying(token: str) -> Entry:
        return ask({key: value.replace(good, token) for key, value in session.headers.items()})

    before = ask(session.headers)
    forged = [ForgedToken(each.case, carrying(each.token)) for each in bad]
    forged += _samples(jwt, carrying, auth, context, deadline)
    after = ask(session.headers)
    expected = declared.status or tuple(range(200, 300))
    return ForgedTokens(
        str(role), opens, "opaque" if jwt is None else "jwt", expected, before, after, tuple(forged),
        jwt is not None and guessable(jwt), not_tried,
    )  # fmt: skip


def _token_of(session: RoleSession, auth: Auth) -> str:
    """The token in what a session carries."""
    if auth.kind == "token":
        return token_in(session.headers, auth)
    if session.carrier == "bearer":
        return session.headers["Authorization"].partition(" ")[2]
    for pair in session.headers.get("Cookie", "").split("; "):
        name, _, value = pair.partition("=")
        if name == auth.cookie and value:
            return value
    raise EvidenceProblem(Problem("configuration", f"role {session.role} has no token that can be forged"))


def _forgeries(
    good: str, jwt: Jwt | None, auth: Auth, context: Context, deadline: Deadline
) -> tuple[list[TokenForgery], str]:
    """What to try, and what of it cannot be; every secret part of a token is redacted from here on."""
    if jwt is None:
        return list(garbled(good)), ""
    _need_pyjwt()
    _redact(jwt, context)
    public: tuple[tuple[str, bytes], ...] = ()
    not_tried = ""
    if not jwt.algorithm.startswith("HS"):
        public, not_tried = _public_forms(jwt, auth, context, deadline)
    made = list(forgeries(jwt, public))
    # of a forged token only the claims: without them its header and its signature are good for nothing
    for claims in {each.token.split(".")[1] for each in made} - {jwt.body}:
        context.redactor.add(claims)
    return made, not_tried


def _public_forms(
    jwt: Jwt, auth: Auth, context: Context, deadline: Deadline
) -> tuple[tuple[tuple[str, bytes], ...], str]:
    from pytest_prodcheck.evidence.access.jwks import forms, keys, verifies

    known = keys(auth, context, deadline)
    if not known:
        return (), "swapped algorithms: no JWKS is declared (auth.tokens.jwks)"
    signer = next((key for key in known if verifies(key, jwt)), None)
    if signer is None:
        what = "no key of the declared JWKS verifies the role's own token"
        raise EvidenceProblem(Problem("configuration", what, ("is auth.tokens.jwks the JWKS of the "
            "issuer of the tokens?")))
    return forms(signer), ""


def _samples(
    good: Jwt | None, carrying: Any, auth: Auth, context: Context, deadline: Deadline
) -> list[ForgedToken]:
    from pytest_prodcheck.evidence.login.attempts import keep_secret

    found = []
    for name, reference in auth.tokens.refused.items():
        token = context.secret(reference, deadline)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise EvidenceProblem(Problem("configuration", f"auth.tokens.refused.{name} is not a token"))
        sample = parse(token)
        if sample is not None:
            keep_secret(token, context)
            _redact(sample, context)
        genuine = None if sample is None else _genuine(sample, auth, context, deadline)
        found.append(ForgedToken(f"sample {name}", carrying(token), _difference(sample, good), genuine))
    return found


def _genuine(sample: Jwt, auth: Auth, context: Context, deadline: Deadline) -> bool | None:
    """Whether a sample was really signed by the issuer: then its signature is not why it is refused."""
    from pytest_prodcheck.evidence.access.jwks import keys, verifies

    _need_pyjwt()
    known = keys(auth, context, deadline)
    if not known or sample.algorithm.startswith("HS"):
        return None
    return any(verifies(key, sample) for key in known)


def _difference(sample: Jwt | None, good: Jwt | None) -> str:
    """What is wrong with a sample, as far as it tells."""
    if sample is None:
        return ""
    now, told = time.time(), []
    for claim, sign, words in (("exp", 1, "expired {} ago"), ("nbf", -1, "good in {}")):
        value = sample.claims.get(claim)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and sign * (now - value) > 0:
            told.append(words.format(_rounded_duration(abs(now - value))))
    if good is not None:
        told += [f"other {claim}" for claim in ("iss", "aud") if sample.claims.get(claim) != good.claims.get(claim)]
    return ", ".join(told)


def _rounded_duration(seconds: float) -> str:
    """Such as "2 h": whole units of the largest that fits."""
    size = next((size for size in (86400, 3600, 60) if seconds >= size), 1)
    return format_quantity(float(seconds // size * size), "s")


def _redact(jwt: Jwt, context: Context) -> None:
    """Makes secret the id in a token's claims that stands for its session."""
    for text in (jwt.claims.get("jti"), jwt.claims.get("sid")):
        if isinstance(text, str) and len(text) >= 6:
            context.redactor.add(text)


def _need_pyjwt() -> None:
    try:
        import jwt  # noqa: F401
        from jwt.algorithms import has_crypto
    except ImportError:
        has_crypto = False
    if not has_crypto:
        what, hint = "forging JSON Web Tokens needs PyJWT with cryptography", "pip install 'pytest-prodcheck[jwt]'"
        raise EvidenceProblem(Problem("missing-extra", what, hint))
