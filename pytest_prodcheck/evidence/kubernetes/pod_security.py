"""What the Pod Security Standards forbid of a pod, as the admission plug-in of a minor version of Kubernetes judges it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ . Init and ephemeral containers count as others do.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table

LATEST = 10_000  # a minor version that has every rule
KINDS = ("initContainers", "containers", "ephemeralContainers")
_CAPABILITIES = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
))  # fmt: skip
_SYSCTLS = {  # since which minor version they are allowed
    "kernel.shm_rmid_forced": 0, "net.ipv4.ip_local_port_range": 0, "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0, "net.ipv4.ip_unprivileged_port_start": 0, "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29, "net.ipv4.tcp_fin_timeout": 29, "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29, "net.ipv4.tcp_rmem": 32, "net.ipv4.tcp_wmem": 32,
}  # fmt: skip
_SELINUX = {"": 0, "container_t": 0, "container_init_t": 0, "container_kvm_t": 0, "container_engine_t": 31}
_VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
            "secret")  # fmt: skip
_PROFILES = ("RuntimeDefault", "Localhost")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def containers(specification: Object) -> Iterator[tuple[str, Object]]:
    """All of a pod, each with its name in words: "ephemeral container debugger"."""
    for kind in KINDS:
        word = "ephemeral container" if kind == "ephemeralContainers" else "container"
        for each in rows(specification, kind):
            yield f"{word} {each.get('name', '')}", each


def baseline(pod: Object, minor: int = LATEST) -> Iterator[tuple[str, str]]:
    """`(rule, what breaks it)` of what the baseline standard forbids."""
    specification = table(pod, "spec")
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if specification.get(name):
            yield "hostNamespaces", name
    for volume in rows(specification, "volumes"):
        if volume.get("hostPath") is not None:
            yield "hostPathVolumes", f"hostPath {table(volume, 'hostPath').get('path', '')}"
    for each in rows(specification, "securityContext", "sysctls"):
        if _SYSCTLS.get(str(each.get("name")), LATEST + 1) > minor:
            yield "sysctls", f"unsafe sysctl {each.get('name')}"
    for name, value in table(pod, "metadata", "annotations").items():
        if name.startswith(_APPARMOR) and value and value != "runtime/default" and not value.startswith("localhost/"):
            yield "appArmorProfile", f"container {name.removeprefix(_APPARMOR)}: AppArmor {value}"
    unmapped = specification.get("hostUsers") is not False or minor < 35
    for where, context in _contexts(specification):
        yield from _of_context(where, context, minor)
    for where, each in containers(specification):
        own = table(each, "securityContext")
        if own.get("privileged"):
            yield "privileged", f"{where}: privileged"
        if own.get("procMount") not in (None, "Default") and unmapped:
            yield "procMount", f"{where}: procMount {own['procMount']}"
        if extra := sorted(_added(own) - _CAPABILITIES):
            yield "capabilities", f"{where}: capabilities {', '.join(extra)}"
        if ports := sorted({str(port["hostPort"]) for port in rows(each, "ports") if port.get("hostPort")}):
            yield "hostPorts", f"{where}: hostPort {', '.join(ports)}"
        if minor >= 34 and (hosts := sorted(_asked_hosts(each))):
            yield "hostProbes", f"{where}: a probe or hook of another host, {', '.join(hosts)}"


def _contexts(specification: Object) -> Iterator[tuple[str, Object]]:
    yield "pod", table(specification, "securityContext")
    for where, each in containers(specification):
        yield where, table(each, "securityContext")


def _of_context(where: str, context: Object, minor: int) -> Iterator[tuple[str, str]]:
    if table(context, "windowsOptions").get("hostProcess"):
        yield "windowsHostProcess", f"{where}: Windows HostProcess"
    selinux = table(context, "seLinuxOptions")
    if selinux.get("user") or selinux.get("role") or _SELINUX.get(str(selinux.get("type") or ""), LATEST + 1) > minor:
        yield "seLinuxOptions", f"{where}: SELinux {' '.join(f'{key} {selinux[key]}' for key in sorted(selinux))}"
    for rule, shown in (("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")):
        if context.get(rule) is not None and table(context, rule).get("type") not in _PROFILES:
            yield rule, f"{where}: {shown} {table(context, rule).get('type')}"


def _asked_hosts(container: Object) -> set[str]:
    hooks = table(container, "lifecycle")
    handlers = [*(table(container, name) for name in _PROBES), table(hooks, "postStart"), table(hooks, "preStop")]
    found = {table(each, kind).get("host") for each in handlers for kind in ("httpGet", "tcpSocket")}
    return {str(host) for host in found if host}


def restricted(pod: Object, minor: int = LATEST) -> Iterator[tuple[str, str]]:
    """`(rule, what breaks it)` of what the restricted standard forbids besides the baseline one."""
    specification = table(pod, "spec")
    whole = table(specification, "securityContext")
    windows = table(specification, "os").get("name") == "windows" and minor >= 25
    unmapped = specification.get("hostUsers") is not False or minor < 35
    for volume in rows(specification, "volumes"):
        kinds = [name for name, value in volume.items() if name != "name" and value is not None]
        if kinds and not set(kinds) & {*_VOLUMES, "hostPath"}:  # one without becomes an emptyDir
            yield "restrictedVolumes", f"volume {volume.get('name')}: {', '.join(kinds)}"
    if whole.get("runAsUser") == 0 and minor >= 23 and unmapped:
        yield "runAsUser", "pod: runs as root"
    if whole.get("runAsNonRoot") is False and unmapped:
        yield "runAsNonRoot", "pod: may run as root"
    for where, each in containers(specification):
        own = table(each, "securityContext")
        if not windows and minor >= 8 and own.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation", f"{where}: may gain privileges"
        if unmapped:
            yield from _root(where, own, whole, minor)
        if not windows and minor >= 22:
            yield from _capabilities(where, own)
        if not windows and minor >= 19 and all(each.get("seccompProfile") is None for each in (own, whole)):
            yield "seccompProfile", f"{where}: no seccomp profile"
        if minor >= 35 and not unmapped and own.get("procMount") not in (None, "Default"):
            yield "procMount", f"{where}: procMount {own['procMount']}"


def _root(where: str, own: Object, whole: Object, minor: int) -> Iterator[tuple[str, str]]:
    if own.get("runAsUser") == 0 and minor >= 23:
        yield "runAsUser", f"{where}: runs as root"
    told = own.get("runAsNonRoot")
    if told is False or (told is None and not whole.get("runAsNonRoot")):
        yield "runAsNonRoot", f"{where}: may run as root"


def _capabilities(where: str, own: Object) -> Iterator[tuple[str, str]]:
    if "ALL" not in (table(own, "capabilities").get("drop") or ()):
        yield "capabilities", f"{where}: keeps capabilities (drop: [ALL])"
    if extra := sorted(_added(own) & _CAPABILITIES - {"NET_BIND_SERVICE"}):
        yield "capabilities", f"{where}: capabilities {', '.join(extra)}"


def _added(context: Object) -> set[str]:
    return {str(name) for name in table(context, "capabilities").get("add") or ()}
