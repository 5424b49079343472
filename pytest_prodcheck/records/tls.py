"""Facts about TLS servers: certificates as they are sent, what a server accepts, how it stands up to known attacks."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class Certificate:
    """One X.509 certificate."""

    subject: str  # RFC 4514
    issuer: str  # RFC 4514
    fingerprint: str  # SHA-256, hex
    not_before: float
    not_after: float
    key: str  # "RSA", "RSASSA-PSS", "EC", "Ed25519", "Ed448", "DSA", or what the library calls it
    bits: int  # size of the key
    signature_hash: str  # "sha256"; "" where the signature has none of its own (Ed25519)
    self_signed: bool  # issued by itself: what it says of itself proves nothing
    exponent: int = 0  # of an RSA key, 0 for others
    ca: bool = False  # it may issue others (basicConstraints)
    signs: bool | None = None  # whether its key may sign handshakes (keyUsage); None: nothing is said of that


@dataclass(frozen=True)
class Staple:
    """The OCSP response that a server sent along (RFC 6066)."""

    status: str  # "good", "revoked" or "unknown"
    good_from: float
    good_until: float | None  # None: no end is told
    problem: str  # why it counts for nothing ("" for a good one): another certificate's, not signed by the issuer


@dataclass(frozen=True)
class ServedCertificate:
    """What one address serves to clients that offer every key type, or only one (a second certificate)."""

    address: str  # "shop.example:443", with the IP address where there are several
    problem: Problem | None = None  # no certificate was had
    version: str = ""  # protocol version of the handshake, such as "TLSv1.3"
    sent: tuple[Certificate, ...] = ()  # as sent, the server's own first
    path: tuple[Certificate, ...] = ()  # from the server's own towards a trusted CA, as far as it goes
    distrust: str = ""  # why no trusted CA stands behind it; "" where one does. The end of its own is not counted
    names: tuple[str, ...] = ()  # "DNS:shop.example", "IP:127.0.0.1", and "CN:…" where it has no names
    name: str = ""  # name that was asked for
    for_name: bool = False  # whether the certificate is for that name
    seen_at: float = 0.0
    must_staple: bool = False  # asks that every server sends an OCSP response along (RFC 7633)
    ocsp: tuple[str, ...] = ()  # addresses of OCSP responders
    crl: tuple[str, ...] = ()  # addresses of revocation lists
    staple: Staple | None = None
    public: bool = False  # trusted by the system's CAs, not by a declared one
    browsers: bool = False  # whether any are expected there
    logged: bool | None = None  # whether it holds proofs of transparency logs; None: not of a CA that browsers know


@dataclass(frozen=True)
class TlsCertificates:
    """`tls-certificate`, `tls-name` (tls): the certificates of each address; a second key type is one of its own."""

    served: tuple[ServedCertificate, ...]
    warn_within: float  # seconds: the end of a certificate is told of no earlier
    fail_within: float


@dataclass(frozen=True)
class CipherSuite:
    """One cipher suite that a server accepted, as sslyze tells it."""

    name: str  # IANA's, such as "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    bits: int  # of the symmetric key, 0 for none
    anonymous: bool  # the server need not say who it is
    exchange: str  # kind of ephemeral key: "ECDH", "DH", "X25519", …, "" for none or not known
    exchange_bits: int  # its size, 0 where not known


@dataclass(frozen=True)
class AcceptedSuites:
    """What one address accepts."""

    address: str
    problem: Problem | None = None  # it could not be found out whole
    versions: tuple[tuple[str, tuple[CipherSuite, ...]], ...] = ()  # "TLSv1.2" -> suites; only versions it speaks
    silent: tuple[str, ...] = ()  # versions to which it never answered at all, though it did to others: not spoken


@dataclass(frozen=True)
class TlsSuites:
    """`tls-suites` (tls): protocol versions and cipher suites of each address."""

    accepted: tuple[AcceptedSuites, ...]


@dataclass(frozen=True)
class Attack:
    """Whether a server is open to one known attack."""

    name: str  # "Heartbleed"
    open: bool | None  # None: could not be found out
    detail: str  # what was seen, or why it could not be found out


@dataclass(frozen=True)
class AttackedServer:
    """One address under each known attack's harmless probe."""

    address: str
    problem: Problem | None = None
    attacks: tuple[Attack, ...] = ()


@dataclass(frozen=True)
class TlsAttacks:
    """`tls-attacks` (tls): known attacks on each address."""

    servers: tuple[AttackedServer, ...]


@dataclass(frozen=True)
class ProfiledServer:
    """One address against the declared profile."""

    address: str
    problem: Problem | None = None
    deviations: tuple[tuple[str, str], ...] = ()  # what ("ciphers"), why, as sslyze's checker says it


@dataclass(frozen=True)
class TlsProfile:
    """`tls-profile` (tls, where declared): each address against Mozilla's server side TLS profile."""

    profile: str  # "intermediate"
    version: str  # of Mozilla's guidelines, "5.7"
    servers: tuple[ProfiledServer, ...]
