"""A handle that writes: ossfs2 appends and nothing else, in parts that are uploaded while the file grows.

A writer belongs to one open(2) and is used under its node's lock. The first write of a handle fetches what the upload
must contain besides: whole parts are copied on the server, the rest of the last one is downloaded. With appendable
objects AppendObject takes the place of all that.

Source: 2.0.7, file_writer.cpp. Not modelled: uploading parts side by side (they go out one after the other, in order),
and the comparison of CRC64 sums after an upload.
"""

from __future__ import annotations

import errno
import os
import random
import string
from collections.abc import Callable

from osscloud.clock import Clock
from ossfuse.errors import RequestFailed, failure
from ossfuse.ossfs2.client import Ossfs2Client, Upload
from ossfuse.ossfs2.inode import Node
from ossfuse.ossfs2.options import MountOptions

__all__ = ["Writer"]

MAX_PARTS = 10_000
MAX_APPENDABLE = 5 * 1024 * 1024 * 1024
_HIDDEN = ".ossfs_hidden_file"
_ALPHABET = string.ascii_letters + string.digits


class Writer:
    """path_of: the node's path of now. rng: of the hidden name that a conversion to an appendable object uses."""

    def __init__(
        self,
        node: Node,
        flags: int,
        *,
        client: Ossfs2Client,
        options: MountOptions,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.node = node
        self.path = node.path
        self._flags = flags
        self._client = client
        self._options = options
        self._clock = clock
        self._rng = rng
        self._offset: int | None = None
        self._buffer = bytearray()
        self._buffered = False
        self._parts = 0
        self._upload: Upload | None = None
        self.broken = False
        self._headed = False
        self._appendable = False
        self._sent = 0  # of the buffer: bytes that an appendable object has already

    @property
    def dirty(self) -> bool:
        """Whether the server lacks something of it."""
        return self.node.writer is self

    def open(self, truncate: Callable[[], None]) -> None:
        """What O_CREAT and O_TRUNC do at once. truncate: empties the object on the server."""
        node = self.node
        if self._flags & os.O_CREAT:
            self._mark_dirty()
        elif self._flags & os.O_TRUNC:
            if self._options.appendable:
                truncate()
            elif node.size:
                self._mark_dirty()
            node.etag = ""
            node.learn(0, self._clock.now(), self._clock.now())

    def _mark_dirty(self) -> None:
        if self.node.writer is None:
            self.node.writer = self

    def _mark_clean(self) -> None:
        if self.dirty:
            self.node.writer = None
            self.node.checked = None
            self.node.changed = True

    # --- write ------------------------------------------------------------------------------------------------------

    def write(self, data: bytes, offset: int) -> int:
        """Raises OSError: EINVAL anywhere but at the end, EBUSY while another handle has unsaved data, EFBIG, EIO after
        a failure, ENOTSUP for archived objects and, with appendable objects, for normal ones."""
        node = self.node
        if self.broken:
            raise failure(errno.EIO, self.path)
        if not data:
            return 0
        other = node.writer
        if node.size == 0 and other is not None and other is not self:
            # Another handle made or emptied the file and has written nothing: it is saved as it is.
            other.flush()
            other = node.writer
        if other is not None and other is not self:
            raise failure(errno.EBUSY, self.path)
        if self._offset is None:
            self._offset = node.size
        if offset != self._offset:
            if not self._flags & os.O_APPEND:
                raise failure(errno.EINVAL, self.path)
            offset = self._offset
        if not self.dirty:
            self.path = node.path
            if self._offset or self._options.appendable:
                self._merge(offset, len(data))
        elif self._offset == 0 and self._options.appendable and self._flags & os.O_CREAT:
            self._appendable = True
        size = self._options.upload_buffer_size
        if not self._appendable and self._parts + 1 + (len(self._buffer) + len(data) - 1) // size > MAX_PARTS:
            raise failure(errno.EFBIG, self.path)
        self._store(data)
        node.size = max(node.size, offset + len(data))
        self._offset = offset + len(data)
        self._mark_dirty()
        return len(data)

    def _store(self, data: bytes) -> None:
        size = self._options.upload_buffer_size
        view = memoryview(data)
        try:
            while view:
                room = size - len(self._buffer)
                self._buffer += view[:room]
                self._buffered = True
                view = view[room:]
                if len(self._buffer) == size:
                    self._parts += 1
                    if self._appendable:
                        self._append_part()
                    else:
                        self._send_part()
                    self._clear()
                    self._sent = 0
        except OSError:
            self.broken = True
            self.node.changed = True
            self._clear()
            raise

    def _clear(self) -> None:
        self._buffer = bytearray()
        self._buffered = False

    def _send_part(self) -> None:
        if self._upload is None:
            self._upload = self._client.begin(self.path)
        try:
            self._client.upload_part(self._upload, self._parts, bytes(self._buffer))
        except RequestFailed:
            # Parts go out in the background: this write has succeeded, the next one fails.
            self.broken = True

    def _append_part(self) -> None:
        start = (self._parts - 1) * self._options.upload_buffer_size + self._sent
        self._client.append(self.path, bytes(self._buffer[self._sent :]), start)

    # --- what an upload must contain besides ------------------------------------------------------------------------

    def _merge(self, offset: int, count: int) -> None:
        node = self.node
        if not self._headed:
            meta = self._client.head(self.path)
            if meta.storage_class not in ("Standard", "IA"):
                raise failure(errno.ENOTSUP, self.path)
            self._headed = True
            node.size = self._offset = meta.size
            if offset != meta.size:
                raise failure(errno.EINVAL, self.path)
            if self._options.appendable and meta.kind == "Appendable" and offset + count <= MAX_APPENDABLE:
                self._appendable = True
                self._parts, self._sent = divmod(meta.size, self._options.upload_buffer_size)
                self._buffer = bytearray(self._sent)
            elif meta.kind == "Symlink":
                raise failure(errno.ENOTSUP, self.path)
        if not self._options.appendable:
            self._merge_normal()
        elif not self._appendable:
            if node.size > self._options.autoswitch_threshold:
                raise failure(errno.ENOTSUP, self.path)
            self._make_appendable()

    def _merge_normal(self) -> None:
        size = self._options.upload_buffer_size
        whole, rest = divmod(self.node.size, size)
        if whole:
            self._upload = self._client.begin(self.path)
            for _ in range(whole):
                self._parts += 1
                try:
                    self._client.copy_part(self._upload, self._parts, (self._parts - 1) * size, size)
                except RequestFailed:
                    self.broken = True
        self._buffered = True
        if rest:
            try:
                self._buffer = bytearray(self._client.read(self.path, whole * size, rest))
            except RequestFailed:
                self.broken = True
                self._clear()
                raise

    def _make_appendable(self) -> None:
        """A normal object becomes an appendable one: a copy under a hidden name is appended piece by piece."""
        size = self._options.upload_buffer_size
        parent, _, name = self.path.rpartition("/")
        stamp = int(self._clock.now() * 1000)
        random_part = "".join(self._rng.choices(_ALPHABET, k=8))
        hidden = f"{parent}/{_HIDDEN}_{name}_{random_part}_{stamp}"
        total = self.node.size
        if total:
            self._client.copy(self.path, hidden, overwrite=False)
        self._client.delete(self.path)
        for start in range(0, total, size):
            piece = self._client.read(hidden, start, min(size, total - start))
            self._client.append(self.path, piece, start)
        if total:
            self._client.delete(hidden)
        self._parts, self._sent = divmod(total, size)
        self._buffer = bytearray(self._sent)
        self._appendable = True

    # --- flush ------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Completes the upload: the object is there, or what was begun is aborted and the file never writable again
        through this handle. Raises OSError."""
        try:
            self._complete()
        finally:
            self._mark_clean()

    def _complete(self) -> None:
        node = self.node
        if node.stale:
            # Deleted meanwhile: nothing is uploaded, and nobody is told.
            self.broken = True
            self._abort()
            self._clear()
            return
        if self._offset is None and node.size == 0 and self.dirty:
            self._offset = 0
            self._upload_empty()
            return
        if self.broken:
            if self._upload is not None:
                self._abort()
            raise failure(errno.EIO, self.path)
        if self._buffered:
            self._upload_rest()
        if self._upload is not None:
            self._finish()

    def _upload_empty(self) -> None:
        try:
            if self._options.appendable:
                self._client.append(self.path, b"", 0)
                self._appendable = True
            else:
                self._client.put(self.path)
        except RequestFailed:
            self.broken = True
            raise

    def _upload_rest(self) -> None:
        try:
            if self._upload is not None:
                self._parts += 1
                self._client.upload_part(self._upload, self._parts, bytes(self._buffer))
            elif self._appendable:
                start = self._parts * self._options.upload_buffer_size + self._sent
                self._client.append(self.path, bytes(self._buffer[self._sent :]), start)
            else:
                self._client.put(self.path, bytes(self._buffer))
        except RequestFailed:
            self.broken = True
            if self._upload is None:
                raise
        finally:
            if self._appendable:
                # The buffer keeps its place in the object, so that the next append knows its position.
                self._sent = len(self._buffer)
                self._buffered = False
            else:
                self._clear()

    def _finish(self) -> None:
        upload = self._upload
        assert upload is not None
        if self.broken:
            self._abort()
            raise failure(errno.EIO, self.path)
        self._upload, self._parts = None, 0
        try:
            self._client.complete(upload)
        except RequestFailed:
            self.broken = True
            raise

    def _abort(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            try:
                self._client.abort(upload)
            except RequestFailed:
                return  # the original logs it and goes on: the parts stay until a lifecycle rule removes them

    # --- reading what is not yet uploaded (appendable objects) --------------------------------------------------------

    def uploaded(self) -> int:
        """How much of the file the server has."""
        return self.node.size - (len(self._buffer) - self._sent)

    def buffered(self, start: int, end: int) -> bytes:
        """Bytes of the file from `start` on, at most to `end`, that are in the buffer only."""
        origin = self._parts * self._options.upload_buffer_size
        return bytes(self._buffer[start - origin : end - origin])
