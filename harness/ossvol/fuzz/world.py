"""A bucket, its mounts and the model of both, with every call that a fuzz run may make.

Each method carries out one step of the scenario language on the real thing, judges the answer by the model, and tells
the model what is so now. The steps are kept: `trace` is a scenario. No choice is made here; one thread, the runner's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from osscluster.errors import ClusterError
from osscluster.volume import Syscalls, errno_name
from ossfuse.profile import find
from ossvol.actions import observe
from ossvol.errors import StepImpossible
from ossvol.fuzz.accounting import Account, delivered, query
from ossvol.fuzz.calls import Calls, recorded
from ossvol.fuzz.comparison import Bystander, Onlooker, compare_mounts, compare_server, expectation, is_hidden, shape_of
from ossvol.fuzz.hosting import Hosting
from ossvol.fuzz.model import Local, Model, Object, Shape, View, parents, timed
from ossvol.fuzz.rights import USERS, refusals
from ossvol.fuzz.violation import Encounter, Violation, violation
from ossvol.observation import compare
from ossvol.scenario.model import STEP_MODELS
from ossvol.scenario.values import errno_code

if TYPE_CHECKING:
    from osscloud.accesslog import LogRecord
    from ossfuse.profile import Fixed
    from ossvol.fuzz.laboratory import Laboratory
    from ossvol.observation import Observation

__all__ = ["ON_KERNEL", "Handle", "MountPlan", "Reasons", "Step", "World"]

BUCKET = "fuzz"
_DIRECTORY = "application/x-directory"
_UMASK = 0o022
_XATTR = "%7B%22user.fuzz%22%3A%22eA%3D%3D%22%7D"  # {"user.fuzz":"eA=="}, as every release writes it
_READABLE = ("Standard", "IA")
_PERMISSION = (errno.EACCES, errno.EPERM)
_LOOKING = frozenset(("lstat", "ls", "read", "readlink"))
_CLOSING = frozenset(("write", "append", "read", "truncate", "close"))
# The caches of a kernel know no virtual time; and one thread handles the RELEASE of a close before what comes next.
ON_KERNEL = "-s -o attr_timeout=0,entry_timeout=0"
_WRITES = frozenset(
    ("PutObject", "CopyObject", "InitiateMultipartUpload", "CompleteUpload", "DeleteObject", "AppendObject")
)
_USERS = {user.name: user for user in USERS}
Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MountPlan:
    """How a volume is mounted. options: as on ossfs's command line; version: of ossfs, "" for the run's."""

    options: str = "-o allow_other"
    version: str = ""


@dataclass(slots=True)
class Handle:
    """An open file. path: where the model has it now."""

    name: str
    mount: str
    path: str
    user: str
    reads: bool
    writes: bool
    appends: bool


@dataclass(slots=True)
class Reasons:
    """Errnos with which a call must, and may, fail. judged: whether the model can tell at all."""

    must: set[int] = field(default_factory=set)
    may: set[int] = field(default_factory=set)
    judged: bool = True


class World:
    """laboratory: where it all runs; plans: mounts by name; version: the release of those that name none; fixed:
    without its defects, which is what the model expects in any case. objects: what is in the bucket first, by key;
    versioning: its state then; origin: what a mirror can fetch, None where there is none. compare: whether the whole is
    compared after each step; it is after the last one in any case. met: listed defects that explain what broke, see
    `attribution`.

    Raises Violation from every method."""

    ON_HANDLES = frozenset(("write_handle", "read_handle", "fsync", "truncate_handle", "close"))

    def __init__(
        self,
        laboratory: Laboratory,
        plans: Mapping[str, MountPlan],
        *,
        version: str,
        fixed: Fixed = True,
        compare: bool = True,
        objects: Mapping[str, Object] = MappingProxyType({}),
        versioning: str = "",
        origin: Mapping[str, Object] | None = None,
    ) -> None:
        self.laboratory = laboratory
        self.plans, self.objects, self.versioned, self.origin = plans, objects, versioning, origin
        self.asked = Calls()
        self.version, self.fixed = version, fixed
        self.compare = compare
        self.model = Model(Hosting(origin))
        self.trace: list[Step] = []
        self.handles: dict[str, Handle] = {}
        self.calls: Counter[str] = Counter()
        self.cells: Counter[tuple[str, str, str]] = Counter()
        self.explained: Counter[str] = Counter()
        self.steps = self.judged = self.live = 0
        # A mount process has a clock of its own, and time of its own passes meanwhile.
        self.slack = 60.0 if laboratory.via == "kernel" else 0.0
        # A real binary that can't be told where the types are takes those of the machine.
        self.typed = not laboratory.ossfs or "mime" in find(version).options
        self.met: list[Encounter] = []
        self.unlisted = False
        self._changed = False
        self._hidden = 0
        self._opened = 0
        self._was_versioned = bool(versioning)
        self._ever: dict[tuple[str, str], dict[Shape, None]] = {}
        self.given: Step = {
            "bucket": {"name": BUCKET, **({"versioning": versioning} if versioning else {})},
            "volumes": {name: self._volume(plan) for name, plan in plans.items()},
            "containers": {
                user.name: {"uid": user.uid, "gid": user.gid, **({"groups": list(user.groups)} if user.groups else {})}
                for user in USERS
                if user.uid
            },
        }
        if objects:
            self.given["objects"] = [_given(key, one) for key, one in objects.items()]
        if origin is not None:
            there = [_given(key, one) for key, one in origin.items()]
            self.given["origin"] = {"s3": {"server": "cloud", "objects": there}}
        self.env = laboratory.begin(self.given, version=version, fixed=fixed)
        self._now = self._began = self.env.cloud.clock.now()
        self.model.objects.update(objects)
        self.model.advance(self._now)
        for name, plan in plans.items():
            self.model.mount(name, self._view(plan))
        self.judge = View.of("", version, fixed=True)
        self.account = Account(BUCKET, self.env.cloud.access_log)
        if versioning:
            self.account.versioning(versioning)
        for key, one in objects.items():
            self.account.put(key, len(one.body))
        self.verb = ""
        self._closed: dict[tuple[str, str], int] = {}

    def _volume(self, plan: MountPlan) -> Step:
        volume: Step = {"options": self.options(plan.options), "mime_types": ""}
        if plan.version:
            volume["version"] = plan.version
        if self.fixed and not isinstance(self.fixed, bool):
            volume["fixed"] = list(self.fixed)
        return volume

    def options(self, text: str) -> str:
        """What is really mounted with."""
        return f"{text} {ON_KERNEL}".strip() if self.laboratory.waits else text

    def _plain_options(self, mount: str) -> str:
        """What a mount is mounted with, without what `options` has added."""
        return self.env.pick(mount).spec.options.removesuffix(ON_KERNEL).strip()

    def _view(self, plan: MountPlan) -> View:
        return View.of(plan.options, plan.version or self.version, fixed=True)

    # --- looking ---

    def now(self) -> float:
        """Seconds since the epoch, as the cloud had them after the last step."""
        return self._now

    def census(self) -> dict[str, Object]:
        """What the bucket holds."""
        return self.laboratory.census.take(BUCKET)

    def process(self, mount: str, user: str) -> Syscalls:
        """The process of a user on a mount."""
        return self.env.syscalls(mount, user)

    def onlooker(self, mount: str) -> Onlooker:
        """Who compares, as root."""
        if self.laboratory.via == "kernel" and os.geteuid() == 0:
            return Bystander(self.env.mounted(mount).mountpoint)
        return self.process(mount, "root")

    def outdated(self, mount: str, path: str) -> list[Shape]:
        """Shapes that a name ever had on a mount."""
        over = self.model.mounts[mount].view.over
        return [over(shape) for shape in self._ever.get((mount, path), ())]

    def exists(self, path: str) -> bool:
        """Whether the name is there for anybody."""
        return self.model.exists(path)

    # --- one step ---

    def perform(self, step: Step) -> Observation:
        """Carries a step out and keeps it, with the errno that it showed."""
        self.verb = verb = next(iter(step))
        self._began = self._now
        seen = observe(self.env, STEP_MODELS[verb].model_validate(step))
        self._now = self.env.cloud.clock.now()
        changing = verb not in _LOOKING and (not seen.errno or any(one.operation in _WRITES for one in seen.records))
        self._changed = self._changed or changing
        self._mirrored(seen.records)
        self.steps += 1
        self.calls[verb] += 1
        self.trace.append({**step, "expect": {"errno": seen.errno}} if seen.errno else dict(step))
        for record in seen.records:
            if record.http_status >= 500 and not record.fault:
                raise violation(
                    "no-unasked-5xx", f"{record.operation} {record.object}: {record.http_status}", self._again(step)
                )
        return seen

    def _mirrored(self, records: Iterable[LogRecord]) -> None:
        """GETs that found nothing here and something at the origin."""
        for record in records:
            if record.bucket == BUCKET and record.operation == "GetObject" and record.delta_data_size is not None:
                found = self.model.hosting.fetched(record.object)
                if found is not None and record.object not in self.model.objects:
                    self.model.put(record.object, found)
                    self._changed = True

    def _again(self, step: Step, expect: Mapping[str, Any] | None = None) -> Step:
        """The step just done as the one that shows the failure: it leaves the trace."""
        self.trace.pop()
        return {**step, "expect": dict(expect)} if expect else dict(step)

    def _call(self, step: Step, reasons: Reasons, mount: str, user: str, own: Sequence[str]) -> bool | None:
        """Performs and judges. True: done; False: refused, rightly; None: the model cannot tell, and has taken over
        what the server says of the names in `own`."""
        alive = self.model.mounts[mount].alive
        seen = self.perform(step)
        if self.laboratory.via == "kernel" and not _CLOSING.isdisjoint(step):
            # The kernel does not wait for a RELEASE; whatever is asked next is answered after it.
            with contextlib.suppress(OSError):
                self.onlooker(mount).statvfs("")
        code = errno_code(seen.errno) if seen.errno else 0
        if not alive:
            if code != errno.ENOTCONN and code not in reasons.may:
                raise violation(
                    "mounts-live", f"{_text(step)}: {_name(code)}", self._again(step, {"errno": "ENOTCONN"})
                )
            return False
        if code in (errno.ENOTCONN, errno.ECONNABORTED):
            raise violation("mounts-live", f"{mount} has ended by itself", self._again(step))
        self.last = seen
        self._supply(mount)
        if not reasons.judged:
            self.adopt(own, mount)
            return None
        self.judged += 1
        verb = next(iter(step))
        self.cells[verb, user, _name(code)] += 1
        wrong = code not in reasons.must | reasons.may if code else bool(reasons.must)
        if wrong:
            told = sorted(_name(one) for one in reasons.must) or ["success"]
            expect = {"errno": told if len(told) > 1 else told[0]} if reasons.must else None
            about_rights = bool({code, *reasons.must} & set(_PERMISSION))
            name = "rights-equal-table" if about_rights else "answers-have-reasons"
            if verb == "link" and not code:
                name = "link-never-succeeds"
            raise violation(name, f"{_text(step)}: {_name(code)}, not {' or '.join(told)}", self._again(step, expect))
        return not code

    def _supply(self, mount: str) -> None:
        """What the step's requests brought to files that are open."""
        for path, local in self.model.mounts[mount].open.items():
            for record in self.last.records:
                if record.operation == "GetObject" and (record.object == path or local.hidden):
                    local.supply += record.bytes_out

    def _supplied(self, step: Step, mount: str, path: str, local: Local | None) -> None:
        """What was read is no more than what the mount can know."""
        size = len(self.last.body or b"")
        known = delivered(self.last.records, path) if local is None else local.supply
        if self.laboratory.via == "kernel":
            # The RELEASE of an open before may come late, so that the file is open still.
            known += self._closed.get((mount, path), 0)
        self._closed[mount, path] = known
        if size > known:
            text = f"{_text(step)}: {size} bytes, of which requests brought, or programs wrote, {known}"
            asked = [one.object for one in self.last.records if one.operation == "GetObject"]
            if asked:
                shows = query({"operation": "GetObject", "object": asked[0], "bytes_out": size})
            else:
                shows = self._again(step, {"requests": {"GetObject": ">=1"}})
            raise violation("log-explains-bytes", text, shows)

    def settle(self, mount: str = "", own: Iterable[str] = (), *, deep: bool = False) -> None:
        """The step is over: the past begins, and everything is compared."""
        # What only looked, or was refused without a request that writes, is judged by its own answer.
        if self._changed:
            for name, one in self.model.mounts.items():
                for path, shape in one.shown.items():
                    known = self._ever.setdefault((name, path), {})
                    known[shape] = None
            if self.model.hidden or self.model.hidden_files():
                self.model.hidden = {key for key in self.census() if is_hidden(key)}
            self.model.advance(self.now(), by=mount, own=own, deep=deep)
        if self.compare:
            compare_server(self)
            if self._changed:
                compare_mounts(self)
        self._changed = False

    def check(self) -> None:
        """The whole against the model."""
        compare_server(self)
        self.account.require_versions(self.env.cloud.admin.versions(BUCKET))
        compare_mounts(self, every=True)

    def adopt(self, scopes: Iterable[str], mount: str) -> None:
        """Takes the server's word for the names in `scopes` and everything below them."""
        there = {key: found for key, found in self.census().items() if not is_hidden(key)}
        objects, opened = self.model.objects, self.model.mounts[mount].open
        named = list(scopes)
        for scope in [*named, *(opened[path].elsewhere for path in named if path in opened and opened[path].elsewhere)]:
            keys = [key for key in {**objects, **there} if key in (scope, scope + "/") or key.startswith(scope + "/")]
            for key in keys:
                if key not in there:
                    self.model.delete(key)
                elif objects.get(key) != there[key]:
                    self.model.put(key, there[key])
            self.model.confuse(mount, scope, self.now())
            for path, local in opened.items():
                if path == scope or path.startswith(scope + "/"):
                    local.suspect = True

    # --- reasons ---

    def _reasons(self, mount: str, user: str, path: str, call: str) -> Reasons:
        """What rights and the way to a name have to say."""
        model, now = self.model, self.now()
        view = model.mounts[mount].view
        found = Reasons(judged=model.settled(mount, path, now) and not self._odd(view, path))
        above = []
        for one in parents(path):
            shape = model.current(mount, one)
            if shape.kind != "directory":
                found.must.add(errno.ENOTDIR if shape.kind else errno.ENOENT)
                if self._odd(view, one):
                    found.judged = False
                break
            above.append(shape)
        must, may = refusals(
            view, _USERS[user], call, above, model.current(mount, path), owner=model.owner(mount, path)
        )
        found.must |= must
        found.may |= may
        return found

    def _odd(self, view: View, path: str) -> bool:
        """Objects that stand for a name in a way that calls other than stat stumble over."""
        objects = self.model.objects
        kind = self.model.raw(view, path).kind if path else "directory"
        return (path in objects and (kind == "directory" or path + "/" in objects)) or (
            path + "/" in objects and kind != "directory"
        )

    def _missing(self, found: Reasons, shape: Shape) -> None:
        if not shape.kind:
            found.must.add(errno.ENOENT)

    def _file(self, mount: str, user: str, path: str, call: str) -> tuple[Reasons, Shape]:
        """A call on the content of a file that exists."""
        found, shape = self._reasons(mount, user, path, call), self.model.current(mount, path)
        self._missing(found, shape)
        if shape.kind == "directory":
            found.must.add(errno.EISDIR)
        stored = self.model.objects.get(path)
        if shape.kind == "symlink" or self._frozen(stored):
            found.judged = False
        return found, shape

    @staticmethod
    def _frozen(stored: Object | None) -> bool:
        """Whether it has to be restored before anybody can read or copy it."""
        return stored is not None and stored.storage_class not in _READABLE

    def _creating(self, mount: str, user: str, path: str) -> tuple[Reasons, Shape]:
        """A call on a file that is made where it is missing."""
        shape = self.model.current(mount, path)
        if shape.kind:
            return self._file(mount, user, path, "write")
        return self._reasons(mount, user, path, "create"), shape

    def _flush(self, mount: str, user: str, path: str, shape: Shape) -> bool:
        """Whether close(2) of the file is granted: ossfs asks for R, of a writer too."""
        view = self.model.mounts[mount].view
        above = [self.model.current(mount, one) for one in parents(path)]
        return not refusals(view, _USERS[user], "flush", above, shape)[0]

    def _new_meta(self, user: str, mode: int) -> dict[str, str]:
        who = _USERS[user]
        return self._written({"mode": str(mode), "uid": str(who.uid), "gid": str(who.gid)})

    def _written(self, meta: Mapping[str, str]) -> dict[str, str]:
        """The metadata of what was written in the last step."""
        return timed(meta, self._when())

    def _rewritten(self, mount: str, path: str, body: bytes, meta: Mapping[str, str]) -> Object:
        """What a mount makes of an object that is there. meta: what it would be with an up-to-date view."""
        return Object(body, meta=meta, vague=self.model.doubtful(mount, path, self.now()))

    def _when(self) -> float | None:
        """When the last step was done, None when time has passed meanwhile: between two attempts of an upload."""
        return self._now if self._now == self._began or self.slack else None

    # --- content by path ---

    @recorded
    def write(self, mount: str, user: str, path: str, body: str, *, append: bool = False) -> None:
        """As the shell's `>` and `>>`."""
        found, shape = self._creating(mount, user, path)
        seen = self.model.mounts[mount]
        local = seen.open.get(path)
        stored = self.model.objects.get(path)
        meta = self._new_meta(user, stat.S_IFREG | (0o666 & ~_UMASK))
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
                    self.model.put(path, self._rewritten(mount, path, content, self._written(stored.meta)), by=mount)
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
            text = f"{_text(step)}: {(self.last.body or b'')[:60]!r}, not {right[:60]!r}"
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
                self.model.put(path, self._rewritten(mount, path, body, timed(stored.meta, None)), by=mount)
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
            local.meta = self._new_meta(user, stat.S_IFREG | (0o666 & ~_UMASK))
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

    # --- names ---

    @recorded
    def mkdir(self, mount: str, user: str, path: str) -> None:
        """Mode 0755 after the umask."""
        found, shape = self._reasons(mount, user, path, "mkdir"), self.model.current(mount, path)
        if shape.kind:
            found.must.add(errno.EEXIST)
        done = self._call({"mkdir": path, "in": mount, "as": user}, found, mount, user, [path])
        if done:
            meta = self._new_meta(user, 0o777 & ~_UMASK)
            self.model.put(path + "/", Object(b"", _DIRECTORY, meta), by=mount)
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
            if not whole or self._open_below(old) or (user != "root" and inner) or model.hidden_files():
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
        asked = any(is_hidden(one.object) and one.operation in _WRITES for one in self.last.records)
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
                made[place + "/"] = Object(b"", _DIRECTORY, self._directory_meta(mount, path, raw))
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
            if local is not None:
                if not local.change(change(stat.S_IFREG), cached=seen.view.expire != 0):
                    stored = model.objects[path]
                    meta = {**stored.meta, **change(stat.S_IFREG)}
                    model.put(path, self._rewritten(mount, path, stored.body, meta), by=mount)
            elif raw.kind == "directory":
                stored = model.objects.get(path + "/") or Object()
                whole = {**self._directory_meta(mount, path, raw), **change(stat.S_IFDIR)}
                fresh = seen.view.release.directory_metadata_recreates
                model.put(path + "/", Object(b"" if fresh else stored.body, _DIRECTORY, whole), by=mount)
            else:
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
                found.may |= {*_PERMISSION, errno.ENOTDIR}  # of what there was, or of what is in the way
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
            names = sorted(name for name in self.last.entries or {} if not name.startswith(".fuse_hidden"))
            if names != right:
                text = f"{path!r} on {mount} lists {names}, not {right}"
                raise violation("listing-equals-server", text, self._again(step, {"entries": right}))
        self.settle()

    # --- the server, and time ---

    @recorded
    def put(self, key: str, body: str, content_type: str, meta: Mapping[str, str], storage_class: str) -> None:
        """Another client uploads, but no object whose name is a directory's already, nor the other way round."""
        model, name = self.model, key.rstrip("/")
        if (name if name != key else name + "/") in model.objects or (name == key and any(model.below(name))):
            return
        if self.laboratory.waits and storage_class not in _READABLE:
            storage_class = "IA"  # a refused read is tried again, after seconds of real time
        step: Step = {"put": key, "body": body, "content_type": content_type}
        if meta:
            step["meta"] = dict(meta)
        if storage_class != "Standard":
            step["storage_class"] = storage_class
        self.perform(step)
        self.model.put(key, Object(body.encode(), content_type, dict(meta), storage_class))
        self.account.put(key, len(body.encode()))
        self.settle()

    @recorded
    def delete(self, key: str) -> None:
        """Another client deletes."""
        self.perform({"delete": key})
        self.model.delete(key)
        self.account.delete(key)
        self.settle()

    @recorded
    def versioning(self, state: str) -> None:
        """No mount sees any of it. A bucket that mirrors cannot have it."""
        if self.model.hosting.mirror is not None:
            return
        self._was_versioned = True
        self.perform({"versioning": state})
        self.account.versioning(state)
        self.settle()

    @recorded
    def website(self, spec: Mapping[str, Any] | None) -> None:
        """Another client switches it, None: off."""
        self._answers({"website": None if spec is None else dict(spec)}, set())
        self.model.hosting.website = spec
        self.settle()

    @recorded
    def mirror(self, spec: Mapping[str, Any] | None) -> None:
        """Another client switches it, None: off. A bucket that was ever versioned is refused one."""
        if spec is not None and self.origin is None:
            return
        refused = spec is not None and self._was_versioned
        self._answers({"mirror": None if spec is None else dict(spec)}, {"EIO"} if refused else set())
        if not refused:
            self.model.hosting.mirror = spec
        self.settle()

    @recorded
    def origin_put(self, key: str, body: str, acl: str) -> None:
        """Somebody uploads to the origin."""
        if self.origin is None:
            return
        hosting = self.model.hosting
        self._answers({"origin_put": key, "body": body, "content_type": "text/plain", "acl": acl}, set())
        hosting.origin[key] = Object(body.encode(), "text/plain")
        hosting.private.discard(key)
        if acl == "private":
            hosting.private.add(key)
        self.settle()

    @recorded
    def origin_delete(self, key: str) -> None:
        """Somebody deletes there."""
        if self.origin is None:
            return
        self._answers({"origin_delete": key}, set())
        self.model.hosting.origin.pop(key, None)
        self.model.hosting.private.discard(key)
        self.settle()

    @recorded
    def get(self, key: str) -> None:
        """Another client reads: what is missing comes from the origin, or is a page of the website."""
        model = self.model
        stored, hosting = model.objects.get(key), model.hosting
        place = hosting.place(key)
        right = stored
        if stored is None and place is not None and not hosting.pages and place not in hosting.private:
            right = hosting.origin.get(place)
        told = {"EPERM"} if self._frozen(stored) else {"ENOENT"} if right is None else set()
        if right is None and place in hosting.private:
            told = {"EIO"}
        pages = hosting.website is not None and (stored is None or key.endswith("/"))
        seen = self._answers({"get": key}, None if pages else told)
        if right is not None and not told and not pages and seen.body != right.body:
            text = f"{key} is {(seen.body or b'')[:60]!r}, not {right.body[:60]!r}"
            raise violation("content-is-right", text, self._again({"get": key}, {"body": right.body.decode("latin-1")}))
        if stored is None and not told and not pages and (found := hosting.fetched(key)) is not None:
            model.put(key, found)
            self._changed = True
        self.settle()

    def _answers(self, step: Step, told: set[str] | None) -> Observation:
        """Performs what another client does, which has to end as told: errnos, none for success; None: anyhow."""
        seen = self.perform(step)
        if told is not None and (seen.errno not in told if told else seen.errno):
            wanted = sorted(told)
            expect = {"errno": wanted[0]} if wanted else None
            text = f"{_text(step)}: {seen.errno or 'success'}, not {' or '.join(wanted) or 'success'}"
            raise violation("answers-have-reasons", text, self._again(step, expect))
        return seen

    @recorded
    def advance(self, seconds: float) -> None:
        """Time passes for the cloud and every mount; a real ossfs keeps the machine's."""
        if self.laboratory.real_time:
            return
        self.perform({"advance": seconds})
        self.settle()

    @recorded
    def refused_write(self, mount: str, path: str, body: str, status: int, *, append: bool = False) -> None:
        """The next upload of a name meets an error: 403 is told at once and changes nothing, 503 is tried again."""
        found, shape = self._creating(mount, "root", path)
        if found.must or not found.judged or path in self.model.mounts[mount].open or shape.kind == "symlink":
            return
        if not body and shape.kind and (append or not shape.size):
            return  # nothing would be uploaded
        if status != 403 and self.laboratory.waits:
            return  # between attempts a mount process waits for seconds of real time
        code = "AccessDenied" if status == 403 else "ServiceUnavailable"
        fault = {"operation": "PutObject", "key": path, "status": status, "code": code}
        self.perform({"fault": fault})
        if status != 403:
            self.write(mount, "root", path, body, append=append)
            return
        found.must.add(errno.EPERM)
        self._call(
            {"append" if append else "write": path, "body": body, "in": mount, "as": "root"},
            found,
            mount,
            "root",
            [path],
        )
        if not shape.kind:
            meta = self._new_meta("root", stat.S_IFREG | (0o666 & ~_UMASK))
            view = self.model.mounts[mount].view
            for size in {0, len(body)}:
                self.model.linger(mount, path, view.shape(path, Object(bytes(size), meta=meta)), self.now())
        self.settle()

    # --- mounts ---

    @recorded
    def remount(self, mount: str, options: str) -> None:
        """Other options, after every file is closed."""
        self.close_all(mount)
        self._mounted(mount, {"remount": {"options": self.options(options)}, "in": mount}, options)

    def _mounted(self, mount: str, step: Step, options: str) -> None:
        seen = self.perform(step)
        if seen.errno or seen.returncode:
            raise violation("mounts-live", f"{_text(step)}: {seen.errno or seen.message}", self._again(step))
        self.laboratory.remember()
        self.model.mount(mount, View.of(options, self.env.pick(mount).spec.version, fixed=True))
        self.settle()

    @recorded
    def kill(self, mount: str) -> None:
        """The mount's process dies; it is unmounted and mounted again. What was not flushed is lost."""
        seen = self.model.mounts[mount]
        self.perform({"kill": None, "in": mount})
        seen.alive = False
        self.model.litter = self.model.litter or any(local.hidden for local in seen.open.values())
        for name in [name for name, handle in self.handles.items() if handle.mount == mount]:
            handle = self.handles[name]
            if self._local(handle).suspect:
                # The kernel has given up an inode that became another type (EIO).
                self.perform({"close": f"@{name}"})  # of a directory there is nothing to flush
            else:
                self._call({"close": f"@{name}"}, Reasons(), mount, "root", [])
            self._forget(handle)
        seen.open.clear()
        self._call({"lstat": "", "in": mount, "as": "root"}, Reasons(), mount, "root", [])
        self.perform({"unmount": None, "in": mount})
        options = self._plain_options(mount)
        self._mounted(mount, {"mount": {"options": self.options(options)}, "in": mount}, options)

    @recorded
    def rotate_key(self) -> None:
        """Mounts keep the key that they began with: they are refused from then on, until they are mounted anew."""
        for mount in self.model.mounts:
            self.close_all(mount)
        self.perform({"rotate_key": None})
        for mount in self.model.mounts:
            found = Reasons({errno.EPERM})
            self._call({"ls": "", "in": mount, "as": "root"}, found, mount, "root", [])
        compare, self.compare = self.compare, False
        for mount in self.model.mounts:
            self.remount(mount, self._plain_options(mount))
        self.compare = compare
        self.settle()

    # --- the end ---

    def finish(self) -> None:
        """Closes what is open, waits for every cache to expire, and compares for the last time."""
        for mount in self.model.mounts:
            self.close_all(mount)
        if self.model.hosting.website is not None:
            self.website(None)
        if self.model.hosting.mirror is not None:
            self.mirror(None)
        if not self.laboratory.real_time:  # a real one keeps the machine's time
            self.perform({"advance": 2000.0})
        self.model.advance(self.now())
        self.check()

    @recorded
    def hold(self, step: Step) -> None:
        """An application's invariant, as a step with the expectation that says it."""
        model = STEP_MODELS[next(iter(step))].model_validate(step)
        try:
            wrong = [str(one) for one in compare(model.expect, observe(self.env, model))]
        except (StepImpossible, ClusterError) as error:
            wrong = [str(error)]
        if wrong:
            raise violation("application-invariant", ", ".join(wrong), step)

    def blame(self, found: Violation) -> None:
        """A property does not hold: raises it."""
        raise found

    def lead_to(self, failure: Violation) -> None:
        """Gives a violation the steps that led to it, the last one with the expectation that it breaks."""
        failure.world, failure.given = self, self.given
        failure.steps = (*self.trace, *([dict(failure.step)] if failure.step is not None else []))


def _given(key: str, one: Object) -> Step:
    told: Step = {"key": key, "body": one.body.decode(), "content_type": one.content_type}
    return {**told, "meta": dict(one.meta)} if one.meta else told


def _name(code: int) -> str:
    return errno_name(code) if code else "success"


def _text(step: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in step.items() if key != "expect")
