"""`ossfs2-sim` on real mounts, as a drop-in: the kernel keeps what it was told, programs do what they do."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService
from osscluster import mounttable

pytestmark = pytest.mark.kernel

PATIENCE = 15.0


@dataclass
class Lab:
    service: OssService
    port: int
    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / "mnt"

    def command(self, *words: str, conf: str = "") -> subprocess.CompletedProcess[str]:
        file = self.directory / "ossfs2.conf"
        keys = "--oss_access_key_id=AK\n--oss_access_key_secret=SK\n"
        file.write_text(f"{keys}--oss_endpoint=http://localhost:{self.port}\n--oss_bucket=bkt\n{conf}")
        return subprocess.run(
            [
                *(sys.executable, "-m", "ossfuse.ossfs2.command", "mount", str(self.path), "-c", str(file)),
                *(f"--log_dir={self.directory}/log", *words),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def requests(self, work: Callable[[], object]) -> list[str]:
        mark = self.service.access_log.mark()
        work()
        return [f"{record.operation} {record.object}".strip() for record in self.service.access_log.since(mark)]

    def log(self) -> str:
        return "".join(file.read_text() for file in (self.directory / "log").rglob("ossfs2.log"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.admin.create_bucket("bkt")
    service.admin.put("bkt", "a.txt", b"hello")
    service.accounts.create_key(id="AK", secret="SK")
    server = HttpServer(service)
    server.start()
    made = Lab(service, int(server.endpoint.rpartition(":")[2]), tmp_path)
    made.path.mkdir()
    try:
        yield made
    finally:
        if mounttable.is_mounted(str(made.path)):
            mounttable.unmount(str(made.path), lazy=True)
        server.stop()


def test_it_mounts_in_the_background_and_shows_as_ossfs2(lab: Lab) -> None:
    done = lab.command()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (line,) = (line for line in Path("/proc/mounts").read_text().splitlines() if f" {lab.path} " in line)
    assert line.split()[0] == "ossfs2"
    assert line.split()[2] == "fuse.ossfs2"
    assert {"default_permissions", "allow_other"} <= set(line.split()[3].split(","))
    assert lab.path.stat().st_nlink == 2
    mounttable.unmount(str(lab.path))


def test_everyday_programs_meet_what_it_can_and_cannot(lab: Lab) -> None:
    assert lab.command().returncode == 0
    script = """
        cat a.txt; echo
        mkdir d && cp a.txt d/copy && mv d/copy d/moved && cat d/moved; echo
        printf ' world' >> a.txt && cat a.txt; echo
        chmod 600 a.txt && stat -c %a a.txt
        mv d e && ls e
        ln a.txt hard 2>/dev/null || echo no hard link
        ln -s a.txt soft 2>/dev/null || echo no symbolic link
        printf X | dd of=a.txt bs=1 seek=2 conv=notrunc 2>/dev/null || echo no random write
        truncate -s 3 a.txt 2>/dev/null || echo no truncate
        rm -r e && ls
    """
    done = subprocess.run(["sh", "-c", script], cwd=lab.path, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == [
        *("hello", "hello", "hello world", "777", "moved"),
        *("no hard link", "no symbolic link", "no random write", "no truncate", "a.txt"),
    ]
    assert done.stderr == ""


def test_the_kernel_keeps_names_and_attributes_for_attr_timeout(lab: Lab) -> None:
    assert lab.command().returncode == 0
    file = lab.path / "a.txt"
    assert lab.requests(file.stat) == ["GetObjectMeta a.txt"]
    lab.service.admin.put("bkt", "a.txt", b"longer than before")
    assert lab.requests(file.stat) == []
    assert file.stat().st_size == 5


def test_nothing_is_kept_where_the_timeout_is_zero(lab: Lab) -> None:
    assert lab.command(conf="--attr_timeout=0\n").returncode == 0
    file = lab.path / "a.txt"
    assert file.stat().st_size == 5
    lab.service.admin.put("bkt", "a.txt", b"longer than before")
    assert file.stat().st_size == 18


def test_an_open_behind_a_close_asks_nothing(lab: Lab) -> None:
    assert lab.command().returncode == 0
    file = lab.path / "a.txt"
    file.stat()

    def append() -> None:
        fd = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"!")
        os.close(fd)

    for _ in range(2):
        assert lab.requests(append) == ["HeadObject a.txt", "GetObject a.txt", "PutObject a.txt"]
    assert lab.service.admin.keys("bkt") == ["a.txt"]
    assert file.read_text() == "hello!!"


def test_a_large_file_comes_back_as_it_was_written(lab: Lab) -> None:
    assert lab.command("--upload_buffer_size=1MB", "--prefetch_chunk_size=1MB").returncode == 0
    content = random.Random(2).randbytes((5 << 20) + 12345)
    (lab.path / "big.bin").write_bytes(content)
    view = lab.service.admin.object("bkt", "big.bin")
    assert view is not None
    assert view.read() == content
    assert (lab.path / "big.bin").read_bytes() == content
    with (lab.path / "big.bin").open("ab") as stream:
        stream.write(b"more")
    assert (lab.path / "big.bin").read_bytes() == content + b"more"


def test_two_threads_that_make_the_same_file_do_not_both_succeed(lab: Lab) -> None:
    assert lab.command().returncode == 0
    programs = [
        subprocess.Popen(["sh", "-c", "set -C; : > new.txt"], cwd=lab.path, stderr=subprocess.DEVNULL) for _ in range(4)
    ]
    assert sorted(bool(program.wait(PATIENCE)) for program in programs) == [False, True, True, True]


def test_a_bucket_that_is_not_there_fails_the_command_and_says_where_to_look(lab: Lab) -> None:
    done = lab.command("--oss_bucket=nobody")
    assert done.returncode not in (0, 2)
    assert done.stderr == f"ERROR: failed to mount ossfs2, see more details in log dir: {lab.directory}/log/root\n"
    assert "fail to check bucket with error -2" in lab.log()
    assert not mounttable.is_mounted(str(lab.path))


def test_sigterm_ends_it_and_takes_the_mount_away(lab: Lab) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ossfuse.ossfs2.command", "mount", str(lab.path), "-f", "--oss_bucket=bkt"),
            *(f"--oss_endpoint=http://localhost:{lab.port}", f"--log_dir={lab.directory}/log"),
        ],
        env={**os.environ, "OSS_ACCESS_KEY_ID": "AK", "OSS_ACCESS_KEY_SECRET": "SK"},
    )
    deadline = time.monotonic() + PATIENCE
    while not mounttable.is_mounted(str(lab.path)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (lab.path / "a.txt").read_text() == "hello"
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert not mounttable.is_mounted(str(lab.path))


def test_a_read_only_mount_is_that(lab: Lab) -> None:
    assert lab.command("--ro").returncode == 0
    with pytest.raises(OSError, match="Read-only file system") as caught:
        (lab.path / "b").write_text("x")
    assert caught.value.errno == errno.EROFS
