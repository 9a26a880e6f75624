"""A defect that ends the real process ends the volume of the direct engine, not the process of the tests."""

from __future__ import annotations

import errno

import pytest

from osscluster.engine import make_engine
from osscluster.volume import VolumeSpec


def test_a_call_that_crashes_the_original_disconnects_the_volume() -> None:
    engine = make_engine("direct")
    try:
        engine.cloud.admin.create_bucket("bkt")
        engine.cloud.admin.put("bkt", "old_$folder$")
        volume = engine.mount(VolumeSpec("bkt", version="1.91.10"))
        root = volume.container("root")
        with pytest.raises(OSError, match="abort") as raised:
            root.chmod("old", 0o700)
        assert raised.value.errno == errno.ECONNABORTED
        with pytest.raises(OSError, match="not connected"):
            root.stat("old")
        assert not volume.alive()
    finally:
        engine.close()
