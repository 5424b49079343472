"""Login: how roles get a token, and what must be refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pytest_prodcheck.environments.base import Name, SecretRef, Section
from pytest_prodcheck.environments.services import RequestLine, ServiceTls, Url


class Role(Section):
    """One role's credentials: `user` and `password`, or `client_id` and `client_secret` for OAuth."""

    user: str | None = None
    password: SecretRef | None = None
    grant: Literal["client_credentials", "password"] | None = None
    client_id: str | None = None
    client_secret: SecretRef | None = None
    scope: str | None = None


class Fields(Section):
    """Names of the two fields of a login form or JSON document."""

    user: str = "username"
    password: str = "password"


class WrongPassword(Section):
    """The one dedicated user whose password may be given wrongly."""

    user: str


class Auth(Section):
    """How one logs in.

    kind: `json` (JSON document in, token out by `token`), `form` (urlencoded; a session cookie or a token), `basic`,
    `client_credentials` (OAuth 2 token endpoint at `token_url`), `oidc` (discovery at `issuer`).
    """

    kind: Literal["json", "form", "basic", "client_credentials", "oidc"]
    service: Name | None = None  # whose `login` it is; required for json, form and basic
    login: RequestLine | None = None
    logout: RequestLine | None = None
    fields: Fields = Fields()
    token: Annotated[str, Field(pattern=r"^/.*$")] | None = None  # JSON pointer to the token in the login's answer
    cookie: str | None = None  # name of the session cookie, where there is no token
    issuer: Url | None = None
    token_url: Url | None = None
    audience: str | None = None
    tls: ServiceTls = ServiceTls()  # of issuer and token_url
    logout_revokes: bool = False
    wrong_password: Literal[False] | WrongPassword = False
    roles: dict[Name, Role] = {}
    protected: str | None = None  # "service.endpoint" that a session must open; the first that fits by default
    vantage: Name = "outside"
    owner: str = ""
