"""Where examples run: one engine for all of them, a fresh bucket and fresh mounts for each.

Mounts are made anew because nothing is cleaner; `benchmarks/fuzz.py` says what that costs beside a new engine. What an
example leaves behind is a violation: `end` looks for buckets, faults, mounts and descriptors. One thread.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from osscluster.direct import DirectEngine
from osscluster.engine import make_engine
from osscluster.mounttable import mounts
from ossvol.environment import Environment
from ossvol.fuzz.model import Object
from ossvol.scenario.model import Given

if TYPE_CHECKING:
    from osscloud.service import OssService
    from osscluster.kernel import KernelEngine
    from ossfuse.profile import Fixed

__all__ = ["Census", "Laboratory", "shared"]

_MEMORY = Path("/dev/shm")


class Census:
    """What a bucket holds, taken beside the service: one call, however many objects there are."""

    def __init__(self, service: OssService) -> None:
        self._admin = service.admin

    def take(self, bucket: str) -> dict[str, Object]:
        """Current objects by key. Raises OssError NoSuchBucket."""
        found = {}
        for key in self._admin.keys(bucket):
            view = self._admin.object(bucket, key)
            if view is not None:
                found[key] = Object(view.read(), view.content_type, view.meta, view.storage_class)
        return found

    def left(self) -> list[str]:
        """What an example should have removed."""
        return [f"bucket {name}" for name in self._admin.buckets()]


class Laboratory:
    """via: the engine. ossfs: path of a real binary, "" for the simulation. like: another laboratory, whose examples
    are to go the same way here. Close it, or use it as a context manager.

    waits: mounts wait in real time, and kernels have caches of their own; real_time: mounts keep the machine's time.
    Raises EnvironmentMissing."""

    def __init__(self, via: Literal["direct", "kernel"], *, ossfs: str = "", like: Laboratory | None = None) -> None:
        # Directories that last for milliseconds are better off in memory.
        state = str(_MEMORY / f"ossvol-{os.geteuid()}") if via == "direct" and os.access(_MEMORY, os.W_OK) else None
        self.via = via
        self.ossfs = ossfs
        self.waits: bool = like.waits if like else via == "kernel"
        self.real_time: bool = like.real_time if like else bool(ossfs)
        self.engine: DirectEngine | KernelEngine = make_engine(via, ossfs=ossfs or None, state_dir=state)
        self.census = self.engine.cloud.install(Census)
        self.environment: Environment | None = None
        self._descriptors = 0
        self._places: list[str] = []

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def begin(self, given: Mapping[str, Any], *, version: str, fixed: Fixed) -> Environment:
        """An environment as the scenario language describes it, with everything mounted. Raises MountFailed."""
        self.end()
        self._descriptors = _descriptors()
        self.engine.cloud.service.faults.clear()
        if isinstance(self.engine, DirectEngine):
            # How long a mount waits before another attempt must not depend on the examples before.
            self.engine.rng.seed(0)
        self.environment = Environment(self.engine, Given.model_validate(given), version, fixed=fixed)
        self.environment.mount_all()
        return self.environment

    def remember(self) -> None:
        """Notes the mount points in use, which `end` must not find any more."""
        if self.environment is not None:
            self._places += [one.volume.mountpoint for one in self.environment.volumes.values() if one.volume]

    def end(self) -> list[str]:
        """Removes what the last example made; what could not be removed, as text."""
        environment, self.environment = self.environment, None
        if environment is None:
            return []
        self.environment = environment
        self.remember()
        self.environment = None
        for mounted in environment.volumes.values():
            if mounted.volume is not None:
                mounted.volume.discard()  # type: ignore[attr-defined]  # of both engines' volumes
                mounted.volume = None
        environment.handles.clear()
        environment.close()
        cloud = self.engine.cloud
        cloud.service.faults.clear()
        cloud.admin.delete_bucket(environment.bucket, force=True)
        left = list(self.census.left())
        if self.via == "direct" and (open_now := _descriptors()) != self._descriptors:
            left.append(f"{open_now - self._descriptors} file descriptors")
        if self.via == "kernel":
            there = {mount.mountpoint for mount in mounts()}
            left += [f"mount {place}" for place in self._places if place in there]
        self._places.clear()
        return left

    def close(self) -> None:
        """Ends the engine with everything in it; safe to call twice."""
        self.environment = None
        self.engine.close()


@functools.cache
def shared(via: Literal["direct", "kernel"], ossfs: str = "") -> Laboratory:
    """One for as long as the process lives, for machines that nobody gives one: pytest's, HypoFuzz's. Raises
    EnvironmentMissing."""
    laboratory = Laboratory(via, ossfs=ossfs)
    atexit.register(laboratory.close)
    return laboratory


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
