"""The reference model: what a bucket and its mounts may show, small enough to be checked by reading.

Laws:

- **Objects.** The bucket is a map from key to object. Only what the model was told of changes it; what a call
  acknowledged is in it.
- **Names.** A name is the object `N`, else the object `N/`, else a directory if a key begins with `N/`, else
  nothing; where both `N` and `N/` exist it may be either. An empty `N` without metadata and with keys below it is a
  directory. Below what is no directory there is nothing.
- **Shapes.** Type, mode and owner come from metadata, Content-Type and key as the release reads them; umask=, uid=
  and gid= lie over them.
- **Open files.** What a mount writes is on this mount at once and on the server with fsync or close, not before; a new
  file is not on the server until then. All opens of a name on one mount share its content. While the server lacks
  something of it, a new owner is not shown, and a new mode only where there is a stat cache (measured, 1.91.10).
- **Times.** x-oss-meta-mtime is the time of the last write, or what utimensat(2) has set since. A rename and a change
  of attributes keep it. Nothing is said after truncate(2), where time passes within the call, where a file is renamed
  or given another time while it is open, where there was no time before, and where a mount has outdated metadata.
- **Headers.** Content-Type goes by the name (octet-stream, for directories x-directory) in whatever a mount writes or
  copies, the storage class is Standard, and metadata that ossfs does not know are kept.
- **Caches.** A mount shows the current shape of a name, or one that the name had within the lifetime of the mount's
  cache; what the mount itself has changed it shows at once. After the expiry only the current shape is right. A
  listing is never cached. A name that has become another type may be EIO while the kernel knows the old one.
- **Websites and mirrors.** They answer for what is no object: a website (index page, rules, error page with status 200)
  for every directory and missing name, a mirror that allows HEAD for what its origin has. What a mount shows of such a
  name, and of what is below it, may be anything: while they answer, and until the mount has forgotten what it learnt.
  Names that are objects, listings, and what the server holds stay what they are. A GET of a missing key that the origin
  has puts the origin's object there, for whoever asked; without HEAD nothing else shows that it is there.
- **Rights.** `rights.RIGHTS`. A call fails exactly when there is a reason to, with the errno of one of its reasons.

It knows no request, no kernel and no clock: times are arguments. Not modelled, so never judged: atime and ctime, sizes
of directories, and calls on names of which the mount may have an outdated view (`Model.settled`). One thread.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ossfuse.profile import NegativeCache, Profile, find
from ossvol.fuzz.hosting import Hosting

__all__ = ["ABSENT", "Local", "Model", "MountView", "Object", "Shape", "View", "given_options", "parents", "timed"]

_DIRECTORY_TYPES = ("application/x-directory", "httpd/unix-directory")
_OCTET_STREAMS = ("application/octet-stream", "binary/octet-stream")
_TELLING = ("mode", "mtime", "uid", "gid", "owner", "group", "permissions", "ctime", "atime")
_KERNEL_CACHE = 1.0
HIDDEN = ".fuse_hidden"
"""How libfuse calls what was unlinked while it was open."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What stat(2) shows of a name. kind: file, directory, symlink, "" for nothing; size: 0 for directories."""

    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.mode:04o} {self.uid}:{self.gid} {self.size}" if self.kind else "absent"


ABSENT = Shape("")


@dataclass(frozen=True, slots=True)
class Object:
    """An object as the server has it. meta: names without "x-oss-meta-". vague: what no shape shows of it may come from
    an outdated view of the mount that wrote it."""

    body: bytes = b""
    content_type: str = "application/octet-stream"
    meta: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "Standard"
    vague: bool = False

    @property
    def etag(self) -> str:
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest().upper()


def given_options(text: str) -> dict[str, str]:
    """Options as on ossfs's command line, by name."""
    return dict(word.partition("=")[::2] for word in text.replace("-o ", "").replace(",", " ").split())


@dataclass(frozen=True, slots=True)
class View:
    """How a mount looks at the bucket: its release and the options that change what is shown. expire: lifetime of the
    stat cache in seconds, None for ever; remembers_missing: whether there is a negative cache."""

    release: Profile
    allow_other: bool = False
    umask: int | None = None
    mp_umask: int = 0
    uid: int | None = None
    gid: int | None = None
    complement: bool = False
    expire: float | None = 900.0
    remembers_missing: bool = False

    @classmethod
    def of(cls, options: str, version: str, *, fixed: bool) -> View:
        """options: as on ossfs's command line."""
        release = find(version, fixed=fixed)
        given = given_options(options)
        expire = float(given["stat_cache_expire"]) if "stat_cache_expire" in given else release.stat_cache_expire
        if given.get("max_stat_cache_size") == "0":
            expire = 0.0
        return cls(
            release,
            "allow_other" in given,
            int(given["umask"], 8) if "umask" in given else None,
            int(given.get("mp_umask", "0"), 8),
            int(given["uid"]) if "uid" in given else None,
            int(given["gid"]) if "gid" in given else None,
            release.complement_stat_default or "complement_stat" in given,
            expire,
            "enable_noobj_cache" in given
            or (release.negative_cache is NegativeCache.DEFAULT and "disable_noobj_cache" not in given),
        )

    @property
    def life(self) -> float:
        """For how many seconds an outdated shape may be shown."""
        return float("inf") if self.expire is None else self.expire + 2 * _KERNEL_CACHE

    def root(self) -> Shape:
        """The mount point: never asked of the server."""
        mode = 0o777 & ~self.mp_umask if self.allow_other else 0o700
        return self.over(Shape("directory", mode))

    def over(self, shape: Shape) -> Shape:
        """The shape with umask=, uid= and gid= over it."""
        if not shape.kind or (self.umask is None and self.uid is None and self.gid is None):
            return shape
        return Shape(
            shape.kind,
            shape.mode if self.umask is None else 0o777 & ~self.umask,
            shape.uid if self.uid is None else self.uid,
            shape.gid if self.gid is None else self.gid,
            shape.size,
        )

    def shape(self, key: str, found: Object, *, forced: bool = False) -> Shape:
        """What an object looks like, before `over`. forced: a directory whatever the object says."""
        release, slash, meta = self.release, key.endswith("/"), found.meta
        missing = release.directory_mode_missing if slash or forced else release.file_mode_missing
        mode = int(meta["mode"]) if "mode" in meta else missing
        told = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}.get(stat.S_IFMT(mode), "")
        kind = told or ("directory" if forced or self._typed_directory(found, slash) else "file")
        permissions = stat.S_IMODE(mode)
        if not told and self.complement and release.complement_minimal_permission and not permissions & 0o777:
            permissions |= 0o500 if kind == "directory" else 0o400
        size = 0 if kind == "directory" else len(found.body)
        return Shape(kind, permissions, int(meta.get("uid", "0")), int(meta.get("gid", "0")), size)

    def _typed_directory(self, found: Object, slash: bool) -> bool:
        release, kind = self.release, found.content_type
        if slash and release.directory_needs_empty and found.body:
            return False
        if slash and release.directory_needs_mode and "mode" not in found.meta and not self.complement:
            return False
        if kind == _DIRECTORY_TYPES[0] or (kind == _DIRECTORY_TYPES[1] and release.unix_directory_type):
            return True
        return slash and (release.slash_directory_any_type or kind in _OCTET_STREAMS)


@dataclass(slots=True)
class Local:
    """A file that a mount has open. content: what its readers see; changed: the server lacks something of it; new: the
    server lacks the file; suspect: somebody else changed the object meanwhile, so that content and upload depend on
    what was loaded before; hidden: unlinked while open; refused: a close was, so nothing of it is acknowledged. meta:
    for the upload; elsewhere: where a rename that stopped half-way may have taken it; shown: what stat(2) makes of it
    until then. handles: names of the opens. supply: how many bytes the mount can know: what GETs brought, and what was
    written, since it was opened. held: utimensat(2) was called, so it is for ossfs which time an upload has; vague: as
    of an object."""

    content: bytearray
    meta: dict[str, str]
    content_type: str = "application/octet-stream"
    new: bool = False
    changed: bool = False
    suspect: bool = False
    hidden: bool = False
    handles: set[str] = field(default_factory=set)
    refused: bool = False
    elsewhere: str = ""
    shown: dict[str, str] = field(default_factory=dict)
    supply: int = 0
    held: bool = False
    vague: bool = False

    def __post_init__(self) -> None:
        self.shown = dict(self.meta)

    def object(self) -> Object:
        """What an upload makes of it."""
        return Object(bytes(self.content), self.content_type, dict(self.meta), vague=self.vague)

    def touch(self, when: float | None) -> None:
        """The content changes, at a time that may be unknown."""
        self.changed = True
        self.meta = timed(self.meta, None if self.held else when)

    def change(self, meta: Mapping[str, str], *, cached: bool) -> bool:
        """Other metadata; False where the server has to be told now. cached: whether the mount has a stat cache."""
        self.meta.update(meta)
        self.held = self.held or "mtime" in meta
        if self.changed or self.new:
            if cached and "mode" in meta:
                self.shown["mode"] = meta["mode"]
            return True
        self.shown = dict(self.meta)
        return False


@dataclass(slots=True)
class MountView:
    """A mount. open: files by path. past: outdated shapes of a name with the time until which each may show, whatever
    is above it and before the mount's options; late: the shape of before an upload, likewise; wild: names of which
    nothing is known until then. shown: shapes after the last step, likewise; others: the second ones of names that are
    two objects. doubtful: names whose metadata may be outdated here until then, whatever their shape; others_did: names
    that became so in this step. listed: the names in each directory when it was last listed here, or on the mount
    before it: no listing is ever cached. hosted: until when a website may show in what is no object."""

    view: View
    alive: bool = True
    open: dict[str, Local] = field(default_factory=dict)
    past: dict[str, list[tuple[Shape, float]]] = field(default_factory=dict)
    wild: dict[str, float] = field(default_factory=dict)
    late: dict[str, tuple[Shape, float]] = field(default_factory=dict)
    shown: dict[str, Shape] = field(default_factory=dict)
    others: dict[str, Shape] = field(default_factory=dict)
    doubtful: dict[str, float] = field(default_factory=dict)
    others_did: set[str] = field(default_factory=set)
    listed: dict[str, list[str]] = field(default_factory=dict)
    hosted: float = 0.0


def timed(meta: Mapping[str, str], when: float | None) -> dict[str, str]:
    """The metadata with another time of modification; None: one of which nothing is known."""
    rest = {name: value for name, value in meta.items() if name != "mtime"}
    return rest if when is None else {**rest, "mtime": str(int(when))}


def parents(path: str) -> list[str]:
    """Every directory above a path, from the root ("") down."""
    if not path:
        return []
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts))]


class Model:
    """objects: the bucket; hosting: its website and mirror. mounts: by name. Change them with the methods, then call
    `advance`."""

    def __init__(self, hosting: Hosting | None = None) -> None:
        self.objects: dict[str, Object] = {}
        self.hosting = hosting or Hosting()
        self._carried: list[tuple[str, str, Shape]] = []
        self._answered: set[str] = set()
        self._keys: set[str] = set()
        self.mounts: dict[str, MountView] = {}
        self.litter = False  # a mount was killed, so hidden files of its opens stay
        self.hidden: set[str] = set()  # keys of unlinked open files, as the server has them
        self._paths: set[str] = set()

    # --- what is there ---

    def paths(self) -> list[str]:
        """Every name that exists on the server, in byte order."""
        return sorted(self._paths)

    def exists(self, path: str) -> bool:
        """Whether the name is on the server, or open as a new file."""
        return not path or path in self._paths or any(path in seen.open for seen in self.mounts.values())

    def _index(self) -> None:
        found: set[str] = set()
        above = [key.rpartition("/")[0] for key in self.hidden]
        for key in (*self.objects, *above):
            path = key.rstrip("/")
            while path and path not in found:
                found.add(path)
                path = path.rpartition("/")[0]
        self._paths = found

    def below(self, path: str) -> Iterator[str]:
        """Keys below a directory; its own object is none of them."""
        prefix = f"{path}/" if path else ""
        return (key for key in self.objects if key.startswith(prefix) and key != prefix)

    def raw(self, view: View, path: str) -> Shape:
        """The current shape of a name before the mount's options, whatever is above it."""
        found = self.objects.get(path)
        if found is not None:
            unclear = not found.body and not any(name in found.meta for name in _TELLING)
            unclear = unclear and found.content_type != _DIRECTORY_TYPES[0]
            if not unclear or not any(True for _ in self.below(path)):
                return view.shape(path, found)
            return view.shape(path, found, forced=True)
        found = self.objects.get(path + "/")
        if found is not None:
            return view.shape(path + "/", found)
        if path in self._paths:
            return Shape("directory", view.release.directory_mode_missing)
        return ABSENT

    def current(self, mount: str, path: str) -> Shape:
        """What the mount shows of a name when nothing is outdated."""
        seen = self.mounts[mount]
        if not path:
            return seen.view.root()
        for above in parents(path)[1:]:
            if self._own(seen, above).kind != "directory":
                return ABSENT
        return seen.view.over(self._own(seen, path))

    def _own(self, seen: MountView, path: str) -> Shape:
        local = seen.open.get(path)
        if local is None or local.hidden:
            return self.raw(seen.view, path)
        return seen.view.shape(path, Object(bytes(local.content), local.content_type, local.shown))

    def owner(self, mount: str, path: str) -> int:
        """The uid that is stored with a name."""
        seen = self.mounts[mount]
        return self._own(seen, path).uid if path else seen.view.root().uid

    def allowed(self, mount: str, path: str, now: float) -> list[Shape]:
        """Every shape that the mount may show now, the current one first."""
        seen = self.mounts[mount]
        found = [self.current(mount, path)]
        above = [self.allowed(mount, one, now) for one in parents(path)[1:]]
        if all(any(shape.kind == "directory" for shape in shapes) for shapes in above):
            found += [seen.view.over(shape) for shape in self._apart(seen, path, now)]
        if any(shape.kind != "directory" for shapes in above for shape in shapes):
            found.append(ABSENT)
        return list(dict.fromkeys(found))

    def _apart(self, seen: MountView, path: str, now: float) -> list[Shape]:
        """Shapes of a name whatever is above it, before the mount's options."""
        if not path:
            return []
        found = [self._own(seen, path)]
        if path in seen.late and seen.late[path][1] >= now:
            found.append(seen.late[path][0])
        local = seen.open.get(path)
        if local is not None and not local.hidden and not local.suspect:
            return found
        found += [shape for shape, until in seen.past.get(path, ()) if until >= now]
        return found + self._other(seen.view, path)

    def _other(self, view: View, path: str) -> list[Shape]:
        """What a listing makes of a name that is two objects."""
        if path not in self.objects or path + "/" not in self.objects:
            return []
        return [view.shape(path + "/", self.objects[path + "/"])]

    def settled(self, mount: str, path: str, now: float) -> bool:
        """Whether the mount can have but one view of the name and of everything above it."""
        seen = self.mounts[mount]
        local = seen.open.get(path)
        if local is not None and (local.suspect or local.hidden):
            return False
        line = [*parents(path)[1:], path]
        return not self.is_wild(mount, path, now) and all(len(set(self._apart(seen, one, now))) < 2 for one in line)

    def is_wild(self, mount: str, path: str, now: float) -> bool:
        """Whether anything may be shown of the name, or of one above it."""
        seen = self.mounts[mount]
        line = (*parents(path), path)
        if (seen.hosted or self._answered) and self.answered(mount, line, now):
            return True
        return any(seen.wild.get(one, 0.0) >= now or (one in seen.open and seen.open[one].suspect) for one in line)

    def answered(self, mount: str, paths: Iterable[str], now: float) -> set[str]:
        """Which of the names a website or a mirror may answer for, or may have."""
        pages = self.mounts[mount].hosted >= now
        return {one for one in paths if one and one not in self.objects and (pages or one in self._answered)}

    def names(self, path: str) -> list[str]:
        """What a listing of the directory says, but for hidden files."""
        prefix = f"{path}/" if path else ""
        hidden = (key for key in self.hidden if key.startswith(prefix))
        found = {key[len(prefix) :].split("/", 1)[0] for key in (*self.below(path), *hidden)}
        return sorted(name for name in found if name and not name.startswith(HIDDEN))

    # --- what changes it ---

    def mount(self, name: str, view: View) -> None:
        """A new mount: it remembers nothing."""
        before = self.mounts.get(name)
        listed = before.listed if before is not None else {}
        self.mounts[name] = MountView(view, listed=listed, hosted=float("inf") if self.hosting.pages else 0.0)
        self._show(name)

    def put(self, key: str, found: Object, *, by: str = "") -> None:
        """An object is written. by: the mount that does it, "" for another client."""
        self.objects[key] = found
        self._undermine(key, by)

    def delete(self, key: str, *, by: str = "") -> None:
        self.objects.pop(key, None)
        self._undermine(key, by)

    def _undermine(self, key: str, by: str) -> None:
        for name, seen in self.mounts.items():
            local = seen.open.get(key.rstrip("/"))
            if name != by:
                seen.others_did.add(key.rstrip("/"))
                if local is not None:
                    local.suspect = True

    def advance(self, now: float, *, by: str = "", own: Iterable[str] = (), deep: bool = False) -> None:
        """What was shown before becomes the past. by, own: the mount that made the change, and the names that it knows
        of; deep: and of everything below them."""
        self._index()
        mine = tuple(own)
        self._host(now, by, mine)
        for name, seen in self.mounts.items():
            before, others = seen.shown, seen.others
            self._show(name)
            for path in sorted({*before, *seen.shown, *seen.past}):
                if name == by and (path in mine or (deep and any(path.startswith(one + "/") for one in mine))):
                    seen.past.pop(path, None)
                    continue
                old = before.get(path, ABSENT)
                if old != seen.shown.get(path, ABSENT) and (old.kind or seen.view.remembers_missing):
                    seen.past.setdefault(path, []).append((old, now + seen.view.life))
                if path in others and others[path] != seen.others.get(path):
                    seen.past.setdefault(path, []).append((others[path], now + seen.view.life))
            for path in [path for path, known in seen.past.items() if all(until < now for _, until in known)]:
                del seen.past[path]
            for path in [path for path, (_, until) in seen.late.items() if until < now]:
                del seen.late[path]
            for path in [path for path, until in seen.wild.items() if until < now or (name == by and path in mine)]:
                del seen.wild[path]
            seen.doubtful |= dict.fromkeys(seen.others_did, now + seen.view.life)
            seen.others_did.clear()
            if name == by:
                for path in mine:
                    seen.doubtful.pop(path, None)
        carried, self._carried = self._carried, []
        for mount, path, shape in carried:
            self.linger(mount, path, shape, now)

    def doubt(self, mount: str, path: str, now: float) -> None:
        """The mount may have outdated metadata of a name of its own."""
        seen = self.mounts[mount]
        seen.doubtful[path] = now + seen.view.life

    def doubtful(self, mount: str, path: str, now: float) -> bool:
        """Whether the mount may have outdated metadata of a name, even where it has the right shape."""
        return self.mounts[mount].doubtful.get(path, 0.0) >= now

    def carry(self, mount: str, old: str, new: str) -> None:
        """A directory is moved: what the kernel knows below it, which may be outdated, goes with it for a second."""
        for path, known in self.mounts[mount].past.items():
            if path.startswith(old + "/"):
                self._carried += [(mount, new + path[len(old) :], shape) for shape, _ in known if shape.kind]

    def _host(self, now: float, by: str, mine: tuple[str, ...]) -> None:
        """A name that has become an object may still be what a website or a mirror made of it; so may one that a mirror
        does not answer for any more."""
        answered, self._answered = self._answered, {one for one in self.hosting.names() if one not in self.objects}
        keys, self._keys = self._keys, set(self.objects)
        for name, seen in self.mounts.items():
            over = now + seen.view.life
            if self.hosting.pages:
                seen.hosted = float("inf")
            elif seen.hosted > over:
                seen.hosted = over
            changed = answered - self._answered
            if seen.hosted >= now:
                changed |= self._keys - keys
            for path in changed:
                if name != by or path not in mine:
                    seen.wild[path] = over

    def confuse(self, mount: str, path: str, now: float) -> None:
        """The mount has done something to the name that the model could not follow."""
        seen = self.mounts[mount]
        seen.wild[path] = now + seen.view.life

    def linger(self, mount: str, path: str, shape: Shape, now: float) -> None:
        """A shape that is gone, but the kernel may not know for a second."""
        self.mounts[mount].past.setdefault(path, []).append((shape, now + 2 * _KERNEL_CACHE))

    def _show(self, name: str) -> None:
        seen = self.mounts[name]
        known = self._paths | {path for path, local in seen.open.items() if not local.hidden}
        seen.shown = {path: self._own(seen, path) for path in sorted(known)}
        seen.others = {path: other for path in known for other in self._other(seen.view, path)}

    def upload(self, mount: str, path: str, now: float) -> None:
        """The server gets what an open file lacks there."""
        seen = self.mounts[mount]
        local = seen.open[path]
        if local.changed or local.new:
            self.put(path, local.object(), by=mount)
            local.changed = local.new = False
            if local.shown != local.meta:
                # The kernel goes on with the owner that it was told before.
                seen.late[path] = self._own(seen, path), now + 2 * _KERNEL_CACHE
                local.shown = dict(local.meta)

    def hidden_files(self) -> bool:
        """Whether there may be objects of unlinked open files."""
        return self.litter or any(local.hidden for seen in self.mounts.values() for local in seen.open.values())
