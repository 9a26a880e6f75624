"""Which process is meant: a pid together with its start time, so that a recycled pid is never mistaken for it.

Reads /proc only; any thread. Source: proc(5), field 22 of /proc/PID/stat.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["ProcessIdentity", "boot_id", "pid_namespace"]


@cache
def boot_id() -> str:
    """The first 8 hex digits of this boot's id: start times count from the boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]


@cache
def pid_namespace() -> str:
    """The number of the pid namespace that this process lives in: pids mean nothing outside theirs."""
    return os.readlink("/proc/self/ns/pid").removeprefix("pid:[").removesuffix("]")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """pid, and start: the start time in clock ticks since the boot."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The process that has this pid now; None when there is none, or only a zombie."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command may contain blanks and parentheses; the fields after its last ")" may not.
        state, *fields = text[text.rindex(")") + 2 :].split()
        return None if state in "ZX" else cls(pid, int(fields[18]))

    @classmethod
    def own(cls) -> ProcessIdentity:
        """The calling process."""
        found = cls.of(os.getpid())
        if found is None:
            raise RuntimeError("/proc does not show this process; mount proc on /proc")
        return found

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return ProcessIdentity.of(self.pid) == self
