"""What a node leaves behind when its run ends, however that ends: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import eventually

from osscluster import mounttable
from osscluster.engine import kernel_unavailable
from osscluster.identity import ProcessIdentity
from osscluster.leftovers import clean_dead_runs

_RUNNER = """
import sys, time
from osscluster.engine import make_engine
from osscluster.host import ContainerMount, ContainerSpec, OssfsSpec
engine = make_engine("kernel", state_dir=sys.argv[1])
engine.cloud.admin.create_bucket("bucket")
engine.cloud.admin.put("bucket", "data/a", b"x")
host = engine.host("node")
target, other, over = "/var/lib/kubelet/a", "/var/lib/kubelet/b", "/var/lib/kubelet"
for path in (target, other, "/cover"):
    host.makedirs(path)
spec = OssfsSpec("bucket", "/", target, ["-o", "allow_other"], passwd=engine.cloud.passwd_line("bucket"))
ossfs = host.start_ossfs(spec)
dead = host.start_ossfs(OssfsSpec("bucket", "/", other, passwd=engine.cloud.passwd_line("bucket")))
host.bind(target + "/data", target + "/data")
host.makedirs("/bound")
host.bind(other, "/bound")
dead.kill()
holder = host.start_process("holder")
holder.open(target + "/data/a")
data = [ContainerMount(target, "/data")]
app = host.start_container(ContainerSpec("app", uid=1000, mounts=data, working_dir="/data"))
app.open("/data/data/a")
host.run("true")
host.run("sleep 1000 >/dev/null 2>&1 & echo $!")
host.bind("/cover", over)
print(engine.spawner._process.pid, ossfs.pid, holder.pid, app.pid, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
elif sys.argv[2] == "raise":
    raise KeyboardInterrupt
elif sys.argv[2] == "close":
    engine.close()
    assert not [m for m in open("/proc/self/mountinfo") if str(engine.run.directory) in m]
"""


def _start(base: Path, how: str) -> tuple[subprocess.Popen[str], list[int]]:
    missing = kernel_unavailable()
    if missing is not None:
        pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
    runner = subprocess.Popen([sys.executable, "-c", _RUNNER, str(base), how], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    line = runner.stdout.readline()
    if not line:
        runner.communicate(timeout=30)
    assert line
    return runner, [int(pid) for pid in line.split()]


def _confined(base: Path) -> list[str]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                root = os.readlink(f"/proc/{entry.name}/root")
            except OSError:
                continue
            found += [entry.name] if root.startswith(str(base)) else []
    return found


def _nothing_left(base: Path, pids: list[int]) -> bool:
    return (
        not any(ProcessIdentity.of(pid) for pid in pids)
        and not mounttable.mounts_below(str(base))
        and not _confined(base)
        and not list(base.glob("run-*"))
    )


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "state"
    yield place
    # What a failed test leaves must not stay below a directory that pytest will remove.
    for run in place.glob("run-*"):
        pid, start = json.loads((run / "record.json").read_text())["runner"]
        if ProcessIdentity(pid, start).alive():
            os.kill(pid, signal.SIGKILL)
            assert eventually(lambda pid=pid, start=start: not ProcessIdentity(pid, start).alive())
    clean_dead_runs(place)


@pytest.mark.parametrize("how", ["end", "raise", "close"])
def test_a_run_that_ends_leaves_nothing_of_its_nodes(base: Path, how: str) -> None:
    runner, pids = _start(base, how)
    runner.communicate(timeout=60)
    assert runner.returncode == (0 if how != "raise" else -signal.SIGINT)
    assert _nothing_left(base, pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_nothing_of_its_nodes(base: Path, number: signal.Signals) -> None:
    runner, pids = _start(base, "wait")
    runner.send_signal(number)
    runner.communicate(timeout=30)
    assert eventually(lambda: _nothing_left(base, pids))


def test_what_a_run_without_its_spawner_leaves_is_removed_once_the_run_has_gone(base: Path) -> None:
    runner, pids = _start(base, "wait")
    os.kill(pids[0], signal.SIGKILL)
    clean_dead_runs(base)
    assert mounttable.mounts_below(str(base))
    runner.kill()
    runner.communicate(timeout=30)
    clean_dead_runs(base)
    assert _nothing_left(base, pids)


def test_the_next_run_removes_what_a_killed_run_and_its_killed_spawner_left(base: Path) -> None:
    runner, pids = _start(base, "wait")
    os.kill(pids[0], signal.SIGSTOP)
    runner.kill()
    runner.communicate(timeout=30)
    os.kill(pids[0], signal.SIGKILL)
    assert mounttable.mounts_below(str(base))
    second, more = _start(base, "close")
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert _nothing_left(base, [*pids, *more])


def test_two_runs_at_once_do_not_see_each_others_nodes(base: Path) -> None:
    first, pids = _start(base, "wait")
    try:
        before = mounttable.mounts_below(str(base))
        second, more = _start(base, "close")
        second.communicate(timeout=60)
        assert second.returncode == 0
        assert all(ProcessIdentity.of(pid) for pid in pids)
        assert not any(ProcessIdentity.of(pid) for pid in more)
        assert mounttable.mounts_below(str(base)) == before
    finally:
        first.kill()
        first.communicate(timeout=30)
    assert eventually(lambda: _nothing_left(base, pids))


def test_a_directory_of_the_machine_that_is_bound_on_a_node_keeps_its_files(base: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    runner, pids = _start(base, "wait")
    (place,) = base.glob("run-*/node-*/root/cover")
    subprocess.run(["mount", "--bind", precious, place], check=True)
    runner.kill()
    runner.communicate(timeout=30)
    assert eventually(lambda: _nothing_left(base, pids))
    assert (precious / "file").read_text() == "x"
