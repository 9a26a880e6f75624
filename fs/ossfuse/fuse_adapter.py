"""A file system in plain methods on mfusepy: FUSE callbacks to calls, OSError to -errno.

Knows nothing about OSS. libfuse 2 is preferred, as ossfs 1.x links it; libfuse 3 works with readdirplus off, because
ossfs never had it. Callbacks come from many threads at once, except with `-s`; `serve` blocks the thread that calls it
until the file system is unmounted.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

from ossfuse.attributes import Attributes

__all__ = ["Adapter", "FileSystem", "InitFlags", "LibfuseMissing", "XattrAdapter", "load_binding", "serve"]

logger = logging.getLogger(__name__)

# fuse_common.h, FUSE_CAP_*.
_ATOMIC_O_TRUNC = 1 << 3
_BIG_WRITES = 1 << 5
_READDIRPLUS = (1 << 13) | (1 << 14)
# stat.h: nanoseconds that mean "now" and "leave as it is".
_UTIME_NOW = (1 << 30) - 1
_UTIME_OMIT = (1 << 30) - 2
_NANOSECONDS = 1_000_000_000
_SMALL_WRITE = 4096
_STATFS_FIELDS = ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "namemax")

_P = ParamSpec("_P")
_R = TypeVar("_R")


class LibfuseMissing(Exception):
    """No libfuse on this machine. Install it: `apt install libfuse2 fuse` (or libfuse3: `apt install fuse3`)."""


class FileSystem(Protocol):
    """The operations that the adapter calls; the first argument is what `context` made of the caller. They raise
    OSError with an errno; anything else that they raise is a defect, is logged and becomes EIO."""

    def getattr(self, ctx: Any, path: str, fh: int | None = None) -> Attributes: ...
    def access(self, ctx: Any, path: str, mask: int) -> None: ...
    def readlink(self, ctx: Any, path: str) -> str: ...
    def mknod(self, ctx: Any, path: str, mode: int, dev: int) -> None: ...
    def mkdir(self, ctx: Any, path: str, mode: int) -> None: ...
    def unlink(self, ctx: Any, path: str) -> None: ...
    def rmdir(self, ctx: Any, path: str) -> None: ...
    def symlink(self, ctx: Any, target: str, path: str) -> None: ...
    def rename(self, ctx: Any, old: str, new: str) -> None: ...
    def link(self, ctx: Any, old: str, new: str) -> None: ...
    def chmod(self, ctx: Any, path: str, mode: int) -> None: ...
    def chown(self, ctx: Any, path: str, uid: int, gid: int) -> None: ...
    def utimens(self, ctx: Any, path: str, atime: float | None, mtime: float | None) -> None: ...
    def truncate(self, ctx: Any, path: str, size: int, fh: int | None = None) -> None: ...
    def create(self, ctx: Any, path: str, mode: int, flags: int) -> int: ...
    def open(self, ctx: Any, path: str, flags: int) -> int: ...
    def read(self, ctx: Any, path: str, fh: int, size: int, offset: int) -> bytes: ...
    def write(self, ctx: Any, path: str, fh: int, data: bytes, offset: int) -> int: ...
    def flush(self, ctx: Any, path: str | None, fh: int) -> None: ...
    def fsync(self, ctx: Any, path: str, fh: int, datasync: bool) -> None: ...
    def release(self, ctx: Any, path: str, fh: int) -> None: ...
    def opendir(self, ctx: Any, path: str) -> Any: ...
    def readdir(self, ctx: Any, path: str) -> Sequence[tuple[str, Attributes | None]]: ...
    def statfs(self, ctx: Any) -> Any: ...
    def setxattr(self, ctx: Any, path: str, name: str, value: bytes, flags: int) -> None: ...
    def getxattr(self, ctx: Any, path: str, name: str) -> bytes: ...
    def listxattr(self, ctx: Any, path: str) -> Sequence[str]: ...
    def removexattr(self, ctx: Any, path: str, name: str) -> None: ...
    def destroy(self) -> None: ...


@runtime_checkable
class Buffered(Protocol):
    """What a file system can have beside: reads into libfuse's own buffer, and writes out of it, a memoryview that is
    used no more when `write` returns."""

    def read_into(self, ctx: Any, path: str, fh: int, target: memoryview, offset: int) -> int: ...
    def write(self, ctx: Any, path: str, fh: int, data: bytes | memoryview, offset: int) -> int: ...


class InitFlags(Protocol):
    """What a release asks of the kernel; fields of `Profile`."""

    @property
    def max_write(self) -> int: ...


@functools.cache
def load_binding() -> ModuleType:
    """mfusepy on libfuse 2 where it is installed, else on libfuse 3. Raises LibfuseMissing.

    Asks the dynamic linker by file name: mfusepy's own search runs ldconfig and a compiler, which takes longer than a
    mount does.
    """
    for name in ("libfuse.so.2", "libfuse3.so.3", "libfuse3.so.4"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        os.environ["FUSE_LIBRARY_PATH"] = name
        break
    try:
        import mfusepy
    except OSError as error:
        raise LibfuseMissing(
            f"{error}. Install it: apt install libfuse2 fuse (or libfuse3: apt install fuse3)"
        ) from error
    finally:
        os.environ.pop("FUSE_LIBRARY_PATH", None)
    module: ModuleType = mfusepy
    return module


def _guard(operation: Callable[_P, _R]) -> Callable[_P, _R]:
    """Nothing but an OSError with a number may reach mfusepy, which would make EINVAL of it."""

    @functools.wraps(operation)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return operation(*args, **kwargs)
        except OSError as error:
            if error.errno:
                raise
            logger.exception("%s failed without an error number", operation.__name__)
        except Exception:
            logger.exception("%s failed: a defect of ossvol", operation.__name__)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    return guarded


def _seconds(nanoseconds: int, now: Callable[[], float]) -> float | None:
    """None: leave the time as it is."""
    if nanoseconds == _UTIME_OMIT:
        return None
    return now() if nanoseconds == _UTIME_NOW else nanoseconds / _NANOSECONDS


class Adapter:
    """The operations object that mfusepy asks (with raw_fi).

    context: makes the first argument of every operation, an immutable value, out of uid, gid and pid of the caller.
    now: seconds since the epoch, for "touch now". on_init: called in the callback of FUSE_INIT, when the mount is in
    the mount table and nothing has been answered yet; False unmounts at once. utime_omit: tell the file system which
    of the two times to leave (ossfs 1.91; before, libfuse drops a change of one time only).
    """

    use_ns = True

    def __init__(
        self,
        fs: FileSystem,
        *,
        context: Callable[[int, int, int], Any],
        now: Callable[[], float],
        flags: InitFlags,
        utime_omit: bool = True,
        on_init: Callable[[], bool] = lambda: True,
    ) -> None:
        self._fs = fs
        self._buffered = fs if isinstance(fs, Buffered) else None
        self._binding = load_binding()
        self._get_context: Callable[[], Any] = self._binding._libfuse.fuse_get_context
        self._make_context = functools.lru_cache(maxsize=1024)(context)
        self._now = now
        self._flags = flags
        self._on_init = on_init
        self._thread = threading.local()
        # Each answer about a name may be a node more that the kernel knows.
        self.answers = itertools.count(1)
        if utime_omit:
            self.flag_utime_omit_ok = True

    def _context(self) -> Any:
        try:
            caller = self._thread.caller
        except AttributeError:
            # libfuse's threads are foreign to Python, which would build and destroy a thread state for each callback.
            ctypes.pythonapi.PyGILState_Ensure()
            # libfuse has one such structure a thread, and fills it before each callback.
            caller = self._thread.caller = self._get_context().contents
        return self._make_context(caller.uid, caller.gid, caller.pid)

    @_guard
    def init_with_config(self, connection: Any, config: Any) -> None:
        """FUSE_INIT. connection, config: libfuse's structures; config is None with libfuse 2."""
        if connection is not None:
            connection.want |= _ATOMIC_O_TRUNC
            if config is not None:
                # libfuse 3 writes big always, and refuses to be asked for it.
                connection.want &= ~_READDIRPLUS
            elif self._flags.max_write > _SMALL_WRITE:
                connection.want |= _BIG_WRITES
        if not self._on_init():
            self._binding.fuse_exit()

    def destroy(self, path: str) -> None:
        try:
            self._fs.destroy()
        except Exception:
            logger.exception("destroy failed: a defect of ossvol")

    # --- names ------------------------------------------------------------------------------------------------------

    @_guard
    def attributes(self, path: str | None, fh: int | None = None) -> Attributes:
        """For `_Binding`, which writes them into libfuse's structure. fh: of an open file, which is not told: ossfs 1.x
        has no fgetattr."""
        return self._stat(path, fh)

    def _stat(self, path: str | None, fh: int | None) -> Attributes:
        del fh
        return self._fs.getattr(self._context(), _known(path))

    def getattr(self, path: str | None, fi: Any = None) -> dict[str, int]:
        """For mfusepy, which looks whether it is there."""
        found = self.attributes(path, fi.fh if fi else None)
        return {
            "st_mode": found.mode,
            "st_uid": found.uid,
            "st_gid": found.gid,
            "st_size": found.size,
            "st_nlink": found.nlink,
            "st_blocks": found.blocks,
            "st_blksize": found.blksize,
            "st_rdev": found.rdev,
            "st_mtime": _nanoseconds(found.mtime),
            "st_atime": _nanoseconds(found.atime),
            "st_ctime": _nanoseconds(found.ctime),
        }

    @_guard
    def access(self, path: str, mask: int) -> int:
        self._fs.access(self._context(), path, mask)
        return 0

    @_guard
    def readlink(self, path: str) -> str:
        return self._fs.readlink(self._context(), path)

    @_guard
    def mknod(self, path: str, mode: int, dev: int) -> int:
        self._fs.mknod(self._context(), path, mode, dev)
        return 0

    @_guard
    def mkdir(self, path: str, mode: int) -> int:
        self._fs.mkdir(self._context(), path, mode)
        return 0

    @_guard
    def unlink(self, path: str) -> int:
        self._fs.unlink(self._context(), path)
        return 0

    @_guard
    def rmdir(self, path: str) -> int:
        self._fs.rmdir(self._context(), path)
        return 0

    @_guard
    def symlink(self, path: str, target: str) -> int:
        self._fs.symlink(self._context(), target, path)
        return 0

    @_guard
    def rename(self, old: str, new: str) -> int:
        self._fs.rename(self._context(), old, new)
        return 0

    @_guard
    def link(self, new: str, old: str) -> int:
        self._fs.link(self._context(), old, new)
        return 0

    @_guard
    def chmod(self, path: str | None, mode: int) -> int:
        self._fs.chmod(self._context(), _known(path), mode)
        return 0

    @_guard
    def chown(self, path: str | None, uid: int, gid: int) -> int:
        self._fs.chown(self._context(), _known(path), uid, gid)
        return 0

    @_guard
    def utimens(self, path: str | None, times: tuple[int, int] | None = None) -> int:
        atime, mtime = times or (_UTIME_NOW, _UTIME_NOW)
        self._fs.utimens(self._context(), _known(path), _seconds(atime, self._now), _seconds(mtime, self._now))
        return 0

    # --- files ------------------------------------------------------------------------------------------------------

    @_guard
    def truncate(self, path: str | None, size: int, fi: Any = None) -> int:
        self._truncate(path, size, fi.fh if fi else None)
        return 0

    def _truncate(self, path: str | None, size: int, fh: int | None) -> None:
        # ossfs has no ftruncate: libfuse calls the version with a path for it too.
        del fh
        self._fs.truncate(self._context(), _known(path), size)

    @_guard
    def create(self, path: str, mode: int, fi: Any) -> int:
        fi.fh = self._fs.create(self._context(), path, mode, fi.flags)
        return 0

    @_guard
    def open(self, path: str, fi: Any) -> int:
        fi.fh = self._fs.open(self._context(), path, fi.flags)
        return 0

    @_guard
    def read(self, path: str | None, size: int, offset: int, fi: Any) -> bytes:
        return self._fs.read(self._context(), _known(path), fi.fh, size, offset)

    @_guard
    def write(self, path: str | None, data: bytes, offset: int, fi: Any) -> int:
        return self._fs.write(self._context(), _known(path), fi.fh, data, offset)

    @_guard
    def read_into(self, path: str | None, address: int, size: int, offset: int, fi: Any) -> int:
        """For `_Binding`; address: of a buffer of libfuse's."""
        context, known, target = self._context(), _known(path), _memory(address, size)
        if self._buffered is not None:
            return self._buffered.read_into(context, known, fi.fh, target, offset)
        found = self._fs.read(context, known, fi.fh, size, offset)
        target[: len(found)] = found
        return len(found)

    @_guard
    def write_from(self, path: str | None, address: int, size: int, offset: int, fi: Any) -> int:
        """The same for a write."""
        context, known, data = self._context(), _known(path), _memory(address, size)
        if self._buffered is not None:
            return self._buffered.write(context, known, fi.fh, data, offset)
        return self._fs.write(context, known, fi.fh, bytes(data), offset)

    @_guard
    def flush(self, path: str | None, fi: Any) -> int:
        self._fs.flush(self._context(), path, fi.fh)
        return 0

    @_guard
    def fsync(self, path: str | None, datasync: int, fi: Any) -> int:
        self._fs.fsync(self._context(), _known(path), fi.fh, bool(datasync))
        return 0

    @_guard
    def release(self, path: str | None, fi: Any) -> int:
        self._fs.release(self._context(), path or "", fi.fh)
        return 0

    # --- directories ------------------------------------------------------------------------------------------------

    @_guard
    def opendir(self, path: str) -> int:
        self._fs.opendir(self._context(), path)
        return 0

    @_guard
    def readdir(self, path: str | None, fh: int) -> Iterator[tuple[str, int | None, int]]:
        entries = self._fs.readdir(self._context(), _known(path))
        return iter([(name, None if found is None else found.mode, 0) for name, found in entries])

    @_guard
    def statfs(self, path: str) -> dict[str, int]:
        found = self._fs.statfs(self._context())
        return {f"f_{name}": getattr(found, name) for name in _STATFS_FIELDS}


class XattrAdapter(Adapter):
    """With extended attributes; without them libfuse answers ENOSYS and the kernel never asks again, as for ossfs."""

    @_guard
    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> int:
        self._fs.setxattr(self._context(), path, name, value, flags)
        return 0

    @_guard
    def getxattr(self, path: str, name: str) -> bytes:
        return self._fs.getxattr(self._context(), path, name)

    @_guard
    def listxattr(self, path: str) -> Sequence[str]:
        return self._fs.listxattr(self._context(), path)

    @_guard
    def removexattr(self, path: str, name: str) -> int:
        self._fs.removexattr(self._context(), path, name)
        return 0


def _known(path: str | None) -> str:
    """libfuse itself refuses all but FLUSH and RELEASE for an unlinked open file, whose path is None."""
    if path is None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    return path


def _text(path: bytes | None) -> str | None:
    return None if path is None else path.decode("utf-8", "surrogateescape")


def _memory(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


@functools.cache
def _binding_class() -> type[Any]:
    """mfusepy's FUSE with attributes written straight into libfuse's structure (stat is what callers do most), and
    content read into and written out of its buffers without a copy."""
    binding = load_binding()
    size = ctypes.sizeof(binding.c_stat)

    class _Binding(binding.FUSE):  # type: ignore[misc, name-defined]  # the module is only known at run time
        def _fill(self, path: bytes | None, buffer: Any, fi: Any = None) -> int:
            next(self.operations.answers)
            found = self.operations.attributes(_text(path), fi.contents.fh if fi else None)
            ctypes.memset(buffer, 0, size)
            st = buffer.contents
            st.st_mode = found.mode
            st.st_uid = found.uid
            st.st_gid = found.gid
            st.st_size = found.size
            st.st_nlink = found.nlink
            st.st_blocks = found.blocks
            st.st_blksize = found.blksize
            st.st_rdev = found.rdev
            mtime, atime, ctime = found.mtime, found.atime, found.ctime
            if mtime:
                st.st_mtimespec.tv_sec, st.st_mtimespec.tv_nsec = _split(mtime)
            if atime:
                st.st_atimespec.tv_sec, st.st_atimespec.tv_nsec = _split(atime)
            if ctime:
                st.st_ctimespec.tv_sec, st.st_ctimespec.tv_nsec = _split(ctime)
            return 0

        def read(self, path: bytes | None, buffer: Any, size: int, offset: int, fi: Any) -> int:
            address = ctypes.addressof(buffer.contents)
            return self.operations.read_into(_text(path), address, size, offset, fi.contents)  # type: ignore[no-any-return]

        def write(self, path: bytes | None, buffer: Any, size: int, offset: int, fi: Any) -> int:
            address = ctypes.addressof(buffer.contents)
            return self.operations.write_from(_text(path), address, size, offset, fi.contents)  # type: ignore[no-any-return]

        def getattr_fuse_2(self, path: bytes, buffer: Any) -> int:
            return self._fill(path, buffer)

        def getattr_fuse_3(self, path: bytes | None, buffer: Any, fi: Any) -> int:
            return self._fill(path, buffer, fi)

        def fgetattr(self, path: bytes | None, buffer: Any, fi: Any) -> int:
            return self._fill(path, buffer, fi)

    return _Binding


def _split(seconds: float) -> tuple[int, int]:
    whole = int(seconds // 1)
    return whole, int((seconds - whole) * _NANOSECONDS)


def _nanoseconds(seconds: float) -> int:
    whole, rest = _split(seconds)
    return whole * _NANOSECONDS + rest


def serve(adapter: Adapter, mountpoint: str, options: Sequence[str], *, name: str, single_thread: bool = False) -> int:
    """Mounts and answers requests until the end; libfuse's exit code (1: it could not mount, and has said why on
    stderr).

    options: as libfuse takes them behind -o ("allow_other", "umask=022"), and its switches ("-s", "-d"). name: what the
    mount table shows, twice: "NAME on M type fuse.NAME".
    """
    arguments: dict[str, object] = {"fsname": name, "subtype": name}
    for option in options:
        if option in ("-f", "-s"):
            continue
        key, equals, value = {"-d": "debug", "-r": "ro"}.get(option, option).partition("=")
        arguments[key] = value.replace("\\", "\\\\").replace(",", "\\,") if equals else True
    try:
        with contextlib.suppress(SystemExit):
            _binding_class()(adapter, mountpoint, raw_fi=True, foreground=True, nothreads=single_thread, **arguments)
    except RuntimeError as error:
        code = error.args[0] if error.args else 1
        return code if isinstance(code, int) else 1
    return 0
