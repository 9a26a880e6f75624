"""Containers of a node: what they see, and who they are."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
from tests.osscluster.host.nodelab import TARGET, failure

from osscluster.errors import ProcessDied
from osscluster.host import ContainerMount, ContainerSpec

OTHER = "/var/lib/kubelet/pods/0f4a/volumes/kubernetes.io~csi/pv-two/mount"


def spec(*mounts: ContainerMount, **more: Any) -> ContainerSpec:
    return ContainerSpec(more.pop("name", "app"), mounts=mounts, **more)


def names(container: Any, path: str) -> list[str]:
    return sorted(entry.name for entry in container.listdir(path))


def test_a_container_sees_its_mounts_at_its_own_paths_and_nothing_of_the_node(node: Any) -> None:
    node.ossfs()
    app = node.host.start_container(spec(ContainerMount(f"{TARGET}/data", "/usr/share/nginx/html")))
    assert names(app, "/usr/share/nginx/html") == ["a.txt"]
    assert app.read(app.open("/usr/share/nginx/html/a.txt"), 10) == b"hello"
    assert failure(lambda: app.stat(TARGET)) == errno.ENOENT


def test_a_read_only_mount_of_a_container_answers_erofs(node: Any) -> None:
    node.ossfs()
    app = node.host.start_container(
        spec(ContainerMount(TARGET, "/data", read_only=True), ContainerMount(TARGET, "/write"))
    )
    calls: list[Callable[[], object]] = [
        lambda: app.mkdir("/data/new"),
        lambda: app.open("/data/new", os.O_WRONLY | os.O_CREAT),
        lambda: app.open("/data/data/a.txt", os.O_WRONLY),
        lambda: app.unlink("/data/data/a.txt"),
        lambda: app.chmod("/data/data/a.txt", 0o600),
        lambda: app.rename("/data/data/a.txt", "/data/data/b.txt"),
        lambda: app.open("/usr/new", os.O_WRONLY | os.O_CREAT),
    ]
    assert [failure(call) for call in calls] == [errno.EROFS] * len(calls)
    app.mkdir("/write/new")
    assert names(app, "/data") == ["data", "new"]


def test_a_container_has_the_ids_and_groups_it_was_given(node: Any) -> None:
    node.ossfs()
    app = node.host.start_container(
        spec(ContainerMount(TARGET, "/data"), uid=1000, gid=1001, groups=[2000], umask=0o027)
    )
    assert (app.uid, app.gid, list(app.groups)) == (1000, 1001, [2000])
    assert failure(lambda: app.open("/data/data/b.txt", os.O_WRONLY | os.O_CREAT)) == errno.EACCES
    node.host.root.chmod(f"{TARGET}/data", 0o777)
    app.close(app.open("/data/data/b.txt", os.O_WRONLY | os.O_CREAT, 0o666))
    seen = node.host.root.stat(f"{TARGET}/data/b.txt")
    assert (seen.uid, seen.gid, seen.mode & 0o777) == (1000, 1001, 0o640)


def test_a_supplementary_group_counts_on_the_nodes_own_disk(node: Any) -> None:
    node.host.makedirs("/var/lib/kubelet/pods/0f4a/volumes/kubernetes.io~empty-dir/scratch")
    scratch = "/var/lib/kubelet/pods/0f4a/volumes/kubernetes.io~empty-dir/scratch"
    node.host.root.chown(scratch, 0, 2000)
    node.host.root.chmod(scratch, 0o2770)
    member = node.host.start_container(spec(ContainerMount(scratch, "/scratch"), uid=1000, gid=1000, groups=[2000]))
    member.close(member.open("/scratch/f", os.O_WRONLY | os.O_CREAT))
    assert node.host.root.stat(f"{scratch}/f").gid == 2000
    stranger = node.host.start_container(spec(ContainerMount(scratch, "/scratch"), name="other", uid=1000, gid=1000))
    assert failure(lambda: stranger.listdir("/scratch")) == errno.EACCES


def test_a_running_container_keeps_a_dead_mount_and_a_new_one_gets_the_repaired(node: Any) -> None:
    ossfs = node.ossfs()
    app = node.host.start_container(spec(ContainerMount(TARGET, "/data")))
    ossfs.kill()
    assert failure(lambda: app.listdir("/data")) == errno.ENOTCONN
    with pytest.raises(OSError, match="not connected") as refused:
        node.host.start_container(spec(ContainerMount(TARGET, "/data"), name="again"))
    assert (refused.value.errno, refused.value.filename) == (errno.ENOTCONN, TARGET)
    node.host.umount(TARGET)
    node.ossfs()
    assert failure(lambda: app.listdir("/data")) == errno.ENOTCONN
    fresh = node.host.start_container(spec(ContainerMount(TARGET, "/data"), name="fresh"))
    assert names(fresh, "/data") == ["data"]


def test_a_mount_that_is_made_later_below_a_containers_volume_is_not_seen_in_it(node: Any) -> None:
    node.host.makedirs(f"{OTHER}/inner")
    app = node.host.start_container(spec(ContainerMount(OTHER, "/data")))
    node.ossfs(f"{OTHER}/inner")
    assert names(app, "/data/inner") == []
    later = node.host.start_container(spec(ContainerMount(OTHER, "/data"), name="later"))
    assert names(later, "/data/inner") == ["data"]


def test_a_volume_in_a_volume_is_mounted_whatever_their_order(node: Any) -> None:
    node.ossfs()
    node.ossfs(OTHER, path="/data/")
    app = node.host.start_container(spec(ContainerMount(OTHER, "/data/inner"), ContainerMount(TARGET, "/data")))
    assert names(app, "/data/inner") == ["a.txt"]
    assert names(node.host.root, TARGET) == ["data", "inner"]


def test_a_file_can_be_mounted_into_a_container(node: Any) -> None:
    node.host.write_file("/var/lib/kubelet/pods/0f4a/etc-hosts", "127.0.0.1 localhost\n")
    app = node.host.start_container(
        spec(ContainerMount("/var/lib/kubelet/pods/0f4a/etc-hosts", "/etc/ossvol-hosts", read_only=True))
    )
    assert app.read(app.open("/etc/ossvol-hosts"), 100) == b"127.0.0.1 localhost\n"


def test_a_source_that_is_missing_stops_a_container(node: Any) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        node.host.start_container(spec(ContainerMount("/nowhere", "/data")))
    assert missing.value.filename == "/nowhere"


def test_a_working_directory_that_is_missing_is_made_in_the_volume(node: Any) -> None:
    node.ossfs()
    node.host.start_container(spec(ContainerMount(TARGET, "/data"), working_dir="/data/work/here"))
    assert names(node.host.root, f"{TARGET}/work") == ["here"]


def test_a_working_directory_that_only_root_may_enter_does_not_stop_a_container(node: Any) -> None:
    # runc 1.0.0-rc93 and later enter it before they become the user.
    node.ossfs()
    node.host.root.chmod(f"{TARGET}/data", 0o700)
    app = node.host.start_container(spec(ContainerMount(TARGET, "/data"), uid=1000, working_dir="/data/data"))
    assert failure(lambda: app.listdir("/data/data")) in (errno.EACCES, errno.EPERM)  # EPERM: ossfs 1.80


def test_a_working_directory_that_is_a_file_stops_a_container_with_the_words_of_runc(node: Any) -> None:
    node.ossfs()
    with pytest.raises(OSError, match=r"mkdir /data/data/a\.txt: not a directory") as refused:
        node.host.start_container(spec(ContainerMount(TARGET, "/data"), working_dir="/data/data/a.txt"))
    assert refused.value.errno == errno.ENOTDIR


def test_an_ended_container_closes_its_files_and_makes_no_more_calls(node: Any) -> None:
    node.ossfs()
    app = node.host.start_container(spec(ContainerMount(TARGET, "/data")))
    fd = app.open("/data/b.txt", os.O_WRONLY | os.O_CREAT)
    app.write(fd, b"x")
    assert app.alive()
    app.end()
    app.end()
    assert not app.alive()
    assert node.host.holders(TARGET) == []
    with pytest.raises(ProcessDied):
        app.listdir("/")
    assert node.host.root.stat(f"{TARGET}/b.txt").size == 1


def test_moving_a_file_from_one_mount_to_another_is_refused(node: Any) -> None:
    node.ossfs()
    app = node.host.start_container(spec(ContainerMount(TARGET, "/one"), ContainerMount(TARGET, "/two")))
    assert failure(lambda: app.rename("/one/data/a.txt", "/two/data/b.txt")) == errno.EXDEV
    assert failure(lambda: app.rename("/one/data/a.txt", "/tmp/b.txt")) == errno.EXDEV
    app.rename("/one/data/a.txt", "/one/data/b.txt")
    assert names(app, "/two/data") == ["b.txt"]


def test_a_container_is_not_privileged_even_as_root(kernel_node: Any) -> None:
    kernel_node.ossfs()
    app = kernel_node.host.start_container(spec(ContainerMount(TARGET, "/data")))
    with open(f"/proc/{app.pid}/status", encoding="utf-8") as file:
        capabilities = [line.split()[1] for line in file if line.startswith(("CapEff", "CapPrm", "CapBnd"))]
    assert capabilities == ["00000000a80425fb"] * 3
