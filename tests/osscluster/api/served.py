"""A served API with a stand-in for kubelet, the real kubectl, and objects as the FAQ shows them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from osscluster.api.http import ApiServer
from osscluster.api.objects import KubeObject, WatchEvent
from osscluster.api.store import MemoryApi
from osscluster.timeline import Timeline

NODE = "cn-beijing.192.168.100.3"

# The FAQ's own manifests, unchanged.

FAQ_VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata:
  name: oss-pv
spec:
  accessModes:
  - ReadOnlyMany
  capacity:
    storage: 5Gi
  csi:
    driver: ossplugin.csi.alibabacloud.com
    nodePublishSecretRef:
      name: oss-secret
      namespace: default
    volumeAttributes:
      bucket: bucket-name
      otherOpts: -o max_stat_cache_size=0 -o allow_other
      url: oss-cn-zhangjiakou.aliyuncs.com
      useSharedPath: "false"
    volumeHandle: oss-pv
  persistentVolumeReclaimPolicy: Delete
  volumeMode: Filesystem
"""

FAQ_CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: csi-plugin
  namespace: kube-system
data:
  fuse-ossfs: |
    mime-support="true"
"""


class Served:
    """An API with nothing but a stand-in for kubelet, which ends Pods that are deleted; `shell` types commands."""

    def __init__(self, timeline: Timeline, api: MemoryApi, server: ApiServer, kubeconfig: Path) -> None:
        self.timeline = timeline
        self.api = api
        self.server = server
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(kubeconfig.parent), "KUBECONFIG": str(kubeconfig)}

    def create(self, *objects: KubeObject) -> None:
        """With their status, if they have one."""
        with self.server.lock:
            for object in objects:
                created = self.api.create(object)
                if "status" in object:
                    created["status"] = object["status"]
                    self.api.update_status(created)

    def shell(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command line as a user types it."""
        return subprocess.run(
            ["bash", "-c", command],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
            check=False,
        )

    def output(self, command: str, stdin: str = "") -> str:
        """Its standard output; it has to succeed."""
        done = self.shell(command, stdin)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def popen(self, command: str) -> subprocess.Popen[str]:
        """A command that goes on: `exec` makes kubectl the process itself."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"], stdout=subprocess.PIPE, text=True, env=self.environment
        )


def stand_in_kubelet(api: MemoryApi, timeline: Timeline) -> Callable[[], None]:
    """Ends a Pod when its grace period is over."""

    def heard(event: WatchEvent) -> None:
        metadata = event.object["metadata"]
        if event.object["kind"] == "Pod" and event.type == "MODIFIED" and metadata.get("deletionTimestamp"):
            seconds = metadata["deletionGracePeriodSeconds"]
            timeline.call_later(seconds, lambda: api.remove("Pod", metadata["name"], metadata["namespace"]))

    return api.watch(heard)


def running_pod(name: str, namespace: str = "default", *, node: str = NODE, **labels: str) -> KubeObject:
    """A Pod with one container, as kubelet reports it."""
    container = {"name": "app", "image": "nginx:1.25", "volumeMounts": [{"name": "oss", "mountPath": "/data"}]}
    volume = {"name": "oss", "persistentVolumeClaim": {"claimName": "pvc-oss"}}
    state = {"running": {"startedAt": "2024-09-03T08:00:00Z"}}
    status = {
        "phase": "Running",
        "podIP": "192.168.128.244",
        "hostIP": "192.168.100.3",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "app",
                "ready": True,
                "restartCount": 0,
                "image": "nginx:1.25",
                "imageID": "",
                "state": state,
            }
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [container], "volumes": [volume]},
        "status": status,
    }
