"""Containers: real processes with real identities, here on a plain directory."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from osscluster.container import ContainerProcess
from osscluster.errors import CallTimeout, ProcessDied
from osscluster.holders import holders_below
from osscluster.leftovers import Run
from osscluster.spawner import Spawner
from osscluster.volume import DirEntry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give processes other ids; run as root")

Starter = Callable[..., ContainerProcess]


@pytest.fixture(scope="module")
def spawner() -> Spawner:
    return Spawner.shared(Run.current())


@pytest.fixture
def place(spawner: Spawner) -> Path:
    # pytest's own directories are closed to other users.
    return spawner.run.new_directory("place", mode=0o777)


@pytest.fixture
def start(spawner: Spawner, place: Path) -> Iterator[Starter]:
    started = []

    def starter(
        name: str = "app",
        *,
        uid: int = 1000,
        gid: int = 1001,
        groups: Sequence[int] = (),
        umask: int = 0o022,
        timeout: float = 10,
    ) -> ContainerProcess:
        made = spawner.container(name, str(place), uid=uid, gid=gid, groups=groups, umask=umask, timeout=timeout)
        started.append(made)
        return made

    yield starter
    for container in started:
        container.end()


def test_a_container_has_the_ids_groups_umask_and_name_asked_for(start: Starter) -> None:
    container = start("writer", groups=(5, 7), umask=0o027)
    status = Path(f"/proc/{container.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Name"] == "writer"
    assert fields["Uid"] == "1000\t1000\t1000\t1000"
    assert fields["Gid"] == "1001\t1001\t1001\t1001"
    assert fields["Groups"].split() == ["5", "7"]
    assert fields["Umask"] == "0027"
    assert os.readlink(f"/proc/{container.pid}/cwd") == "/"


def test_a_container_holds_nothing_but_its_own_socket(start: Starter) -> None:
    container = start()
    targets = {fd: os.readlink(f"/proc/{container.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{container.pid}/fd")}
    assert {targets.pop(fd) for fd in ("0", "1", "2")} == {"/dev/null"}
    assert [target.split(":")[0] for target in targets.values()] == ["socket"]


def test_calls_fail_with_the_errno_of_the_process(start: Starter, place: Path) -> None:
    (place / "secret").write_text("x")
    (place / "secret").chmod(0o600)
    container = start()
    with pytest.raises(PermissionError) as denied:
        container.open("secret")
    assert denied.value.errno == errno.EACCES
    assert denied.value.filename == "secret"
    with pytest.raises(FileNotFoundError):
        container.stat("absent")


def test_large_contents_pass_both_ways(start: Starter) -> None:
    container = start()
    data = os.urandom(3_000_000)
    fd = container.open("f", os.O_CREAT | os.O_RDWR)
    assert container.write(fd, data) == len(data)
    assert container.pread(fd, len(data) + 1, 0) == data
    container.close(fd)


def test_names_that_are_no_utf8_pass_both_ways(start: Starter, place: Path) -> None:
    container = start()
    name = os.fsdecode(b"caf\xe9")
    container.mkdir(name)
    assert os.listdir(os.fsencode(place)) == [b"caf\xe9"]
    assert container.listdir("") == [DirEntry(name, "directory")]


def test_a_call_that_never_returns_is_named_and_its_container_killed(start: Starter, place: Path) -> None:
    os.mkfifo(place / "pipe")
    (place / "pipe").chmod(0o666)
    container = start("stuck", timeout=0.2)
    with pytest.raises(CallTimeout, match=r"stuck \(pid \d+\): open\('pipe', 0, 438\) did not return within 0.2 s"):
        container.open("pipe")
    assert container.process.wait(10) == -signal.SIGKILL
    with pytest.raises(ProcessDied, match="has been killed"):
        container.stat("")


def test_a_container_that_is_killed_from_outside_is_reported(start: Starter) -> None:
    container = start()
    os.kill(container.pid, signal.SIGKILL)
    with pytest.raises(ProcessDied, match="exit code -9"):
        container.stat("")


def test_holders_are_found_without_lsof(start: Starter, place: Path) -> None:
    container = start("holder")
    fd = container.open("a", os.O_CREAT | os.O_RDWR)
    directory = container.open("", os.O_RDONLY)
    assert [(h.path, h.command, h.uid, h.pid) for h in holders_below(str(place))] == [
        ("", "holder", 1000, container.pid),
        ("a", "holder", 1000, container.pid),
    ]
    container.unlink("a")
    container.close(directory)
    assert [h.path for h in holders_below(str(place))] == ["a"]
    container.close(fd)
    assert holders_below(str(place)) == []


def test_an_interrupted_call_does_not_leave_its_answer_for_the_next_one(
    start: Starter, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(place / "pipe")
    (place / "pipe").chmod(0o666)
    container = start()

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            container.open("pipe")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ProcessDied):
        container.stat("")
