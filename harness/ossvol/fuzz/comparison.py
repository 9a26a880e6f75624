"""After each step: the server against the model, and the whole tree of every mount by readdir and by lookup.

Raises `Violation`. Sends what root's `ls` and `lstat` send; one thread, the runner's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from osscluster.volume import DirEntry, Stat, errno_name
from ossvol.fuzz.model import ABSENT, HIDDEN, MountView, Object, Shape, View
from ossvol.fuzz.violation import violation

if TYPE_CHECKING:
    from ossvol.fuzz.judging import Judge

__all__ = ["Bystander", "Onlooker", "compare_mounts", "compare_server", "expectation", "is_hidden", "shape_of"]

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
_SHAPES = ("mode", "uid", "gid")
_TIMES = ("mtime", "ctime", "atime")


class Onlooker(Protocol):
    """Who looks at a mount after each step, as root. Raises OSError."""

    def lstat(self, path: str) -> Stat: ...
    def listdir(self, path: str) -> list[DirEntry]: ...
    def statvfs(self, path: str) -> os.statvfs_result: ...


class Bystander:
    """Root in this process, which sees a kernel mount too: a call of a container costs a switch between processes, and
    a tree has many names. mountpoint: absolute."""

    def __init__(self, mountpoint: str) -> None:
        self._mountpoint = mountpoint

    def lstat(self, path: str) -> Stat:
        found = os.lstat(f"{self._mountpoint}/{path}")
        return Stat(
            found.st_mode,
            found.st_uid,
            found.st_gid,
            found.st_size,
            found.st_mtime,
            found.st_nlink,
            found.st_blocks,
        )

    def listdir(self, path: str) -> list[DirEntry]:
        return [DirEntry(name) for name in os.listdir(f"{self._mountpoint}/{path}")]

    def statvfs(self, path: str) -> os.statvfs_result:
        return os.statvfs(f"{self._mountpoint}/{path}")


def shape_of(found: Stat) -> Shape:
    """What stat(2) answered, as the model says it."""
    kind = _KINDS.get(stat.S_IFMT(found.mode), "other")
    return Shape(kind, stat.S_IMODE(found.mode), found.uid, found.gid, 0 if kind == "directory" else found.size)


def expectation(shape: Shape) -> dict[str, object]:
    """A shape in the words of the scenario language."""
    if not shape.kind:
        return {"errno": "ENOENT"}
    told: dict[str, object] = {"type": shape.kind, "mode": f"{shape.mode:04o}", "uid": shape.uid, "gid": shape.gid}
    return told if shape.kind == "directory" else {**told, "size": shape.size}


def compare_server(world: Judge) -> None:
    """acknowledged-is-kept, nothing-before-flush, nothing-leaks, log-explains-bytes."""
    model, seen = world.model, world.census()
    hidden = [key for key in seen if is_hidden(key)]
    if hidden and not model.hidden_files():
        raise violation(
            "nothing-leaks", f"{hidden[0]} is left of a file that nobody has open", _head(hidden[0], absent=True)
        )
    views = world.judges
    for key in sorted(model.objects.keys() | seen.keys()):
        right, there = model.objects.get(key), seen.get(key)
        if right == there or is_hidden(key):
            continue
        if right is not None and there is not None and not world.typed:
            right = replace(right, content_type=there.content_type)
        if right is not None and there is not None and _alike(views, key, right, there, world.slack):
            model.objects[key] = there  # with the times that the model does not foretell
            continue
        early = right is None or any(
            key in one.open and (one.open[key].new or one.open[key].changed) for one in model.mounts.values()
        )
        pending = early and any(key in one.open for one in model.mounts.values())
        name = "nothing-before-flush" if pending else "acknowledged-is-kept"
        text = f"{key} is {_told(views[0], key, there)}, not {_told(views[0], key, right)}"
        raise violation(name, text, _object(key, right, there))
    if not world.account.agrees(_sizes(seen)):
        world.account.require(_sizes(world.census()), world.verb)


def _sizes(seen: Mapping[str, Object]) -> dict[str, int]:
    return {key: len(one.body) for key, one in seen.items()}


def is_hidden(key: str) -> bool:
    """Whether the object is that of an unlinked open file."""
    return key.rpartition("/")[2].startswith(HIDDEN)


def _alike(views: Sequence[View], key: str, right: Object, there: Object, slack: float) -> bool:
    """views: of the releases, to one of which both have to look alike. slack: seconds by which a time may differ."""
    headers = (there.body, there.storage_class, there.content_type)
    same = headers == (right.body, right.storage_class, right.content_type)
    if not same or all(view.shape(key, right) != view.shape(key, there) for view in views):
        return False
    return right.vague or (
        _same_time(right.meta.get("mtime"), there.meta.get("mtime"), slack)
        and _others(right.meta) == _others(there.meta)
    )


def _others(meta: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in meta.items() if name not in _SHAPES and name not in _TIMES}


def _same_time(right: str | None, there: str | None, slack: float) -> bool:
    """Whole seconds of x-oss-meta-mtime, where the model knows them."""
    return right is None or (there is not None and abs(int(float(right)) - int(float(there))) <= slack)


def _told(view: View, key: str, found: Object | None) -> str:
    if found is None:
        return "absent"
    rest = {name: value for name, value in sorted(found.meta.items()) if name not in _SHAPES}
    return f"{view.shape(key, found)} {found.body[:60]!r} {found.content_type} {found.storage_class} {rest}"


def _head(key: str, *, absent: bool) -> dict[str, object]:
    return {"list": key, "expect": {"object": {key: {"absent": absent}}}}


def _object(key: str, right: Object | None, there: Object | None) -> dict[str, object]:
    if right is None:
        return _head(key, absent=True)
    wanted: dict[str, object] = {"size": len(right.body)}
    try:
        wanted["body"] = right.body.decode()
    except UnicodeDecodeError:
        wanted = {"size": len(right.body)}
    seen = there or right
    meta: dict[str, str | None] = {name: right.meta[name] for name in _SHAPES if name in right.meta}
    if not _same_time(right.meta.get("mtime"), seen.meta.get("mtime"), 0):
        meta["mtime"] = right.meta["mtime"]
    meta |= {name: right.meta.get(name) for name in {**_others(right.meta), **_others(seen.meta)}}
    if meta:
        wanted["meta"] = meta
    if seen.content_type != right.content_type:
        wanted["content_type"] = right.content_type
    if seen.storage_class != right.storage_class:
        wanted["storage_class"] = right.storage_class
    return {"list": key, "expect": {"object": {key: wanted}}}


def compare_mounts(world: Judge, *, every: bool = False) -> None:
    """listing-equals-server, names-are-found, caches-converge on every mount that lives. every: also directories in
    which nothing has changed since they were listed there."""
    for name, seen in world.model.mounts.items():
        if seen.alive:
            _compare_mount(world, name, every=every)


def _compare_mount(world: Judge, mount: str, *, every: bool) -> None:
    model, now = world.model, world.now()
    process = world.onlooker(mount)
    seen = model.mounts[mount]
    plain = _plain_names(seen, model.answered(mount, seen.shown, now))
    for path in ["", *seen.shown]:
        shape = seen.shown[path] if path in plain else model.current(mount, path)
        if shape.kind != "directory" or not (path in plain or model.settled(mount, path, now)):
            continue
        names = model.names(path)
        if every or seen.listed.get(path) != names:
            _compare_listing(world, process, mount, path, names)
            seen.listed[path] = names
    for path in sorted({*seen.shown, *seen.past}):
        if path in plain:
            allowed = [seen.view.over(seen.shown[path])]
        else:
            local = seen.open.get(path)
            if (local is not None and local.suspect) or model.is_wild(mount, path, now):
                continue
            allowed = model.allowed(mount, path, now)
        found = _lstat(process, path)
        if found in allowed or (found.kind == "EIO" and len({shape.kind for shape in allowed}) > 1):
            continue
        step = {"lstat": path, "in": mount, "as": "root", "expect": expectation(allowed[0])}
        known = " or ".join(map(str, allowed))
        name = "caches-converge" if found in world.outdated(mount, path) else "names-are-found"
        raise violation(name, f"{path} on {mount} is {found}, not {known}", step)


def _plain_names(seen: MountView, answered: set[str]) -> set[str]:
    """Names that, as everything above them, have one shape only, the current one: nearly all, nearly always. answered:
    those that a website or a mirror answers for."""
    if "" in seen.wild:
        return set()
    odd = {
        *seen.past,
        *seen.late,
        *seen.wild,
        *seen.others,
        *answered,
        *(path for path, local in seen.open.items() if local.suspect),
    }
    plain: set[str] = set()
    for path in seen.shown:  # in byte order, so directories before what is in them
        above = path.rpartition("/")[0]
        if path not in odd and (not above or (above in plain and seen.shown[above].kind == "directory")):
            plain.add(path)
    return plain


def _compare_listing(world: Judge, process: Onlooker, mount: str, path: str, right: list[str]) -> None:
    step = {"ls": path, "in": mount, "as": "root", "expect": {"entries": right}}
    try:
        found = sorted(entry.name for entry in process.listdir(path) if not entry.name.startswith(HIDDEN))
    except OSError as error:
        text = f"ls {path!r} on {mount}: {errno_name(error.errno or 0)}"
        raise violation("listing-equals-server", text, step) from error
    if found != right:
        raise violation("listing-equals-server", f"{path!r} on {mount} lists {found}, not {right}", step)


def _lstat(process: Onlooker, path: str) -> Shape:
    try:
        return shape_of(process.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError as error:
        return Shape(errno_name(error.errno or 0))
