"""How ossfs finds out what a name is: the cache, then up to four requests in a fixed order.

`Lookup` is shared by all operations of a mount and called from any thread; it holds no lock while a request is under
way, so two cold lookups of one name may both send their requests, as the real ones do.
"""

from __future__ import annotations

import enum
import errno
import stat
from dataclasses import dataclass, field

from ossfuse.attributes import FOLDER_SUFFIX, META, PERMISSIONS, Attributes, Headers, may_be_directory
from ossfuse.client import ObjectClient
from ossfuse.errors import RequestFailed, failure
from ossfuse.listing import ObjectNames
from ossfuse.options import MountOptions
from ossfuse.profile import Profile
from ossfuse.statcache import Entry, StatCache

__all__ = ["DirectoryKind", "DirectoryObject", "Found", "Lookup"]


@dataclass(slots=True)
class Found:
    """attributes, headers: copies, the caller's own. forced: a directory that exists only through its children."""

    attributes: Attributes
    headers: Headers = field(default_factory=dict)
    forced: bool = False


class DirectoryKind(enum.Enum):
    """What stands for a directory on the server."""

    OBJECT = "N/"
    OLD = "N"  # the object without slash; 1.80 takes every directory object for one
    FOLDER = "N_$folder$"
    PREFIX = "only children"


@dataclass(frozen=True, slots=True)
class DirectoryObject:
    """object_path: what to delete before a new directory object replaces it, "" for none; new_path: with a slash;
    cached_path: the entry of the stat cache."""

    kind: DirectoryKind
    object_path: str
    new_path: str
    cached_path: str
    headers: Headers

    @property
    def replaced(self) -> bool:
        """Changing metadata writes a fresh directory object instead of copying."""
        return self.kind is not DirectoryKind.OBJECT


class Lookup:
    def __init__(
        self,
        *,
        client: ObjectClient,
        cache: StatCache,
        options: MountOptions,
        profile: Profile,
        euid: int,
        egid: int,
    ) -> None:
        self.client = client
        self.cache = cache
        self._options = options
        self._profile = profile
        self._euid = euid
        self._egid = egid
        self._compat = not options.notsup_compat_dir

    def root(self) -> Attributes:
        """The mount point: made up locally, no request ever (source: set_mountpoint_attribute)."""
        options = self._options
        mode = stat.S_IRWXU
        if options.allow_other:
            mode = PERMISSIONS & ~(options.mp_umask or 0)
        uid = self._euid if options.uid is None else options.uid
        gid = self._egid if options.gid is None else options.gid
        return Attributes(stat.S_IFDIR | mode, uid, gid)

    def stat(self, path: str) -> Attributes:
        """Attributes of a path, a copy. Raises OSError."""
        if path == "/":
            return self.root()
        # Without the copy of the headers that `find` makes: stat(2) is what callers do most.
        return self._entry(path).attributes.copy()

    def exists(self, path: str) -> bool:
        """Whether there is such a name; other errors than ENOENT are raised."""
        try:
            self.find(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return False
        return True

    def find(self, path: str, *, overcheck: bool = True, pinned: bool = False, refresh_listed: bool = False) -> Found:
        """What `path` is (source: get_object_attribute). overcheck False: only this very name, not its other forms.
        pinned: the entry must outlive its expiry. refresh_listed: an entry made from a listing is not enough."""
        if path == "/":
            return Found(self.root())
        return _copied(self._entry(path, overcheck=overcheck, pinned=pinned, refresh_listed=refresh_listed))

    def _find_directory(self, path: str) -> Found:
        """`find` of this very name for a caller that asks whether it is there only through its children. Unless that
        is known from before, 1.91 keeps the name as an object without metadata and answers no."""
        forgets = self._profile.asking_for_prefix_forgets_it and self.cache.capacity > 0
        return _copied(self._entry(path, overcheck=False, unforced=forgets))

    def _entry(
        self,
        path: str,
        *,
        overcheck: bool = True,
        pinned: bool = False,
        refresh_listed: bool = False,
        unforced: bool = False,
    ) -> Entry:
        name = path
        if overcheck and self._compat and FOLDER_SUFFIX in path:
            name = path.partition(FOLDER_SUFFIX)[0] + "/"
        entry = self.cache.get(name, overcheck=overcheck)
        if entry is not None and not (refresh_listed and entry.listed):
            return entry
        if self.cache.is_missing(name):
            raise failure(errno.ENOENT, path)
        try:
            name, headers, forced = self._probe(path, overcheck)
        except RequestFailed as error:
            denied = error.errno == errno.EPERM and self._profile.forbidden_head_final
            if not denied and (error.errno == errno.ENOENT or self._profile.negative_cache_any_failure):
                self.cache.add_missing(path)
            raise
        return self.cache.add(name, headers, forced=forced and not unforced, pinned=pinned)

    def directory_is_empty(self, path: str) -> bool:
        """Whether nothing is listed below `path`: one LIST of two keys. Raises OSError."""
        names = ObjectNames()
        names.add(self.client.list_objects(path, max_keys=2))
        return not names

    def folder_object_exists(self, path: str) -> bool:
        """Whether "N_$folder$" exists; errors count as no."""
        if not self._compat:
            return False
        name = path if FOLDER_SUFFIX in path else path.rstrip("/") + FOLDER_SUFFIX
        try:
            self.client.head(name)
        except RequestFailed:
            return False
        return True

    def directory_object(self, path: str, *, renaming: bool = False) -> DirectoryObject:
        """What stands for the directory `path` (source: chk_dir_object_type). Raises OSError when nothing does.

        renaming: the caller is rename(2); for all others 1.91 trips over an object that is not "N/"."""
        crashes = self._profile.old_directory_metadata_crashes and not renaming
        plain = path.partition(FOLDER_SUFFIX)[0].rstrip("/")
        new = plain + "/"
        try:
            found = self._find_directory(new)
        except OSError:
            if not self._compat:
                raise
            if crashes:
                raise self.client.end_process(path) from None
            return self._unslashed_directory(plain)
        if self.folder_object_exists(new):
            if crashes:
                raise self.client.end_process(path)
            return DirectoryObject(DirectoryKind.FOLDER, plain + FOLDER_SUFFIX, new, new, found.headers)
        if found.forced:
            return DirectoryObject(DirectoryKind.PREFIX, "", new, new, found.headers)
        if self._profile.directory_metadata_recreates and not path.endswith("/"):
            return DirectoryObject(DirectoryKind.OLD, path, new, new, found.headers)
        return DirectoryObject(DirectoryKind.OBJECT, new, new, new, found.headers)

    def _unslashed_directory(self, plain: str) -> DirectoryObject:
        new = plain + "/"
        try:
            found = self._find_directory(plain)
        except OSError:
            if self.folder_object_exists(plain):
                return DirectoryObject(DirectoryKind.FOLDER, plain + FOLDER_SUFFIX, new, "", {})
            if not self.directory_is_empty(new):
                return DirectoryObject(DirectoryKind.PREFIX, "", new, "", {})
            raise
        if found.forced:
            return DirectoryObject(DirectoryKind.PREFIX, "", new, plain, found.headers)
        return DirectoryObject(DirectoryKind.OLD, plain, new, plain, found.headers)

    def _probe(self, path: str, overcheck: bool) -> tuple[str, Headers, bool]:
        profile = self._profile
        slashed = path.endswith("/")
        foldered = FOLDER_SUFFIX in path
        base = path.rstrip("/")
        try:
            headers = self.client.head(path)
        except RequestFailed as error:
            if error.errno == errno.EPERM and profile.forbidden_head_exists:
                return path, {META + "mode": "0"}, False
            if error.errno == errno.EPERM and profile.forbidden_head_final:
                raise
            last = error
        else:
            unclear = self._compat and not slashed and not foldered and may_be_directory(headers, profile)
            if unclear and self._has_children(base):
                return base + "/", headers, True
            if foldered:
                path = path.partition(FOLDER_SUFFIX)[0] + "/"
            return path, headers, False
        if overcheck and not foldered:
            others = [] if slashed else [base + "/"]
            if self._compat:
                others.append(base + FOLDER_SUFFIX)
            for other in others:
                try:
                    return base + "/", self.client.head(other), False
                except RequestFailed as error:
                    last = error
        lists = overcheck or profile.overcheck_lists_plain
        if self._compat and lists and not foldered and self._has_children(base):
            return base + "/", {}, True
        raise last

    def _has_children(self, base: str) -> bool:
        try:
            return not self.directory_is_empty(base)
        except RequestFailed:
            return False


def _copied(entry: Entry) -> Found:
    return Found(entry.attributes.copy(), dict(entry.headers), entry.forced)
