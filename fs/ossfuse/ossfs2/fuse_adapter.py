"""`Ossfs2` on mfusepy: what its own, low-level binding does otherwise than libfuse's high level.

Threads as for `ossfuse.fuse_adapter`.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from ossfuse.attributes import Attributes
from ossfuse.fuse_adapter import Adapter
from ossfuse.ossfs2.filesystem import Ossfs2

__all__ = ["Ossfs2Adapter"]

_MKNOD = os.O_CREAT | os.O_EXCL | os.O_WRONLY


class Ossfs2Adapter(Adapter):
    """An open file stays usable after it was unlinked: libfuse has no path for it then, and none is needed."""

    flag_nullpath_ok = True
    _fs: Ossfs2

    def _stat(self, path: str | None, fh: int | None) -> Attributes:
        # An unlinked file's answer is the one that the kernel would still have.
        return super()._stat(path, None) if fh is None else self._fs.getattr(self._context(), path or "", fh)

    def create(self, path: str, mode: int, fi: Any) -> int:
        # libfuse makes mknod(2) of a regular file out of create and release. An open(2) of a 64-bit process has
        # O_LARGEFILE in its flags, which tells the two apart.
        if fi.flags == _MKNOD:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return super().create(path, mode, fi)

    def open(self, path: str, fi: Any) -> int:
        code = super().open(path, fi)
        fi.keep_cache = int(self._fs.keeps_pages(fi.fh))
        return code

    def _truncate(self, path: str | None, size: int, fh: int | None) -> None:
        self._fs.truncate(self._context(), path or "", size, fh)

    def read_into(self, path: str | None, address: int, size: int, offset: int, fi: Any) -> int:
        return super().read_into(path or "", address, size, offset, fi)

    def write_from(self, path: str | None, address: int, size: int, offset: int, fi: Any) -> int:
        return super().write_from(path or "", address, size, offset, fi)

    def flush(self, path: str | None, fi: Any) -> int:
        return super().flush(path or "", fi)

    def fsync(self, path: str | None, datasync: int, fi: Any) -> int:
        return super().fsync(path or "", datasync, fi)
