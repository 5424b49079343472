"""TLS contexts: the system's CAs or a private one, client certificates."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.tls import Trust
    from pytest_prodcheck.evidence.context import Context


def trust_in(tls: Trust, context: Context, who: str) -> ssl.SSLContext:
    """As `tls_context`, for a run: its verdict holds for the CA that was trusted."""
    context.relies_on(tls.ca)
    return tls_context(tls, context.root, who)


def tls_context(tls: Trust, root: Path, who: str) -> ssl.SSLContext:
    """How `who` is trusted; files are relative to `root`. Raises EvidenceProblem (configuration) for unusable ones."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if tls.verify == "off":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca is not None:
        _load(lambda: context.load_verify_locations(cafile=root / str(tls.ca)), root / tls.ca, who, "CA certificates")
    else:
        _load_system(context)
    if tls.certificate is not None:
        certificate = root / tls.certificate
        key = root / tls.key if tls.key else None
        # an empty password: OpenSSL would ask the terminal for that of an encrypted key
        _load(
            lambda: context.load_cert_chain(certificate, key, password=""),
            certificate,
            who,
            "a certificate and its plain key",
        )
    return context


def _load_system(context: ssl.SSLContext) -> None:
    context.load_default_certs()
    if not context.cert_store_stats()["x509_ca"] and not ssl.get_default_verify_paths().capath:
        import certifi  # comes with requests; for containers without CAs

        context.load_verify_locations(cafile=certifi.where())


def _load(load: object, file: Path, who: str, what: str) -> None:
    assert callable(load)
    try:
        load()
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        raise EvidenceProblem(
            Problem(
                "configuration", f"{who}: {file.name} cannot be used ({reason})", f"it has to hold {what} in PEM form"
            )
        ) from None
