"""What a cluster says of its nodes, pods and workloads: the part of each object that checks judge."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_prodcheck.records import Problem


@dataclass(frozen=True)
class KubernetesApi:
    """`kubernetes-api` (kubernetes): whether the API is ready, and whether we have the rights that `reach` declares."""

    server: str
    version: str  # "v1.36.3"
    ready: bool  # /readyz answered 200
    failing: tuple[str, ...]  # the parts of /readyz?verbose that failed
    allowed: tuple[str, ...]  # "list pods", each answered by a SelfSubjectAccessReview
    forbidden: tuple[str, ...]


# of https://github.com/kubernetes/kubernetes/tree/master/pkg/kubelet: `images` and `kuberuntime`
_STUCK = (
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "ImageInspectError",
    "InvalidImageName", "SignatureValidationFailed", "CreateContainerConfigError", "CreateContainerError",
    "PreCreateHookError", "PreStartHookError", "PostStartHookError", "RunContainerError",
)  # fmt: skip


@dataclass(frozen=True)
class Container:
    """One container of a pod, init containers too."""

    name: str
    image: str  # as the pod asks for it; a node may tell another name of the same image
    digest: str  # "sha256:…" of what runs, "" where it is not known
    ready: bool
    restarts: int  # since the pod began
    waiting: str  # reason it waits: "CrashLoopBackOff", "" where it does not
    ended: str  # reason of its last end: "OOMKilled", "" for none
    ended_at: float | None  # when that was, epoch seconds
    init: bool = False
    why: str = ""  # what it waits for, in the kubelet's words
    began_at: float | None = None  # when the run that ended last had begun
    done: bool = False  # it has succeeded and is not started again: an init container, a step of a pipeline

    @property
    def stuck(self) -> bool:
        """Whether it waits for what time alone does not bring."""
        return self.waiting in _STUCK

    def restarts_since(self, time: float) -> int:
        """How many of its restarts may be later than a time: one, where the run before it began earlier."""
        if self.ended_at is not None and self.ended_at < time:
            return 0
        return min(self.restarts, 1) if self.began_at is not None and self.began_at < time else self.restarts


@dataclass(frozen=True)
class AffinityTerm:
    """Which pods one keeps near, or keeps away from: those that the selector fits, in the same topology."""

    topology: str  # a node's label: "kubernetes.io/hostname"
    selector: dict[str, object] | None  # as in the API; None fits no pod
    namespaces: tuple[str, ...] = ()  # () is its own, where namespaces_by says nothing either
    namespaces_by: dict[str, object] | None = None  # selector of further namespaces; {} is all of them


@dataclass(frozen=True)
class Pod:
    """One pod. `hash` names the version of its workload that it belongs to."""

    namespace: str
    name: str
    workload: str  # "deployment/storefront", "pod/NAME" for one without a controller
    hash: str
    phase: str  # Pending, Running, Succeeded, Failed, Unknown
    reason: str  # "Evicted", "NodeLost", …; "" mostly
    node: str
    created_at: float
    deleting: bool
    ready: bool  # its condition Ready
    unscheduled: str  # why it has no node, "" where it has one
    containers: tuple[Container, ...]
    cpu: float = 0.0  # cores that it asks for
    memory: int = 0  # bytes that it asks for
    daemon: bool = False  # of a DaemonSet, or a node's own: gone with its node
    claims: tuple[str, ...] = ()  # names of the volume claims that it uses
    grave: tuple[str, ...] = ()  # what of its specification gives its node away, "container app: privileged"
    slight: tuple[str, ...] = ()  # what the restricted standard forbids besides, "container app: may run as root"
    gated: bool = False  # held back by scheduling gates, on purpose
    ends_at: float | None = None  # when it should have ended, its grace period included; None: it is not being deleted
    labels: tuple[tuple[str, str], ...] = ()
    extended: tuple[tuple[str, float], ...] = ()  # what else it asks for: GPUs, hugepages, local storage
    ports: tuple[tuple[str, str, int], ...] = ()  # host ports: protocol, address, number
    apart: tuple[AffinityTerm, ...] = ()  # required anti-affinity
    why: str = ""  # what its newest event warns of, of one that waits on its node
    unready: str = ""  # what its condition Ready says, of one that is not ready
    unready_since: float | None = None  # epoch seconds; None: it is ready, or its node has not said
    priority: int = 0
    priority_class: str = ""
    preempts: bool = True  # whether pods of lower priority are ended to make room for it

    @property
    def lives(self) -> bool:
        """Whether it is one of the pods that its workload runs: not over, not leaving, not held back."""
        return self.phase not in ("Succeeded", "Failed") and not self.deleting and not self.gated


@dataclass(frozen=True)
class KubernetesPods:
    """`kubernetes-pods` (kubernetes): all pods of the namespace."""

    namespace: str
    pods: tuple[Pod, ...]
    asked_at: float  # epoch seconds, for the age of what is seen
    refused: tuple[tuple[str, str], ...] = ()  # workload -> why pods that it asks for cannot be made


@dataclass(frozen=True)
class ScheduledWork:
    """A CronJob, or a Job that nobody repeats."""

    name: str  # "cronjob/backup", "job/migrate"
    failed_at: float | None = None  # when its newest finished run failed, epoch seconds; None: it did not
    why: str = ""  # "backup-29741: BackoffLimitExceeded: …"
    warned: str = ""  # what its newest event warns of


@dataclass(frozen=True)
class KubernetesJobs:
    """`kubernetes-jobs` (kubernetes): the namespace's CronJobs and Jobs."""

    work: tuple[ScheduledWork, ...]
    asked_at: float  # epoch seconds


@dataclass(frozen=True)
class Autoscaler:
    """A HorizontalPodAutoscaler or a ScaledObject of KEDA."""

    name: str  # "HorizontalPodAutoscaler shop of Deployment shop"
    failing: str = ""  # why it does not scale, "" where it does
    since: float = 0.0  # since when, epoch seconds
    limited: str = ""  # what keeps it from scaling further: its maximum


@dataclass(frozen=True)
class KubernetesAutoscalers:
    """`kubernetes-autoscalers` (kubernetes): the namespace's autoscalers of pods."""

    autoscalers: tuple[Autoscaler, ...]
    asked_at: float  # epoch seconds


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet and how far its rollout is."""

    name: str  # "deployment/storefront"
    replicas: int  # asked for
    generation: int
    observed: int  # generation that its controller has seen
    updated: int  # pods of the new version
    ready: int
    available: int
    hash: str  # of the current version's pods, "" where it is not known
    paused: bool = False
    failure: str = ""  # why pods cannot be made (ReplicaFailure), "" where they can
    # when a Deployment's newest version was whole, epoch seconds; None: it is not. 0: that of a StatefulSet, which was
    # scaled by itself since; nobody says when
    completed_at: float | None = None
    stuck: str = ""  # why its rollout does not go on (ProgressDeadlineExceeded), "" where it does
    asleep: str = ""  # who scaled it to zero on purpose, "" where nobody did or it is not at zero
    leaving: bool = False  # it is being deleted
    held: int = 0  # pods that a StatefulSet's partition keeps at an earlier version, on purpose


@dataclass(frozen=True)
class Rollout:
    """`kubernetes-rollout` (workload): a service's workload and its pods."""

    workload: Workload | None  # None: no such workload in the namespace
    wanted: str  # "deployment/storefront", as declared
    pods: tuple[Pod, ...]  # those that are not being deleted
    asked_at: float = 0.0  # epoch seconds
    why: tuple[str, ...] = ()  # why it is not whole: conditions and events, the gravest first
    joined: tuple[str, ...] = ()  # nodes that came lately: a DaemonSet's pods on them are no part of its rollout
    # replicas that its manifest asks for, where it has fewer and no autoscaler is in charge
    in_file: int | None = None


@dataclass(frozen=True)
class Node:
    """One node and what is free on it."""

    name: str
    ready: bool
    pressures: tuple[str, ...]  # MemoryPressure, DiskPressure, …, and what a problem detector found
    cordoned: bool
    cpu: float = 0.0  # cores that pods may ask for in all
    memory: int = 0  # bytes
    pods: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()  # key, value, effect
    joined_at: float = 0.0  # when it came to the cluster, epoch seconds
    changed_at: float = 0.0  # when it became ready, or not ready, for the last time
    leaving: str = ""  # why it will soon be gone: it is being deleted, or marked so by an autoscaler or its cloud
    spot: bool = False  # its cloud may take it back at any time
    virtual: bool = False  # no machine of its own: a virtual kubelet, Fargate
    extended: dict[str, float] = field(default_factory=dict)  # what else there is: GPUs, hugepages, local disk
    why: str = ""  # what its condition Ready says, of one that is not ready


@dataclass(frozen=True)
class KubernetesNodes:
    """`kubernetes-nodes` (kubernetes, reach "nodes"): all nodes."""

    nodes: tuple[Node, ...]
    grace: float = 0.0  # seconds that a node that comes or goes may be not ready
    asked_at: float = 0.0  # epoch seconds


@dataclass(frozen=True)
class Schedulability:
    """Whether pods that will be asked for find room: how many, how many did not, and why not."""

    what: str  # "deployment/storefront"
    wanted: int  # pods of the new version; of a DaemonSet, the nodes that let it in
    left: int  # of those, without a place when nothing moves any more
    why: str = ""
    doubt: str = ""  # why it cannot be told, "" where it can
    ends: tuple[str, ...] = ()  # workloads of lower priority whose pods the scheduler may end so that all have a place
    not_placed_by: str = ""  # what its pods need that the placing does not look at, "" for nothing


@dataclass(frozen=True)
class KubernetesCapacity:
    """`kubernetes-capacity` (kubernetes, reach "nodes"): the rollout of each workload, step by step, on the nodes."""

    fits: tuple[Schedulability, ...]
    without_one: tuple[
        Schedulability, ...
    ]  # the same and the pods of the node that would hurt most, with that node gone
    lost: str  # that node, "" where there is only one
    autoscaling: bool


@dataclass(frozen=True)
class Quota:
    """One resource of one ResourceQuota."""

    name: str  # "compute: requests.cpu"
    hard: float
    used: float
    surge: float  # the most that a rollout adds at one time


@dataclass(frozen=True)
class KubernetesQuota:
    """`kubernetes-quota` (kubernetes): the quotas with what a rollout adds, and what limit ranges refuse."""

    quotas: tuple[Quota, ...]
    refused: tuple[str, ...]  # "deployment/x: container app asks for 4 cpu, the limit range allows 2"


@dataclass(frozen=True)
class Volume:
    """One PersistentVolumeClaim."""

    name: str
    phase: str  # Bound, Pending, Lost
    waits: bool  # its class binds with the first pod, and no pod asks for it yet
    storage_class: str
    why: str = ""  # what its newest event says, of one that is not bound
    leaving: bool = False  # it is being deleted: pods that use it now hold it back
    growing: str = ""  # what its condition says, of one whose larger size is not there yet


@dataclass(frozen=True)
class KubernetesVolumes:
    """`kubernetes-volumes` (kubernetes): the namespace's claims."""

    claims: tuple[Volume, ...]


@dataclass(frozen=True)
class Budget:
    """One PodDisruptionBudget: how many of its pods may go now."""

    name: str
    pods: int  # that it is about
    allowed: int  # disruptions that are allowed now
    healthy: int
    desired: int  # healthy ones that it insists on
    blocked: tuple[str, ...] = ()  # pods whose eviction would be refused now
    why: str = ""  # what the first of them would be answered
    soon: bool = False  # it lets one go once pods that have just begun are ready


@dataclass(frozen=True)
class KubernetesDisruption:
    """`kubernetes-disruption` (kubernetes): the namespace's disruption budgets."""

    budgets: tuple[Budget, ...]


@dataclass(frozen=True)
class IngressBackends:
    """One Ingress: its addresses, and the services behind it with how many ready endpoints each has."""

    name: str
    addresses: tuple[str, ...]
    backends: tuple[tuple[str, int], ...]  # "shop:80" -> ready endpoints, -1: there is no such service or port
    why: str = ""  # what its newest event warns of, of one without an address


@dataclass(frozen=True)
class KubernetesIngress:
    """`kubernetes-ingress` (kubernetes): the namespace's ingresses, and services that select pods."""

    ingresses: tuple[IngressBackends, ...]
    services: tuple[tuple[str, int], ...]  # "shop, port http" -> ready endpoints, of those with a selector
    asleep: tuple[str, ...] = ()  # services whose workloads are all scaled to zero, or whose pods have done their work
    why: tuple[tuple[str, str], ...] = ()  # service -> why a port of it has no ready endpoint
    without_address: tuple[tuple[str, str], ...] = ()  # service of type LoadBalancer -> what an event warns of
    alone: tuple[str, ...] = ()  # services for the replicas of what has one instance


@dataclass(frozen=True)
class Manifest:
    """One object of the files that are about to be applied."""

    name: str  # "build/shop.yaml: Deployment shop/storefront"
    api_version: str
    kind: str
    served: bool  # the server knows this version of this kind
    accepted: bool  # the dry run accepted it
    said: str = ""  # what the dry run said otherwise
    warnings: tuple[str, ...] = ()  # of the server, such as deprecations
    problem: Problem | None = None  # why the dry run could not be asked
    way: str = ""  # how it will be applied: "kubectl apply", "server-side apply by helm"
    waits: str = ""  # what of the same files it waits for, so that it cannot be asked about yet
    lost: tuple[str, ...] = ()  # what of it would not last: "spec.ports: 1 of 2 entries would be left, …"


@dataclass(frozen=True)
class KubernetesManifests:
    """`kubernetes-manifests` (kubernetes, manifests): each object, as a dry run on the server takes it."""

    manifests: tuple[Manifest, ...]
    server: str  # version of the server


@dataclass(frozen=True)
class Finding:
    """One thing about one object; good where `wrong` is empty."""

    what: str  # "Deployment storefront: ConfigMap settings"
    wrong: str = ""
    later: str = ""  # why it is not there yet, and who will make it


@dataclass(frozen=True)
class ManifestFacts:
    """`manifest-facts` (kubernetes, manifests): what follows from the files and what is in the namespace."""

    references: tuple[Finding, ...]
    images: tuple[Finding, ...]
    workloads: tuple[Finding, ...]
    unread: tuple[str, ...]  # kinds that could not be looked up, for they are out of reach


@dataclass(frozen=True)
class StorageClasses:
    """`kubernetes-storage` (kubernetes, reach "storage"): the classes that the namespace's claims use."""

    classes: tuple[tuple[str, bool | None], ...]  # name -> encrypted; None: its provisioner does not say
