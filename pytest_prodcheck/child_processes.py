"""What a program that we start gets: of our environment variables what it was meant to see, and our end.

PR_SET_PDEATHSIG (Linux) follows the thread that started the child: it has to be one that waits for it.
"""

from __future__ import annotations

import fnmatch
import os
import sys
from collections.abc import Callable, Iterable, Mapping

_ALL = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH",
)  # fmt: skip
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy")
_CLOUDS = ("AWS_*", "GOOGLE_*", "CLOUDSDK_*", "AZURE_*")
# settings of programs that people name in prodcheck.toml, their own credentials among them
_OF = {
    "vault": ("VAULT_*", *_PROXIES),
    "bao": ("BAO_*", "VAULT_*", *_PROXIES),
    "aws": ("AWS_*", *_PROXIES),
    "gcloud": ("CLOUDSDK_*", "GOOGLE_*", *_PROXIES),
    "az": ("AZURE_*", *_PROXIES),
    "op": ("OP_*", *_PROXIES),
    "bw": ("BW_*", *_PROXIES),
    "doppler": ("DOPPLER_*", *_PROXIES),
    "infisical": ("INFISICAL_*", *_PROXIES),
    "sops": ("SOPS_*", "VAULT_*", "GNUPGHOME", *_CLOUDS, *_PROXIES),
    "gpg": ("GNUPGHOME", "GPG_*"),
    "pass": ("GNUPGHOME", "GPG_*", "PASSWORD_STORE_*"),
    "secret-tool": ("DBUS_SESSION_BUS_ADDRESS",),
    "kubectl": ("KUBECONFIG", *_CLOUDS, *_PROXIES),
    "trivy": ("TRIVY_*", "DOCKER_*", "REGISTRY_AUTH_FILE", *_CLOUDS, *_PROXIES),
    "grype": ("GRYPE_*", "SYFT_*", "DOCKER_*", "REGISTRY_AUTH_FILE", *_CLOUDS, *_PROXIES),
    "pip-audit": ("PIP_*", "REQUESTS_CA_BUNDLE", *_PROXIES),
    "kube-bench": ("KUBE*",),
    "gator": ("KUBECONFIG",),
    # what kubeconfigs of clouds have tokens from
    "gke-gcloud-auth-plugin": ("CLOUDSDK_*", "GOOGLE_*", *_PROXIES),
    "aws-iam-authenticator": ("AWS_*", *_PROXIES),
    "kubelogin": ("AZURE_*", "AAD_*", *_PROXIES),
    "doctl": ("DIGITALOCEAN_*", *_PROXIES),
    "tsh": ("TELEPORT_*", *_PROXIES),
    "pgbackrest": ("PGBACKREST_*", "SSH_AUTH_SOCK"),
    "barman": ("BARMAN_*", "SSH_AUTH_SOCK"),
    "rclone": ("RCLONE_*", *_CLOUDS, *_PROXIES),
    "mc": ("MC_*", *_PROXIES),
}
_NEVER = ("PRODCHECK_KEY",)  # what seals verdicts is nobody's business


def child_environment(
    program: str, passed: Iterable[str] = (), also: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a child. passed: further names, globs allowed (`pass_environment`). also: set by us."""
    wanted = (*_ALL, *_OF.get(os.path.basename(program), ()), *passed)
    plain = {each for each in wanted if "*" not in each}
    globs = [each for each in wanted if "*" in each]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _NEVER and (name in plain or any(fnmatch.fnmatchcase(name, each) for each in globs))
    }
    return {"PATH": os.defpath, **kept, **(also or {})}


def python_path() -> dict[str, str]:
    """Where a Python of ours finds its modules, for `also`."""
    names = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS_START")
    return {name: os.environ[name] for name in names if name in os.environ}


def end_with_us(number: int) -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel sends the child this signal where we are killed; after a change of user, if any."""
    if sys.platform != "linux":
        return None
    import ctypes

    library, set_death_signal = ctypes.CDLL(None), 1  # PR_SET_PDEATHSIG of linux/prctl.h
    return lambda: library.prctl(set_death_signal, number) and None
