"""`VolumeMachine`: the Hypothesis state machine whose rules are what people and programs do to a volume.

Bundles hold ids, never paths: a table knows where the object of an id is now, so that a rename leaves no ghosts behind.
Subclass it to add an application's own rules and invariants (docs/fuzzing.md); `run` runs either. The rules choose;
what happens then is `World`'s business. One thread, Hypothesis's caller.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from ossfuse.profile import find
from ossvol.fuzz.attribution import WatchedWorld
from ossvol.fuzz.judging import Beginning, MountPlan
from ossvol.fuzz.laboratory import shared
from ossvol.fuzz.model import Object, given_options
from ossvol.fuzz.plan import Plan, Tally
from ossvol.fuzz.violation import Violation, violation
from ossvol.fuzz.world import World

if TYPE_CHECKING:
    from ossvol.fuzz.laboratory import Laboratory

__all__ = ["MOUNT_OPTIONS", "VolumeMachine"]

MOUNT_OPTIONS = (
    "-o allow_other",
    "-o allow_other -o max_stat_cache_size=0",
    "-o allow_other -o umask=022",
    "-o allow_other -o stat_cache_expire=5",
    "-o allow_other -o umask=007",
    "-o allow_other -o uid=1000,gid=1001",
    "-o allow_other -o uid=1000 -o umask=077",
    "-o allow_other -o mp_umask=077",
    "-o allow_other -o listobjectsv2",
    "",
)
_MOST_ENTRIES = 30
_MOST_HANDLES = 6
_DEEPEST = 3
_MOUNTS = st.sampled_from(("one", "two"))
_USERS = st.sampled_from(("root", "root", "app", "app", "other"))
_MOSTLY_ROOT = st.sampled_from(("root", "root", "root", "app", "other"))  # of whom the model knows how far a call comes
_NAMES = st.sampled_from(("a", "b", "c", "d.txt", "ä"))
_BODIES = st.sampled_from(("", "x", "hello", "0123456789", "line\n" * 40))
_SIZES = st.sampled_from((0, 1, 3, 5, 20, 300))
_OFFSETS = st.sampled_from((0, 0, 2, 5, 17))
_MODES = st.sampled_from((0o644, 0o600, 0o666, 0o640, 0o755, 0o777, 0o700, 0o400, 0o070, 0o000))
_FLAGS = st.sampled_from(("r", "r+", "w", "a", "a+", "x"))
_USES = st.lists(
    st.tuples(
        st.sampled_from(("write", "write", "write", "read", "truncate", "cut", "cut", "fsync", "unlink", "rename")),
        _BODIES,
        _OFFSETS,
        _SIZES,
    ),
    min_size=2,
    max_size=6,
)
_OWNERS = st.sampled_from(((1000, 1001), (0, 0), (2000, 2001), (0, 1001)))
_TYPES_OF_DIRECTORIES = (
    "application/x-directory",
    "application/octet-stream",
    "text/plain",
    "text/html",
    "httpd/unix-directory",
)
_TYPES = st.sampled_from(_TYPES_OF_DIRECTORIES)
_METAS: st.SearchStrategy[dict[str, str]] = st.sampled_from(
    (
        {},
        {"mode": "33188", "uid": "0", "gid": "0"},
        {"mode": "33152", "uid": "1000", "gid": "1001"},
        {"mode": "33206", "uid": "2000", "gid": "1001"},
        {"mode": "33206", "uid": "1000", "gid": "1001", "mtime": "1400000000", "note": "kept"},
    )
)
_DIRECTORY_METAS: st.SearchStrategy[dict[str, str]] = st.sampled_from(
    (
        {},
        {"mode": "16895", "uid": "0", "gid": "0"},
        {"mode": "493", "uid": "1000", "gid": "1001"},
        {"mode": "33188"},
        {"mode": "0"},
    )
)

_TREE: Mapping[str, Object] = MappingProxyType(
    {
        "a": Object(b"hello", meta={"mode": "33206", "uid": "1000", "gid": "1001"}),
        "b": Object(b"0123456789", meta={"mode": "33188", "uid": "0", "gid": "0"}),
        "c/": Object(content_type=_TYPES_OF_DIRECTORIES[0], meta={"mode": "16895", "uid": "1000", "gid": "1001"}),
        "c/a": Object(b"x", meta={"mode": "33200", "uid": "0", "gid": "1001"}),
        "c/b/": Object(content_type=_TYPES_OF_DIRECTORIES[0], meta={"mode": "16877", "uid": "1000", "gid": "1001"}),
        "d/a": Object(b"line\n", meta={"mode": "33206", "uid": "1000", "gid": "1001"}),
        "d/": Object(content_type=_TYPES_OF_DIRECTORIES[0], meta={"mode": "16893", "uid": "0", "gid": "1001"}),
    }
)
_BEGINNINGS: Mapping[str, Mapping[str, Object]] = MappingProxyType(
    {"nothing": {}, "tree": _TREE, "hosted": _TREE, "mirrored": _TREE}
)
_ORIGIN: Mapping[str, Object] = MappingProxyType(
    {
        "a": Object(b"of the origin", "text/plain"),
        "d.txt": Object(b"elsewhere", "text/html"),
        "c/c": Object(b"", "application/octet-stream"),
        "ä/": Object(b"<html>", "text/html"),
    }
)
_WEBSITES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    (
        {"error": "a", "error_status": 404},
        {"error": "a", "error_status": 200},
        {"index": "a"},
        {"index": "index.html", "error": "b"},
        {"index": "a", "support_sub_dir": True, "type": 0},
        {"index": "a", "support_sub_dir": True, "type": 1},
        {"index": "a", "support_sub_dir": True, "type": 2},
        {"rules": [{"error_code": 404, "redirect": "Internal", "replace_key_with": "b"}]},
    )
)
_MIRRORS: st.SearchStrategy[dict[str, Any] | None] = st.sampled_from(
    (
        None,
        {},
        {"prefix": "d"},
        {"allow_head": True},
        {"allow_head": True, "prefix": "c/"},
        {"allow_head": True, "proxy_pass": True},
        {"allow_head": True, "prefix": "b", "replace_prefix_with": "a"},
    )
)
_MOST: Mapping[str, int] = MappingProxyType(
    {"versioning": 3, "link": 2, "setxattr": 2, "root": 1, "mount": 4, "website": 4, "mirror": 4}
)
"""How often an example does what is refused whatever it is asked for, or takes what was built up away."""

_MAY_OPEN = precondition(lambda self: self.started and len(self.world.handles) < _MOST_HANDLES)
_ANY_OPEN = precondition(lambda self: self.started and self.world.handles)

Id = int
Ids = MultipleResults[Id]


class VolumeMachine(RuleBasedStateMachine):
    """Two mounts of one bucket, three users and another client.

    laboratory, plan, tally: set by `run`; a machine that something else runs (`VolumeMachine.TestCase` in pytest or
    HypoFuzz) has one laboratory for as long as the process lives. hosts: whether some examples have websites and
    mirrors. `self.world` does and judges; `self.path(id)` says where an object is; `self.require(condition, text)`
    states an application's invariant. quiet: defects that an example does without where the run has them.
    """

    laboratory: ClassVar[Laboratory]
    plan: ClassVar[Plan] = Plan()
    tally: ClassVar[Tally]
    mount_options: ClassVar[tuple[str, ...]] = MOUNT_OPTIONS
    hosts: ClassVar[bool] = True

    files: Bundle[Id] = Bundle("files")
    directories: Bundle[Id] = Bundle("directories")
    handles: Bundle[str] = Bundle("handles")

    world: World
    quiet: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        kind = type(self)
        if not hasattr(kind, "laboratory"):
            kind.laboratory = shared(kind.plan.via, kind.plan.ossfs)
        if not hasattr(kind, "tally"):
            kind.tally = Tally()
        self._paths: dict[Id, str] = {}
        self._ids: dict[str, Id] = {}
        self.started = False
        self._done: Counter[str] = Counter()
        self._plans: dict[str, MountPlan] | None = None
        self._beginning: Mapping[str, Object] | None = None
        self._hosted = self._mirrored = False
        self._pages = 0, False

    # --- ids ---

    def path(self, identity: Id) -> str:
        """Where the object is now; the last place of one that is gone. Counts the step as live or not."""
        path = self._paths[identity]
        self.tally.aimed += 1
        self.tally.live += self.world.exists(path)
        return path

    def known(self, path: str) -> Id | Ids:
        """The id of what is at a path now, for a bundle; nothing for what is there already or is not there at all."""
        if path in self._ids or not self.world.exists(path):
            return multiple()
        identity = len(self._paths)
        self._paths[identity] = path
        self._ids[path] = identity
        return identity

    def _moved(self, old: str, new: str) -> None:
        for identity, path in self._paths.items():
            if path == old or path.startswith(old + "/"):
                self._paths[identity] = new + path[len(old) :]
        self._ids = {path: identity for identity, path in self._paths.items()}

    def _gone(self, identity: Id, path: str) -> Id | Ids:
        """What a rule that consumed an id gives back."""
        if self.world.exists(path):
            return identity
        self._ids.pop(path, None)
        return multiple()

    def below(self, directory: Id, name: str) -> str:
        """A path in a directory."""
        parent = self.path(directory)
        return f"{parent}/{name}" if parent else name

    def full(self, path: str) -> bool:
        """Whether there are as many names as a run wants, or the path is too deep."""
        full = len(self.world.model.paths()) >= _MOST_ENTRIES or path.count("/") >= _DEEPEST
        return full and not self.world.exists(path)

    def require(self, condition: object, text: str, step: dict[str, Any] | None = None) -> None:
        """An invariant of an application. step: of the scenario language, with the expectation that does not hold."""
        if not condition:
            self.world.blame(violation("application-invariant", text, step))

    # --- the frame ---

    # What is there first is no step, and every example knows the ids of all of it: Hypothesis chooses which of the two
    # rules comes first.

    @initialize(
        target=directories,
        one=st.integers(0, len(MOUNT_OPTIONS) - 1),
        two=st.integers(0, len(MOUNT_OPTIONS) - 1),
        versioned=st.sampled_from(("", "", "Enabled", "Suspended")),
    )
    def start(self, one: int, two: int, versioned: str) -> Ids:
        """Two mounts with options of their own."""
        return self.begin(one, two, versioned)

    def begin(self, one: int, two: int, versioned: str = "") -> MultipleResults[Id]:
        """The ids of the directories that there are. one, two: which of the options each mount has; versioned: the
        bucket's state."""
        other = self.plan.other_version or self.plan.version
        self._versioned = versioned
        self._plans = {
            "one": MountPlan(self._options(one, self.plan.version)),
            "two": MountPlan(self._options(two, other), self.plan.other_version),
        }
        self._begin()
        return multiple(*(self._known_first(path) for path in ("", "c", "c/b", "d")))

    def _options(self, number: int, version: str) -> str:
        """One of the sets that the release knows."""
        known = find(version).options
        usable = [text for text in self.mount_options if known.issuperset(given_options(text))]
        return usable[number % len(usable)]

    @initialize(target=files, beginning=st.sampled_from(("nothing", *("tree",) * 7, "hosted", "mirrored")))
    def populate(self, beginning: str) -> Ids:
        """What is done to files needs some, and many an example would never make one."""
        self._beginning = _BEGINNINGS[beginning]
        self._hosted = beginning in ("hosted", "mirrored") and self.hosts
        self._mirrored = beginning == "mirrored" and self.hosts
        self._begin()
        return multiple(*(self._known_first(path) for path in self._beginning if not path.endswith("/")))

    def _known_first(self, path: str) -> Id:
        identity = len(self._paths)
        self._paths[identity] = path
        self._ids[path] = identity
        return identity

    def _begin(self) -> None:
        if self._plans is None or self._beginning is None:
            return
        # A mirror wants a bucket that never was versioned.
        hosted = Beginning(self._beginning, origin=_ORIGIN) if self._hosted else None
        self.world = self.make_world(self._plans, hosted or Beginning(self._beginning, self._versioned))
        self.started = True
        if self._mirrored:
            self.world.mirror({})

    def make_world(self, plans: Mapping[str, MountPlan], beginning: Beginning) -> World:
        """Where an example goes on. plans: mounts by name."""
        plan, tally = self.plan, self.tally
        if plan.explain:
            return WatchedWorld(
                self.laboratory,
                plans,
                version=plan.version,
                fixed=self.quiet,
                compare=plan.compare,
                beginning=beginning,
                thorough=not tally.unlisted,
                known=tally.first,
            )
        return World(
            self.laboratory,
            plans,
            version=plan.version,
            fixed=plan.fixed,
            compare=plan.compare,
            beginning=beginning,
        )

    def _may(self, what: str) -> bool:
        return self.started and self._done[what] < _MOST[what]

    def teardown(self) -> None:
        if not self.started:
            return
        world, failure = self.world, sys.exc_info()[1]
        try:
            try:
                if failure is None:
                    world.finish()
            finally:
                left = self.laboratory.end()
            if left and failure is None:
                world.blame(violation("nothing-leaks", ", ".join(left)))
        except Violation as found:
            failure = found
            raise
        finally:
            if isinstance(failure, Violation):
                world.lead_to(failure)
            self.tally.add(world)

    # --- files ---

    @rule(target=files, mount=_MOUNTS, user=_USERS, directory=directories, name=_NAMES, body=_BODIES)
    def create(self, mount: str, user: str, directory: Id, name: str, body: str) -> Id | Ids:
        path = self.below(directory, name)
        if self.full(path):
            return multiple()
        self.world.write(mount, user, path, body)
        return self.known(path)

    @rule(mount=_MOUNTS, user=_USERS, file=files, body=_BODIES)
    def overwrite(self, mount: str, user: str, file: Id, body: str) -> None:
        self.world.write(mount, user, self.path(file), body)

    @rule(mount=_MOUNTS, user=_USERS, file=files, body=_BODIES)
    def append(self, mount: str, user: str, file: Id, body: str) -> None:
        self.world.write(mount, user, self.path(file), body, append=True)

    @rule(mount=_MOUNTS, user=_USERS, file=files)
    def read(self, mount: str, user: str, file: Id) -> None:
        self.world.read(mount, user, self.path(file))

    @rule(mount=_MOUNTS, user=_USERS, file=files, size=_SIZES)
    def truncate(self, mount: str, user: str, file: Id, size: int) -> None:
        self.world.truncate(mount, user, self.path(file), size)

    @rule(target=files, mount=_MOUNTS, user=_USERS, file=consumes(files))
    def unlink(self, mount: str, user: str, file: Id) -> Id | Ids:
        path = self.path(file)
        self.world.unlink(mount, user, path)
        return self._gone(file, path)

    # --- open files ---

    def _opened(self, handle: str) -> str | MultipleResults[str]:
        return handle or multiple()

    @_MAY_OPEN
    @rule(target=handles, mount=_MOUNTS, user=_USERS, file=files, flags=_FLAGS)
    def open(self, mount: str, user: str, file: Id, flags: str) -> str | MultipleResults[str]:
        return self._opened(self.world.open(mount, user, self.path(file), flags))

    @_MAY_OPEN
    @rule(target=handles, mount=_MOUNTS, user=_USERS, directory=directories, name=_NAMES, flags=st.sampled_from("wx"))
    def open_new(self, mount: str, user: str, directory: Id, name: str, flags: str) -> str | MultipleResults[str]:
        path = self.below(directory, name)
        if self.full(path):
            return multiple()
        return self._opened(self.world.open(mount, user, path, flags))

    @_MAY_OPEN
    @rule(
        target=handles,
        mount=_MOUNTS,
        user=_USERS,
        file=files,
        flags=st.sampled_from(("r", "r+", "r+", "w", "a", "a+")),
        uses=_USES,
        end=st.sampled_from(("close", "close", "read", "leave", "kill")),
    )
    def use(
        self, *, mount: str, user: str, file: Id, flags: str, uses: list[tuple[str, str, int, int]], end: str
    ) -> str | MultipleResults[str]:
        """What programs do with a file that they have opened comes one after the other."""
        world, path = self.world, self.path(file)
        handle = world.open(mount, user, path, flags)
        if not handle:
            return multiple()
        for what, body, offset, size in uses:
            if what == "write":
                world.write_handle(handle, body, offset)
            elif what == "read":
                world.read_handle(handle)
            elif what == "truncate":
                world.truncate_handle(handle, size)
            elif what == "cut":
                # As a log is rotated by copy and truncate under a writer that goes on where it was.
                world.truncate_handle(handle, min(size, offset))
                world.write_handle(handle, body, offset + size)
            elif what == "fsync":
                world.fsync(handle)
            elif what == "unlink":
                world.unlink(mount, user, path)
            else:
                self._rename(mount, user, path, f"{path}{size}")
        if end == "kill" and self._may("mount"):
            self._done["mount"] += 1
            world.kill(mount)
        elif end != "leave":
            world.close(handle)
            if end == "read":
                world.read(mount, user, path)
        return handle if handle in world.handles else multiple()

    def _open(self, handle: str) -> bool:
        """Whether nothing (a kill, a remount) has closed it."""
        return handle in self.world.handles

    @_ANY_OPEN
    @rule(handle=handles, body=_BODIES, offset=_OFFSETS)
    def write_open(self, handle: str, body: str, offset: int) -> None:
        if self._open(handle):
            self.world.write_handle(handle, body, offset)

    @_ANY_OPEN
    @rule(handle=handles)
    def read_open(self, handle: str) -> None:
        if self._open(handle):
            self.world.read_handle(handle)

    @_ANY_OPEN
    @rule(handle=handles)
    def fsync(self, handle: str) -> None:
        if self._open(handle):
            self.world.fsync(handle)

    @_ANY_OPEN
    @rule(handle=handles, size=_SIZES)
    def truncate_open(self, handle: str, size: int) -> None:
        if self._open(handle):
            self.world.truncate_handle(handle, size)

    @_ANY_OPEN
    @rule(target=files, handle=consumes(handles))
    def close(self, handle: str) -> Id | Ids:
        if not self._open(handle):
            return multiple()
        path = self.world.handles[handle].path
        self.world.close(handle)
        return self.known(path) if not path.startswith("\0") else multiple()

    # --- names ---

    @rule(target=directories, mount=_MOUNTS, user=_USERS, directory=directories, name=_NAMES)
    def mkdir(self, mount: str, user: str, directory: Id, name: str) -> Id | Ids:
        path = self.below(directory, name)
        if self.full(path):
            return multiple()
        self.world.mkdir(mount, user, path)
        return self.known(path)

    @rule(target=directories, mount=_MOUNTS, user=_USERS, directory=consumes(directories))
    def rmdir(self, mount: str, user: str, directory: Id) -> Id | Ids:
        path = self.path(directory)
        if not path:
            return directory
        self.world.rmdir(mount, user, path)
        return self._gone(directory, path)

    @rule(mount=_MOUNTS, user=_USERS, file=files, directory=directories, name=_NAMES)
    def rename(self, mount: str, user: str, file: Id, directory: Id, name: str) -> None:
        self._rename(mount, user, self.path(file), self.below(directory, name))

    @rule(mount=_MOUNTS, user=_MOSTLY_ROOT, source=directories, directory=directories, name=_NAMES)
    def rename_directory(self, mount: str, user: str, source: Id, directory: Id, name: str) -> None:
        old = self.path(source)
        if old:
            self._rename(mount, user, old, self.below(directory, name))

    @rule(mount=_MOUNTS, user=_MOSTLY_ROOT, old=directories, new=directories)
    def replace_directory(self, mount: str, user: str, old: Id, new: Id) -> None:
        self.replace(mount, user, old, new)

    @rule(mount=_MOUNTS, user=_USERS, old=files, new=st.one_of(files, directories))
    def replace(self, mount: str, user: str, old: Id, new: Id) -> None:
        """A rename onto something that is there."""
        if self._paths[old] and self._paths[new]:
            self._rename(mount, user, self.path(old), self.path(new))

    def _rename(self, mount: str, user: str, old: str, new: str) -> None:
        if old != new and not self.full(new) and self.world.rename(mount, user, old, new):
            self._moved(old, new)

    @precondition(lambda self: self._may("link"))
    @rule(mount=_MOUNTS, user=_USERS, file=files, directory=directories, name=_NAMES)
    def link(self, mount: str, user: str, file: Id, directory: Id, name: str) -> None:
        self._done["link"] += 1
        self.world.link(mount, user, self.path(file), self.below(directory, name))

    @rule(mount=_MOUNTS, user=_USERS, directory=directories, name=_NAMES, to=st.sampled_from(("a", "../b", "no")))
    def symlink(self, mount: str, user: str, directory: Id, name: str, to: str) -> None:
        path = self.below(directory, f"l{name}")
        if not self.full(path):
            self.world.symlink(mount, user, path, to)
            if self.world.exists(path):
                self.world.readlink(mount, user, path)

    # --- attributes ---

    def _changeable(self, item: Id) -> bool:
        """Nobody can change those of the mount point: trying once is enough."""
        if self._paths[item]:
            return True
        self._done["root"] += 1
        return self._done["root"] <= _MOST["root"]

    @rule(mount=_MOUNTS, user=_USERS, item=st.one_of(files, directories), mode=_MODES)
    def chmod(self, mount: str, user: str, item: Id, mode: int) -> None:
        if self._changeable(item):
            self.world.chmod(mount, user, self.path(item), mode)

    @rule(mount=_MOUNTS, user=_USERS, item=st.one_of(files, directories), owner=_OWNERS)
    def chown(self, mount: str, user: str, item: Id, owner: tuple[int, int]) -> None:
        if self._changeable(item):
            self.world.chown(mount, user, self.path(item), *owner)

    @rule(mount=_MOUNTS, user=_USERS, item=st.one_of(files, directories))
    def utime(self, mount: str, user: str, item: Id) -> None:
        if self._changeable(item):
            self.world.utime(mount, user, self.path(item), 1_500_000_000)

    @rule(mount=_MOUNTS, user=_USERS, item=st.one_of(files, directories))
    def lstat(self, mount: str, user: str, item: Id) -> None:
        self.world.lstat(mount, user, self.path(item))

    @rule(mount=_MOUNTS, user=_USERS, directory=directories, name=_NAMES)
    def look_for(self, mount: str, user: str, directory: Id, name: str) -> None:
        """A name that may be missing, which a mount may remember."""
        self.world.lstat(mount, user, self.below(directory, name))

    @rule(mount=_MOUNTS, user=_USERS, directory=directories)
    def ls(self, mount: str, user: str, directory: Id) -> None:
        self.world.ls(mount, user, self.path(directory))

    @precondition(lambda self: self._may("setxattr"))
    @rule(mount=_MOUNTS, user=_USERS, file=files)
    def setxattr(self, mount: str, user: str, file: Id) -> None:
        self._done["setxattr"] += 1
        self.world.setxattr(mount, user, self.path(file))

    # --- another client ---

    @rule(
        target=files,
        directory=directories,
        name=_NAMES,
        body=_BODIES,
        meta=_METAS,
        storage_class=st.sampled_from(("Standard", "Standard", "IA", "Archive")),
    )
    def put(self, directory: Id, name: str, body: str, meta: dict[str, str], storage_class: str) -> Id | Ids:
        path = self.below(directory, name)
        if self.full(path):
            return multiple()
        self.world.put(path, body, "application/octet-stream", meta, storage_class)
        return self.known(path)

    @rule(
        target=directories,
        directory=directories,
        name=_NAMES,
        body=st.sampled_from(("", "", "junk")),
        content_type=_TYPES,
        meta=_DIRECTORY_METAS,
    )
    def put_directory(self, directory: Id, name: str, body: str, content_type: str, meta: dict[str, str]) -> Id | Ids:
        path = self.below(directory, name)
        if self.full(path):
            return multiple()
        self.world.put(path + "/", body, content_type, meta, "Standard")
        return self.known(path)

    @rule(target=files, file=consumes(files))
    def delete(self, file: Id) -> Id | Ids:
        path = self.path(file)
        self.world.delete(path)
        return self._gone(file, path)

    @rule(target=directories, directory=consumes(directories))
    def delete_directory(self, directory: Id) -> Id | Ids:
        path = self.path(directory)
        if not path:
            return directory
        if any(self.world.model.below(path)):
            self.world.delete(path + "/")
        return self._gone(directory, path)

    @precondition(lambda self: self._may("versioning"))
    @rule(state=st.sampled_from(("Enabled", "Suspended")))
    def versioning(self, state: str) -> None:
        self._done["versioning"] += 1
        self.world.versioning(state)

    # --- websites and mirrors, in some examples; websites for a while, as they leave little to tell of names ---

    @precondition(lambda self: self._hosted and self._may("website"))
    @rule(spec=_WEBSITES, steps=st.sampled_from((2, 5, 10)), forgotten=st.booleans())
    def website(self, spec: dict[str, Any], steps: int, forgotten: bool) -> None:
        """For some steps. forgotten: so is what mounts learnt then."""
        self._done["website"] += 1
        self._pages = self.world.steps + steps, forgotten
        self.world.website(spec)

    @invariant()
    def pages_end(self) -> None:
        """Switches a website off when its steps are over."""
        if self.started and self.world.model.hosting.website is not None and self.world.steps > self._pages[0]:
            self.world.website(None)
            if self._pages[1]:
                self.world.advance(1000.0)

    @precondition(lambda self: self._hosted and self._may("mirror"))
    @rule(target=files, spec=_MIRRORS, asked=st.sampled_from(("", *_ORIGIN)), mount=_MOUNTS)
    def mirror(self, spec: dict[str, Any] | None, asked: str, mount: str) -> Id | Ids:
        """asked: a key that is looked at and fetched at once."""
        self._done["mirror"] += 1
        self.world.mirror(spec)
        if asked:
            self.world.lstat(mount, "root", asked.rstrip("/"))
            self.world.get(asked)
        return self.known(asked) if asked and not asked.endswith("/") else multiple()

    @precondition(lambda self: self._hosted and self.started)
    @rule(key=st.sampled_from(("a", "c/c", "b")), body=_BODIES, acl=st.sampled_from(("public-read", "private")))
    def origin_put(self, key: str, body: str, acl: str) -> None:
        self.world.origin_put(key, body, acl)

    @precondition(lambda self: self._hosted and self.started)
    @rule(key=st.sampled_from(("a", "d.txt", "ä/")))
    def origin_delete(self, key: str) -> None:
        self.world.origin_delete(key)

    @precondition(lambda self: self._hosted)
    @rule(target=files, key=st.sampled_from(("a", "b", "c/c", "c/c", "d.txt", "d.txt")))
    def get(self, key: str) -> Id | Ids:
        self.world.get(key)
        return self.known(key)

    @rule(seconds=st.sampled_from((0.5, 3.0, 8.0, 600.0, 1000.0)), times=st.sampled_from((1, 1, 2)))
    def advance(self, seconds: float, times: int) -> None:
        """In two goes everything is looked at meanwhile: a cache must not grow younger by that."""
        for _ in range(times):
            self.world.advance(seconds)

    @rule(mount=_MOUNTS, file=files, body=_BODIES, status=st.sampled_from((403, 503)), append=st.booleans())
    def refused_write(self, mount: str, file: Id, body: str, status: int, append: bool) -> None:
        self.world.refused_write(mount, self.path(file), body, status, append=append)

    # --- mounts ---

    @precondition(lambda self: self._may("mount"))
    @rule(mount=_MOUNTS, options=st.integers(0, len(MOUNT_OPTIONS) - 1))
    def remount(self, mount: str, options: int) -> None:
        self._done["mount"] += 1
        version = self.world.plans[mount].version or self.plan.version
        self.world.remount(mount, self._options(options, version))

    @precondition(lambda self: self._may("mount"))
    @rule(mount=_MOUNTS)
    def kill(self, mount: str) -> None:
        self._done["mount"] += 1
        self.world.kill(mount)

    @precondition(lambda self: self._may("mount"))
    @rule()
    def rotate_key(self) -> None:
        self._done["mount"] += 2
        self.world.rotate_key()
