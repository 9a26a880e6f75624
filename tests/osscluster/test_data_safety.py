"""Nothing that close(2) or fsync(2) has acknowledged is lost, whatever happens around it: other writers, another mount,
a full local disk, failing uploads, the death of the process. Defects of releases apart (scenarios/defects).

With `--ossvol-ossfs PATH` the tests on the kernel judge that binary.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osscloud.faults import Fault

Mount = Callable[..., Any]
MIB = 1 << 20
PIECE = bytes(range(256)) * 512
SMALL_PARTS = "-o allow_other -o multipart_size=5 -o parallel_count=1"


def put(process: Any, path: str, data: bytes) -> None:
    fd = process.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    write(process, fd, data)
    process.close(fd)


def write(process: Any, fd: int, data: bytes, offset: int = 0) -> None:
    for at in range(0, len(data), MIB):
        assert process.pwrite(fd, data[at : at + MIB], offset + at) == len(data[at : at + MIB])


def get(process: Any, path: str) -> bytes:
    fd = process.open(path)
    data = read(process, fd)
    process.close(fd)
    return data


def read(process: Any, fd: int) -> bytes:
    pieces = []
    while piece := process.pread(fd, MIB, sum(map(len, pieces))):
        pieces.append(piece)
    return b"".join(pieces)


def stored(m: Any, key: str) -> bytes | None:
    found = m.admin.object(m.bucket, key)
    return None if found is None else bytes(found.read())


def name_of(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(OSError) as failure:  # noqa: PT011 - its errno is what the caller looks at
        call(*arguments)
    return errno.errorcode[failure.value.errno or 0]


# --- a map that outlives its descriptor ---


LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
MS_SYNC = 4


@pytest.mark.parametrize(("synced", "kept"), [(True, b"bbbb"), (False, b"aaaa")])
def test_what_a_map_changes_after_close_is_uploaded_by_msync_and_not_by_munmap(
    mount_kernel: Mount, synced: bool, kept: bytes
) -> None:
    # Python's own mmap keeps a descriptor, whose close would upload.
    m = mount_kernel()
    fd = os.open(Path(m.volume.mountpoint) / "f", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"aaaa")
    address = LIBC.mmap(None, 4, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    os.close(fd)
    ctypes.memset(address, ord("b"), 4)
    if synced:
        assert LIBC.msync(address, 4, MS_SYNC) == 0
    assert LIBC.munmap(address, 4) == 0
    m.volume.unmount()
    assert stored(m, "f") == kept


# --- several writers ---


def test_writers_of_different_places_of_one_file_lose_nothing(mount: Mount) -> None:
    m = mount()
    put(m.root, "f", b"." * 8000)
    writers = [(m.root, b"a"), (m.app, b"b"), (m.other, b"c"), (m.root, b"d")]
    m.root.chmod("f", 0o666)
    opened = [(process, process.open("f", os.O_RDWR), mark) for process, mark in writers]
    for turn in range(500):
        for number, (process, fd, mark) in enumerate(opened):
            process.pwrite(fd, mark, turn * 16 + number)
        if turn == 250:
            process, fd, _ = opened.pop()
            process.close(fd)
    for process, fd, _ in opened:
        process.fsync(fd)
        process.close(fd)
    expected = b"abcd............" * 251 + b"abc............." * 249
    assert stored(m, "f") == expected
    assert get(m.root, "f") == expected


def test_processes_that_write_one_file_at_the_same_time_lose_nothing(mount_kernel: Mount) -> None:
    m = mount_kernel()
    size, stripe, writers = 400_000, 5000, 4
    put(m.root, "f", bytes(size))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        process = m.volume.container(f"writer{number}")
        try:
            fd = process.open("f", os.O_RDWR)
            for offset in range(number * stripe, size, writers * stripe):
                process.pwrite(fd, bytes([65 + number]) * stripe, offset)
                if offset // stripe % 8 == number:
                    process.fsync(fd)
            process.close(fd)
        except BaseException as failure:  # noqa: BLE001 - raised by the test itself
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert stored(m, "f") == b"".join(bytes([65 + n % writers]) * stripe for n in range(size // stripe))


def test_of_two_mounts_the_last_close_wins_and_takes_what_it_has_not_written_from_the_object_of_then(
    mount: Mount,
) -> None:
    """ossfs fetches what an upload lacks when it uploads, and has no condition on which object it fetches from."""
    one = mount()
    two = mount(bucket=one.bucket)
    put(one.root, "f", b"old " * 1000)
    first, second = one.root.open("f", os.O_RDWR), two.root.open("f", os.O_RDWR)
    one.root.pwrite(first, b"one " * 900, 0)
    two.root.pwrite(second, b"two " * 1100, 0)
    two.root.close(second)
    assert stored(one, "f") == b"two " * 1100
    one.root.close(first)
    assert stored(one, "f") == b"one " * 900 + b"two " * 100


def test_what_a_writer_has_read_is_not_mixed_with_what_another_mount_writes_meanwhile(mount: Mount) -> None:
    one = mount()
    two = mount(bucket=one.bucket)
    put(one.root, "f", b"old " * 1000)
    first = one.root.open("f", os.O_RDWR)
    assert read(one.root, first) == b"old " * 1000
    one.root.pwrite(first, b"one " * 900, 0)
    put(two.root, "f", b"two " * 1100)
    one.root.close(first)
    assert stored(one, "f") == b"one " * 900 + b"old " * 100


def test_what_one_mount_has_closed_the_other_reads_at_its_next_open(mount: Mount) -> None:
    one = mount()
    two = mount(bucket=one.bucket)
    for number in range(5):
        writer, reader = (one, two) if number % 2 else (two, one)
        text = b"%d" % number * (number + 3)
        put(writer.root, f"f{number}", text)
        assert get(reader.root, f"f{number}") == text
        put(reader.root, f"g{number}", text)
        assert stored(one, f"g{number}") == text


# --- the local disk is full ---


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """24 MiB of memory as a file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root; run the tests as root")
    place = tmp_path / "tiny"
    place.mkdir(mode=0o755)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here ({done.stderr.decode().strip()}); run the tests where it can be")
    yield place
    # A killed mount may be a moment late in letting go of its files.
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("place", ["tmpdir", "use_cache"])
def test_a_full_local_disk_costs_no_file_that_was_closed(mount: Mount, tiny_disk: Path, place: str) -> None:
    m = mount(f"{SMALL_PARTS} -o {place}={tiny_disk} -o ensure_diskfree=2")
    put(m.root, "before", b"b" * MIB)
    fd = m.root.open("big", os.O_CREAT | os.O_RDWR)
    written, full = 0, ""
    try:
        while written < 40 * MIB:
            written += m.root.pwrite(fd, PIECE, written)
    except OSError as error:
        full = errno.errorcode[error.errno or 0]
    assert full in ("ENOSPC", "")  # a real 1.91 passes parts on when the disk is full, and goes on
    assert written > 15 * MIB
    m.root.fsync(fd)
    assert stored(m, "big") == (PIECE * (written // len(PIECE) + 1))[:written]
    m.root.close(fd)
    put(m.root, "after", b"a" * MIB)
    assert get(m.root, "before") == b"b" * MIB
    assert stored(m, "after") == b"a" * MIB
    assert get(m.root, "after") == b"a" * MIB


def test_too_small_a_disk_fails_the_mount_and_not_a_file_later(mount: Mount, tiny_disk: Path) -> None:
    from osscluster.volume import MountFailed

    with pytest.raises(MountFailed, match="no enough disk space"):
        mount(f"-o allow_other -o use_cache={tiny_disk} -o ensure_diskfree=100")


# --- uploads that fail ---


@pytest.mark.parametrize(("status", "code", "name"), [(403, "AccessDenied", "EPERM"), (409, "FileImmutable", "EIO")])
def test_after_a_failed_fsync_the_data_stay_and_the_next_one_uploads_them(
    mount: Mount, status: int, code: str, name: str
) -> None:
    m = mount()
    put(m.root, "f", b"old")
    fd = m.root.open("f", os.O_RDWR)
    m.root.pwrite(fd, b"new data", 0)
    m.engine.cloud.service.faults.add(Fault("PutObject", "f", status=status, code=code))
    assert name_of(m.root.fsync, fd) == name
    assert stored(m, "f") == b"old"
    assert read(m.root, fd) == b"new data"
    m.root.pwrite(fd, b"!", 8)
    m.root.fsync(fd)
    assert stored(m, "f") == b"new data!"
    m.root.close(fd)
    assert get(m.root, "f") == b"new data!"


def test_a_failed_upload_is_told_by_close_and_leaves_what_was_there(mount: Mount) -> None:
    m = mount()
    put(m.root, "f", b"old")
    fd = m.root.open("f", os.O_RDWR)
    m.root.pwrite(fd, b"new", 0)
    m.engine.cloud.service.faults.add(Fault("PutObject", "f", status=403, code="AccessDenied"))
    assert name_of(m.root.close, fd) == "EPERM"
    assert stored(m, "f") == b"old"
    assert get(m.root, "f") == b"old"


def test_a_failed_multipart_upload_leaves_no_part_behind_and_can_be_repeated(mount: Mount) -> None:
    m = mount(SMALL_PARTS)
    data = bytes(range(256)) * (12 * MIB // 256)
    put(m.root, "big", b"old")
    fd = m.root.open("big", os.O_RDWR)
    write(m.root, fd, data)
    m.engine.cloud.service.faults.add(Fault("UploadPart", "big", count=100, status=403, code="AccessDenied"))
    assert name_of(m.root.fsync, fd) == "EIO"
    assert stored(m, "big") == b"old"
    assert m.admin.uploads(m.bucket) == []
    m.engine.cloud.service.faults.clear()
    assert read(m.root, fd) == data
    m.root.fsync(fd)
    assert stored(m, "big") == data
    m.root.close(fd)


def test_a_sparse_file_survives_a_failed_upload(mount: Mount) -> None:
    m = mount(SMALL_PARTS)
    fd = m.root.open("sparse", os.O_CREAT | os.O_RDWR)
    m.root.pwrite(fd, b"begin", 0)
    m.root.pwrite(fd, b"end", 11 * MIB)
    m.engine.cloud.service.faults.add(Fault("InitiateMultipartUpload", "sparse", status=403, code="AccessDenied"))
    assert name_of(m.root.fsync, fd) == "EPERM"
    m.root.pwrite(fd, b"middle", 6 * MIB)
    m.root.fsync(fd)
    data = stored(m, "sparse") or b""
    assert len(data) == 11 * MIB + 3
    assert data[:5] + data[6 * MIB : 6 * MIB + 6] + data[11 * MIB :] == b"beginmiddleend"
    assert data.count(0) == len(data) - 14
    assert read(m.root, fd) == data
    m.root.close(fd)


# --- the death of the process ---


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_process_that_dies_during_a_multipart_upload_leaves_no_half_object(
    mount_kernel: Mount, old: bytes | None
) -> None:
    """On the direct engine nothing can die in the middle of a call."""
    m = mount_kernel(SMALL_PARTS)
    if old is not None:
        put(m.root, "big", old)
    fd = m.root.open("big", os.O_CREAT | os.O_RDWR)
    write(m.root, fd, b"x" * 16 * MIB)
    cloud = m.engine.cloud
    cloud.service.faults.add(Fault("UploadPart", "big", action="stall", seconds=60))
    log = cloud.access_log
    mark = log.mark()
    outcome: list[str] = []
    uploading = threading.Thread(target=lambda: outcome.append(name_of(m.root.fsync, fd)))
    uploading.start()
    deadline = time.monotonic() + 30
    while not any(record.operation == "UploadPart" for record in log.since(mark)):
        assert time.monotonic() < deadline
    m.volume.kill()
    uploading.join()
    assert outcome[0] in ("ENOTCONN", "ECONNABORTED")
    assert stored(m, "big") == old
    assert [key for key, _ in m.admin.uploads(m.bucket)] == ["big"]
    again = mount_kernel(bucket=m.bucket)
    assert [entry.name for entry in again.root.listdir("")] == (["big"] if old else [])
    put(again.root, "big", b"new")
    assert stored(m, "big") == b"new"


# --- size ---


def test_a_sparse_file_of_almost_5_gib_costs_neither_disk_nor_requests_until_it_is_uploaded(
    mount: Mount, tmp_path: Path
) -> None:
    """With 5 GiB that are not uploaded (max_dirty_data), the write itself uploads from 1.91 on."""
    m = mount(f"-o allow_other -o tmpdir={tmp_path}")
    size = (5 << 30) - MIB
    fd = m.root.open("sparse", os.O_CREAT | os.O_RDWR)
    free = os.statvfs(tmp_path)
    log = m.engine.cloud.access_log
    mark = log.mark()
    m.root.ftruncate(fd, size)
    assert m.root.pwrite(fd, b"end", size - 3) == 3
    assert m.root.fstat(fd).size == size
    assert m.root.pread(fd, 10, size - 6) == b"\0\0\0end"
    assert m.root.pread(fd, 4, 3 << 30) == bytes(4)
    assert log.since(mark) == []
    assert free.f_bavail - os.statvfs(tmp_path).f_bavail < (1 << 30) // free.f_frsize
    m.root.ftruncate(fd, 10)
    m.root.pwrite(fd, b"short", 0)
    m.root.close(fd)
    assert stored(m, "sparse") == b"short" + bytes(5)
