"""What logging in showed: tokens, refusals, sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_prodcheck.records import Exchange


@dataclass(frozen=True)
class Login:
    """`auth-login` (role): whether good credentials gave a token or session. The token itself is not kept."""

    role: str
    granted: bool
    carrier: Literal["bearer", "cookie", "basic", "header", ""]  # header: another one than Authorization
    exchange: Exchange | None
    reason: str = ""  # why not granted


@dataclass(frozen=True)
class Rejection:
    """One bad login."""

    case: Literal["wrong password", "unknown user", "empty password"]
    exchange: Exchange
    granted: bool  # a token or session came back


@dataclass(frozen=True)
class Rejections:
    """`auth-rejections` (auth): bad logins, and the positive control that a good one works at the same place."""

    control: Login
    attempts: tuple[Rejection, ...]


# what an answer has to do with the login, where roles carry session cookies: "redirect" leads to the declared login
# page, "shown" is that page itself, as containers (Java) answer in place of what was asked for; "form" is another page
# that asks for a password; "" for none of these, and for tokens
LoginPage = Literal["redirect", "shown", "form", ""]


@dataclass(frozen=True)
class ProtectedAnswers:
    """`auth-required` (endpoint not open to anonymous): asked without and with a garbage token, and as allowed."""

    anonymous: Exchange
    garbage: Exchange
    control: Exchange
    control_role: str
    control_expected: tuple[int, ...]
    anonymous_login: LoginPage = ""  # whether the answer is the login page instead
    garbage_login: LoginPage = ""
    control_login: LoginPage = ""
    # whether a role that may got through by the same method in this run, without which a CSRF filter may have refused;
    # None: nobody needs to, for the request changes nothing or no cookie carries a session
    through: bool | None = None
    through_hint: str = ""  # what to declare, where nobody did


@dataclass(frozen=True)
class Session:
    """`auth-session` (role): a fresh token opens a protected endpoint; where logout revokes, not after logout."""

    role: str
    endpoint: str
    expected: tuple[int, ...]
    opened: Exchange
    logout: Exchange | None  # None: logout is not declared to revoke
    after: Exchange | None
    opened_login: LoginPage = ""  # whether the answer is the login page instead
    after_login: LoginPage = ""
