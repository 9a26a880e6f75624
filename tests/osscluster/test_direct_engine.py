"""What only the direct engine has: virtual time, nothing on the machine, and limits that it names."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osscloud.faults import Fault
from osscluster import mounttable
from osscluster.errors import ProcessDied
from osscluster.volume import MountFailed

Mount = Callable[..., Any]


def test_nothing_is_mounted_and_the_mount_point_exists_nowhere(mount_direct: Mount) -> None:
    before = mounttable.mounts()
    m = mount_direct()
    fd = m.root.open("f", os.O_CREAT | os.O_WRONLY)
    assert mounttable.mounts() == before
    assert not Path(m.volume.mountpoint).exists()
    assert not Path(m.volume.mountpoint).parent.exists()
    m.root.close(fd)


def test_retries_take_virtual_time_only(mount_direct: Mount) -> None:
    m = mount_direct(version="1.91.10")
    m.admin.put(m.bucket, "f", b"x")
    m.engine.cloud.service.faults.add(Fault(operation="HeadObject", count=1000))
    began, virtual = time.monotonic(), m.engine.clock.now()
    with pytest.raises(OSError, match="Input/output error"):
        m.root.stat("f")
    assert m.engine.clock.now() - virtual > 60
    assert time.monotonic() - began < 10


def test_a_connection_that_is_reset_is_tried_again(mount_direct: Mount) -> None:
    m = mount_direct()
    m.admin.put(m.bucket, "f", b"x")
    m.engine.cloud.service.faults.add(Fault(operation="HeadObject", key="f", action="reset"))
    assert m.root.stat("f").size == 1


def test_pids_are_such_that_no_process_can_have(mount_direct: Mount) -> None:
    m = mount_direct()
    assert m.root.pid != m.app.pid
    assert min(m.root.pid, m.app.pid) >= 1 << 22


def test_requests_tell_which_process_caused_them(mount_direct: Mount) -> None:
    m = mount_direct()
    m.admin.put(m.bucket, "f", b"x")
    log = m.engine.cloud.service.access_log
    mark = log.mark()
    m.app.stat("f")
    (record,) = log.since(mark)
    caller = record.caller
    assert (caller.operation, caller.pid, caller.uid, caller.command) == ("getattr", m.app.pid, 1000, "app")


def test_a_broken_password_file_fails_the_mount(mount_direct: Mount) -> None:
    bucket = mount_direct.new_bucket()  # type: ignore[attr-defined]
    with pytest.raises(MountFailed, match="ossfs: "):
        mount_direct(bucket=bucket, passwd="no separator in here")


def test_a_process_of_an_unmounted_volume_is_gone(mount_direct: Mount) -> None:
    m = mount_direct()
    m.volume.unmount()
    with pytest.raises(ProcessDied):
        m.volume.container("late")
    with pytest.raises(OSError, match="Invalid argument"):
        m.volume.unmount()


def test_a_link_that_leads_out_of_the_volume_leads_nowhere(mount_direct: Mount) -> None:
    m = mount_direct()
    m.root.symlink("/etc/passwd", "absolute")
    m.root.symlink("../../etc/passwd", "relative")
    for path in ("absolute", "relative", ".."):
        with pytest.raises(FileNotFoundError):
            m.root.stat(path)


def test_a_fifo_can_be_looked_at_but_not_opened(mount_direct: Mount) -> None:
    m = mount_direct()
    m.root.mknod("pipe", 0o010644)
    with pytest.raises(OSError) as refused:  # noqa: PT011 - the number is what is tested
        m.root.open("pipe", os.O_RDONLY)
    assert refused.value.errno == errno.ENXIO


def test_two_engines_are_two_clouds(mount_direct: Mount) -> None:
    from osscluster.direct import DirectEngine

    m = mount_direct()
    other = DirectEngine()
    try:
        assert m.bucket not in other.cloud.admin.buckets()
    finally:
        other.close()
        other.close()
