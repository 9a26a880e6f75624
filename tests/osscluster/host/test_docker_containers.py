"""Containers of a real Docker engine: the expectations of the process driver, word for word.

A `dockerd` of its own is started where that is possible (root, docker.io and busybox-static installed), with its data
in a temporary directory; otherwise the tests are skipped and say what is missing.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.osscluster.host.nodelab import TARGET, failure
from tests.waiting import eventually

from osscluster import mounting, mounttable
from osscluster.dockerdriver import busybox_missing, engine_missing
from osscluster.engine import KernelEngine
from osscluster.errors import EnvironmentMissing
from osscluster.host import ContainerMount, ContainerSpec
from ossvol.result import Status
from ossvol.runner import Runner, RunOptions
from ossvol.scenario import loads


def _start_dockerd(place: Path) -> subprocess.Popen[bytes]:
    program = shutil.which("dockerd") or "/usr/sbin/dockerd"
    if os.geteuid() != 0:
        pytest.skip("only root can start dockerd; to fix it: run as root")
    if not os.path.exists(program):
        pytest.skip("there is no dockerd; to fix it: apt-get install docker.io busybox-static")
    missing = busybox_missing()
    if missing is not None:
        pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
    options = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    arguments = [f"--{name}={place / value}" for name, value in options.items()]
    with (place / "log").open("wb") as log:
        return subprocess.Popen(
            [
                program,
                *arguments,
                f"--host=unix://{place}/sock",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _unmount_below(place: Path) -> None:
    for entry in mounttable.mounts_below(str(place)):
        mounting.unmount(entry.mountpoint, mounting.DETACH)


@pytest.fixture(scope="module")
def docker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = Path("/tmp") / f"ossvol-dockerd-{os.getpid()}"  # a socket's path has to be short
    place.mkdir(mode=0o700)
    try:
        daemon = _start_dockerd(place)
        try:
            if not eventually(lambda: (place / "sock").exists() or daemon.poll() is not None, 60) or daemon.poll():
                text = (place / "log").read_text(errors="replace").strip().splitlines()[-1:]
                pytest.skip(f"dockerd does not start here: {text}; to fix it: run on a machine whose root may")
            yield f"unix://{place}/sock"
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
    finally:
        _unmount_below(place)
        shutil.rmtree(place)


@pytest.fixture
def docker(docker_url: str, kernel_engine: KernelEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("DOCKER_HOST", docker_url)
    missing = engine_missing()
    if missing is not None:
        pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
    client = __import__("docker").DockerClient(base_url=docker_url)
    yield client
    client.close()


def start(node: Any, *mounts: ContainerMount, **more: Any) -> Any:
    spec = ContainerSpec(more.pop("name", "app"), mounts=mounts, **more)
    return node.host.start_container(spec, driver="docker")


def names(container: Any, path: str) -> list[str]:
    return sorted(entry.name for entry in container.listdir(path))


def test_a_docker_container_reads_and_writes_a_volume_as_its_user(docker: Any, kernel_node: Any) -> None:
    kernel_node.ossfs()
    kernel_node.host.root.chmod(f"{TARGET}/data", 0o777)
    app = start(kernel_node, ContainerMount(TARGET, "/data"), uid=1000, gid=1001, groups=[2000], umask=0o027)
    assert app.read(app.open("/data/data/a.txt"), 10) == b"hello"
    app.close(app.open("/data/data/b.txt", os.O_WRONLY | os.O_CREAT, 0o666))
    seen = kernel_node.host.root.stat(f"{TARGET}/data/b.txt")
    assert (seen.uid, seen.gid, seen.mode & 0o777) == (1000, 1001, 0o640)
    assert failure(lambda: app.link("/data/data/a.txt", "/data/data/c.txt")) == errno.ENOTSUP
    assert failure(lambda: app.chown("/data/data/a.txt", 1000, 1001)) == errno.EPERM
    assert names(app, "/bin")[:2] == ["busybox", "cat"]
    with open(f"/proc/{app.pid}/status", encoding="utf-8") as file:
        groups = next(line for line in file if line.startswith("Groups:"))
    assert "2000" in groups.split()


def test_a_read_only_mount_of_a_docker_container_answers_erofs(docker: Any, kernel_node: Any) -> None:
    kernel_node.ossfs()
    app = start(kernel_node, ContainerMount(TARGET, "/data", read_only=True))
    assert failure(lambda: app.mkdir("/data/new")) == errno.EROFS
    assert names(app, "/data") == ["data"]


def test_a_docker_container_keeps_a_dead_mount_and_none_starts_on_it(docker: Any, kernel_node: Any) -> None:
    ossfs = kernel_node.ossfs()
    app = start(kernel_node, ContainerMount(TARGET, "/data"))
    ossfs.kill()
    assert failure(lambda: app.listdir("/data")) == errno.ENOTCONN
    with pytest.raises(OSError, match="not connected") as refused:
        start(kernel_node, ContainerMount(TARGET, "/data"), name="again")
    assert (refused.value.errno, refused.value.filename) == (errno.ENOTCONN, TARGET)
    kernel_node.host.umount(TARGET)
    kernel_node.ossfs()
    assert failure(lambda: app.listdir("/data")) == errno.ENOTCONN
    assert names(start(kernel_node, ContainerMount(TARGET, "/data"), name="fresh"), "/data") == ["data"]


def test_lsof_and_holders_name_the_process_in_a_docker_container(docker: Any, kernel_node: Any) -> None:
    kernel_node.ossfs()
    app = start(kernel_node, ContainerMount(TARGET, "/data"))
    app.open("/data/data/a.txt")
    assert [(h.path, h.pid, h.command) for h in kernel_node.host.holders(TARGET)] == [
        (f"{TARGET}/data/a.txt", app.pid, "app")
    ]
    rows = [line.split() for line in kernel_node.host.run(f"lsof {TARGET}").stdout.splitlines()[1:]]
    assert [(row[0], row[-1]) for row in rows] == [("app", "/data/data/a.txt")]


def test_a_working_directory_is_entered_as_runc_enters_it(docker: Any, kernel_node: Any) -> None:
    kernel_node.ossfs()
    kernel_node.host.root.chmod(f"{TARGET}/data", 0o700)
    app = start(kernel_node, ContainerMount(TARGET, "/data"), uid=1000, gid=1000, working_dir="/data/data")
    assert failure(lambda: app.listdir("/data/data")) == errno.EACCES
    start(kernel_node, ContainerMount(TARGET, "/data"), name="made", working_dir="/data/work/here")
    assert names(kernel_node.host.root, f"{TARGET}/work") == ["here"]
    with pytest.raises(OSError, match=r"mkdir /data/data/a\.txt: not a directory") as refused:
        start(kernel_node, ContainerMount(TARGET, "/data"), name="file", working_dir="/data/data/a.txt")
    assert refused.value.errno == errno.ENOTDIR


def test_an_ended_docker_container_is_removed_and_releases_ossfs(docker: Any, kernel_node: Any) -> None:
    ossfs = kernel_node.ossfs()
    app = start(kernel_node, ContainerMount(TARGET, "/data"))
    assert len(docker.containers.list()) == 1
    kernel_node.host.umount(TARGET)
    assert ossfs.alive()
    app.end()
    assert docker.containers.list(all=True) == []
    assert not ossfs.alive()


def test_an_image_of_the_users_own_is_used(docker: Any, kernel_node: Any) -> None:
    kernel_node.ossfs()
    start(kernel_node, name="first")
    (image,) = docker.images.list()
    image.tag("mine", "1")
    app = start(kernel_node, ContainerMount(TARGET, "/data"), image="mine:1")
    assert names(app, "/data") == ["data"]
    docker.images.remove("mine:1")


def test_without_an_engine_the_reason_and_the_remedy_are_said(
    kernel_node: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    missing = engine_missing()
    assert isinstance(missing, EnvironmentMissing)
    assert "Docker engine" in missing.reason or "root" in missing.reason
    assert missing.remedy


_RUNNER = """
import sys, time
from osscluster.engine import make_engine
from osscluster.host import ContainerSpec
engine = make_engine("kernel", state_dir=sys.argv[1])
engine.host("node").start_container(ContainerSpec("app"), driver="docker")
print("ready", flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
engine.close()
"""


@pytest.mark.parametrize("how", ["wait", "close"])
def test_no_container_and_no_image_is_left_when_a_run_ends_or_is_killed(docker: Any, tmp_path: Path, how: str) -> None:
    before = {image.id for image in docker.images.list()}
    runner = subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(tmp_path / "state"), how], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    assert runner.stdout.readline() == "ready\n"
    if how == "wait":
        runner.kill()
    runner.communicate(timeout=60)
    assert eventually(lambda: not list((tmp_path / "state").glob("run-*")))
    assert docker.containers.list(all=True) == []
    assert {image.id for image in docker.images.list()} <= before


@pytest.mark.parametrize("name", ["permission/subpath", "remount/delete-fuse-pod"])
def test_a_scenario_of_the_faq_passes_on_docker_containers_too(docker: Any, name: str) -> None:
    text = (Path(__file__).parents[3] / f"scenarios/faq/{name}.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    data["given"].setdefault("cluster", {})["containers"] = "docker"
    scenario = loads(yaml.safe_dump(data, allow_unicode=True), f"{name}.yaml")
    with Runner(RunOptions("kernel")) as runner:
        result = runner.run(scenario)
    assert result.status is Status.PASSED, result.reason or result.error or result.failures
    assert result.remedy is Status.PASSED
