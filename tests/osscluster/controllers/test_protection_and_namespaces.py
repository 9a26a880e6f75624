"""What deletion waits for: a claim for its Pods, a volume for its claim, a namespace for what is in it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from osscluster.api.objects import KubeObject
from osscluster.api.store import MemoryApi
from osscluster.controllers.namespaces import Namespaces
from osscluster.controllers.protection import Protection
from osscluster.timeline import Timeline


@pytest.fixture
def line() -> Timeline:
    return Timeline(1_725_350_400.0)


@pytest.fixture
def api(line: Timeline) -> MemoryApi:
    api = MemoryApi(line.now, random.Random(1))
    Protection(api, line)
    Namespaces(api, line)
    return api


def volume() -> KubeObject:
    csi = {"driver": "ossplugin.csi.alibabacloud.com", "volumeHandle": "pv-oss"}
    spec = {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany"], "csi": csi}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-oss"}, "spec": spec}


def claim(namespace: str = "default") -> KubeObject:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}}
    metadata = {"name": "pvc-oss", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def pod(namespace: str = "default", **spec: Any) -> KubeObject:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "pvc-oss"}}]
    body = {"containers": [{"name": "a", "image": "i"}], "volumes": volumes, "nodeName": "node-1", **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace}, "spec": body}


def test_a_claim_stays_until_its_last_pod_on_a_node_has_gone(api: MemoryApi, line: Timeline) -> None:
    api.create(claim())
    api.create(pod())
    line.settle()
    api.delete("PersistentVolumeClaim", "pvc-oss", "default")
    line.settle()
    assert api.find("PersistentVolumeClaim", "pvc-oss", "default") is not None
    api.remove("Pod", "web", "default")
    line.settle()
    assert api.find("PersistentVolumeClaim", "pvc-oss", "default") is None


def test_a_volume_stays_while_its_claim_is_there(api: MemoryApi, line: Timeline) -> None:
    bound = api.create(claim())
    object = volume()
    metadata = bound["metadata"]
    object["spec"]["claimRef"] = {"namespace": "default", "name": metadata["name"], "uid": metadata["uid"]}
    api.create(object)
    api.delete("PersistentVolume", "pv-oss")
    line.settle()
    assert api.find("PersistentVolume", "pv-oss") is not None
    api.delete("PersistentVolumeClaim", "pvc-oss", "default")
    line.settle()
    assert api.find("PersistentVolume", "pv-oss") is None


def test_a_namespace_goes_with_the_last_of_what_is_in_it(api: MemoryApi, line: Timeline) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    api.create(claim("shop"))
    api.create(pod("shop"))
    api.delete("Namespace", "shop")
    line.settle()
    assert api.get("Namespace", "shop")["status"]["phase"] == "Terminating"
    assert api.get("Pod", "web", "shop")["metadata"]["deletionTimestamp"]
    assert api.find("ServiceAccount", "default", "shop") is None
    api.remove("Pod", "web", "shop")
    line.settle()
    assert api.find("Namespace", "shop") is None
