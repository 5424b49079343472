"""Builds a real Kubernetes control plane once, into a cache outside the checkout: `make cluster`.

kube-apiserver, kube-controller-manager, kube-scheduler and kubectl are built from the module `k8s.io/kubernetes` as it
comes through the Go module proxy, kwok (simulated nodes and pods) from `sigs.k8s.io/kwok`, Helm from
`helm.sh/helm/v3`, etcd from `go.etcd.io/etcd/server/v3`: Debian's etcd 3.4 cannot report progress, for want of which
kwok's watches break off and it sees new pods half a minute late. A folder named by KUBEBUILDER_ASSETS (the convention
of envtest) is used as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

KUBERNETES, STAGING = "v1.36.3", "v0.36.3"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "etcd", "helm")
# Modules of their own, with the versions to try in turn: a module proxy may withdraw one that it served before.
ALONE = {
    "kwok": ("sigs.k8s.io/kwok/cmd/kwok", ("v0.7.0",)),
    "helm": ("helm.sh/helm/v3/cmd/helm", ("v3.21.4", "v3.21.3", "v3.20.2")),
    "etcd": ("go.etcd.io/etcd/server/v3", ("v3.6.16", "v3.6.13", "v3.5.25")),
}
GATEWAY = "sigs.k8s.io/gateway-api", ("v1.4.1", "v1.5.1", "v1.3.0")  # of which only a definition is taken
ROUTES = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
_TOOLS = """\
//go:build tools

package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
"""


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
    return [name for name in PROGRAMS if not (folder() / name).is_file()]


def routes_definition() -> Path:
    """Where the definition of HTTPRoutes is, or will be."""
    return folder() / "httproutes.yaml"


def build() -> None:
    """Builds what is missing; raises CannotBuild."""
    _build_programs()
    if not routes_definition().is_file():
        _take_definition()


def _take_definition() -> None:
    """The definition of HTTPRoutes, as it lies in the module of the Gateway API."""
    package, versions = GATEWAY
    refused = []
    for version in versions:
        try:
            found = re.search(r'"Dir": "([^"]+)"', _go(folder(), "mod", "download", "-json", f"{package}@{version}"))
        except CannotBuild as error:
            refused.append(str(error))
            continue
        if found is not None:
            routes_definition().write_bytes((Path(found[1]) / ROUTES).read_bytes())
            return
    raise CannotBuild("\n".join(refused) or f"{package} holds no {ROUTES}")


def _build_programs() -> None:
    lacking = missing()
    if not lacking:
        return
    if os.environ.get("KUBEBUILDER_ASSETS"):
        raise CannotBuild(f"KUBEBUILDER_ASSETS={folder()} lacks {', '.join(lacking)}")
    if not shutil.which("go"):
        raise CannotBuild("there is no Go, which builds the control plane: install go from https://go.dev/dl/")
    folder().mkdir(parents=True, exist_ok=True)
    work = folder() / "build"
    if set(lacking) - set(ALONE):
        _write_module(work / "kubernetes")
    for name in lacking:
        if name in ALONE:
            package, versions = ALONE[name]
            _compile(_module_with(work / name, package, versions), package, folder() / name)
        else:
            _compile(work / "kubernetes", f"k8s.io/kubernetes/cmd/{name}", folder() / name)
    shutil.rmtree(work, ignore_errors=True)


def _module_with(module: Path, package: str, versions: tuple[str, ...]) -> Path:
    """A module that depends on the first of a package's versions that the module proxy serves; raises CannotBuild."""
    module.mkdir(parents=True, exist_ok=True)
    refused = []
    for version in versions:
        (module / "go.mod").write_text(f"module prodcheck.test/{module.name}\n\ngo 1.24\n")
        try:
            _go(module, "get", f"{package}@{version}")
        except CannotBuild as error:
            refused.append(str(error))
        else:
            return module
    raise CannotBuild("\n".join(refused))


def _write_module(module: Path) -> None:
    """A module that depends on Kubernetes, each of whose staging modules comes from its own release."""
    module.mkdir(parents=True, exist_ok=True)
    (module / "go.mod").write_text("module prodcheck.test/kubernetes\n\ngo 1.24\n")
    found = _go(module, "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES}")
    match = re.search(r'"GoMod": "([^"]+)"', found)
    if match is None:
        raise CannotBuild(f"k8s.io/kubernetes {KUBERNETES} was not found by the Go module proxy")
    text = Path(match[1]).read_text(encoding="utf-8")
    staging = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) => \./staging/", text, re.MULTILINE)))
    go = re.search(r"^go (\S+)$", text, re.MULTILINE)
    lines = ["module prodcheck.test/kubernetes", "", f"go {go[1] if go else '1.24'}", ""]
    lines += [f"require k8s.io/kubernetes {KUBERNETES}", "", "replace ("]
    lines += [f"\t{name} => {name} {STAGING}" for name in staging]
    (module / "go.mod").write_text("\n".join([*lines, ")", ""]))
    (module / "tools.go").write_text(_TOOLS)
    _go(module, "mod", "tidy")


def _compile(module: Path, package: str, to: Path) -> None:
    print(f"building {to.name} …", flush=True)
    version = f"-X k8s.io/component-base/version.gitVersion={KUBERNETES} -s -w"
    _go(module, "build", "-trimpath", "-ldflags", version, "-o", f"{to}.new", package)
    os.replace(f"{to}.new", to)


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
