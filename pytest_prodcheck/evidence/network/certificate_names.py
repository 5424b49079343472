"""Which names a certificate is for, and whether a host is one of them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from pytest_prodcheck.evidence.tools.sanitizing import plain


def subject_names(certificate: Any) -> tuple[str, ...]:
    """What it is for: "DNS:shop.example", "IP:127.0.0.1"; "CN:…" only where it has no such names."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        found = ()
    told = [f"DNS:{each.value}" for each in found if isinstance(each, x509.DNSName)]
    told += [f"IP:{each.value}" for each in found if isinstance(each, x509.IPAddress)]
    if not told:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        told = [f"CN:{each.value}" for each in common]
    return tuple(plain(each, 255) for each in told)


def is_for(names: tuple[str, ...], wanted: str, common_name: bool) -> bool:
    """Whether names cover the wanted one (RFC 9525, 6.3; a wildcard is a whole left-most label, with two behind it).

    common_name: libpq alone takes a name that is said there where no others are, and a wildcard such as "*.internal".
    """
    try:
        wanted_ip = ip_address(wanted.partition("%")[0])
    except ValueError:
        plain_name = wanted.lower().rstrip(".")
        kinds = ("DNS:", "CN:") if common_name else ("DNS:",)
        told = [each.partition(":")[2] for each in names if each.startswith(kinds)]
        return any(_matches(each.lower().rstrip("."), plain_name, 0 if common_name else 1) for each in told)
    kinds = ("IP:", "CN:") if common_name else ("IP:",)
    return str(wanted_ip) in [each.partition(":")[2] for each in names if each.startswith(kinds)]


def _matches(pattern: str, name: str, dots: int) -> bool:
    """dots: how many a wildcard's parent must have; OpenSSL and browsers take none of a whole top-level domain."""
    if not pattern.startswith("*."):
        return pattern == name
    _, _, parent = name.partition(".")
    return bool(parent) and parent.count(".") >= dots and pattern[2:] == parent
