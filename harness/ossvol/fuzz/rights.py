"""Who may do what, as a table: the rights that each call asks of a name, of its directory and of everything above.

The table is held to what was measured: a test asks it about every cell of docs/permissions.md. Pure; any thread.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ossvol.fuzz.model import Shape, View

__all__ = ["RIGHTS", "USERS", "Need", "User", "grants", "refusals"]

READ, WRITE, EXECUTE = 4, 2, 1


@dataclass(frozen=True, slots=True)
class User:
    """An identity of the machine. groups: supplementary ones, of which ossfs knows nothing."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


USERS = (User("root", 0, 0), User("app", 1000, 1001), User("other", 2000, 2001, (1001,)))


@dataclass(frozen=True, slots=True)
class Need:
    """Rights of a call: on the name, on the directory that holds it; owner: it has to be the caller's own; or_write: or
    writable; lax: the kernel may answer from what it knows, so that a missing right above may go unnoticed. Every call
    needs X on all directories above."""

    name: int = 0
    directory: int = 0
    owner: bool = False
    or_write: bool = False
    lax: bool = False


RIGHTS: Mapping[str, Need] = MappingProxyType(
    {
        "stat": Need(lax=True),
        "readlink": Need(lax=True),
        "read": Need(name=READ),
        "list": Need(name=READ),
        "write": Need(name=WRITE),
        "truncate": Need(name=WRITE),
        "flush": Need(name=READ),
        "create": Need(directory=WRITE),
        "mkdir": Need(directory=WRITE),
        "symlink": Need(directory=WRITE),
        "unlink": Need(directory=WRITE),
        "rmdir": Need(directory=WRITE),
        "rename": Need(directory=WRITE),
        "chmod": Need(owner=True),
        "chown": Need(owner=True),
        "setxattr": Need(owner=True),
        "utime": Need(owner=True, or_write=True),
    }
)


def grants(view: View, shape: Shape, user: User, wanted: int) -> bool:
    """Whether a name of this shape gives a user every right in `wanted`. Bits are OR-ed: other's always count, the
    owner's for the owner, the group's for members."""
    if user.uid == 0 or (view.uid is not None and user.uid == view.uid):
        return True
    bits = shape.mode & 7
    if user.uid == shape.uid:
        bits |= shape.mode >> 6 & 7
    if user.gid == shape.gid:
        bits |= shape.mode >> 3 & 7
    return wanted & ~bits == 0


def refusals(
    view: View, user: User, call: str, above: Sequence[Shape], shape: Shape, *, owner: int | None = None
) -> tuple[set[int], set[int]]:
    """The errnos with which rights must, and may, refuse a call. above: from the mount point down to the directory.
    owner: as stored, which is whom chmod(2) and its relatives ask for, whatever uid= shows; None: as shown."""
    need = RIGHTS[call]
    must: set[int] = set()
    if not view.allow_other and user.uid != 0:
        return {errno.EACCES}, set()
    missing_execute = errno.EPERM if view.release.missing_execute_is_eperm else errno.EACCES
    if any(not grants(view, directory, user, EXECUTE) for directory in above):
        must.add(missing_execute)
    if need.directory and above and not grants(view, above[-1], user, need.directory):
        must.add(errno.EACCES)
    if need.name and not grants(view, shape, user, need.name):
        must.add(errno.EACCES)
    if call == "list" and view.release.opendir_needs_execute and not grants(view, shape, user, EXECUTE):
        must.add(missing_execute)
    bypasses = user.uid == 0 or (view.uid is not None and user.uid == view.uid)
    owns = bypasses or user.uid == (shape.uid if owner is None else owner)
    if need.owner and not owns:
        if not need.or_write:
            must.add(errno.EPERM)
        elif not grants(view, shape, user, WRITE):
            must.add(errno.EACCES)
    return (set(), must) if need.lax else (must, set())
