"""Names of hosts as browsers have them: A-labels (UTS 46, non-transitional). People may write Unicode."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def ascii_host(host: str) -> str:
    """A host with its Unicode labels as A-labels; others as they are. Raises ValueError for what is no name."""
    if host.isascii():
        return host
    import idna

    try:
        return idna.encode(host, uts46=True, transitional=False).decode("ascii")
    except idna.InvalidCodepoint:  # symbols: IDNA 2008 forbids them, browsers go there all the same
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        labels = mapped.split(".")
        return ".".join(each if each.isascii() else f"xn--{each.encode('punycode').decode()}" for each in labels)
    except idna.IDNAError as error:
        raise ValueError(f"expected the name of a host ({error})") from None


def ascii_url(url: str) -> str:
    """An address with its host as A-labels."""
    if url.isascii():
        return url
    parts = urlsplit(url)
    if not parts.hostname or parts.hostname.isascii():
        return url
    host, port = ascii_host(parts.hostname), f":{parts.port}" if parts.port is not None else ""
    return urlunsplit(parts._replace(netloc=f"{host}{port}"))


def ascii_address(address: str) -> str:
    """HOST:PORT with its host as A-labels."""
    host, _, port = address.rpartition(":")
    return f"{ascii_host(host)}:{port}"
