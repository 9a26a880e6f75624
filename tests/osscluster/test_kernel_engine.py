"""What only the kernel engine has: mounts and processes that other programs see, and that must not stay."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import eventually

from osscluster import mounttable
from osscluster.engine import KernelEngine, kernel_unavailable, make_engine
from osscluster.errors import CallTimeout, EnvironmentMissing, ProcessDied
from osscluster.identity import ProcessIdentity
from osscluster.volume import MountFailed, VolumeSpec
from ossfuse.profile import UnknownVersion

Mount = Callable[..., Any]


def test_the_mount_table_shows_ossfs(mount_kernel: Mount) -> None:
    m = mount_kernel("-o allow_other -o ro")
    (entry,) = [e for e in mounttable.mounts() if e.mountpoint == m.volume.mountpoint]
    assert entry.fstype == "fuse.ossfs"
    assert {"ro", "nosuid", "nodev", "allow_other", "user_id=0"} <= set(entry.options.split(","))


@pytest.mark.skipif(shutil.which("lsof") is None, reason="lsof is not installed; apt-get install -y lsof")
def test_holders_are_those_that_lsof_names(mount_kernel: Mount) -> None:
    m = mount_kernel()
    m.root.mkdir("d")
    m.root.chmod("d", 0o777)
    m.root.open("a", os.O_CREAT | os.O_RDWR)
    m.app.open("d/b", os.O_CREAT | os.O_RDWR)
    m.other.open("", os.O_RDONLY)
    m.other.open("c", os.O_CREAT | os.O_RDWR)
    m.other.unlink("c")
    # lsof asks every mount of the machine; a stuck one of somebody else's must not hold it up.
    others = [e.mountpoint for e in mounttable.mounts() if "fuse" in e.fstype and e.mountpoint != m.volume.mountpoint]
    command = ["lsof", "-w", "-F", "pcun", *(part for other in others for part in ("-e", other)), m.volume.mountpoint]
    text = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    seen = set()
    fields: dict[str, str] = {}
    for line in text.splitlines():
        fields[line[0]] = line[1:]
        if line[0] == "n":
            path = line[1:].removesuffix(" (deleted)").removeprefix(m.volume.mountpoint).removeprefix("/")
            seen.add((path, int(fields["p"]), fields["c"], int(fields["u"])))
    assert seen == {(h.path, h.pid, h.command, h.uid) for h in m.volume.holders()}
    assert len(seen) == 4


def test_a_failed_mount_leaves_no_mount_no_process_and_no_directory(mount_kernel: Mount) -> None:
    engine = mount_kernel.engine  # type: ignore[attr-defined]
    before = set(engine.run.directory.iterdir()), mounttable.mounts_below(str(engine.run.directory))
    with pytest.raises(MountFailed):
        mount_kernel(bucket="missing")
    with pytest.raises(MountFailed):
        mount_kernel(bucket="missing", version="1.91.1")
    assert (set(engine.run.directory.iterdir()), mounttable.mounts_below(str(engine.run.directory))) == before


def test_an_unknown_release_is_named_before_anything_is_started(mount_kernel: Mount) -> None:
    with pytest.raises(UnknownVersion, match=r"0\.1"):
        mount_kernel(version="0.1")


def test_a_page_of_a_mapped_file_can_be_read_while_the_interpreter_lock_is_held(kernel_engine: KernelEngine) -> None:
    script = """
import ctypes, faulthandler, mmap, pathlib, sys
from osscluster.engine import make_engine
from osscluster.volume import VolumeSpec
faulthandler.dump_traceback_later(20, exit=True)  # of a thread that needs no lock
engine = make_engine("kernel")
engine.cloud.admin.create_bucket("bkt")
engine.cloud.admin.put("bkt", "f", b"." * 300_000 + b"x")
volume = engine.mount(VolumeSpec("bkt"))
search = ctypes.PyDLL(None).memchr
search.restype, search.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
with pathlib.Path(volume.mountpoint, "f").open("rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
start = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
print(search(start, ord("x"), len(mapped)) - start)
sys.stdout.flush()
mapped = None
engine.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("300000\n", "", 0)


def test_when_the_cloud_is_killed_nobody_listens_any_more_and_the_runner_is_told_why(
    kernel_engine: KernelEngine,
) -> None:
    engine = make_engine("kernel", ossfs=kernel_engine.ossfs)
    try:
        engine.cloud.admin.create_bucket("bkt")
        engine.cloud.admin.put("bkt", "f", b"x")
        volume = engine.mount(VolumeSpec("bkt", options="-o retries=1"))
        app = volume.container("app")
        fd = app.open("f")
        os.kill(engine.cloud.pid, signal.SIGKILL)
        with pytest.raises(ProcessDied, match=r"the cloud \(pid \d+\) ended, exit code -9"):
            engine.cloud.admin.keys("bkt")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(engine.cloud.endpoint.rpartition(":")[2])), 5)
        assert volume.alive()
        assert app.fstat(fd).size == 1
    finally:
        engine.close()


def test_programs_started_by_others_see_the_volume_too(mount_kernel: Mount) -> None:
    m = mount_kernel()
    Path(m.volume.mountpoint, "a").write_text("from the runner")
    assert m.admin.object(m.bucket, "a").read() == b"from the runner"
    done = subprocess.run(["cat", f"{m.volume.mountpoint}/a"], capture_output=True, text=True, check=True, timeout=10)
    assert done.stdout == "from the runner"


def test_time_moves_for_programs_started_by_others_too(mount_kernel: Mount) -> None:
    if mount_kernel.real:  # type: ignore[attr-defined]
        pytest.skip("a real process keeps the machine's time")
    m = mount_kernel("-o allow_other -o max_stat_cache_size=0", version="1.91.10")
    m.admin.put(m.bucket, "f", b"1")
    place = Path(m.volume.mountpoint, "f")
    assert place.stat().st_size == 1
    m.admin.put(m.bucket, "f", b"22")
    m.engine.advance(1)
    assert place.stat().st_size == 2


def test_fusermount_ends_a_mount_as_umount_does(mount_kernel: Mount) -> None:
    m = mount_kernel()
    subprocess.run(["fusermount", "-u", m.volume.mountpoint], check=True, timeout=10)
    deadline = time.monotonic() + 10
    while m.volume.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not m.volume.alive()
    with pytest.raises(OSError, match="Invalid argument"):
        m.volume.unmount()


def test_a_call_on_a_stalled_mount_is_given_up_and_named(mount_kernel: Mount) -> None:
    m = mount_kernel()
    slow = m.volume.container("slow")
    slow.timeout = 0.3
    os.kill(m.volume.pid, signal.SIGSTOP)
    try:
        with pytest.raises(CallTimeout, match=r"container slow \(pid \d+\): stat\('x'\) did not return within 0.3 s"):
            slow.stat("x")
    finally:
        os.kill(m.volume.pid, signal.SIGCONT)
    assert m.root.listdir("") == []


def test_requests_tell_which_process_caused_them(mount_kernel: Mount) -> None:
    if mount_kernel.real:  # type: ignore[attr-defined]
        pytest.skip("a real ossfs tells its server nothing about callers")
    m = mount_kernel()
    m.admin.put(m.bucket, "f", b"x")
    log = m.engine.cloud.service.access_log
    mark = log.mark()
    m.app.stat("f")
    (record,) = log.since(mark)
    caller = record.caller
    assert (caller.operation, caller.pid, caller.uid, caller.command) == ("getattr", m.app.pid, 1000, "app")
    assert caller.mount == m.volume.mountpoint


def test_the_password_file_is_readable_by_its_owner_only(mount_kernel: Mount) -> None:
    m = mount_kernel()
    (passwd,) = Path(m.volume.mountpoint).parent.glob("passwd")
    assert passwd.stat().st_mode & 0o777 == 0o600


def test_environment_variables_reach_a_started_program(mount_kernel: Mount, tmp_path: Path) -> None:
    spawner = mount_kernel.engine.spawner  # type: ignore[attr-defined]
    with (tmp_path / "out").open("w+b") as out:
        process = spawner.execute(
            "/usr/bin/env", [], environment={"TZ": "Asia/Shanghai"}, stdout=out.fileno(), stderr=out.fileno()
        )
        assert process.wait(10) == 0
        out.seek(0)
        assert b"TZ=Asia/Shanghai\n" in out.read()


def test_content_types_come_from_the_given_table(mount_kernel: Mount) -> None:
    m = mount_kernel(mime_types="application/x-odd odd\n", version="1.91.10")
    Path(m.volume.mountpoint, "a.odd").write_text("x")
    Path(m.volume.mountpoint, "a.txt").write_text("x")
    types = {key: m.admin.object(m.bucket, key).content_type for key in ("a.odd", "a.txt")}
    assert types == {"a.odd": "application/x-odd", "a.txt": "application/octet-stream"}


def test_a_binary_without_the_option_for_content_types_says_so(mount_kernel: Mount, binary: str | None) -> None:
    if binary is None or mount_kernel.version != "1.80.6":  # type: ignore[attr-defined]
        pytest.skip("about the real ossfs 1.80.6: pass --ossvol-ossfs PATH of one")
    with pytest.raises(EnvironmentMissing, match="no option mime="):
        mount_kernel(mime_types="application/x-odd odd\n")


def test_a_mount_that_dies_by_itself_is_noticed(mount_kernel: Mount) -> None:
    m = mount_kernel()
    os.kill(m.volume.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while m.volume.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not m.volume.alive()
    with pytest.raises(OSError) as gone:  # noqa: PT011 - the number is what is tested
        m.root.stat("x")
    assert gone.value.errno == errno.ENOTCONN


_RUNNER = """
import os, sys, time
from osscluster.engine import make_engine
from osscluster.volume import VolumeSpec
engine = make_engine("kernel", state_dir=sys.argv[1])
engine.cloud.admin.create_bucket("bucket")
volume = engine.mount(VolumeSpec(bucket="bucket", options="-o allow_other"))
container = volume.container("app")
fd = container.open("held", os.O_CREAT | os.O_RDWR)
container.write(fd, b"x")
print(engine.spawner._process.pid, container.pid, volume.pid, volume.mountpoint, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
elif sys.argv[2] == "raise":
    raise KeyboardInterrupt
elif sys.argv[2] == "close":
    engine.close()
    engine.close()
"""


def _start(base: Path, how: str) -> tuple[subprocess.Popen[str], list[int], str]:
    missing = kernel_unavailable()
    if missing is not None:
        pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
    runner = subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(base), how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert runner.stdout is not None
    line = runner.stdout.readline()
    if not line:
        runner.communicate(timeout=30)
    *pids, mountpoint = line.split()
    return runner, [int(pid) for pid in pids], mountpoint


def _nothing_left(base: Path, pids: list[int], mountpoint: str) -> bool:
    return (
        not any(ProcessIdentity.of(pid) for pid in pids)
        and not mounttable.is_mounted(mountpoint)
        and not list(base.glob("run-*"))
    )


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_runner_leaves_no_mount_no_process_and_no_file(base: Path, number: signal.Signals) -> None:
    runner, pids, mountpoint = _start(base, "wait")
    assert mounttable.is_mounted(mountpoint)
    runner.send_signal(number)
    runner.communicate(timeout=30)
    assert eventually(lambda: _nothing_left(base, pids, mountpoint), seconds=10)


@pytest.mark.parametrize("how", ["end", "raise", "close"])
def test_a_runner_that_ends_leaves_nothing_behind(base: Path, how: str) -> None:
    runner, pids, mountpoint = _start(base, how)
    runner.communicate(timeout=30)
    assert _nothing_left(base, pids, mountpoint)


def test_when_spawner_and_runner_are_killed_the_next_run_removes_what_is_left(base: Path) -> None:
    runner, pids, mountpoint = _start(base, "wait")
    spawner, _, ossfs = pids
    for pid in (spawner, ossfs):
        os.kill(pid, signal.SIGSTOP)  # Neither of them can clean up.
    runner.kill()
    runner.communicate(timeout=30)
    os.kill(spawner, signal.SIGKILL)
    assert mounttable.is_mounted(mountpoint)
    second, more, other = _start(base, "close")
    second.communicate(timeout=30)
    assert eventually(lambda: _nothing_left(base, [*pids, *more], mountpoint), seconds=10)
    assert not mounttable.is_mounted(other)


def test_two_runs_at_once_do_not_see_each_other(base: Path) -> None:
    first, pids, mountpoint = _start(base, "wait")
    try:
        second, more, other = _start(base, "close")
        second.communicate(timeout=30)
        assert all(ProcessIdentity.of(pid) for pid in pids)
        assert mounttable.is_mounted(mountpoint)
        assert not mounttable.is_mounted(other)
        assert not any(ProcessIdentity.of(pid) for pid in more)
    finally:
        first.kill()
        first.communicate(timeout=30)
    assert eventually(lambda: _nothing_left(base, pids, mountpoint), seconds=10)
