"""The cookies of a role, as its requests carry them: each address is sent what a browser would send it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from pytest_prodcheck.cookies import CookieStore


class RoleCookies(str):
    """The value of `Cookie` for `url`; the client asks `store` for the value of any other address."""

    store: CookieStore
    urls: tuple[str, ...]  # where the session is needed
    csrf_header = ""  # what unsafe requests carry against request forgery: the value of `csrf_cookie`, or `csrf_token`
    csrf_cookie = ""
    csrf_token = ""
    caused_by = ""  # address of the page whose form leads there, "": typed by a person
    unsafe = False

    def __new__(cls, store: CookieStore, url: str, caused_by: str = "", unsafe: bool = False) -> RoleCookies:
        """For the address where the role's session is needed. unsafe: the request is no GET."""
        made = super().__new__(cls, store.header(url, caused_by=caused_by, unsafe=unsafe))
        made.store, made.urls, made.caused_by, made.unsafe = store, (url,), caused_by, unsafe
        return made

    def at(self, url: str) -> str:
        """The value of `Cookie` for another address."""
        return self.store.header(url, caused_by=self.caused_by, unsafe=self.unsafe)

    def sent(self, url: str) -> list[tuple[str, str]]:
        """Names and values of the cookies that go there."""
        return self.store.sent(url, caused_by=self.caused_by, unsafe=self.unsafe)

    def proofs(self, url: str) -> dict[str, str]:
        """What a browser and the page's script send along with an unsafe request from the site's own page."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        token = self.csrf_token
        if self.csrf_cookie:
            token = unquote(dict(self.store.sent(url)).get(self.csrf_cookie, ""))
        found = {"Origin": origin, "Referer": f"{origin}/"}
        return {**found, self.csrf_header: token} if self.csrf_header and token else found


def frozen(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that stay as they are, as a thief has them: no answer changes or removes their cookies."""
    return {name: "".join(value) for name, value in headers.items()}


def cookie_store_of(headers: Iterable[object]) -> CookieStore | None:
    """The store whose cookies a request carries, None where it carries none of a role's."""
    return next((value.store for value in headers if isinstance(value, RoleCookies)), None)
