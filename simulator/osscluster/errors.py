"""What can go wrong on the node, besides the errno of a system call (OSError) and `volume.MountFailed`.

Values only; any thread.
"""

from __future__ import annotations

__all__ = ["CallTimeout", "ClusterError", "EnvironmentMissing", "NotModelled", "ProcessDied"]


class ClusterError(Exception):
    """The node itself failed, not the volume under test."""


class EnvironmentMissing(ClusterError):
    """This machine lacks something. reason: what; remedy: the one line that provides it. Run `remedy`, or use the
    direct engine, which needs nothing."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} (remedy: {remedy})")
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[EnvironmentMissing], tuple[str, str]]:
        return type(self), (self.reason, self.remedy)


class CallTimeout(ClusterError):
    """A system call of a container did not come back in time; the container has been killed. The message names the
    call. Look at what the ossfs process waits for, or raise the engine's `call_timeout`."""


class ProcessDied(ClusterError):
    """A process that belongs to this run ended by itself: a container, or the spawner. The message names it and how it
    ended; the kernel log says whether memory ran out."""


class NotModelled(ClusterError):
    """Something was asked for that the real thing does and the node here doesn't. The message says what, and what to
    use in its place; a guess would be worse."""
