"""The driver with real hosts under it: a volume by every architecture, credentials of every kind, on both engines."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from osscluster.api.store import MemoryApi
from osscluster.csi.driver import make_driver
from osscluster.csi.rpc import (
    ControllerPublishVolumeRequest,
    CsiError,
    NodePublishVolumeRequest,
    VolumeCapability,
)
from osscluster.engine import DirectEngine, KernelEngine, kernel_unavailable
from osscluster.kubelet import profile as kubernetes
from osscluster.kubelet.kubelet import Kubelet
from osscluster.nodespec import NodeSpec
from osscluster.timeline import Timeline

TARGET = "/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/pv-oss/mount"
STAGING = "/var/lib/kubelet/plugins/kubernetes.io/csi/ossplugin.csi.alibabacloud.com/x/globalmount"
VERSIONS = ("1.24.10", "1.28.6", "1.30.4", "1.37.1")


class Place:
    """A driver, kubelet and a node of an engine."""

    def __init__(self, engine: KernelEngine | DirectEngine, version: str) -> None:
        self.engine = engine
        self.cloud = engine.cloud
        self.cloud.admin.create_bucket("demo")
        self.cloud.admin.put("demo", "a.txt", b"hello")
        self.timeline = Timeline(self.cloud.clock.now(), engine.advance)
        self.api = MemoryApi(self.timeline.now, random.Random(0))
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ack-csi-fuse"}})
        for namespace in ("kube-system", "ack-csi-fuse"):
            metadata = {"name": "csi-fuse-ossfs", "namespace": namespace}
            self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
        spec = NodeSpec("node-1")
        self.host = engine.host("node-1")
        self.driver = make_driver(version, api=self.api, timeline=self.timeline, cloud=self.cloud)
        self.node = self.driver.node(spec, self.host)
        self.kubelet = Kubelet(
            spec,
            api=self.api,
            host=self.host,
            driver=lambda: self.node,
            programs=lambda: self.driver.programs,
            timeline=self.timeline,
            profile=kubernetes.find(kubernetes.DEFAULT_VERSION),
            cost=lambda: 0.0,
            attach_required=lambda: self.driver.profile.attach_required,
        )

    def publish(self, **attributes: str) -> None:
        attributes = {"bucket": "demo", "url": "oss-cn-hangzhou.aliyuncs.com", **attributes}
        context: dict[str, str] = {}
        if self.driver.profile.attach_required:
            wanted = ControllerPublishVolumeRequest("pv-oss", "node-1", VolumeCapability(), volume_context=attributes)
            attached = self.timeline.run("attach", self.driver.controller.controller_publish_volume(wanted))
            context = dict(attached)
        self.host.makedirs(TARGET.rpartition("/")[0])
        request = NodePublishVolumeRequest(
            "pv-oss",
            TARGET,
            VolumeCapability(),
            publish_context=context,
            volume_context=attributes,
            secrets={"akId": self.cloud.key.id, "akSecret": self.cloud.key.secret},
        )
        self.timeline.run("publish", self.node.node_publish_volume(request))

    def logs(self) -> str:
        texts: list[str] = []
        for pod in self.api.list("Pod"):
            metadata = pod["metadata"]
            container = pod["spec"]["containers"][0]["name"]
            texts += [line.text for line in self.api.logs.of(metadata["namespace"], metadata["name"], container)]
        return "\n".join(texts)

    def role(self, name: str, trusted: dict[str, Any]) -> None:
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", **trusted}
        self.cloud.service.accounts.ram.create_role(
            name,
            trust={"Version": "1", "Statement": [statement]},
            policies=("AliyunOSSFullAccess",),
            account=self.cloud.key.account,
        )

    def trusted(self, namespace: str) -> dict[str, Any]:
        subject = f"system:serviceaccount:{namespace}:csi-fuse-ossfs"
        return {
            "Principal": {"Federated": [self.driver.enable_rrsa()]},
            "Condition": {"StringEquals": {"oidc:sub": subject, "oidc:aud": "sts.aliyuncs.com"}},
        }

    def close(self) -> None:
        self.kubelet.close()
        self.host.close()
        self.driver.close()
        self.engine.close()


@pytest.fixture(params=["direct", "kernel"])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    missing = kernel_unavailable()
    if request.param == "kernel" and missing is not None:
        pytest.skip(f"no kernel mounts here: {missing}")
    made: list[Place] = []

    def make(version: str) -> Place:
        made.append(Place(KernelEngine() if request.param == "kernel" else DirectEngine(), version))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_volume_shows_the_bucket_and_leaves_nothing_behind(place: Any, version: str) -> None:
    one = place(version)
    one.publish()
    assert [entry.name for entry in one.host.root.listdir(TARGET) if not entry.name.startswith(".")] == ["a.txt"]
    line = str(one.host.mounts()[-1])
    assert line.startswith(f"ossfs on {TARGET} type fuse.ossfs (rw,")
    assert ("nosuid,nodev" in line) is (version == "1.24.10")
    assert ("allow_other" in line) is (version == "1.37.1")
    one.timeline.run("unpublish", one.node.node_unpublish_volume("pv-oss", TARGET))
    one.timeline.run("unstage", one.node.node_unstage_volume("pv-oss", STAGING))
    assert one.host.mounts() == []


@pytest.mark.parametrize("version", ["1.28.6", "1.30.4"])
def test_rrsa_opens_the_bucket_for_the_namespace_that_the_role_trusts(place: Any, version: str) -> None:
    one = place(version)
    one.role("oss", one.trusted(one.driver.profile.fuse_namespace))
    one.publish(authType="rrsa", roleName="oss")
    assert [entry.name for entry in one.host.root.listdir(TARGET) if not entry.name.startswith(".")] == ["a.txt"]
    assert [(call.action, call.status) for call in one.cloud.service.sts.calls] == [("AssumeRoleWithOIDC", 200)]


def test_a_role_that_trusts_the_old_namespace_fails_the_mount_after_the_upgrade(place: Any) -> None:
    one = place("1.31.3")
    one.role("oss", one.trusted("kube-system"))
    with pytest.raises(CsiError) as caught:
        one.publish(authType="rrsa", roleName="oss")
    assert str(caught.value).startswith("rpc error: code = Internal desc = failed to mount: ossfs exited")
    assert "AuthenticationFail.NoPermission" in one.logs()


@pytest.mark.parametrize("version", VERSIONS)
def test_sts_opens_the_bucket_for_the_role_of_the_node(place: Any, version: str) -> None:
    one = place(version)
    one.role("worker", {"Principal": {"Service": ["ecs.aliyuncs.com"]}})
    one.cloud.service.instance.attach("worker", account=one.cloud.key.account)
    one.publish(authType="sts")
    assert [entry.name for entry in one.host.root.listdir(TARGET) if not entry.name.startswith(".")] == ["a.txt"]


def test_a_wrong_key_is_refused_in_the_words_of_oss(place: Any) -> None:
    for version, where in (("1.24.10", "event"), ("1.28.6", "log"), ("1.37.1", "event")):
        one = place(version)
        one.cloud.disable(one.cloud.key.id)
        with pytest.raises(CsiError) as caught:
            one.publish()
        words = "invalid credentials" if version != "1.37.1" else "Invalid Credentials"
        assert words in (str(caught.value) if where == "event" else one.logs())
