"""ossfs's own permission checks, which replace those of the kernel (a mount has no default_permissions).

Bits are OR-ed: "other" always counts, "user" for the owner, "group" for members; a right is there when any class that
counts has it. That is not POSIX, and meant (source: check_object_access). Called from any thread; sends requests only
through the lookup that it is given.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from typing import Protocol

from ossfuse.attributes import PERMISSIONS, Attributes
from ossfuse.errors import failure
from ossfuse.options import MountOptions
from ossfuse.profile import Profile

__all__ = ["AccessChecks", "GroupDatabase", "HostGroups", "Requester"]


class Requester(Protocol):
    """Who asks: uid and gid of the calling process."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


class GroupDatabase(Protocol):
    """The host's user and group databases, as far as ossfs reads them."""

    def includes(self, uid: int, gid: int) -> bool:
        """Whether the group `gid` lists the user name of `uid` as a member. Supplementary groups of the process that
        the databases do not know are not seen."""
        ...


class HostGroups:
    """The databases of this machine."""

    def includes(self, uid: int, gid: int) -> bool:
        try:
            members = grp.getgrgid(gid).gr_mem
            return bool(members) and pwd.getpwuid(uid).pw_name in members
        except KeyError:
            return False


class AccessChecks:
    """stat: attributes of a path; raises OSError when there are none."""

    def __init__(
        self,
        stat: Callable[[str], Attributes],
        *,
        options: MountOptions,
        profile: Profile,
        groups: GroupDatabase,
    ) -> None:
        self._stat = stat
        self._options = options
        self._profile = profile
        self._groups = groups

    def require(self, who: Requester, path: str, mask: int) -> Attributes:
        """Attributes of `path` when `who` has every right in `mask` (os.R_OK | os.W_OK | os.X_OK; os.F_OK: it exists).
        Raises OSError: EACCES (1.80: EPERM for a missing X), or the lookup's own."""
        found = self._stat(path)
        if mask == os.F_OK or self._bypasses(who):
            return found
        owner = found.uid if self._options.uid is None else self._options.uid
        group = found.gid if self._options.gid is None else self._options.gid
        mode = found.mode if self._options.umask is None else PERMISSIONS & ~self._options.umask
        counted = stat.S_IRWXO
        if who.uid == owner:
            counted |= stat.S_IRWXU
        if who.gid == group or self._groups.includes(who.uid, group):
            counted |= stat.S_IRWXG
        mode &= counted
        if mask & os.X_OK and not mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
            raise failure(errno.EPERM if self._profile.missing_execute_is_eperm else errno.EACCES, path)
        if mask & os.W_OK and not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            raise failure(errno.EACCES, path)
        if mask & os.R_OK and not mode & (stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH):
            raise failure(errno.EACCES, path)
        return found

    def require_parent(self, who: Requester, path: str, mask: int) -> None:
        """X in `mask`: on every directory above `path` up to the root; the other rights: on the one that holds it."""
        if path == "/":
            return
        if mask & os.X_OK:
            parent = path
            while parent != "/":
                parent = _directory(parent)
                if parent == "/" and self._bypasses(who):
                    break  # it exists always, and nothing asks for it
                self.require(who, parent, os.X_OK)
        if mask & ~os.X_OK:
            self.require(who, _directory(path), mask & ~os.X_OK)

    def require_owner(self, who: Requester, path: str) -> Attributes:
        """Attributes of `path` when `who` is its owner, root, or the user of the option uid; else EPERM."""
        found = self._stat(path)
        if self._bypasses(who) or who.uid == found.uid:
            return found
        raise failure(errno.EPERM, path)

    def _bypasses(self, who: Requester) -> bool:
        return who.uid == 0 or (self._options.uid is not None and who.uid == self._options.uid)


def _directory(path: str) -> str:
    """The directory that holds an absolute path without a slash at its end."""
    return path[: path.rfind("/")] or "/"
