"""When kubelet walks a volume for fsGroup, and what it does to each entry."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest

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
