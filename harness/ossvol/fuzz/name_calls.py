"""Calls on names and attributes, and looks at them, each judged by the model. See `judging`."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ossvol.fuzz.calls import recorded
from ossvol.fuzz.comparison import expectation, is_hidden, shape_of
from ossvol.fuzz.file_calls import FileCalls
from ossvol.fuzz.judging import (
    DIRECTORY,
    PERMISSION,
    UMASK,
    WRITES,
    Reasons,
    Step,
)
from ossvol.fuzz.model import Object, Shape, parents
from ossvol.fuzz.violation import violation
from ossvol.scenario.values import errno_code

if TYPE_CHECKING:
    pass

__all__ = ["NameCalls"]

_XATTR = "%7B%22user.fuzz%22%3A%22eA%3D%3D%22%7D"  # {"user.fuzz":"eA=="}, as every release writes it


class NameCalls(FileCalls):
    """What programs do to names."""

    # --- names ---

    @recorded
    def mkdir(self, mount: str, user: str, path: str) -> None:
        """Mode 0755 after the umask."""
        found, shape = self._reasons(mount, user, path, "mkdir"), self.model.current(mount, path)
        if shape.kind:
            found.must.add(errno.EEXIST)
        done = self._call({"mkdir": path, "in": mount, "as": user}, found, mount, user, [path])
        if done:
            meta = self._new_meta(user, 0o777 & ~UMASK)
            self.model.put(path + "/", Object(b"", DIRECTORY, meta), by=mount)
        self.settle(mount if done else "", [path])

    @recorded
    def rmdir(self, mount: str, user: str, path: str) -> None:
        """Only what is empty on the server goes."""
        found, shape = self._reasons(mount, user, path, "rmdir"), self.model.current(mount, path)
        self._missing(found, shape)
        if shape.kind and shape.kind != "directory":
            found.must.add(errno.ENOTDIR)
        if any(True for _ in self.model.below(path)):
            found.must.add(errno.ENOTEMPTY)
        if self._open_below(path) or self.model.hidden_files():
            found.judged = False
        done = self._call({"rmdir": path, "in": mount, "as": user}, found, mount, user, [path])
        if done:
            self.model.delete(path + "/", by=mount)
        self.settle(mount if done else "", [path])

    def _open_below(self, path: str) -> bool:
        prefix = f"{path}/"
        return any(
            one.startswith(prefix) or local.hidden
            for seen in self.model.mounts.values()
            for one, local in seen.open.items()
        )

    @recorded
    def unlink(self, mount: str, user: str, path: str) -> None:
        """An open file lives on under a hidden name."""
        found, shape = self._reasons(mount, user, path, "unlink"), self.model.current(mount, path)
        self._missing(found, shape)
        if shape.kind == "directory":
            found.must.add(errno.EISDIR)
        if self._without_free_names(mount, path):
            found.judged = False
        done = self._call({"unlink": path, "in": mount, "as": user}, found, mount, user, [path])
        if done or (done is None and not self.last.errno):
            self._hide(mount, path)
        if done:
            self.model.delete(path, by=mount)
        self.settle(mount if done else "", [path])

    @recorded
    def rename(self, mount: str, user: str, old: str, new: str) -> bool:
        """True when the name has moved."""
        model = self.model
        found = self._reasons(mount, user, old, "rename")
        other = self._reasons(mount, user, new, "rename")
        found.must |= other.must
        found.judged = found.judged and other.judged
        shape, target = model.current(mount, old), model.current(mount, new)
        self._missing(found, shape)
        if new.startswith(old + "/"):
            found.must.add(errno.EINVAL)
        if old.startswith(new + "/"):
            found.must.add(errno.ENOTEMPTY)
        if target.kind and shape.kind:
            if shape.kind == "directory" and target.kind != "directory":
                found.must.add(errno.ENOTDIR)
            if shape.kind != "directory" and target.kind == "directory":
                found.must.add(errno.EISDIR)
        if any(True for _ in model.below(new)):
            found.must.add(errno.ENOTEMPTY)
        if shape.kind == "directory":
            # Each file below is a rename of its own, and the first that is refused ends it half-way.
            inner = [path for path in model.paths() if path.startswith(old + "/")]
            now = self.now()
            whole = all(model.settled(mount, path, now) and not self._odd_anywhere(path) for path in inner)
            around = self._open_below(old) or self._open_below(new)
            if not whole or around or (user != "root" and inner) or model.hidden_files():
                found.judged = False
            self.model.litter = self.model.litter or self.model.hidden_files()  # which may move along
        if old == new or any(self._frozen(model.objects.get(path)) for path in (old, *model.below(old))):
            found.judged = False
        if self._without_free_names(mount, new):
            found.judged = False
        done = self._call({"rename": old, "to": new, "in": mount, "as": user}, found, mount, user, [old, new])
        if done:
            self._moved(mount, old, new, shape)
        elif done is None and not self.last.errno:
            self._moved_somehow(mount, old, new)
        else:
            if self._gave_way(mount, new):
                if done is False:
                    self.adopt([new], mount)
                if new not in model.objects:
                    self._hide(mount, new)
            for path, local in self.model.mounts[mount].open.items():
                if path.startswith(old + "/"):
                    local.elsewhere = new + path[len(old) :]
        self.settle(mount if done else "", [old, new], deep=True)
        return done is not False and not self.last.errno

    def _gave_way(self, mount: str, path: str) -> bool:
        """Whether what is open under the new name was to be hidden before the rename failed: libfuse does so once the
        kernel has let the rename pass, whoever refuses it then."""
        local = self.model.mounts[mount].open.get(path)
        if local is None:
            return False
        asked = any(is_hidden(one.object) and one.operation in WRITES for one in self.last.records)
        return asked or (local.new and errno_code(self.last.errno) == errno.EREMOTE)

    def _without_free_names(self, mount: str, path: str) -> bool:
        """Whether the file is open, so that it gives its name up for a hidden one that is free, and a website makes
        none look free."""
        seen = self.model.mounts[mount]
        return path in seen.open and seen.hosted >= self.now()

    def _moved_somehow(self, mount: str, old: str, new: str) -> None:
        """A rename that the model could not foretell: what is open has another name now."""
        opened = self.model.mounts[mount].open
        self._hide(mount, new)
        for path in [path for path in opened if path == old or path.startswith(old + "/")]:
            self._reopened(mount, path, new + path[len(old) :])

    def _reopened(self, mount: str, old: str, new: str) -> None:
        opened = self.model.mounts[mount].open
        opened[new] = opened.pop(old)
        for handle in self.handles.values():
            if handle.mount == mount and handle.path == old:
                handle.path = new

    def _odd_anywhere(self, path: str) -> bool:
        return any(self._odd(seen.view, path) for seen in self.model.mounts.values())

    def _moved(self, mount: str, old: str, new: str, shape: Shape) -> None:
        model, seen = self.model, self.model.mounts[mount]
        self._hide(mount, new)
        if shape.kind != "directory":
            held = old in seen.open
            if held:
                model.upload(mount, old, self.now())
                self._reopened(mount, old, new)
            stored = model.objects[old]
            moved = self._rewritten(mount, old, stored.body, stored.meta)
            # Of an open file, what was known when it was opened counts too.
            model.put(new, replace(moved, vague=moved.vague or held), by=mount)
            model.delete(old, by=mount)
            return
        model.carry(mount, old, new)
        made: dict[str, Object] = {}
        for path in [old, *(path for path in model.paths() if path.startswith(old + "/"))]:
            place = new + path[len(old) :]
            raw = model.raw(seen.view, path)
            if raw.kind == "directory":
                made[place + "/"] = Object(b"", DIRECTORY, self._directory_meta(mount, path, raw))
            else:
                stored = model.objects[path]
                made[place] = self._rewritten(mount, path, stored.body, stored.meta)
        for key in [old + "/", *model.below(old)]:
            model.delete(key, by=mount)
        for key, one in made.items():
            model.put(key, one, by=mount)

    def _directory_meta(self, mount: str, path: str, raw: Shape) -> dict[str, str]:
        """Of the object that a directory gets when it is written anew."""
        meta = {"mode": str(stat.S_IFDIR | raw.mode), "uid": str(raw.uid), "gid": str(raw.gid)}
        stored = self.model.objects.get(path + "/")
        known = stored is not None and not self.model.doubtful(mount, path, self.now())
        mtime = stored.meta.get("mtime") if stored is not None and known else None
        return meta if mtime in (None, "0") else {**meta, "mtime": str(mtime)}  # 0 is as good as none

    @recorded
    def link(self, mount: str, user: str, old: str, new: str) -> None:
        """Never works."""
        refusal = getattr(errno, self.model.mounts[mount].view.release.link_refusal.value)
        found = Reasons({refusal}, {errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EPERM, errno.ENOTDIR})
        self._call({"link": old, "to": new, "in": mount, "as": user}, found, mount, user, [])
        self.settle()

    @recorded
    def symlink(self, mount: str, user: str, path: str, target: str) -> None:
        """The object's content is the target."""
        found = self._reasons(mount, user, path, "symlink")
        if self.model.current(mount, path).kind:
            found.must.add(errno.EEXIST)
        done = self._call({"symlink": path, "target": target, "in": mount, "as": user}, found, mount, user, [path])
        if done:
            meta = self._new_meta(user, stat.S_IFLNK | 0o777)
            self.model.put(path, Object(target.encode(), meta=meta), by=mount)
        self.settle(mount if done else "", [path])

    @recorded
    def readlink(self, mount: str, user: str, path: str) -> None:
        """EINVAL for what is no link."""
        found, shape = self._reasons(mount, user, path, "readlink"), self.model.current(mount, path)
        self._missing(found, shape)
        if shape.kind and shape.kind != "symlink":
            found.must.add(errno.EINVAL)
        step = {"readlink": path, "in": mount, "as": user}
        if self._call(step, found, mount, user, []):
            right = self.model.objects[path].body.decode()
            if self.last.target != right:
                text = f"{path} leads to {self.last.target!r}, not {right!r}"
                raise violation("content-is-right", text, self._again(step, {"target": right}))
        self.settle()

    # --- attributes ---

    @recorded
    def chmod(self, mount: str, user: str, path: str, mode: int) -> None:
        """Permission bits only."""
        step = {"chmod": path, "mode": f"{mode:04o}", "in": mount, "as": user}
        self._change(mount, user, path, step, call="chmod", change=lambda kind: {"mode": str(kind | mode)})

    @recorded
    def chown(self, mount: str, user: str, path: str, uid: int, gid: int) -> None:
        """Any owner may give a file away."""
        step = {"chown": path, "uid": uid, "gid": gid, "in": mount, "as": user}
        self._change(mount, user, path, step, call="chown", change=lambda kind: {"uid": str(uid), "gid": str(gid)})

    @recorded
    def utime(self, mount: str, user: str, path: str, mtime: int) -> None:
        """The time of access is the same."""
        step = {"utime": path, "mtime": mtime, "in": mount, "as": user}
        self._change(mount, user, path, step, call="utime", change=lambda kind: {"mtime": str(mtime)})

    def _change(
        self, mount: str, user: str, path: str, step: Step, *, call: str, change: Callable[[int], dict[str, str]]
    ) -> None:
        found, shape = self._reasons(mount, user, path, call), self.model.current(mount, path)
        self._missing(found, shape)
        if shape.kind == "symlink" or self._frozen(self.model.objects.get(path)):
            found.judged = False
        if not path:
            found.must.add(errno.EIO)
        if shape.kind == "directory" and self.model.doubtful(mount, path, self.now()):
            found.judged = False  # whether it has an object to be copied, the mount may have known better
        done = self._call(step, found, mount, user, [path])
        if done:
            model, seen = self.model, self.model.mounts[mount]
            local = seen.open.get(path)
            raw = model.raw(seen.view, path)
            if local is None and raw.kind == "directory":
                stored = model.objects.get(path + "/") or Object()
                whole = {**self._directory_meta(mount, path, raw), **change(stat.S_IFDIR)}
                fresh = seen.view.release.directory_metadata_recreates
                model.put(path + "/", Object(b"" if fresh else stored.body, DIRECTORY, whole), by=mount)
            elif local is None or not local.change(change(stat.S_IFREG), cached=seen.view.expire != 0):
                stored = model.objects[path]
                meta = {**stored.meta, **change(stat.S_IFREG)}
                model.put(path, self._rewritten(mount, path, stored.body, meta), by=mount)
        self.settle(mount if done else "", [path])

    @recorded
    def setxattr(self, mount: str, user: str, path: str) -> None:
        """Where the release wants use_xattr for it nobody can; elsewhere the owner can, and it is metadata."""
        if self.model.mounts[mount].view.release.xattr_default:
            step: Step = {"setxattr": path, "name": "user.fuzz", "value": "x", "in": mount, "as": user}
            self._change(mount, user, path, step, call="setxattr", change=lambda kind: {"xattr": _XATTR})
            return
        found = Reasons({errno.ENOTSUP}, {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR})
        step = {"setxattr": path, "name": "user.fuzz", "value": "x", "in": mount, "as": user}
        self._call(step, found, mount, user, [])
        self.settle()

    # --- looking, as anybody ---

    @recorded
    def lstat(self, mount: str, user: str, path: str) -> None:
        """What a user sees of a name."""
        model, now = self.model, self.now()
        found = self._reasons(mount, user, path, "stat")
        allowed = model.allowed(mount, path, now)
        local = model.mounts[mount].open.get(path)
        if len(allowed) > 1 or (local is not None and local.suspect) or model.is_wild(mount, path, now):
            found.judged = False
        else:
            found.judged = True
            self._missing(found, allowed[0])
            if not model.settled(mount, path, now):
                found.may.add(errno.ENOTDIR)  # what is above it may be a file here
            above = parents(path)[1:]
            if any(
                model.current(mount, one).kind != "directory" or not model.settled(mount, one, now) for one in above
            ):
                found.may |= {*PERMISSION, errno.ENOTDIR}  # of what there was, or of what is in the way
        step = {"lstat": path, "in": mount, "as": user}
        if self._call(step, found, mount, user, []) and self.last.stat is not None:
            seen = shape_of(self.last.stat)
            if seen not in allowed and not model.is_wild(mount, path, now):
                text = f"{path} on {mount} is {seen}, not {allowed[0]}"
                raise violation("names-are-found", text, self._again(step, expectation(allowed[0])))
        self.settle()

    @recorded
    def ls(self, mount: str, user: str, path: str) -> None:
        """What a user sees in a directory."""
        found, shape = self._reasons(mount, user, path, "list"), self.model.current(mount, path)
        self._missing(found, shape)
        if shape.kind and shape.kind != "directory":
            found.must.add(errno.ENOTDIR)
        if any(not one.hidden and one.new for one in self.model.mounts[mount].open.values()) and not shape.kind:
            found.judged = False
        step = {"ls": path, "in": mount, "as": user}
        if self._call(step, found, mount, user, []):
            right = self.model.names(path)
            names = sorted(name for name in self.last.entries or {} if not is_hidden(name))
            if names != right:
                text = f"{path!r} on {mount} lists {names}, not {right}"
                raise violation("listing-equals-server", text, self._again(step, {"entries": right}))
        self.settle()
