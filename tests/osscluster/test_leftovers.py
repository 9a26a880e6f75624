"""What a run leaves behind, and who removes it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from osscluster import mounttable
from osscluster.errors import EnvironmentMissing
from osscluster.identity import ProcessIdentity, boot_id, pid_namespace
from osscluster.leftovers import Run, clean, clean_dead_runs

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs; run as root")


def _dead_run(base: Path, *, processes: list[ProcessIdentity], mountpoints: list[str]) -> Path:
    """A run whose process has gone, as a killed runner leaves it."""
    gone = subprocess.Popen(["true"])
    identity = ProcessIdentity.of(gone.pid)
    gone.wait()
    start = identity.start if identity else 1
    directory = base / f"run-{boot_id()}-{pid_namespace()}-{gone.pid}-{start}"
    directory.mkdir()
    record = {
        "runner": [gone.pid, start],
        "processes": [[process.pid, process.start] for process in processes],
        "mountpoints": mountpoints,
    }
    (directory / "record.json").write_text(json.dumps(record))
    return directory


def _mount_tmpfs(place: Path) -> None:
    place.mkdir(exist_ok=True)
    assert ctypes.CDLL(None).mount(b"ossvol-test", os.fsencode(place), b"tmpfs", 0, b"size=64k") == 0


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait()


def test_a_run_directory_lets_other_users_pass_but_not_look(tmp_path: Path) -> None:
    run = Run(tmp_path / "state")
    try:
        assert stat.S_IMODE(run.directory.stat().st_mode) == 0o711
        assert stat.S_IMODE(run.new_directory("private").stat().st_mode) == 0o700
    finally:
        run.close()
    assert list((tmp_path / "state").glob("run-*")) == []


def test_a_state_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "state"
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(EnvironmentMissing, match="only this user can write"):
        Run(base)


def test_a_state_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentMissing):
        Run(tmp_path / "state")


def test_the_next_run_ends_the_processes_of_a_dead_one(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    directory = _dead_run(tmp_path, processes=[identity], mountpoints=[])
    assert clean_dead_runs(tmp_path) == [directory]
    assert sleeper.wait(5) == -signal.SIGKILL
    assert not directory.exists()


def test_a_process_that_got_a_recorded_pid_later_is_spared(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    _dead_run(tmp_path, processes=[ProcessIdentity(identity.pid, identity.start - 1)], mountpoints=[])
    clean_dead_runs(tmp_path)
    assert sleeper.poll() is None


def test_a_live_run_is_never_touched(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    live = Run(tmp_path)
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    live.add_process(identity)
    try:
        assert clean_dead_runs(tmp_path) == []
        assert sleeper.poll() is None
        assert live.directory.is_dir()
    finally:
        live.forget_process(identity)
        live.close()


def test_a_run_of_another_pid_namespace_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / f"run-{boot_id()}-1-{os.getpid()}-1"
    foreign.mkdir()
    assert clean_dead_runs(tmp_path) == []
    assert foreign.is_dir()


def test_directories_of_an_earlier_boot_are_removed_without_looking_at_their_pids(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    old = tmp_path / f"run-00000000-{pid_namespace()}-{os.getpid()}-1"
    old.mkdir()
    (old / "record.json").write_text(
        json.dumps({"runner": [1, 1], "processes": [[identity.pid, identity.start]], "mountpoints": []})
    )
    assert clean_dead_runs(tmp_path) == [old]
    assert not old.exists()
    assert sleeper.poll() is None


@root_only
def test_a_mount_of_a_dead_run_is_removed_even_while_busy(tmp_path: Path) -> None:
    directory = _dead_run(tmp_path, processes=[], mountpoints=[])
    place = directory / "mnt"
    _mount_tmpfs(place)
    with (place / "held").open("w"):
        clean_dead_runs(tmp_path)
        assert not mounttable.is_mounted(str(place))
    assert not directory.exists()


@root_only
def test_only_a_fuse_mount_is_removed_outside_the_run_directory(tmp_path: Path) -> None:
    other = tmp_path / "other"
    _mount_tmpfs(other)
    try:
        _dead_run(tmp_path, processes=[], mountpoints=[str(other)])
        clean_dead_runs(tmp_path)
        assert mounttable.is_mounted(str(other))
    finally:
        mounttable.unmount(str(other))


@root_only
def test_nothing_is_deleted_through_a_mount_that_can_not_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = _dead_run(tmp_path, processes=[], mountpoints=[])
    place = directory / "mnt"
    _mount_tmpfs(place)
    (place / "precious").write_text("x")
    with monkeypatch.context() as patch:
        patch.setattr(mounttable, "unmount", lambda mountpoint, lazy=False: None)
        with pytest.raises(OSError, match="still mounted"):
            clean(directory)
    assert (place / "precious").read_text() == "x"
    clean(directory)


def test_closing_twice_is_no_error(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.close()
    run.close()


def test_a_forked_child_does_not_close_its_parents_run(tmp_path: Path) -> None:
    script = """
import os, pathlib, sys
from osscluster.leftovers import Run
run = Run(pathlib.Path(sys.argv[1]))
pid = os.fork()
if pid == 0:
    run.close()
    os._exit(0)
os.waitpid(pid, 0)
print(run.directory.is_dir())
"""
    seen = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert seen.stdout == "True\n"
    assert list(tmp_path.glob("run-*")) == []


_RUNNER = """
import os, pathlib, signal, sys, time
from osscluster import cloudprocess
from osscluster.leftovers import Run
from osscluster.spawner import Spawner
run = Run.current(pathlib.Path(sys.argv[1]))
spawner = Spawner.shared(run)
cloud, clock = cloudprocess.start(spawner)
place = run.new_directory("place", mode=0o711)
container = spawner.container("app", str(place), uid=0, gid=0, groups=(), umask=0o22, timeout=10)
container.open("held", os.O_CREAT | os.O_RDWR)
print(spawner._process.pid, container.pid, cloud.pid, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
elif sys.argv[2] == "raise":
    raise KeyboardInterrupt
"""


def _start_runner(base: Path, how: str) -> tuple[subprocess.Popen[str], list[int]]:
    runner = subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(base), how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert runner.stdout is not None
    return runner, [int(pid) for pid in runner.stdout.readline().split()]


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert done()


def test_every_process_of_a_run_is_in_its_record_the_cloud_too(tmp_path: Path) -> None:
    runner, pids = _start_runner(tmp_path, "wait")
    (record,) = tmp_path.glob("run-*/record.json")
    recorded = dict(json.loads(record.read_text())["processes"])
    assert recorded.keys() == set(pids)
    assert all(ProcessIdentity(pid, start).alive() for pid, start in recorded.items())
    assert [Path(f"/proc/{pid}/comm").read_text() for pid in pids] == ["ossvol-spawner\n", "app\n", "ossvol-cloud\n"]
    runner.kill()
    runner.communicate(timeout=20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_runner_leaves_no_process_and_no_file(tmp_path: Path, number: signal.Signals) -> None:
    runner, pids = _start_runner(tmp_path, "wait")
    runner.send_signal(number)
    runner.communicate(timeout=20)
    _until(lambda: all(ProcessIdentity.of(pid) is None for pid in pids))
    _until(lambda: not list(tmp_path.glob("run-*")))


@pytest.mark.parametrize("how", ["end", "raise"])
def test_a_runner_that_ends_by_itself_leaves_nothing(tmp_path: Path, how: str) -> None:
    runner, pids = _start_runner(tmp_path, how)
    runner.communicate(timeout=20)
    assert all(ProcessIdentity.of(pid) is None for pid in pids)
    assert list(tmp_path.glob("run-*")) == []


def test_when_runner_and_spawner_are_killed_their_children_die_and_the_next_run_removes_the_files(
    tmp_path: Path,
) -> None:
    runner, (spawner, *children) = _start_runner(tmp_path, "wait")
    os.kill(spawner, signal.SIGSTOP)  # It can't act any more.
    runner.kill()
    runner.communicate(timeout=20)
    os.kill(spawner, signal.SIGKILL)
    _until(lambda: all(ProcessIdentity.of(pid) is None for pid in children))
    assert len(list(tmp_path.glob("run-*"))) == 1
    _until(lambda: ProcessIdentity.of(spawner) is None)
    clean_dead_runs(tmp_path)
    assert list(tmp_path.glob("run-*")) == []


def test_threads_that_record_processes_at_the_same_time_lose_none(tmp_path: Path) -> None:
    run = Run(tmp_path)
    gone, kept = ([ProcessIdentity(first + number, 1) for number in range(50)] for first in (10**9, 2 * 10**9))

    def work(number: int) -> None:
        for one, other in list(zip(gone, kept, strict=True))[number::5]:
            run.add_process(one)
            run.add_process(other)
            run.forget_process(one)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(work, range(5)))
    record = json.loads((run.directory / "record.json").read_text("utf-8"))
    for one in kept:
        run.forget_process(one)
    run.close()
    assert [pid for pid, _ in record["processes"]] == [one.pid for one in kept]
