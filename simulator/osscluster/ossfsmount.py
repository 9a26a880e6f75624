"""One ossfs process of the kernel engine and the mount that it makes: started, told the time, ended.

The command line is the same for the simulated ossfs and for a real binary. What stands around a mount - a volume with
its containers, a node with its binds - is not here. Used from the runner's thread only.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from osscluster import mounttable
from osscluster.commandline import command_line, write_keys
from osscluster.errors import ClusterError, EnvironmentMissing
from osscluster.volume import MountFailed, VolumeSpec
from ossfuse.products import PRODUCTS, product_of

if TYPE_CHECKING:
    from osscluster.kernel import KernelEngine

__all__ = ["OssfsMount", "age_kernel_caches"]

_TICKS = 0.02  # what the kernel's clock rounds the life of its caches by
_SETTLE_SECONDS = 0.1  # how long a real ossfs that fails in its init may answer calls before it is gone


def age_kernel_caches(kernel_seconds: float, last_call: float, seconds: float) -> None:
    """Waits until the kernel knows nothing of a mount that it would not know `seconds` later. kernel_seconds: of its
    product; last_call: when somebody made a system call there, by time.monotonic()."""
    kept = kernel_seconds + _TICKS if kernel_seconds else 0.0
    needed = kept if seconds >= 1 else min(seconds, kept)
    remaining = min(needed, last_call + kept - time.monotonic())
    if remaining > 0:
        time.sleep(remaining)


class OssfsMount:
    """mountpoint: an existing directory of this machine; directory: for the file with the keys, logs and control
    socket; endpoint: "" for the cloud's own; keys: whether it is told of a file with keys. A real binary that has no
    option mime= sees the machine's own /etc/mime.types where the spec asks for none.

    Raises MountFailed when it does not mount; its process is gone then."""

    def __init__(
        self,
        engine: KernelEngine,
        directory: Path,
        spec: VolumeSpec,
        mountpoint: str,
        *,
        endpoint: str = "",
        keys: bool = True,
    ) -> None:
        self.spec = spec
        self.mountpoint = mountpoint
        self._engine = engine
        self._directory = directory
        self._control = str(directory / "control")
        self._version = (spec.version or PRODUCTS[0].default).removeprefix("v")
        self.product = product_of(self._version)
        arguments = command_line(
            spec,
            self.product,
            mountpoint,
            endpoint=endpoint or engine.cloud.endpoint,
            keys=write_keys(directory, spec, self.product, engine.cloud) if keys else None,
        )
        ready_read, ready_write = os.pipe()
        with open(ready_read, "rb", buffering=0) as ready:
            with (
                open(ready_write, "wb", buffering=0),
                (directory / "stdout").open("wb") as stdout,
                (directory / "stderr").open("wb") as stderr,
            ):
                if engine.ossfs is None:
                    self.process = engine.spawner.mount(
                        arguments,
                        version=self._version,
                        program=self.product.name,
                        control=self._control,
                        clock_offset=engine.clock.offset,
                        fixed=spec.fixed,
                        mime_file=self._mime_file(),
                        environment=spec.environment,
                        stdout=stdout.fileno(),
                        stderr=stderr.fileno(),
                        ready=ready_write,
                    )
                else:
                    self.process = engine.spawner.execute(
                        engine.ossfs,
                        [*arguments, *self._mime_option(engine.ossfs)],
                        name=self.product.name,
                        environment=spec.environment,
                        stdout=stdout.fileno(),
                        stderr=stderr.fileno(),
                    )
            try:
                answers = self._real_answers() if engine.ossfs else self._says_ready(ready.fileno())
            except BaseException:
                self.process.end(signal.SIGKILL)
                raise
        if not answers:
            code = self.process.wait(engine.call_timeout)
            if code is None:
                self.process.end(signal.SIGKILL)
                raise ClusterError(f"{self.product.name} did not mount {mountpoint} within {engine.call_timeout:g} s")
            raise MountFailed(self._printed("stderr") or self._printed("stdout"), code)

    @property
    def log(self) -> str:
        """What it has printed so far, on both streams."""
        return "\n".join(filter(None, (self._printed("stdout"), self._printed("stderr"))))

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def update_keys(self, spec: VolumeSpec) -> None:
        """Rewrites the file with the keys, which a running ossfs does not read again."""
        self.spec = spec
        write_keys(self._directory, spec, self.product, self._engine.cloud)

    def advance(self, seconds: float) -> None:
        """Moves the clock of a simulated ossfs ahead."""
        if self.alive():
            self.control({"do": "advance", "seconds": seconds})

    def expire(self) -> bool:
        """Has the kernel forget what a simulated ossfs told it of names and attributes; whether it could."""
        return not self._engine.ossfs and self.alive() and bool(self.control({"do": "expire"})["expired"])

    def control(self, request: dict[str, object]) -> dict[str, object]:
        """One request to the simulated mount's control socket. Raises ClusterError when it refuses."""
        directory, name = os.path.split(self._control)
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self._engine.call_timeout)
            try:
                # Short enough for a socket's address, however long the state directory's path is.
                connection.connect(f"/proc/self/fd/{place}/{name}")
            finally:
                os.close(place)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, object] = json.loads(lines.readline())
        if not answer.get("ok"):
            raise ClusterError(f"{self.mountpoint}: {request['do']} was refused: {answer}")
        return answer

    def _says_ready(self, ready: int) -> bool:
        poller = select.poll()
        poller.register(ready, select.POLLIN)
        return bool(poller.poll(self._engine.call_timeout * 1000)) and os.read(ready, 1) == b"1"

    def _real_answers(self) -> bool:
        # A release that checks in its init has the mount visible before it knows; the first answer tells.
        place = self.mountpoint
        deadline = time.monotonic() + self._engine.call_timeout
        known = [entry for entry in mounttable.mounts() if entry.mountpoint == place]
        while [entry for entry in mounttable.mounts() if entry.mountpoint == place] == known:
            if self.process.wait(0.005) is not None or time.monotonic() > deadline:
                return False
        probe = self._engine.spawner.container(
            "ossvol-probe",
            place,
            uid=os.geteuid(),
            gid=os.getegid(),
            groups=(),
            umask=0o022,
            timeout=self._engine.call_timeout,
        )
        try:
            probe.stat("")
        except OSError:
            return False
        finally:
            probe.end()
        return self.process.wait(_SETTLE_SECONDS) is None and mounttable.is_mounted(place)

    def _mime_file(self) -> str | None:
        if self.spec.mime_types is None:
            return None
        path = self._directory / "mime.types"
        path.write_text(self.spec.mime_types, encoding="utf-8")
        return str(path)

    def _mime_option(self, ossfs: str) -> list[str]:
        file = self._mime_file()
        if file is None:
            return []
        text = subprocess.run([ossfs, "--help"], capture_output=True, text=True, check=False, timeout=10).stdout
        if "\n   mime " not in text:
            if not self.spec.mime_types:
                return []
            raise EnvironmentMissing(
                f"{ossfs} has no option mime=, it reads /etc/mime.types only", "run this without --ossfs"
            )
        return ["-o", f"mime={file}"]

    def _printed(self, stream: str) -> str:
        try:
            text = (self._directory / stream).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return text.strip("\n")
