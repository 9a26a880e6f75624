"""What an administrator types on a node, and who holds what."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import Any

import pytest
from tests.osscluster.host.nodelab import TARGET

from osscluster.errors import EnvironmentMissing
from osscluster.host import ContainerMount, ContainerSpec

SUBPATH = "/var/lib/kubelet/pods/0f4a/volume-subpaths/pv-oss/app/0"


def test_mount_and_grep_find_the_mount_line_of_a_pod(node: Any) -> None:
    node.ossfs()
    seen = node.host.run("mount | grep 0f4a | grep fuse.ossfs")
    options = "rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other"
    assert seen.stdout == f"ossfs on {TARGET} type fuse.ossfs ({options})\n"
    assert (seen.returncode, seen.stderr) == (0, "")


def test_grep_that_finds_nothing_exits_with_1(node: Any) -> None:
    node.ossfs()
    seen = node.host.run("mount | grep other-pod")
    assert (seen.returncode, seen.stdout, seen.stderr) == (1, "", "")


def test_umount_typed_on_the_node_takes_effect(node: Any) -> None:
    ossfs = node.ossfs()
    seen = node.host.run(f"umount {TARGET}")
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, "", "")
    assert node.host.mounts() == []
    assert not ossfs.alive()


def test_umount_of_a_busy_mount_says_so_and_lazily_it_works(node: Any) -> None:
    node.ossfs()
    holder = node.host.start_process("holder")
    holder.open(f"{TARGET}/data/a.txt")
    seen = node.host.run(f"umount {TARGET}")
    assert (seen.returncode, seen.stderr) == (32, f"umount: {TARGET}: target is busy.\n")
    assert node.host.run(f"umount -l {TARGET}").returncode == 0
    assert node.host.mounts() == []


@pytest.mark.parametrize(("path", "reason"), [("/etc", "not mounted."), ("/nothing", "no mount point specified.")])
def test_umount_of_what_is_not_mounted_says_so(node: Any, path: str, reason: str) -> None:
    node.host.makedirs("/etc")
    seen = node.host.run(f"umount {path}")
    assert (seen.returncode, seen.stderr) == (32, f"umount: {path}: {reason}\n")


def test_umount_of_a_dead_mount_works(node: Any) -> None:
    node.ossfs().kill()
    assert node.host.run(f"umount {TARGET}").returncode == 0
    assert node.host.mounts() == []


def test_lsof_names_the_process_that_keeps_a_mount_busy(node: Any) -> None:
    node.ossfs()
    holder = node.host.start_process("holder")
    holder.open(f"{TARGET}/data/a.txt", os.O_RDWR)
    seen = node.host.run(f"lsof {TARGET}")
    header, *rows = seen.stdout.splitlines()
    assert header.split() == ["COMMAND", "PID", "USER", "FD", "TYPE", "DEVICE", "SIZE/OFF", "NODE", "NAME"]
    (row,) = [line.split() for line in rows]
    assert row[:5] == ["holder", str(holder.pid), "root", "3u", "REG"]
    assert row[6] == "5"
    assert row[8] == f"{TARGET}/data/a.txt"
    assert node.host.run(f"lsof {TARGET}/data/a.txt").stdout == seen.stdout


def test_lsof_of_a_mount_that_nobody_uses_prints_nothing(node: Any) -> None:
    node.ossfs()
    seen = node.host.run(f"lsof {TARGET}")
    assert (seen.returncode, seen.stdout) == (1, "")


def test_lsof_shows_a_containers_file_under_the_containers_own_path(node: Any) -> None:
    node.ossfs()
    app = node.host.start_container(ContainerSpec("app", uid=1000, gid=1000, mounts=[ContainerMount(TARGET, "/data")]))
    app.open("/data/data/a.txt")
    rows = node.host.run(f"lsof {TARGET}").stdout.splitlines()[1:]
    assert [(row.split()[0], row.split()[-1]) for row in rows] == [("app", "/data/data/a.txt")]


def test_holders_are_named_with_paths_of_the_node(node: Any) -> None:
    node.ossfs()
    node.host.makedirs(SUBPATH)
    node.host.bind(f"{TARGET}/data", SUBPATH)
    app = node.host.start_container(ContainerSpec("app", uid=1000, gid=1000, mounts=[ContainerMount(SUBPATH, "/data")]))
    fd = app.open("/data/a.txt")
    assert [(h.path, h.pid, h.command, h.uid) for h in node.host.holders(SUBPATH)] == [
        (f"{SUBPATH}/a.txt", app.pid, "app", 1000)
    ]
    assert [h.path for h in node.host.holders(TARGET)] == [f"{TARGET}/data/a.txt"]
    assert node.host.holders("/etc") == []
    app.close(fd)
    assert node.host.holders("/var/lib/kubelet") == []


def test_a_containers_current_directory_is_held(node: Any) -> None:
    node.ossfs()
    spec = ContainerSpec("app", mounts=[ContainerMount(TARGET, "/data")], working_dir="/data/data")
    node.host.start_container(spec)
    assert [h.path for h in node.host.holders(TARGET)] == [f"{TARGET}/data"]


def test_a_container_that_has_a_file_open_does_not_keep_the_nodes_mount_busy(node: Any) -> None:
    ossfs = node.ossfs()
    app = node.host.start_container(ContainerSpec("app", mounts=[ContainerMount(TARGET, "/data")]))
    fd = app.open("/data/data/a.txt")
    node.host.umount(TARGET)
    assert node.host.mounts() == []
    assert ossfs.alive()
    assert app.read(fd, 10) == b"hello"


def test_the_model_refuses_commands_that_it_does_not_know(direct_node: Any) -> None:
    for command in ("ls /", "mount -o remount /", "umount /a; reboot", "mount | sed 1d", "lsof"):
        with pytest.raises(EnvironmentMissing, match="--via kernel"):
            direct_node.host.run(command)


def test_the_shell_of_a_node_is_a_real_one_that_sees_the_nodes_files(kernel_node: Any) -> None:
    kernel_node.ossfs()
    kernel_node.host.write_file("/etc/updatedb.conf", 'PRUNEFS = "nfs"\n')
    run = kernel_node.host.run
    assert run("cat /etc/updatedb.conf | tr a-z A-Z 2>/dev/null").stdout == 'PRUNEFS = "NFS"\n'
    assert run(f"cat {TARGET}/data/a.txt; exit 3").stdout == "hello"
    assert run("exit 3").returncode == 3
    assert run("kill -9 $$").returncode == 137
    assert run("touch /usr/new").returncode == 1


def test_the_machines_own_programs_see_the_mounts_of_a_node(kernel_node: Any) -> None:
    kernel_node.ossfs()
    place = kernel_node.host.machine_path(TARGET)
    mounted = subprocess.run(["mount", "-t", "fuse.ossfs"], capture_output=True, text=True, check=True).stdout
    assert f"ossfs on {place} type fuse.ossfs (rw,nosuid,nodev,relatime" in mounted
    with open(f"{place}/data/a.txt", encoding="utf-8") as file:
        assert file.read() == "hello"
        held = kernel_node.host.holders(TARGET)
        assert [(h.path, h.pid) for h in held] == [(f"{TARGET}/data/a.txt", os.getpid())]
        with pytest.raises(OSError, match="busy") as busy:
            kernel_node.host.umount(TARGET)
        assert busy.value.errno == errno.EBUSY
    subprocess.run(["umount", place], check=True)
    assert kernel_node.host.mounts() == []
