"""Logins of people at an OpenID Connect issuer: the authorization code flow with PKCE (RFC 6749, 4.1; RFC 7636)."""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from pytest_prodcheck.cookies import CookieStore
from pytest_prodcheck.environments.queries import origin_of
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.login.attempts import Attempt, refused
from pytest_prodcheck.evidence.login.browsing import REDIRECTS, Browser, EndlessRedirects
from pytest_prodcheck.evidence.login.oauth import discovery, named_endpoint, redeem
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.auth import Auth, Role
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.messages import Answer
    from pytest_prodcheck.evidence.login.html_forms import Form, Page

MOST_PAGES = 8  # pages of a provider between the first one and the way back
SKEW = 60  # seconds that clocks may be apart


def by_code(name: str, role: Role, auth: Auth, context: Context, deadline: Deadline) -> Attempt:
    """The attempt of a role that gets its token by the authorization code flow; raises EvidenceProblem."""
    code = _ask_code(name, role, auth, context, deadline)
    if isinstance(code, Attempt):
        return code
    made = redeem(name, role, {"grant_type": "authorization_code", **code.form}, auth, context, deadline)
    exchange = made.attempt.login.exchange
    if exchange is None or not made.attempt.login.granted or "openid" not in _scope(role).split():
        return made.attempt
    wrong = _wrong_id_token(made.id_token, str(role.client_id), code.nonce, auth)
    return refused(name, exchange, wrong) if wrong else made.attempt


def by_service(
    role: Role, store: CookieStore, auth: Auth, context: Context, deadline: Deadline
) -> tuple[Answer, str]:
    """The login of a service that sends people to the issuer and takes them back; why it failed, else ""."""
    if role.user is None or role.password is None:
        raise EvidenceProblem(Problem("configuration", "a login through the provider needs `user` and `password`"))
    browser = Browser(store, auth, context, deadline)
    begin = client_of(context, str(auth.service)).url(str(auth.login).partition(" ")[2])
    password = context.secret(role.password, deadline)
    came = browser_login(browser, begin, role.user, password, auth, lambda url: False, origin_of(begin))
    last = browser.set_by.get(str(auth.cookie), came.answer) if came.arrived else came.answer
    exchange = replace(last.exchange, refused_cookies=tuple(browser.refused.items()))
    return replace(last, exchange=exchange), came.reason


@dataclass(frozen=True)
class _Code:
    """An authorization code that came back; `form` is what the token endpoint is asked with."""

    form: dict[str, str] = field(repr=False)
    nonce: str


def _scope(role: Role) -> str:
    return role.scope or "openid"


def _ask_code(name: str, role: Role, auth: Auth, context: Context, deadline: Deadline) -> _Code | Attempt:
    """The code that the issuer sends back for a role, or the refused attempt; raises EvidenceProblem."""
    if role.user is None or role.password is None or role.client_id is None or auth.redirect_uri is None:
        needed = "`client_id`, `user`, `password`, and [auth] `redirect_uri`"
        what = f"role {name}: the grant authorization_code needs {needed}"
        raise EvidenceProblem(Problem("configuration", what))
    back = auth.redirect_uri
    document = discovery(str(auth.issuer), auth, context, deadline)
    address = named_endpoint(document, "authorization_endpoint", auth, context)
    verifier, state, nonce = (secrets.token_urlsafe(48) for _ in range(3))
    context.redactor.add(verifier)
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code", "client_id": role.client_id, "redirect_uri": back, "scope": _scope(role),
        "state": state, "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    if auth.audience:
        asked["audience"] = auth.audience
    joined = "&" if urlsplit(address).query else "?"
    password = context.secret(role.password, deadline)
    browser = Browser(CookieStore(), auth, context, deadline)
    begin = f"{address}{joined}{urlencode(asked)}"
    came = browser_login(browser, begin, role.user, password, auth, lambda url: _is_redirect_to(url, back))
    if not came.arrived:
        return refused(name, came.answer.exchange, came.reason)
    told = dict(parse_qsl(urlsplit(urljoin(came.answer.url, came.answer.location())).query))
    code = told.get("code", "")
    if "error" in told:
        return refused(name, came.answer.exchange, f"the provider sent back {sanitizing.plain(told['error'], 60)!r}")
    if told.get("state") != state:
        why = "the `state` from the provider differs from the one that was sent (RFC 6749, 10.12)"
        return refused(name, came.answer.exchange, why)
    if told.get("iss", auth.issuer) != auth.issuer:
        return refused(name, came.answer.exchange, "the code is of another issuer (`iss`, RFC 9207)")
    if not code:
        return refused(name, came.answer.exchange, "the provider sent back no code")
    context.redactor.add(code)
    return _Code({"code": code, "redirect_uri": back, "code_verifier": verifier}, nonce)


@dataclass(frozen=True)
class BrowserLogin:
    """Where a login in a browser ended; reason: why it did not arrive."""

    answer: Answer
    arrived: bool
    reason: str = ""


def browser_login(
    browser: Browser, url: str, user: str, password: str, auth: Auth, home: Callable[[str], bool],
    service: tuple[str, str, int] | None = None,
) -> BrowserLogin:  # fmt: skip
    """From an address over the provider's pages until it leads home; where a browser gives up, it did not arrive."""
    try:
        return _follow_authorization(browser, url, user, password, auth, home, service)
    except EndlessRedirects as error:
        return BrowserLogin(error.answer, False, f"{error.problem.message}: browsers stop here")


def _follow_authorization(
    browser: Browser, url: str, user: str, password: str, auth: Auth, home: Callable[[str], bool],
    service: tuple[str, str, int] | None,
) -> BrowserLogin:  # fmt: skip
    """The same: the login filled in once, consent given.

    home: whether an address is where the login ends; that one is not asked for. service: the origin that it ends at.
    """
    answer, given = browser.get(url, home), False
    for _ in range(MOST_PAGES):
        if answer.exchange.status in REDIRECTS:
            return BrowserLogin(answer, arrived=True)
        page = browser.page(answer)
        form, values = _next_form(page, auth, user, password)
        if given and origin_of(answer.url) == service and (service != origin_of(str(auth.issuer)) or form is None):
            return BrowserLogin(answer, arrived=True)
        what = f"{answer.exchange.method} {answer.exchange.url.partition('?')[0]}"
        if form is None:
            return BrowserLogin(answer, False, (f"{what}: answered {answer.exchange.status} without a "
                "form to continue the login"))
        if form.secret_field() and given:
            return BrowserLogin(answer, False, "the provider shows its login form again")
        if form.secret_field():
            _refuse_stranger(form.address(answer.url), auth, what)
        given = given or bool(form.secret_field())
        button = _button(form, auth, what) if not values else None
        answer = browser.submit(form, answer, values, button, home)
    raise EvidenceProblem(Problem("protocol", f"the login did not end within {MOST_PAGES} pages of the provider"))


def _next_form(page: Page, auth: Auth, user: str, password: str) -> tuple[Form | None, dict[str, str]]:
    """The form that leads on, and what a person types into it."""
    for form in page.forms:
        if secret := form.secret_field():
            names = [auth.fields.user] if auth.fields.user in form.kinds else _typed(form)
            return form, {secret: password, **dict.fromkeys(names[:1], user)}
    first = page.form_with(auth.fields.user)
    if first is not None:  # the user name on a page of its own
        return first, {auth.fields.user: user}
    wanted = [form for form in page.forms if any(each.name == auth.consent for each in form.buttons)]
    silent = [form for form in page.forms if not form.asks and form.method == "POST"]
    return next(iter(wanted or silent), None), {}


def _refuse_stranger(url: str, auth: Auth, what: str) -> None:
    """Raises EvidenceProblem where a form would send the password elsewhere than to the issuer, to a service too."""
    provider = {origin_of(each) for each in (auth.issuer, auth.token_url, *auth.origins) if each}
    if (there := origin_of(url)) not in provider:
        shown = sanitizing.plain(f"{there[0]}://{there[1]}:{there[2]}", 300)
        text = f"{what}: a form asks for a role's password and sends it to {shown}, which does not belong to the issuer"
        hint = "nothing was sent; if the address belongs to the provider, add it to auth.origins"
        raise EvidenceProblem(Problem("configuration", text, hint))


def _typed(form: Form) -> list[str]:
    return [name for name, kind in form.kinds.items() if kind in ("text", "email", "tel", "search")]


def _button(form: Form, auth: Auth, what: str) -> str | None:
    """The button that gives consent; None for the only one there is."""
    names = [each.name for each in form.buttons]
    if auth.consent is not None and auth.consent in names:
        return auth.consent
    if len(form.buttons) < 2:
        return None
    shown = ", ".join(sanitizing.plain(each.name or f"(without name) {each.value}", 40) for each in form.buttons)
    hint = f"name the button to press: [auth] consent = … ({shown})"
    raise EvidenceProblem(Problem("configuration", f"{what}: a page with several buttons", hint))


def _is_redirect_to(url: str, place: str) -> bool:
    """Whether an address is a declared one with a query of its own."""
    return url.partition("#")[0].partition("?")[0] == place.partition("?")[0]


def _wrong_id_token(token: str, client: str, nonce: str, auth: Auth) -> str:
    """What of an ID token's claims is not about this login; it came from the issuer over a connection of ours."""
    try:
        claims: Any = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
        audience = claims.get("aud")
        ends = float(claims.get("exp", 0))
    except (IndexError, ValueError, TypeError, AttributeError):
        return "the token endpoint returned no ID token, although the scope contains `openid`"
    if str(claims.get("iss")).rstrip("/") != str(auth.issuer).rstrip("/"):
        return "the ID token is of another issuer"
    if client not in (audience if isinstance(audience, list) else [audience]):
        return "the ID token is for another client (`aud`)"
    if claims.get("nonce") != nonce:
        return "the `nonce` in the ID token differs from the one that was sent"
    return "the ID token has expired" if ends + SKEW < time.time() else ""
