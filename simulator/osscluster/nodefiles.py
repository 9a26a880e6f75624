"""Directories and files of a node by its system calls, the same on both kinds of host.

Called from the runner's thread.
"""

from __future__ import annotations

import errno
import os
import stat

from osscluster.volume import Syscalls

__all__ = ["make_directories", "read_file", "write_file"]

_PIECE = 1 << 20


def make_directories(root: Syscalls, path: str, mode: int) -> None:
    """mkdir -p with that mode for each directory it makes. Raises OSError: ENOTDIR, or what mkdir(2) says."""
    missing = []
    here = path.rstrip("/") or "/"
    while True:
        try:
            kind = root.stat(here).mode
        except FileNotFoundError:
            missing.append(here)
            here = os.path.dirname(here)
            continue
        if not stat.S_ISDIR(kind):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), here)
        break
    for directory in reversed(missing):
        root.mkdir(directory, mode)


def write_file(root: Syscalls, path: str, body: str, mode: int) -> None:
    """Replaces the content as a whole: whoever has the old file open keeps that."""
    make_directories(root, os.path.dirname(path), 0o755)
    fresh = path + ".new"
    fd = root.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        data = body.encode("utf-8", "surrogateescape")
        while data:
            data = data[root.write(fd, data[:_PIECE]) :]
    finally:
        root.close(fd)
    root.chmod(fresh, mode)
    root.rename(fresh, path)


def read_file(root: Syscalls, path: str) -> str | None:
    """None when there is none."""
    try:
        fd = root.open(path)
    except FileNotFoundError:
        return None
    try:
        pieces = []
        while piece := root.read(fd, _PIECE):
            pieces.append(piece)
    finally:
        root.close(fd)
    return b"".join(pieces).decode("utf-8", "surrogateescape")
