"""The adapter's callbacks as mfusepy calls them, over a real file system core, without a mount.

Outside of a callback libfuse's context is that of uid 0, so no kernel is needed; what the kernel makes of the answers
is in test_fuse_mounts.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService
from ossfuse.access import HostGroups
from ossfuse.client import ObjectClient
from ossfuse.filesystem import Context, OssFs
from ossfuse.fuse_adapter import LibfuseMissing, XattrAdapter, load_binding
from ossfuse.mime import MimeTable
from ossfuse.options import parse
from ossfuse.passwd import Credentials
from ossfuse.profile import find


def libfuse_missing() -> str:
    try:
        load_binding()
    except LibfuseMissing as missing:
        return str(missing)
    return ""


pytestmark = pytest.mark.skipif(bool(libfuse_missing()), reason=libfuse_missing() or "never")

NOW = (1 << 30) - 1
OMIT = (1 << 30) - 2


class Lab:
    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.service = OssService(clock=self.clock, rng=random.Random(1))
        self.service.accounts.create_key(id="AK", secret="SK")
        self.service.admin.create_bucket("bkt")
        self.service.admin.put("bkt", "f", b"hello", meta={"mode": "33188", "mtime": "1500000000.500000000"})
        profile = find("1.91.3")
        options = parse(
            ["bkt", "/mnt", "-ourl=http://127.0.0.1:1", "-o", "use_path_request_style,use_xattr"],
            profile,
            look_at_mountpoint=False,
        )
        client = ObjectClient(
            SimpleNamespace(send=self.service.handle),
            options=options,
            profile=profile,
            credentials=Credentials("AK", "SK"),
            clock=self.clock,
            rng=random.Random(1),
        )
        self.fs = OssFs(
            options=options,
            profile=profile,
            client=client,
            clock=self.clock,
            groups=HostGroups(),
            spool=str(directory),
            mime=MimeTable(),
            euid=0,
            egid=0,
        )
        self.adapter = XattrAdapter(self.fs, context=Context, now=self.clock.now, flags=profile)
        # libfuse has a context only inside of its callbacks.
        caller = SimpleNamespace(contents=SimpleNamespace(uid=0, gid=0, pid=os.getpid()))
        self.adapter._get_context = lambda: caller


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.adapter.destroy("/")


@contextlib.contextmanager
def logged() -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger = logging.getLogger("ossfuse.fuse_adapter")
    handler = Keep()
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


def opened(**values: int) -> Any:
    """libfuse's fuse_file_info."""
    return SimpleNamespace(**{"flags": os.O_RDWR, "fh": 0, **values})


def test_a_file_lives_through_its_callbacks(lab: Lab) -> None:
    a = lab.adapter
    info = opened(flags=os.O_WRONLY | os.O_CREAT)
    assert a.create("/new", 0o100640, info) == 0
    assert a.write("/new", b"content", 0, info) == 7
    assert a.fsync("/new", 0, info) == 0
    assert a.flush("/new", info) == 0
    assert a.release("/new", info) == 0
    info = opened()
    assert a.open("/new", info) == 0
    assert a.read("/new", 4, 2, info) == b"nten"
    assert a.truncate("/new", 3, info) == 0
    assert a.flush("/new", info) == 0
    assert a.release("/new", info) == 0
    assert a.getattr("/new", info)["st_size"] == 3
    assert a.rename("/new", "/old") == 0
    assert a.unlink("/old") == 0
    assert lab.service.admin.keys("bkt") == ["f"]


def test_reads_fill_and_writes_empty_the_buffer_that_libfuse_gives(lab: Lab) -> None:
    a = lab.adapter
    info = opened()
    buffer = ctypes.create_string_buffer(b"-" * 8, 8)
    assert a.open("/f", info) == 0
    assert a.read_into("/f", ctypes.addressof(buffer), 8, 2, info) == 3
    assert buffer.raw == b"llo-----"
    assert a.write_from("/f", ctypes.addressof(buffer), 3, 5, info) == 3
    buffer.raw = b"reused!!"
    assert a.read("/f", 100, 0, info) == b"hellollo"
    assert a.read_into("/f", ctypes.addressof(buffer), 8, 8, info) == 0
    assert a.flush("/f", info) == 0
    assert a.release("/f", info) == 0
    assert lab.service.admin.object("bkt", "f").read() == b"hellollo"


def test_names_live_through_their_callbacks(lab: Lab) -> None:
    a = lab.adapter
    assert a.mkdir("/d", 0o755) == 0
    assert a.symlink("/d/link", "f") == 0
    assert a.readlink("/d/link") == "f"
    assert a.mknod("/d/fifo", stat.S_IFIFO | 0o600, 0) == 0
    assert a.chmod("/f", 0o100600) == 0
    assert a.chown("/f", 5, 6) == 0
    assert a.access("/f", os.R_OK) == 0
    assert a.opendir("/d") == 0
    entries = {name: kind for name, kind, _ in a.readdir("/d", 0)}
    assert set(entries) >= {"link", "fifo"}
    found = a.getattr("/f")
    assert (found["st_mode"], found["st_uid"], found["st_gid"]) == (0o100600, 5, 6)
    for name in ("/d/link", "/d/fifo"):
        assert a.unlink(name) == 0
    assert a.rmdir("/d") == 0
    with pytest.raises(OSError, match="Operation not supported"):
        a.link("/g", "/f")


def test_times_keep_their_fractions_and_may_be_left_alone(lab: Lab) -> None:
    a = lab.adapter
    assert a.getattr("/f")["st_mtime"] == 1_500_000_000_500_000_000
    assert a.utimens("/f", (OMIT, 1_600_000_000_250_000_000)) == 0
    assert a.getattr("/f")["st_mtime"] == 1_600_000_000_250_000_000
    assert a.utimens("/f", (OMIT, NOW)) == 0
    assert a.getattr("/f")["st_mtime"] == int(lab.clock.now() * 1e9)
    assert a.utimens("/f") == 0


def test_extended_attributes_pass_through(lab: Lab) -> None:
    a = lab.adapter
    assert a.setxattr("/f", "user.a", b"v", 0) == 0
    assert a.getxattr("/f", "user.a") == b"v"
    assert list(a.listxattr("/f")) == ["user.a"]
    assert a.removexattr("/f", "user.a") == 0


def test_statfs_names_the_fields_of_statvfs(lab: Lab) -> None:
    assert lab.adapter.statfs("/")["f_bsize"] == 1 << 24


def test_an_error_with_a_number_reaches_the_caller(lab: Lab) -> None:
    with pytest.raises(OSError, match="No such file or directory") as caught:
        lab.adapter.getattr("/none")
    assert caught.value.errno == errno.ENOENT


def test_the_path_of_an_unlinked_file_is_stale(lab: Lab) -> None:
    with pytest.raises(OSError, match="Stale file handle"):
        lab.adapter.read(None, 1, 0, opened())


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), OSError("no number")])
def test_a_defect_is_logged_with_its_traceback_and_is_an_input_output_error(
    lab: Lab, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(lab.fs, "getattr", broken)
    with logged() as records, pytest.raises(OSError, match="Input/output error") as caught:
        lab.adapter.getattr("/f")
    assert caught.value.errno == errno.EIO
    assert [record.exc_info[1] for record in records if record.exc_info] == [error]


def test_a_defect_at_the_end_is_logged_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.fs, "destroy", lambda: 1 / 0)
    with logged() as records:
        lab.adapter.destroy("/")
    assert len(records) == 1


@pytest.mark.parametrize(("version", "big_writes"), [("1.80.6", False), ("1.91.3", True)])
def test_the_kernel_is_asked_for_what_the_release_asks(lab: Lab, version: str, big_writes: bool) -> None:
    adapter = XattrAdapter(lab.fs, context=Context, now=lab.clock.now, flags=find(version))
    connection = SimpleNamespace(want=0)
    adapter.init_with_config(connection, None)
    assert bool(connection.want & (1 << 5)) is big_writes
    assert connection.want & (1 << 3)
    with_readdirplus = SimpleNamespace(want=(1 << 13) | (1 << 14))
    adapter.init_with_config(with_readdirplus, SimpleNamespace())
    assert with_readdirplus.want == 1 << 3


def test_only_releases_that_leave_one_time_alone_say_so(lab: Lab) -> None:
    old = XattrAdapter(lab.fs, context=Context, now=lab.clock.now, flags=find("1.80.6"), utime_omit=False)
    assert not hasattr(old, "flag_utime_omit_ok")
    assert lab.adapter.flag_utime_omit_ok
