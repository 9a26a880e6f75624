"""Which volume a claim gets, what is made for a StorageClass, what becomes of a volume afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.osscluster.clusterlab import DRIVER, URL, ClusterLab, claim, named, pod, volume, workload

Lab = Callable[..., ClusterLab]


def storage_class(name: str = "oss", **more: Any) -> Any:
    parameters = {
        "bucket": "demo",
        "url": URL,
        "otherOpts": "-o allow_other",
        "csi.storage.k8s.io/node-publish-secret-name": "oss-secret",
        "csi.storage.k8s.io/node-publish-secret-namespace": "default",
    }
    return named("StorageClass", name, "storage.k8s.io/v1", provisioner=DRIVER, parameters=parameters, **more)


def bound(one: ClusterLab, name: str = "pvc-oss") -> str:
    return str(one.api.get("PersistentVolumeClaim", name, "default")["spec"].get("volumeName", ""))


def phase(one: ClusterLab, name: str) -> str:
    return str(one.api.get("PersistentVolume", name)["status"]["phase"])


def test_the_smallest_volume_that_is_large_enough_is_taken(lab: Lab) -> None:
    one = lab()
    for name, size in (("small", "4Gi"), ("large", "20Gi"), ("fits", "6Gi")):
        one.apply(volume(name, capacity={"storage": size}))
    one.apply(claim(pv=""))
    assert bound(one) == "fits"


@pytest.mark.parametrize(
    ("offered", "asked"),
    [
        ({"accessModes": ["ReadOnlyMany"]}, {}),
        ({"storageClassName": "other"}, {}),
        ({"volumeMode": "Block"}, {}),
        ({"capacity": {"storage": "4Gi"}}, {}),
        ({}, {"selector": {"matchExpressions": [{"key": "pv", "operator": "NotIn", "values": ["pv-oss"]}]}}),
    ],
)
def test_what_does_not_fit_is_not_bound_and_said_every_fifteen_seconds(lab: Lab, offered: Any, asked: Any) -> None:
    one = lab()
    one.apply(volume(**offered), claim(pv="", **asked))
    one.advance(31)
    assert bound(one) == ""
    assert one.told("pvc-oss") == [
        ("FailedBinding", "no persistent volumes available for this claim and no storage class is set", 3)
    ]


def test_a_claim_that_waits_gets_a_volume_as_soon_as_there_is_one(lab: Lab) -> None:
    one = lab()
    one.apply(claim())
    one.advance(1)
    one.apply(volume())
    assert bound(one) == "pv-oss"


def test_a_volume_that_a_claim_names_has_to_fit_and_the_refusal_is_said(lab: Lab) -> None:
    one = lab()
    one.apply(volume(capacity={"storage": "4Gi"}), claim(pv="", volumeName="pv-oss"))
    one.advance(1)
    assert one.told("pvc-oss")[0][:2] == (
        "VolumeMismatch",
        'Cannot bind to requested volume "pv-oss": requested PV is too small',
    )


def test_a_volume_that_names_a_claim_is_kept_for_it(lab: Lab) -> None:
    one = lab()
    one.apply(volume("kept", claimRef={"namespace": "default", "name": "second"}, storageClassName="any"))
    one.apply(volume("free"), claim("first", pv=""), claim("second", pv=""))
    assert (bound(one, "first"), bound(one, "second")) == ("free", "kept")


def test_a_retained_volume_is_released_and_no_other_claim_s(lab: Lab) -> None:
    one = lab()
    one.apply(volume(persistentVolumeReclaimPolicy="Retain"), claim())
    assert phase(one, "pv-oss") == "Bound"
    one.cluster.delete("PersistentVolumeClaim", "pvc-oss")
    assert phase(one, "pv-oss") == "Released"
    one.apply(claim())
    one.advance(30)
    assert bound(one) == ""
    assert phase(one, "pv-oss") == "Released"


def test_a_volume_written_by_hand_can_not_be_deleted_by_its_policy(lab: Lab) -> None:
    one = lab()
    one.apply(volume(persistentVolumeReclaimPolicy="Delete"), claim())
    one.cluster.delete("PersistentVolumeClaim", "pvc-oss")
    one.advance(1)
    assert phase(one, "pv-oss") == "Failed"
    text = 'error getting deleter volume plugin for volume "pv-oss": no deletable volume plugin matched'
    assert one.told("pv-oss") == [("VolumeFailedDelete", text, 1)]


def test_a_claim_whose_volume_is_removed_is_lost(lab: Lab) -> None:
    one = lab()
    one.apply(volume(), claim())
    one.api.remove("PersistentVolume", "pv-oss")
    one.advance(1)
    assert one.api.get("PersistentVolumeClaim", "pvc-oss", "default")["status"]["phase"] == "Lost"
    text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
    assert ("ClaimLost", text, 1) in one.told("pvc-oss")


def test_a_storage_class_makes_a_volume_named_after_the_claim_with_its_file_system_type(lab: Lab) -> None:
    one = lab()
    one.apply(storage_class(), claim(pv="", storageClassName="oss"))
    one.advance(1)
    made = one.api.get("PersistentVolumeClaim", "pvc-oss", "default")
    name = f"oss-{made['metadata']['uid']}"
    pv = one.api.get("PersistentVolume", name)
    csi = pv["spec"]["csi"]
    assert (csi["volumeHandle"], csi["fsType"]) == (name, "ossfs")
    assert csi["nodePublishSecretRef"] == {"name": "oss-secret", "namespace": "default"}
    assert pv["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert [event[:2] for event in one.told("pvc-oss")] == [
        ("Provisioning", 'External provisioner is provisioning volume for claim "default/pvc-oss"'),
        ("ProvisioningSucceeded", f"Successfully provisioned volume {name}"),
    ]


@pytest.mark.parametrize(("policy", "left"), [("Delete", False), ("Retain", True)])
def test_the_reclaim_policy_decides_over_the_volume_never_over_objects(lab: Lab, policy: str, left: bool) -> None:
    one = lab()
    one.apply(storage_class(reclaimPolicy=policy))
    one.run(claim(pv="", storageClassName="oss"), pod())
    one.cluster.delete("Pod", "app")
    one.advance(60)
    one.cluster.delete("PersistentVolumeClaim", "pvc-oss")
    one.advance(60)
    assert bool(one.api.list("PersistentVolume")) is left
    assert one.admin.object("demo", "a.txt") is not None


def test_a_storage_class_that_is_not_there_is_named(lab: Lab) -> None:
    one = lab()
    one.apply(claim(pv="", storageClassName="oss"))
    one.advance(1)
    assert one.told("pvc-oss") == [("ProvisioningFailed", 'storageclass.storage.k8s.io "oss" not found', 1)]


def test_a_claim_may_wait_for_its_first_pod(lab: Lab) -> None:
    one = lab()
    one.apply(storage_class(volumeBindingMode="WaitForFirstConsumer"), claim(pv="", storageClassName="oss"))
    one.advance(20)
    assert bound(one) == ""
    assert one.told("pvc-oss")[0][:2] == (
        "WaitForFirstConsumer",
        "waiting for first consumer to be created before binding",
    )
    one.run(pod())
    assert bound(one).startswith("oss-")
    assert not one.told(reason="FailedScheduling")


def test_each_pod_of_a_stateful_set_has_a_claim_of_its_own_that_outlives_it(lab: Lab) -> None:
    one = lab()
    template = pod()
    del template["spec"]["volumes"]
    templates = [claim("oss", pv="", storageClassName="oss")]
    one.apply(storage_class(), workload("StatefulSet", "web", 2, template, volumeClaimTemplates=templates))
    assert one.wait(lambda: one.phase("web-1") == "Running", 120)
    assert [pvc["metadata"]["name"] for pvc in one.api.list("PersistentVolumeClaim")] == ["oss-web-0", "oss-web-1"]
    assert ("SuccessfulCreate", "create Claim oss-web-1 Pod web-1 in StatefulSet web success", 1) in one.told("web")
    assert ("SuccessfulCreate", "create Pod web-1 in StatefulSet web successful", 1) in one.told("web")
    one.api.patch("StatefulSet", "web", {"spec": {"replicas": 1}}, "default")
    assert one.wait(lambda: one.api.find("Pod", "web-1", "default") is None, 60)
    assert one.phase("web-0") == "Running"
    assert len(one.api.list("PersistentVolumeClaim")) == 2
