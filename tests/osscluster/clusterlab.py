"""A cluster on either engine for the tests of kubelet and the controllers: manifests as dicts, time that is moved."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from osscluster.api.objects import KubeObject
from osscluster.cluster import Cluster
from osscluster.engine import DirectEngine, KernelEngine, kernel_unavailable, make_engine
from osscluster.nodespec import NodeSpec

DRIVER = "ossplugin.csi.alibabacloud.com"
URL = "oss-cn-hangzhou.aliyuncs.com"


def named(kind: str, name: str, version: str = "v1", **more: Any) -> KubeObject:
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def volume(name: str = "pv-oss", *, csi: Any = (), attributes: Any = (), **spec: Any) -> KubeObject:
    source = {
        "driver": DRIVER,
        "volumeHandle": name,
        "nodePublishSecretRef": {"name": "oss-secret", "namespace": "default"},
        "volumeAttributes": {"bucket": "demo", "url": URL, "otherOpts": "-o allow_other", **dict(attributes)},
        **dict(csi),
    }
    body = {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany"], "csi": source, **spec}
    return named("PersistentVolume", name, metadata={"labels": {"pv": name}}, spec=body)


def claim(name: str = "pvc-oss", pv: str = "pv-oss", **spec: Any) -> KubeObject:
    body = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}, **spec}
    if pv:
        body["selector"] = {"matchLabels": {"pv": pv}}
    return named("PersistentVolumeClaim", name, spec=body)


def pod(name: str = "app", *, mount: Any = (), container: Any = (), pvc: Any = (), **spec: Any) -> KubeObject:
    """mount, container, pvc: more fields of the volumeMount, the container, the volume's claim."""
    main = {"name": "main", "image": "nginx", "volumeMounts": [{"name": "oss", "mountPath": "/data", **dict(mount)}]}
    volumes = [{"name": "oss", "persistentVolumeClaim": {"claimName": "pvc-oss", **dict(pvc)}}]
    return named("Pod", name, spec={"containers": [{**main, **dict(container)}], "volumes": volumes, **spec})


def workload(kind: str, name: str, replicas: int, template: KubeObject, **spec: Any) -> KubeObject:
    labels = {"app": name}
    body = {"metadata": {"labels": labels}, "spec": template["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": body, **spec}
    return named(kind, name, "apps/v1", spec=spec)


class ClusterLab:
    """A cluster with bucket "demo" (directory d/, object a.txt) and a Secret with a key that may do everything."""

    def __init__(self, engine: DirectEngine | KernelEngine, csi: str, kubernetes: str, nodes: int) -> None:
        self.engine = engine
        self.admin = engine.cloud.admin
        self.admin.create_bucket("demo")
        self.admin.put("demo", "d/", b"", content_type="application/x-directory")
        self.admin.put("demo", "a.txt", b"hello")
        specs = [NodeSpec(f"node-{number + 1}") for number in range(nodes)]
        self.cluster = Cluster(engine, csi=csi, kubernetes_version=kubernetes, nodes=specs)
        self.api = self.cluster.api
        key = engine.cloud.key
        self.secret = named("Secret", "oss-secret", stringData={"akId": key.id, "akSecret": key.secret})
        self.apply(self.secret)

    def apply(self, *objects: KubeObject) -> None:
        self.cluster.apply(objects)

    def run(self, *objects: KubeObject, name: str = "app", seconds: float = 120) -> None:
        """Applies, and waits for the Pod."""
        self.apply(*objects)
        assert self.wait(lambda: self.phase(name) == "Running", seconds), self.told(name)

    def wait(self, condition: Callable[[], bool], seconds: float = 120) -> bool:
        return self.cluster.wait(condition, seconds)

    def advance(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    def phase(self, name: str = "app") -> str:
        found = self.cluster.pod(name)
        return "" if found is None else str(found["status"].get("phase", ""))

    def waiting(self, name: str = "app") -> str:
        found = self.cluster.pod(name) or {}
        states = [entry["state"] for entry in found.get("status", {}).get("containerStatuses") or ()]
        return str(states[0].get("waiting", {}).get("reason", "")) if states else ""

    def uid(self, name: str = "app") -> str:
        return str(self.api.get("Pod", name, "default")["metadata"]["uid"])

    def told(self, name: str = "app", reason: str = "") -> list[tuple[str, str, int]]:
        """Reason, message and count of the events about an object."""
        found = [(e["reason"], e["message"], e["count"]) for e in self.cluster.events(about=name)]
        return [event for event in found if reason in ("", event[0])]

    def app(self, name: str = "app", container: str = "") -> Any:
        return self.cluster.container(name, container)

    def host(self, node: str = "node-1") -> Any:
        self.cluster.timeline.synchronise()
        return self.cluster.nodes[node].host

    def kill_ossfs(self, name: str = "app", node: str = "node-1") -> None:
        process = self.host(node).ossfs_at(self.target(name))
        process.kill()
        self.cluster.timeline.settle()

    def target(self, name: str = "app", pv: str = "pv-oss") -> str:
        return f"/var/lib/kubelet/pods/{self.uid(name)}/volumes/kubernetes.io~csi/{pv}/mount"

    def log(self, node: str = "node-1") -> list[str]:
        return [text for _, text in self.cluster.nodes[node].kubelet.lines]

    def attachments(self) -> Sequence[KubeObject]:
        return self.api.list("VolumeAttachment")

    def deny_writing(self) -> None:
        from osscloud.accounts import Policy, Statement

        statements = (Statement("Allow", ("oss:*",), ("*",)), Statement("Deny", ("oss:PutObject",), ("*",)))
        self.engine.cloud.service.accounts.set_policy(self.engine.cloud.key.id, Policy(statements))

    def secret_data(self) -> dict[str, str]:
        data = self.api.get("Secret", "oss-secret", "default")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def close(self) -> None:
        self.cluster.close()
        self.engine.close()


@pytest.fixture
def lab() -> Iterator[Callable[..., ClusterLab]]:
    """lab(csi, kubernetes="1.30", nodes=1, via="direct")"""
    made: list[ClusterLab] = []

    def make(csi: str = "1.30.4", kubernetes: str = "1.30", *, nodes: int = 1, via: str = "direct") -> ClusterLab:
        missing = kernel_unavailable() if via == "kernel" else None
        if missing is not None:
            pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
        engine = make_engine("kernel") if via == "kernel" else make_engine("direct")
        made.append(ClusterLab(engine, csi, kubernetes, nodes))
        return made[-1]

    yield make
    for one in made:
        one.close()
