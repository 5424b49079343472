"""Version numbers that answers tell about the programs behind them (OWASP Secure Headers, "prevent disclosure")."""

from __future__ import annotations

import re

from pytest_prodcheck.judging.headers.fields import Headers, lines

FIELDS = (
    "Server", "X-Powered-By", "Via", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator", "X-Runtime-Version",
    "X-Drupal-Version", "X-Powered-CMS", "X-PHP-Version", "X-Version-Server", "X-OWA-Version",
    "MicrosoftSharePointTeamServices",
)  # fmt: skip
# "nginx/1.18.0", "PHP 8.1", "Apache/2", "mod_ssl/3.0.2"; not "ECS (dcb/7F83)", not "HTTP/1.1" or "1.1 varnish" of Via
_NAMED = re.compile(
    r"(?<![\w.+-])(?!https?[/ ])[a-z][\w.+-]*(?:/v?|[ -]v?(?=[0-9]+\.))[0-9]+(?:\.[0-9]+)*(?!\w)", re.I
)
_BARE = re.compile(r"\s*v?[0-9]+(?:\.[0-9]+)+", re.I)
_VERSION_FIELD = re.compile(r"version|sharepoint", re.I)


def versions(headers: Headers, generator: str = "") -> tuple[str, ...]:
    """The fields that name a version, as "Server: nginx/1.18.0"; generator: of <meta name=generator>."""
    headers = tuple(headers)
    told = [(name, value) for name in FIELDS for value in lines(headers, name)]
    told += [("<meta name=generator>", generator)] if generator else []
    return tuple(f"{name}: {value[:80]}" for name, value in told if _tells(name, value))


def _tells(name: str, value: str) -> bool:
    return bool(_NAMED.search(value) or (_VERSION_FIELD.search(name) and _BARE.match(value)))
