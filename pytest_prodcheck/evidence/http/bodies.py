"""Bodies of answers: read within a bound, decoded within the same bound."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_prodcheck import resource_exhaustion
from pytest_prodcheck.answers.decoding import decoder

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.http.request_heads import Received

LARGE = 262_144  # bytes of a body from which on its copies count
_PIECE = 65_536  # bytes read at once


_EVENT_END = re.compile(rb"(?:\r\n|\n|\r)(?:\r\n|\n|\r)")


def read_first_event(answer: Received, encoding: str, bound: int) -> bytes:
    """A stream of events up to the end of its first one (a blank line); what there is where it pauses or ends."""
    coding = decoder(encoding)
    found = b""
    try:
        while len(found) < bound and not _EVENT_END.search(found) and (data := answer.read(_PIECE)):
            found += coding.decode(data, bound - len(found))
    except TimeoutError:
        pass
    end = _EVENT_END.search(found)
    return found[: end.end()] if end else found


def read_body(answer: Received, encoding: str, bound: int, part: bool = False) -> tuple[bytearray, bool]:
    """The decoded body, at most `bound` bytes, and whether there was more.

    part: it is the beginning of a compressed body, which was asked for (206), and so has no end of it.
    Raises BodyError for an encoding that was not asked for or is broken, and what the connection raises.
    """
    coding = decoder(encoding)
    body = bytearray()  # grows in place: pieces that are joined would be there twice
    received = 0
    while data := answer.read(_PIECE):
        received += len(data)
        if received > LARGE or len(body) > LARGE:
            resource_exhaustion.give_back_large_blocks()
        body += coding.decode(data, bound + 1 - len(body))
        if len(body) > bound or received > bound + _PIECE:
            del body[bound:]
            return body, True
    if not part:
        coding.finish()
    return body, False
