"""Login: how roles get a token, and what must be refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.logins import auth_targets
from pytest_prodcheck.environments.rules.logins import auth_complaints
from pytest_prodcheck.environments.sections.base import Name, SecretRef, Section, one_or_many
from pytest_prodcheck.environments.sections.services import RequestLine, Url, http_url, path_only
from pytest_prodcheck.environments.sections.tls import Trust


class Role(Section):
    """One role's credentials: `user` and `password`, `client_id` and `client_secret` for OAuth, or a fixed `token`."""

    user: str | None = None  # user name, for `json`, `form`, `basic` and the grant "password"
    password: SecretRef | None = None  # where the user's password lies
    token: SecretRef | None = None  # for `token`: where the fixed bearer token or API key lies
    # OAuth grant: "client_credentials" where left out, "password", or "authorization_code": a person's login with PKCE,
    # which `oidc` does as a browser does: `user` and `password` at the issuer's form, the code to `redirect_uri`
    grant: Literal["client_credentials", "password", "authorization_code"] | None = None
    client_id: str | None = None  # OAuth client
    client_secret: SecretRef | None = None  # where the client's secret lies; public clients have none
    scope: str | None = None  # OAuth scope that is asked for; the server's default where left out


class Fields(Section):
    """Names of the two fields of a login form or JSON document."""

    user: str = "username"  # name of the field that takes the user name
    password: str = "password"  # name of the field that takes the password


class WrongPassword(Section):
    """The one dedicated user whose password may be given wrongly."""

    user: str  # a user that nobody else needs: wrong passwords may lock the account


def path_or_address(value: str) -> str:
    """Accepts a path, or an absolute http(s) address."""
    return path_only(value) if value.startswith("/") else http_url(value)


class Tokens(Section):
    """What of access tokens must be refused, beside forgeries of a role's own token.

    A token that is a JSON Web Token is recognized as one, and forged in the ways that are known for them.
    """

    # where the issuer's public keys (a JWKS) are: a path of `service` or an address; for `oidc` its discovery tells.
    # needed to swap algorithms, and to prove that the samples under `refused` were really signed
    jwks: Annotated[str, AfterValidator(path_or_address)] | None = None
    # name -> a genuine token that must not open anything: `expired`, `other-issuer`, `other-audience`, `not-yet-valid`
    refused: dict[Name, SecretRef] = {}


class Throttling(Section):
    """The bad logins that must be slowed down or locked out; the section is the permission to send them."""

    # whom they are for: a user that nobody else needs; where left out, that of `wrong_password`
    user: str | None = None
    # where its right password lies; only by it a lock can be seen that answers as a wrong password does
    password: SecretRef | None = None
    attempts: Annotated[int, Field(ge=3, le=50)] = 10  # bad logins that are sent at most


class Csrf(Section):
    """Where the token against cross-site request forgery is, and the header that carries it.

    `cookie` (Django; Spring's, Laravel's and Angular's XSRF-TOKEN), with the `page` that sets it where the login does
    not (Laravel Sanctum's "/sanctum/csrf-cookie"); or `page` with `meta` (Rails, Laravel) or `field` (a hidden input).
    """

    header: str  # header of unsafe requests that carries the token, such as "X-CSRFToken"
    cookie: str | None = None  # cookie that holds the token
    page: Annotated[str, AfterValidator(path_only)] | None = None  # page of `service` that holds the token, or sets it
    meta: str | None = None  # name of its <meta name=… content=…>
    field: str | None = None  # name of its hidden input

    def model_post_init(self, _context: Any) -> None:
        """Refuses what says nowhere or twice where the token is."""
        inside = bool(self.meta or self.field)
        if (self.cookie is None) != inside or (inside and self.page is None):
            raise ValueError("expected `cookie`, or `page` with `meta` or `field`")


class Auth(Section):
    """How one logs in.

    kind: `json` (JSON document in, token out by `token`), `form` (urlencoded; a session cookie or a token), `basic`,
    `token` (a fixed bearer token or API key, the `token` of each role), `client_credentials` (OAuth 2 token endpoint at
    `token_url`), `oidc` (discovery at `issuer`; with `service`, `login` such as "GET /login" and `cookie`: the service
    sends people to the issuer and takes them back).
    """

    kind: Literal["json", "form", "basic", "token", "client_credentials", "oidc"]  # how one logs in, see above
    service: Name | None = None  # whose `login` it is; required for json, form, basic and token
    # request that logs in, such as "POST /login"; for basic and token one that needs credentials, such as "GET /orders"
    login: RequestLine | None = None
    logout: RequestLine | None = None  # request that logs out, such as "POST /logout"
    fields: Fields = Fields.model_construct()  # names of the two fields of the login
    header: str = "Authorization"  # for kind `token`: the header that carries it, such as "X-API-Key"
    # for kind `token`: the word before it, "" for none; where left out "Bearer" in Authorization, none in other headers
    scheme: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] | None = None
    # JSON pointer to the token in the login's answer, such as "/access_token"
    token: Annotated[str, Field(pattern=r"^/.*$")] | None = None
    # name of the session cookie that the login sets; what roles carry where there is no `token`
    cookie: str | None = None
    # where people without a session are sent, a path of `service` or an address; the path of `login` where left out.
    # only a redirect to there refuses, and only where roles carry a session cookie; a list where there are several
    login_page: Annotated[
        tuple[Annotated[str, AfterValidator(path_or_address)], ...],
        BeforeValidator(one_or_many, json_schema_input_type=str | list[str]),
    ] = ()
    # page whose form the login fills in: its hidden fields go along, cookies, Referer and Origin as from a browser
    login_form: Annotated[str, AfterValidator(path_only)] | None = None
    csrf: Csrf | None = None  # what the requests of roles that change something carry against request forgery
    issuer: Url | None = None  # OpenID Connect issuer; its discovery document names the token endpoint
    # where the issuer sends people back with their code: one that is registered for the roles' clients; it is not asked
    redirect_uri: Url | None = None
    consent: str | None = None  # name of the button that consents, where a page of the issuer's has several
    token_url: Url | None = None  # OAuth token endpoint
    # further servers that the issuer's discovery document may name for tokens and keys, such as
    # ["https://oauth2.idp.example"]; what it names elsewhere is not asked: credentials go to declared servers only
    origins: tuple[Url, ...] = ()
    audience: str | None = None  # OAuth audience that is asked for
    tls: Trust = Trust.model_construct()  # of issuer and token_url
    # true: the token must not open anything after logout; JWTs usually stay good until they expire
    logout_revokes: bool = False
    # false: never give a wrong password; { user = … } lets `smoke.auth.rejects` do so with that user only
    wrong_password: Literal[False] | WrongPassword = False
    tokens: Tokens = Tokens.model_construct()  # what of access tokens must be refused
    throttling: Throttling | None = None  # bad logins that must be slowed or locked; none are sent where left out
    roles: dict[Name, Role] = {}  # role name -> its credentials
    protected: str | None = None  # "service.endpoint" that a session must open; the first that fits by default
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`;
    # where left out, the login service's
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    def token_headers(self, token: str) -> dict[str, str]:
        """What carries a fixed token."""
        usual = "Bearer" if self.header.lower() == "authorization" else ""
        scheme = usual if self.scheme is None else self.scheme
        return {self.header: f"{scheme} {token}" if scheme else token}

    @property
    def signs_in(self) -> bool:
        """Whether people log in at `service`: by its own form or document, or by way of the issuer."""
        return self.kind in ("json", "form") or self.sent_to_issuer

    @property
    def sent_to_issuer(self) -> bool:
        """Whether the service sends people to the issuer and gives them a cookie when they are back."""
        return self.kind == "oidc" and self.cookie is not None


KINDS = (
    Kind(
        section="auth",
        awaited={"auth": (), "role": ()},
        targets=auth_targets,
        rules=auth_complaints,
        paths={"role": lambda _environment, name: ("auth", "roles", name)},
        single=True,
    ),
)
