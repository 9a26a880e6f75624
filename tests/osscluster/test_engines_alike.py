"""The same system calls cause the same requests on both engines: the model of the kernel is judged by the kernel."""

from __future__ import annotations

import os
import random
import stat
import time
from collections.abc import Callable
from typing import Any

import pytest

from osscluster.volume import Syscalls

Mount = Callable[..., Any]
Step = Callable[[Syscalls, Syscalls], object]


def _write(process: Syscalls, path: str, data: bytes, flags: int = os.O_CREAT | os.O_WRONLY | os.O_TRUNC) -> None:
    fd = process.open(path, flags, 0o666)
    try:
        if data:
            process.write(fd, data)
    finally:
        process.close(fd)


def _read(process: Syscalls, path: str) -> bytes:
    fd = process.open(path)
    try:
        return process.read(fd, 100_000)
    finally:
        process.close(fd)


def _open_unlink_close(process: Syscalls) -> None:
    fd = process.open("victim", os.O_CREAT | os.O_RDWR)
    process.write(fd, b"x")
    process.fsync(fd)
    process.unlink("victim")
    process.close(fd)


def _truncate_open(process: Syscalls) -> None:
    fd = process.open("new", os.O_RDWR)
    process.ftruncate(fd, 3)
    process.fstat(fd)
    process.close(fd)


# Each step is run on its own; what it causes is compared. The first process is root's, the second is uid 1000's.
STEPS: dict[str, Step] = {
    "stat root": lambda r, a: r.stat(""),
    "stat uploaded": lambda r, a: r.stat("uploaded.txt"),
    "stat again": lambda r, a: r.stat("uploaded.txt"),
    "stat by another": lambda r, a: a.stat("uploaded.txt"),
    "stat prefix only": lambda r, a: r.stat("implied"),
    "stat below it": lambda r, a: r.stat("implied/deep/file"),
    "stat missing": lambda r, a: r.stat("missing"),
    "stat missing again": lambda r, a: r.stat("missing"),
    "list root": lambda r, a: r.listdir(""),
    "list again": lambda r, a: r.listdir(""),
    "read uploaded": lambda r, a: _read(r, "uploaded.txt"),
    "read refused": lambda r, a: _read(a, "uploaded.txt"),
    "create": lambda r, a: _write(r, "new", b"hello"),
    "create empty": lambda r, a: _write(a, "empty", b""),
    "stat created": lambda r, a: r.stat("new"),
    "create exclusively": lambda r, a: _write(r, "new", b"", os.O_CREAT | os.O_EXCL | os.O_WRONLY),
    "overwrite": lambda r, a: _write(r, "new", b"other"),
    "append": lambda r, a: _write(r, "new", b" more", os.O_WRONLY | os.O_APPEND),
    "ftruncate": lambda r, a: _truncate_open(r),
    "truncate": lambda r, a: r.truncate("new", 2),
    "chmod": lambda r, a: r.chmod("new", 0o600),
    "chmod refused": lambda r, a: a.chmod("new", 0o666),
    "chown": lambda r, a: r.chown("new", 1000, 1001),
    "chown nobody": lambda r, a: r.chown("new", -1, -1),
    "utime": lambda r, a: r.utime("new", 1.0, 2.0),
    "access": lambda r, a: a.access("new", os.W_OK),
    "mkdir": lambda r, a: r.mkdir("dir"),
    "mkdir again": lambda r, a: r.mkdir("dir"),
    "create inside": lambda r, a: _write(r, "dir/f", b"x"),
    "rename file": lambda r, a: r.rename("new", "dir/new"),
    "rename over": lambda r, a: r.rename("dir/new", "dir/f"),
    "rename directory": lambda r, a: r.rename("dir", "moved"),
    "stat inside moved": lambda r, a: r.stat("moved/f"),
    "rmdir full": lambda r, a: r.rmdir("moved"),
    "symlink": lambda r, a: r.symlink("moved/f", "link"),
    "stat through link": lambda r, a: r.stat("link"),
    "readlink": lambda r, a: r.readlink("link"),
    "read through link": lambda r, a: _read(r, "link"),
    "link": lambda r, a: r.link("moved/f", "hard"),
    "mknod fifo": lambda r, a: r.mknod("fifo", stat.S_IFIFO | 0o600),
    "mknod regular": lambda r, a: r.mknod("regular", stat.S_IFREG | 0o600),
    "unlink open": lambda r, a: _open_unlink_close(r),
    "unlink": lambda r, a: r.unlink("moved/f"),
    "unlink missing": lambda r, a: r.unlink("moved/f"),
    "rmdir": lambda r, a: r.rmdir("moved"),
    "statvfs": lambda r, a: r.statvfs("empty"),
}


def _wait_for_release(m: Any, *, patience: int = 100) -> None:
    """RELEASE comes some time after close(2); until then a hidden file is there."""
    for _ in range(patience):
        if not any(".fuse_hidden" in key for key in m.admin.keys(m.bucket)):
            break
        m.root.statvfs("")


def _trace(mount: Mount, options: str, version: str) -> list[tuple[str, str, list[str]]]:
    m = mount(options, version=version)
    m.admin.put(m.bucket, "uploaded.txt", b"data", content_type="text/plain")
    m.admin.put(m.bucket, "implied/deep/file", b"data")
    processes = m.root, m.app
    log = m.engine.cloud.service.access_log
    seen = []
    for name, step in STEPS.items():
        mark = log.mark()
        outcome = "ok"
        try:
            step(*processes)
        except OSError as error:
            outcome = os.strerror(error.errno or 0)
        if name == "unlink open":
            _wait_for_release(m, patience=5000)
        # The HEADs of a listing go out side by side. The name of a hidden file counts inodes from the mount on.
        requests = sorted(
            f"{r.operation} {'.fuse_hidden' if r.object.startswith('.fuse_hidden') else r.object} {r.http_status}"
            for r in log.since(mark)
        )
        seen.append((name, outcome, requests))
    return seen


@pytest.mark.parametrize(
    ("options", "version"),
    [
        ("-o allow_other", "1.91.10"),
        ("-o allow_other -o use_xattr", "1.91.10"),
        ("-o allow_other -o max_stat_cache_size=0", "1.91.10"),
        ("-o allow_other", "1.91.3"),
        ("-o allow_other", "1.91.1"),
        ("-o allow_other", "1.88"),
        ("-o allow_other", "1.80.6"),
    ],
)
def test_the_same_calls_have_the_same_outcome_and_cause_the_same_requests(
    mount_kernel: Mount, mount_direct: Mount, options: str, version: str
) -> None:
    for _ in range(5):
        began = time.monotonic()
        kernel = _trace(mount_kernel, options, version)
        if time.monotonic() - began < 0.9:
            # On a loaded machine the kernel's second may end between two steps.
            break
    direct = _trace(mount_direct, options, version)
    assert direct == kernel


_PATHS = ["a", "b", "d", "d/x", "d/y", "e", "e/f", "l", "a/", "d/", "d/../a", "./b", "l/x"]
_TARGETS = ["a", "d", "l", "./a", "nowhere", "e/f"]
_CALLS = [
    "stat",
    "lstat",
    "listdir",
    "create",
    "create",
    "open",
    "read",
    "write",
    "pwrite",
    "pread",
    "close",
    "close",
    "mkdir",
    "rmdir",
    "unlink",
    "rename",
    "rename",
    "link",
    "symlink",
    "readlink",
    "chmod",
    "chown",
    "utime",
    "access",
    "truncate",
    "ftruncate",
    "fstat",
    "fsync",
    "lseek",
    "mknod",
]


def _random_call(process: Syscalls, descriptors: list[int], call: str, paths: tuple[str, str], k: int) -> object:
    """One call with arguments picked by `k`; what it answers, as far as both engines must agree."""
    path, other = paths
    fd = descriptors[k % len(descriptors)] if descriptors else 99
    match call:
        case "stat" | "lstat":
            seen = process.stat(path) if call == "stat" else process.lstat(path)
            return seen.mode, seen.uid, seen.gid, seen.size, seen.nlink, seen.blocks
        case "fstat":
            seen = process.fstat(fd)
            return seen.mode, seen.uid, seen.gid, seen.size
        case "listdir":
            return sorted((e.name, e.kind) for e in process.listdir(path) if not e.name.startswith(".fuse_hidden"))
        case "create" | "open":
            flags = [os.O_CREAT | os.O_RDWR, os.O_RDONLY][call == "open"]
            extra = (
                {0: os.O_EXCL, 1: os.O_TRUNC, 2: os.O_APPEND} if call == "create" else {1: os.O_RDWR, 2: os.O_NOFOLLOW}
            )
            descriptors.append(process.open(path, flags | extra.get(k, 0), 0o666 if k % 2 else 0o600))
            return descriptors[-1]
        case "close":
            if descriptors:
                process.close(descriptors.pop(k % len(descriptors)))
            return None
        case "rename":
            # Renaming a vanished name to itself blocks libfuse for ever; the real ossfs too.
            same = os.path.normpath("/" + path) == os.path.normpath("/" + other)
            return None if same else process.rename(path, other)
    arguments: dict[str, tuple[Any, ...]] = {
        "read": (fd, 10),
        "pread": (fd, 10, k),
        "write": (fd, b"w" * k),
        "pwrite": (fd, b"pp", 3 * k),
        "lseek": (fd, k, k % 3),
        "fsync": (fd,),
        "ftruncate": (fd, k),
        "truncate": (path, k),
        "mkdir": (path, [0o777, 0o700][k % 2]),
        "rmdir": (path,),
        "unlink": (path,),
        "link": (path, other),
        "symlink": (_TARGETS[k % len(_TARGETS)], path),
        "readlink": (path,),
        "chmod": (path, [0o644, 0o600, 0o4755, 0o777][k % 4]),
        "chown": (path, [1000, 0, -1][k % 3], [1001, -1][k % 2]),
        "utime": (path, float(k), float(k)),
        "access": (path, k),
        "mknod": (path, [stat.S_IFREG, stat.S_IFSOCK][k % 2] | 0o644),
    }
    return getattr(process, call)(*arguments[call])


def _random_trace(mount: Mount, seed: int, version: str) -> list[tuple[str, tuple[str, str], int, object]]:
    rng = random.Random(seed)
    m = mount("-o allow_other -o retries=1", version=version)
    descriptors: dict[int, list[int]] = {0: [], 1000: []}
    seen = []
    for _ in range(50):
        call, paths, k = rng.choice(_CALLS), (rng.choice(_PATHS), rng.choice(_PATHS)), rng.randrange(8)
        process = rng.choice([m.root, m.root, m.app])
        try:
            outcome = _random_call(process, descriptors[process.uid], call, paths, k)
        except OSError as error:
            outcome = os.strerror(error.errno or 0)
        if call == "close":
            _wait_for_release(m)
        seen.append((call, paths, k, outcome))
    m.volume.discard()
    return seen


@pytest.mark.parametrize("version", ["1.91.10", "1.80.6"])
@pytest.mark.parametrize("seed", range(12))
def test_random_calls_have_the_same_outcome(mount_kernel: Mount, mount_direct: Mount, seed: int, version: str) -> None:
    assert _random_trace(mount_direct, seed, version) == _random_trace(mount_kernel, seed, version)
