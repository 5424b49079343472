"""Where an answer leads to, in ASCII: servers write Unicode into Location, and browsers send what it stands for."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from pytest_prodcheck.environments.sections.host_names import ascii_host

FIELDS = ("location", "content-location", "refresh")
_BEYOND_ASCII = re.compile(r"[\x80-\xff]")


def ascii_location(value: str) -> str:
    """An address whose octets came as Latin-1: those of path and query percent-encoded, the host as A-labels."""
    if value.isascii():
        return value
    try:
        parts = urlsplit(value)
        if not parts.netloc.isascii():
            host, colon, port = parts.netloc.encode("latin-1").decode("utf-8").partition(":")
            value = urlunsplit(parts._replace(netloc=f"{ascii_host(host)}{colon}{port}"))
    except ValueError:  # no address, or no name: as it is, with its octets encoded
        pass
    return _BEYOND_ASCII.sub(lambda octet: f"%{ord(octet[0]):02X}", value)
