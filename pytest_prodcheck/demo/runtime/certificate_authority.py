"""A CA of the demo's own and the certificates of its servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.demo.runtime.certificate_kinds import IssuedCertificate


def write(folder: Path, servers: dict[str, tuple[str, ...]]) -> IssuedCertificate:
    """Writes ca.pem, and NAME.pem (chain) with NAME.key (mode 0600) for the names of each server; returns the CA."""
    import trustme
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from pytest_prodcheck.demo.runtime.certificate_kinds import IssuedCertificate

    now = datetime.now(UTC)
    ca = trustme.CA(organization_name="prodcheck demo")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, hosts in servers.items():
        leaf = ca.issue_cert(
            *hosts, common_name=hosts[0], not_before=now - timedelta(days=5), not_after=now + timedelta(days=85)
        )
        key = folder / f"{name}.key"
        key.touch(mode=0o600)
        leaf.private_key_pem.write_to_path(str(key))
        for part in leaf.cert_chain_pems:
            part.write_to_path(str(folder / f"{name}.pem"), append=True)
    own = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    return IssuedCertificate(own, load_pem_private_key(ca.private_key_pem.bytes(), None))
