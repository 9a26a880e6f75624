"""Mounting: what a Pod's events say of a volume that does not come, how often it is tried, what is left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.osscluster.clusterlab import ClusterLab, claim, named, pod, volume

Lab = Callable[..., ClusterLab]
SET_UP = 'MountVolume.SetUp failed for volume "pv-oss" : '


def test_a_missing_secret_is_named_tried_again_and_picked_up_when_it_is_there(lab: Lab) -> None:
    one = lab()
    one.cluster.delete("Secret", "oss-secret")
    one.apply(volume(), claim(), pod())
    one.advance(10)
    assert one.told(reason="FailedMount") == [
        (
            "FailedMount",
            f"{SET_UP}fetching NodePublishSecretRef default/oss-secret failed: kubernetes.io/csi: failed to find the "
            'secret oss-secret in the namespace default with error: secrets "oss-secret" not found',
            5,  # at 0, 0.5, 1.5, 3.5 and 7.5 s
        )
    ]
    one.apply(one.secret)
    assert one.wait(lambda: one.phase() == "Running", 20)


def test_a_pod_that_never_got_its_secret_leaves_nothing_behind(lab: Lab) -> None:
    one = lab()
    one.cluster.delete("Secret", "oss-secret")
    one.apply(volume(), claim(), pod())
    one.advance(10)
    assert len(one.attachments()) == 1
    one.cluster.delete("Pod", "app")
    one.advance(60)
    assert one.cluster.pod("app") is None
    assert not one.attachments()
    assert not one.api.list("Pod", "ack-csi-fuse")


def test_retries_double_up_to_two_minutes_and_two_seconds(lab: Lab) -> None:
    one = lab("1.28.3")
    one.apply(volume(attributes={"path": "no/slash"}), claim(), pod())
    one.advance(0.5 + 1 + 2 + 4 + 8 + 16 + 32 + 64 + 122 - 1)
    assert one.told(reason="FailedMount")[0][2] == 9
    one.advance(2)
    assert one.told(reason="FailedMount")[0][2] == 10


@pytest.mark.parametrize(
    ("kubernetes", "text"),
    [
        ("1.24", "unattached volumes=[oss]: timed out waiting for the condition"),
        ("1.26", "unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition"),
        ("1.28", None),
    ],
)
def test_volumes_that_do_not_come_in_time_are_an_event_until_1_26_and_a_log_line_since(
    lab: Lab, kubernetes: str, text: str | None
) -> None:
    one = lab("1.28.3", kubernetes)
    one.apply(volume(attributes={"path": "no/slash"}), claim(), pod())
    one.advance(122)
    assert not [event for event in one.told(reason="FailedMount") if event[1].startswith("Unable")]
    one.advance(2)
    told = [event[1] for event in one.told(reason="FailedMount") if event[1].startswith("Unable")]
    if text is None:
        assert not told
        assert any('"Error syncing pod, skipping" err="unmounted volumes=[oss]' in line for line in one.log())
    else:
        assert told == [f"Unable to attach or mount volumes: unmounted volumes=[oss], {text}"]


def test_a_driver_that_the_cluster_does_not_have_is_waited_for_in_vain(lab: Lab) -> None:
    one = lab()
    one.apply(volume(csi={"driver": "ossplugin.csi.alibaba.com"}), claim(), pod())
    one.advance(121)
    assert one.told(reason="FailedAttachVolume") == [
        (
            "FailedAttachVolume",
            'AttachVolume.Attach failed for volume "pv-oss" : timed out waiting for external-attacher of '
            "ossplugin.csi.alibaba.com CSI driver to attach volume pv-oss",
            1,
        )
    ]
    one.cluster.delete("Pod", "app")
    one.advance(30)
    assert one.cluster.pod("app") is None
    assert not one.attachments()


def test_a_node_without_csi_plugin_does_not_know_the_driver(lab: Lab) -> None:
    one = lab()
    one.cluster.delete("DaemonSet", "csi-plugin", "kube-system")
    one.advance(60)
    one.apply(volume(), claim(), pod())
    one.advance(20)
    assert [event[1] for event in one.told(reason="FailedMount")] == [
        'MountVolume.MountDevice failed for volume "pv-oss" : kubernetes.io/csi: attacher.MountDevice failed to create '
        "newCsiDriverClient: driver name ossplugin.csi.alibabacloud.com not found in the list of registered CSI drivers"
    ]


@pytest.mark.parametrize(
    ("kubernetes", "place"),
    [
        ("1.22", "pv/pv-oss"),
        ("1.24", "ossplugin.csi.alibabacloud.com"),
    ],
)
def test_the_staging_path_goes_by_the_volume_s_name_until_1_22_and_by_its_handle_since(
    lab: Lab, kubernetes: str, place: str
) -> None:
    import hashlib

    one = lab("1.28.3", kubernetes)
    one.run(volume(), claim(), pod())
    top = "/var/lib/kubelet/plugins/kubernetes.io/csi"
    by_handle = f"ossplugin.csi.alibabacloud.com/{hashlib.sha256(b'pv-oss').hexdigest()}"
    expected = place if place.startswith("pv/") else by_handle
    assert f"{top}/{expected}/globalmount" in [line.target for line in one.host().mounts()]
    one.cluster.delete("Pod", "app")
    one.advance(60)
    # Taken away with what kubelet noted there.
    assert one.host().read_file(f"{top}/{expected}/vol_data.json") is None
    assert not [line for line in one.host().mounts() if line.fstype == "fuse.ossfs"]


@pytest.mark.parametrize("csi", ["1.24.10", "1.28.3"])
def test_a_read_only_claim_is_read_only_in_the_container_and_not_walked(lab: Lab, csi: str) -> None:
    """Whether the driver mounts it so (1.28.3) or not (1.24.10)."""
    one = lab(csi)
    one.run(
        volume(csi={"fsType": "ossfs"}, accessModes=["ReadWriteOnce", "ReadWriteMany"]),
        claim(),
        pod(pvc={"readOnly": True}, securityContext={"fsGroup": 3000}),
    )
    with pytest.raises(OSError, match="Read-only file system"):
        one.app().mkdir("/data/new")
    assert not [line for line in one.log() if line.startswith("SetVolumeOwnership")]


def test_the_volume_s_own_read_only_is_none_of_kubelet_s_business(lab: Lab) -> None:
    """PersistentVolume.spec.csi.readOnly goes to ControllerPublish alone."""
    one = lab("1.28.3")
    one.run(volume(csi={"readOnly": True}), claim(), pod())
    one.app().mkdir("/data/new")


def test_a_container_is_created_and_started(lab: Lab) -> None:
    for kubernetes, text in (("1.30", "Created container main"), ("1.32", "Created container: main")):
        one = lab(kubernetes=kubernetes)
        one.run(volume(), claim(), pod())
        assert [event[:2] for event in one.told()] == [
            ("Scheduled", "Successfully assigned default/app to node-1"),
            ("SuccessfulAttachVolume", 'AttachVolume.Attach succeeded for volume "pv-oss" '),
            ("Created", text),
            ("Started", "Started container main"),
        ]


def test_an_unbound_claim_keeps_the_pod_pending(lab: Lab) -> None:
    one = lab()
    one.apply(pod())
    one.apply(claim())
    one.advance(1)
    assert [event[1] for event in one.told(reason="FailedScheduling")] == [
        '0/1 nodes are available: persistentvolumeclaim "pvc-oss" not found.',
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    ]
    one.apply(volume())
    assert one.wait(lambda: one.phase() == "Running", 60)


def test_a_config_map_that_is_missing_keeps_the_container_from_its_start(lab: Lab) -> None:
    one = lab()
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "x"}}}]
    one.apply(volume(), claim(), pod(container={"env": env}))
    assert one.wait(lambda: one.waiting() == "CreateContainerConfigError", 60)
    assert one.told(reason="Failed")[0][1] == 'Error: configmap "settings" not found'
    one.apply(named("ConfigMap", "settings", data={"x": "y"}))
    assert one.wait(lambda: one.phase() == "Running", 30)
