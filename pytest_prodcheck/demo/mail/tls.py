"""How the mail relay speaks TLS: as it should, and in every way that a test server for browsers would show."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.mail.relay import PATIENCE, Serve
from pytest_prodcheck.demo.runtime.certificate_kinds import IssuedCertificate

# Mozilla's intermediate profile, https://wiki.mozilla.org/Security/Server_Side_TLS
MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"
_ALLOW_CLIENT_RENEGOTIATION = 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION of openssl/ssl.h, since 3.0
# 1024 bits, the second Oakley group of RFC 2409
_OAKLEY_2 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)
_numbers = itertools.count(1)


def healthy(folder: Path, certificate: IssuedCertificate) -> Serve:
    """TLS as Mozilla's intermediate profile has it."""
    return tls_server(context(folder, certificate))


def context(
    folder: Path,
    *certificates: IssuedCertificate,
    ciphers: str = MODERN,
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    curve: str | None = "prime256v1",
    renegotiates: bool = False,
    tickets: bool = True,
    weak_dh: bool = False,
) -> ssl.SSLContext:
    """A server's context; its files go into `folder`."""
    import warnings

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions: that is the point
        made.minimum_version, made.maximum_version = lowest, highest
    made.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    if curve is not None:
        made.set_ecdh_curve(curve)
    if renegotiates:
        made.options &= ~ssl.OP_NO_RENEGOTIATION
        made.options |= _ALLOW_CLIENT_RENEGOTIATION
    else:
        made.options |= ssl.OP_NO_RENEGOTIATION
    if not tickets:
        made.options |= ssl.OP_NO_TICKET
    for certificate in certificates:
        made.load_cert_chain(_written(folder, certificate.pem()))
    if weak_dh:
        made.load_dh_params(str(_written(folder, _dh_parameters())))
    return made


def _written(folder: Path, data: bytes) -> Path:
    path = folder / f"mail-{next(_numbers)}.pem"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    return path


def _dh_parameters() -> bytes:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import dh

    parameters = dh.DHParameterNumbers(_OAKLEY_2, 2).parameters()
    return parameters.parameter_bytes(form.Encoding.PEM, form.ParameterFormat.PKCS3)


def tls_server(made: ssl.SSLContext) -> Serve:
    """Serves with a context: shakes hands, and listens until the client goes."""

    def serve(client: socket.socket) -> None:
        with made.wrap_socket(client, server_side=True) as tls:
            while tls.recv(4096):
                pass

    return serve


def staples(folder: Path, certificate: IssuedCertificate, response: bytes) -> Serve:
    """Serves with OpenSSL itself, for Python's own module cannot send an OCSP response along."""
    from OpenSSL import SSL, crypto

    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_cipher_list(MODERN.encode())
    made.set_options(SSL.OP_NO_RENEGOTIATION)
    file = str(_written(folder, certificate.pem()))
    made.use_certificate_chain_file(file)
    made.use_privatekey_file(file, crypto.FILETYPE_PEM)
    made.set_tmp_ecdh(_p256())
    made.set_ocsp_server_callback(lambda connection, data: response)

    def serve(client: socket.socket) -> None:
        client.settimeout(None)  # OpenSSL would take its absence of data for an error
        connection = SSL.Connection(made, client)
        connection.set_accept_state()
        with contextlib.suppress(SSL.Error):
            connection.do_handshake()
            while connection.recv(4096):
                pass
        client.settimeout(PATIENCE)

    return serve


def _p256() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.SECP256R1()
