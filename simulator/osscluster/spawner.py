"""The spawner: a warm, single-threaded process from which clouds, mounts and containers are forked.

A runner may have threads (whatever an application under test started), so it must not fork. It starts this module once
with exec (`python -P -m osscluster.spawner`), which imports everything a mount needs and then waits on a socket pair;
each request forks one child within milliseconds. There is one spawner a runner process, whatever the number of
engines. Measured on 2 cores: 0.25 s to start it, below 10 ms a child.

Nothing outlives the runner, even if it is killed:

- the socket's end in the runner closes: the spawner kills its children and removes the run (`leftovers.clean`);
- PR_SET_PDEATHSIG tells it the same should somebody else hold a copy of that socket;
- children get PR_SET_PDEATHSIG too, for the case that the spawner is killed: clouds and containers die at once, mounts
  get SIGTERM and unmount themselves. What remains then is the next run's to remove.

The spawner has a session of its own: Ctrl-C reaches the runner alone, which unmounts in order.

`Spawner` and `Process` are the runner's side, for its thread only (calls are serialised by a lock all the same);
`main` is the process's side.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NoReturn

from osscluster import container, jail, leftovers
from osscluster.errors import ClusterError, ProcessDied
from osscluster.identity import ProcessIdentity
from ossfuse.products import product_of
from ossfuse.profile import Fixed

__all__ = ["Process", "Spawner", "main"]

_PR_SET_PDEATHSIG = 1
_MESSAGE_LIMIT = 1 << 17
_FD_LIMIT = 8
_CONTAINER_SOCKET = 512
_START_SECONDS = 60.0
_libc = ctypes.CDLL(None, use_errno=True)


class Process:
    """A process forked by the spawner, seen from the runner. It is held by a pidfd, so the pid can't be mistaken."""

    def __init__(self, spawner: Spawner, identity: ProcessIdentity, pidfd: int) -> None:
        self.identity = identity
        self.pid = identity.pid
        self._spawner = spawner
        self._pidfd = pidfd
        self._returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, as subprocess gives it (minus the signal's number); None while it runs."""
        return self.wait(0)

    def wait(self, timeout: float) -> int | None:
        """Like `poll` after waiting up to `timeout` seconds for its end."""
        if self._returncode is None:
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            if poller.poll(timeout * 1000):
                self._returncode = self._spawner.exit_code(self.pid)
                os.close(self._pidfd)
                self._spawner.run.forget_process(self.identity)
        return self._returncode

    def send_signal(self, number: int) -> None:
        """No error when it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def end(self, number: int = signal.SIGKILL, timeout: float = 10.0) -> None:
        """Sends the signal and waits. Raises ClusterError when the process is still there after `timeout` seconds."""
        self.send_signal(number)
        if self.wait(timeout) is None:
            raise ClusterError(f"process {self.pid} did not end within {timeout:g} s after signal {number}")


class Spawner:
    """The runner's side. `shared` gives the one of this process."""

    _shared: ClassVar[dict[Path, Spawner]] = {}

    def __init__(self, run: leftovers.Run) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log = run.directory / "spawner.log"
        with theirs, self._log.open("wb") as log:
            command = [sys.executable, "-P", "-m", "osscluster.spawner"]
            arguments = [str(theirs.fileno()), str(run.directory), str(os.getpid())]
            self._process = subprocess.Popen(
                [*command, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        identity = ProcessIdentity.of(self._process.pid)
        if identity is not None:
            run.add_process(identity)
        run.on_close(self.stop)
        self._socket.settimeout(_START_SECONDS)
        self._ask({"do": "ping"})

    @classmethod
    def shared(cls, run: leftovers.Run) -> Spawner:
        """The spawner of this process's run, started at the first call; after its death a new one."""
        known = cls._shared.get(run.directory)
        if known is None or known.run is not run or known._process.poll() is not None:
            known = cls._shared[run.directory] = cls(run)
        return known

    def mount(
        self,
        argv: Sequence[str],
        *,
        version: str,
        program: str,
        control: str,
        clock_offset: float,
        fixed: Fixed,
        mime_file: str | None,
        environment: Mapping[str, str],
        stdout: int,
        stderr: int,
        ready: int,
    ) -> Process:
        """Forks a process that runs `ossfuse.mount.run(argv, ...)`, or ossfs2's; stdout, stderr, ready: descriptors,
        which the caller keeps."""
        request: dict[str, object] = {
            "do": "mount",
            "argv": list(argv),
            "version": version,
            "program": program,
            "control": control,
            "clock_offset": clock_offset,
            "fixed": fixed,
            "mime_file": mime_file,
            "environment": dict(environment),
        }
        return self._spawn(request, [stdout, stderr, ready])

    def execute(
        self,
        program: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdout: int,
        stderr: int,
        name: str = "",
        root: str = "",
    ) -> Process:
        """Forks and executes a program; argv without its name. name: its argv[0], by default the program; root: a
        directory that is its root, where `program` is looked for too."""
        request: dict[str, object] = {
            "do": "execute",
            "program": program,
            "name": name or program,
            "argv": list(argv),
            "environment": dict(environment),
            "root": root,
        }
        return self._spawn(request, [stdout, stderr])

    def container(
        self,
        name: str,
        root: str,
        *,
        uid: int,
        gid: int,
        groups: Sequence[int],
        umask: int,
        timeout: float,
        confined: jail.Jail | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> container.ContainerProcess:
        """Forks a container process for the tree at `root` ("" for absolute paths), which sees the file systems as
        `confined` says. Raises EnvironmentMissing when it can't get its ids, OSError when its mounts can't be made."""
        ours, theirs = socket.socketpair()
        request: dict[str, object] = {
            "do": "container",
            "name": name,
            "root": root,
            "uid": uid,
            "gid": gid,
            "groups": list(groups),
            "umask": umask,
            "jail": asdict(confined or jail.Jail()),
            "environment": dict(environment or {}),
        }
        with theirs:
            process = self._spawn(request, [theirs.fileno()])
        return container.ContainerProcess(process, ours, name=name, uid=uid, gid=gid, groups=groups, timeout=timeout)

    def cloud(self, *, errors: int) -> tuple[Process, socket.socket]:
        """Forks a process that runs `cloudserver.run`, and the runner's end of the socket to it. errors: descriptor
        for its standard output and error, which the caller keeps."""
        ours, theirs = socket.socketpair()
        with theirs:
            return self._spawn({"do": "cloud"}, [errors, errors, theirs.fileno()]), ours

    def exit_code(self, pid: int) -> int:
        """Of a child that has ended."""
        answer, _ = self._ask({"do": "exit_code", "pid": pid})
        return int(answer["exit_code"])

    def stop(self) -> None:
        """Ends the spawner, its children and this run; safe to call twice."""
        self._socket.close()
        self._process.wait(_START_SECONDS)

    def _spawn(self, request: dict[str, object], fds: Sequence[int]) -> Process:
        answer, received = self._ask(request, fds)
        identity = ProcessIdentity(answer["pid"], answer["start"])
        self.run.add_process(identity)
        return Process(self, identity, received[0])

    def _ask(self, request: dict[str, object], fds: Sequence[int] = ()) -> tuple[dict[str, Any], list[int]]:
        message = json.dumps(request).encode()
        if len(message) > _MESSAGE_LIMIT:
            raise ValueError(
                f"a request to the spawner has {len(message)} bytes, at most {_MESSAGE_LIMIT} are possible"
            )
        with self._lock:
            try:
                socket.send_fds(self._socket, [message], fds)
                data, received, _, _ = socket.recv_fds(self._socket, _MESSAGE_LIMIT, _FD_LIMIT)
            except (BrokenPipeError, ConnectionResetError):
                data, received = b"", []
        if not data:
            code = self._process.wait(_START_SECONDS)
            raise ProcessDied(f"the spawner ended, exit code {code}:\n{self._log_text()}")
        answer = json.loads(data)
        if "error" in answer:
            raise ClusterError(f"the spawner could not {request['do']}:\n{answer['error']}")
        return answer, list(received)

    def _log_text(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return "(its log is gone with its run)"


class _Server:
    """The process's side."""

    def __init__(self, connection: socket.socket, run_directory: Path, runner: int) -> None:
        self._connection = connection
        self._run_directory = run_directory
        self._runner = runner
        self._children: set[int] = set()
        self._exit_codes: dict[int, int] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def serve(self) -> None:
        """Answers requests until the runner has gone, then ends everything."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, _only_wake)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        poller = select.poll()
        poller.register(self._connection, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while os.getppid() == self._runner:
            ready = {fd for fd, _ in poller.poll()}
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._reap()
            if self._connection.fileno() in ready and not self._answer_one():
                break
        self._end()

    def _answer_one(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._connection, _MESSAGE_LIMIT, _FD_LIMIT)
        if not data:
            return False
        answer: dict[str, object]
        handed: list[int] = []
        try:
            answer = self._handle(json.loads(data), fds, handed)
        except Exception:  # noqa: BLE001 - carried to the runner, which raises it
            answer = {"error": traceback.format_exc()}
        finally:
            for fd in fds:
                os.close(fd)
        try:
            socket.send_fds(self._connection, [json.dumps(answer).encode()], handed)
        except BrokenPipeError:
            return False
        finally:
            for fd in handed:
                os.close(fd)
        return True

    def _handle(self, request: dict[str, Any], fds: list[int], handed: list[int]) -> dict[str, object]:
        match request["do"]:
            case "ping":
                return {}
            case "exit_code":
                self._reap()
                return {"exit_code": self._exit_codes.pop(request["pid"])}
            case _:
                pid = os.fork()
                if pid == 0:
                    self._child(request, fds)
                self._children.add(pid)
                handed.append(os.pidfd_open(pid))
                identity = ProcessIdentity.of(pid)
                return {"pid": pid, "start": identity.start if identity else 0}

    def _child(self, request: dict[str, Any], fds: list[int]) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            spawner = os.getppid()
            for fd in (self._connection.detach(), self._wake_read, self._wake_write):
                os.close(fd)
            os.setsid()
            code = _CHILDREN[request["do"]](request, fds, spawner)
        except BaseException:  # noqa: BLE001 - a child must never return into the spawner's loop
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._exit_codes[pid] = os.waitstatus_to_exitcode(status)

    def _end(self) -> None:
        for pid in self._children:
            # Each leads a session: what it has started goes with it.
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError):
                    kill(pid, signal.SIGKILL)
        # A mount's process in the middle of unmounting, or a container waiting for it, ends once the mount is gone.
        leftovers.clean(self._run_directory)
        deadline = time.monotonic() + 10.0
        while self._children and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.002)


def _only_wake(number: int, frame: FrameType | None) -> None:
    """The wake-up descriptor does the work; a handler is needed for it to be written to."""


def _die_with(parent: int, number: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _run_mount(request: dict[str, Any], fds: list[int], spawner: int) -> int:
    _die_with(spawner, signal.SIGTERM)
    _redirect(fds)
    os.environ.update(request["environment"])
    time.tzset()
    mime_text = None
    if request["mime_file"] is not None:
        mime_text = Path(request["mime_file"]).read_text(encoding="utf-8")
    # The address of a socket has room for 107 bytes, which a long state directory exceeds.
    directory, name = os.path.split(request["control"])
    control = f"/proc/self/fd/{os.open(directory, os.O_PATH | os.O_DIRECTORY)}/{name}"
    mount = importlib.import_module(product_of(request["version"]).module)
    fixed = request["fixed"]
    return int(
        mount.run(
            request["argv"],
            version=request["version"],
            program=request["program"],
            control=control,
            ready_fd=fds[2],
            clock_offset=request["clock_offset"],
            fixed=fixed if isinstance(fixed, bool) else tuple(fixed),
            mime_text=mime_text,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )
    )


def _run_program(request: dict[str, Any], fds: list[int], spawner: int) -> int:
    _die_with(spawner, signal.SIGTERM)
    _redirect(fds)
    if request["root"]:
        os.chroot(request["root"])
        os.chdir("/")
    os.execve(request["program"], [request["name"], *request["argv"]], {**os.environ, **request["environment"]})


def _run_container(request: dict[str, Any], fds: list[int], spawner: int) -> int:
    null = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)

    os.environ.update(request["environment"])
    given = request["jail"]
    given["mounts"] = [jail.JailMount(**item) for item in given["mounts"]]
    confined = jail.Jail(**given)

    def become() -> None:
        container.become(request["uid"], request["gid"], request["groups"], request["umask"])

    def prepare() -> None:
        container.set_process_name(request["name"])
        # The runner may die while a mount of the node is waited for.
        _die_with(spawner, signal.SIGKILL)
        jail.prepare(confined, become)
        # The kernel forgets the parent-death signal when the ids change.
        _die_with(spawner, signal.SIGKILL)

    # Out of the way: what the container opens is numbered from 3 on.
    number = fcntl.fcntl(fds[0], fcntl.F_DUPFD_CLOEXEC, _CONTAINER_SOCKET)
    os.close(fds[0])
    with socket.socket(fileno=number) as connection:
        container.serve(connection, request["root"], prepare)
    return 0


def _run_cloud(request: dict[str, Any], fds: list[int], spawner: int) -> int:
    _die_with(spawner, signal.SIGKILL)
    _redirect(fds)
    container.set_process_name("ossvol-cloud")
    # Not before: every mount and container would be forked with the pages of a library that only a cloud needs.
    cloudserver = importlib.import_module("osscluster.cloudserver")
    # A client may hang up at any time; libuv expects EPIPE.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with socket.socket(fileno=fds[2]) as connection:
        cloudserver.run(connection)
    return 0


def _redirect(fds: list[int]) -> None:
    os.dup2(fds[0], 1)
    os.dup2(fds[1], 2)
    for fd in fds[:2]:
        os.close(fd)


_CHILDREN = {"cloud": _run_cloud, "mount": _run_mount, "execute": _run_program, "container": _run_container}


def main(argv: Sequence[str]) -> None:
    """argv: number of the inherited socket, the run's directory, the runner's pid."""
    connection = socket.socket(fileno=int(argv[0]))
    connection.set_inheritable(False)
    container.set_process_name("ossvol-spawner")
    importlib.import_module("ossfuse.mount")
    # What was imported never goes away: children needn't copy its pages to look at it again.
    gc.collect()
    gc.freeze()
    _Server(connection, Path(argv[1]), int(argv[2])).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
