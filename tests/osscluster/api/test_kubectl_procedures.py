"""The FAQ's procedures from beginning to end: typed through the real kubectl at a whole cluster."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.osscluster.api.served import NODE, Served

from osscluster.api.http import ApiServer
from osscluster.cluster import Cluster
from osscluster.engine import make_engine
from osscluster.nodespec import NodeSpec

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not there; fix: pip install 'ossvol[kubectl]'"
)

APPLICATION = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-oss}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  csi:
    driver: ossplugin.csi.alibabacloud.com
    volumeHandle: pv-oss
    nodePublishSecretRef: {name: oss-secret, namespace: default}
    volumeAttributes: {bucket: demo, url: oss-cn-hangzhou.aliyuncs.com, otherOpts: "-o allow_other"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: pvc-oss}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 5Gi}}, storageClassName: "", volumeName: pv-oss}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: oss-static}
spec:
  replicas: 2
  selector: {matchLabels: {app: oss-static}}
  template:
    metadata: {labels: {app: oss-static}}
    spec:
      containers:
      - {name: app, image: nginx, volumeMounts: [{name: oss, mountPath: /data}]}
      volumes: [{name: oss, persistentVolumeClaim: {claimName: pvc-oss}}]
"""

READY = "kubectl wait --for=condition=Ready pod -l app=oss-static --timeout=30s"
FUSE = "kubectl -n {} get pod -lcsi.alibabacloud.com/volume-id=pv-oss -owide | grep " + NODE


class Typed(Served):
    """A whole cluster behind the server."""

    cluster: Cluster

    def fuse_pod(self, namespace: str) -> str:
        """The name of the FUSE Pod that the FAQ's command finds."""
        return self.output(FUSE.format(namespace)).split()[0]

    def reads(self, pod: str) -> str:
        """What a container of that Pod reads of the volume."""
        with self.server.lock:
            container = self.cluster.container(pod)
            handle = container.open("/data/hello.txt")
            try:
                return container.read(handle, 100).decode()
            finally:
                container.close(handle)


@contextmanager
def typed(directory: Path, csi: str) -> Iterator[Typed]:
    engine = make_engine("direct", state_dir=str(directory / "state"))
    try:
        engine.cloud.admin.create_bucket("demo")
        engine.cloud.admin.put("demo", "hello.txt", b"hello")
        cluster = Cluster(engine, csi=csi, nodes=[NodeSpec(NODE)], rng=random.Random(1))
        try:
            with ApiServer(cluster.api, cluster.timeline, version="1.30.0", factor=60.0) as server:
                kubeconfig = directory / "kubeconfig"
                server.write_kubeconfig(kubeconfig)
                user = Typed(cluster.timeline, cluster.api, server, kubeconfig)
                user.cluster = cluster
                key = engine.cloud.key
                user.output(
                    f"kubectl create secret generic oss-secret --from-literal=akId={key.id} "
                    f"--from-literal=akSecret={key.secret}"
                )
                user.output("kubectl apply -f -", APPLICATION)
                user.output(READY)
                yield user
                if server.error is not None:
                    raise server.error
        finally:
            cluster.close()
    finally:
        engine.close()


@pytest.mark.parametrize(("csi", "namespace"), [("1.28.3", "kube-system"), ("1.30.4", "ack-csi-fuse")])
def test_scaling_to_zero_and_back_mounts_anew(tmp_path: Path, csi: str, namespace: str) -> None:
    with typed(tmp_path, csi) as user:
        before = user.fuse_pod(namespace)
        used = user.output("kubectl -n default describe pvc pvc-oss")
        assert len(re.findall(r"oss-static-\w+-\w+", used)) == 2
        user.output("kubectl scale deployment oss-static --replicas=0")
        user.output("kubectl wait --for=delete pod -l app=oss-static --timeout=30s")
        user.output(f"kubectl -n {namespace} wait --for=delete pod/{before} --timeout=30s")
        user.output("kubectl scale deployment oss-static --replicas=2")
        user.output("kubectl rollout status deployment oss-static --timeout=30s")
        assert user.fuse_pod(namespace) != before
        assert user.reads("oss-static") == "hello"


def test_deleting_the_attachment_breaks_the_mount_and_new_pods_get_a_new_one(tmp_path: Path) -> None:
    with typed(tmp_path, "1.30.4") as user:
        before = user.fuse_pod("ack-csi-fuse")
        line = user.output(f"kubectl get volumeattachment | grep pv-oss | grep {NODE}").split()
        user.output(f"kubectl delete volumeattachment {line[0]} --timeout=30s")
        with pytest.raises(OSError, match="Transport endpoint is not connected"):
            user.reads("oss-static")
        user.output("kubectl delete pod -l app=oss-static --timeout=60s")
        user.output("kubectl rollout status deployment oss-static --timeout=60s")
        assert user.fuse_pod("ack-csi-fuse") != before
        assert user.reads("oss-static") == "hello"


def test_csi_plugin_comes_back_after_it_was_deleted(tmp_path: Path) -> None:
    with typed(tmp_path, "1.30.4") as user:
        before = user.output("kubectl -n kube-system get pod -l app=csi-plugin -o name")
        user.output("kubectl -n kube-system delete pod -l app=csi-plugin")
        user.output("kubectl -n kube-system rollout status ds csi-plugin --timeout=30s")
        assert user.output("kubectl -n kube-system get pod -l app=csi-plugin -o name") != before
        assert user.reads("oss-static") == "hello"
