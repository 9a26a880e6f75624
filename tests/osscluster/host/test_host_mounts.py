"""What is mounted on a node: ossfs, bind mounts, their ends."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from tests.osscluster.host.nodelab import TARGET, failure

from osscluster.host import ContainerMount, ContainerSpec
from osscluster.volume import MountFailed

SUBPATH = "/var/lib/kubelet/pods/0f4a/volume-subpaths/pv-oss/app/0"
GLOBAL = "/run/fuse.ossfs/7d1c/globalmount"


def names(node: Any, path: str) -> list[str]:
    return sorted(entry.name for entry in node.host.root.listdir(path))


def test_the_mount_line_of_ossfs_is_the_one_that_mount_prints_on_a_node(node: Any) -> None:
    node.ossfs()
    options = "rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other"
    assert [str(line) for line in node.host.mounts()] == [f"ossfs on {TARGET} type fuse.ossfs ({options})"]


def test_a_read_only_mount_without_allow_other_says_so(node: Any) -> None:
    node.ossfs(options=["-o", "ro"])
    (line,) = node.host.mounts()
    assert line.options == "ro,nosuid,nodev,relatime,user_id=0,group_id=0"
    assert failure(lambda: node.host.root.mkdir(f"{TARGET}/new")) == errno.EROFS


def test_a_bind_mount_shows_the_directory_and_has_lost_nosuid_and_nodev(node: Any) -> None:
    node.ossfs(GLOBAL)
    node.host.makedirs(TARGET)
    node.host.bind(f"{GLOBAL}/data", TARGET)
    assert names(node, TARGET) == ["a.txt"]
    assert [(line.target, line.options) for line in node.host.mounts()] == [
        (GLOBAL, "rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other"),
        (TARGET, "rw,relatime,user_id=0,group_id=0,allow_other"),
    ]


def test_a_read_only_bind_refuses_to_write_while_its_source_does_not(node: Any) -> None:
    node.ossfs(GLOBAL)
    node.host.makedirs(TARGET)
    node.host.bind(GLOBAL, TARGET, read_only=True)
    assert failure(lambda: node.host.root.mkdir(f"{TARGET}/new")) == errno.EROFS
    node.host.root.mkdir(f"{GLOBAL}/new")
    assert names(node, TARGET) == ["data", "new"]
    assert node.host.mounts()[1].options == "ro,relatime,user_id=0,group_id=0,allow_other"


def test_a_file_can_be_bound(node: Any) -> None:
    node.ossfs()
    node.host.write_file(SUBPATH, "")
    node.host.bind(f"{TARGET}/data/a.txt", SUBPATH)
    assert node.host.read_file(SUBPATH) == "hello"
    assert failure(lambda: node.host.root.unlink(SUBPATH)) == errno.EBUSY
    node.host.umount(SUBPATH)
    assert node.host.read_file(SUBPATH) == ""


def test_binding_what_is_not_there_says_enoent(node: Any) -> None:
    node.host.makedirs(TARGET)
    assert failure(lambda: node.host.bind("/nowhere", TARGET)) == errno.ENOENT
    assert failure(lambda: node.host.bind(TARGET, "/nowhere")) == errno.ENOENT
    assert node.host.mounts() == []


def test_a_failed_mount_leaves_nothing_and_names_the_path_of_the_node(node: Any) -> None:
    node.host.write_file(f"{TARGET}/in-the-way", "x")
    with pytest.raises(MountFailed) as failed:
        node.ossfs()
    assert f"MOUNTPOINT directory {TARGET} is not empty" in failed.value.message
    assert node.host.mounts() == []


def test_a_mount_point_that_is_missing_fails_the_mount(node: Any) -> None:
    node.ossfs(GLOBAL)
    node.host.umount(GLOBAL)
    node.host.root.rmdir(GLOBAL)
    node.host.makedirs(os.path.dirname(TARGET))
    spec = node.ossfs(GLOBAL).spec
    with pytest.raises(MountFailed, match=f"unable to access MOUNTPOINT {TARGET}: No such file or directory"):
        node.host.start_ossfs(type(spec)(bucket=spec.bucket, path="/", mountpoint=TARGET, passwd=spec.passwd))


def test_unmounting_the_last_mount_ends_ossfs(node: Any) -> None:
    ossfs = node.ossfs()
    node.host.umount(TARGET)
    assert not ossfs.alive()
    assert node.host.mounts() == []
    assert names(node, TARGET) == []


def test_ossfs_serves_on_while_a_bind_of_it_remains(node: Any) -> None:
    ossfs = node.ossfs(GLOBAL)
    node.host.makedirs(TARGET)
    node.host.bind(GLOBAL, TARGET)
    node.host.umount(GLOBAL)
    assert ossfs.alive()
    assert names(node, TARGET) == ["data"]
    node.host.umount(TARGET)
    assert not ossfs.alive()


def test_a_killed_ossfs_leaves_dead_mounts(node: Any) -> None:
    ossfs = node.ossfs(GLOBAL)
    node.host.makedirs(TARGET)
    node.host.bind(GLOBAL, TARGET)
    ossfs.kill()
    assert not ossfs.alive()
    assert node.targets() == [GLOBAL, TARGET]
    for path in (GLOBAL, TARGET, f"{TARGET}/data/a.txt"):
        assert failure(lambda path=path: node.host.root.stat(path)) == errno.ENOTCONN
    node.host.makedirs(SUBPATH)
    assert failure(lambda: node.host.bind(TARGET, SUBPATH)) == errno.ENOTCONN
    assert failure(lambda: node.host.root.rmdir(TARGET)) == errno.EBUSY
    node.host.umount(TARGET)
    node.host.umount(GLOBAL)
    node.host.root.rmdir(TARGET)


def test_a_terminated_ossfs_unmounts_itself_and_its_binds_are_dead(node: Any) -> None:
    ossfs = node.ossfs(GLOBAL)
    node.host.makedirs(TARGET)
    node.host.bind(GLOBAL, TARGET)
    ossfs.terminate()
    assert not ossfs.alive()
    assert node.targets() == [TARGET]
    assert failure(lambda: node.host.root.listdir(TARGET)) == errno.ENOTCONN
    assert names(node, GLOBAL) == []


def test_a_second_mount_hides_the_first_until_it_is_unmounted(node: Any) -> None:
    dead = node.ossfs()
    dead.kill()
    node.host.makedirs(GLOBAL)
    fresh = node.ossfs(GLOBAL)
    node.host.bind(GLOBAL, TARGET)
    assert names(node, TARGET) == ["data"]
    assert node.targets() == [TARGET, GLOBAL, TARGET]
    node.host.umount(TARGET)
    assert failure(lambda: node.host.root.stat(TARGET)) == errno.ENOTCONN
    assert fresh.alive()


def test_an_open_file_makes_a_mount_busy_and_a_lazy_unmount_takes_it_from_the_table(node: Any) -> None:
    ossfs = node.ossfs()
    reader = node.host.start_process("reader")
    fd = reader.open(f"{TARGET}/data/a.txt")
    assert failure(lambda: node.host.umount(TARGET)) == errno.EBUSY
    node.host.umount(TARGET, flags="lazy")
    assert node.host.mounts() == []
    assert reader.read(fd, 10) == b"hello"
    assert ossfs.alive()
    reader.end()
    assert not ossfs.alive()


def test_a_mount_on_a_mount_makes_it_busy(node: Any) -> None:
    node.ossfs(GLOBAL)
    node.ossfs()
    node.host.bind(f"{GLOBAL}/data", f"{TARGET}/data")
    assert failure(lambda: node.host.umount(TARGET)) == errno.EBUSY
    node.host.umount(f"{TARGET}/data")
    node.host.umount(TARGET)


def test_a_forced_unmount_of_a_busy_mount_fails_and_ends_ossfs(node: Any) -> None:
    ossfs = node.ossfs()
    reader = node.host.start_process("reader")
    fd = reader.open(f"{TARGET}/data/a.txt")
    assert failure(lambda: node.host.umount(TARGET, flags="force")) == errno.EBUSY
    assert node.targets() == [TARGET]
    assert failure(lambda: reader.read(fd, 10)) is not None
    reader.end()
    assert not ossfs.alive()
    assert failure(lambda: node.host.root.stat(TARGET)) == errno.ENOTCONN
    node.host.umount(TARGET, flags="force")
    assert node.host.mounts() == []


def test_unmounting_what_is_no_mount_point_says_so(node: Any) -> None:
    node.ossfs()
    assert failure(lambda: node.host.umount(f"{TARGET}/data")) == errno.EINVAL
    assert failure(lambda: node.host.umount(GLOBAL)) == errno.ENOENT


def test_a_directory_deleted_in_the_bucket_leaves_a_bind_that_is_not_there(node: Any) -> None:
    if getattr(node.engine, "ossfs", None):
        pytest.skip("a real ossfs caches for 15 minutes of the machine's time; to fix it: leave --ossvol-ossfs out")
    node.ossfs()
    node.host.makedirs(SUBPATH)
    node.host.bind(f"{TARGET}/data", SUBPATH)
    for key in ("data/a.txt", "data/"):
        node.admin.delete(node.bucket, key)
    node.engine.advance(1000)
    assert failure(lambda: node.host.root.stat(SUBPATH)) == errno.ENOENT
    assert failure(lambda: node.host.root.rmdir(SUBPATH)) == errno.EBUSY
    node.host.umount(SUBPATH)
    node.host.root.rmdir(SUBPATH)


def test_directories_and_files_of_the_node_are_made_with_their_modes(node: Any) -> None:
    node.host.makedirs(TARGET, 0o750)
    node.host.write_file("/etc/updatedb.conf", 'PRUNEFS = "nfs"\n', 0o640)
    root = node.host.root
    assert root.stat("/var/lib/kubelet").mode & 0o7777 == 0o750
    assert root.stat("/etc").mode & 0o7777 == 0o755
    assert root.stat("/etc/updatedb.conf").mode & 0o7777 == 0o640
    assert node.host.read_file("/etc/updatedb.conf") == 'PRUNEFS = "nfs"\n'
    assert node.host.read_file("/etc/nothing") is None
    stranger = node.host.start_process("stranger", uid=1000, gid=1000)
    assert failure(lambda: stranger.stat(TARGET)) == errno.EACCES
    assert failure(lambda: stranger.open("/etc/updatedb.conf")) == errno.EACCES


def test_two_nodes_do_not_see_each_other(node: Any) -> None:
    node.ossfs()
    other = node.engine.host(node.host.name + "-b")
    try:
        other.makedirs("/etc")
        assert other.mounts() == []
        assert failure(lambda: other.root.stat(TARGET)) == errno.ENOENT
    finally:
        other.close()
    assert node.targets() == [TARGET]


def test_a_node_is_the_same_until_it_is_closed(node: Any) -> None:
    node.ossfs()
    assert node.engine.host(node.host.name) is node.host
    node.host.close()
    node.host.close()
    again = node.engine.host(node.host.name)
    assert again is not node.host
    assert again.mounts() == []
    again.close()


def test_an_ossfs_that_is_kept_only_by_a_container_ends_with_it(node: Any) -> None:
    ossfs = node.ossfs()
    app = node.host.start_container(ContainerSpec("app", mounts=[ContainerMount(TARGET, "/data")]))
    node.host.umount(TARGET)
    assert ossfs.alive()
    assert [entry.name for entry in app.listdir("/data")] == ["data"]
    app.end()
    assert not ossfs.alive()
