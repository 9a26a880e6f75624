"""Has the kernel forget, at once, what it was told of a mount: names and attributes, which it would keep for a while on
the machine's own clock. So that whoever moves a mount's time need not wait for the kernel's.

From any thread of the mount's process. Source: Linux, fs/fuse/dev.c (fuse_notify) and include/uapi/linux/fuse.h.
"""

from __future__ import annotations

import os
import struct

__all__ = ["expire"]

_HEADER = struct.Struct("=IiQ")  # fuse_out_header: length, notification, 0
_INODE = struct.Struct("=Qqq")  # fuse_notify_inval_inode_out: node, offset (negative: attributes only), length
_INC_EPOCH, _INVAL_INODE = 8, 2
_MOST_NODES = 100_000  # a notification each, about a microsecond


def expire(nodes: int) -> bool:
    """Every name and every attribute. nodes: at least as many as the kernel was ever told of. False where the kernel
    can't (before Linux 6.16) or there are too many: then somebody has to wait."""
    device = _device()
    if device is None or nodes > _MOST_NODES:
        return False
    try:
        os.write(device, _HEADER.pack(_HEADER.size, _INC_EPOCH, 0))
    except OSError:
        return False
    # A new epoch is about names; open files and the root are asked for their attributes without a name.
    size = _HEADER.size + _INODE.size
    for node in range(1, nodes + 2):
        try:
            os.write(device, _HEADER.pack(size, _INVAL_INODE, 0) + _INODE.pack(node, -1, 0))
        except OSError:
            continue  # the kernel has no such node, or no longer
    return True


def _device() -> int | None:
    """The descriptor that libfuse serves, which it keeps to itself."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == "/dev/fuse":
                return int(name)
        except FileNotFoundError:
            continue
    return None
