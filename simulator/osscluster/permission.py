"""What the kernel checks by itself on a mount with default_permissions: modes and owners, as for a disk.

Pure; any thread. Sources: Linux 6.18 fs/namei.c (generic_permission, check_sticky), path_resolution(7).
"""

from __future__ import annotations

import stat
from collections.abc import Set

from ossfuse.attributes import Attributes
from ossfuse.mounted import Context

__all__ = ["EXECUTE", "READ", "WRITE", "allows", "may_give", "sticks"]

READ, WRITE, EXECUTE = 4, 2, 1


def allows(attributes: Attributes, caller: Context, groups: Set[int], wanted: int) -> bool:
    """Whether a caller may use a file like that. groups: supplementary ones. Root may, but not execute what nobody
    may."""
    mode = attributes.mode
    if caller.uid == 0:
        return stat.S_ISDIR(mode) or not wanted & EXECUTE or bool(mode & 0o111)
    if caller.uid == attributes.uid:
        granted = mode >> 6
    elif caller.gid == attributes.gid or attributes.gid in groups:
        granted = mode >> 3
    else:
        granted = mode
    return not wanted & ~granted


def sticks(attributes: Attributes, directory: Attributes, caller: Context) -> bool:
    """Whether a sticky directory keeps a caller from removing a file."""
    return bool(directory.mode & stat.S_ISVTX) and caller.uid not in (0, attributes.uid, directory.uid)


def may_give(attributes: Attributes, caller: Context, groups: Set[int], uid: int, gid: int) -> bool:
    """chown_ok and chgrp_ok: an owner may give a file to one of its own groups, root whatever it likes. uid, gid: -1
    stays."""
    if caller.uid == 0:
        return True
    if caller.uid != attributes.uid:
        return uid == -1 and gid == -1
    return uid in (-1, attributes.uid) and (gid in (-1, attributes.gid, caller.gid) or gid in groups)
