"""One comment of ours on a pull request, edited by each run: found by its first line, which nobody sees."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.delivery.code_hosts import GITHUB, Place

if TYPE_CHECKING:
    import requests

_TIMEOUT = 10.0  # seconds in which an answer begins
_WHOLE = 60.0  # seconds for all of it
_PAGES = 50  # of comments
_A_PAGE = 100
_LARGEST = 128 * 1024 * 1024  # bytes of an answer


class NotCommented(Exception):
    """Why the comment does not stand there, without the token."""


def comment(place: Place, token: str, text: str) -> str:
    """Edits our comment that begins with the text's first line, or adds one; tells which. Raises NotCommented."""
    speaker = _Speaker(place, token)
    found = _own(speaker, text.partition("\n")[0])
    body = {"body": cut(text, place.host.most)}
    if found and speaker.ask(place.host.edited_by, place.path(place.host.comment, found), body, gone=True) is not None:
        return f"edited comment {found} of {place}"
    made = speaker.ask("POST", place.path(place.host.comments), body)
    number = made.get("id") if isinstance(made, dict) else None
    return f"added comment {number if isinstance(number, int) else ''} to {place}".replace("  ", " ")


def cut(text: str, most: int) -> str:
    """What fits into a comment, whole lines; says how many do not. No line begins as a command of GitLab's."""
    lines = [f"\\{line}" if line.startswith("/") else line for line in text.splitlines()]
    if _length("\n".join(lines)) <= most:
        return "\n".join(lines)
    left = most - 200  # for what says so
    kept = []
    for line in lines:
        left -= _length(line) + 1
        if left < 0:
            break
        kept.append(line)
    told = f"{len(lines) - len(kept)} more lines did not fit into {most:,} characters: `prodcheck report` shows all."
    return "\n".join([*kept, "", told])


def _length(text: str) -> int:
    """As it is counted by who counts most: in units of UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _own(speaker: _Speaker, first_line: str) -> int:
    """The id of the oldest comment of the token's own user that begins so, 0 where there is none."""
    place, own = speaker.place, speaker.name()
    who, named = place.host.author
    for each in speaker.pages(place.path(place.host.comments)):
        author, begins = each.get(who), str(each.get("body") or "").partition("\n")[0].strip()
        if begins == first_line and isinstance(author, dict) and author.get(named) == own:
            found = each.get("id")
            if isinstance(found, int):
                return found
    return 0


class _Speaker:
    """Asks one host with one token: bounded in time and size, nowhere else, never in the clear."""

    def __init__(self, place: Place, token: str) -> None:
        import requests

        if not place.api.startswith("https://"):
            raise NotCommented(f"{place.api} is not https: the token would be sent in the clear")
        self.place = place
        self._end = time.monotonic() + _WHOLE
        self._more = False  # whether another page follows the one that was read
        self._session = requests.Session()

        def sign(asked: requests.PreparedRequest) -> requests.PreparedRequest:
            name, value = ("Authorization", f"Bearer {token}") if place.host is GITHUB else ("PRIVATE-TOKEN", token)
            asked.headers[name] = value
            return asked

        self._session.auth = sign  # and no .netrc of the machine

    def name(self) -> str:
        """Whose token it is. GitHub's REST interface does not tell tokens of jobs, its GraphQL one does."""
        place = self.place
        if place.host is GITHUB:
            told = self.ask("POST", f"{place.api.removesuffix('/v3')}/graphql", {"query": "query { viewer { login } }"})
            for step in ("data", "viewer"):
                told = told.get(step) if isinstance(told, dict) else None
            name = told.get("login") if isinstance(told, dict) else None
        else:
            told = self.ask("GET", f"{place.api}/user")
            name = told.get("username") if isinstance(told, dict) else None
        if not isinstance(name, str) or not name:
            raise NotCommented(f"{place.host.name} does not say whose token it is")
        return name

    def pages(self, address: str) -> Iterator[dict[str, Any]]:
        """All comments, the oldest first."""
        order = "" if self.place.host is GITHUB else "&sort=asc&order_by=created_at"
        for page in range(1, _PAGES + 1):
            found = self.ask("GET", f"{address}?per_page={_A_PAGE}&page={page}{order}")
            if not isinstance(found, list):
                raise NotCommented(f"{self.place.host.name} does not answer with a list of comments")
            yield from (each for each in found if isinstance(each, dict))
            if not self._more:
                return
        raise NotCommented(f"there are more than {_PAGES * _A_PAGE:,} comments: ours was not found among the first")

    def ask(self, method: str, address: str, body: dict[str, str] | None = None, *, gone: bool = False) -> Any:
        """The answer's JSON; with `gone` None where it answers 404 or 410. Raises NotCommented."""
        import requests

        host = self.place.host.name
        left = self._end - time.monotonic()
        if left <= 0:
            raise NotCommented(f"{host} took more than {_WHOLE:g} s")
        try:
            answer = self._session.request(
                method, address, json=body, timeout=min(_TIMEOUT, left), allow_redirects=False, stream=True,
                headers={"Accept": "application/json", "User-Agent": "pytest-prodcheck"},
            )  # fmt: skip
            with answer:
                if gone and answer.status_code in (404, 410):
                    return None
                if not 200 <= answer.status_code < 300:
                    raise NotCommented(self._refusal(answer))
                self._more = "next" in answer.links
                return json.loads(self._read(answer))
        except (requests.RequestException, OSError) as error:  # whose text may hold a header
            raise NotCommented(f"{host} cannot be reached ({type(error).__name__})") from None
        except (ValueError, RecursionError):
            raise NotCommented(f"{host} does not answer {method} with JSON") from None

    def _read(self, answer: requests.Response) -> bytes:
        content = bytearray()
        for piece in answer.iter_content(65536):
            content += piece
            if len(content) > _LARGEST or time.monotonic() > self._end:
                raise NotCommented(f"the answer of {self.place.host.name} is too long, or comes too slowly")
        return bytes(content)

    def _refusal(self, answer: requests.Response) -> str:
        code, host = answer.status_code, self.place.host
        if code == 429 or (code == 403 and answer.headers.get("x-ratelimit-remaining") == "0"):
            return f"{host.name} answers {code}: too many requests with this token; try again later"
        why = {
            401: "the token is not valid",
            403: f"the token is not allowed to; it needs {host.right}",
            404: f"there is no {self.place}, or the token may not see it; it needs {host.right}",
            410: f"comments are disabled, or {self.place} was deleted",
            422: "it does not accept the text",
        }.get(code, "was the project renamed?" if code < 400 else "")
        return f"{host.name} answers {code}{': ' if why else ''}{why}"
