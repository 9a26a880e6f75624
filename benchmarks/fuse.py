"""The FUSE side, measured side by side: cost of a cached stat, time to the first answer, one slow upload against
others.

Prints ratios and their targets, and exits 1 when one is missed. Needs root, /dev/fuse and libfuse; run it on a quiet
machine: `python benchmarks/fuse.py [--rounds N]`.

- stat of a cached entry: a real mount (HTTP transport, attribute and entry cache of the kernel off) against the same
  adapter over a file system that does nothing but answer, and against plain mfusepy doing that; caller and file system
  are pinned to one core, slices of 0.1 s interleaved, the best slice of each counts.
- mount: from the fork of a warm parent to the first answered stat.
- one slow upload: time of small reads and writes while another process's upload waits 2 s for the server, against the
  same without it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import mfusepy

from ossfuse.attributes import Attributes
from ossfuse.filesystem import Context
from ossfuse.fuse_adapter import Adapter, serve
from ossfuse.mount import run
from ossfuse.profile import find

if TYPE_CHECKING:
    from osscloud.http_server import HttpServer
    from osscloud.service import OssService

STAT_TARGET = 0.70
MOUNT_TARGET = 0.15
STALL_TARGET = 3.0
FILES = 200
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["ossfuse.mount"])


class Nothing:
    """The least that the adapter can call: every name is the same file."""

    root = Attributes(0o40755, 0, 0)
    file = Attributes(0o100644, 0, 0, size=5, mtime=1.7e9, atime=1.7e9, ctime=1.7e9)

    def getattr(self, ctx: object, path: str, fh: int | None = None) -> Attributes:
        return self.root if path == "/" else self.file

    def access(self, ctx: object, path: str, mask: int) -> None:
        return None

    def destroy(self) -> None:
        return None


class NothingAtAll(mfusepy.Operations):
    """mfusepy's own way: every name is the same file, as a dictionary."""

    use_ns = True
    root: ClassVar[dict[str, int]] = {"st_mode": 0o40755, "st_nlink": 1, "st_uid": 0, "st_gid": 0}
    file: ClassVar[dict[str, int]] = {"st_mode": 0o100644, "st_nlink": 1, "st_size": 5, "st_uid": 0, "st_gid": 0}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        return self.root if path == "/" else self.file


def pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


def serve_nothing(mountpoint: str) -> None:
    pin(0)
    adapter = Adapter(Nothing(), context=Context, now=time.time, flags=find("1.91.3"))  # type: ignore[arg-type]
    serve(adapter, mountpoint, ["attr_timeout=0", "entry_timeout=0"], name="nothing")


def serve_nothing_at_all(mountpoint: str) -> None:
    pin(0)
    mfusepy.FUSE(NothingAtAll(), mountpoint, foreground=True, attr_timeout=0, entry_timeout=0)


def serve_ossfs(argv: list[str], core: int | None, telling: Connection | None) -> None:
    if core is not None:
        pin(core)
    sys.exit(run(argv, version="1.91.3", ready_fd=None if telling is None else os.dup(telling.fileno())))


@contextlib.contextmanager
def mounted(mountpoint: Path, target: Callable[..., None], *arguments: object) -> Iterator[None]:
    """A mount served by a child of the warm parent until the block ends."""
    process = WARM.Process(target=target, args=arguments)
    process.start()
    try:
        wait_for_mount(mountpoint)
        yield
    finally:
        subprocess.run(["umount", "-l", str(mountpoint)], check=False, capture_output=True)
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def wait_for_mount(mountpoint: Path) -> None:
    device = os.stat(mountpoint.parent).st_dev
    deadline = time.monotonic() + 10
    while os.stat(mountpoint).st_dev == device:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{mountpoint} was not mounted within 10 s")
        time.sleep(0.001)


def stats_per_second(mountpoint: Path, seconds: float) -> float:
    paths = [os.fsencode(mountpoint / f"f{number}") for number in range(FILES)]
    stat, buffer = _libc_stat()
    for path in paths:
        stat(path, buffer)
    count = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        for path in paths:
            stat(path, buffer)
        count += len(paths)
    return count / elapsed


def _libc_stat() -> tuple[Callable[[bytes, object], int], object]:
    """stat(2) without os.stat's result object: the caller shares a core with what is measured."""
    libc = ctypes.CDLL(None)
    return libc.stat, ctypes.create_string_buffer(256)


def measure_stat(directory: Path, arguments: list[str], rounds: int) -> bool:
    paths = {name: directory / name for name in ("ossfs", "nothing", "mfusepy")}
    for path in paths.values():
        path.mkdir()
    argv = ["bkt", str(paths["ossfs"]), *arguments, "-oattr_timeout=0,entry_timeout=0"]
    with (
        mounted(paths["nothing"], serve_nothing, str(paths["nothing"])),
        mounted(paths["mfusepy"], serve_nothing_at_all, str(paths["mfusepy"])),
        mounted(paths["ossfs"], serve_ossfs, argv, 0, None),
    ):
        before = os.sched_getaffinity(0)
        pin(0)
        rates: dict[str, list[float]] = {name: [] for name in paths}
        for _ in range(rounds * 5):
            for name, found in rates.items():
                found.append(stats_per_second(paths[name], 0.1))
        os.sched_setaffinity(0, before)
    # The best slice of each: whatever else runs on the machine only ever takes away.
    found = {name: max(values) for name, values in rates.items()}
    print(f"stat, no-op, plain mfusepy {found['mfusepy']:10.0f} /s")
    print(f"stat, no-op, this adapter  {found['nothing']:10.0f} /s")
    print(f"stat, cached entry         {found['ossfs']:10.0f} /s")
    report("stat / plain mfusepy", found["ossfs"] / found["mfusepy"], STAT_TARGET, at_least=True)
    return report("stat / same adapter", found["ossfs"] / found["nothing"], STAT_TARGET, at_least=True)


def measure_mount(directory: Path, arguments: list[str], rounds: int) -> bool:
    times = []
    for number in range(rounds):
        mountpoint = directory / f"quick{number}"
        mountpoint.mkdir()
        waiting, telling = WARM.Pipe(duplex=False)
        argv = ["bkt", str(mountpoint), *arguments]
        began = time.perf_counter()
        process = WARM.Process(target=serve_ossfs, args=(argv, None, telling))
        process.start()
        telling.close()
        os.read(waiting.fileno(), 1)
        os.stat(mountpoint / "f0")
        times.append(time.perf_counter() - began)
        waiting.close()
        subprocess.run(["umount", str(mountpoint)], check=True)
        process.join()
    print(f"mount to first answer      {statistics.median(times) * 1000:10.1f} ms (worst {max(times) * 1000:.1f})")
    return report("mount, seconds", statistics.median(times), MOUNT_TARGET, at_least=False)


def small_work(mountpoint: Path, rounds: int) -> list[float]:
    times = []
    for number in range(rounds):
        began = time.perf_counter()
        (mountpoint / f"small{number}").write_bytes(b"x" * 100)
        (mountpoint / f"f{number}").read_bytes()
        times.append(time.perf_counter() - began)
    return times


def measure_stall(directory: Path, arguments: list[str], service: OssService) -> bool:
    from osscloud.faults import Fault

    mountpoint = directory / "stall"
    mountpoint.mkdir()
    with mounted(mountpoint, serve_ossfs, ["bkt", str(mountpoint), *arguments], None, None):
        small_work(mountpoint, 5)
        alone = statistics.median(small_work(mountpoint, 40))
        service.faults.add(Fault(operation="PutObject", key="slow", action="stall", seconds=2.0))
        slow = threading.Thread(target=(mountpoint / "slow").write_bytes, args=(b"y" * 1000,))
        slow.start()
        time.sleep(0.05)
        beside = statistics.median(small_work(mountpoint, 40))
        overlapped = slow.is_alive()
        slow.join()
    print(f"write and read, alone      {alone * 1000:10.2f} ms")
    print(f"write and read, beside     {beside * 1000:10.2f} ms {'' if overlapped else '(the slow upload was over!)'}")
    return report("beside / alone", beside / alone, STALL_TARGET, at_least=False) and overlapped


def report(name: str, value: float, target: float, *, at_least: bool) -> bool:
    met = value >= target if at_least else value <= target
    verdict = "met" if met else "MISSED"
    print(f"{name:26} {value:10.2f}    target {'>=' if at_least else '<='} {target}: {verdict}", flush=True)
    return met


def start_server() -> tuple[str, OssService, HttpServer]:
    # Here, because every child of the warm parent imports this module again.
    from osscloud.clock import WallClock
    from osscloud.http_server import HttpServer
    from osscloud.service import OssService

    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id="AK", secret="SK")
    service.admin.create_bucket("bkt")
    for number in range(FILES):
        service.admin.put("bkt", f"f{number}", b"hello", meta={"mode": "33188"})
    server = HttpServer(service)
    server.start()
    return server.endpoint, service, server


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    endpoint, service, server = start_server()
    with tempfile.TemporaryDirectory(prefix="ossvol-bench-") as name:
        directory = Path(name)
        WARM.Process(target=int).start()  # the warm parent is there before anything is measured
        passwd = directory / "passwd"
        passwd.write_text("bkt:AK:SK\n")
        passwd.chmod(0o600)
        arguments = [f"-ourl={endpoint}", "-o", f"use_path_request_style,passwd_file={passwd}"]
        try:
            met = [
                measure_stat(directory, arguments, rounds),
                measure_mount(directory, arguments, 2 * rounds),
                measure_stall(directory, arguments, service),
            ]
        finally:
            server.stop()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
