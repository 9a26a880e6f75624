"""VolumeAttachments: made, carried out, missed, made again; and who is told."""

from __future__ import annotations

from collections.abc import Callable

from tests.osscluster.clusterlab import ClusterLab, claim, pod, volume, workload

from osscluster.controllers.attachdetach import attachment_name

Lab = Callable[..., ClusterLab]
ATTACHED = ("SuccessfulAttachVolume", 'AttachVolume.Attach succeeded for volume "pv-oss" ', 1)


def on(node: str, name: str) -> dict[str, object]:
    return pod(name, nodeSelector={"kubernetes.io/hostname": node})


def fuse_pods(one: ClusterLab) -> list[str]:
    return sorted(p["spec"]["nodeName"] for p in one.api.list("Pod", "ack-csi-fuse"))


def test_each_node_has_an_attachment_and_a_fuse_pod_and_its_own_pods_are_told(lab: Lab) -> None:
    one = lab(nodes=2)
    one.run(volume(), claim(), on("node-1", "a"), name="a")
    one.run(on("node-2", "b"), name="b")
    one.run(on("node-1", "c"), name="c")
    names = sorted(attachment_name("pv-oss", node) for node in ("node-1", "node-2"))
    assert [one_["metadata"]["name"] for one_ in one.attachments()] == names
    assert fuse_pods(one) == ["node-1", "node-2"]
    assert one.told("a", "SuccessfulAttachVolume") == [ATTACHED]
    assert one.told("b", "SuccessfulAttachVolume") == [ATTACHED]
    assert one.told("c", "SuccessfulAttachVolume") == []
    one.cluster.delete("Pod", "a")
    one.advance(60)
    assert len(one.attachments()) == 2
    one.cluster.delete("Pod", "c")
    one.advance(60)
    assert fuse_pods(one) == ["node-2"]


def test_what_the_driver_refuses_is_told_at_doubling_intervals(lab: Lab) -> None:
    one = lab()
    one.apply(volume(attributes={"path": "no/slash"}), claim(), pod())
    one.advance(16)
    text = (
        'AttachVolume.Attach failed for volume "pv-oss" : rpc error: code = InvalidArgument desc = Oss path error: '
        "start with no/slash, should start with /"
    )
    assert one.told(reason="FailedAttachVolume") == [("FailedAttachVolume", text, 6)]
    assert not one.told(reason="FailedMount")


def test_an_attachment_that_somebody_deletes_is_missed_at_the_next_minute(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod())
    one.advance(70 - (one.cluster.timeline.now() % 1))
    (old,) = one.attachments()
    one.cluster.delete("VolumeAttachment", old["metadata"]["name"])
    assert one.wait(lambda: not one.attachments(), 40)
    began = one.cluster.timeline.now()
    assert one.wait(lambda: bool(one.attachments()), 61)
    assert 5 < one.cluster.timeline.now() - began <= 60
    assert one.wait(lambda: bool(fuse_pods(one)), 30)


def test_without_controller_publish_there_are_no_attachments(lab: Lab) -> None:
    one = lab("1.28.3")
    one.run(volume(), claim(), pod())
    assert not one.attachments()
    assert not one.told(reason="SuccessfulAttachVolume")


def test_a_deployment_scaled_to_none_gives_the_volume_back(lab: Lab) -> None:
    one = lab(nodes=2)
    one.run(volume(), claim(), workload("Deployment", "app", 3, pod()))
    assert one.wait(lambda: len(one.attachments()) == 2, 60)
    one.api.patch("Deployment", "app", {"spec": {"replicas": 0}}, "default")
    assert one.wait(lambda: not one.attachments() and not fuse_pods(one), 120)
