"""One TLS handshake for the certificates: every version and cipher OpenSSL has, trust looked at but not insisted on."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.tls.endpoints import TlsEndpoint

LARGEST = 1024 * 1024  # bytes that a handshake may take
_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT of openssl/ssl.h: also meet servers without RFC 5746
_NO_TLS_1_3 = 0x20000000  # SSL_OP_NO_TLSv1_3, where suites say nothing of the key
Auth = Literal["", "aRSA", "aECDSA"]  # "": whatever the server prefers; else only certificates of that key type


@dataclass
class Handshake:
    """What came of one: certificates as cryptography's, DER of the staple, (error, depth) of the way to a CA."""

    version: str = ""
    sent: list[Any] = field(default_factory=list)
    path: list[Any] = field(default_factory=list)
    errors: list[tuple[int, int]] = field(default_factory=list)
    staple: bytes = b""
    refused: str = ""  # the alert by which the server ended it after it had sent its certificate


def make_context(endpoint: TlsEndpoint, root: Path, auth: Auth) -> Any:
    """An OpenSSL context for an endpoint's trust and client certificate; raises EvidenceProblem (configuration)."""
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(0)
    # level 0: weak servers are met too, for what they serve is judged
    context.set_cipher_list(f"{auth or 'ALL:COMPLEMENTOFALL'}:!aNULL:@SECLEVEL=0".encode())
    context.set_options(_LEGACY_SERVER_CONNECT | (_NO_TLS_1_3 if auth else 0))
    _load_trust(context, endpoint, root)
    context.set_verify(SSL.VERIFY_PEER, _note_error)
    context.set_ocsp_client_callback(_note_staple)
    return context


def _note_error(connection: Any, _certificate: Any, error: int, depth: int, _good: int) -> bool:
    if error:
        connection.get_app_data().errors.append((error, depth))
    return True


def _note_staple(connection: Any, staple: bytes, _data: Any) -> bool:
    connection.get_app_data().staple = staple
    return True


def _load_trust(context: Any, endpoint: TlsEndpoint, root: Path) -> None:
    from OpenSSL import crypto

    if endpoint.ca is not None:
        _load_into_context(endpoint, endpoint.ca, lambda: context.load_verify_locations(str(root / str(endpoint.ca))))
    else:
        _load_system(context)
    if endpoint.certificate is not None:
        certificate = root / endpoint.certificate
        key = root / (endpoint.key or endpoint.certificate)
        context.set_passwd_cb(lambda *_: b"")  # OpenSSL would ask the terminal for that of an encrypted key
        _load_into_context(endpoint, endpoint.certificate, lambda: context.use_certificate_chain_file(str(certificate)))
        _load_into_context(endpoint, key.name, lambda: context.use_privatekey_file(str(key), crypto.FILETYPE_PEM))


def _load_system(context: Any) -> None:
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        context.load_verify_locations(paths.cafile, paths.capath)
    else:
        import certifi  # comes with requests; for containers without CAs

        context.load_verify_locations(certifi.where())


def _load_into_context(endpoint: TlsEndpoint, file: str, load: Any) -> None:
    from OpenSSL import SSL

    try:
        load()
    except (SSL.Error, OSError, ValueError) as error:
        hint = "it has to hold certificates, or a plain key, in PEM form"
        what = f"{endpoint.address}: {Path(file).name} cannot be used ({_reason(error)})"
        raise EvidenceProblem(Problem("configuration", what, hint)) from None


def shake_hands(sock: socket.socket, context: Any, name: str, where: str, deadline: Deadline) -> Handshake:
    """Shakes hands on a connected socket under the deadline; raises EvidenceProblem where no certificate came."""
    from OpenSSL import SSL

    found = Handshake()
    connection = SSL.Connection(context, None)
    connection.set_app_data(found)
    connection.set_connect_state()
    if not _is_ip(name):
        connection.set_tlsext_host_name(name.encode("ascii"))
    connection.request_ocsp()
    try:
        _complete_handshake(connection, sock, where)
    except SSL.Error as error:
        found.refused = _reason(error)
    except OSError as error:
        found.refused = error.strerror or type(error).__name__
    deadline.seconds_left()  # a connection that the deadline shut down reads like one that the server closed
    found.version = connection.get_protocol_version_name()
    with suppress(SSL.Error, TypeError):
        found.sent = _chain_certificates(connection.get_peer_cert_chain(), where)
        found.path = _chain_certificates(connection.get_verified_chain(), where)
    if not found.sent:
        hint = "does this port speak TLS? does it need another STARTTLS protocol or a client certificate?"
        said = found.refused or "it sent no certificate"
        raise EvidenceProblem(Problem("tls", f"{where}: the TLS handshake failed: {said}", hint))
    return found


def _complete_handshake(connection: Any, sock: socket.socket, where: str) -> None:
    from OpenSSL import SSL

    read = 0
    while True:
        try:
            connection.do_handshake()
            _flush(connection, sock)
            return
        except SSL.WantReadError:
            _flush(connection, sock)
        except SSL.Error:
            with suppress(OSError):
                _flush(connection, sock)  # the alert
            raise
        data = sock.recv(16384)
        read += len(data)
        if read > LARGEST:
            raise EvidenceProblem(Problem("too-large", f"{where}: a TLS handshake of more than {LARGEST >> 20} MB"))
        if not data:
            raise ConnectionResetError(0, "the server closed the connection")
        connection.bio_write(data)


def _flush(connection: Any, sock: socket.socket) -> None:
    from OpenSSL import SSL

    with suppress(SSL.WantReadError):
        while True:
            sock.sendall(connection.bio_read(65536))


def _chain_certificates(chain: Any, where: str) -> list[Any]:
    try:
        return [each.to_cryptography() for each in chain or ()]
    except ValueError as error:
        what = f"{where}: sent a certificate that cannot be read ({error})"
        raise EvidenceProblem(Problem("protocol", what)) from None


def _is_ip(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    """OpenSSL's last words, such as "sslv3 alert handshake failure"."""
    first = error.args[0] if error.args else ""
    if isinstance(first, list) and first:
        return str(first[-1][-1])
    return getattr(error, "strerror", None) or str(error) or "the server closed the connection"
