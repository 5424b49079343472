"""A login attempt and the session it gave. Tokens are redacted once known."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pytest_prodcheck.records import EvidenceProblem, Exchange
from pytest_prodcheck.records.login import Login

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.http.messages import Answer

Carrier = Literal["bearer", "cookie", "basic", "header", ""]


@dataclass(frozen=True)
class RoleSession:
    """What a role's requests carry: `headers` hold the token, so they are never kept or shown."""

    role: str
    carrier: Carrier = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    expires_at: float | None = None  # epoch seconds; None where neither the answer nor the token says so


@dataclass(frozen=True)
class Attempt:
    """A login and what it gave."""

    login: Login
    session: RoleSession


def bearer(name: str, answer: Answer, token: object, where: str, context: Context) -> Attempt:
    """The attempt whose answer holds a token, if it is one."""
    if not isinstance(token, str) or not token.strip() or not token.isprintable():
        return attempt(name, answer, "", {}, f"answered {answer.exchange.status}, but {where} is not a token")
    keep_secret(token, context)
    made = attempt(name, redacted_again(answer, context), "bearer", {"Authorization": f"Bearer {token}"}, "")
    return replace(made, session=replace(made.session, expires_at=_expiry_of(token, answer)))


def _expiry_of(token: str, answer: Answer) -> float | None:
    """When a token ends: by `expires_in` of the answer (RFC 6749, 5.1), else by its own `exp` (RFC 7519, 4.1.4)."""
    try:
        lasts = answer.json().get("expires_in")
        if isinstance(lasts, (int, float)) and not isinstance(lasts, bool):
            return time.time() + lasts
    except (EvidenceProblem, AttributeError):
        pass
    try:
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
        return float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None


def keep_secret(token: str, context: Context) -> None:
    """Redacts a token from now on; of a JSON Web Token also claims and signature by themselves."""
    context.redactor.add(token)
    parts = token.split(".")
    for part in parts[1:] if len(parts) == 3 else ():
        if len(part) >= 6:
            context.redactor.add(part)


def redacted_again(answer: Answer, context: Context) -> Answer:
    """The answer redacted again: only now the token in it is known."""
    return replace(answer, exchange=context.redactor.redact_data(answer.exchange))


def refused(name: str, exchange: Exchange, reason: str) -> Attempt:
    """An attempt that gave nothing."""
    return Attempt(Login(name, False, "", exchange, reason), RoleSession(name))


def attempt(name: str, answer: Answer, carrier: Carrier, headers: Mapping[str, str], reason: str) -> Attempt:
    """What a login's answer gave: a session where there is a carrier, a refusal with its reason where there is none."""
    login = Login(name, bool(carrier), carrier, answer.exchange, reason)
    return Attempt(login, RoleSession(name, carrier, headers if carrier else {}))
