"""Builds a real Kubernetes control plane once, into a cache outside the checkout: `make cluster`.

kube-apiserver, kube-controller-manager, kube-scheduler and kubectl are built from the module `k8s.io/kubernetes` as it
comes through the Go module proxy, kwok (simulated nodes and pods) from `sigs.k8s.io/kwok`, Helm from
`helm.sh/helm/v3`, etcd from `go.etcd.io/etcd/server/v3`: Debian's etcd 3.4 cannot report progress, for want of which
kwok's watches break off and it sees new pods half a minute late. A folder named by KUBEBUILDER_ASSETS (the convention
of envtest) is used as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

KUBERNETES, STAGING = "v1.36.3", "v0.36.3"
PACKAGES = {
    **{name: f"k8s.io/kubernetes/cmd/{name}"
       for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")},
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "etcd": "go.etcd.io/etcd/server/v3",
    "helm": "helm.sh/helm/v3/cmd/helm",
}  # fmt: skip
# With the versions to try in turn: a module proxy may withdraw one that it served before.
MODULES = {
    "sigs.k8s.io/kwok": ("v0.8.0", "v0.7.0"),
    "go.etcd.io/etcd/server/v3": ("v3.6.16", "v3.6.13", "v3.6.8"),
    "helm.sh/helm/v3": ("v3.21.4", "v3.21.3", "v3.20.2"),
}
GATEWAY = "sigs.k8s.io/gateway-api", ("v1.4.1", "v1.5.1", "v1.3.0")  # of which only a definition is taken
ROUTES = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
# What the simulated nodes and pods do. kwok 0.8 has to be told, earlier ones know it.
STAGES = ("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease",
          "pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete")  # fmt: skip


class CannotBuild(Exception):
    """What is missing, and the line that installs it."""


def folder() -> Path:
    """Where the programs are, or will be."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pytest-prodcheck" / f"kubernetes-{KUBERNETES}"


def missing() -> list[str]:
    """The programs that are not there yet."""
    return [name for name in PACKAGES if not (folder() / name).is_file()]


def routes_definition() -> Path:
    """Where the definition of HTTPRoutes is, or will be."""
    return folder() / "httproutes.yaml"


def stages() -> Path:
    """Where kwok's configuration is, or will be."""
    return folder() / "stages.yaml"


def build() -> None:
    """Builds what is missing; raises CannotBuild."""
    lacking = missing()
    if lacking and os.environ.get("KUBEBUILDER_ASSETS"):
        raise CannotBuild(f"KUBEBUILDER_ASSETS={folder()} lacks {', '.join(lacking)}")
    if lacking:
        _build_programs(lacking)
    if not routes_definition().is_file():
        package, versions = GATEWAY
        routes_definition().write_bytes((_served(package, versions)[1] / ROUTES).read_bytes())


def _build_programs(names: list[str]) -> None:
    """All in one go: they share most of their packages."""
    if not shutil.which("go"):
        raise CannotBuild("there is no Go, which builds the control plane: install go from https://go.dev/dl/")
    work = folder() / "build"
    work.mkdir(parents=True, exist_ok=True)
    kwok = _write_module(work)
    print(f"building {', '.join(names)} …", flush=True)
    version = f"-X k8s.io/component-base/version.gitVersion={KUBERNETES} -s -w"
    packages = [PACKAGES[name] for name in names]
    _go(work, "build", "-trimpath", "-ldflags", version, "-o", f"{work}/bin/", *packages)
    texts = [(kwok / "kustomize" / "stage" / f"{each}.yaml").read_text(encoding="utf-8") for each in STAGES]
    stages().write_text("\n---\n".join(texts), encoding="utf-8")
    for name in names:
        os.replace(work / "bin" / ("server" if name == "etcd" else name), folder() / name)  # Go names it by its path
    shutil.rmtree(work, ignore_errors=True)


def _write_module(module: Path) -> Path:
    """A module that depends on all programs, Kubernetes' parts at their own releases; returns kwok's source."""
    lines = ["module prodcheck.test/control-plane", "", "go 1.26.0", "", f"require k8s.io/kubernetes {KUBERNETES}"]
    source = {}
    for name, versions in MODULES.items():
        version, source[name] = _served(name, versions)
        lines.append(f"require {name} {version}")
    found = _go(module.parent, "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES}")
    text = (Path(_told(found, "Dir")) / "go.mod").read_text(encoding="utf-8")
    staging = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) => \./staging/", text, re.MULTILINE)))
    lines += [f"replace {name} => {name} {STAGING}" for name in staging]
    (module / "go.mod").write_text("\n".join([*lines, ""]))
    return source["sigs.k8s.io/kwok"]


def _served(module: str, versions: tuple[str, ...]) -> tuple[str, Path]:
    """The first of a module's versions that the module proxy serves, and where its source is; raises CannotBuild."""
    refused = []
    for version in versions:
        try:
            return version, Path(_told(_go(folder(), "mod", "download", "-json", f"{module}@{version}"), "Dir"))
        except CannotBuild as error:
            refused.append(str(error))
    raise CannotBuild("\n".join(refused))


def _told(found: str, key: str) -> str:
    """What `go mod download -json` said."""
    return str(json.loads(found)[key])


def _go(module: Path, *words: str) -> str:
    environ = {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(["go", *words], cwd=module, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"go {' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def main() -> int:
    """Builds, and says where the programs are."""
    try:
        build()
    except CannotBuild as error:
        print(f"make cluster: {error}", file=sys.stderr)
        return 1
    print(f"a Kubernetes control plane {KUBERNETES} is in {folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
