"""`ossvol run` of an ordinary user: root of a user namespace where the kernel allows it.

The user is nobody, on this machine as udev leaves one: /dev/fuse for everybody, and a range in /etc/subuid. Both are
bind mounts of a mount namespace that ends with the test; nothing of the machine is changed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import eventually

from osscluster.engine import kernel_unavailable

_UID = 65534
_BASE = Path(f"/tmp/ossvol-{_UID}")
_PRELUDE = """
set -e
mount --make-rprivate /
mknod -m 666 "$PLACE/fuse" c 10 229
mount --bind "$PLACE/fuse" /dev/fuse
for name in subuid subgid; do
    echo "$RANGE" > "$PLACE/$name"
    [ ! -e /etc/$name ] || mount --bind "$PLACE/$name" /etc/$name
done
if [ -n "$HIDDEN" ]; then  # the interpreter is below a home that its owner alone may pass through
    mkdir "$PLACE/kept"
    mount --rbind "$KEPT" "$PLACE/kept"
    mount -t tmpfs -o mode=755 tmpfs "$HIDDEN"
    mkdir -p "$KEPT"
    mount --rbind "$PLACE/kept" "$KEPT"
fi
exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"
"""
_SCENARIO = """
scenario: test/ordinary-user
title: {en: "Another user reads what the mount lets it read"}
given:
  bucket: {name: ordinary}
  objects: [{key: a.txt, body: hello, via: ossutil}]
  volume: {options: "-o allow_other -o umask=022"}
  containers: {app: {uid: 1000, gid: 1001}}
when:
  - {read: a.txt, as: app, expect: {body: hello}}
  - {write: b.txt, as: app, body: x, expect: {errno: EACCES}}
"""
_NODE = """
import os, sys, time
from osscluster import usernamespace
if os.geteuid():
    usernamespace.reexecute(65536)
from osscluster.engine import make_engine
from osscluster.host import ContainerMount, ContainerSpec, OssfsSpec
engine = make_engine("kernel")
engine.cloud.admin.create_bucket("bucket")
engine.cloud.admin.put("bucket", "a", b"x", meta={"mode": "33188"})
host = engine.host("node")
for path in ("/mnt", "/bound"):
    host.makedirs(path)
passwd = engine.cloud.passwd_line("bucket")
ossfs = host.start_ossfs(OssfsSpec("bucket", "/", "/mnt", ["-o", "allow_other", "-o", "mp_umask=022"], passwd=passwd))
host.bind("/mnt", "/bound", read_only=True)
app = host.start_container(ContainerSpec("app", uid=1000, mounts=[ContainerMount("/bound", "/usr/share/data")]))
assert app.read(app.open("/usr/share/data/a"), 9) == b"x"
assert host.run("lsof /bound").stdout.splitlines()[1].startswith("app ")
print(*host.mounts(), sep="\\n", flush=True)
print(os.getpid(), app.pid, ossfs.pid, flush=True)
if sys.argv[1:] == ["wait"]:
    time.sleep(60)
engine.close()
"""


def _hidden() -> tuple[str, str]:
    """The uppermost directory above the interpreter that others may not pass through, and the interpreter's own."""
    prefix = Path(sys.base_prefix)
    for parent in reversed(prefix.parents):
        if not parent.stat().st_mode & 0o001:
            return str(parent), str(prefix)
    return "", ""


class _User:
    def __init__(self, place: Path) -> None:
        self.place = place
        self.range = "nobody:100000:65536"

    def command(self, *words: str) -> tuple[list[str], dict[str, str]]:
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(mode=0o755)
        hidden, kept = _hidden()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.place),
            "PLACE": str(self.place),
            "RANGE": self.range,
            "HIDDEN": hidden,
            "KEPT": kept,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return ["unshare", "-m", "sh", "-c", _PRELUDE, "sh", *words], environment

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command, environment = self.command(*words)
        return subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def user() -> Iterator[_User]:
    missing = kernel_unavailable()
    if os.geteuid() != 0 or missing is not None:
        pytest.skip("only root can make the machine of an ordinary user; to fix it: run as root, with FUSE")
    for program, package in (("unshare", "util-linux"), ("setpriv", "util-linux"), ("newuidmap", "uidmap")):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}; to fix it: apt-get install {package}")
    was_there = _BASE.exists()
    user = _User(Path(f"/tmp/ossvol-ordinary-{os.getpid()}"))
    if user.run("unshare", "-Urm", "true").returncode:
        pytest.skip("the kernel has no unprivileged user namespaces; to fix it: sysctl user.max_user_namespaces=10000")
    if user.run(sys.executable, "-c", "import osscluster, ossvol").returncode:
        pytest.skip("nobody can't read this installation; to fix it: put it where everybody may pass through")
    yield user
    shutil.rmtree(user.place)
    if not was_there:
        shutil.rmtree(_BASE, ignore_errors=True)


@pytest.fixture
def scenario(user: _User) -> Iterator[Path]:
    path = Path(f"/tmp/ossvol-ordinary-{os.getpid()}.yaml")
    path.write_text(_SCENARIO)
    path.chmod(0o644)
    yield path
    path.unlink()


def test_an_ordinary_users_run_has_containers_of_other_uids(user: _User, scenario: Path) -> None:
    done = user.run(sys.executable, "-m", "ossvol", "run", "--json", "--via", "kernel", str(scenario))
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert (result["status"], result["via"]) == ("passed", "kernel")
    assert list(_BASE.glob("run-*")) == []


def test_without_a_range_of_uids_the_run_says_what_to_install(user: _User, scenario: Path) -> None:
    user.range = "somebody:100000:65536"
    done = user.run(sys.executable, "-m", "ossvol", "run", "--via", "kernel", str(scenario))
    assert done.returncode != 0
    assert "uidmap" in done.stdout + done.stderr


def test_doctor_tells_which_way_works_for_an_ordinary_user(user: _User) -> None:
    full = user.run(sys.executable, "-m", "ossvol", "doctor").stdout
    assert "uses a user namespace with 65536 ids (newuidmap)" in " ".join(full.split())
    user.range = "somebody:100000:65536"
    single = " ".join(user.run(sys.executable, "-m", "ossvol", "doctor").stdout.split())
    assert "where containers have no other uids" in single
    assert "apt-get install -y uidmap" in single


def test_a_node_works_in_a_user_namespace(user: _User) -> None:
    done = user.run(sys.executable, "-c", _NODE)
    assert done.returncode == 0, done.stderr
    options = "relatime,user_id=0,group_id=0,allow_other"
    assert done.stdout.splitlines()[:2] == [
        f"ossfs on /mnt type fuse.ossfs (rw,nosuid,nodev,{options})",
        f"ossfs on /bound type fuse.ossfs (ro,{options})",
    ]
    assert list(_BASE.glob("run-*")) == []


def test_a_killed_run_in_a_user_namespace_leaves_nothing(user: _User) -> None:
    command, environment = user.command(sys.executable, "-c", _NODE, "wait")
    with subprocess.Popen(command, env=environment, cwd="/", stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        lines = [runner.stdout.readline() for _ in range(3)]
        pids = [int(word) for word in lines[2].split()]
        os.kill(pids[0], signal.SIGKILL)
    assert eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    assert eventually(lambda: list(_BASE.glob("run-*")) == [])
    assert not any(str(_BASE) in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
