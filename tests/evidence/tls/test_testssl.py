"""Debian's testssl.sh and the TLS evidence look at the same servers, and have to find the same.

Each difference that remains is listed in DIFFERENCES, with its reason.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.mail import vulnerable_tls
from pytest_prodcheck.demo.mail.tls import MODERN, staples, tls_server
from pytest_prodcheck.demo.runtime.certificate_kinds import DAY, CertificateRequest, issue, status
from pytest_prodcheck.records.tls import AcceptedSuites, CipherSuite, ServedCertificate
from suites.security.test_tls import _broken, _weak_exchange
from tests.evidence.tls.servers import Lab, V, lab
from tests.soak import SOAK

__all__ = ["lab"]
PROGRAM = shutil.which("testssl") or shutil.which("testssl.sh") or ""
pytestmark = pytest.mark.skipif(not PROGRAM, reason="testssl.sh is not installed; install: apt-get install testssl.sh")
# protocols, cipher classes, certificate, Heartbleed, CCS, ROBOT, renegotiation, compression, downgrade
OPTIONS = ("-p", "-s", "-S", "-H", "-I", "-BB", "-R", "-C", "-Z")
QUICK = ("worst",)  # the others only in the soak: testssl.sh takes ten seconds of processor for each
HOST, RSA = CertificateRequest(("localhost",)), CertificateRequest(("localhost",), key="rsa-2048")
Serve = Callable[[socket.socket], None]
Findings = dict[str, Any]


def _good(lab: Lab) -> Serve:
    return tls_server(lab.tls())


def _old(lab: Lab) -> Serve:
    """TLS 1.0 and 1.1, CBC, static RSA, a SHA-1 signature, renegotiation."""
    own = lab.issue(CertificateRequest(("localhost",), key="rsa-2048", sha1=True))
    ciphers = "ECDHE+AES:AES128-SHA"
    return tls_server(lab.tls(own, lowest=V.TLSv1, highest=V.TLSv1_2, ciphers=ciphers, renegotiates=True))


def _weak(lab: Lab) -> Serve:
    """Ciphers without encryption and without a certificate, 1024 bits, another name, ended, a small group."""
    own = lab.issue(CertificateRequest(("other.test",), key="rsa-1024", age=90 * DAY, left=-DAY))
    words = f"{MODERN}:NULL-SHA256:AECDH-AES256-SHA:DHE-RSA-AES128-GCM-SHA256"
    return tls_server(lab.tls(own, ciphers=words, weak_dh=True))


def _worst(lab: Lab) -> Serve:
    """The last two in one: all that both find wrong."""
    own = lab.issue(CertificateRequest(("other.test",), key="rsa-1024", sha1=True, age=90 * DAY, left=-DAY))
    words = "ECDHE+AES:AES128-SHA:NULL-SHA256:AECDH-AES256-SHA:DHE-RSA-AES128-GCM-SHA256"
    return tls_server(
        lab.tls(own, lowest=V.TLSv1, highest=V.TLSv1_3, ciphers=words, weak_dh=True, renegotiates=True)
    )


def _new(lab: Lab) -> Serve:
    """TLS 1.3 alone, of a CA that nobody knows."""
    stranger = issue(CertificateRequest(("Stranger",), ca=True), None)
    own = issue(HOST, stranger)
    own.chain = [stranger.certificate]
    return tls_server(lab.tls(own, lowest=V.TLSv1_3))


def _stapled(lab: Lab) -> Serve:
    own = lab.issue(CertificateRequest(("localhost",), must_staple=True, ocsp="http://ocsp.invalid/"))
    return staples(lab.folder, own, status(own, lab.authority))


def _unstapled(lab: Lab) -> Serve:
    return tls_server(lab.tls(lab.issue(CertificateRequest(("localhost",), must_staple=True))))


def _buggy(bug: Callable[[Any], vulnerable_tls.Bug]) -> Callable[[Lab], Serve]:
    def make(lab: Lab) -> Serve:
        own = lab.issue(RSA)
        tls = lab.tls(own, ciphers=f"{MODERN}:AES128-GCM-SHA256:AES128-SHA", highest=V.TLSv1_2)
        seen = bug(own.key)
        return lambda client: vulnerable_tls.serve(client, tls, seen)

    return make


SERVERS: dict[str, Callable[[Lab], Serve]] = {
    "good": _good, "old": _old, "weak": _weak, "worst": _worst, "1.3 only": _new, "stapled": _stapled,
    "unstapled": _unstapled, "robot": _buggy(vulnerable_tls.robot), "ccs": _buggy(lambda key: vulnerable_tls.early_ccs),
    "heartbleed": _buggy(lambda key: vulnerable_tls.heartbleed),
}  # fmt: skip

# server, finding -> why the two need not agree
DIFFERENCES = {
    ("heartbleed", "Heartbleed"):
        "the server that plays it does not announce the heartbeat extension, without which testssl.sh does not try",
}  # fmt: skip


def theirs(report: list[dict[str, str]]) -> Findings:
    """What testssl.sh found, in the words of `ours`."""
    said = {each["id"].partition(" ")[0]: each["finding"] for each in report}
    level = {each["id"].partition(" ")[0]: each["severity"] for each in report}
    versions = {
        "SSLv2": "SSLv2", "SSLv3": "SSLv3", "TLS1": "TLSv1.0", "TLS1_1": "TLSv1.1", "TLS1_2": "TLSv1.2",
        "TLS1_3": "TLSv1.3",
    }  # fmt: skip
    attacks = {
        "heartbleed": "Heartbleed", "CCS": "CCS injection", "ROBOT": "ROBOT", "CRIME_TLS": "compression (CRIME)",
        "secure_client_renego": "client renegotiation", "fallback_SCSV": "downgrade (no TLS_FALLBACK_SCSV)",
    }  # fmt: skip
    return {
        "versions": sorted(name for key, name in versions.items() if said[key].startswith("offered")),
        **{f"cipher {key}": said[f"cipherlist_{key}"].startswith("offered")
           for key in ("NULL", "aNULL", "EXPORT", "LOW", "3DES_IDEA")},
        "SHA-1": "SHA1" in said["cert_signatureAlgorithm"].upper().replace("-", ""),
        "bits": int(said["cert_keySize"].split()[1]),
        "name": level["cert_trust"] in ("OK", "INFO"),
        "trusted": said["cert_chain_of_trust"].startswith("passed"),
        "ended": "expired" in said["cert_expirationStatus"],
        "stapled": said["OCSP_stapling"].startswith("offered"),
        "must staple": said["cert_mustStapleExtension"] not in ("--", "not requested"),
        **{f"{name}": "not vulnerable" not in said[key] and level[key] in ("MEDIUM", "HIGH", "CRITICAL", "LOW")
           for key, name in attacks.items()},
    }  # fmt: skip


def ours(served: ServedCertificate, accepted: AcceptedSuites, attacks: Any) -> Findings:
    """The same of what was gathered."""
    suites = [each for version, some in accepted.versions for each in some if version != "TLSv1.3"]

    def has(*why: str) -> bool:
        return any(_broken(each) in why for each in suites)

    own = served.sent[0]
    return {
        "versions": sorted(version for version, _ in accepted.versions),
        "cipher NULL": has("no encryption"), "cipher aNULL": has("anonymous"), "cipher EXPORT": has("export"),
        "cipher LOW": has("DES", "RC4", "RC2"), "cipher 3DES_IDEA": has("3DES", "IDEA"),
        "SHA-1": own.signature_hash == "sha1", "bits": own.bits, "name": served.for_name,
        "trusted": not served.distrust and own.not_after > time.time(), "ended": own.not_after < time.time(),
        "stapled": served.staple is not None, "must staple": served.must_staple,
        **{f"{each.name}": each.open for each in attacks},
    }  # fmt: skip


def gathered(lab: Lab, address: str) -> Findings:
    (served, *_) = lab.gather("tls-certificate", address).served
    (accepted,) = lab.gather("tls-suites", address).accepted
    (server,) = lab.gather("tls-attacks", address).servers
    assert (served.problem, accepted.problem, server.problem) == (None, None, None)
    return ours(served, accepted, server.attacks)


def reported(folder: Path, address: str, name: str) -> list[dict[str, str]]:
    report = folder / f"{name}.json"
    words = [
        PROGRAM, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--ip", "127.0.0.1",
        "--add-ca", str(folder / "ca.pem"), "--jsonfile", str(report), *OPTIONS, address,
    ]  # fmt: skip
    subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)
    found: list[dict[str, str]] = json.loads(report.read_text(encoding="utf-8"))
    return found


def test_testssl_finds_the_same(lab: Lab) -> None:
    names = list(SERVERS) if SOAK else list(QUICK)
    with contextlib.ExitStack() as opened:
        addresses = {name: opened.enter_context(lab.server(SERVERS[name](lab))) for name in names}
        mine = {name: gathered(lab, address) for name, address in addresses.items()}
        worst = mine["worst"]
        assert worst["versions"] == ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
        assert all(worst[what] for what in ("cipher NULL", "cipher aNULL", "SHA-1", "ended", "client renegotiation"))
        with ThreadPoolExecutor(2) as pool:
            told = pool.map(lambda name: reported(lab.folder, addresses[name], name), names)
            reports = dict(zip(names, told, strict=True))
    differing = {}
    for name, report in reports.items():
        found = theirs(report)
        assert set(found) == set(mine[name])
        for what, value in found.items():
            if value != mine[name][what] and (name, what) not in DIFFERENCES:
                differing[name, what] = f"testssl.sh: {value}, prodcheck: {mine[name][what]}"
    assert differing == {}


def test_small_groups_are_found_where_testssl_names_logjam() -> None:
    """testssl.sh tells them by -J, which knows named groups and would take minutes here: judged by size."""
    assert _weak_exchange(CipherSuite("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", 128, False, "DH", 1024))
