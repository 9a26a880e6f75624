"""A handle that reads: blocks of 1 MiB fetched on demand, whole files up to one prefetch chunk at once, whole chunks
once a larger file is read in order.

A reader belongs to one open(2); its own lock makes reads of one handle follow each other. What it knows of size and
mtime is what the inode had when it was opened, until the inode learns better.

Source: 2.0.7, file_reader.cpp, file_prefetching.cpp, requests measured. Not modelled: fetching ahead of the reader; a
chunk is fetched when the first byte of it is wanted, in one piece.
"""

from __future__ import annotations

import errno
import threading

from ossfuse.errors import RequestFailed, failure
from ossfuse.ossfs2.client import Ossfs2Client
from ossfuse.ossfs2.inode import Node
from ossfuse.ossfs2.options import MountOptions
from ossfuse.ossfs2.pages import BLOCK, Pages
from ossfuse.ossfs2.writer import Writer

__all__ = ["Reader"]

_NEAR = BLOCK  # how far from where the last read ended a read may begin and still count as the next one


class Reader:
    """writer: of the same handle, None for a handle that only reads. pages: of all handles of the mount."""

    def __init__(
        self, node: Node, writer: Writer | None, *, client: Ossfs2Client, options: MountOptions, pages: Pages
    ) -> None:
        self._node = node
        self._writer = writer
        self._client = client
        self._options = options
        self._pages = pages
        self._size = node.size
        self._mtime = node.mtime
        self._next = 0
        self._in_order = 0
        self._lock = threading.Lock()

    def read(self, size: int, offset: int) -> bytes:
        """Raises OSError: EBUSY on a handle that has unsaved data, and what the request failed with."""
        node = self._node
        with self._lock:
            if node.writer is None and not self._changed():
                # The first attempt, out of the cache; its prefetch may bring the data.
                if offset < self._size:
                    wanted = min(size, self._size - offset)
                    self._prefetch(offset, wanted)
                    if (data := self._pages.read(node, offset, wanted)) is not None:
                        return data
            elif self._options.appendable and node.writer is not None and not node.writer.broken:
                return self._beside(node.writer, size, offset)
            if self._writer is not None and self._writer.dirty:
                raise failure(errno.EBUSY, node.path)
            if self._options.appendable:
                self._size = node.size
            return self._read(size, offset)

    def _beside(self, writer: Writer, size: int, offset: int) -> bytes:
        """Of an appendable object that is being written: uploaded bytes from the server, the others from the buffer."""
        self._size = uploaded = writer.uploaded()
        end = min(offset + size, self._node.size)
        if offset >= end:
            return b""
        data = self._read(min(end, uploaded) - offset, offset) if offset < uploaded else b""
        return data + writer.buffered(max(offset, uploaded), end) if end > uploaded else data

    def _changed(self) -> bool:
        """Takes over what the inode has learned; what was read of the old content is dropped then."""
        if (self._node.size, self._node.mtime) == (self._size, self._mtime):
            return False
        self._size, self._mtime = self._node.size, self._node.mtime
        self._pages.drop(self._node)
        return True

    def _read(self, size: int, offset: int) -> bytes:
        if offset >= self._size:
            return b""
        wanted = min(size, self._size - offset)
        self._prefetch(offset, wanted)
        data = self._pages.read(self._node, offset, wanted)
        if data is None:
            first = offset - offset % BLOCK
            fetched = self._fetch(first, min(self._size, -(-(offset + wanted) // BLOCK) * BLOCK))
            data = fetched[offset - first : offset - first + wanted]
        return data

    def _prefetch(self, offset: int, wanted: int) -> None:
        if self._next == offset + wanted:
            return
        chunk = self._options.prefetch_chunk_size
        if self._size <= chunk:
            if offset == 0:
                self._try_fetch(0, self._size)
            return
        self._in_order = self._in_order + 1 if abs(self._next - offset) <= _NEAR else 0
        self._next = offset + wanted
        if self._in_order >= self._options.sequential_reads:
            missing = offset - offset % BLOCK
            while missing < offset + wanted and self._pages.has(self._node, missing, missing + 1):
                missing += BLOCK
            if missing < offset + wanted:
                self._try_fetch(missing, min(self._size, missing - missing % chunk + chunk))

    def _try_fetch(self, start: int, end: int) -> None:
        if self._pages.has(self._node, start, end):
            return
        try:
            self._fetch(start, end)
        except RequestFailed:
            return  # nobody waits for what is fetched ahead; who reads it asks again

    def _fetch(self, start: int, end: int) -> bytes:
        """start: of a block; end: of a block or of the file."""
        data = self._client.read(self._node.path, start, end - start)
        self._pages.store(self._node, start, data)
        return data
