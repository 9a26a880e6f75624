"""One ossfs of the direct engine: its core in this process, behind the model of the kernel's part.

What stands around it - a volume with its tasks, a node with its binds - is not here. Used from the runner's thread.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from osscloud.clock import AdjustableClock
from osscluster.commandline import command_line, write_keys
from osscluster.vfs import MountFlags, Vfs
from osscluster.volume import MountFailed, VolumeSpec
from ossfuse import config
from ossfuse.mountprocess import Surroundings
from ossfuse.products import PRODUCTS, Mountable, product_of

if TYPE_CHECKING:
    from osscluster.direct import DirectEngine

__all__ = ["DirectMount", "MountPointState"]

MountPointState = Literal["empty", "occupied", "file", "missing"]


class DirectMount:
    """mountpoint: what it is told and calls its mount point in messages, "" for a path that does not exist;
    endpoint: "" for the cloud's own; keys: whether it is told of a file with keys; state: what is at the mount point.

    Raises MountFailed with what the command would have printed."""

    def __init__(
        self,
        engine: DirectEngine,
        spec: VolumeSpec,
        mountpoint: str = "",
        *,
        endpoint: str = "",
        keys: bool = True,
        state: MountPointState = "empty",
    ) -> None:
        self._engine = engine
        self._version = spec.version or PRODUCTS[0].default
        self._product = product_of(self._version)
        self._stdout, self._stderr = io.StringIO(), io.StringIO()
        directory = engine.run.new_directory("volume")
        place = directory / "mnt"
        self.mountpoint = mountpoint or str(place)
        self._place = str(place)
        try:
            if state == "file":
                place.touch()
            elif state != "missing":
                place.mkdir()
            if state == "occupied":
                (place / "occupied").touch()
            arguments = command_line(
                spec,
                self._product,
                self._place,
                endpoint=endpoint or engine.cloud.endpoint,
                keys=write_keys(directory, spec, self._product, engine.cloud) if keys else None,
            )
            self._mount = self._prepare(spec, arguments)
            self.vfs = Vfs(self._mount.fs, clock=engine.clock, flags=self._flags(), mountpoint=self.mountpoint)
        finally:
            # ossfs looks at mount point and password file while it starts, and never again.
            shutil.rmtree(directory)

    @property
    def log(self) -> str:
        """What it has printed so far, on both streams."""
        return "\n".join(filter(None, (self._text(self._stdout), self._text(self._stderr))))

    @property
    def table_options(self) -> str:
        """The file system's options as the kernel lists them."""
        given = _libfuse_options(self._mount)
        words = [f"user_id={os.geteuid()}", f"group_id={os.getegid()}"]
        words += ["default_permissions"] if "default_permissions" in given else []
        words += ["allow_other"] if "allow_other" in given or "allow_root" in given else []
        words += [f"max_read={given['max_read']}"] if "max_read" in given else []
        return ",".join(words)

    def alive(self) -> bool:
        """Whether the ossfs process would run."""
        return self.vfs.connected

    def kill(self) -> None:
        """As SIGKILL: what was not uploaded is lost, every call answers ENOTCONN."""
        if self.alive():
            self.vfs.disconnect()
            # Uploads nothing; local data is gone with a process.
            self._mount.fs.destroy(killed=True)

    def end(self) -> None:
        """As it ends by itself once it is unmounted, or told to."""
        if self.alive():
            self._mount.fs.destroy()
            self.vfs.disconnect()

    def _text(self, stream: io.StringIO) -> str:
        return stream.getvalue().strip("\n").replace(self._place, self.mountpoint)

    def _prepare(self, spec: VolumeSpec, arguments: Sequence[str]) -> Mountable:
        engine = self._engine
        around = Surroundings(
            environment={**config.environment(), **spec.environment},
            program=self._product.name,
            clock=AdjustableClock(engine.clock),
            mime_text=spec.mime_types,
            stdout=self._stdout,
            stderr=self._stderr,
            transport=engine.transport,
            rng=engine.rng,
            # Closing a file of a disk takes milliseconds, which a fuzzer's steps would be made of.
            spool=None if "tmpdir=" in spec.options else engine.spool,
            on_fatal=self.kill,
        )
        mount = self._product.make(arguments, version=self._version, fixed=spec.fixed, around=around)
        code = mount.prepare()
        if code is None:
            code = mount.check_in_init() or None
        if code is not None:
            raise MountFailed(self._text(self._stderr) or self._text(self._stdout), code)
        return mount

    def _flags(self) -> MountFlags:
        mount = self._mount
        given = _libfuse_options(mount)
        big_writes = mount.max_write > 4096 or "big_writes" in given
        return MountFlags(
            uid=os.geteuid(),
            gid=os.getegid(),
            allow_other="allow_other" in given,
            allow_root="allow_root" in given,
            read_only="ro" in given,
            umask=_number(given, "umask", 8),
            show_uid=_number(given, "uid", 10),
            show_gid=_number(given, "gid", 10),
            hard_remove="hard_remove" in given,
            loses_unlinked=not self._product.inodes,
            utime_omit=mount.utime_omit,
            permissions="default_permissions" in given,
            inodes=self._product.inodes,
            attr_timeout=float(given.get("attr_timeout", "1")),
            entry_timeout=float(given.get("entry_timeout", "1")),
            max_write=128 * 1024 if big_writes else 4096,
            xattr=mount.xattr,
        )


def _libfuse_options(mount: Mountable) -> dict[str, str]:
    """What libfuse was given: name to value, "" for a switch."""
    given = {}
    for option in mount.libfuse_options:
        name, _, value = {"-r": "ro"}.get(option, option).partition("=")
        given[name] = value
    return given


def _number(given: dict[str, str], name: str, base: int) -> int | None:
    return int(given[name], base) if name in given else None
