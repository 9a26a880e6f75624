"""An open file: its bytes in an anonymous local file, what of them is loaded or changed, and how they are uploaded.

`Entity` is one such file, shared by all opens of a path (1.91) or made for each open (1.80); `OpenFiles` is the table
of them, whose own lock is never held over a request.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

from osscloud.clock import Clock
from ossfuse.attributes import META, Headers, content_length, format_time
from ossfuse.client import ObjectClient, Part
from ossfuse.diskcache import CachedFile, DiskCache
from ossfuse.errors import RequestFailed, failure
from ossfuse.mime import MimeTable
from ossfuse.options import MountOptions
from ossfuse.pages import PageMap, PageState, copy_chunks, plain_parts
from ossfuse.profile import Profile

__all__ = ["Entity", "Handle", "OpenFile", "OpenFiles", "Spool", "existing_directory"]

CUSTOMER_KEY_DIGEST = "x-oss-server-side-encryption-customer-key-md5"


@dataclass(frozen=True, slots=True)
class Spool:
    """Where local data lives. directory: for anonymous files; cache: where files stay after their last close, with
    use_cache. The disk of the cache, otherwise of the directory, is the one whose free space counts."""

    directory: str
    options: MountOptions
    cache: DiskCache | None = None
    open_paths: Callable[[], Iterable[str]] = tuple

    def create(self) -> IO[bytes]:
        """An anonymous file: gone with its descriptor, however the process ends."""
        # What tempfile does in the end; its search for a name costs more than the file.
        with contextlib.suppress(OSError, AttributeError):  # not every disk, not every system has O_TMPFILE
            return open(os.open(self.directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600), "w+b", buffering=0)
        return tempfile.TemporaryFile(dir=self.directory, prefix="ossfs-", buffering=0)

    def clean(self) -> None:
        """Deletes what the cache holds of files that nobody has open."""
        if self.cache is not None:
            self.cache.clean(set(self.open_paths()))

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes leave as much free as ensure_diskfree (or free_space_ratio) asks for."""
        options = self.options
        disk = os.statvfs(existing_directory(options.use_cache) if self.cache else self.directory)
        free = disk.f_bavail * disk.f_frsize
        if options.fake_diskfree is not None:
            free = min(free, options.fake_diskfree)
        if options.free_space_ratio:
            kept = disk.f_blocks * disk.f_frsize * options.free_space_ratio // 100
        else:
            kept = options.ensure_diskfree or options.multipart_size * options.parallel_count
        return free >= size + kept


class Entity:
    """path: inside the mount; changes when the file is renamed. headers: what the server said, with every pending
    change of metadata; they become the metadata of the next upload. All methods may be called from any thread."""

    def __init__(
        self,
        path: str,
        headers: Headers,
        size: int,
        mtime: float | None,
        *,
        temporary: bool = False,
        client: ObjectClient,
        options: MountOptions,
        profile: Profile,
        clock: Clock,
        mime: MimeTable,
        spool: Spool,
        look_up: Callable[[str], None],
    ) -> None:
        """mtime None: nothing is known of the file, so a size above 0 counts as changed content. temporary: not kept
        by use_cache. look_up: asks for the attributes of a path, and does not mind when there are none. Raises OSError
        where the cache can't be used."""
        self.path = path
        self.lock = threading.RLock()
        self.headers = dict(headers)
        self.meta_pending = False
        self.opens = 0
        self._client = client
        self._options = options
        self._profile = profile
        self._clock = clock
        self._mime = mime
        self._spool = spool
        self._look_up = look_up
        self._file: IO[bytes] | None = None
        self._cached: CachedFile | None = None
        if spool.cache is not None and not temporary:
            self._cached = spool.cache.open(path, size, mtime)
            self._file, self._pages = self._cached.file, self._cached.pages
        else:
            grown = mtime is None and profile.timeless_size_is_new
            self._pages = PageMap(size, PageState.HOLE if grown else PageState.REMOTE)
        self._remote_size = content_length(headers)
        self._new = False
        self._dirty = False
        self._mtime = self._ctime = self._stored = clock.now()
        self._held_mtime: float | None = None
        if mtime is not None:
            self.set_times(float(int(mtime)), float(int(mtime)))

    @property
    def size(self) -> int:
        """Bytes of the file as it is here."""
        return self._pages.size

    @property
    def modified(self) -> bool:
        """Whether the server lacks something of it."""
        if not self._profile.entity_shared:
            return self._dirty
        return self._new or self._pages.modified

    @property
    def new(self) -> bool:
        """Whether the server does not have the file at all."""
        return self._new

    def mark_new(self) -> None:
        """The file does not exist on the server yet; even empty it has to be uploaded."""
        self._new = True
        self.meta_pending = True

    def close(self) -> None:
        """Local data go, or stay in the cache."""
        with self.lock:
            if self._cached is not None and self._spool.cache is not None:
                self._spool.cache.close(self._cached, self._stored)
            elif self._file is not None:
                self._file.close()
            self._file = self._cached = None

    def abandon(self) -> None:
        """The process has been killed: nothing is written down."""
        with self.lock:
            if self._file is not None:
                self._file.close()
            self._file = self._cached = None

    def rename(self, new: str) -> None:
        """The open file has another name now. Raises OSError where the cache can't follow."""
        with self.lock:
            self.path = new
            if self._cached is not None and self._spool.cache is not None:
                self._spool.cache.rename(self._cached, new)

    # --- size and times -------------------------------------------------------------------------------------------

    def reopen(self, headers: Headers | None, size: int | None) -> None:
        """One more open: takes a new size (None: as it is) and fresh headers (source: FdEntity::Open). 1.80, where
        use_cache alone makes opens share a file, takes nothing."""
        if not self._profile.entity_shared:
            return
        with self.lock:
            if size is not None and size != self.size:
                self._resize(size)
            remote = self._remote_size
            if headers is not None:
                waiting = self.meta_pending and not self._profile.reopen_forgets_metadata
                self.headers = {**headers, **(self.headers if waiting else {})}
                remote = content_length(headers)
            self._remote_size = min(remote, self.size if size is not None else self._remote_size)

    def _resize(self, size: int) -> None:
        self._pages.resize(size, modified=True)
        if self._file is not None:
            os.ftruncate(self._file.fileno(), size)
        self._touch()

    def _touch(self) -> None:
        self._mtime = self._ctime = self._stored = self._clock.now()

    def set_times(self, mtime: float, ctime: float) -> None:
        """Times of local file and metadata. The local file gets `ctime` as its mtime, as in the real one, which swaps
        the arguments of futimes(3)."""
        with self.lock:
            self._mtime = self._stored = ctime
            self._ctime = self._clock.now()
            self.headers[META + "mtime"] = self._stamp(mtime)
            if self._profile.access_and_change_times:
                self.headers[META + "ctime"] = self._stamp(ctime)

    def hold_mtime(self, mtime: float) -> None:
        """utimens was called: the next flush keeps this time instead of the time of the last write."""
        with self.lock:
            self._held_mtime = mtime

    def update_times(self, *, clear_held: bool = False) -> None:
        """Before a flush: the time of the last change becomes the metadata (source: UpdateMtime, UpdateCtime)."""
        with self.lock:
            if self._held_mtime is None:
                self.headers[META + "mtime"] = str(int(self._mtime))
            elif clear_held:
                self._held_mtime = None
            self.update_ctime()

    def update_ctime(self) -> None:
        if self._profile.access_and_change_times:
            self.headers[META + "ctime"] = str(int(self._ctime))

    def _stamp(self, seconds: float) -> str:
        return format_time(seconds) if self._profile.fractional_times else str(int(seconds))

    def merge_metadata(self, update: Headers) -> tuple[bool, Headers]:
        """Takes a change of metadata; returns whether it waits for the upload that is due, and all metadata with the
        change (source: MergeOrgMeta)."""
        with self.lock:
            merged = {name: value for name, value in {**self.headers, **update}.items() if value}
            self.headers = {name: value for name, value in merged.items() if name != "x-oss-copy-source"}
            if META + "mtime" in update:
                self._mtime = float(update.get(META + "ctime", update[META + "mtime"]))
            self._ctime = self._clock.now()
            self.meta_pending = self.meta_pending or self.modified
            return self.meta_pending, merged

    # --- content --------------------------------------------------------------------------------------------------

    def _local(self) -> int:
        if self._file is None:
            self._file = self._spool.create()
            os.ftruncate(self._file.fileno(), self.size)
        return self._file.fileno()

    def read(self, start: int, size: int) -> bytes:
        """Bytes at `start`, fewer at the end of the file. Raises OSError."""
        with self.lock:
            answer = self._answer(start, size)
            return os.pread(self._local(), min(size, self.size - start), start) if answer is None else answer

    def read_into(self, start: int, target: memoryview) -> int:
        """As `read`, without a copy between; how many bytes there were."""
        with self.lock:
            answer = self._answer(start, len(target))
            if answer is None:
                return os.preadv(self._local(), [target[: self.size - start]], start)
        target[: len(answer)] = answer
        return len(answer)

    def _answer(self, start: int, size: int) -> bytes | None:
        """What a read gets that the local file does not answer; None where it does, by now at least."""
        if start >= self.size or size <= 0:
            return b""
        if not self._pages.missing(start, start + size):
            return None
        direct = self._fetch_window(start, size)
        return None if direct is None else direct[: self.size - start]

    def _fetch_window(self, start: int, size: int) -> bytes | None:
        """Loads what a read needs and a window behind it; or answers the read itself where that failed."""
        window = max(size, self._options.multipart_size * self._options.parallel_count)
        room = window
        if not self._profile.entity_shared:
            if not self._spool.has_room(size):
                self._forget()
        elif not self._make_room(window):
            room = size
            if not self._make_room(size):
                if not self._profile.read_tried_directly:
                    raise failure(errno.ENOSPC, self.path)
                return self._stream(start, size)
        try:
            self.load(start, start + room)
        except RequestFailed as error:
            if self._profile.failed_read_is_eio:
                raise failure(errno.EIO, self.path) from error
            if not self._profile.read_tried_directly:
                raise
            return self._stream(start, size)
        return None

    def _stream(self, start: int, size: int) -> bytes:
        self._look_up(self.path)
        return self._client.get(self.path, start, size, stream=True)

    def _make_room(self, size: int) -> bool:
        """Whether there is room for `size` bytes, after local data that nobody needs were let go of (source:
        FdEntity::ReserveDiskSpace)."""
        if self._spool.has_room(size):
            return True
        self._forget()
        if self._spool.has_room(size):
            return True
        if self._spool.cache is None:
            return False
        self._spool.clean()
        return self._spool.has_room(size)

    def forget(self) -> None:
        """Unchanged data make room; they can be fetched again."""
        with self.lock:
            if not self.modified:
                self._forget()

    def _forget(self) -> None:
        """Unchanged data can be fetched again."""
        if self.modified or self._file is None:
            return
        self._pages.mark(0, self.size, PageState.REMOTE)
        os.ftruncate(self._file.fileno(), 0)
        os.ftruncate(self._file.fileno(), self.size)

    def load(self, start: int = 0, end: int | None = None, *, state: PageState = PageState.LOADED) -> None:
        """Fetches what is missing of [start, end). Raises RequestFailed."""
        with self.lock:
            for begin, stop in self._pages.missing(start, end):
                needed = max(0, min(stop, self._remote_size) - begin)
                if needed:
                    self._download(begin, needed)
                elif self._profile.fetches_beyond_end:
                    self._look_up(self.path)
                    self._client.get(self.path, 0, 0)
                self._pages.mark(begin, stop, state)
                if self._profile.read_forgets_shrink and not begin and stop == self.size:
                    self._pages.shrunk = False
                if stop > self._remote_size and self._profile.hole_forgets_change:
                    self._dirty = False

    def _download(self, start: int, size: int) -> None:
        part = self._options.multipart_size
        parallel = size > 2 * part if self._profile.parallel_read_doubles else size >= part
        fd = self._local()
        self._stored = self._clock.now()
        # How the object is encrypted is asked before every download (source: get_object_sse_type).
        self._look_up(self.path)
        if not parallel or self._options.nomultipart:
            self._fetch(fd, start, size)
            return

        def job(begin: int, stop: int) -> Callable[[int | None], bool]:
            def fetch(attempts: int | None) -> bool:
                self._fetch(fd, begin, stop - begin, attempts, side_by_side=True)
                return True

            return fetch

        pieces = [(start + begin, start + stop) for begin, stop, _ in plain_parts(size, part)]
        for index in range(0, len(pieces), self._options.parallel_count):
            batch = pieces[index : index + self._options.parallel_count]
            # A range that is not there (404) leaves zeros.
            _, well = self._client.together([job(*piece) for piece in batch], parallel=len(batch))
            if not well:
                raise RequestFailed(errno.EIO, self.path)

    def _fetch(
        self, fd: int, start: int, size: int, attempts: int | None = None, *, side_by_side: bool = False
    ) -> None:
        digest = self.headers.get(CUSTOMER_KEY_DIGEST, "")
        self._client.download(
            self.path, start, size, fd, attempts=attempts, customer_key=digest, side_by_side=side_by_side
        )

    def write(self, data: bytes | memoryview, start: int) -> int:
        """Writes into the local file. Raises OSError (ENOSPC: the disk of the spool is full)."""
        with self.lock:
            if self._spool.cache is not None and self._profile.entity_shared and not self._spool.has_room(len(data)):
                self._spool.clean()
            if not self._spool.has_room(len(data)):
                raise failure(errno.ENOSPC, self.path)
            whole = not self._mixes()  # what lies around a write is loaded then, before and (1.91) behind it
            if start and (self._profile.loads_before_write or whole):
                self.load(0, start)
            if start > self.size:
                self._pages.resize(start, modified=not self._profile.loads_before_write or self._profile.entity_shared)
            _write_all(self._local(), data, start)
            self._pages.mark(start, start + len(data), PageState.WRITTEN)
            if whole and not self._profile.loads_before_write:
                self.load(start + len(data))
            self._dirty = True
            self._touch()
            return len(data)

    def _mixes(self) -> bool:
        """Whether unchanged ranges are copied on the server."""
        options = self._options
        off = options.nomultipart or options.nomixupload or options.nocopyapi or options.norenameapi
        return self._profile.mix_upload and not off

    def modified_bytes(self) -> int:
        with self.lock:
            return self._pages.modified_bytes()

    # --- upload ---------------------------------------------------------------------------------------------------

    def upload(self, *, target: str = "", force: bool = False) -> None:
        """Uploads the file, whole or in parts, to its own name or to `target`. force: even when nothing changed.
        Raises OSError; everything stays modified then (source: FdEntity::RowFlush)."""
        with self.lock:
            if not force and not self.modified:
                return
            path = target or self.path
            options, profile = self._options, self._profile
            part_size = options.multipart_size
            if not profile.mix_upload and not profile.zero_fills_behind_write:
                self.load()
            if self.size > profile.upload_max_parts * part_size:
                raise failure(getattr(errno, profile.too_many_parts_errno), path)
            whole = self.size < part_size * (2 if profile.multipart_doubles else 1)
            try:
                if options.nomultipart or whole:
                    self._put(path)
                elif self._mixes():
                    self._upload_mixed(path)
                else:
                    self._load_for_upload()
                    pieces = plain_parts(self.size, part_size)
                    self._upload_parts(path, _numbered(pieces, options.multipart_copy_size), mixed=False)
            finally:
                if profile.upload_tells_remote_size:
                    self._remote_size = self.size
            self._pages.uploaded()
            self._new = self._dirty = False
            if not options.nomultipart:
                # RowFlushNoMultipart forgets it: changes of metadata wait for ever afterwards.
                self.meta_pending = False

    def _load_for_upload(self) -> None:
        if not self._profile.zero_fills_behind_write:
            self.load()

    def _content_type(self, path: str) -> str:
        if self._profile.upload_content_type_from_name:
            return self._mime.lookup(path)
        return self.headers.get("content-type", "")

    def _put(self, path: str) -> None:
        self._load_for_upload()
        body = os.pread(self._local(), self.size, 0) if self.size else b""
        self._client.put(path, self.headers, body, content_type=self._content_type(path), from_file=True)

    def _upload_mixed(self, path: str) -> None:
        downloads, pieces = self._pages.mixed_parts(self._options.multipart_size)
        for start, end in downloads:
            self.load(start, end, state=PageState.WRITTEN)
        self._upload_parts(path, _numbered(pieces, self._options.multipart_copy_size), mixed=True)

    def _upload_parts(self, path: str, parts: list[Part], *, mixed: bool) -> None:
        fd = self._local()
        self._client.multipart(
            path,
            self.headers,
            parts,
            content_type=self._mime.lookup(path),
            copied=mixed,
            source=self._client.copy_source(path),
            body=lambda part: os.pread(fd, part.size, part.start),
        )


def _numbered(pieces: Iterable[tuple[int, int, bool]], copy_size: int) -> list[Part]:
    parts: list[Part] = []
    for start, end, copied in pieces:
        for begin, stop in copy_chunks(start, end, copy_size) if copied else [(start, end)]:
            parts.append(Part(len(parts) + 1, begin, stop - begin, copied))
    return parts


def _write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file, for lsof-like answers. dirty: the server lacks something of it; size: as seen through the mount."""

    path: str
    pid: int
    uid: int
    command: str
    dirty: bool
    size: int


@dataclass(slots=True)
class Handle:
    """One open(2). flags: as given to it; pid, uid, command: who opened it. flushed: closed since its last write: to be
    released as soon as a thread gets to it, unless it has a duplicate."""

    fh: int
    entity: Entity
    flags: int
    pid: int = 0
    uid: int = 0
    command: str = ""
    flushed: bool = False

    @property
    def writable(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_RDONLY or bool(self.flags & os.O_CREAT)


@dataclass(slots=True)
class OpenFiles:
    """Which handle belongs to which entity. shared: one entity a path."""

    shared: bool
    _handles: dict[int, Handle] = field(default_factory=dict)
    _entities: dict[str, list[Entity]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(
        self, path: str, create: Callable[[], Entity], *, flags: int, reopen: Callable[[Entity], None] | None = None
    ) -> Handle:
        """A handle on the entity of `path`: the one that is open already (after `reopen`), else what `create` makes."""
        with self._lock:
            entity = self._entities.get(path, [None])[0] if self.shared else None
            if entity is None:
                entity = create()
                self._entities.setdefault(path, []).append(entity)
                reopen = None
            handle = Handle(next(self._numbers), entity, flags)
            entity.opens += 1
            self._handles[handle.fh] = handle
        if reopen is not None:
            reopen(entity)
        return handle

    def handle(self, fh: int) -> Handle:
        """Raises OSError EIO when there is none, as ossfs answers for a descriptor it does not know."""
        with self._lock:
            try:
                return self._handles[fh]
            except KeyError:
                raise failure(errno.EIO) from None

    def find(self, path: str) -> Entity | None:
        """An entity open at `path`."""
        with self._lock:
            found = self._entities.get(path)
            return found[0] if found else None

    def at(self, path: str) -> list[Entity]:
        with self._lock:
            return list(self._entities.get(path, ()))

    def count(self, path: str) -> int:
        """How many handles are open at `path`."""
        with self._lock:
            return sum(entity.opens for entity in self._entities.get(path, ()))

    def flush_expected(self, path: str, *, besides: Handle) -> bool:
        """Whether another handle is open at `path` whose close is still to come, and uploads."""
        with self._lock:
            return any(
                handle.writable and not handle.flushed and handle.entity.path == path
                for handle in self._handles.values()
                if handle is not besides
            )

    def renamed(self, old: str, new: str) -> None:
        """Open files keep their content under the new name."""
        with self._lock:
            moved = self._entities.pop(old, [])
            for entity in moved:
                entity.rename(new)
            if moved:
                self._entities[new] = moved + self._entities.get(new, [])

    def moved(self, old: str, new: str) -> None:
        """What is open below the directory `old` is below `new` from now on."""
        with self._lock:
            below = [path for path in self._entities if path.startswith(old + "/")]
        for path in below:
            self.renamed(path, new + path[len(old) :])

    def close(self, handle: Handle) -> None:
        """Ends a handle; the last one of an entity drops its local data."""
        with self._lock:
            self._handles.pop(handle.fh, None)
            entity = handle.entity
            entity.opens -= 1
            if entity.opens:
                return
            siblings = self._entities.get(entity.path, [])
            if entity in siblings:
                siblings.remove(entity)
            if not siblings:
                self._entities.pop(entity.path, None)
        entity.close()

    def list(self) -> list[OpenFile]:
        with self._lock:
            handles = list(self._handles.values())
        return [
            OpenFile(
                handle.entity.path,
                handle.pid,
                handle.uid,
                handle.command,
                handle.entity.modified,
                handle.entity.size,
            )
            for handle in handles
        ]

    def paths(self) -> Sequence[str]:
        """What is open."""
        with self._lock:
            return tuple(self._entities)

    def close_all(self, *, killed: bool = False) -> None:
        """killed: nothing of use_cache is written down."""
        with self._lock:
            handles = list(self._handles.values())
        for handle in handles:
            if killed:
                handle.entity.abandon()
            self.close(handle)


def existing_directory(path: str) -> str:
    """The directory itself, or the nearest one above it that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
