"""Real mounts by the real command, used by real programs and by processes of other users."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osscloud.faults import Fault
from osscluster import cloudprocess
from osscluster.cloud import Cloud
from osscluster.leftovers import Run
from osscluster.spawner import Spawner

PATIENCE = 15.0


def missing() -> str:
    """Why nothing can be mounted here, and the fix; "" when everything is there."""
    if os.geteuid() != 0:
        return "mounting with other users' processes needs root: run the tests as root"
    if not os.path.exists("/dev/fuse"):
        return "/dev/fuse is missing: modprobe fuse (in a container: --device /dev/fuse --cap-add SYS_ADMIN)"
    if shutil.which("fusermount") is None:
        return "fusermount is missing: apt install fuse"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "never")


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for another process; fails with `what` when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE} s: {what}")
        time.sleep(0.005)


def failure(call: Callable[..., object], *arguments: object) -> int:
    """The errno that a system call fails with, 0 when it succeeds."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno or -1
    return 0


def mount_line(mountpoint: Path) -> str:
    """The line of the mount table, "" when nothing is mounted there."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, where, kind, options = line.split()[:4]
        if where == str(mountpoint):
            return f"{source} on M type {kind} ({options})"
    return ""


def processes_of(mountpoint: Path) -> list[int]:
    """The mount processes for it, by their command lines."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                if os.fsencode(mountpoint) in words and b"ossfuse.command" in b" ".join(words):
                    found.append(int(entry))
    return found


class Lab:
    """A cloud with one bucket, and mounts of it that are gone after the test."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.cloud = cloud
        self.service = cloud.service
        self.endpoint = cloud.endpoint
        self.directory = directory
        self.spool = directory / "spool"
        self.spool.mkdir(mode=0o777)
        self.passwd = directory / "passwd"
        self.passwd.write_text("AK:SK\nbkt:AK:SK\nnobkt:AK:SK\n")
        self.passwd.chmod(0o600)
        self.foreground: list[subprocess.Popen[str]] = []
        self.mountpoints: list[Path] = []

    def argv(self, bucket: str, mountpoint: Path, options: str, version: str) -> list[str]:
        return [
            *(sys.executable, "-m", "ossfuse.command", "--ossfs-version", version, bucket, str(mountpoint)),
            *(f"-ourl={self.endpoint}", "-o", f"use_path_request_style,passwd_file={self.passwd}"),
            *(("-o", f"tmpdir={self.spool}") if version != "1.80.6" else ()),
            *options.split(),
        ]

    def mountpoint(self, name: str = "m") -> Path:
        path = self.directory / name
        path.mkdir()
        self.mountpoints.append(path)
        return path

    def command(
        self, path: Path, options: str = "", *, bucket: str = "bkt", version: str = "1.91.3"
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command in the background mode, to its end."""
        return subprocess.run(
            self.argv(bucket, path, options, version), capture_output=True, text=True, timeout=60, check=False
        )

    def mount(self, options: str = "", *, bucket: str = "bkt", version: str = "1.91.3", name: str = "m") -> Path:
        path = self.mountpoint(name)
        done = self.command(path, options, bucket=bucket, version=version)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return path

    def start(
        self, options: str = "", *, name: str = "m", version: str = "1.91.3"
    ) -> tuple[Path, subprocess.Popen[str]]:
        """Mounts with -f; the process."""
        path = self.mountpoint(name)
        process = subprocess.Popen(
            self.argv("bkt", path, f"-f {options}", version), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.foreground.append(process)
        until(lambda: mount_line(path) or process.poll() is not None, "the mount appears")
        return path, process

    def requests(self) -> list[str]:
        return [record.operation for record in self.service.access_log.records]

    def close(self) -> None:
        for path in self.mountpoints:
            pids = processes_of(path)
            if mount_line(path):
                subprocess.run(["umount", "-l", str(path)], check=False)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in self.foreground:
            process.kill()
            process.communicate()


@pytest.fixture
def lab() -> Iterator[Lab]:
    # Not in this process: these tests use the mounts themselves, maybe while they hold the interpreter lock.
    cloud, _ = cloudprocess.start(Spawner.shared(Run.current()))
    cloud.service.accounts.create_key(id="AK", secret="SK")
    cloud.admin.create_bucket("bkt")
    cloud.admin.put("bkt", "f.txt", b"hello")
    with contextlib.closing(cloud), tempfile.TemporaryDirectory(prefix="ossvol-test-") as directory:
        os.chmod(directory, 0o755)
        made = Lab(cloud, Path(directory))
        try:
            yield made
        finally:
            made.close()


def as_user(uid: int, *argv: str, gid: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program with exactly these ids."""
    return subprocess.run(
        argv,
        user=uid,
        group=uid if gid is None else gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        timeout=60,
        check=False,
    )


def shell(script: str, cwd: Path) -> str:
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("", "ossfs on M type fuse.ossfs (rw,nosuid,nodev,relatime,user_id=0,group_id=0)"),
        ("-o allow_other", "ossfs on M type fuse.ossfs (rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other)"),
        ("-o ro", "ossfs on M type fuse.ossfs (ro,nosuid,nodev,relatime,user_id=0,group_id=0)"),
    ],
)
def test_the_mount_table_shows_what_it_shows_for_ossfs(lab: Lab, options: str, line: str) -> None:
    assert mount_line(lab.mount(options)) == line


def test_the_command_returns_when_the_mount_answers_and_leaves_a_process_of_its_own_session(lab: Lab) -> None:
    path = lab.mount()
    assert (path / "f.txt").read_text() == "hello"
    (pid,) = processes_of(path)
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}


@pytest.mark.parametrize("command", [["umount"], ["fusermount", "-u"]])
@pytest.mark.parametrize("version", ["1.80.6", "1.91.3"])
def test_unmounting_ends_the_process(lab: Lab, command: list[str], version: str) -> None:
    path = lab.mount(version=version)
    (path / "kept").write_text("data")
    subprocess.run([*command, str(path)], check=True)
    until(lambda: not processes_of(path), "the mount process ends")
    assert mount_line(path) == ""
    assert list(lab.spool.iterdir()) == []
    found = lab.service.admin.object("bkt", "kept")
    assert found is not None
    assert found.read() == b"data"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts_a_foreground_mount(lab: Lab, number: int) -> None:
    path, process = lab.start()
    assert (path / "f.txt").read_text() == "hello"
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert mount_line(path) == ""


def test_hanging_up_unmounts_1_80_and_not_1_91(lab: Lab) -> None:
    path, old = lab.start(version="1.80.6")
    (path / "f.txt").stat()
    old.send_signal(signal.SIGHUP)
    assert old.wait(PATIENCE) == 0
    other, new = lab.start(name="other")
    new.send_signal(signal.SIGHUP)
    assert (other / "f.txt").read_text() == "hello"
    assert new.poll() is None


def test_hanging_up_reopens_the_log_file_of_1_91(lab: Lab) -> None:
    log = lab.directory / "log"
    path, process = lab.start(f"-o logfile={log},dbglevel=info")
    (path / "f.txt").stat()
    log.rename(lab.directory / "log.1")
    process.send_signal(signal.SIGHUP)
    until(log.exists, "the log file is made anew")


def test_a_killed_mount_is_disconnected_until_it_is_unmounted(lab: Lab) -> None:
    path = lab.mount()
    (pid,) = processes_of(path)
    descriptor = os.open(path / "f.txt", os.O_RDONLY)
    os.kill(pid, signal.SIGKILL)
    # Requests of the moment in which the process dies end with ECONNABORTED.
    until(lambda: failure(path.stat) == errno.ENOTCONN, "the mount is disconnected")
    assert failure(os.fsync, descriptor) == errno.ENOTCONN
    assert failure(os.close, descriptor) == errno.ENOTCONN
    assert list(lab.spool.iterdir()) == []
    again = lab.command(path)
    assert again.returncode == 1
    assert "Transport endpoint is not connected" in again.stderr
    subprocess.run(["umount", str(path)], check=True)
    assert lab.command(path).returncode == 0
    assert (path / "f.txt").read_text() == "hello"


def test_an_open_file_keeps_the_mount_busy(lab: Lab) -> None:
    path = lab.mount()
    with (path / "f.txt").open():
        for command, code in ((["umount", str(path)], 32), (["fusermount", "-u", str(path)], 1)):
            assert subprocess.run(command, capture_output=True, check=False).returncode == code
    assert (path / "f.txt").read_text() == "hello"


@pytest.mark.parametrize(
    ("bucket", "version", "options", "code"),
    [
        ("nobkt", "1.80.6", "", 1),
        ("nobkt", "1.91.10", "", 1),
        ("bkt", "1.91.3", "-o zorp", 1),
        ("bkt", "1.91.3", "-o passwd_file=/nonexistent", 1),
        ("bkt:/missing", "1.80.6", "", 1),
    ],
)
def test_a_refused_mount_leaves_nothing(lab: Lab, bucket: str, version: str, options: str, code: int) -> None:
    path = lab.mountpoint()
    done = lab.command(path, options, bucket=bucket, version=version)
    assert done.returncode == code
    assert done.stderr
    assert mount_line(path) == ""
    assert processes_of(path) == []
    assert list(lab.spool.iterdir()) == []


def test_where_nobody_listens_a_mount_is_refused(lab: Lab) -> None:
    path = lab.mountpoint()
    os.kill(lab.cloud.pid, signal.SIGKILL)
    done = lab.command(path, "-f -o retries=1")
    assert done.returncode == 1
    assert "Unable to connect" in done.stdout
    assert mount_line(path) == ""


@pytest.mark.parametrize("version", ["1.91.1", "1.91.4"])
def test_some_releases_return_0_and_unmount_themselves(lab: Lab, version: str) -> None:
    path = lab.mountpoint()
    log = lab.directory / "log"
    done = lab.command(path, f"-o logfile={log}", bucket="nobkt", version=version)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    until(lambda: not mount_line(path) and not processes_of(path), "the mount goes away")
    assert "[CRT]" in log.read_text()


def test_in_the_foreground_such_a_release_tells_why_and_fails(lab: Lab) -> None:
    path = lab.mountpoint()
    done = lab.command(path, "-f", bucket="nobkt", version="1.91.1")
    assert done.returncode == 1
    assert "[CRT] bucket or key not found" in done.stdout
    assert mount_line(path) == ""


@pytest.mark.parametrize(
    ("argv", "code", "stream", "text"),
    [
        (["--ossfs-version", "0.1"], 2, "stderr", "unknown ossfs version '0.1'; known: 1.80.6, "),
        (["--ossfs-version"], 2, "stderr", "--ossfs-version needs a value"),
        (["--fixed=zero-fill,zero"], 2, "stderr", "unknown defect 'zero'; known: zero-fill, "),
        (["--fixed=zero-fill", "--version"], 0, "stdout", "Alibaba Cloud Open Storage Service File System V"),
        (
            ["--ossfs-version=1.91.10", "--version"],
            0,
            "stdout",
            "Alibaba Cloud Open Storage Service File System V1.91.10 ",
        ),
        (["--help"], 0, "stdout", "Usage: ossfs BUCKET:[PATH] MOUNTPOINT [OPTION]..."),
    ],
)
def test_the_release_is_chosen_on_the_command_line(argv: list[str], code: int, stream: str, text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ossfuse.command", *argv], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code
    assert text in getattr(done, stream)
    assert "Traceback" not in done.stderr


def test_the_release_is_chosen_by_a_variable() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ossfuse.command", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OSSFS_SIM_VERSION": "1.80.6"},
        timeout=60,
    )
    assert "V1.80.6(" in done.stdout


# --- what programs see ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ["", "-s"])
@pytest.mark.parametrize("version", ["1.80.6", "1.88", "1.91.3", "1.91.10"])
def test_everyday_programs_work(lab: Lab, version: str, options: str) -> None:
    path = lab.mountpoint()
    assert lab.command(path, options, version=version).returncode == 0
    shell(
        """
        mkdir d
        cp f.txt d/copy
        cp d/copy d/second
        mv d/second d/moved
        printf ' world' >> d/copy
        dd if=/dev/zero of=d/zeros bs=128k count=9 2>/dev/null
        ln -s copy d/link
        chmod 600 d/moved
        mkdir d/sub && mv d/sub d/renamed && rmdir d/renamed
        """,
        path,
    )
    assert shell("cat d/link; echo; cmp f.txt d/moved; stat -c %a d/moved; ls d", path).split() == [
        *("hello", "world", "600"),
        *("copy", "link", "moved", "zeros"),
    ]
    zeros = lab.service.admin.object("bkt", "d/zeros")
    assert zeros is not None
    assert zeros.size == 9 * 128 * 1024
    shell("rm -r d", path)
    assert lab.service.admin.keys("bkt") == ["f.txt"]
    assert os.listdir(path) == ["f.txt"]


@pytest.mark.parametrize(("version", "code"), [("1.80.6", errno.EPERM), ("1.91.3", errno.EOPNOTSUPP)])
def test_a_hard_link_is_refused_by_release(lab: Lab, version: str, code: int) -> None:
    path = lab.mount(version=version)
    assert failure(os.link, path / "f.txt", path / "g") == code


def test_a_read_only_mount_is_the_kernels_business(lab: Lab) -> None:
    path = lab.mount("-o ro")
    before = len(lab.requests())
    assert failure((path / "new").write_text, "x") == errno.EROFS
    assert "PutObject" not in lab.requests()[before:]


def test_the_size_of_the_volume_is_a_constant(lab: Lab) -> None:
    found = os.statvfs(lab.mount())
    blocks = (1 << 40) - 1
    assert (found.f_bsize, found.f_blocks, found.f_bfree, found.f_namemax) == (1 << 24, blocks, blocks, 255)


def test_extended_attributes_exist_only_when_asked_for(lab: Lab) -> None:
    with_them = lab.mount("-o use_xattr")
    os.setxattr(with_them / "f.txt", "user.a", b"value")
    assert os.getxattr(with_them / "f.txt", "user.a") == b"value"
    assert os.listxattr(with_them / "f.txt") == ["user.a"]
    os.removexattr(with_them / "f.txt", "user.a")
    without = lab.mount(name="without")
    assert failure(os.setxattr, without / "f.txt", "user.a", b"value") == errno.EOPNOTSUPP


def test_touching_one_time_leaves_the_other_from_1_91_on(lab: Lab) -> None:
    new = lab.mount()
    shell("touch -m -d @1500000000 f.txt", new)
    before = (new / "f.txt").stat()
    shell("touch -a -d @1400000000 f.txt", new)
    time_after = (new / "f.txt").stat()
    assert (before.st_mtime, time_after.st_mtime, time_after.st_atime) == (1500000000, 1500000000, 1400000000)
    old = lab.mount(version="1.80.6", name="old")
    shell("touch -m -d @1600000000 f.txt", old)
    assert (old / "f.txt").stat().st_mtime == 1500000000


def test_names_may_be_any_bytes(lab: Lab) -> None:
    path = os.fsencode(lab.mount())
    for name in ("空 格+%.txt".encode(), b"new\tline"):
        with open(os.path.join(path, name), "wb") as file:
            file.write(name)
        with open(os.path.join(path, name), "rb") as file:
            assert file.read() == name
        assert name in os.listdir(path)


# --- users ------------------------------------------------------------------------------------------------------------


def test_other_users_need_allow_other(lab: Lab) -> None:
    path = lab.mount()
    assert "Permission denied" in as_user(1000, "ls", str(path)).stderr


@pytest.mark.parametrize(
    ("options", "readable"),
    [
        ("-o allow_other", False),
        ("-o allow_other -o mp_umask=022", False),
        ("-o allow_other -o umask=022", True),
        ("-o allow_other -o uid=1000", True),
        ("-o allow_other -o gid=1001", True),
    ],
)
def test_a_foreign_file_is_read_by_whom_the_options_let(lab: Lab, options: str, readable: bool) -> None:
    path = lab.mount(options)
    done = as_user(1000, "cat", str(path / "f.txt"), gid=1001)
    assert (done.stdout == "hello") is readable
    assert ("Permission denied" in done.stderr) is not readable


def test_what_a_user_writes_belongs_to_him(lab: Lab) -> None:
    path = lab.mount("-o allow_other")
    assert as_user(1000, "sh", "-c", f"umask 022; echo x > {path}/mine", gid=1001).returncode == 0
    found = (path / "mine").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1000, 1001, 0o644)
    stored = lab.service.admin.object("bkt", "mine")
    assert stored is not None
    assert (stored.meta["uid"], stored.meta["gid"], stored.meta["mode"]) == ("1000", "1001", "33188")


def test_the_access_log_says_which_process_caused_a_request(lab: Lab) -> None:
    path = lab.mount("-o allow_other -o umask=000")
    assert as_user(1000, "cat", str(path / "f.txt"), gid=1001).stdout == "hello"
    callers = [record.caller for record in lab.service.access_log.records if record.operation == "GetObject"]
    assert [(c.mount, c.operation, c.uid, c.command) for c in callers if c] == [(str(path), "read", 1000, "cat")]


# --- several at once --------------------------------------------------------------------------------------------------


def test_two_mounts_of_one_bucket_are_two_worlds(lab: Lab) -> None:
    lab.service.admin.put("bkt", "a/one", b"1")
    lab.service.admin.put("bkt", "b/two", b"2")
    one = lab.mount(bucket="bkt:/a", name="one")
    two = lab.mount(bucket="bkt:/b", name="two")
    assert (os.listdir(one), os.listdir(two)) == (["one"], ["two"])
    subprocess.run(["umount", str(one)], check=True)
    assert (two / "two").read_text() == "2"


def test_a_slow_upload_stalls_nobody_else(lab: Lab) -> None:
    path = lab.mount()
    (path / "f.txt").stat()
    lab.service.faults.add(Fault(operation="PutObject", key="slow", action="stall", seconds=3.0))
    started = threading.Event()
    ended: list[float] = []

    def upload() -> None:
        descriptor = os.open(path / "slow", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"x" * 1000)
        started.set()
        os.close(descriptor)
        ended.append(time.monotonic())

    thread = threading.Thread(target=upload)
    thread.start()
    started.wait(PATIENCE)
    began = time.monotonic()
    for number in range(5):
        (path / f"quick{number}").write_text("quick")
        assert (path / "f.txt").read_text() == "hello"
    finished = time.monotonic()
    assert not ended, "the slow upload was over before the others: nothing was shown"
    thread.join(PATIENCE)
    assert finished < ended[0]
    assert finished - began < 3.0


# --- run() and its control socket -------------------------------------------------------------------------------------

RUNNER = """
import os, sys, json
from ossfuse.mount import run
arguments = json.loads(sys.argv[1])
sys.exit(run(arguments["argv"], version=arguments["version"], control=arguments["control"], ready_fd=arguments["ready"],
             clock_offset=arguments["offset"], mime_text=arguments["mime"]))
"""


class Peer:
    """A client of the control socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rwb")

    def ask(self, text: str) -> dict[str, object]:
        self.stream.write(text.encode() + b"\n")
        self.stream.flush()
        answer: dict[str, object] = json.loads(self.stream.readline())
        return answer

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


@pytest.fixture
def ran(lab: Lab) -> Iterator[tuple[Path, Peer, subprocess.Popen[str]]]:
    """A mount by run(): mount point, control socket, process."""
    path = lab.mountpoint()
    control = lab.directory / "control"
    waiting, telling = os.pipe()
    arguments = {
        "argv": lab.argv("bkt", path, "-o stat_cache_expire=60", "1.91.3")[5:],
        "version": "1.91.3",
        "control": str(control),
        "ready": telling,
        "offset": 100.0,
        "mime": "text/special txt\n",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, json.dumps(arguments)],
        pass_fds=[telling],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lab.foreground.append(process)
    os.close(telling)
    with os.fdopen(waiting, "rb") as pipe:
        assert pipe.read() == b"1"
    peer = Peer(control)
    try:
        yield path, peer, process
    finally:
        peer.close()


def test_run_serves_until_it_is_unmounted_and_removes_its_socket(
    ran: tuple[Path, Peer, subprocess.Popen[str]], lab: Lab
) -> None:
    path, peer, process = ran
    assert peer.ask('{"do": "ping"}') == {"ok": True, "pid": process.pid}
    assert (lab.directory / "control").stat().st_mode & 0o777 == 0o600
    (path / "n.txt").write_text("x")
    stored = lab.service.admin.object("bkt", "n.txt")
    assert stored is not None
    assert stored.content_type == "text/special"
    subprocess.run(["umount", str(path)], check=True)
    assert process.wait(PATIENCE) == 0
    assert process.communicate() == ("", "")
    assert not (lab.directory / "control").exists()


def test_the_control_socket_moves_the_clock_of_the_caches(
    ran: tuple[Path, Peer, subprocess.Popen[str]], lab: Lab
) -> None:
    path, peer, _ = ran
    assert (path / "f.txt").stat().st_size == 5
    lab.service.admin.put("bkt", "f.txt", b"longer than before")
    assert peer.ask('{"do": "advance", "seconds": 61}') == {"ok": True, "clock_offset": 161.0}
    # The kernel keeps attributes for a second of its own time.
    until(lambda: (path / "f.txt").stat().st_size == 18, "the cached entry expires")


def test_the_control_socket_knows_requests_and_open_files(ran: tuple[Path, Peer, subprocess.Popen[str]]) -> None:
    path, peer, _ = ran
    with (path / "open").open("w") as file:
        file.write("1234")
        file.flush()
        answer = peer.ask('{"do": "open_files"}')
        assert answer["open_files"] == [
            {"path": "/open", "pid": os.getpid(), "uid": 0, "command": ANY_COMMAND, "dirty": True, "size": 4}
        ]
        statistics = peer.ask('{"do": "statistics"}')
        assert statistics["open_files"] == 1
    requests = peer.ask('{"do": "statistics"}')["requests"]
    assert isinstance(requests, dict)
    assert requests["methods"]["PUT"] == 1
    assert requests["operations"]["flush"] == 1


class _AnyText:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]  # compared only


ANY_COMMAND = _AnyText()


@pytest.mark.parametrize("line", ['{"do": "dance"}', "not json", '{"do": "advance", "seconds": -1}', "[]"])
def test_the_control_socket_answers_nonsense_with_an_error(
    ran: tuple[Path, Peer, subprocess.Popen[str]], line: str
) -> None:
    path, peer, _ = ran
    answer = peer.ask(line)
    assert answer["ok"] is False
    assert answer["error"]
    assert (path / "f.txt").read_text() == "hello"
