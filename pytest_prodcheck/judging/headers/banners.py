"""Version numbers that answers tell about the programs behind them (OWASP Secure Headers, "prevent disclosure")."""

from __future__ import annotations

import re

from pytest_prodcheck.judging.headers.fields import Headers, lines

FIELDS = (
    "Server", "X-Powered-By", "Via", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator", "X-Runtime-Version",
    "X-Drupal-Version", "X-Powered-CMS", "X-PHP-Version", "X-Version-Server", "X-OWA-Version",
    "MicrosoftSharePointTeamServices", "Powered-By", "Product", "Liferay-Portal", "OracleCommerceCloud-Version",
    "X-Cocoon-Version", "X-Content-Encoded-By", "X-Garden-Version", "X-Generated-By", "X-Jitsi-Release",
    "X-Mod-Pagespeed", "X-Page-Speed", "X-Powered-By-Plesk", "X-Redirect-By", "X-Server-Powered-By",
    "X-Turbo-Charged-By", "X-Umbraco-Version", "X-Varnish-Server", "X-Framework", "X-Joomla-Version", "X-Engine",
    "X-LiteSpeed-Cache-Control", "X-Rack-Version", "X-Shopware-Version", "X-Magento-Version", "X-Kong-Version",
)  # fmt: skip
# fields that tell of the inside whatever their value: hosts, folders, the way to a debugger
_INSIDE = {
    "X-BEServer": "a back end's name", "X-FEServer": "a front end's name", "X-CalculatedBETarget": "a back end's name",
    "X-DiagInfo": "a server's name", "X-Backend-Server": "a back end's name", "Pega-Host": "a host's name",
    "X-SourceFiles": "a folder of the source", "X-Debug-Token-Link": "the way to a profiler",
    "X-Kubernetes-PF-FlowSchema-UID": "the Kubernetes API", "X-Atmosphere-error": "a framework's error",
    "X-Envoy-Decorator-Operation": "the name of a service inside", "X-Application-Context": "an application's profile",
}  # fmt: skip
# "nginx/1.18.0", "PHP 8.1", "Apache/2", "mod_ssl/3.0.2"; not "ECS (dcb/7F83)", not "HTTP/1.1" or "1.1 varnish" of Via
_NAMED = re.compile(
    r"(?<![\w.+-])(?!https?[/ ])[a-z][\w.+-]*(?:/v?|[ -]v?(?=[0-9]+\.))[0-9]+(?:\.[0-9]+)*(?!\w)", re.I
)
_BARE = re.compile(r"\s*v?[0-9]+(?:\.[0-9]+)+", re.I)
_VERSION_FIELD = re.compile(r"version|sharepoint", re.I)


def versions(headers: Headers, generator: str = "") -> tuple[str, ...]:
    """The fields that name a version, as "Server: nginx/1.18.0", or the inside; generator: of <meta name=generator>."""
    headers = tuple(headers)
    told = [(name, value) for name in FIELDS for value in lines(headers, name)]
    told += [("<meta name=generator>", generator)] if generator else []
    found = [f"{name}: {value[:80]}" for name, value in told if _names_software(name, value)]
    found += [f"{name}: {why}" for name, why in _INSIDE.items() if any(lines(headers, name))]
    return tuple(found)


def _names_software(name: str, value: str) -> bool:
    return bool(_NAMED.search(value) or (_VERSION_FIELD.search(name) and _BARE.match(value)))
