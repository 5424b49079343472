"""What a page of another origin may read (Fetch, "CORS check")."""

from __future__ import annotations

from pytest_prodcheck.judging.headers.fields import Headers, lines
from pytest_prodcheck.judging.headers.findings import Findings, fails, warns


def readable(headers: Headers, origin: str, credentials: bool) -> bool:
    """Whether a browser hands the answer to a script of `origin`; credentials: the request carried the user's."""
    headers = tuple(headers)
    allowed = ", ".join(lines(headers, "Access-Control-Allow-Origin"))
    if not lines(headers, "Access-Control-Allow-Origin"):
        return False
    if not credentials and allowed == "*":
        return True
    if allowed != origin:  # byte for byte; several values are none
        return False
    return not credentials or ", ".join(lines(headers, "Access-Control-Allow-Credentials")) == "true"


def judged(headers: Headers, origin: str, hostile: bool = True) -> Findings:
    """What an answer to a request of `origin` gives away. hostile: not ours in another dress, such as plain HTTP."""
    headers = tuple(headers)
    if readable(headers, origin, credentials=True):
        text = f"pages of {origin} may read it with the user's credentials"
        return fails(text) if hostile else warns([text])
    allowed = lines(headers, "Access-Control-Allow-Origin")
    if allowed == ("*",) and lines(headers, "Access-Control-Allow-Credentials") == ("true",):
        return warns(["* together with credentials: browsers refuse this combination"])
    return Findings()
