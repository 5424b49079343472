"""A Kubernetes control plane on loopback: etcd, API server, controller manager, scheduler, and kwok for nodes and pods.

Real in all but the containers: kwok plays the kubelets, so that pods run, crash and vanish as their annotations say.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.build import folder, stages

ADMIN, READER, NOBODY = "admin-token-of-the-test", "reader-token-of-the-test", "nobody-token-of-the-test"
TOKENS = f'{ADMIN},admin,1,"system:masters"\n{READER},prodcheck,2\n{NOBODY},nobody,3\n'
READY = 300  # seconds: 4 on an idle machine
FEW_COLLECTIONS = {"GOGC": "off", "GOMEMLIMIT": "700MiB"}  # of garbage: a sixth of the processor time


class ControlPlane:
    """The processes and a client of its API; ends them by process id."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.etcd, self.peer, self.port, self.manager, self.scheduler = _free_ports(5)
        self.url = f"https://127.0.0.1:{self.port}"
        self._api: tuple[str, ...] = ()
        self._api_server: subprocess.Popen[bytes] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self.trust = ssl.create_default_context()
        self.trust.check_hostname = False
        self.trust.verify_mode = ssl.CERT_NONE  # our own client of our own server

    def start(self) -> None:
        """Starts all of it; returns when namespaces can be made."""
        place, here = self.place, folder()
        (place / "tokens.csv").write_text(TOKENS)
        self.kubeconfig("admin", ADMIN)
        self._run(
            f"{here}/etcd", "--data-dir", f"{place}/etcd", "--unsafe-no-fsync", "--log-level=error",
            f"--listen-client-urls=http://127.0.0.1:{self.etcd}", f"--advertise-client-urls=http://127.0.0.1:{self.etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer}",
        )  # fmt: skip
        subprocess.run(
            ["openssl", "genrsa", "-out", f"{place}/sa.key", "2048"], check=True, capture_output=True, timeout=60
        )
        self._api = (
            f"{here}/kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self.etcd}", "--bind-address=127.0.0.1",
            f"--secure-port={self.port}", f"--cert-dir={place}/certs", f"--token-auth-file={place}/tokens.csv",
            "--authorization-mode=RBAC", "--allow-privileged=true",
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-key-file={place}/sa.key", f"--service-account-signing-key-file={place}/sa.key",
            "--service-account-issuer=https://prodcheck.test",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        )  # fmt: skip
        self._api_server = self._run(*self._api)
        self.wait("/readyz")
        common = ("--kubeconfig", f"{place}/admin.kubeconfig", "--leader-elect=false")
        self._run(
            f"{here}/kube-controller-manager", *common, f"--secure-port={self.manager}", "--bind-address=127.0.0.1",
            f"--service-account-private-key-file={place}/sa.key", "--controllers=*,-node-lifecycle-controller",
            "--kube-api-qps=200", "--kube-api-burst=400",
        )  # fmt: skip
        self._run(
            f"{here}/kube-scheduler", *common, f"--secure-port={self.scheduler}", "--bind-address=127.0.0.1",
            "--kube-api-qps=200", "--kube-api-burst=400",
        )  # fmt: skip
        self._run(
            f"{here}/kwok",
            "--kubeconfig",
            f"{place}/admin.kubeconfig",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            *(["--config", f"{stages()}"] if stages().is_file() else []),
        )

    def kubeconfig(self, name: str, token: str, server: str = "") -> Path:
        """Writes NAME.kubeconfig for one user."""
        path = self.place / f"{name}.kubeconfig"
        certificate = self.place / "certs" / "apiserver.crt"
        cluster = {"server": server or self.url}
        if name == "admin":
            cluster["insecure-skip-tls-verify"] = True  # type: ignore[assignment]  # there is no certificate yet
        else:
            cluster["certificate-authority"] = str(certificate)
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": "test", "user": name}}],
        }  # fmt: skip
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        return path

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        name = Path(words[0]).name
        if shutil.which("setpriv"):  # they end when the process of the tests is killed, too
            words = ("setpriv", "--pdeathsig", "KILL", *words)
        with (self.place / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.place,
                                       env={**os.environ, **FEW_COLLECTIONS})
        self._processes.append(process)
        return process

    def wait(self, path: str) -> None:
        """Waits until a path answers 200."""
        end = time.monotonic() + READY
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if self.ask("GET", path)[0] == 200:
                    return
            for process in self._processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args!r} ended: see {self.place}")
            time.sleep(0.1)
        raise RuntimeError(f"no control plane within {READY} s: see the logs in {self.place}")

    def ask(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", token: str = ADMIN
    ) -> tuple[int, Any]:
        """Status and JSON (or text) of one request, as the administrator or whose token is given."""
        content = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        request = urllib.request.Request(f"{self.url}{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.trust) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def get(self, path: str) -> Any:
        """The JSON of a path."""
        return self.ask("GET", path)[1]

    def apply(self, *objects: dict[str, Any]) -> None:
        """Creates or changes objects by server-side apply."""
        for each in objects:
            status, said = self.ask(
                "PATCH", f"{path_of(each)}?fieldManager=test&force=true", each, "application/apply-patch+yaml"
            )
            assert status in (200, 201), (said, each)

    def patch(self, path: str, body: Any) -> None:
        """A merge patch."""
        status, said = self.ask("PATCH", path, body, "application/merge-patch+json")
        assert status == 200, said

    def delete(self, path: str) -> None:
        """Deletes an object, or all of a collection, at once."""
        status, said = self.ask("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        assert status in (200, 202, 404), said

    def restart_api(self) -> None:
        """Kills the API server and starts it again; it answers seconds later. To be called by the main thread."""
        assert self._api_server is not None
        self._api_server.kill()
        self._api_server.wait(10)
        self._processes.remove(self._api_server)
        self._api_server = self._run(*self._api)

    def stop(self) -> None:
        """Ends the processes; the API server would wait a minute for its watchers."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGKILL)
        for process in self._processes:
            process.wait(10)
        self._processes.clear()


_GROUPS = {"rbac.authorization.k8s.io/v1": ("ClusterRole", "ClusterRoleBinding")}
_NO_NAMESPACE = ("Node", "Namespace", "ClusterRole", "ClusterRoleBinding", "StorageClass", "PersistentVolume",
                 "RuntimeClass", "PriorityClass", "MutatingWebhookConfiguration")  # fmt: skip
_PLURALS = {"Ingress": "ingresses", "StorageClass": "storageclasses", "Endpoints": "endpoints",
            "NetworkPolicy": "networkpolicies", "RuntimeClass": "runtimeclasses",
            "PriorityClass": "priorityclasses"}  # fmt: skip


def path_of(item: dict[str, Any]) -> str:
    """The path of an object."""
    version, kind, metadata = item["apiVersion"], item["kind"], item["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    where = "" if kind in _NO_NAMESPACE else f"/namespaces/{metadata.get('namespace', 'shop')}"
    return f"{root}{where}/{plural}/{metadata['name']}"


def _free_ports(count: int) -> Sequence[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """A control plane that runs, in a folder of its own."""
    place = Path(tempfile.mkdtemp(prefix="prodcheck-cluster-"))
    plane = ControlPlane(place)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    with control_plane() as running:
        print(f"KUBECONFIG={running.place}/admin.kubeconfig", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 3600)
    os._exit(0)
