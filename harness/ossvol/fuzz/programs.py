"""`ProgramMachine`: a `VolumeMachine` whose users also run whole programs, which do this and that to an open file.

Single calls seldom meet on one open file, and that is where most of the listed defects are: a run with defects left in
uses this machine. One thread, Hypothesis's caller.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, multiple, rule

from ossfuse.profile import DEFECTS
from ossvol.fuzz.machine import Id, Ids, VolumeMachine

__all__ = ["ProgramMachine"]

_MOUNTS = st.sampled_from(("one", "two"))
_USERS = st.sampled_from(("root", "root", "root", "app"))
_NAMES = st.sampled_from(("a", "b", "c"))
_ACTS: st.SearchStrategy[tuple[str, Any]] = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(((0, "X"), (3, "yy"), (30, "zzz")))),
    st.tuples(st.just("truncate"), st.sampled_from((0, 2, 40))),
    st.tuples(st.sampled_from(("read", "fsync", "look", "again", "chown", "chmod", "utime", "rename")), st.just(None)),
)
_MANY_OPEN = 6
_NONE: st.SearchStrategy[list[bool]] = st.just([])
_SOME = st.lists(st.booleans(), min_size=len(DEFECTS), max_size=len(DEFECTS))


class ProgramMachine(VolumeMachine):
    """Rules: `edit`, `save`, `put_old_directory`."""

    _chosen = False

    @initialize(quiet=st.one_of(_NONE, _SOME))
    def do_without(self, quiet: list[bool]) -> None:
        """Some examples do without some defects: what is met often ends so many that the others are not met."""
        if not self.plan.ossfs:
            self.quiet = tuple(one.name for one, left_out in zip(DEFECTS, quiet, strict=False) if left_out)
        self._chosen = True
        self._begin()

    def _begin(self) -> None:
        if self._chosen:
            super()._begin()

    @rule(
        mount=_MOUNTS,
        user=_USERS,
        file=VolumeMachine.files,
        flags=st.sampled_from(("r+", "r+", "w", "a+", "r")),
        acts=st.lists(_ACTS, min_size=1, max_size=5),
    )
    def edit(self, mount: str, user: str, file: Id, flags: str, acts: list[tuple[str, Any]]) -> None:
        """A program opens a file, does this and that to it, and closes it."""
        handle = self._program_opens(mount, user, self.path(file), flags)
        if handle:
            self._acts(mount, user, handle, flags, acts)

    @rule(
        target=VolumeMachine.files,
        mount=_MOUNTS,
        user=_USERS,
        directory=VolumeMachine.directories,
        name=_NAMES,
        acts=st.lists(_ACTS, min_size=1, max_size=5),
    )
    def save(self, mount: str, user: str, directory: Id, name: str, acts: list[tuple[str, Any]]) -> Id | Ids:
        """The same with a file that it makes."""
        path = self.below(directory, name)
        handle = "" if self.full(path) else self._program_opens(mount, user, path, "w+")
        if not handle:
            return multiple()
        return self.known(self._acts(mount, user, handle, "w+", acts))

    def _program_opens(self, mount: str, user: str, path: str, flags: str) -> str:
        return "" if len(self.world.handles) > _MANY_OPEN else self.world.open(mount, user, path, flags)

    def _acts(self, mount: str, user: str, handle: str, flags: str, acts: list[tuple[str, Any]]) -> str:
        """Where the file is in the end."""
        world, opened, path = self.world, [(handle, flags)], ""
        for act, value in acts:
            if handle not in world.handles:
                break
            path = world.handles[handle].path
            if path.startswith("\0"):
                break
            match act:
                case "write" if flags != "r":
                    world.write_handle(handle, value[1], value[0])
                case "truncate" if flags != "r":
                    world.truncate_handle(handle, value)
                case "truncate":
                    world.truncate(mount, user, path, value)
                case "read" if "+" in flags or flags == "r":
                    world.read_handle(handle)
                case "fsync":
                    world.fsync(handle)
                case "look":
                    world.lstat(mount, user, path)
                case "again":
                    opened.append((world.open(mount, user, path, "r+"), "r+"))
                case "chown":
                    world.chown(mount, user, path, 1000, 1001)
                case "chmod":
                    world.chmod(mount, user, path, 0o666)
                case "utime":
                    world.utime(mount, user, path, 1_500_000_000)
                case "rename":
                    self._rename_around(mount, path)
        for name, _ in opened:
            if name in world.handles:
                path = world.handles[name].path
                world.close(name)
        return path

    def _rename_around(self, mount: str, path: str) -> None:
        """The directory that holds the file gets another name meanwhile."""
        above = path.rpartition("/")[0]
        if above:
            self._rename(mount, "root", above, f"{above}x"[-40:])

    @rule(directory=VolumeMachine.directories, name=_NAMES, meta=st.sampled_from(({}, {"mode": "16877"})))
    def put_old_directory(self, directory: Id, name: str, meta: dict[str, str]) -> None:
        """A directory as tools made them that knew no marker with a slash."""
        path = self.below(directory, name)
        if not self.full(path) and path not in self.world.model.objects and path + "/" not in self.world.model.objects:
            self.world.put(path, "", "application/x-directory", meta, "Standard")
