"""A mount as /etc/fstab asks for it, and the signals that a mount answers; on real mounts."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService
from osscluster.kernel import KernelEngine
from osscluster.volume import VolumeSpec

pytestmark = pytest.mark.kernel

HELPER = "/sbin/mount.fuse"
PATIENCE = 15.0


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE} s: {what}")
        time.sleep(0.01)


@pytest.fixture
def cloud() -> Iterator[tuple[OssService, str]]:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.admin.create_bucket("bkt")
    for key in ("a.txt", "dir/", "dir/a.txt"):
        service.admin.put("bkt", key, b"" if key.endswith("/") else b"hello")
    service.accounts.create_key(id="AK", secret="SK")
    server = HttpServer(service)
    server.start()
    try:
        yield service, server.endpoint
    finally:
        server.stop()


@pytest.fixture
def fstab(tmp_path: Path, cloud: tuple[OssService, str], request: pytest.FixtureRequest) -> tuple[Path, Path, str]:
    """A directory with a program called ossfs (a real one where one is given), a mount point, and the options of an
    fstab line."""
    passwd = tmp_path / "passwd"
    passwd.write_text("bkt:AK:SK\n")
    passwd.chmod(0o600)
    programs = tmp_path / "bin"
    programs.mkdir()
    real = request.config.getoption("--ossvol-ossfs", default=None)
    (programs / "ossfs").symlink_to(Path(real).resolve() if real else Path(sys.executable).parent / "ossfs-sim")
    mountpoint = tmp_path / "m"
    mountpoint.mkdir()
    return programs, mountpoint, f"url={cloud[1]},use_path_request_style,passwd_file={passwd},allow_other"


def mount_line(mountpoint: Path) -> str:
    lines = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {mountpoint} " in line]
    return lines[0] if lines else ""


@pytest.mark.skipif(not os.path.exists(HELPER), reason=f"{HELPER} is missing: apt install fuse")
@pytest.mark.skipif(os.geteuid() != 0, reason="mount.fuse adds options that are root's: run the tests as root")
@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (("bkt", "-t", "fuse.ossfs", "-o", "rw,"), "rw"),
        (("bkt:/dir", "-t", "fuse.ossfs", "-o", "rw,"), "rw"),
        (("ossfs#bkt", "-o", "ro,"), "ro"),
        (("ossfs#bkt:/dir", "-o", "ro,"), "ro"),
    ],
    ids=["fuse.ossfs", "fuse.ossfs path", "ossfs#bucket", "ossfs#bucket:path"],
)
def test_mount_fuse_finds_ossfs_by_the_type(fstab: tuple[Path, Path, str], words: tuple[str, ...], mode: str) -> None:
    programs, mountpoint, options = fstab
    device, *rest = words
    command = [HELPER, device, str(mountpoint), *rest[:-1], f"{rest[-1]}{options}"]
    environment = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin"}
    subprocess.run(command, env=environment, check=True, timeout=60)
    try:
        line = mount_line(mountpoint)
        assert f" {mode},relatime " in line
        assert " - fuse.ossfs ossfs " in line
        assert (mountpoint / "a.txt").read_bytes() == b"hello"
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True, timeout=60)


@pytest.mark.skipif(not os.path.exists(HELPER), reason=f"{HELPER} is missing: apt install fuse")
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare(1)")
@pytest.mark.parametrize("line", ["bkt {} fuse.ossfs", "bkt:/dir {} fuse.ossfs", "ossfs#bkt:/dir {} fuse"])
def test_mount_takes_a_line_of_fstab(fstab: tuple[Path, Path, str], tmp_path: Path, line: str) -> None:
    programs, mountpoint, options = fstab
    table = tmp_path / "fstab"
    table.write_text(f"{line.format(mountpoint)} {options},_netdev 0 0\n")
    # mount(8) looks for the program where root's programs are; only this process tree sees it there.
    script = f"""set -e
        mount --bind {programs} /usr/local/bin
        mount --fstab {table} {mountpoint}
        cat {mountpoint}/a.txt
        umount {mountpoint}"""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello", "")


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.fixture
def engine() -> Iterator[KernelEngine]:
    engine = KernelEngine()
    engine.cloud.admin.create_bucket("bkt")
    yield engine
    engine.close()


def test_sigusr1_reports_on_the_cache(engine: KernelEngine, tmp_path: Path) -> None:
    cache, output = tmp_path / "cache", tmp_path / "report"
    cache.mkdir()
    for name in ("bad", "fine", "size"):
        engine.cloud.admin.put("bkt", name, b"hello" * 2000)
    options = f"-o use_cache={cache} -o set_check_cache_sigusr1={output} -o no_time_stamp_msg"
    volume = engine.mount(VolumeSpec("bkt", options=options, version="1.91.10"))
    app = volume.container("app")
    for name in ("bad", "fine", "size"):
        fd = app.open(name)
        app.read(fd, 10_000)
        app.close(fd)
    held = app.open("fine")
    until(lambda: len(list((cache / ".bkt.mirror").iterdir())) == 1, "closed files are closed")
    os.truncate(cache / "bkt/bad", 0)
    os.truncate(cache / "bkt/bad", 10_000)
    os.truncate(cache / "bkt/size", 5)
    os.kill(volume.pid, signal.SIGUSR1)
    until(lambda: output.exists() and output.read_text().count("-" * 75) == 4, "the report")
    text = output.read_text()
    app.close(held)
    assert text.startswith("-" * 75 + "\nCheck cache file and its stats file consistency at \n")
    assert (
        "File:      /bad\n"
        "           -> [E] there is a mark that data exists in stats, but there is no data in the cache file.\n"
        "                  0x0000000000000000(0x0000000000002710 bytes)\n"
    ) in text
    assert (
        "File:      /fine\n"
        "           -> [W] This file is currently open and may not provide accurate analysis results.\n"
        "     -> [OK] no problem\n"
    ) in text
    assert (
        "File:      /size\n"
        "           -> [C] The cache file size(5) and the value(10000) from cache file stats are different\n"
    ) in text
    assert "Summary - Total files:                3\n          Detected error files:       2\n" in text


def test_sigusr2_raises_the_log_level_and_sighup_reopens_the_log(engine: KernelEngine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    volume = engine.mount(VolumeSpec("bkt", options=f"-o logfile={log}", version="1.91.10"))
    log.rename(tmp_path / "old")
    os.kill(volume.pid, signal.SIGHUP)
    until(log.exists, "the log file is made anew")
    for _ in range(3):
        os.kill(volume.pid, signal.SIGUSR2)
    assert volume.container("app").listdir("") == []
    assert volume.alive()


def test_sigusr1_ends_a_mount_that_was_not_told_about_it(engine: KernelEngine) -> None:
    volume = engine.mount(VolumeSpec("bkt", version="1.91.10"))
    os.kill(volume.pid, signal.SIGUSR1)
    until(lambda: not volume.alive(), "the end of the process")
