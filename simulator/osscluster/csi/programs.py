"""What runs in the containers of the driver's Pods: ossfs itself in the FUSE Pods of the node plugin, and csi-plugin.

The mount server of the controller's FUSE Pods is `mountserver`. Called by kubelet, from the thread that drives the
timeline.
"""

from __future__ import annotations

from collections.abc import Callable

from osscluster.csi.launcher import Command, Launcher
from osscluster.host import NodeHost, OssfsProcess
from osscluster.nodespec import NodeSpec
from osscluster.timeline import Job, Steps, Timeline, Wait
from osscluster.volume import MountFailed

__all__ = ["FuseOssfs", "Plugin"]

_KILLED = 137


class FuseOssfs:
    """ossfs in the foreground of a container, behind an entrypoint that may put off SIGTERM. Implements
    `program.RunningProgram`.

    command: how it is started; delay: seconds that SIGTERM waits while ossfs still serves (source: entrypoint.sh of
    build/fuse-clients/ossfs, SIGTERM_DELAY); say: takes lines of the container's log."""

    def __init__(
        self,
        *,
        spec: NodeSpec,
        host: NodeHost,
        timeline: Timeline,
        launcher: Launcher,
        command: Command,
        delay: float,
        say: Callable[[str], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._timeline = timeline
        self._command = command
        self._delay = delay
        self._say = say
        self._on_end = ended
        self._code: int | None = None
        self._told = 0
        self._stopping = False
        self._start: Job[OssfsProcess] = timeline.spawn("ossfs", launcher.start(spec, host, command), loud=False)

    def exit_code(self) -> int | None:
        if self._code is None and self._start.done:
            if self._start.error is None:
                self._look_at(self._start.result())
            else:
                self._failed(self._start.error)
        return self._code

    def ready(self) -> bool:
        """`findmnt -t fuse.ossfs TARGET`."""
        if self.exit_code() is not None or not self._start.done:
            return False
        target = self._command.mountpoint
        return any(line.target == target and line.fstype == "fuse.ossfs" for line in self._host.mounts())

    def terminate(self) -> None:
        if self._stopping or self.exit_code() is not None:
            return
        self._stopping = True
        if self._delay:
            self._say(f"Received SIGTERM signal. Delaying termination for {self._delay:.0f} seconds...")
        self._timeline.spawn("SIGTERM", self._stop())

    def kill(self) -> None:
        if self.exit_code() is not None:
            return
        if self._start.done:
            self._timeline.synchronise()
            self._start.result().kill()
        self._end(_KILLED)

    def _stop(self) -> Steps[None]:
        if self._delay:
            held = yield Wait(lambda: self.exit_code() is not None, self._delay)
            self._say("ossfs exited. Exiting..." if held else "Timeout reached. Sending SIGTERM to ossfs process...")
        if self.exit_code() is not None:
            return
        if self._start.done:
            self._timeline.synchronise()
            self._start.result().terminate()
        self._end(0)

    def _look_at(self, process: OssfsProcess) -> None:
        text = process.log
        if len(text) > self._told:
            self._say(text[self._told :].rstrip("\n"))
            self._told = len(text)
        if not process.alive():
            # Unmounted from outside it ends by itself; killed, its mount stays in the table.
            left = any(line.target == self._command.mountpoint for line in self._host.mounts())
            self._end(_KILLED if left else 0)

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, MountFailed):
            raise error
        if error.message:
            self._say(error.message)
        self._end(error.returncode)

    def _end(self, code: int) -> None:
        self._code = code
        self._on_end()


class Plugin:
    """csi-plugin: a process that runs until it is ended. Implements `program.RunningProgram`."""

    def __init__(self) -> None:
        self._code: int | None = None

    def exit_code(self) -> int | None:
        return self._code

    def ready(self) -> bool:
        return self._code is None

    def terminate(self) -> None:
        if self._code is None:
            self._code = 0

    def kill(self) -> None:
        if self._code is None:
            self._code = _KILLED
