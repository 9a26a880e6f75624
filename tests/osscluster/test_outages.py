"""What a mounted volume does when something behind it goes away: bucket, directory, access key, endpoint, process.

`data/outages.json` has every outcome: 1.80.6, 1.91.1 and 1.91.10 as the real binaries were seen to behave, 1.91.3
as 1.91.1 does but where the release's source says otherwise. With `--ossvol-ossfs PATH` the binary itself is judged.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osscluster.engine import make_engine
from osscluster.kernel import KernelEngine, KernelVolume
from osscluster.volume import Syscalls, VolumeSpec

pytestmark = pytest.mark.kernel

EXPECTED = json.loads((Path(__file__).parent / "data/outages.json").read_text(encoding="utf-8"))
VERSIONS = ("1.80.6", "1.91.1", "1.91.3", "1.91.10")
EVENTS = ("bucket deleted", "directory deleted", "key disabled")
FILE = {"mode": "33188", "uid": "0", "gid": "0", "mtime": "1700000000"}
DIRECTORY = {"mode": "16877"}


OPTIONS = "-o retries=1"  # an answer that does not fit a read is asked for again after 2 s, as often as retries says


def engine_for(binary: str | None) -> KernelEngine:
    made = make_engine("kernel", ossfs=binary)
    assert isinstance(made, KernelEngine)
    return made


class Impatient:
    """Moves a simulated mount's clock ahead, 1 s after each tenth of a second, while it is entered."""

    def __init__(self, volume: KernelVolume) -> None:
        self._volume = volume
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._hurry)

    def _hurry(self) -> None:
        while not self._done.wait(0.1):
            self._volume.control({"do": "advance", "seconds": 1})

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()


def fill(engine: KernelEngine) -> None:
    admin = engine.cloud.admin
    admin.create_bucket("bkt")
    for key in ("p/", "p/d/", "p/e/"):
        admin.put("bkt", key, content_type="application/x-directory", meta=DIRECTORY)
    for key in ("p/a", "p/b", "p/c", "p/d/x"):
        admin.put("bkt", key, b"hello", meta=FILE)
    admin.put("bkt", "p/ln", b"target", meta={**FILE, "mode": "41471"})


def happen(engine: KernelEngine, event: str) -> None:
    admin = engine.cloud.admin
    match event:
        case "bucket deleted":
            admin.delete_bucket("bkt", force=True)
        case "directory deleted":
            for key in admin.keys("bkt", "p"):
                admin.delete("bkt", key)
        case "key disabled":
            engine.cloud.service.accounts.disable(engine.cloud.key.id)


def outcome(call: Callable[..., object], *arguments: object) -> str:
    """ "ok", what was read or listed, or the name of the errno."""
    try:
        found = call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    if isinstance(found, bytes):
        return repr(found.decode())
    if isinstance(found, list):
        return " ".join(sorted(entry.name for entry in found)) or "empty"
    return "ok"


def create(app: Syscalls, path: str) -> str:
    try:
        fd = app.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    except OSError as error:
        return f"open {errno.errorcode[error.errno or 0]}"
    app.write(fd, b"x")
    return f"close {outcome(app.close, fd)}"


def read(app: Syscalls, path: str) -> bytes:
    fd = app.open(path)
    try:
        return app.read(fd, 5)
    finally:
        app.close(fd)


def observe(volume: KernelVolume, happens: Callable[[], None], *, simulated: bool) -> dict[str, str]:
    """Outcomes of system calls after `happens`; "a" and the root directory are known from before, "c" is open."""
    app = volume.container("app")
    app.stat("a")
    held = app.open("c", os.O_RDWR)
    app.listdir("")
    happens()
    time.sleep(1.05)  # what the kernel remembers of names and attributes; real binaries keep the machine's time
    with Impatient(volume) if simulated else contextlib.nullcontext():
        found = observed(app, held)
    return {**found, "umount": outcome(volume.unmount)}


def observed(app: Syscalls, held: int) -> dict[str, str]:
    return {
        "stat of the mount point": outcome(app.stat, ""),
        "statfs": outcome(app.statvfs, ""),
        "list the mount point": outcome(app.listdir, ""),
        "stat of a cached name": outcome(app.stat, "a"),
        "stat of a missing name": outcome(app.stat, "zz"),
        "list a directory": outcome(app.listdir, "d"),
        "read": outcome(read, app, "a"),
        "create": create(app, "n"),
        "mkdir": outcome(app.mkdir, "nd"),
        "unlink": outcome(app.unlink, "c"),
        "rmdir": outcome(app.rmdir, "e"),
        "rename": outcome(app.rename, "b", "b2"),
        "chmod": outcome(app.chmod, "b", 0o600),
        "symlink": outcome(app.symlink, "x", "l"),
        "readlink": outcome(app.readlink, "ln"),
        "truncate": outcome(app.truncate, "b", 1),
        "utime": outcome(app.utime, "b", 1.0, 1.0),
        "chmod of the mount point": outcome(app.chmod, "", 0o700),
        "write to an open file": outcome(app.write, held, b"new"),
        "fsync of an open file": outcome(app.fsync, held),
        "read of an open file": outcome(app.pread, held, 5, 0),
        "close of an open file": outcome(app.close, held),
    }


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[KernelEngine]:
    engine = engine_for(request.config.getoption("--ossvol-ossfs", default=None) or None)
    fill(engine)
    yield engine
    engine.close()


def version_of(engine: KernelEngine) -> str:
    if engine.ossfs is None:
        return ""
    text = subprocess.run([engine.ossfs, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    return text.partition(" V")[2].partition("(")[0].strip()


def skip_other(engine: KernelEngine, version: str) -> None:
    if engine.ossfs is not None and version_of(engine) != version:
        pytest.skip(f"the binary is ossfs {version_of(engine)}")


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_calls_end_as_in_the_original_once_something_is_gone(engine: KernelEngine, version: str, event: str) -> None:
    skip_other(engine, version)
    volume = engine.mount(VolumeSpec("bkt", path="/p", version=version, options=OPTIONS))
    simulated = engine.ossfs is None
    assert observe(volume, lambda: happen(engine, event), simulated=simulated) == EXPECTED[version][event]


@pytest.mark.parametrize(("version", "seconds"), [("1.80.6", 48.0), ("1.91.3", 80.0), ("1.91.10", 80.0)])
def test_without_its_endpoint_calls_hang_for_all_attempts_and_end_with_eio(
    engine: KernelEngine, version: str, seconds: float
) -> None:
    if engine.ossfs is not None:
        pytest.skip("a real ossfs hangs for a minute and more")
    volume = engine.mount(VolumeSpec("bkt", path="/p", version=version))
    app = volume.container("app")
    engine.cloud.close()
    assert outcome(app.stat, "") == "ok"
    assert outcome(app.statvfs, "") == "ok"
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(outcome(app.stat, "a")))
    thread.start()
    passed = 0.0
    while thread.is_alive():
        thread.join(0.03)
        if thread.is_alive():
            volume.control({"do": "advance", "seconds": 1})
            passed += 1
        assert passed < 3 * seconds
    # Four requests (three names and a listing), each with all its attempts 4 s apart.
    assert found == ["EIO"]
    assert seconds - 12 <= passed <= seconds + 25
    assert outcome(app.stat, "") == "ok"
    volume.unmount()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_killed_ossfs_leaves_enotconn_on_open_files_too(engine: KernelEngine, version: str) -> None:
    skip_other(engine, version)
    volume = engine.mount(VolumeSpec("bkt", path="/p", version=version))
    app = volume.container("app")
    held = app.open("a")
    volume.kill()
    assert [outcome(app.stat, ""), outcome(app.listdir, ""), outcome(app.pread, held, 5, 0)] == ["ENOTCONN"] * 3
    assert outcome(app.close, held) == "ENOTCONN"
    volume.unmount()
