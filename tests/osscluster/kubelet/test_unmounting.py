"""Unmounting: Terminating until everything is away, what kubelet's log says meanwhile, restarts of kubelet."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
from tests.osscluster.clusterlab import ClusterLab, claim, pod, volume

Lab = Callable[..., ClusterLab]


@pytest.mark.parametrize("via", ["direct", "kernel"])
def test_a_process_that_uses_the_mount_on_the_node_keeps_the_pod_terminating(lab: Lab, via: str) -> None:
    one = lab(via=via)
    one.run(volume(), claim(), pod())
    target = one.target()
    holder = one.host().start_process("bash")
    fd = holder.open(f"{target}/a.txt")
    one.cluster.delete("Pod", "app")
    one.advance(90)
    assert "deletionTimestamp" in one.api.get("Pod", "app", "default")["metadata"]
    # Unmounting has no events, and the containers are gone.
    assert one.told()[-1][0] == "Killing"
    line = next(line for line in one.log() if "TearDown" in line)
    uid = one.uid()
    unique = '"kubernetes.io/csi/ossplugin.csi.alibabacloud.com^pv-oss"'
    assert line.startswith(
        f'UnmountVolume.TearDown failed for volume "oss" (UniqueName: {unique}) pod "{uid}" (UID: "{uid}") : '
        "kubernetes.io/csi: Unmounter.TearDownAt failed: rpc error: code = Internal desc = failed to unmount target "
        f'"{target}": unmount failed: exit status 32\nUnmounting arguments: {target}\nOutput: umount: {target}: target '
        "is busy."
    )
    holder.close(fd)
    assert one.wait(lambda: one.cluster.pod("app") is None, 123)
    assert not one.attachments()


@pytest.mark.parametrize("via", ["direct", "kernel"])
def test_a_dead_mount_does_not_keep_a_pod(lab: Lab, via: str) -> None:
    one = lab(via=via)
    one.run(volume(), claim(), pod(mount={"subPath": "d"}))
    one.kill_ossfs()
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        one.app().listdir("/data")
    one.cluster.delete("Pod", "app")
    assert one.wait(lambda: one.cluster.pod("app") is None, 30)
    assert not [line for line in one.host().mounts() if line.fstype == "fuse.ossfs" and "/pods/" in line.target]


def test_after_a_forced_deletion_kubelet_goes_on_unseen(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod())
    target = one.target()
    holder = one.host().start_process("bash")
    holder.open(f"{target}/a.txt")
    one.cluster.delete("Pod", "app", force=True)
    one.advance(60)
    assert one.cluster.pod("app") is None
    assert target in [line.target for line in one.host().mounts()]
    # As long as the node has the volume it is not detached.
    assert one.attachments()
    holder.end()
    assert one.wait(lambda: not one.attachments(), 200)
    assert target not in [line.target for line in one.host().mounts()]


def test_a_kubelet_that_starts_again_tells_of_orphans_every_two_seconds(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod())
    uid, target = one.uid(), one.target()
    holder = one.host().start_process("bash")
    holder.open(f"{target}/a.txt")
    one.cluster.delete("Pod", "app", force=True)
    one.advance(60)
    orphan = f'orphaned pod "{uid}" found, but volume paths are still present on disk'
    assert not [line for line in one.log() if line.startswith(orphan)]
    one.cluster.restart_kubelet("node-1")
    one.advance(10)
    assert len([line for line in one.log() if line.startswith(orphan)]) == 6
    one.host().run(f"umount {target}")
    holder.end()
    assert one.wait(lambda: not one.attachments(), 200)
    told = len(one.log())
    one.advance(60)
    assert len(one.log()) == told


def test_a_restart_of_kubelet_changes_nothing_about_mounts_that_live(lab: Lab) -> None:
    one = lab("1.28.3")
    one.run(
        volume(csi={"fsType": "ossfs"}, accessModes=["ReadWriteOnce"]),
        claim(accessModes=["ReadWriteOnce"]),
        pod(securityContext={"fsGroup": 3000}),
    )
    before, walks = one.host().mounts(), [line for line in one.log() if "SetVolumeOwnership" in line]
    one.cluster.restart_kubelet("node-1")
    one.advance(30)
    assert one.host().mounts() == before
    assert [line for line in one.log() if "SetVolumeOwnership" in line] == walks
    assert one.app().stat("/data/a.txt").size == 5


def test_dead_mounts_are_the_driver_s_business_after_a_restart_of_kubelet(lab: Lab) -> None:
    """1.30.4 repairs the target, which a running container can't see; 1.28.3 answers Internal for ever."""
    for csi, repaired in (("1.30.4", True), ("1.28.3", False)):
        one = lab(csi)
        one.run(volume(), claim(), pod())
        one.kill_ossfs()
        one.cluster.restart_kubelet("node-1")
        one.advance(60)
        if repaired:
            assert one.host().root.stat(one.target()).mode
            assert not one.told(reason="FailedMount")
        else:
            (told,) = one.told(reason="FailedMount")
            assert "transport endpoint is not connected" in told[1]
        with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
            one.app().listdir("/data")
        one.cluster.delete("Pod", "app")
        assert one.wait(lambda one=one: one.cluster.pod("app") is None, 300)  # type: ignore[misc]


def test_a_container_that_starts_again_upon_a_dead_mount_fails_in_containerd_s_words(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod())
    one.kill_ossfs()
    one.cluster.restart_container("app", "main")
    assert one.wait(lambda: one.waiting() == "CreateContainerError", 60)
    text = one.told(reason="Failed")[0][1]
    head, _, rest = text.partition('"')
    called, _, said = rest.partition('"')
    assert head == "Error: failed to generate container "
    assert len(called) == 64
    target = one.target()
    assert said == (
        f' spec: failed to generate spec: failed to stat "{target}": stat {target}: transport endpoint is not connected'
    )
    # kubelet does not publish what it takes to be mounted; only another Pod gets a new mount.
    one.advance(120)
    assert one.waiting() == "CreateContainerError"


def test_a_pod_whose_containers_have_ended_for_good_gives_its_volumes_back(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod(restartPolicy="Never"))
    one.app().end()
    assert one.wait(lambda: one.phase() == "Failed", 30)
    assert one.wait(lambda: not one.attachments(), 60)
    assert not [line for line in one.host().mounts() if "/pods/" in line.target]
    one.cluster.delete("Pod", "app")
    one.advance(5)
    assert one.cluster.pod("app") is None


def test_a_hand_made_bind_of_the_staged_mount_holds_it(lab: Lab) -> None:
    one = lab("1.28.3")
    one.run(volume(), claim(), pod())
    host = one.host()
    host.makedirs("/mnt/mine")
    host.bind(one.target(), "/mnt/mine")
    one.cluster.delete("Pod", "app")
    one.advance(30)
    assert any("is still mounted by other references [/mnt/mine]" in line for line in one.log())
    one.host().umount("/mnt/mine")
    assert one.wait(lambda: not [line for line in one.host().mounts() if line.fstype == "fuse.ossfs"], 130)


def test_restarts_come_at_once_then_after_ten_seconds_then_twice_as_long(lab: Lab) -> None:
    one = lab()
    one.run(volume(), claim(), pod())

    def restarts() -> int:
        return int(one.cluster.pod("app")["status"]["containerStatuses"][0]["restartCount"])  # type: ignore[index]

    for count, pause in ((1, 0), (2, 10), (3, 20), (4, 40)):
        one.app().end()
        if pause:
            one.advance(pause - 1)
            assert (restarts(), one.waiting()) == (count - 1, "CrashLoopBackOff")
        one.advance(2)
        assert restarts() == count
