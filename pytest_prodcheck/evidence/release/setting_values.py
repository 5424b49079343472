"""What a setting's value is: of its type, a placeholder that nobody filled in, a secret that everybody knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_prodcheck.evidence.release.setting_files import value_text

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.settings import Setting

_SECRET = re.compile(r"passw|passphrase|pwd\b|secret|token|credential|(api|private|access)[-_.]?key", re.I)
# what it is called -> how it looks; words that a value may rightly hold ("todo", "test") count in one spelling alone
PLACEHOLDERS = {
    '"change me"': re.compile(r"(?<![A-Za-z])change[-_ ]?(me|this|it)(?![A-Za-z])", re.I),
    '"xxx"': re.compile(r"(?<![A-Za-z0-9])x{3,}(?![A-Za-z0-9])", re.I),
    '"TODO"': re.compile(r"(?<![A-Za-z0-9])(TODO|FIXME|TBD)(?![A-Za-z0-9])"),
    '"example.com"': re.compile(r"(?:^|[/@.])example\.(com|net|org)(?=$|[/:?,])", re.I),  # RFC 2606, 3
    '"<...>"': re.compile(r"(?:^|[/:@=,])<[^<>@]+>(?=$|[/:@?&,])"),
    '"${...}"': re.compile(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|\$\([A-Z_]+\)"),
    '"your-..."': re.compile(r"(?<![A-Za-z])your[-_ ]?(password|secret|api|key|token|domain|host|user|name)", re.I),
    '"replace me"': re.compile(r"(?<![A-Za-z])(replace[-_ ]?(me|this)|placeholder)(?![A-Za-z])", re.I),
}
# what images, tutorials and lists of leaked passwords begin with
_USUAL = (
    "password passw0rd password1 password123 pass secret supersecret mysecret topsecret admin admin123 administrator "
    "root toor postgres mysql redis rabbitmq guest user test test123 testing default letmein welcome qwerty abc123 "
    "123456 1234567 12345678 123456789 1234567890 111111 000000 minioadmin changeit django-insecure insecure dev "
    "development s3cr3t s3cret hunter2 foobar example sample"
)
_KNOWN = frozenset(_USUAL.split())
_INT, _TRUTH = re.compile(r"[+-]?\d+"), ("true", "false", "yes", "no", "on", "off", "1", "0")
_DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d))+|P(?=[\dT])(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")


def is_secret(name: str, setting: Setting) -> bool:
    """As declared, else as its name sounds."""
    return setting.secret if setting.secret is not None else bool(_SECRET.search(name))


def mistake(value: Any, setting: Setting, *, text: bool, secret: bool) -> str:
    """Why a value is not what it has to be, "" where it is. text: its file knows texts alone, such as "8080"."""
    told = "" if secret else f" ({value_text(value)})"
    if not _is_typed(value, setting.type, text):
        return f"it is no {setting.type}{told if setting.type != 'url' else ''}"
    if setting.one_of is not None and str(value) not in setting.one_of:
        return f"it is none of {', '.join(setting.one_of)}{told}"
    if setting.matches is not None and not re.fullmatch(setting.matches, str(value)):
        return "it does not match its pattern"
    return ""


def _is_typed(value: Any, kind: str, text: bool) -> bool:
    if kind in ("int", "bool") and not (text and isinstance(value, str)):
        return isinstance(value, bool) if kind == "bool" else isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if kind == "int":
        return bool(_INT.fullmatch(value))
    if kind == "bool":
        return value.casefold() in _TRUTH
    if kind == "duration":
        return bool(_DURATION.fullmatch(value))
    return kind != "url" or _is_url(value)


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return "," in value and bool(re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", value, re.I))  # several hosts: libpq
    there = parts.netloc or parts.path.startswith("/")  # sqlite:///orders.db
    return bool(parts.scheme and there and not re.search(r"\s", value))


def placeholder(value: Any) -> str:
    """What a value that nobody filled in looks like, "" for a real one."""
    return next((name for name, looks in PLACEHOLDERS.items() if looks.search(str(value))), "")


def is_known_secret(name: str, value: Any) -> bool:
    """Whether everybody knows a secret: of the usual lists, its own name, one character, or its own user name."""
    text = str(value)
    if "://" in text:
        try:
            parts = urlsplit(text)
        except ValueError:
            return False
        return parts.password is not None and (
            unquote(parts.password) == unquote(parts.username or "") or is_known_secret("", unquote(parts.password))
        )
    plain = text.casefold()
    return plain in _KNOWN or plain == name.casefold() or (len(set(text)) == 1)


def password_of(value: Any) -> bool:
    """Whether a value carries a password within an address."""
    try:
        return isinstance(value, str) and "://" in value and bool(urlsplit(value).password)
    except ValueError:
        return False
