"""`OssFs`: ossfs as plain methods, one for each FUSE operation.

It is the filesystem core: no kernel, no sockets, no wall clock. An adapter (FUSE, or the model of the kernel in the
direct engine) calls it from as many threads as it likes; no lock is held over a request but the one of the file that
the request is about.

Paths are absolute inside the mount ("/", "/a/b") and, as in ossfs, never normalised. Every operation raises OSError
with the errno that a process sees. Displayed modes and owners are final: umask=, uid= and gid= are in them.
"""

from __future__ import annotations

import errno
import functools
import os
import random
import stat
from dataclasses import dataclass

from osscloud.clock import Clock
from osscloud.message import Caller
from ossfuse import profile as profiles
from ossfuse.access import AccessChecks, GroupDatabase
from ossfuse.attributes import PERMISSIONS, AttributeRules, Attributes, blocks_of
from ossfuse.cachecheck import report
from ossfuse.client import CALLER, ObjectClient, calling
from ossfuse.content import Content
from ossfuse.directory import Directory
from ossfuse.diskcache import DiskCache
from ossfuse.entity import OpenFile, OpenFiles, Spool
from ossfuse.errors import MountCheckFailed, RequestFailed, failure
from ossfuse.lookup import Lookup
from ossfuse.metadata import Metadata
from ossfuse.mime import MimeTable
from ossfuse.mountcheck import check_mount
from ossfuse.mounted import Context, Mounted
from ossfuse.namespace import Namespace
from ossfuse.options import MountOptions
from ossfuse.profile import Profile
from ossfuse.statcache import StatCache

__all__ = ["Attributes", "Context", "MountCheckFailed", "OpenFile", "OssFs", "StatFs"]

STATFS_BLOCK = 16 * 1024 * 1024
NAME_MAX = 255


@dataclass(frozen=True, slots=True)
class StatFs:
    """What statvfs(3) answers: constants, whatever the bucket holds."""

    bsize: int
    frsize: int
    blocks: int
    bfree: int
    bavail: int
    files: int
    ffree: int
    namemax: int


# The same few processes call again and again, and a caller is immutable.
_caller = functools.lru_cache(maxsize=1024)(Caller)


class _Calling:
    """`client.calling` for what happens at every system call: a generator would cost more than a cached stat. A
    RequestFailed leaves as the subclass of OSError that Python's own calls raise (FileNotFoundError, ...)."""

    __slots__ = ("_caller", "_token")

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def __enter__(self) -> None:
        self._token = CALLER.set(self._caller)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        CALLER.reset(self._token)
        if isinstance(error, RequestFailed):
            raise failure(error.errno or errno.EIO, error.filename) from error


class OssFs:
    """One mount.

    groups: who is in which group; spool: directory for local data; euid, egid: of the ossfs process, owner of what has
    none. fixed: without the release's defects that damage data (`profile.without_defects`).
    """

    def __init__(
        self,
        *,
        options: MountOptions,
        profile: Profile,
        client: ObjectClient,
        clock: Clock,
        groups: GroupDatabase,
        spool: str,
        mime: MimeTable,
        euid: int,
        egid: int,
        fixed: profiles.Fixed = False,
    ) -> None:
        profile = profiles.left_out(profile, fixed)
        self.options = options
        self.profile = profile
        self._client = client
        self._umask = _displayed_umask(options)
        rules = AttributeRules(profile, options, euid, egid)
        cache = StatCache(options=options, profile=profile, rules=rules, clock=clock, key_of=client.key)
        lookup = Lookup(client=client, cache=cache, options=options, profile=profile, euid=euid, egid=egid)
        # With use_cache the local file has a name, so in 1.80 too all opens share it.
        files = OpenFiles(shared=profile.entity_shared or bool(options.use_cache))
        self._disk_cache: DiskCache | None = None
        if options.use_cache:
            self._disk_cache = DiskCache(options.use_cache, options.bucket, profile, random.Random())
        access = AccessChecks(lookup.stat, options=options, profile=profile, groups=groups)
        self._mounted = Mounted(
            options=options,
            profile=profile,
            client=client,
            clock=clock,
            cache=cache,
            lookup=lookup,
            rules=rules,
            access=access,
            files=files,
            mime=mime,
            spool=Spool(spool, options, self._disk_cache, files.paths),
        )
        self._content = Content(self._mounted)
        self._namespace = Namespace(self._mounted)
        self._metadata = Metadata(self._mounted, self._content, self._namespace)
        self._directory = Directory(self._mounted)

    def check_mount(self) -> None:
        """The mount-time check of the release. Raises MountCheckFailed; `profile.check_time` says when it belongs."""
        caller = Caller(self.options.mountpoint, "mount", os.getpid(), os.geteuid(), "ossfs")
        with calling(caller):
            check_mount(self._client, self.options, self.profile)

    # --- attributes -------------------------------------------------------------------------------------------------

    def getattr(self, ctx: Context, path: str, fh: int | None = None) -> Attributes:
        """stat(2). fh is not needed: the open file of a path is found by the path."""
        del fh
        m = self._mounted
        # `_calling` written out: nothing is called more often.
        token = CALLER.set(_caller(self.options.mountpoint, "getattr", ctx.pid, ctx.uid, ctx.command))
        try:
            m.access.require_parent(ctx, path, os.X_OK)
            found = m.access.require(ctx, path, os.F_OK)
        except RequestFailed as error:
            raise failure(error.errno or errno.EIO, path) from error
        finally:
            CALLER.reset(token)
        if m.local_size and (entity := m.files.find(path)) is not None:
            found.size = entity.size
        if path == "/" and m.profile.directory_size is not None:
            found.size = m.profile.directory_size
        found.blocks = blocks_of(found.size)
        return self._displayed(found)

    def access(self, ctx: Context, path: str, mask: int) -> None:
        with self._calling(ctx, "access"):
            self._mounted.access.require(ctx, path, mask)

    def chmod(self, ctx: Context, path: str, mode: int) -> None:
        with self._calling(ctx, "chmod"):
            self._metadata.chmod(ctx, path, mode)

    def chown(self, ctx: Context, path: str, uid: int, gid: int) -> None:
        """-1 keeps what is there."""
        with self._calling(ctx, "chown"):
            self._metadata.chown(ctx, path, uid, gid)

    def utimens(self, ctx: Context, path: str, atime: float | None, mtime: float | None) -> None:
        """None keeps what is there."""
        with self._calling(ctx, "utimens"):
            self._metadata.utimens(ctx, path, atime, mtime)

    def setxattr(self, ctx: Context, path: str, name: str, value: bytes, flags: int = 0) -> None:
        with self._calling(ctx, "setxattr"):
            self._metadata.setxattr(ctx, path, name, value, flags)

    def getxattr(self, ctx: Context, path: str, name: str) -> bytes:
        with self._calling(ctx, "getxattr"):
            return self._metadata.getxattr(ctx, path, name)

    def listxattr(self, ctx: Context, path: str) -> list[str]:
        with self._calling(ctx, "listxattr"):
            return self._metadata.listxattr(ctx, path)

    def removexattr(self, ctx: Context, path: str, name: str) -> None:
        with self._calling(ctx, "removexattr"):
            self._metadata.removexattr(ctx, path, name)

    def statfs(self, ctx: Context) -> StatFs:
        del ctx
        profile = self.profile
        blocks, files = profile.statfs_blocks, profile.statfs_files
        return StatFs(STATFS_BLOCK, STATFS_BLOCK, blocks, blocks, blocks, files, files, NAME_MAX)

    # --- names ------------------------------------------------------------------------------------------------------

    def readlink(self, ctx: Context, path: str) -> str:
        with self._calling(ctx, "readlink"):
            return self._namespace.readlink(path)

    def mknod(self, ctx: Context, path: str, mode: int, dev: int = 0) -> None:
        """A regular file is created and closed at once, as libfuse does it; the device number of others is lost."""
        del dev
        with self._calling(ctx, "mknod"):
            if not stat.S_IFMT(mode) or stat.S_ISREG(mode):
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
                fh = self._content.create(ctx, path, mode | stat.S_IFREG, flags)
                self._content.release(path, fh)
            else:
                self._namespace.mknod(ctx, path, mode)

    def mkdir(self, ctx: Context, path: str, mode: int) -> None:
        with self._calling(ctx, "mkdir"):
            self._namespace.mkdir(ctx, path, stat.S_IMODE(mode))

    def unlink(self, ctx: Context, path: str) -> None:
        with self._calling(ctx, "unlink"):
            self._namespace.unlink(ctx, path)

    def rmdir(self, ctx: Context, path: str) -> None:
        with self._calling(ctx, "rmdir"):
            self._namespace.rmdir(ctx, path)

    def symlink(self, ctx: Context, target: str, path: str) -> None:
        with self._calling(ctx, "symlink"):
            self._namespace.symlink(ctx, target, path)

    def rename(self, ctx: Context, old: str, new: str) -> None:
        with self._calling(ctx, "rename"):
            self._namespace.rename(ctx, old, new)

    def link(self, ctx: Context, old: str, new: str) -> None:
        """Always refused: EPERM or ENOTSUP, by release."""
        del ctx, old
        self._namespace.link(new)

    def opendir(self, ctx: Context, path: str) -> None:
        with self._calling(ctx, "opendir"):
            self._directory.opendir(ctx, path)

    def readdir(self, ctx: Context, path: str) -> list[tuple[str, Attributes | None]]:
        """Names with attributes; None where ossfs passes no type."""
        with self._calling(ctx, "readdir"):
            entries = self._directory.readdir(ctx, path)
        return [(name, self._displayed(found) if found else None) for name, found in entries]

    # --- open files -------------------------------------------------------------------------------------------------

    def create(self, ctx: Context, path: str, mode: int, flags: int) -> int:
        """Returns a handle."""
        with self._calling(ctx, "create"):
            return self._content.create(ctx, path, mode if stat.S_IFMT(mode) else mode | stat.S_IFREG, flags)

    def open(self, ctx: Context, path: str, flags: int) -> int:
        """Returns a handle. flags: O_TRUNC is handled here (the mount asks for atomic O_TRUNC), O_CREAT and O_EXCL by
        the kernel."""
        with self._calling(ctx, "open"):
            return self._content.open(ctx, path, flags)

    def read(self, ctx: Context, path: str, fh: int, size: int, offset: int) -> bytes:
        with self._calling(ctx, "read"):
            return self._content.read(path, fh, size, offset)

    def read_into(self, ctx: Context, path: str, fh: int, target: memoryview, offset: int) -> int:
        """As `read`; how many bytes there were."""
        with self._calling(ctx, "read"):
            return self._content.read_into(path, fh, target, offset)

    def write(self, ctx: Context, path: str, fh: int, data: bytes | memoryview, offset: int) -> int:
        """data: free for other use once this returns."""
        with self._calling(ctx, "write"):
            return self._content.write(path, fh, data, offset)

    def truncate(self, ctx: Context, path: str, size: int, fh: int | None = None) -> None:
        """fh is ignored: libfuse 2 hands ossfs nothing but the path."""
        del fh
        with self._calling(ctx, "truncate"):
            self._content.truncate(ctx, path, size)

    def flush(self, ctx: Context, path: str | None, fh: int) -> None:
        """Every close(2), also of a duplicate. path: None for a file that was unlinked while it was open, which libfuse
        has no path for with hard_remove."""
        if path is None:
            self._flush_unlinked()
            return
        with self._calling(ctx, "flush"):
            self._content.flush(ctx, path, fh)

    def _flush_unlinked(self) -> None:
        if self.profile.unlinked_close_crashes:
            raise self._client.end_process("")
        if self.profile.unlinked_close_is_stale:
            raise failure(errno.ESTALE)

    def fsync(self, ctx: Context, path: str, fh: int, datasync: bool = False) -> None:
        with self._calling(ctx, "fsync"):
            self._content.fsync(path, fh, datasync)

    def release(self, ctx: Context, path: str, fh: int) -> None:
        """The last close. What a flush did not upload is lost."""
        with self._calling(ctx, "release"):
            self._content.release(path, fh)

    def open_files(self) -> list[OpenFile]:
        """One entry a handle."""
        return self._mounted.files.list()

    def check_disk_cache(self, at: str) -> str:
        """Whether the page maps of use_cache fit the data, as text; "" without use_cache. at: the time, as the log
        writes it."""
        if self._disk_cache is None:
            return ""
        return report(self._disk_cache, opened=set(self._mounted.files.paths()), at=at)

    def statistics(self) -> dict[str, int]:
        """Entries of the stat cache and how often it could answer."""
        cache = self._mounted.cache
        return {"entries": len(cache), "capacity": cache.capacity, "hits": cache.hits, "misses": cache.misses}

    def start(self) -> None:
        """The mount is there: with del_cache, what an earlier one left in the cache goes."""
        if self._disk_cache is not None and self.options.del_cache:
            self._disk_cache.clear()

    def destroy(self, *, killed: bool = False) -> None:
        """The mount is going away: local data with it, but for those of use_cache. Nothing is uploaded; close(2) has
        done that. killed: as by SIGKILL, nothing is tidied up."""
        self._mounted.files.close_all(killed=killed)
        self._mounted.cache.clear()
        if not killed and self._disk_cache is not None and self.options.del_cache:
            self._disk_cache.clear()

    # ----------------------------------------------------------------------------------------------------------------

    def _calling(self, ctx: Context, operation: str) -> _Calling:
        return _Calling(_caller(self.options.mountpoint, operation, ctx.pid, ctx.uid, ctx.command))

    def _displayed(self, found: Attributes) -> Attributes:
        """What libfuse shows for the options umask, uid and gid."""
        if self._umask is not None:
            found.mode = stat.S_IFMT(found.mode) | (PERMISSIONS & ~self._umask)
        if self.options.uid is not None:
            found.uid = self.options.uid
        if self.options.gid is not None:
            found.gid = self.options.gid
        return found


def _displayed_umask(options: MountOptions) -> int | None:
    """libfuse reads umask= in octal, whatever ossfs makes of it (1.80 reads "133" as decimal)."""
    for option in options.fuse_options:
        name, _, value = option.partition("=")
        if name == "umask" and value:
            try:
                return int(value, 8) & PERMISSIONS
            except ValueError:
                return options.umask
    return options.umask
