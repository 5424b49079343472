"""Headers and policies as nginx sends them, and what browsers make of them: one server, one run for all reports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.field.web.support import Results, certify, folder_for_nginx, free_port, judged, program, running

POLICY = "default-src 'self'; form-action 'self'; frame-ancestors 'none'"
GOOD = {
    "Strict-Transport-Security": "max-age=63072000", "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=()", "Referrer-Policy": "strict-origin-when-cross-origin",
}  # fmt: skip
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
PAGE = "<!doctype html><html><head>{head}<title>shop</title></head><body>{body}</body></html>"
PERMISSIONS, CSP, OPENER = "Permissions-Policy", "Content-Security-Policy", "Cross-Origin-Opener-Policy"
SAID = dict.fromkeys(("no-nonce", "no-hash", "bare-nonce"), "inline scripts run")
HSTS, SNIFF = "Strict-Transport-Security", "X-Content-Type-Options"
# case -> changed fields, head, body, what a browser makes of it: check -> outcome
CASES: dict[str, tuple[dict[str, str], str, str, dict[str, str]]] = {
    "good": ({}, "", "", dict.fromkeys(("hsts", "csp", "content-type", "framing", "referrer", "hardening"), "passed")),
    # getodk/central#303, nginx-proxy/nginx-proxy#1136, h5bp/server-configs-nginx#193, cryptpad/cryptpad#604
    "nested": ({"Cache-Control": "no-cache"}, "", "", {"hsts": "failed", "csp": "failed", "content-type": "failed"}),
    # craftcms/cms#7915, estuary/ui#2061, spatie/laravel-csp#82
    "semicolons": ({PERMISSIONS: "geolocation=(self); camera=(self)"}, "", "", {"hardening": "warned"}),
    "always": ({PERMISSIONS: "geolocation=(), camera=() always"}, "", "", {"hardening": "warned"}),
    "feature": ({PERMISSIONS: "geolocation 'self' 'none';camera 'none'"}, "", "", {"hardening": "warned"}),
    # unraid/webgui#760, apache/skywalking-website#678
    "in-body": ({CSP: ""}, "", f"<div><html><head>{META}</head></html></div>", {"csp": "failed"}),
    "in-head": ({CSP: "frame-ancestors 'none'"}, META, "", {"csp": "passed"}),
    # RevenueCat/purchases-android#3652: without a head of its own, the parser makes one
    "early": ({CSP: "frame-ancestors 'none'"}, f"</head>{META}", "", {"csp": "passed"}),
    # hypothesis/client#4373
    "popups": ({OPENER: "same-origin-allow-popups"}, "", "", {"hardening": "passed"}),
    # SSC-ICT-Innovatie/nl-kat-coordination#3927, lichess-org/lila#4471
    "unpkg": ({CSP: f"{POLICY}; script-src 'self' https://unpkg.com"}, "", "", {"csp": "warned"}),
    "cdnjs": ({CSP: f"{POLICY}; script-src 'self' https://cdnjs.cloudflare.com"}, "", "", {"csp": "warned"}),
    # google/csp-evaluator#80, alganet/lint-http#850: what is no nonce or hash leaves 'unsafe-inline' in force
    "no-nonce": ({CSP: f"{POLICY}; script-src 'self' 'unsafe-inline' 'nonce-eQD7eyHDucshwfua3umGog%'"}, "", "",
                 {"csp": "warned"}),
    "no-hash": ({CSP: f"{POLICY}; script-src 'self' 'unsafe-inline' 'sha256-abc%'"}, "", "", {"csp": "warned"}),
    "bare-nonce": ({CSP: f"{POLICY}; script-src 'self' 'unsafe-inline' nonce-eQD7eyHDucshwfua3umGog"}, "", "",
                   {"csp": "warned"}),
    # krakenjs/lusca#137
    "glued": ({CSP: f"{POLICY}; script-src 'self' 'nonce-157452790003100'unsafe-eval'"}, "", "", {"csp": "warned"}),
    # mozilla/sumo#2820, Trustroots/trustroots#405, internetstandards/Internet.nl#1740
    "hsts-joined": ({HSTS: "max-age=31536000, max-age=31536000"}, "", "", {"hsts": "failed"}),
    "hsts-glued": ({HSTS: "max-age=31536000max-age=31536000; includeSubDomains"}, "", "", {"hsts": "failed"}),
    # a payment provider's answers in public logs; ssllabs/ssllabs-scan#307; RFC 6797, 6.1
    "hsts-value": ({HSTS: "max-age=31536000; includeSubdomains=true"}, "", "", {"hsts": "failed"}),
    "hsts-blank": ({HSTS: "max-age=31536000; include SubDomains"}, "", "", {"hsts": "failed"}),
    "hsts-twice": ({HSTS: "max-age=63072000; includeSubDomains; preload; preload"}, "", "", {"hsts": "warned"}),
    # mozilla/http-observatory-website#157, UK-Export-Finance/dtfs2#890; Fetch, "determine nosniff"
    "blank-behind": ({SNIFF: "nosniff "}, "", "", {"content-type": "passed"}),
    "nosniff-joined": ({SNIFF: "nosniff, nosniff"}, "", "", {"content-type": "passed"}),
    "no-sniff": ({SNIFF: "no-sniff"}, "", "", {"content-type": "failed"}),
    # punkpeye/mcp-proxy#91, socketio/engine.io#9
    "star": ({"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}, "", "",
             {"cors": "warned"}),
}  # fmt: skip


def location(name: str) -> str:
    """One place of the server; what is empty is not sent."""
    changed, head, body, _ = CASES[name]
    fields = changed if name == "nested" else {**GOOD, **changed}
    lines = [f'add_header {each} "{value}" always;' for each, value in fields.items() if value]
    page = PAGE.format(head=head, body=body).replace("'", "\\'")
    return f"location /{name}/ {{ {' '.join(lines)} return 200 '{page}'; }}"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder = folder_for_nginx(tmp_path_factory.mktemp("headers"))
    ca, leaf = certify(folder, "shop.test")
    port = free_port()
    server = " ".join(f'add_header {name} "{value}" always;' for name, value in GOOD.items())
    (folder / "nginx.conf").write_text(
        f"daemon off; error_log stderr; pid {folder}/pid; events {{}}\n"
        f"http {{ default_type text/html; access_log off; server_tokens off; server {{ listen 127.0.0.1:{port} ssl;\n"
        f"ssl_certificate {leaf}; ssl_certificate_key {leaf}; {server}\n" + "\n".join(map(location, CASES)) + "}}",
        encoding="utf-8",
    )
    services = [
        f"[environments.t.services.{name}]\nurl = \"https://shop.test:{port}/{name}/\"\n"
        f"connect_to = \"127.0.0.1:{port}\"\ntls.ca = \"{ca}\"\nhtml = true\npublic = true\n"
        for name in CASES
    ]  # fmt: skip
    with running([program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)], port, folder):
        yield judged(folder, "".join(services), ["security.headers.*", "security.cors"])


@pytest.mark.parametrize("case", CASES)
def test_headers_as_browsers_read_them(case: str, seen: Results) -> None:
    for name, outcome in CASES[case][3].items():
        check = "security.cors" if name == "cors" else f"security.headers.{name}"
        result = seen[check, case]
        assert result["outcome"] == outcome, result
        assert SAID.get(case, "") in result["reason"]
