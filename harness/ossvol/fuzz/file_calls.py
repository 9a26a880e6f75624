"""Calls on the content of files, by path and through what is open, each judged by the model. See `judging`."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from ossvol.fuzz.accounting import delivered
from ossvol.fuzz.calls import recorded
from ossvol.fuzz.judging import (
    UMASK,
    Handle,
    Judge,
    Reasons,
    Step,
    as_text,
)
from ossvol.fuzz.model import Local, Object, timed
from ossvol.fuzz.violation import violation

if TYPE_CHECKING:
    pass

__all__ = ["FileCalls"]


class FileCalls(Judge):
    """What programs do to files."""

    # --- content by path ---

    @recorded
    def write(self, mount: str, user: str, path: str, body: str, *, append: bool = False) -> None:
        """As the shell's `>` and `>>`."""
        found, shape = self._creating(mount, user, path)
        seen = self.model.mounts[mount]
        local = seen.open.get(path)
        stored = self.model.objects.get(path)
        meta = self._new_meta(user, stat.S_IFREG | (0o666 & ~UMASK))
        after = shape if shape.kind else seen.view.over(seen.view.shape(path, Object(meta=meta)))
        if not found.must and not self._flush(mount, user, path, after):
            # The content is gone, or never comes: what of it, is not for the model to say.
            found.judged = False
        verb = "append" if append else "write"
        done = self._call({verb: path, "body": body, "in": mount, "as": user}, found, mount, user, [path])
        if done:
            data = body.encode()
            if local is not None:
                content = bytes(local.content) + data if append else data
                if content != bytes(local.content) or data:
                    local.touch(self._when())
                local.supply += len(data)
                local.content[:] = content
                self.model.upload(mount, path, self.now())
            elif stored is not None:
                content = stored.body + data if append else data
                if content != stored.body or data:
                    written, kind = self._written(stored.meta), self._uploaded_type(mount, stored)
                    self.model.put(path, self._rewritten(mount, path, content, written, kind), by=mount)
            else:
                self.model.put(path, Object(data, meta=self._written(meta)), by=mount)
        self.settle(mount if done else "", [path])

    @recorded
    def read(self, mount: str, user: str, path: str) -> None:
        """Open, read to the end, close."""
        found, _ = self._file(mount, user, path, "read")
        step = {"read": path, "in": mount, "as": user}
        if self._call(step, found, mount, user, []):
            local = self.model.mounts[mount].open.get(path)
            right = bytes(local.content) if local is not None else self.model.objects[path].body
            self._content(step, right)
            self._supplied(step, mount, path, local)
        self.settle()

    def _content(self, step: Step, right: bytes) -> None:
        if self.last.body != right:
            text = f"{as_text(step)}: {(self.last.body or b'')[:60]!r}, not {right[:60]!r}"
            raise violation("content-is-right", text, self._again(step, {"body": right.decode("latin-1")}))

    @recorded
    def truncate(self, mount: str, user: str, path: str, size: int) -> None:
        """truncate(2)."""
        found, _ = self._file(mount, user, path, "truncate")
        step = {"truncate": path, "size": size, "in": mount, "as": user}
        done = self._call(step, found, mount, user, [path])
        if done:
            local = self.model.mounts[mount].open.get(path)
            if local is not None:
                self._resize(local, size)
                if not any(self.handles[name].writes for name in local.handles):
                    self.model.upload(mount, path, self.now())  # no close will do it
            else:
                stored = self.model.objects[path]
                body = stored.body[:size].ljust(size, b"\0")
                cut, kind = timed(stored.meta, None), self._uploaded_type(mount, stored)
                self.model.put(path, self._rewritten(mount, path, body, cut, kind), by=mount)
        self.settle(mount if done else "", [path])

    def _resize(self, local: Local, size: int) -> None:
        if size != len(local.content):
            local.supply += max(0, size - len(local.content))
            local.content[:] = bytes(local.content[:size]).ljust(size, b"\0")
            local.touch(None)

    # --- open files ---

    @recorded
    def open(self, mount: str, user: str, path: str, flags: str) -> str:
        """Opens; the handle's name, "" when there is none."""
        creates = flags[0] in "wax"
        if creates:
            found, shape = self._creating(mount, user, path)
            if flags[0] == "x" and shape.kind:
                found.must.add(errno.EEXIST)
        else:
            found, shape = self._file(mount, user, path, "read" if flags == "r" else "write")
            if flags == "r" and shape.kind == "directory":
                found.must.discard(errno.EISDIR)
                found.judged = False
        self._opened += 1
        name = f"h{self._opened}"
        done = self._call(
            {"open": path, "flags": flags, "handle": name, "in": mount, "as": user}, found, mount, user, [path]
        )
        if done is not False and name in self.env.handles:
            self._keep(Handle(name, mount, path, user, flags[0] == "r" or "+" in flags, flags != "r", flags[0] == "a"))
            if done:
                self._opened_file(mount, user, path, flags, name)
            else:
                self._track(mount, path, name, suspect=True)
        self.settle(mount if done else "", [path] if creates else [])
        return name if name in self.handles else ""

    def _keep(self, handle: Handle) -> None:
        self.handles[handle.name] = handle

    def _track(self, mount: str, path: str, name: str, *, suspect: bool) -> Local:
        seen = self.model.mounts[mount]
        local = seen.open.get(path)
        if local is None:
            stored = self.model.objects.get(path, Object())
            local = seen.open[path] = Local(bytearray(stored.body), dict(stored.meta), suspect=suspect)
            local.content_type = self._uploaded_type(mount, stored)
            local.vague = self.model.doubtful(mount, path, self.now())
            local.supply = delivered(self.last.records, path)
        local.suspect = local.suspect or suspect
        local.handles.add(name)
        return local

    def _opened_file(self, mount: str, user: str, path: str, flags: str, name: str) -> None:
        known = self.model.current(mount, path).kind
        local = self._track(mount, path, name, suspect=False)
        if not known:
            local.new = True
            local.meta = self._new_meta(user, stat.S_IFREG | (0o666 & ~UMASK))
            local.shown = dict(local.meta)
            if self.model.mounts[mount].view.release.create_uploads_empty:
                self.model.upload(mount, path, self.now())
        elif flags[0] == "w" and local.content:
            local.content[:] = b""
            local.touch(self._when())
            self.model.upload(mount, path, self.now())

    def _local(self, handle: Handle) -> Local:
        return self.model.mounts[handle.mount].open[handle.path]

    def _of_handle(self, handle: Handle) -> Reasons:
        local = self._local(handle)
        return Reasons(judged=not local.suspect)

    @recorded
    def write_handle(self, name: str, body: str, offset: int) -> None:
        """pwrite(2); a handle that appends writes at the end."""
        handle = self.handles[name]
        found = self._of_handle(handle)
        if not handle.writes and body:
            found.must.add(errno.EBADF)
        step: Step = {"write": f"@{name}", "body": body}
        if not handle.appends:
            step["offset"] = offset
        done = self._call(step, found, handle.mount, handle.user, [handle.path])
        local = self._local(handle)
        if done and body:
            at = len(local.content) if handle.appends else offset
            data = body.encode()
            local.supply += len(data) + max(0, at - len(local.content))
            if len(local.content) < at:
                local.content += bytes(at - len(local.content))
            local.content[at : at + len(data)] = data
            local.touch(self._when())
        self.settle(handle.mount if done else "", [handle.path])

    @recorded
    def read_handle(self, name: str) -> None:
        """pread(2) from the beginning to the end."""
        handle = self.handles[name]
        found = self._of_handle(handle)
        if not handle.reads:
            found.must.add(errno.EBADF)
        step = {"read": f"@{name}", "offset": 0}
        if self._call(step, found, handle.mount, handle.user, []):
            local = self._local(handle)
            self._content(step, bytes(local.content))
            self._supplied(step, handle.mount, handle.path, local)
        self.settle()

    @recorded
    def fsync(self, name: str) -> None:
        """The server has what was written, once this returns."""
        handle = self.handles[name]
        found = self._of_handle(handle)
        local = self._local(handle)
        done = self._call({"fsync": f"@{name}"}, found, handle.mount, handle.user, [handle.path])
        if done and handle.writes and not local.hidden:
            self.model.upload(handle.mount, handle.path, self.now())
        self.settle(handle.mount if done else "", [handle.path])

    @recorded
    def truncate_handle(self, name: str, size: int) -> None:
        """ftruncate(2), which ossfs knows by the path only."""
        handle = self.handles[name]
        local = self._local(handle)
        if local.hidden:
            found = Reasons(judged=False)
        else:
            found = self._reasons(handle.mount, handle.user, handle.path, "truncate")
        found.judged = found.judged and not local.suspect
        if not handle.writes:
            found.must = {errno.EINVAL}
        step = {"truncate": f"@{name}", "size": size}
        done = self._call(step, found, handle.mount, handle.user, [handle.path])
        same = done and size == len(local.content)
        if done:
            self._resize(local, size)
        self.settle(handle.mount if done else "", [handle.path])
        if same:
            # One more open, which takes the metadata of before an upload.
            self.model.doubt(handle.mount, handle.path, self.now())

    @recorded
    def close(self, name: str) -> None:
        """close(2): uploads, and says so when it can't."""
        handle = self.handles[name]
        local = self._local(handle)
        found = Reasons(judged=False)
        if not local.hidden:
            found = self._reasons(handle.mount, handle.user, handle.path, "flush")
            self._missing(found, self.model.current(handle.mount, handle.path))
        found.judged = found.judged and not local.suspect
        done = self._call({"close": f"@{name}"}, found, handle.mount, handle.user, [handle.path])
        local.refused = local.refused or not done
        if done and (handle.writes or len(local.handles) == 1) and not local.refused:
            # Whoever closes last: what was acknowledged, a truncate by path too, has to be on the server now.
            self.model.upload(handle.mount, handle.path, self.now())
        self._forget(handle)
        self.settle(handle.mount if done else "", [handle.path])

    def _forget(self, handle: Handle) -> None:
        del self.handles[handle.name]
        seen = self.model.mounts[handle.mount]
        local = seen.open.get(handle.path)
        if local is not None:
            local.handles.discard(handle.name)
            if not local.handles:
                del seen.open[handle.path]
                if local.suspect or local.refused:
                    self.model.confuse(handle.mount, handle.path, self.now())

    def close_all(self, mount: str) -> None:
        """Every handle on a mount."""
        for name in [name for name, handle in self.handles.items() if handle.mount == mount]:
            self.close(name)

    def _hide(self, mount: str, path: str) -> None:
        """An open file loses its name."""
        seen = self.model.mounts[mount]
        local = seen.open.pop(path, None)
        if local is None:
            return
        self._hidden += 1
        place = f"\0{self._hidden}"
        local.hidden = True
        seen.open[place] = local
        for handle in self.handles.values():
            if handle.mount == mount and handle.path == path:
                handle.path = place
