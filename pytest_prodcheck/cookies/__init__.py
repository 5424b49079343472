"""Cookies as browsers take, keep and send them (RFC 6265bis). Pure: text in, text out."""

from __future__ import annotations

from pytest_prodcheck.cookies.parsing import Cookie, parse, refused
from pytest_prodcheck.cookies.store import CookieStore, Refusal, refusals

__all__ = ["Cookie", "CookieStore", "Refusal", "parse", "refusals", "refused"]
