"""The kernel forgets what a mount told it when the mount asks for that."""

from __future__ import annotations

import pytest

from osscluster.engine import kernel_unavailable
from osscluster.kernel import KernelEngine
from osscluster.volume import VolumeSpec
from ossfuse import kernelcache


def test_without_a_fuse_device_nothing_can_be_expired() -> None:
    assert not kernelcache.expire(10)


@pytest.mark.skipif(kernel_unavailable() is not None, reason="needs kernel mounts: ossvol doctor says what is missing")
def test_names_attributes_and_open_files_are_asked_for_again_at_once() -> None:
    engine = KernelEngine()
    try:
        engine.cloud.admin.create_bucket("demo")
        engine.cloud.admin.put("demo", "dir/a", b"x", meta={"mode": "33188"})
        volume = engine.mount(VolumeSpec("demo", options="-o allow_other -o max_stat_cache_size=0"))
        app = volume.container("app")
        fd = app.open("dir/a")
        app.fstat(fd)
        log = engine.cloud.access_log
        mark = log.mark()
        app.stat("dir/a")
        app.fstat(fd)
        assert not log.since(mark), "the kernel knows both still"
        if not volume.control({"do": "expire"})["expired"]:
            pytest.skip("this kernel cannot be told to forget (needs Linux 6.16): the engines wait instead")
        app.stat("dir/a")
        assert len(log.since(mark)) >= 2
        mark = log.mark()
        volume.control({"do": "expire"})
        app.fstat(fd)
        assert log.since(mark), "the open file is asked for without its name"
    finally:
        engine.close()
