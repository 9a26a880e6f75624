"""A mount process of ossfs2: what it does between its command line and the end of the mount.

The counterpart of `ossfuse.mount`, with which it shares the FUSE loop, the control socket and `MountProcess`.
`Ossfs2Mount.prepare` reads options and credentials and makes the mount-time check; `serve` mounts and answers until the
end; `run` does both, for a process forked from a warm parent.

`prepare`, `serve` and `run` belong to the main thread. Source: 2.0.7, main.cpp.
"""

from __future__ import annotations

import errno
import logging
import os
import posixpath
import pwd
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from osscloud.clock import AdjustableClock
from osscloud.message import Transport
from ossfuse import config
from ossfuse.errors import MountCheckFailed
from ossfuse.fuse_adapter import LibfuseMissing, serve
from ossfuse.mount import LIBFUSE_MISSING, Control
from ossfuse.mounted import Context
from ossfuse.mountprocess import MountProcess, Surroundings, say_ready
from ossfuse.options import Answered, UsageError
from ossfuse.ossfs2.client import Ossfs2Client
from ossfuse.ossfs2.credentials import CredentialsMissing, load
from ossfuse.ossfs2.filesystem import Ossfs2
from ossfuse.ossfs2.fuse_adapter import Ossfs2Adapter
from ossfuse.ossfs2.options import MountOptions, parse
from ossfuse.ossfs2.profile import Profile, find
from ossfuse.profile import Fixed

__all__ = ["Ossfs2Mount", "make", "run"]

logger = logging.getLogger("ossfuse")

NAME = "ossfs2"
LOG_FILE = "ossfs2.log"
USAGE_ERROR = 255


def run(
    argv: Sequence[str],
    *,
    version: str,
    program: str = NAME,
    control: str | None = None,
    ready_fd: int | None = None,
    clock_offset: float = 0.0,
    fixed: Fixed = False,
    mime_text: str | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Mounts and serves in this process, in the foreground; the exit code. As `ossfuse.mount.run`; fixed and mime_text
    mean nothing here: no defect of these releases is modelled, and ossfs2 reads no mime.types."""
    del fixed, mime_text
    mount = Ossfs2Mount(
        argv,
        profile=find(version),
        environment=config.environment(),
        program=program,
        clock=AdjustableClock(offset=clock_offset),
        stdout=stdout,
        stderr=stderr,
        told=control is not None,
    )
    code = mount.prepare()
    if code is not None:
        return code
    return mount.serve(on_mounted=lambda: say_ready(ready_fd), control=control)


def make(argv: Sequence[str], *, version: str, fixed: Fixed, around: Surroundings) -> Ossfs2Mount:
    """An `Ossfs2Mount` of the release `version`; for `ossfuse.products`. fixed means nothing to it. Raises
    UnknownVersion."""
    del fixed
    return Ossfs2Mount(
        argv,
        profile=find(version),
        environment=around.environment,
        program=around.program,
        clock=around.clock,
        stdout=around.stdout,
        stderr=around.stderr,
        transport=around.transport,
        rng=around.rng,
        told=around.transport is not None,
    )


class Ossfs2Mount(MountProcess[Ossfs2]):
    """One mount, from its command line to its end.

    argv: without the program's name. environment: variables for the credentials. program: argv[0] as typed. clock: of
    the file system's caches and dates. stdout, stderr: default: those of the process. transport: carries the requests,
    default: HTTP to the endpoint. rng: of hidden names. told: the kernel is made to forget at once, and the file
    system keeps what it told instead, so that time can be moved.
    """

    options: MountOptions

    def __init__(
        self,
        argv: Sequence[str],
        *,
        profile: Profile,
        environment: Mapping[str, str],
        program: str = NAME,
        clock: AdjustableClock | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        transport: Transport | None = None,
        rng: random.Random | None = None,
        told: bool = False,
    ) -> None:
        self.profile = profile
        super().__init__(clock, transport)
        self._argv = argv
        self._environment = environment
        self._program = program
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._rng = rng or random.Random()
        self._told = told

    # --- before the mount -------------------------------------------------------------------------------------------

    def prepare(self) -> int | None:
        """Everything up to the mount itself. None: go on with `serve`; else the exit code, after what ossfs2 prints has
        been printed."""
        try:
            return self._prepare()
        except Answered as answer:
            print(answer.text, file=self._stdout, flush=True)
            return 0
        except UsageError as error:
            print(error.message, file=self._stdout if error.on_stdout else self._stderr, flush=True)
            self.close()
            return error.exit_code

    def _prepare(self) -> int | None:
        if len(self._argv) == 4 and self._argv[2] == "-o":
            self._say_fstab()
        self.options = options = parse(self._argv, self.profile, program=self._program)
        self._check_log_dir()
        self._check_mountpoint()
        self._open_log()
        try:
            credentials = load(options, self._environment)
        except CredentialsMissing as error:
            logger.error("%s", error)
            logger.error("create_background_oss_clients failed, please check your oss config")
            return self._failed(256 - errno.EINVAL if options.foreground else 1)
        client = Ossfs2Client(
            self._connect(options), options=options, profile=self.profile, credentials=credentials, clock=self.clock
        )
        self._fs = Ossfs2(
            options=options,
            profile=self.profile,
            client=client,
            clock=self.clock,
            euid=os.getuid(),
            egid=os.getgid(),
            rng=self._rng,
            told=self._told,
        )
        try:
            self._fs.check_mount()
        except MountCheckFailed as failed:
            logger.error("%s", failed.message)
            return self._failed(failed.exit_code)
        return None

    def _failed(self, code: int) -> int:
        where = "logs" if self._logs_to_terminal else f"log dir: {self._log_directory()}"
        print(f"ERROR: failed to mount ossfs2, see more details in {where}", file=self._stderr, flush=True)
        self.close()
        return code

    def _say_fstab(self) -> None:
        """On a terminal only: the original leaves it in stdio's buffer, which is lost when it goes to the background
        (measured)."""
        if self._stdout.isatty():
            print("Using 'fstab' style options.", file=self._stdout)
            if self.profile.fstab_echo:
                print(f"Command: {self._program} {' '.join(self._argv)} ", file=self._stdout)
            self._stdout.flush()

    def say_mounted(self) -> None:
        """What the command prints when the mount is there and in the background; on a terminal only, as above."""
        if self._stdout.isatty():
            prefix = f"/{self.options.prefix}" if self.options.prefix else ""
            where = os.path.normpath(os.path.abspath(self.options.mountpoint))
            print(f"Mount oss://{self.options.bucket}{prefix} to {where} successfully", file=self._stdout, flush=True)

    @property
    def _logs_to_terminal(self) -> bool:
        options = self.options
        return options.log_dir == "/dev/stdout" or (options.foreground and "log_dir" not in options.given)

    def _check_log_dir(self) -> None:
        """A log inside the mount would wait for itself (source: validate_log_dir)."""
        if self._logs_to_terminal:
            return
        given = self.options.log_dir
        if not given:
            raise UsageError("ERROR: log_dir cannot be empty", USAGE_ERROR)
        if not given.startswith("/"):
            raise UsageError(f"ERROR: log_dir must be absolute path: {given}", USAGE_ERROR)
        log_dir = posixpath.normpath(given)
        mountpoint = posixpath.normpath(os.path.abspath(self.options.mountpoint))
        if log_dir == mountpoint:
            raise UsageError(f"ERROR: log_dir cannot be the same as MOUNTPOINT: {log_dir}", USAGE_ERROR)
        if log_dir.startswith(f"{mountpoint}/"):
            raise UsageError(f"ERROR: log_dir {log_dir} cannot be subdir of MOUNTPOINT: {mountpoint}", USAGE_ERROR)
        if mountpoint.startswith(f"{log_dir}/"):
            raise UsageError(f"ERROR: MOUNTPOINT {mountpoint} cannot be subdir of log_dir: {log_dir}", USAGE_ERROR)

    def _check_mountpoint(self) -> None:
        if self.options.nonempty:
            return
        mountpoint = self.options.mountpoint
        if not mountpoint:
            raise UsageError("fuse: bad mount point `': No such file or directory", USAGE_ERROR)
        try:
            filled = bool(os.listdir(mountpoint))
        except OSError as error:
            raise UsageError(
                f"ERROR: failed to open MOUNTPOINT: {mountpoint}: {error.strerror}", USAGE_ERROR
            ) from error
        if filled:
            raise UsageError(f"ERROR: MOUNTPOINT directory {mountpoint} is not empty.", USAGE_ERROR)

    # --- the mount --------------------------------------------------------------------------------------------------

    def serve(
        self,
        *,
        on_mounted: Callable[[], None] = lambda: None,
        control: str | None = None,
        detached: bool = False,
    ) -> int:
        """Mounts and serves until the end; the exit code. on_mounted: called once the mount is in the mount table.
        control: path of the control socket to make."""
        del detached
        socket = None

        def mounted() -> bool:
            on_mounted()
            return True

        # libfuse takes signals only where they have their default action.
        before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            if control is not None:
                socket = Control(control, self)
            adapter = Ossfs2Adapter(self.fs, context=Context, now=self.clock.now, flags=self.profile, on_init=mounted)
            self._answers = adapter.answers
            return serve(adapter, os.path.abspath(self.options.mountpoint), self.libfuse_options, name=NAME)
        except LibfuseMissing as error:
            print(f"{NAME}: {error}", file=self._stderr, flush=True)
            return LIBFUSE_MISSING
        finally:
            if socket is not None:
                socket.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            self.close()

    @property
    def xattr(self) -> bool:
        """There are no operations for extended attributes."""
        return False

    @property
    def utime_omit(self) -> bool:
        """Whether a change of one time alone reaches the file system."""
        return True

    @property
    def max_write(self) -> int:
        """Bytes that a WRITE carries."""
        return self.profile.max_write

    @property
    def libfuse_options(self) -> tuple[str, ...]:
        """What libfuse is given behind -o."""
        options = self.options
        timeouts = {
            "attr_timeout": options.fuse_attr_timeout,
            "entry_timeout": options.fuse_entry_timeout,
            "negative_timeout": options.fuse_negative_timeout,
        }
        named = [f"{name}={0.0 if self._told else seconds:g}" for name, seconds in timeouts.items()]
        return (*options.fuse_options, *named, *(["nonempty"] if options.nonempty else []))

    def check_in_init(self) -> int:
        """Nothing is checked once the mount is there; 0."""
        self.fs.start()
        return 0

    # --- log --------------------------------------------------------------------------------------------------------

    def _log_directory(self) -> str:
        uid = os.getuid()
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = str(uid)
        return posixpath.join(posixpath.normpath(self.options.log_dir), user)

    def _open_log(self) -> None:
        """The file ossfs2.log in log_dir/USER; the terminal with -f, where no log_dir is given."""
        if self._given_transport is not None:
            return  # no process of its own: who called decides what becomes of the messages
        handler: logging.Handler
        if self._logs_to_terminal:
            handler = logging.StreamHandler(self._stderr)
        else:
            directory = self._log_directory()
            try:
                os.makedirs(os.path.dirname(directory), mode=0o777, exist_ok=True)
                os.makedirs(directory, mode=0o755, exist_ok=True)
                handler = logging.FileHandler(posixpath.join(directory, LOG_FILE), encoding="utf-8")
            except OSError as error:
                raise UsageError(
                    f"ERROR: cannot create log_dir: {self.options.log_dir}, err: {error.strerror}", USAGE_ERROR
                ) from error
        handler.setFormatter(
            logging.Formatter("%(asctime)s.%(msecs)03d|%(levelname)-5s|%(message)s", datefmt="%Y/%m/%d %H:%M:%S")
        )
        self._log = handler
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.DEBUG if self.options.log_level == "debug" else logging.INFO)
