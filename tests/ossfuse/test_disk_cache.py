"""use_cache: what stays on the local disk, when it is believed, and what del_cache and friends make of it.

The page maps, directories and defects here are what ossfs 1.80.6, 1.91.1 and 1.91.10 were seen to write and do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ossfuse.filesystem import Context

ROOT = Context(uid=0, gid=0, pid=1, umask=0o022, command="sh")
MIB = 1024 * 1024


def files(directory: Path) -> list[str]:
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file() and path.suffix != ".tmp"
    )


def page_map(cache: Path, path: str) -> str:
    return (cache / ".bkt.stat" / path).read_text()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    directory = tmp_path / "cache"
    directory.mkdir()
    return directory


def test_data_and_page_map_stay_after_the_last_close(ossfs, cache: Path) -> None:
    volume = ossfs("1.91.10", f"-ouse_cache={cache}")
    volume.put("d/a.txt", b"hello")
    assert volume.read("/d/a.txt") == b"hello"
    assert files(cache) == [".bkt.stat/d/a.txt", "bkt/d/a.txt"]
    inode = (cache / "bkt/d/a.txt").stat().st_ino
    assert page_map(cache, "d/a.txt") == f"{inode}:5\n0:5:1:0"
    assert (cache / "bkt/d/a.txt").stat().st_mode & 0o777 == 0o600
    assert volume.requests(lambda: volume.read("/d/a.txt")) == ["HEAD d/a.txt"]


def test_1_80_writes_no_inode_into_the_page_map(ossfs, cache: Path) -> None:
    volume = ossfs("1.80.6", f"-ouse_cache={cache}")
    volume.put("a", b"hello")
    volume.read("/a")
    assert page_map(cache, "a") == "5\n0:5:1"


def test_a_page_map_says_which_ranges_are_loaded(ossfs, cache: Path) -> None:
    volume = ossfs("1.91.10", f"-ouse_cache={cache},multipart_size=5,parallel_count=1")
    volume.put("big", b"x" * (12 * MIB))
    fh = volume.fs.open(ROOT, "/big", os.O_RDONLY)
    volume.fs.read(ROOT, "/big", fh, 4096, 6 * MIB)
    volume.fs.release(ROOT, "/big", fh)
    head = page_map(cache, "big").split("\n")[1:]
    assert head == [f"0:{6 * MIB}:0:0", f"{6 * MIB}:{5 * MIB}:1:0", f"{11 * MIB}:{MIB}:0:0"]


def test_the_mirror_of_an_open_file_goes_with_its_close(ossfs, cache: Path) -> None:
    volume = ossfs("1.91.10", f"-ouse_cache={cache}")
    volume.put("a", b"hello")
    fh = volume.fs.open(ROOT, "/a", os.O_RDONLY)
    assert len(list((cache / ".bkt.mirror").iterdir())) == 1
    volume.fs.release(ROOT, "/a", fh)
    assert list((cache / ".bkt.mirror").iterdir()) == []


@pytest.mark.parametrize(
    ("version", "fixed", "seen"),
    [
        ("1.80.6", False, b"11111"),
        ("1.80.6", True, b"22222"),
        ("1.91.1", False, b"22222"),
        ("1.91.10", False, b"22222"),
    ],
)
def test_an_object_of_equal_size_is_missed_by_1_80(ossfs, cache: Path, version: str, fixed: bool, seen: bytes) -> None:
    volume = ossfs(version, f"-ouse_cache={cache},stat_cache_expire=1", fixed=fixed)
    volume.put("a", b"11111")
    assert volume.read("/a") == b"11111"
    volume.clock.advance(5)
    volume.put("a", b"22222")
    volume.clock.advance(5)
    assert volume.read("/a") == seen


@pytest.mark.parametrize(("version", "seen"), [("1.80.6", b"1112222"), ("1.91.10", b"2222222")])
def test_1_80_glues_old_data_and_new_together(ossfs, cache: Path, version: str, seen: bytes) -> None:
    volume = ossfs(version, f"-ouse_cache={cache},stat_cache_expire=1")
    volume.put("a", b"111")
    volume.read("/a")
    volume.clock.advance(5)
    volume.put("a", b"2222222")
    volume.clock.advance(5)
    assert volume.read("/a") == seen


@pytest.mark.parametrize(
    ("version", "fixed", "seen"),
    [
        ("1.91.3", False, b"\0" * 7),
        ("1.91.10", False, b"\0" * 7),
        ("1.91.10", True, b"foreign"),
        ("1.80.6", False, b"foreign"),
    ],
)
def test_renaming_what_is_not_cached_makes_zeros_of_it(ossfs, cache: Path, version: str, fixed: bool, seen) -> None:
    volume = ossfs(version, f"-ouse_cache={cache}", fixed=fixed)
    volume.put("a", b"foreign")
    volume.fs.rename(ROOT, "/a", "/b")
    assert volume.read("/b") == seen
    assert volume.body("b") == b"foreign"
    fh = volume.fs.open(ROOT, "/b", os.O_WRONLY | os.O_APPEND)
    volume.fs.write(ROOT, "/b", fh, b"!", 7)
    volume.fs.flush(ROOT, "/b", fh)
    volume.fs.release(ROOT, "/b", fh)
    assert volume.body("b") == seen + b"!"


@pytest.mark.parametrize("version", ["1.80.6", "1.91.10"])
def test_rename_and_unlink_take_the_cached_file_along(ossfs, cache: Path, version: str) -> None:
    volume = ossfs(version, f"-ouse_cache={cache}")
    volume.write("/a", b"x")
    volume.fs.rename(ROOT, "/a", "/b")
    assert files(cache) == [".bkt.stat/b", "bkt/b"]
    assert volume.read("/b") == b"x"
    volume.fs.unlink(ROOT, "/b")
    assert files(cache) == []


def test_a_rename_into_a_directory_without_page_maps_forgets_the_map(ossfs, cache: Path) -> None:
    volume = ossfs("1.91.10", f"-ouse_cache={cache}")
    volume.write("/a", b"x")
    volume.fs.mkdir(ROOT, "/d", 0o755)
    volume.fs.rename(ROOT, "/a", "/d/a")
    assert files(cache) == ["bkt/d/a"]
    assert len(list((cache / ".bkt.mirror").iterdir())) == 1


@pytest.mark.parametrize(
    ("version", "fixed", "expected"),
    [
        ("1.80.6", False, ([".bkt.stat/a"], b"\0\0\0\0\0")),
        ("1.80.6", True, ([], b"hello")),
        ("1.91.10", False, ([], b"hello")),
    ],
)
def test_del_cache_wipes_at_start_and_end(ossfs, cache: Path, version: str, fixed: bool, expected) -> None:
    left, seen = expected
    first = ossfs(version, f"-ouse_cache={cache}", fixed=fixed)
    first.put("a", b"hello")
    first.read("/a")
    first.fs.destroy()
    second = ossfs(version, f"-ouse_cache={cache},del_cache", service=first.service, fixed=fixed)
    second.fs.start()
    assert files(cache) == left
    assert second.read("/a") == seen
    second.fs.destroy()
    assert files(cache) == left


def test_a_killed_process_writes_no_page_map(ossfs, cache: Path) -> None:
    volume = ossfs("1.91.10", f"-ouse_cache={cache},del_cache")
    volume.put("a", b"hello")
    fh = volume.fs.open(ROOT, "/a", os.O_RDONLY)
    before = page_map(cache, "a")
    volume.fs.read(ROOT, "/a", fh, 5, 0)
    volume.fs.destroy(killed=True)
    assert page_map(cache, "a") == before
    assert files(cache) == [".bkt.stat/a", "bkt/a"]


def test_a_damaged_page_map_is_no_page_map(ossfs, cache: Path) -> None:
    volume = ossfs("1.91.10", f"-ouse_cache={cache}")
    volume.put("a", b"hello")
    volume.read("/a")
    (cache / ".bkt.stat/a").write_text("1:5\n0:5:1:0")
    assert volume.read("/a") == b"hello"
    assert volume.requests()[-1] == "GET a"


def test_closed_files_make_room_when_the_disk_is_full(ossfs, cache: Path) -> None:
    volume = ossfs("1.91.10", f"-ouse_cache={cache},multipart_size=5,parallel_count=1")
    volume.put("a", b"hello")
    volume.read("/a")
    full = ossfs("1.91.10", f"-ouse_cache={cache},fake_diskfree=1,ensure_diskfree=10", service=volume.service)
    fh = full.fs.create(ROOT, "/b", 0o644, os.O_WRONLY)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        full.fs.write(ROOT, "/b", fh, b"x", 0)
    assert "bkt/a" not in files(cache)
    full.fs.release(ROOT, "/b", fh)


def test_links_and_what_is_written_through_them_are_never_kept(ossfs, cache: Path) -> None:
    volume = ossfs("1.80.6", f"-ouse_cache={cache}")
    volume.fs.symlink(ROOT, "target", "/l")
    assert volume.fs.readlink(ROOT, "/l") == "target"
    assert files(cache) == []


def test_with_the_cache_1_80_shares_a_file_between_its_opens(ossfs, cache: Path) -> None:
    volume = ossfs("1.80.6", f"-ouse_cache={cache}")
    volume.write("/a", b"one")
    writer = volume.fs.open(ROOT, "/a", os.O_RDWR)
    reader = volume.fs.open(ROOT, "/a", os.O_RDONLY)
    volume.fs.write(ROOT, "/a", writer, b"two", 0)
    assert volume.fs.read(ROOT, "/a", reader, 3, 0) == b"two"
    for fh in (writer, reader):
        volume.fs.flush(ROOT, "/a", fh)
        volume.fs.release(ROOT, "/a", fh)
