"""An admission webhook of our own on loopback, which takes, refuses, or is not there."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Object = dict[str, Any]


class Webhook(ThreadingHTTPServer):
    """verdict: the `status` of a refusal, None to take what comes; asked: the requests that came.

    patch: what is changed of a request, as JSON patch; for a MutatingWebhookConfiguration.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.verdict: Object | None = None
        self.asked: list[Object] = []
        self.patch: Callable[[Object], list[Object]] | None = None
        certificate, key = folder / "webhook.crt", folder / "webhook.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(certificate, key)
        self.socket = trust.wrap_socket(self.socket, server_side=True)
        self.bundle = base64.b64encode(certificate.read_bytes()).decode()

    def configuration(self, name: str, space: str, *resources: str) -> Object:
        """What tells the API server of it, for these resources of one namespace."""
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": resources}
        client = {"url": f"https://127.0.0.1:{self.server_address[1]}/", "caBundle": self.bundle}
        hook = {
            "name": name, "clientConfig": client,
            "rules": [rule], "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
            "timeoutSeconds": 5, "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
        }  # fmt: skip
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": name}, "webhooks": [hook]}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(review["request"])
        answer: Object = {"uid": review["request"]["uid"], "allowed": self.server.verdict is None}
        if self.server.verdict is not None:
            answer["status"] = self.server.verdict
        if self.server.patch is not None:
            changes = json.dumps(self.server.patch(review["request"])).encode()
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(changes).decode()}
        content = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def webhook(folder: Path) -> Iterator[Webhook]:
    """One that answers."""
    server = Webhook(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
