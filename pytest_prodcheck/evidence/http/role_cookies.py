"""The cookies of a role, as its requests carry them: each address is sent what a browser would send it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_prodcheck.cookies import CookieStore


class RoleCookies(str):
    """The value of `Cookie` for `url`; the client asks `store` for the value of any other address."""

    store: CookieStore

    def __new__(cls, store: CookieStore, url: str) -> RoleCookies:
        """For the address where the role's session is needed."""
        made = super().__new__(cls, store.header(url))
        made.store = store
        return made


def frozen(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that stay as they are, as a thief has them: no answer changes or removes their cookies."""
    return {name: "".join(value) for name, value in headers.items()}


def carried(headers: Iterable[object]) -> CookieStore | None:
    """The store whose cookies a request carries, None where it carries none of a role's."""
    return next((value.store for value in headers if isinstance(value, RoleCookies)), None)
