"""updatedb on a node: what it looks at, what updatedb.conf keeps it from, and what csi-plugin adds to that file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from osscluster import updatedb
from osscluster.cluster import Cluster
from osscluster.engine import DirectEngine, KernelEngine, kernel_unavailable
from osscluster.host import OssfsSpec
from osscluster.nodespec import NodeSpec

VOLUME = "/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/pv-oss/mount"


@pytest.fixture(params=["direct", "kernel"])
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    missing = kernel_unavailable()
    if request.param == "kernel" and missing is not None:
        pytest.skip(f"no kernel mounts here: {missing}")
    made = KernelEngine() if request.param == "kernel" else DirectEngine()
    made.cloud.admin.create_bucket("demo")
    made.cloud.admin.put("demo", "dir/a.txt", b"hello")
    yield made
    made.close()


@pytest.fixture
def host(engine: Any) -> Iterator[Any]:
    """A node with a volume."""
    made = engine.host("node-1")
    made.makedirs("/etc", 0o755)
    made.makedirs(VOLUME)
    key = engine.cloud.key
    made.start_ossfs(OssfsSpec("demo", "/", VOLUME, passwd=f"demo:{key.id}:{key.secret}\n", version="1.91.3"))
    yield made
    made.close()


def scanned(engine: Any, host: Any) -> tuple[updatedb.Scan, dict[str, int]]:
    """The run, and the requests that it caused."""
    mark = engine.cloud.access_log.mark()
    done = updatedb.scan(host, top="/var")
    commands: dict[str, int] = {}
    for record in engine.cloud.access_log.since(mark):
        commands[record.caller.command] = commands.get(record.caller.command, 0) + 1
    return done, commands


def test_without_pruning_every_directory_of_the_bucket_is_listed(engine: Any, host: Any) -> None:
    host.write_file("/etc/updatedb.conf", updatedb.DEFAULT_CONFIGURATION)
    done, requests = scanned(engine, host)
    # lib, kubelet, pods, uid-1, volumes, kubernetes.io~csi, pv-oss, mount; dir and dir/a.txt of the bucket.
    assert (done.entries, done.skipped, done.refused) == (10, (), ())
    assert list(requests) == ["updatedb"]
    assert requests["updatedb"] >= 2


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        ('PRUNEFS = "nfs fuse.ossfs"\n', VOLUME),
        ('PRUNEFS="FUSE.OSSFS"\n', VOLUME),
        ('PRUNEPATHS = "/tmp /var/lib/kubelet/"\n', "/var/lib/kubelet"),
        (updatedb.configured_for_volumes(updatedb.DEFAULT_CONFIGURATION), "/var/lib/kubelet"),
    ],
)
def test_what_the_configuration_names_is_not_looked_into(engine: Any, host: Any, text: str, skipped: str) -> None:
    host.write_file("/etc/updatedb.conf", text)
    done, requests = scanned(engine, host)
    assert done.skipped == (skipped,)
    assert requests == {}


def test_a_dead_mount_is_passed_over(engine: Any, host: Any) -> None:
    host.ossfs_at(VOLUME).kill()
    done, _ = scanned(engine, host)
    assert done.refused == (f"{VOLUME}: Transport endpoint is not connected",)


# --- what csi-plugin does to the file ---


def test_settings_that_are_there_stay_and_are_not_added_twice() -> None:
    once = updatedb.configured_for_volumes(updatedb.DEFAULT_CONFIGURATION)
    assert updatedb.configured_for_volumes(once) == once
    pruning = updatedb.parse(once)
    assert {"FUSE.OSSFS", "NFS"} <= pruning.filesystems
    assert {"/var/lib/kubelet", "/var/lib/container/kubelet", "/tmp"} <= pruning.paths


def test_bind_mounts_are_pruned_afterwards() -> None:
    assert 'PRUNE_BIND_MOUNTS = "yes"' in updatedb.configured_for_volumes('PRUNE_BIND_MOUNTS = "no"\nPRUNEFS = ""\n')


def test_a_file_without_these_settings_is_left_alone() -> None:
    assert updatedb.configured_for_volumes("# nothing\n") == "# nothing\n"


@pytest.mark.parametrize(
    ("version", "mlocate", "configured"),
    [
        ("1.26.7", True, False),
        ("1.28.1", True, False),
        ("1.26.8", True, True),
        ("1.28.3", True, True),
        ("1.30.4", True, True),
        ("1.30.4", False, None),
    ],
)
def test_csi_plugin_keeps_updatedb_off_volumes_where_mlocate_is_installed(
    version: str, mlocate: bool, configured: bool | None
) -> None:
    engine = DirectEngine()
    cluster = Cluster(engine, csi=version, nodes=[NodeSpec("node-1", mlocate=mlocate)])
    try:
        text = cluster.nodes["node-1"].host.read_file("/etc/updatedb.conf")
        assert (None if text is None else "fuse.ossfs" in text) is configured
    finally:
        cluster.close()
        engine.close()
