"""A cluster with OSS volumes: the API, the control plane's loops, the CSI driver of one version, and nodes.

`Cluster` puts the parts together and moves time; what it can be asked and told is what a user of a cluster can: apply,
delete, wait, look at Pods and events, type commands on a node, upgrade the driver. One thread only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from osscluster.api.kinds import KINDS
from osscluster.api.objects import KubeObject
from osscluster.api.store import MemoryApi
from osscluster.controllers.attachdetach import AttachDetach
from osscluster.controllers.binder import Binder
from osscluster.controllers.namespaces import Namespaces
from osscluster.controllers.protection import Protection
from osscluster.controllers.scheduler import Scheduler
from osscluster.controllers.workloads import Workloads
from osscluster.csi.context import DEFAULT_ACCOUNT
from osscluster.csi.driver import Driver, make_driver
from osscluster.csi.naming import DRIVER
from osscluster.host import Container, NodeHost
from osscluster.kubelet import profile as kubernetes
from osscluster.kubelet.kubelet import Kubelet
from osscluster.nodespec import NodeSpec
from osscluster.timeline import Timeline

if TYPE_CHECKING:
    from osscloud.oidc import Issuer
    from osscluster.direct import DirectEngine
    from osscluster.kernel import KernelEngine
    from ossfuse.profile import Fixed

__all__ = ["DEFAULT_CSI", "Cluster", "Node"]

DEFAULT_CSI = "1.30.4"
_NODE_DIRECTORIES = ("/etc", "/run", "/tmp", "/var/lib/kubelet")
_NODE_RESOURCES = {"cpu": "4", "memory": "16Gi", "ephemeral-storage": "100Gi", "pods": "64"}
_ATTACH = "PUBLISH_UNPUBLISH_VOLUME"


@dataclass(frozen=True, slots=True)
class Node:
    """spec: what it is like; host: its operating system; kubelet: what runs its Pods."""

    spec: NodeSpec
    host: NodeHost
    kubelet: Kubelet


class Cluster:
    """engine: whose cloud it uses and which kind of mounts it has. csi, kubernetes: versions; nodes: at least one;
    fixed: ossfs without its defects; move: what goes ahead with the cluster's time, by default the engine.

    Raises ValueError for a version that is not modelled.
    """

    def __init__(
        self,
        engine: KernelEngine | DirectEngine,
        *,
        csi: str = DEFAULT_CSI,
        kubernetes_version: str = kubernetes.DEFAULT_VERSION,
        nodes: Sequence[NodeSpec] = (NodeSpec("node-1"),),
        rng: random.Random | None = None,
        container_driver: Literal["process", "docker"] = "process",
        fixed: Fixed = False,
        move: Callable[[float], None] | None = None,
    ) -> None:
        self.engine = engine
        self.profile = kubernetes.find(kubernetes_version)
        self.timeline = Timeline(engine.cloud.clock.now(), move or engine.advance)
        self._rng = rng or random.Random(0)
        self._issuer: Issuer | None = None
        self.api = MemoryApi(self.timeline.now, self._rng)
        self._make_driver: Callable[[str], Driver] = lambda version: make_driver(
            version, api=self.api, timeline=self.timeline, cloud=engine.cloud, fixed=fixed, issuer=self._issuer
        )
        self.driver = self._make_driver(csi)
        self._cost_mark = engine.cloud.access_log.mark()
        self._cost = 0.0
        self._closers: list[Callable[[], None]] = []
        self._bootstrap()
        workloads = Workloads(self.api, self.timeline)
        scheduler = Scheduler(self.api, self.timeline)
        binder = Binder(self.api, self.timeline, lambda: self.driver.controller)
        attaching = AttachDetach(
            self.api, self.timeline, lambda: self.driver.controller, self.attach_required, self._in_use
        )
        protection = Protection(self.api, self.timeline)
        namespaces = Namespaces(self.api, self.timeline)
        self._closers += [workloads.close, scheduler.close, binder.close, attaching.close, protection.close]
        self._closers.append(namespaces.close)
        self.nodes: dict[str, Node] = {}
        for number, spec in enumerate(nodes):
            self._add_node(spec, f"192.168.0.{number + 10}", container_driver)
        self.timeline.settle()

    # --- what a user does ---

    def apply(self, objects: Sequence[KubeObject]) -> list[str]:
        """Like `kubectl apply`, in the order given; its lines ("pod/app created"). Raises ApiError at the first one
        that is refused: those before it are there."""
        lines = []
        for thing in objects:
            applied, what = self.api.apply(thing)
            lines.append(f"{KINDS[applied['kind']].qualified.lower()}/{applied['metadata']['name']} {what}")
            self.timeline.settle()
        return lines

    def delete(self, kind: str, name: str, namespace: str = "default", *, force: bool = False) -> None:
        """Like `kubectl delete`, without waiting. Raises ApiError."""
        self.api.delete(kind, name, namespace, force=force)
        self.timeline.settle()

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Moves time until the condition holds, at most so many seconds; says whether it did."""
        return self.timeline.wait_for(condition, seconds)

    def advance(self, seconds: float) -> None:
        """Moves the cluster's time, and the cloud's and the mounts' with it."""
        self.timeline.advance(seconds)
        self.timeline.synchronise()

    def pod(self, name: str, namespace: str = "default") -> KubeObject | None:
        """A Pod by its name, or the first one that a workload of that name has made."""
        found = self.api.find("Pod", name, namespace)
        if found is not None:
            return found
        made = [pod for pod in self.api.list("Pod", namespace) if pod["metadata"]["name"].startswith(f"{name}-")]
        return made[0] if made else None

    def container(self, pod: str, container: str = "", namespace: str = "default") -> Container:
        """The process of a container. Raises KeyError where none runs, with what there is instead."""
        found = self.pod(pod, namespace)
        if found is None:
            raise KeyError(f"there is no Pod {namespace}/{pod}")
        called = found["metadata"]["name"]
        for node in self.nodes.values():
            worker = node.kubelet.worker(namespace, called)
            if worker is not None:
                self.timeline.synchronise()
                return worker.container(container)
        raise KeyError(f"Pod {namespace}/{called} is on no node")

    def restart_container(self, pod: str, container: str, namespace: str = "default") -> None:
        """As when a liveness probe fails: the container ends and kubelet starts it again."""
        found = self.pod(pod, namespace)
        for node in self.nodes.values():
            worker = node.kubelet.worker(namespace, found["metadata"]["name"]) if found else None
            if worker is not None:
                worker.restart(container)
        self.timeline.settle()

    def restart_kubelet(self, node: str) -> None:
        """`systemctl restart kubelet` there: containers and mounts stay. Raises KeyError for an unknown node."""
        self.nodes[node].kubelet.restart()
        self.timeline.settle()

    def enable_rrsa(self) -> str:
        """RAM gets to know the cluster's service accounts, as the console's switch for RRSA has it; the ARN of the OIDC
        provider. Raises osscloud.oidc.MissingDependency."""
        arn = self.driver.enable_rrsa()
        # The tokens stay those of one cluster whichever release of the driver asks for them.
        self._issuer = self.driver.issuer
        return arn

    def upgrade_csi(self, version: str) -> None:
        """The driver's next version takes over: new calls go to it; what runs keeps running. Raises ValueError."""
        driver = self._make_driver(version)
        self.driver.close()
        self.driver = driver
        for node in self.nodes.values():
            driver.node(node.spec, node.host)
        self.timeline.settle()

    # --- what a user sees ---

    def events(self, namespace: str = "", *, about: str = "") -> list[KubeObject]:
        """Events, oldest first; about: name of the object."""
        found = [
            event
            for event in self.api.list("Event", namespace)
            if not about or event["involvedObject"]["name"] == about
        ]
        return sorted(found, key=lambda event: (event["firstTimestamp"], int(event["metadata"]["resourceVersion"])))

    def attach_required(self) -> bool:
        """CSIDriver.spec.attachRequired of this driver."""
        return _ATTACH in self.driver.controller.capabilities()

    def close(self) -> None:
        """Ends everything that runs on the nodes; safe to call twice. The engine is its owner's to close."""
        for node in self.nodes.values():
            node.kubelet.close()
            node.host.close()
        for close in self._closers:
            close()
        self._closers.clear()
        self.driver.close()

    # --- parts ---

    def _add_node(self, spec: NodeSpec, address: str, container_driver: Literal["process", "docker"]) -> None:
        host = self.engine.host(spec.name)
        for directory in _NODE_DIRECTORIES:
            host.makedirs(directory, 0o755)
        if spec.mime_types is not None:
            host.write_file("/etc/mime.types", spec.mime_types)
        self.driver.node(spec, host)
        kubelet = Kubelet(
            spec,
            api=self.api,
            host=host,
            driver=lambda: self.driver.node(spec, host),
            programs=lambda: self.driver.programs,
            timeline=self.timeline,
            profile=self.profile,
            cost=self._cost_so_far,
            attach_required=self.attach_required,
            container_driver=container_driver,
            address=address,
            plugin="csi-plugin",
        )
        self.nodes[spec.name] = Node(spec, host, kubelet)
        self.api.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": spec.name,
                    "labels": {
                        "kubernetes.io/hostname": spec.name,
                        "kubernetes.io/os": "linux",
                        "topology.kubernetes.io/region": spec.region,
                    },
                },
                "spec": {},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": address}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "capacity": dict(_NODE_RESOURCES),
                    "allocatable": dict(_NODE_RESOURCES),
                    "nodeInfo": {"kubeletVersion": f"v{self.profile.name}.0-aliyun.1"},
                },
            }
        )

    def _bootstrap(self) -> None:
        for name in ("default", "kube-system", "ack-csi-fuse"):
            if self.api.find("Namespace", name) is None:
                self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            for account in ("default", *([DEFAULT_ACCOUNT] if name != "default" else [])):
                if self.api.find("ServiceAccount", account, name) is None:
                    metadata = {"name": account, "namespace": name}
                    self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        self.api.create(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "CSIDriver",
                "metadata": {"name": DRIVER},
                "spec": {"attachRequired": self.attach_required(), "podInfoOnMount": True},
            }
        )
        labels = {"app": "csi-plugin"}
        image = f"registry.example/acs/csi-plugin:v{self.driver.profile.name}"
        self.api.create(
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": "csi-plugin", "namespace": "kube-system", "labels": labels},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [{"name": "csi-plugin", "image": image}], "hostNetwork": True},
                    },
                },
            }
        )

    def _in_use(self, node: str, handle: str) -> bool:
        found = self.nodes.get(node)
        return found is not None and found.kubelet.uses(handle)

    def _cost_so_far(self) -> float:
        """Simulated seconds of every request up to now."""
        log = self.engine.cloud.access_log
        mark = log.mark()
        self._cost += sum(record.cost_ms for record in log.since(self._cost_mark)) / 1000
        self._cost_mark = mark
        return self._cost
