"""Mounting, sharing, dying, unmounting: the three architectures of the driver against kubelet, on virtual time."""

from __future__ import annotations

import base64
import errno
from typing import Any

import pytest

from osscluster.csi import naming
from osscluster.csi.installation import Installation
from osscluster.csi.rpc import AccessMode, Code, CreateVolumeRequest, CsiError, VolumeCapability
from osscluster.nodespec import NodeSpec, OssfsInstallation
from osscluster.volume import MountFailed

URL = "oss-cn-hangzhou.aliyuncs.com"
VOLUME = {"bucket": "demo", "url": URL}
GLOBAL = (
    "/var/lib/kubelet/plugins/kubernetes.io/csi/ossplugin.csi.alibabacloud.com/"
    "8f3e75e1af90a7dcc66882ec1544cb5c7c32c82c2b56b25a821ac77cea60a928/globalmount"
)
ATTACH = "/run/fuse.ossfs/8f3e75e1af90a7dcc66882ec1544cb5c7c32c82c2b56b25a821ac77cea60a928/globalmount"
SOCKET = ATTACH.replace("globalmount", "mounter.sock")


def targets(one: Any) -> list[str]:
    return [line.target for line in one.host.mounts()]


def refusal(action: Any, *arguments: Any, **given: Any) -> str:
    with pytest.raises(CsiError) as caught:
        action(*arguments, **given)
    return str(caught.value).removeprefix("rpc error: ")


# --- ossfs on the node ---


def test_each_pod_has_an_ossfs_of_its_own_where_ossfs_runs_on_the_node(lab: Any) -> None:
    one = lab("1.26.5")
    one.publish(VOLUME)
    one.publish(VOLUME, target=one.target("uid-2"))
    assert targets(one) == [one.target(), one.target("uid-2")]
    assert len({process.pid for process in one.host.started}) == 2
    assert one.fuse_pods() == []


def test_a_node_run_mount_has_no_option_that_nobody_asked_for(lab: Any) -> None:
    one = lab("1.26.5")
    one.publish(VOLUME, capability=VolumeCapability(access_mode=AccessMode.MULTI_NODE_READER_ONLY), readonly=True)
    assert one.host.started[0].spec.options == []


def test_the_shared_mount_of_a_node_run_release_is_never_unmounted(lab: Any) -> None:
    one = lab("1.26.5")
    shared = {**VOLUME, "useSharedPath": "true"}
    one.publish(shared)
    one.publish(shared, target=one.target("uid-2"))
    assert targets(one) == [GLOBAL, one.target(), one.target("uid-2")]
    assert len(one.host.started) == 1
    one.unpublish()
    one.unpublish(one.target("uid-2"))
    assert targets(one) == [GLOBAL]


def test_the_password_file_of_a_node_keeps_one_line_a_bucket(lab: Any) -> None:
    one = lab("1.24.10")
    one.publish(VOLUME)
    one.publish({**VOLUME, "bucket": "other"}, volume_id="pv-2", target=one.target("u", "pv-2"))
    one.publish(VOLUME, target=one.target("uid-3"), secrets={"akId": "NEW", "akSecret": "SK"})
    assert one.host.files["/etc/passwd-ossfs"] == "demo:NEW:SK\nother:AK:SK\n"
    assert one.host.started[0].spec.passwd == "demo:AK:SK\n"


def test_sts_writes_no_password_file(lab: Any) -> None:
    one = lab("1.24.10")
    one.publish({**VOLUME, "authType": "sts"}, secrets={})
    assert "/etc/passwd-ossfs" not in one.host.files


def test_what_ossfs_prints_on_the_node_is_in_the_event(lab: Any) -> None:
    one = lab("1.24.10")
    one.host.answer = lambda spec: MountFailed("ossfs: invalid credentials", 1)
    said = refusal(one.publish, VOLUME)
    command = (
        f"systemd-run --scope -- /usr/local/bin/ossfs demo:/ {one.target()} "
        "-ourl=oss-cn-hangzhou-internal.aliyuncs.com  "
    )
    reply = (
        f"Fail: {command}, error: Failed to run cmd: {command}, with out: Running scope as unit run-10000.scope.\n"
        "ossfs: invalid credentials\n, with error: exit status 1"
    )
    assert said == (
        f"code = Unknown desc = Mount is failed in host, mntCmd:{command}, err: Exec command error:{reply}, "
        f"out: {reply}"
    )


def test_the_connectors_answer_is_cut_at_2048_bytes(lab: Any) -> None:
    one = lab("1.24.10")
    one.host.answer = lambda spec: MountFailed("x" * 4000, 1)
    reply = refusal(one.publish, VOLUME).rpartition(", out: ")[2]
    assert len(reply) == 2048


@pytest.mark.parametrize(
    ("state", "text", "status"),
    [
        (
            OssfsInstallation.MISSING,
            "Failed to find executable /usr/local/bin/ossfs: No such file or directory\n",
            "exit status 1",
        ),
        (
            OssfsInstallation.LIBRARY_MISSING,
            "Running scope as unit run-10000.scope.\n/usr/local/bin/ossfs: error while loading shared libraries: "
            "libcrypto.so.10: cannot open shared object file: No such file or directory\n",
            "exit status 127",
        ),
    ],
)
def test_an_ossfs_that_does_not_start_is_in_the_event(
    lab: Any, state: OssfsInstallation, text: str, status: str
) -> None:
    one = lab("1.24.10", NodeSpec("node-1", ossfs=state))
    said = refusal(one.publish, VOLUME)
    assert said.endswith(f", with out: {text}, with error: {status}")
    one.driver.restart("node-1")
    one.publish(VOLUME)


def test_a_failed_installation_is_retried_from_1_26_2(lab: Any) -> None:
    lab("1.26.2", NodeSpec("node-1", ossfs=OssfsInstallation.MISSING)).publish(VOLUME)


def test_the_package_is_on_the_node_and_can_be_installed_by_hand(lab: Any) -> None:
    one = lab("1.24.10", NodeSpec("node-1", ossfs=OssfsInstallation.MISSING, os="centos"))
    assert "/etc/csi-tool/ossfs_1.88.0_centos7.0_x86_64.rpm" in one.host.files
    one.driver.installation("node-1").install()
    one.publish(VOLUME)


def test_on_a_foreign_system_the_same_package_does_not_help_and_the_library_does(lab: Any) -> None:
    one = lab("1.24.10", NodeSpec("node-1", ossfs=OssfsInstallation.LIBRARY_MISSING, os="ubuntu"))
    one.driver.restart("node-1")
    assert "error while loading shared libraries" in refusal(one.publish, VOLUME)
    installation: Installation = one.driver.installation("node-1")
    installation.install()
    assert "error while loading shared libraries" in refusal(one.publish, VOLUME)
    installation.add_library()
    one.publish(VOLUME)


def test_releases_with_fuse_pods_want_nothing_of_the_node(lab: Any) -> None:
    lab("1.28.2", NodeSpec("node-1", ossfs=OssfsInstallation.MISSING)).publish(VOLUME)


def test_a_busy_mount_is_in_the_words_of_umount(lab: Any) -> None:
    one = lab("1.24.10")
    one.publish(VOLUME)
    one.host.busy.add(one.target())
    assert refusal(one.unpublish) == (
        f"code = Unknown desc = Oss, Umount oss Fail: Failed to exec command:umount -f {one.target()}, "
        f"stdout:umount: {one.target()}: target is busy.\n, stderr:exit status 32"
    )
    assert one.host.umounts[-1] == (one.target(), "force")


def test_a_directory_that_is_gone_is_an_error_in_1_26_5_and_none_from_1_26_7(lab: Any) -> None:
    early = lab("1.26.5")
    assert refusal(early.unpublish) == (
        f"code = Internal desc = Could not remove mount point {early.target()}: remove {early.target()}: no such file "
        "or directory"
    )
    lab("1.26.7").unpublish()
    lab("1.24.10").unpublish()


def test_the_first_releases_leave_the_directory_to_kubelet(lab: Any) -> None:
    one = lab("1.24.10")
    one.publish(VOLUME)
    one.unpublish()
    assert one.target() in one.host.directories
    later = lab("1.26.5")
    later.publish(VOLUME)
    later.unpublish()
    assert later.target() not in later.host.directories


# --- FUSE Pods of the node plugin ---


def test_a_fuse_pod_of_the_node_plugin_is_ossfs_itself(lab: Any) -> None:
    one = lab("1.28.6")
    one.publish(VOLUME)
    (pod,) = one.fuse_pods()
    metadata, container = pod["metadata"], pod["spec"]["containers"][0]
    assert metadata["namespace"] == "kube-system"
    assert metadata["name"].startswith("csi-fuse-ossfs-")
    assert metadata["labels"] == {
        "csi.alibabacloud.com/fuse-type": "ossfs",
        "csi.alibabacloud.com/volume-id": "pv-oss",
        "csi.alibabacloud.com/mount-path-hash": naming.mount_path_hash(GLOBAL),
    }
    assert metadata["annotations"] == {
        "csi.alibabacloud.com/mount-path": GLOBAL,
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
    }
    assert pod["spec"]["restartPolicy"] == "OnFailure"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 120
    assert container["name"] == "fuse-mounter"
    assert container["args"] == [
        "-o",
        "url=http://oss-cn-hangzhou-internal.aliyuncs.com,passwd_file=/etc/ossfs/passwd-ossfs",
        "demo:/",
        GLOBAL,
        "-f",
    ]
    assert targets(one) == [GLOBAL, one.target()]


def test_the_pods_key_is_in_a_secret_of_kube_system_while_the_volume_is_staged(lab: Any) -> None:
    one = lab("1.28.6")
    one.publish(VOLUME)
    data = one.api.get("Secret", "csi-ossfs-credentials", "kube-system")["data"]
    assert base64.b64decode(data["node-1.pv-oss"]) == b"demo:AK:SK"
    assert one.host.started[0].spec.passwd == "demo:AK:SK\n"
    one.unpublish()
    one.unstage()
    assert one.api.get("Secret", "csi-ossfs-credentials", "kube-system").get("data", {}) == {}


def test_a_second_pod_shares_the_mount_with_the_key_it_was_made_with(lab: Any) -> None:
    one = lab("1.28.6")
    one.publish(VOLUME)
    one.publish(VOLUME, target=one.target("uid-2"), secrets={"akId": "NEW", "akSecret": "SK"})
    assert len(one.host.started) == 1
    data = one.api.get("Secret", "csi-ossfs-credentials", "kube-system")["data"]
    assert base64.b64decode(data["node-1.pv-oss"]) == b"demo:NEW:SK"
    assert one.host.started[0].spec.passwd == "demo:AK:SK\n"


def test_exclusive_mounts_have_a_fuse_pod_each(lab: Any) -> None:
    one = lab("1.30.3")
    alone = {**VOLUME, "useSharedPath": "false"}
    one.publish(alone)
    one.publish(alone, target=one.target("uid-2"))
    assert targets(one) == [one.target(), one.target("uid-2")]
    assert len(one.fuse_pods()) == 2
    one.unpublish()
    one.timeline.advance(1)
    assert len(one.fuse_pods()) == 1


def test_from_1_30_4_the_key_is_ignored(lab: Any) -> None:
    one = lab("1.30.4")
    alone = {**VOLUME, "useSharedPath": "false"}
    one.publish(alone)
    one.publish(alone, target=one.target("uid-2"))
    assert len(one.host.started) == 1


def test_an_ossfs_that_fails_in_its_pod_is_a_timeout_after_30_s(lab: Any) -> None:
    one = lab("1.28.6")
    one.host.answer = lambda spec: MountFailed("ossfs: invalid credentials", 1)
    began = one.timeline.now()
    said = refusal(one.publish, VOLUME)
    assert said == "code = Internal desc = failed to mount: timed out waiting for the condition"
    assert one.timeline.now() - began == 30
    (pod,) = one.fuse_pods()
    assert "ossfs: invalid credentials" in one.log(pod)


def test_an_ossfs_that_ends_well_has_exited(lab: Any) -> None:
    one = lab("1.28.6")
    one.host.answer = lambda spec: MountFailed("", 0)
    said = refusal(one.publish, VOLUME)
    (pod,) = one.fuse_pods()
    assert said == f"code = Internal desc = failed to mount: fuse pod {pod['metadata']['name']} exited"


def test_a_failed_exclusive_mount_leaves_no_pod(lab: Any) -> None:
    one = lab("1.28.6")
    one.host.answer = lambda spec: MountFailed("no", 1)
    refusal(one.publish, {**VOLUME, "useSharedPath": "false"})
    one.timeline.advance(1)
    assert one.fuse_pods() == []


def test_a_pod_that_is_ready_without_mount_is_reported_until_it_is_deleted(lab: Any) -> None:
    one = lab("1.28.6")
    one.publish(VOLUME)
    one.host.umount(one.target())
    # The mount is gone, the Pod does not know it yet.
    process = one.host.started[0]
    one.host.table.clear()
    process.running = True
    (pod,) = one.fuse_pods()
    status = {**pod["status"], "conditions": [{"type": "Ready", "status": "True"}]}
    one.api.update_status({**pod, "status": status})
    said = refusal(one.publish, VOLUME, target=one.target("uid-2"))
    assert said == "code = Internal desc = failed to mount: fuse pod launched but target still not mounted"


def test_a_deleted_fuse_pod_serves_on_for_up_to_a_minute_from_1_28_2(lab: Any) -> None:
    for version, seconds in (("1.28.1", 0), ("1.28.2", 60)):
        one = lab(version)
        one.publish(VOLUME)
        (pod,) = one.fuse_pods()
        one.api.delete("Pod", pod["metadata"]["name"], "kube-system")
        began = one.timeline.now()
        assert one.timeline.wait_for(lambda one=one: not one.host.started[0].alive(), 120)
        assert one.timeline.now() - began == seconds
        with pytest.raises(OSError, match="endpoint is not connected") as caught:
            one.host.root.stat(one.target())
        assert caught.value.errno == errno.ENOTCONN
        one.timeline.advance(1)
        one.publish(VOLUME, target=one.target("uid-2"))
        assert one.host.root.stat(one.target("uid-2"))


@pytest.mark.parametrize("version", ["1.28.1", "1.28.3"])
def test_a_dead_shared_mount_stays_dead_before_1_28_5(lab: Any, version: str) -> None:
    one = lab(version)
    one.publish(VOLUME)
    one.host.started[0].kill()
    said = refusal(one.publish, VOLUME, target=one.target("uid-2"))
    assert said == f"code = Internal desc = stat {GLOBAL}: transport endpoint is not connected"


@pytest.mark.parametrize("version", ["1.28.5", "1.30.3"])
def test_a_dead_shared_mount_is_made_again_from_1_28_5(lab: Any, version: str) -> None:
    one = lab(version)
    one.publish(VOLUME)
    one.host.started[0].kill()
    one.timeline.advance(5)
    one.publish(VOLUME, target=one.target("uid-2"))
    assert one.host.root.stat(one.target("uid-2"))
    assert (GLOBAL, "") in one.host.umounts


def test_a_dead_target_is_left_alone_by_the_node_plugin(lab: Any) -> None:
    one = lab("1.30.3")
    one.publish(VOLUME)
    one.host.started[0].kill()
    said = refusal(one.publish, VOLUME)
    assert said == f"code = Internal desc = stat {one.target()}: transport endpoint is not connected"


def test_unstaging_removes_mount_and_pod(lab: Any) -> None:
    one = lab("1.28.6")
    one.publish(VOLUME)
    one.unpublish()
    one.unstage()
    one.timeline.advance(130)
    assert targets(one) == []
    assert one.fuse_pods() == []


def test_1_28_1_deletes_the_pod_of_a_busy_mount_and_later_releases_keep_it(lab: Any) -> None:
    for version, left in (("1.28.1", 0), ("1.28.2", 1)):
        one = lab(version)
        one.publish({**VOLUME, "useSharedPath": "false"})
        one.host.busy.add(one.target())
        said = refusal(one.unpublish)
        assert said == (
            f'code = Internal desc = failed to unmount target "{one.target()}": unmount failed: exit status 32\n'
            f"Unmounting arguments: {one.target()}\nOutput: umount: {one.target()}: target is busy.\n"
        )
        one.timeline.advance(130)
        assert len(one.fuse_pods()) == left


def test_two_first_mounts_at_once_exclude_each_other(lab: Any) -> None:
    one = lab("1.28.6")
    one.host.answer = lambda spec: MountFailed("no", 1)
    from osscluster.csi.rpc import NodePublishVolumeRequest

    def request(pod: str) -> NodePublishVolumeRequest:
        return NodePublishVolumeRequest(
            "pv-oss", one.target(pod), VolumeCapability(), volume_context=VOLUME, secrets={"akId": "a", "akSecret": "s"}
        )

    first = one.timeline.spawn("first", one.node.node_publish_volume(request("1")), loud=False)
    second = one.timeline.spawn("second", one.node.node_publish_volume(request("2")), loud=False)
    one.timeline.advance(1)
    assert not first.done
    assert isinstance(second.error, CsiError)
    assert second.error.code is Code.ABORTED
    assert second.error.message == "NodePublishVolume operation on shared path of volume pv-oss already exists"
    one.timeline.advance(60)


def test_the_default_service_account_is_checked_by_the_node_plugin(lab: Any) -> None:
    one = lab("1.28.6")
    one.api.remove("ServiceAccount", "csi-fuse-ossfs", "kube-system")
    said = refusal(one.publish, {**VOLUME, "authType": "rrsa", "roleName": "r"})
    assert said == (
        "code = Internal desc = failed to mount: check service account csi-fuse-ossfs for RRSA: serviceaccounts "
        '"csi-fuse-ossfs" not found'
    )


def test_a_wrong_dbglevel_of_the_config_map_fails_mounts_of_the_node_plugin(lab: Any) -> None:
    one = lab("1.28.6")
    one.configure("dbglevel=loud")
    one.publish(VOLUME)  # csi-plugin has not been restarted
    one.driver.restart("node-1")
    one.host.table.clear()
    one.unstage()
    one.timeline.advance(130)
    said = refusal(one.publish, VOLUME)
    assert said == 'code = Internal desc = failed to mount: invalid ossfs dbglevel: "loud"'


# --- FUSE Pods of the controller ---


def test_a_fuse_pod_of_the_controller_is_a_mount_server(lab: Any) -> None:
    one = lab("1.30.4")
    context = one.attach(VOLUME)
    assert context == {"mountPorxySocket": SOCKET}
    (pod,) = one.fuse_pods()
    container = pod["spec"]["containers"][0]
    assert pod["metadata"]["namespace"] == "ack-csi-fuse"
    assert container["name"] == "ossfs"
    assert container["args"] == [f"-socket={SOCKET}", "-v=4"]
    assert container["image"] == "registry-cn-hangzhou-vpc.ack.aliyuncs.com/acs/csi-ossfs:v1.91.3-d9f3917-aliyun"
    assert pod["status"]["phase"] == "Running"
    assert targets(one) == []
    one.publish(VOLUME, publish_context=context)
    assert targets(one) == [ATTACH, one.target()]
    assert one.host.started[0].spec.passwd == "demo:AK:SK\n"


@pytest.mark.parametrize(
    ("version", "image", "ossfs"),
    [
        ("1.26.6", "3071afa-aliyun", "1.88"),
        ("1.28.1", "3071afa-aliyun", "1.88"),
        ("1.28.5", "36f22e0-aliyun", "1.88"),
        ("1.28.6", "4af1b0e-aliyun", "1.88"),
        ("1.30.1", "4af1b0e-aliyun", "1.88"),
        ("1.30.3", "4af1b0e-aliyun", "1.88"),
        ("1.30.4", "v1.91.3-d9f3917-aliyun", "1.91.3"),
        ("1.31.1", "v1.91.3.ack.3-7ebc8cd-aliyun", "1.91.3"),
        ("1.31.3", "v1.91.4.ack.1-fe0b3a7-aliyun", "1.91.4"),
        ("1.32.1", "v1.91.5.ack.1-ed398f6-aliyun", "1.91.5"),
        ("1.33.1", "v1.91.5.ack.1-ed398f6-aliyun", "1.91.5"),
        ("1.33.4", "v1.91.7.ack.1-570be5f-aliyun", "1.91.7"),
        ("1.34.1", "v1.91.8.ack.2-98ce9e9", "1.91.8"),
        ("1.35.1", "v1.91.9.ack.1-b81059f", "1.91.9"),
        ("1.36.1", "v1.91.10.ack.1-318a02a", "1.91.10"),
        ("1.37.1", "v1.91.11.ack.1-f3157f4", "1.91.10"),
    ],
)
def test_each_release_ships_its_image_and_its_ossfs(lab: Any, version: str, image: str, ossfs: str) -> None:
    one = lab(version)
    one.publish(VOLUME)
    assert one.fuse_pods()[0]["spec"]["containers"][0]["image"].rpartition(":")[2] == image
    assert one.host.started[0].spec.version.startswith(ossfs)


@pytest.mark.parametrize(
    ("version", "image"),
    [
        ("1.30.1", "v1.91.2.ack.1-f804b1e-aliyun"),
        ("1.30.3", "v1.91.3.ack.1-1a5c93e-aliyun"),
    ],
)
def test_the_feature_gate_of_1_30_brings_the_newer_image(lab: Any, version: str, image: str) -> None:
    one = lab(version, feature_gates={"UpdatedOssfsVersion": True})
    one.publish(VOLUME)
    assert one.fuse_pods()[0]["spec"]["containers"][0]["image"].rpartition(":")[2] == image


@pytest.mark.parametrize(("version", "flag"), [("1.32.1", "-socket="), ("1.33.1", "--socket=")])
def test_the_mount_server_is_told_its_socket(lab: Any, version: str, flag: str) -> None:
    one = lab(version)
    one.attach(VOLUME)
    assert one.fuse_pods()[0]["spec"]["containers"][0]["args"][0] == f"{flag}{SOCKET}"


@pytest.mark.parametrize(("version", "key"), [("1.31.4", "ossfsPod"), ("1.33.1", "fusePod")])
def test_later_releases_name_the_pod_in_the_publish_context(lab: Any, version: str, key: str) -> None:
    one = lab(version)
    context = one.attach(VOLUME)
    assert context[key] == f"ack-csi-fuse/{one.fuse_pods()[0]['metadata']['name']}"


@pytest.mark.parametrize(
    ("version", "seconds", "said"),
    [
        ("1.30.4", 1.0, "ossfs exited: exit status 1"),
        ("1.33.4", 1.0, "ossfs exited: exit status 1"),
        ("1.34.1", 1.0, "ossfs exited: exit status 1, with stderr: ossfs: invalid credentials\n"),
        # From 1.36.1 on the server looks ten times a second.
        ("1.36.1", 0.1, "ossfs exited: exit status 1, with stderr: ossfs: invalid credentials\n"),
    ],
)
def test_a_failed_ossfs_leaves_its_pod_running_and_its_words_in_the_log(
    lab: Any, version: str, seconds: float, said: str
) -> None:
    one = lab(version)
    one.host.answer = lambda spec: MountFailed("ossfs: invalid credentials", 1)
    context = one.attach(VOLUME)
    began = one.timeline.now()
    assert refusal(one.publish, VOLUME, publish_context=context) == f"code = Internal desc = failed to mount: {said}"
    assert one.timeline.now() - began == pytest.approx(seconds)
    (pod,) = one.fuse_pods()
    assert pod["status"]["phase"] == "Running"
    assert "ossfs: invalid credentials" in one.log(pod)


def test_an_ossfs_that_ends_well_has_exited_without_status(lab: Any) -> None:
    one = lab("1.30.4")
    one.host.answer = lambda spec: MountFailed("", 0)
    assert refusal(one.publish, VOLUME) == "code = Internal desc = failed to mount: ossfs exited"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        # The driver waits as long as the server, and so does not hear its answer.
        ("1.30.4", "call mounter daemon: timeout waiting fd"),
        ("1.31.3", "failed to mount: timed out waiting for the condition"),
        ("1.37.1", "failed to mount: timed out waiting for the condition"),
    ],
)
def test_an_unreachable_endpoint_times_out_after_30_s(lab: Any, version: str, expected: str) -> None:
    far = {"bucket": "demo", "url": "oss-cn-shanghai-internal.aliyuncs.com"}
    one = lab(version)
    context = one.attach(far)
    began = one.timeline.now()
    said = refusal(one.publish, far, publish_context=context)
    assert said == f"code = Internal desc = {expected}"
    assert one.timeline.now() - began == 30
    assert one.host.started == []
    pods = lab("1.28.6")
    said = refusal(pods.publish, far)
    assert said == "code = Internal desc = failed to mount: timed out waiting for the condition"


def test_on_the_node_an_unreachable_endpoint_blocks_until_ossfs_gives_up(lab: Any) -> None:
    one = lab("1.24.10", NodeSpec("node-1", internet=False))
    began = one.timeline.now()
    said = refusal(one.publish, {"bucket": "demo", "url": "oss-cn-shanghai.aliyuncs.com"})
    assert "ossfs: connection timeout: oss-cn-shanghai.aliyuncs.com\n, with error: exit status 1" in said
    assert one.timeline.now() - began >= 300


def test_a_deleted_fuse_pod_of_the_controller_is_missed_at_its_socket(lab: Any) -> None:
    one = lab("1.30.4")
    one.publish(VOLUME)
    (pod,) = one.fuse_pods()
    one.api.delete("Pod", pod["metadata"]["name"], "ack-csi-fuse")
    one.timeline.advance(1)
    assert one.fuse_pods() == []
    said = refusal(one.publish, VOLUME, target=one.target("uid-2"), publish_context={"mountPorxySocket": SOCKET})
    assert said == (
        f"code = Internal desc = call mounter daemon: dial unix: dial unix {SOCKET}: connect: no such file or directory"
    )


def test_a_killed_mount_server_refuses_connections(lab: Any) -> None:
    one = lab("1.30.4")
    one.publish(VOLUME)
    from osscluster.csi.mountserver import SOCKETS

    SOCKETS.dial(one.host, SOCKET).kill()
    said = refusal(one.publish, VOLUME, target=one.target("uid-2"), publish_context={"mountPorxySocket": SOCKET})
    assert said == (
        f"code = Internal desc = call mounter daemon: dial unix: dial unix {SOCKET}: connect: connection refused"
    )


def test_detaching_deletes_the_pod_and_attaching_makes_a_new_one(lab: Any) -> None:
    one = lab("1.30.4")
    one.publish(VOLUME)
    one.timeline.run("detach", one.driver.controller.controller_unpublish_volume("pv-oss", "node-1"))
    assert one.fuse_pods() == []
    with pytest.raises(OSError, match="endpoint is not connected"):
        one.host.root.stat(one.target())
    one.publish(VOLUME, target=one.target("uid-2"))
    assert one.host.root.stat(one.target("uid-2"))


def test_a_dead_ossfs_in_a_living_pod_is_started_again(lab: Any) -> None:
    one = lab("1.30.4")
    one.publish(VOLUME)
    one.host.started[0].kill()
    one.publish(VOLUME, target=one.target("uid-2"))
    assert len(one.host.started) == 2
    one.publish(VOLUME)  # the dead target itself is repaired as well
    assert one.host.root.stat(one.target())


def test_a_mount_that_answers_stat_and_not_statfs_is_repaired_by_1_37_1_alone(lab: Any) -> None:
    for version, umounts in (("1.36.1", []), ("1.37.1", ["target"])):
        one = lab(version)
        one.publish(VOLUME)
        one.host.umounts.clear()
        one.host.statfs_refusal = errno.ENOTCONN
        one.publish(VOLUME)
        assert ["target" for path, _ in one.host.umounts if path == one.target()] == umounts


def test_the_request_to_the_mount_server_has_a_limit(lab: Any) -> None:
    long = {**VOLUME, "otherOpts": "-o instance_name=" + "x" * 2000}
    assert refusal(lab("1.35.1").publish, long) == "code = Internal desc = failed to mount: invalid message"
    lab("1.36.1").publish(long)


@pytest.mark.parametrize("version", ["1.30.4", "1.32.1"])
def test_a_missing_service_account_is_found_by_the_controller(lab: Any, version: str) -> None:
    attributes = {**VOLUME, "authType": "rrsa", "roleName": "r", "serviceAccountName": "csi-fuse-mine"}
    assert refusal(lab(version).attach, attributes) == (
        "code = Internal desc = failed to create ossfs pod: check service account csi-fuse-mine for RRSA: "
        'serviceaccounts "csi-fuse-mine" not found'
    )


def test_from_1_33_1_a_missing_service_account_is_left_to_the_api_server(lab: Any) -> None:
    attributes = {**VOLUME, "authType": "rrsa", "roleName": "r", "serviceAccountName": "csi-fuse-mine"}
    said = refusal(lab("1.33.1").attach, attributes)
    assert "check service account" not in said
    assert 'serviceaccount "csi-fuse-mine" not found' in said


def test_one_call_a_volume_at_a_time(lab: Any) -> None:
    one = lab("1.30.4")
    one.host.answer = lambda spec: None
    far = {"bucket": "demo", "url": "oss-cn-shanghai-internal.aliyuncs.com"}
    context = one.attach(far)
    from osscluster.csi.rpc import NodePublishVolumeRequest

    request = NodePublishVolumeRequest(
        "pv-oss",
        one.target(),
        VolumeCapability(),
        volume_context=far,
        secrets={"akId": "a", "akSecret": "s"},
        publish_context=context,
    )
    first = one.timeline.spawn("first", one.node.node_publish_volume(request), loud=False)
    one.timeline.advance(1)
    assert refusal(one.unpublish) == "code = Aborted desc = There is already an operation for pv-oss"
    one.timeline.advance(60)
    assert first.done
    one.unpublish()


def test_an_upgraded_driver_goes_on_with_the_pods_of_the_old_one(lab: Any) -> None:
    old = lab("1.30.4")
    context = old.attach(VOLUME)
    from osscluster.csi.driver import make_driver

    new = make_driver("1.31.3", api=old.api, timeline=old.timeline, cloud=old.cloud)
    old.node = new.node(old.spec, old.host)
    old.publish(VOLUME, publish_context=context)
    assert targets(old) == [ATTACH, old.target()]
    new.close()


# --- what csi-plugin sets up ---


def test_mime_types_of_the_node_reach_ossfs_but_in_1_26_6_and_1_28_1(lab: Any) -> None:
    for version, seen in (
        ("1.26.5", "text/x x\n"),
        ("1.26.6", ""),
        ("1.28.1", ""),
        ("1.28.2", "text/x x\n"),
        ("1.30.4", "text/x x\n"),
    ):
        one = lab(version, NodeSpec("node-1", mime_types="text/x x\n"))
        one.publish(VOLUME)
        assert one.host.started[0].spec.mime_types == seen, version


@pytest.mark.parametrize(("version", "works"), [("1.28.3", True), ("1.30.4", False), ("1.31.3", True)])
def test_mime_support_works_after_a_restart_of_csi_plugin(lab: Any, version: str, works: bool) -> None:
    one = lab(version)
    one.configure("mime-support=true")
    one.publish(VOLUME, volume_id="pv-1", target=one.target("u", "pv-1"))
    assert one.host.started[0].spec.mime_types == ""
    one.driver.restart("node-1")
    one.publish(VOLUME)
    assert ("text/html" in one.host.started[1].spec.mime_types) is works


def test_the_config_map_chooses_another_image(lab: Any) -> None:
    one = lab("1.30.4")
    one.configure('image-tag=v1.88.4-d9f3917-aliyun\nlabels={"team": "a"}')
    one.driver.restart_controller()
    one.publish(VOLUME)
    (pod,) = one.fuse_pods()
    assert pod["spec"]["containers"][0]["image"].endswith(":v1.88.4-d9f3917-aliyun")
    assert one.host.started[0].spec.version == "1.88"
    assert "team" not in pod["metadata"]["labels"]


def test_the_feature_gate_chooses_between_two_builds_of_ossfs(lab: Any) -> None:
    for version, gates, ossfs in (
        ("1.30.3", {}, "1.88"),
        ("1.30.3", {"UpdatedOssfsVersion": True}, "1.91.3"),
        ("1.30.4", {}, "1.91.3"),
        ("1.30.4", {"UpdatedOssfsVersion": False}, "1.88"),
    ):
        one = lab(version, feature_gates=gates)
        one.publish(VOLUME)
        assert one.host.started[0].spec.version == ossfs


# --- the controller ---


def create(one: Any, **parameters: str) -> Any:
    request = CreateVolumeRequest("oss-1", (VolumeCapability(),), 5 << 30, parameters)
    return one.timeline.run("create", one.driver.controller.create_volume(request))


def test_volumes_exist_by_name_only(lab: Any) -> None:
    made = create(lab("1.30.4"), bucket="demo", path="/a")
    assert (made.volume_id, made.capacity, made.context) == ("oss-1", 5 << 30, {"bucket": "demo", "path": "/a"})


def test_volume_as_subpath_is_a_directory_of_the_volumes_name(lab: Any) -> None:
    assert create(lab("1.31.3"), path="/a/", volumeAs="subpath").context["path"] == "/a/oss-1"
    assert create(lab("1.31.1"), path="/a", volumeAs="subpath").context["path"] == "/a"


def test_only_retained_volumes_are_created_from_1_33_4(lab: Any) -> None:
    policy = {"csi.alibabacloud.com/reclaimPolicy": "Delete"}
    create(lab("1.33.1"), **policy)
    assert refusal(create, lab("1.33.4"), **policy) == (
        'code = InvalidArgument desc = ReclaimPolicy must be Retain. The current reclaimPolicy is "Delete"'
    )


def test_deleting_looks_the_volume_up_until_1_33_1(lab: Any) -> None:
    one = lab("1.30.4")
    said = refusal(one.timeline.run, "delete", one.driver.controller.delete_volume("pv-x"))
    assert said == (
        'code = Unknown desc = DeleteVolume: Get volume pv-x is failed, err: persistentvolumes "pv-x" not found'
    )
    later = lab("1.33.4")
    later.timeline.run("delete", later.driver.controller.delete_volume("pv-x"))


def test_capabilities_follow_the_architecture(lab: Any) -> None:
    node_run, by_node, by_controller = lab("1.26.5"), lab("1.28.6"), lab("1.30.4")
    assert [list(one.node.capabilities()) for one in (node_run, by_node, by_controller)] == [
        [],
        ["STAGE_UNSTAGE_VOLUME"],
        ["STAGE_UNSTAGE_VOLUME"],
    ]
    assert "PUBLISH_UNPUBLISH_VOLUME" not in by_node.driver.controller.capabilities()
    assert list(by_controller.driver.controller.capabilities()) == [
        "CREATE_DELETE_VOLUME",
        "PUBLISH_UNPUBLISH_VOLUME",
        "PUBLISH_READONLY",
    ]
