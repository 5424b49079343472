"""Hosts that serve what anybody puts there, or call back what strangers name: no list of scripts is safe with them.

As Weichselbaum and others found ("CSP Is Dead, Long Live CSP!", 2016), most lists of hosts hold one of these.
"""

from __future__ import annotations

import re

_OLD_LIBRARIES = "it serves old libraries that execute content of the page"
_FILES = "anybody may upload files there"
_CALLBACKS = "it answers with a call of any requested function (JSONP)"
# host and all below it -> why
_HOSTS = {
    **dict.fromkeys(("cdnjs.cloudflare.com", "ajax.googleapis.com", "yastatic.net"), _OLD_LIBRARIES),
    **dict.fromkeys(
        (
            "cdn.jsdelivr.net", "unpkg.com", "esm.sh", "cdn.skypack.dev", "raw.githubusercontent.com", "github.io",
            "gitlab.io", "amazonaws.com", "cloudfront.net", "storage.googleapis.com", "appspot.com", "web.app",
            "firebaseapp.com", "herokuapp.com", "netlify.app", "vercel.app", "workers.dev", "pages.dev", "onrender.com",
            "azureedge.net", "azurewebsites.net", "blob.core.windows.net", "r2.dev", "surge.sh", "glitch.me",
            "googletagmanager.com",
        ),
        _FILES,
    ),
    **dict.fromkeys(("accounts.google.com", "www.google.com", "cse.google.com", "translate.yandex.net"), _CALLBACKS),
}  # fmt: skip
# of these a host of one's own is as good as any other; the whole is everybody's
_OF_CUSTOMERS = (
    "amazonaws.com", "cloudfront.net", "github.io", "gitlab.io", "appspot.com", "web.app", "firebaseapp.com",
    "herokuapp.com", "netlify.app", "vercel.app", "workers.dev", "pages.dev", "onrender.com", "azureedge.net",
    "azurewebsites.net", "blob.core.windows.net", "r2.dev", "surge.sh", "glitch.me",
)  # fmt: skip
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(\*\.)?([a-z0-9._-]+)(?::[0-9*]+)?(/.*)?")


def anybody_serves(source: str) -> str:
    """Why a source expression lets strangers serve scripts, "" where nothing is known of it.

    One that names a file is as good as the file, as long as nothing there redirects.
    """
    found = _HOST.fullmatch(source.lower())
    if found is None or (found[3] or "/")[-1] != "/":
        return ""
    wildcard, host = bool(found[1]), found[2].rstrip(".")
    for name, why in _HOSTS.items():
        if host == name or (host.endswith(f".{name}") and (wildcard or name not in _OF_CUSTOMERS)):
            return "" if name in _OF_CUSTOMERS and not wildcard else why
    return ""
