"""The mount server of a FUSE Pod that the controller made: it starts ossfs when NodePublishVolume asks through its
socket.

The Pod runs, and is ready, as soon as the server listens, whatever becomes of ossfs. Source: cmd/mount-proxy-server and
pkg/mounter/proxy of the driver. Called from the thread that drives the timeline.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osscluster.csi.launcher import Command, Launcher
from osscluster.csi.profile import CsiProfile
from osscluster.csi.sockets import Sockets
from osscluster.host import NodeHost, OssfsProcess
from osscluster.nodespec import NodeSpec
from osscluster.timeline import Job, Steps, Timeline, Wait
from osscluster.volume import MountFailed

__all__ = ["SOCKETS", "MountRequest", "MountServer"]

_ROUNDING = 1e-6
_TIMEOUT = 30.0
_TIMED_OUT = "timed out waiting for the condition"


@dataclass(frozen=True, slots=True)
class MountRequest:
    """What goes over the socket. passwd: a line of a password file, "" for none."""

    source: str
    target: str
    options: Sequence[str]
    passwd: str = ""

    @property
    def size(self) -> int:
        """Of the message, in bytes."""
        body: dict[str, object] = {
            "source": self.source,
            "target": self.target,
            "fstype": "ossfs",
            "options": list(self.options),
        }
        if self.passwd:
            body["secrets"] = {"passwd-ossfs": self.passwd}
        message = {"header": {"method": "mount"}, "body": body}
        return len(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()) + 1


class MountServer:
    """Implements `program.RunningProgram`. command: from a request to the start of ossfs in this Pod; say: takes lines
    of the container's log."""

    def __init__(
        self,
        *,
        profile: CsiProfile,
        spec: NodeSpec,
        host: NodeHost,
        timeline: Timeline,
        launcher: Launcher,
        socket: str,
        command: Callable[[MountRequest], Command],
        say: Callable[[str], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._profile = profile
        self._spec = spec
        self._host = host
        self._timeline = timeline
        self._launcher = launcher
        self._socket = socket
        self._command = command
        self._say = say
        self._on_end = ended
        self._processes: list[OssfsProcess] = []
        self._told: dict[int, int] = {}
        self._code: int | None = None
        SOCKETS.listen(host, socket, self)
        say(f'"Listening on socket" socket="{socket}"')

    # --- as a container's program ---

    def exit_code(self) -> int | None:
        self._pass_on_logs()
        return self._code

    def ready(self) -> bool:
        """`test -S` of the socket."""
        return self._code is None

    def terminate(self) -> None:
        """SIGTERM: stops listening, ends every ossfs of its own and then itself."""
        if self._code is None:
            SOCKETS.close(self._host, self._socket, self, removed=True)
            self._say('"exiting" signal="terminated"')
            self._timeline.synchronise()
            for process in self._processes:
                if process.alive():
                    process.terminate()
            self._end(0)

    def kill(self) -> None:
        """SIGKILL to the container: its ossfs processes die with it, the socket stays."""
        if self._code is None:
            SOCKETS.close(self._host, self._socket, self, removed=False)
            self._timeline.synchronise()
            for process in self._processes:
                if process.alive():
                    process.kill()
            self._end(137)

    def _end(self, code: int) -> None:
        self._pass_on_logs()
        self._code = code
        self._on_end()

    # --- over the socket ---

    def mount(self, request: MountRequest) -> Steps[str]:
        """The error of the response, "" when the target is mounted."""
        if request.size > self._profile.request_limit:
            return "invalid message"
        shown = ", ".join(option for option in request.options if not option.startswith("passwd_file="))
        self._say(f'"Started ossfs" source="{request.source}" target="{request.target}" options="{shown}"')
        start = self._launcher.start(self._spec, self._host, self._command(request))
        job: Job[OssfsProcess] = self._timeline.spawn("ossfs", start, loud=False)
        began = self._timeline.now()
        if not (yield Wait(lambda: job.done or self._code is not None, _TIMEOUT)) or not job.done:
            return _TIMED_OUT
        # It looks at intervals, and ossfs is never ready when it has just been started.
        passed = self._timeline.now() - began
        interval = self._profile.mount_poll
        yield Wait(seconds=max(1, math.ceil(passed / interval - _ROUNDING)) * interval - passed)
        try:
            process = job.result()
        except MountFailed as failed:
            if failed.message:
                self._say(failed.message)
            status = f": exit status {failed.returncode}" if failed.returncode else ""
            self._say(f'"ossfs exited" err="exit status {failed.returncode}" mountpoint="{request.target}"')
            if status and self._profile.stderr_in_error and failed.message:
                status += f", with stderr: {failed.message}\n"
            return f"ossfs exited{status}"
        self._processes.append(process)
        self._say(f'"Successfully mounted" mountpoint="{request.target}"')
        return ""

    def _pass_on_logs(self) -> None:
        for process in self._processes:
            text = process.log
            known = self._told.get(process.pid, 0)
            if len(text) > known:
                self._told[process.pid] = len(text)
                self._say(text[known:].rstrip("\n"))


SOCKETS: Sockets[MountServer] = Sockets()
"""Of every node in this process."""
