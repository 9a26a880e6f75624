"""One process per data directory: a file that its process holds locked, and that says who did last."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from osscloud.persistence.errors import DirectoryInUse, StateError

__all__ = ["LockFile", "boot_id"]


def boot_id() -> str:
    """Differs after every start of the machine; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class LockFile:
    """Held from creation to `close`, or to the end of the process however it ends. same_boot: the last holder ran on
    this start of the machine.

    Raises DirectoryInUse, StateError."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"cannot use {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, _ = self._read()
            os.close(self._descriptor)
            raise DirectoryInUse(
                f"{path.parent} is served by process {holder or 'unknown'} already: stop it, or name another directory",
                holder,
            ) from None
        _, boot = self._read()
        self.same_boot = boot != "" and boot == boot_id()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "boot": boot_id()}).encode(), 0)

    def _read(self) -> tuple[int, str]:
        try:
            said = json.loads(os.pread(self._descriptor, 4096, 0))
            return int(said["pid"]), str(said["boot"])
        except (ValueError, KeyError, TypeError):
            return 0, ""

    def close(self) -> None:
        """Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
