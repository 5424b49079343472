"""Facts about who gets in: roles at endpoints, forged tokens, ended sessions, bad logins. Bodies are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_prodcheck.records import Exchange, Problem
from pytest_prodcheck.records.login import Login, LoginPage


@dataclass(frozen=True)
class Entry:
    """One request and what came of it."""

    exchange: Exchange | None = None  # body left out; None: nothing was answered, or it was not sent
    problem: Problem | None = None  # why there is no answer
    login_page: LoginPage = ""


@dataclass(frozen=True)
class RoleEntry:
    """One role at one endpoint."""

    role: str  # of [auth.roles], or "anonymous"
    allowed: bool  # declared to get in
    entry: Entry  # neither answer nor problem: not asked


@dataclass(frozen=True)
class OverrideEntry:
    """The closed method, asked for by what some frameworks take for it in another one."""

    how: str  # "POST with X-HTTP-Method-Override: PUT", or "HEAD" alone
    entry: Entry


@dataclass(frozen=True)
class RoleMatrix:
    """`auth-matrix` (endpoint): what each role gets, and that a role which is allowed gets in (control)."""

    request: str  # "PUT /products/1/price"
    source: Literal["allow", "openapi"]  # who says who may get in
    closed: bool  # False: by the OpenAPI document anybody may
    control: RoleEntry  # of the endpoint, for unsafe requests of its `control`
    control_request: str
    control_expected: tuple[int, ...]
    roles: tuple[RoleEntry, ...]  # anonymous first; unsafe requests are sent only as those who have to be refused
    override_role: str  # as whom the overrides were tried, "" for nobody
    overrides: tuple[OverrideEntry, ...]
    # whether a role that may got through the same route by the same method in this run, without which a refusal may be
    # that of a CSRF filter; None: nobody needs to, for the request changes nothing or no cookie carries a session
    through: bool | None = None
    through_hint: str = ""  # what to declare, where nobody did


@dataclass(frozen=True)
class OwnershipPair:
    """`auth-ownership` (endpoint with a `control` of another role): a stranger asks for what the owner gets."""

    owner: str  # role of the control
    stranger: str  # role that has to be refused
    control: Entry
    control_expected: tuple[int, ...]
    entry: Entry
    expected: tuple[int, ...]  # statuses that refuse, as declared
    shows_object: bool  # the refusal's text holds the text that the owner gets


@dataclass(frozen=True)
class ForgedToken:
    """One token that must not open anything; the token itself is not kept."""

    case: str  # "algorithm none", "signed with the public key as HMAC secret (PEM)", "sample expired"
    entry: Entry
    detail: str = ""  # of a sample: what is wrong with it, such as "expired 3 h ago"
    # of a sample: whether a key of the JWKS verifies it; without, its refusal proves nothing. None: not known
    genuine: bool | None = None


@dataclass(frozen=True)
class ForgedTokens:
    """`auth-tokens` (service): a role's good token, before and after tokens that have to be refused."""

    role: str
    endpoint: str
    kind: Literal["jwt", "opaque"]  # what the role's token is
    expected: tuple[int, ...]  # statuses of the good token
    before: Entry
    after: Entry  # so that it is known that not everything is refused by now
    forged: tuple[ForgedToken, ...]
    guessable: bool = False  # the good token is signed with a secret that everybody tries first
    not_tried: str = ""  # "swapped algorithms: no JWKS is declared"


@dataclass(frozen=True)
class CookieSession:
    """`auth-cookie` (role, where `cookie` and `logout` are declared): the session's cookie, also after the logout."""

    role: str
    endpoint: str
    expected: tuple[int, ...]
    login: Login
    opened: Entry
    logout: Entry
    after: Entry  # the same cookie, sent again
    fixed: Entry | None = None  # before it, with the login page's cookie alone, where the login kept that


@dataclass(frozen=True)
class BadLogin:
    """One login with a wrong password."""

    status: int
    seconds: float
    retry_after: str  # of the header, "" without
    granted: bool


@dataclass(frozen=True)
class BadLogins:
    """`auth-throttling` (auth): bad logins of one user until one is limited, then a good one of another user."""

    user: str
    asked: int  # bad logins that would be sent at most
    control: Login  # of another user, before
    attempts: tuple[BadLogin, ...]
    right_password: Login | None  # of the same user, afterwards; None where it is not declared
    after: Login  # of the other user
