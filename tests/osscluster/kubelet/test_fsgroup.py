"""When kubelet walks a volume for fsGroup, and what it does to each entry."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator

import pytest
from tests.osscluster.clusterlab import ClusterLab, claim, pod, volume

from osscloud.admin import NewObject
from osscloud.faults import Fault
from osscluster.direct import DirectEngine
from osscluster.kubelet import profile
from osscluster.kubelet.fsgroup import FsGroupRequest, FsGroupWalk, applies
from osscluster.volume import Syscalls, VolumeSpec

MODERN = profile.find("1.30")


@pytest.mark.parametrize(
    ("request_", "walks"),
    [
        (FsGroupRequest(1000, False, "ossfs", ["ReadWriteOnce"]), True),
        (FsGroupRequest(None, False, "ossfs", ["ReadWriteOnce"]), False),
        (FsGroupRequest(1000, True, "ossfs", ["ReadWriteOnce"]), False),
        (FsGroupRequest(1000, False, "", ["ReadWriteOnce"]), False),
        (FsGroupRequest(1000, False, "ossfs", ["ReadWriteMany"]), False),
        (FsGroupRequest(1000, False, "ossfs", ["ReadOnlyMany", "ReadWriteOnce"]), True),
        (FsGroupRequest(1000, False, "", ["ReadWriteMany"], "File"), True),
        (FsGroupRequest(1000, False, "ossfs", ["ReadWriteOnce"], "None"), False),
    ],
)
def test_a_walk_needs_a_group_a_file_system_type_and_read_write_once(request_: FsGroupRequest, walks: bool) -> None:
    assert applies(request_) is walks


@pytest.fixture
def root() -> Iterator[Syscalls]:
    engine = DirectEngine()
    engine.cloud.admin.create_bucket("demo")
    engine.cloud.admin.put("demo", "dir/", b"", content_type="application/x-directory", meta={"mode": "488"})
    engine.cloud.admin.put("demo", "dir/a", b"x")
    volume = engine.mount(VolumeSpec("demo", options="-o allow_other"))
    yield volume.container("kubelet")
    engine.close()


def modes(root: Syscalls, *paths: str) -> list[str]:
    return [f"{stat.S_IMODE(root.lstat(path).mode):04o}" for path in paths]


def test_files_become_group_writable_and_directories_get_the_group_bit(root: Syscalls) -> None:
    walk = FsGroupWalk(root, MODERN, 3000)
    assert walk.run("", "Always")
    assert walk.entries == 3
    assert modes(root, "/dir", "/dir/a") == ["2770", "0660"]
    assert [root.lstat(path).gid for path in ("/dir", "/dir/a")] == [3000, 3000]


class Recorder:
    """Hands calls on and notes the order of chown."""

    def __init__(self, inner: Syscalls) -> None:
        self._inner = inner
        self.changed: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def lchown(self, path: str, uid: int, gid: int) -> None:
        self.changed.append(path)
        self._inner.lchown(path, uid, gid)


def test_the_root_comes_last_since_1_20_and_first_before(root: Syscalls) -> None:
    orders = []
    for version in ("1.30", "1.18"):
        recorder = Recorder(root)
        FsGroupWalk(recorder, profile.find(version), 3000).run("", "Always")  # type: ignore[arg-type]
        orders.append(recorder.changed)
    assert orders == [["/dir/a", "/dir", ""], ["", "/dir", "/dir/a"]]


def test_on_root_mismatch_looks_at_the_root_alone_when_it_fits(root: Syscalls) -> None:
    FsGroupWalk(root, MODERN, 3000).run("/dir", "Always")
    again = FsGroupWalk(root, MODERN, 3000)
    assert not again.run("/dir", "OnRootMismatch")
    assert again.entries == 0
    other = FsGroupWalk(root, MODERN, 3001)
    assert other.run("/dir", "OnRootMismatch")


def test_a_release_between_two_rows_is_as_the_older_of_them() -> None:
    assert profile.find("v1.31.4").corrupted == profile.find("1.30").corrupted
    assert profile.find("1.27").timeout_event
    assert not profile.find("1.28").timeout_event
    with pytest.raises(ValueError, match=r"oldest is 1\.18"):
        profile.find("1.16")
    with pytest.raises(ValueError, match=r"write 1\.30"):
        profile.find("latest")


@pytest.mark.parametrize("kubernetes", ["1.32", "1.33"])
def test_a_walk_of_minutes_is_told_after_half_a_minute_and_each_minute_since_1_33(
    lab: Callable[..., ClusterLab], kubernetes: str
) -> None:
    one = lab("1.28.3", kubernetes)
    one.admin.put_many("demo", [NewObject(f"many/{number:02}") for number in range(40)])
    # 43 objects, two copies each, two seconds a copy: about 170 s.
    one.engine.cloud.service.faults.add(Fault("CopyObject", count=1000, action="latency", seconds=2.0))
    modes = ["ReadWriteOnce"]
    context = {"fsGroup": 3000}
    one.apply(volume(csi={"fsType": "ossfs"}, accessModes=modes), claim(accessModes=modes))
    one.apply(pod(securityContext=context))
    uid = one.uid()
    one.advance(140)
    told = [event[1:] for event in one.told(reason="VolumePermissionChangeInProgress")]
    about = f"Setting volume ownership for {uid}/volumes/kubernetes.io~csi/pv-oss/mount"
    if kubernetes == "1.32":
        assert not told
    else:
        assert told[0] == (
            f"{about} is taking longer than expected, consider using OnRootMismatch - https://kubernetes.io/docs/tasks/"
            "configure-pod-container/security-context/"
            "#configure-volume-permission-and-ownership-change-policy-for-pods",
            1,
        )
        assert [text.startswith(f"{about}, processed ") for text, _ in told[1:]] == [True]
    assert one.phase() == "Pending"
    assert one.wait(lambda: one.phase() == "Running", 60)


def test_a_directory_that_can_not_be_listed_fails_the_walk_and_the_next_try_leaves_it_out(
    lab: Callable[..., ClusterLab],
) -> None:
    """What is mounted already is not set up again, so the second attempt does not walk."""
    one = lab("1.28.3")
    modes = ["ReadWriteOnce"]
    one.run(volume(csi={"fsType": "ossfs"}, accessModes=modes), claim(accessModes=modes), pod("first"), name="first")
    faults = one.engine.cloud.service.faults
    faults.add(Fault("GetBucket", count=100, status=403, code="AccessDenied"))
    one.run(pod(securityContext={"fsGroup": 3000}))
    (told,) = one.told(reason="FailedMount")
    assert told[1].startswith('MountVolume.SetUp failed for volume "pv-oss" : applyFSGroup failed for vol pv-oss: ')
    assert not [line for line in one.log() if line.startswith("SetVolumeOwnership")]
