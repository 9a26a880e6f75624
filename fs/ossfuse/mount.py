"""A mount process: what ossfs does between its command line and the end of the mount.

`Mount.prepare` reads options and credentials and makes the mount-time check; `Mount.serve` mounts, answers until the
file system is unmounted or the process is told to end, and cleans up. `run` does both, for a process forked from a
warm parent. A control socket lets a harness advance the clock and ask what is open.

`prepare`, `serve` and `run` belong to the main thread (they set signal handlers). Nothing here knows FUSE's details or
OSS's requests; those are in `fuse_adapter` and `filesystem`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import signal
import socket
import sys
import syslog
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TextIO
from urllib.parse import urlsplit

from osscloud.clock import AdjustableClock
from osscloud.message import Request, Transport
from ossfuse import config
from ossfuse.access import HostGroups
from ossfuse.client import ObjectClient
from ossfuse.entity import existing_directory
from ossfuse.errors import MountCheckFailed
from ossfuse.filesystem import Context, OssFs
from ossfuse.fuse_adapter import Adapter, LibfuseMissing, XattrAdapter, load_binding, serve
from ossfuse.mime import MimeTable
from ossfuse.mountprocess import MountProcess, Surroundings, say_ready
from ossfuse.options import (
    ILLEGAL_IN_BUCKET,
    MIB,
    Answered,
    MountOptions,
    UsageError,
    check_libfuse_options,
    parse,
    usage_text,
)
from ossfuse.passwd import CredentialsError, fetch_url, load
from ossfuse.profile import CheckTime, CheckWording, Fixed, Profile, find
from ossfuse.utility import run as run_utility

__all__ = ["Control", "Controlled", "Mount", "make", "run"]

logger = logging.getLogger("ossfuse")

FSNAME = "ossfs"
LIBFUSE_MISSING = 127  # what the dynamic linker's failure ends with
_LEVELS = {
    "crit": logging.CRITICAL,
    "err": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "dbg": logging.DEBUG,
}
_NEXT_LEVEL = {"crit": "err", "err": "warn", "warn": "info", "info": "dbg", "dbg": "crit"}
_TAGS = {"CRITICAL": "CRT", "ERROR": "ERR", "WARNING": "WAN", "INFO": "INF", "DEBUG": "DBG"}
_PRIORITIES = {
    logging.CRITICAL: syslog.LOG_CRIT,
    logging.ERROR: syslog.LOG_ERR,
    logging.WARNING: syslog.LOG_WARNING,
    logging.INFO: syslog.LOG_INFO,
    logging.DEBUG: syslog.LOG_DEBUG,
}

with contextlib.suppress(LibfuseMissing):
    # In a warm parent this is the moment to load it; where it is missing, `serve` says so.
    load_binding()


def run(
    argv: Sequence[str],
    *,
    version: str,
    program: str = "ossfs",
    control: str | None = None,
    ready_fd: int | None = None,
    clock_offset: float = 0.0,
    fixed: Fixed = False,
    mime_text: str | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Mounts and serves in this process, in the foreground; the exit code.

    argv: ossfs's command line without the program's name. version: the release. control: path of the control socket to
    make. ready_fd: gets b"1" when the mount is there and has passed the check of its init (from then on the kernel
    queues what callers ask) and is closed. clock_offset: seconds that the mount's clock is ahead. fixed: without
    the release's defects, or some. mime_text: content of /etc/mime.types, None: the machine's own. Raises
    UnknownVersion, UnknownDefect.
    """
    mount = Mount(
        argv,
        profile=find(version, fixed=fixed),
        environment=config.environment(),
        program=program,
        clock=AdjustableClock(offset=clock_offset),
        mime_text=mime_text,
        stdout=stdout,
        stderr=stderr,
        log=stderr or sys.stderr,
    )
    code = mount.prepare()
    if code is not None:
        return code
    return mount.serve(on_checked=lambda: say_ready(ready_fd), control=control)


def make(argv: Sequence[str], *, version: str, fixed: Fixed, around: Surroundings) -> Mount:
    """A `Mount` of the release `version`; for `ossfuse.products`. Raises UnknownVersion, UnknownDefect."""
    return Mount(
        argv,
        profile=find(version, fixed=fixed),
        environment=around.environment,
        program=around.program,
        clock=around.clock,
        mime_text=around.mime_text,
        stdout=around.stdout,
        stderr=around.stderr,
        transport=around.transport,
        rng=around.rng,
        spool=around.spool,
        on_fatal=around.on_fatal,
    )


class Mount(MountProcess[OssFs]):
    """One mount, from its command line to its end.

    argv: without the program's name. environment: variables for the credentials. program: argv[0] as typed. clock: of
    the file system's caches and dates. mime_text: content of the mime.types file, None: the file itself is read.
    stdin, stdout, stderr: default: those of the process. transport: carries the requests, default: HTTP to the command
    line's url. rng: of the waits between retries. spool: where local data goes instead of tmpdir=. log: where messages
    go without -f and logfile=, default: syslog. on_fatal: called where the real process dies, default: this one does.
    """

    options: MountOptions

    def __init__(
        self,
        argv: Sequence[str],
        *,
        profile: Profile,
        environment: Mapping[str, str],
        program: str = "ossfs",
        clock: AdjustableClock | None = None,
        mime_text: str | None = None,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        transport: Transport | None = None,
        rng: random.Random | None = None,
        spool: str | None = None,
        log: TextIO | None = None,
        on_fatal: Callable[[], None] | None = None,
    ) -> None:
        self.profile = profile
        self._on_fatal = on_fatal or _die
        super().__init__(clock, transport)
        self._argv = argv
        self._environment = environment
        self._program = program
        self._mime_text = mime_text
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._stdin = stdin or sys.stdin
        self._log_stream = log
        self._rng = rng or random.Random()
        self._spool = spool
        self._log_level = profile.log_level
        self._exit_code = 0
        self._notice = ""

    # --- before the mount -------------------------------------------------------------------------------------------

    def prepare(self) -> int | None:
        """Everything up to the call of libfuse, in the order of the release's main(). None: go on with `serve`; else
        the exit code, after what ossfs prints has been printed."""
        try:
            return self._prepare()
        except Answered as answer:
            print(answer.text, file=self._stdout, flush=True)
            return 0
        except UsageError as error:
            stream = self._stdout if error.on_stdout else self._stderr
            return self._refuse(error.message, error.exit_code, usage=error.usage, stream=stream)
        except CredentialsError as error:
            return self._refuse(f"ossfs: {error}")

    def _prepare(self) -> int | None:
        self.options = options = parse(
            self._argv,
            self.profile,
            euid=os.geteuid(),
            egid=os.getegid(),
            program=self._program,
            libfuse=False,
            environment=self._environment,
        )
        self._log_level = options.log_level
        self._open_log(detached=False)
        self._check_combinations()
        credentials = load(options, self.profile, self._environment, self._fetch)
        if not self.profile.mountpoint_told_first:
            self._check_mountpoint_given()
        self._check_directories()
        if not options.utility:
            self._check_disk_space()
            self._check_attributes()
        client = ObjectClient(
            self._connect(options),
            options=options,
            profile=self.profile,
            credentials=credentials,
            clock=self.clock,
            rng=self._rng,
            on_fatal=self._on_fatal,
        )
        if options.utility:
            self._say_notice()
            code = run_utility(
                client,
                options,
                self.profile,
                now=self.clock.now,
                stdin=self._stdin,
                stdout=self._stdout,
                stderr=self._stderr,
            )
            return self._refuse("", code)
        self._fs = OssFs(
            options=options,
            profile=self.profile,
            client=client,
            clock=self.clock,
            groups=HostGroups(),
            spool=self._spool or options.tmpdir,
            mime=self._mime_table(),
            euid=os.geteuid(),
            egid=os.getegid(),
        )
        if self.profile.check_time is not CheckTime.AFTER_MOUNT:
            code = self._check(self._fs, in_main=True)
            if code:
                return code
        check_libfuse_options(options.fuse_options)
        return None

    def _fetch(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Asks STS or the metadata service, by the given transport where they are beside the bucket."""
        parts = urlsplit(url)
        if self._given_transport is None or parts.netloc != urlsplit(self.options.url).netloc:
            return fetch_url(method, url, headers, body)
        asked = {name.lower(): value for name, value in headers.items()}
        asked |= {"host": parts.netloc, "content-length": str(len(body))}
        answer = self._given_transport.send(Request(method, parts.path or "/", asked, body))
        return answer.status, answer.read()

    def _refuse(self, message: str, code: int = 1, *, usage: bool = False, stream: TextIO | None = None) -> int:
        if message:
            print(message, file=stream or self._stderr, flush=True)
        self._say_notice()
        if usage:
            print(usage_text(os.path.basename(self._program)), file=self._stdout, flush=True)
        self.close()
        return code

    def _say_notice(self) -> None:
        """The original leaves it in stdio's buffer: a terminal shows it at once, a file or pipe gets it at exit, and
        never when the mount goes to the background (measured, 1.91.10)."""
        if self._notice:
            print(self._notice, file=self._stdout, flush=True)
            self._notice = ""

    def _check_combinations(self) -> None:
        options, profile = self.options, self.profile
        if options.sigv4 and not options.region:
            raise UsageError("ossfs: Using OSSV4 signature requires specifying the region")
        if profile.sigv1_notice and (not options.sigv4 or profile.sigv1_notice_always):
            self._notice = profile.sigv1_notice
            if self._stdout.isatty():
                self._say_notice()
        if options.storage_class.lower() == "reduced_redundancy" and options.sse:
            raise UsageError("ossfs: use_sse option could not be specified with storage class reduced_redundancy.")
        if options.sse == "SSE-C" and not options.sse_keys:
            raise UsageError("ossfs: something wrong about SSE options.")
        if not options.bucket:
            raise UsageError("ossfs: missing BUCKET argument.", usage=profile.missing_bucket_usage)
        if not options.use_path_request_style and options.bucket.lower() != options.bucket:
            raise UsageError(f"ossfs: BUCKET {options.bucket}, name not compatible with virtual-hosted style.")
        if not ILLEGAL_IN_BUCKET.isdisjoint(options.bucket):
            raise UsageError(f"ossfs: BUCKET {options.bucket} -- bucket name contains an illegal character.")
        if profile.mountpoint_told_first:
            self._check_mountpoint_given()

    def _check_mountpoint_given(self) -> None:
        if not self.options.mountpoint and not self.options.utility:
            raise UsageError("ossfs: missing MOUNTPOINT argument.", usage=True)

    def _check_directories(self) -> None:
        options = self.options
        if not os.path.isdir(options.tmpdir):
            raise UsageError("ossfs: temporary directory doesn't exists.")
        if options.use_cache and not self._cache_allowed(options.use_cache):
            raise UsageError(
                "ossfs: could not allow cache directory permission, check permission of cache directories."
            )

    def _check_attributes(self) -> None:
        options = self.options
        if options.readdir_optimize and options.xattr:
            raise UsageError("ossfs: readdir_optimize option could not be specified with use_xattr option.")

    def _cache_allowed(self, directory: str) -> bool:
        if self.options.check_cache_dir_exist and not os.path.isdir(directory):
            return False
        for path in (f"{directory}/{self.options.bucket}", directory):
            if os.path.exists(path):
                return os.path.isdir(path) and os.access(path, os.R_OK | os.W_OK | os.X_OK)
        return True

    def _check_disk_space(self) -> None:
        options, profile = self.options, self.profile
        try:
            place = options.use_cache or options.tmpdir
            found = os.statvfs(f"{existing_directory(place) if profile.disk_cache_by_inode else place}/.")
            free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        except OSError:
            free = total = 0
        if options.fake_diskfree is not None:
            free = min(free, options.fake_diskfree)
        kept = options.ensure_diskfree or total * options.free_space_ratio // 100
        parts = options.parallel_count if profile.check_wants_parallel_parts else 1
        needed = kept + options.multipart_size * parts
        if needed <= free:
            return
        amounts = (
            f" Requires {needed / MIB:.3f} MB, already has {free / MIB:.3f} MB." if profile.disk_space_amounts else ""
        )
        raise UsageError(f"ossfs: {profile.disk_space_text}{amounts}")

    def _mime_table(self) -> MimeTable:
        if self._mime_text is not None:
            return MimeTable.load(self._mime_text)
        table = MimeTable.from_file(self.options.mime)
        if table is None:
            logger.warning("Missing MIME types prevents setting Content-Type on uploaded objects.")
        return table or MimeTable()

    def _check(self, fs: OssFs, *, in_main: bool) -> int:
        """The mount-time check; 0 or the exit code. Where its message goes is a matter of release."""
        try:
            fs.check_mount()
        except MountCheckFailed as failed:
            wording = self.profile.check_wording
            on_stderr = in_main and wording in (CheckWording.XML_BODY, CheckWording.STDERR_FAILED)
            if failed.message and not on_stderr:
                logger.critical("%s", failed.message)
            return self._refuse(f"ossfs: {failed.message}" if failed.message and on_stderr else "", failed.exit_code)
        return 0

    # --- the mount --------------------------------------------------------------------------------------------------

    def serve(
        self,
        *,
        on_mounted: Callable[[], None] = lambda: None,
        on_checked: Callable[[], None] = lambda: None,
        control: str | None = None,
        detached: bool = False,
    ) -> int:
        """Mounts and serves until the end; the exit code. on_mounted: called once the mount is in the mount table;
        on_checked: once the check that some releases make only then has passed too.
        control: path of the control socket to make. detached: messages go to the log from then on."""
        fs = self._fs
        if fs is None:
            raise RuntimeError("prepare() comes first")
        background: list[_Stoppable] = []

        def mounted() -> bool:
            if detached:
                self._open_log(detached=True)
            on_mounted()
            if self.check_in_init() == 0:
                on_checked()
            return not self._exit_code

        try:
            load_binding()
            background.append(_Signals(self))
            if control is not None:
                background.append(Control(control, self))
            adapter = (XattrAdapter if self.xattr else Adapter)(
                fs,
                context=Context,
                now=self.clock.now,
                flags=self.profile,
                utime_omit=self.profile.utime_omit,
                on_init=mounted,
            )
            self._answers = adapter.answers
            code = serve(
                adapter,
                os.path.abspath(self.options.mountpoint),
                self.libfuse_options,
                name=FSNAME,
                single_thread=self.options.single_thread,
            )
        except LibfuseMissing as error:
            return self._refuse(f"ossfs: {error}", LIBFUSE_MISSING)
        finally:
            for part in background:
                part.stop()
            self.close()
        if not detached:
            self._say_notice()
        return code or self._exit_code

    @property
    def libfuse_options(self) -> tuple[str, ...]:
        """What libfuse is given behind -o."""
        return self.options.fuse_options

    @property
    def xattr(self) -> bool:
        """Whether there are operations for extended attributes."""
        return self.options.xattr or self.profile.xattr_default

    @property
    def utime_omit(self) -> bool:
        """Whether a change of one time alone reaches the file system."""
        return self.profile.utime_omit

    @property
    def max_write(self) -> int:
        """Bytes that a WRITE carries."""
        return self.profile.max_write

    def say_mounted(self) -> None:
        """ossfs prints nothing."""

    def check_in_init(self) -> int:
        """The mount-time check of the releases that make it in FUSE_INIT; 0 or the exit code."""
        self.fs.start()
        if self.profile.check_time is not CheckTime.BEFORE_MOUNT:
            self._exit_code = self._check(self.fs, in_main=False)
        return self._exit_code

    # --- log --------------------------------------------------------------------------------------------------------

    def _open_log(self, *, detached: bool) -> None:
        """logfile=, else the terminal with -f, else the stream that the harness gave, else syslog."""
        if self._log is not None:
            logger.removeHandler(self._log)
            self._log.close()
        options = self.options
        handler: logging.Handler
        if options.logfile:
            handler = logging.FileHandler(options.logfile, encoding="utf-8")
        elif options.foreground and not detached:
            handler = logging.StreamHandler(self._stdout)
        elif self._log_stream is not None:
            handler = logging.StreamHandler(self._log_stream)
        elif self._given_transport is not None:
            return  # no process of its own: who called decides what becomes of the messages
        else:
            handler = _SyslogHandler(self.profile.syslog_identity)
        handler.setFormatter(_Formatter(time_stamp=options.log_time_stamp and not isinstance(handler, _SyslogHandler)))
        self._log = handler
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(_LEVELS[self._log_level])

    def reopen_log(self) -> None:
        """SIGHUP of 1.91: a log file that was moved away is made anew."""
        if self.options.logfile:
            self._open_log(detached=False)

    def step_log_level(self) -> None:
        """SIGUSR2: crit, err, warn, info, dbg and round again."""
        self._log_level = _NEXT_LEVEL[self._log_level]
        logger.setLevel(_LEVELS[self._log_level])

    def check_disk_cache(self) -> None:
        """SIGUSR1 with set_check_cache_sigusr1: a report about use_cache."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.clock.now()))
        fraction = int(self.clock.now() % 1 * 1000)
        text = self.fs.check_disk_cache(f"{stamp}.{fraction:03d}Z " if self.options.log_time_stamp else "")
        try:
            if not self.options.check_cache_output:
                print(text, end="", file=self._stdout, flush=True)
                return
            with open(self.options.check_cache_output, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        except OSError as error:
            logger.error("Could not write the report about the cache: %s", error)


def _die() -> None:
    """Where the real process ends itself: the mount stays behind, disconnected."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Stoppable(Protocol):
    def stop(self) -> None: ...


class _Formatter(logging.Formatter):
    def __init__(self, *, time_stamp: bool) -> None:
        stamp = "%(asctime)s.%(msecs)03dZ " if time_stamp else ""
        super().__init__(f"{stamp}[%(tag)s] %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.tag = _TAGS.get(record.levelname, record.levelname)
        return super().format(record)


class _SyslogHandler(logging.Handler):
    def __init__(self, identity: str) -> None:
        super().__init__()
        syslog.openlog(identity, syslog.LOG_PID | syslog.LOG_NDELAY | syslog.LOG_NOWAIT, syslog.LOG_USER)

    def emit(self, record: logging.LogRecord) -> None:
        syslog.syslog(_PRIORITIES.get(record.levelno, syslog.LOG_ERR), self.format(record))


class _Signals:
    """SIGHUP and SIGUSR2 while libfuse holds the main thread, where Python's own handlers would never run: the wake-up
    descriptor is written by the C handler, and a thread of ours reads it."""

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        handled = [signal.SIGUSR2]
        if not mount.profile.hangup_unmounts:
            handled.append(signal.SIGHUP)
        if mount.options.check_cache_signal:
            handled.append(signal.SIGUSR1)
        # The others are libfuse's, which takes only those that have their default action.
        self._before = {number: signal.signal(number, _only_wake) for number in handled}
        for number in (signal.SIGTERM, signal.SIGINT, *({signal.SIGHUP} - set(handled))):
            self._before[number] = signal.signal(number, signal.SIG_DFL)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = _background_thread("ossfs-signals", self._listen)

    def _listen(self) -> None:
        while numbers := os.read(self._read, 64):
            for number in numbers:
                if number == signal.SIGUSR2:
                    self._mount.step_log_level()
                elif number == signal.SIGHUP:
                    self._mount.reopen_log()
                elif number == signal.SIGUSR1:
                    self._mount.check_disk_cache()

    def stop(self) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write)
        self._thread.join()
        os.close(self._read)


def _only_wake(number: int, frame: object) -> None:
    """Nothing: `_Signals._listen` acts."""


def _background_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """A thread that takes no signals: they belong to the main thread, which has to wake up for them."""

    def deaf() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        target()

    thread = threading.Thread(target=deaf, name=name, daemon=True)
    # Inherited mask: a signal between the start and the block above would otherwise be lost on the new thread.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread


class Controlled(Protocol):
    """What a control socket asks of a mount."""

    @property
    def clock(self) -> AdjustableClock: ...
    def advance(self, seconds: float) -> None: ...
    def expire(self) -> bool: ...
    def statistics(self) -> dict[str, object]: ...
    def open_files(self) -> list[dict[str, object]]: ...


class Control:
    """The control socket: a UNIX stream socket, one JSON object a line each way.

    {"do": "ping"}; {"do": "advance", "seconds": 60}; {"do": "expire"} (the kernel forgets names and attributes);
    {"do": "statistics"}; {"do": "open_files"}. The answer has "ok": true and the result, or "ok": false and "error".
    Readable by the mount's owner only.
    """

    def __init__(self, path: str, mount: Controlled) -> None:
        self._path = path
        self._mount = mount
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        before = os.umask(0o177)
        try:
            self._listener.bind(path)
        finally:
            os.umask(before)
        self._listener.listen(8)
        self._thread = _background_thread("ossfs-control", self._accept)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # stop() has shut the listener down
            _background_thread("ossfs-control-peer", lambda peer=connection: self._converse(peer))  # type: ignore[misc]

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            for line in stream:
                try:
                    answer = {"ok": True, **self._answer(json.loads(line))}
                except Exception as error:
                    logger.exception("control request failed")
                    answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
                try:
                    stream.write(json.dumps(answer).encode() + b"\n")
                    stream.flush()
                except (BrokenPipeError, ConnectionResetError):
                    return

    def _answer(self, request: Mapping[str, object]) -> dict[str, object]:
        match request:
            case {"do": "ping"}:
                return {"pid": os.getpid()}
            case {"do": "advance", "seconds": int() | float() as seconds}:
                self._mount.advance(float(seconds))
                return {"clock_offset": self._mount.clock.offset}
            case {"do": "expire"}:
                return {"expired": self._mount.expire()}
            case {"do": "statistics"}:
                return self._mount.statistics()
            case {"do": "open_files"}:
                return {"open_files": self._mount.open_files()}
            case _:
                raise ValueError(
                    "ask {'do': 'ping' | 'advance' (with 'seconds') | 'expire' | 'statistics' | 'open_files'}"
                )
