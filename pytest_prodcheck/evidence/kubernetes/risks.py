"""What a pod may do to its node: https://kubernetes.io/docs/concepts/security/pod-security-standards/ .

Grave: what the baseline standard forbids and what gives the node away. Slight: the rest that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table

KINDS = ("initContainers", "containers", "ephemeralContainers")
_BASELINE = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
))  # fmt: skip
_SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
)  # fmt: skip
_SELINUX = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")


def grave(pod: Object) -> Iterator[str]:
    """What gives a pod power over its node."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name
    for volume in rows(pod, "volumes"):
        if "hostPath" in volume:
            yield f"hostPath {table(volume, 'hostPath').get('path', '')}"
    for each in rows(pod, "securityContext", "sysctls"):
        if each.get("name") not in _SAFE_SYSCTLS:
            yield f"unsafe sysctl {each.get('name')}"
    yield from _contexts("pod", table(pod, "securityContext"))
    for where, each in _containers(pod):
        own = table(each, "securityContext")
        if own.get("privileged"):
            yield f"{where}: privileged"
        if own.get("procMount") not in (None, "", "Default"):
            yield f"{where}: procMount {own['procMount']}"
        if extra := sorted(_added(own) - _BASELINE):
            yield f"{where}: capabilities {', '.join(extra)}"
        yield from _contexts(where, own)


def slight(pod: Object) -> Iterator[str]:
    """What makes it easier to get out of a container, or at a pod from outside."""
    whole = table(pod, "securityContext")
    windows = table(pod, "os").get("name") == "windows"
    yield from _unconfined("pod", whole)
    for where, each in _containers(pod):
        own = table(each, "securityContext")
        if own.get("allowPrivilegeEscalation", True) is not False and not own.get("privileged") and not windows:
            yield f"{where}: may gain privileges"
        user = own.get("runAsUser", whole.get("runAsUser"))
        if user == 0 or (user is None and not own.get("runAsNonRoot", whole.get("runAsNonRoot"))):
            yield f"{where}: may run as root"
        if extra := sorted(_added(own) & _BASELINE - {"NET_BIND_SERVICE"}):
            yield f"{where}: capabilities {', '.join(extra)}"
        if ports := sorted({str(port["hostPort"]) for port in rows(each, "ports") if port.get("hostPort")}):
            yield f"{where}: hostPort {', '.join(ports)}"
        yield from _unconfined(where, own)


def _containers(pod: Object) -> Iterator[tuple[str, Object]]:
    for kind in KINDS:
        word = "ephemeral container" if kind == "ephemeralContainers" else "container"
        for each in rows(pod, kind):
            yield f"{word} {each.get('name', '')}", each


def _contexts(where: str, context: Object) -> Iterator[str]:
    if table(context, "windowsOptions").get("hostProcess"):
        yield f"{where}: Windows HostProcess"
    selinux = table(context, "seLinuxOptions")
    if selinux.get("user") or selinux.get("role") or str(selinux.get("type") or "") not in _SELINUX:
        yield f"{where}: SELinux {' '.join(f'{key} {value}' for key, value in sorted(selinux.items()))}"


def _unconfined(where: str, context: Object) -> Iterator[str]:
    for name, shown in (("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")):
        if table(context, name).get("type") == "Unconfined":
            yield f"{where}: {shown} Unconfined"


def _added(context: Object) -> set[str]:
    return {str(name).removeprefix("CAP_") for name in table(context, "capabilities").get("add") or ()}
