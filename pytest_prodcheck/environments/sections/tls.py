"""TLS servers: those declared for themselves, and what is expected of the TLS of anything else."""

from __future__ import annotations

from typing import Literal

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.tls import tls_path, tls_targets
from pytest_prodcheck.environments.rules.tls import tls_complaints
from pytest_prodcheck.environments.sections.base import Address, HostName, Name, Seconds, Section

# how a protocol changes over to TLS on a connection that begins in plain text
StartTls = Literal["postgres", "smtp", "imap", "pop3", "ldap", "ftp", "xmpp", "xmpp-server"]


class TlsExpiry(Section):
    """The earliest time before expiry at which the certificate check warns or fails."""

    warn: Seconds = 21 * 86400.0  # warns when less is left, and less than the check's own share of the lifetime
    fail: Seconds = 7 * 86400.0  # fails when less is left, and less than the check's own share of the lifetime


class TlsPolicy(Section):
    """What the security suite expects of a server's TLS."""

    # Mozilla's server side TLS profile that the server has to keep; not judged where left out
    profile: Literal["modern", "intermediate", "old"] | None = None
    expiry: TlsExpiry = TlsExpiry.model_construct()  # when the end of its certificate is near


class Trust(Section):
    """How TLS is trusted: the system's CAs, or `ca`; a client certificate where the other side asks for one."""

    # file with the CA certificates to trust (PEM), relative to prodcheck.toml; the system's where left out
    ca: str | None = None
    certificate: str | None = None  # file with the client certificate (PEM), where the other side asks for one
    key: str | None = None  # file with the client certificate's key (PEM), where it is not in the same file
    verify: Literal["on", "off"] = "on"  # "off" trusts every certificate; it is named on every verdict


class TlsServer(TlsPolicy):
    """One server that speaks TLS and is no service, PostgreSQL or Redis: mail, LDAP, a queue, a proxy."""

    address: Address  # "HOST:PORT"
    starttls: StartTls | None = None  # where connections begin in plain text: the protocol that changes over to TLS
    # name that is asked for (SNI) and that the certificate has to be for; the host of `address` where left out
    server_name: HostName | None = None
    # file with the CA certificates to trust (PEM), relative to prodcheck.toml; the system's where left out
    ca: str | None = None
    certificate: str | None = None  # file with the client certificate (PEM), where the server asks for one
    key: str | None = None  # file with the client certificate's key (PEM), where it is not in the same file
    connect_to: Address | None = None  # connect here instead; the name that is asked for stays
    timeout: Seconds = 5.0  # for one handshake
    unit: Name | None = None  # unit that it belongs to; in every unit's scope where left out
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


KINDS = (
    Kind(
        section="tls",
        awaited={"tls": ()},
        targets=tls_targets,
        rules=tls_complaints,
        paths={"tls": tls_path},
    ),
)
