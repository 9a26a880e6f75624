"""One call done and judged: what a step showed, against what the model says, and the comparison after it.

`Judge` carries steps out, keeps them (`trace` is a scenario) and knows the reasons for which a call may be refused. The
calls themselves are in `file_calls`, `name_calls` and `world`, which make one class of it. One thread, the runner's.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osscluster.volume import Syscalls, errno_name
from ossfuse.profile import find
from ossvol.actions import observe
from ossvol.fuzz.accounting import Account, delivered, query
from ossvol.fuzz.calls import Calls
from ossvol.fuzz.comparison import Bystander, Onlooker, compare_mounts, compare_server, is_hidden
from ossvol.fuzz.hosting import Hosting
from ossvol.fuzz.model import Local, Model, Object, Shape, View, parents, timed
from ossvol.fuzz.rights import USERS, refusals
from ossvol.fuzz.violation import Encounter, violation
from ossvol.scenario.model import STEP_MODELS
from ossvol.scenario.values import errno_code

if TYPE_CHECKING:
    from osscloud.accesslog import LogRecord
    from ossfuse.profile import Fixed
    from ossvol.fuzz.laboratory import Laboratory
    from ossvol.observation import Observation

__all__ = [
    "BUCKET",
    "DIRECTORY",
    "EMPTY",
    "ON_KERNEL",
    "PERMISSION",
    "READABLE",
    "UMASK",
    "WRITES",
    "Beginning",
    "Handle",
    "Judge",
    "MountPlan",
    "Reasons",
    "Step",
    "as_text",
]

BUCKET = "fuzz"
DIRECTORY = "application/x-directory"
UMASK = 0o022
READABLE = ("Standard", "IA")
PERMISSION = (errno.EACCES, errno.EPERM)
_LOOKING = frozenset(("lstat", "ls", "read", "readlink"))
_CLOSING = frozenset(("write", "append", "read", "truncate", "close"))
# The caches of a kernel know no virtual time; and one thread handles the RELEASE of a close before what comes next.
ON_KERNEL = "-s -o attr_timeout=0,entry_timeout=0"
WRITES = frozenset(
    ("PutObject", "CopyObject", "InitiateMultipartUpload", "CompleteUpload", "DeleteObject", "AppendObject")
)
_USERS = {user.name: user for user in USERS}
Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MountPlan:
    """How a volume is mounted. options: as on ossfs's command line; version: of ossfs, "" for the run's."""

    options: str = "-o allow_other"
    version: str = ""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the bucket holds first. objects: by key; versioning: its state; origin: what a mirror can fetch, None where
    there is none."""

    objects: Mapping[str, Object] = field(default_factory=dict)
    versioning: str = ""
    origin: Mapping[str, Object] | None = None


EMPTY = Beginning()


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


class Judge:
    """laboratory: where it all runs; plans: mounts by name; version: the release of those that name none; fixed:
    without its defects, which is what the model expects in any case. compare: whether the whole is compared after each
    step; it is after the last one in any case. met: listed defects that explain what broke, see `attribution`.

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
        beginning: Beginning = EMPTY,
    ) -> None:
        self.laboratory = laboratory
        self.plans, self.beginning = plans, beginning
        objects, versioning, origin = beginning.objects, beginning.versioning, beginning.origin
        self.asked = Calls()
        self.version, self.fixed = version, fixed
        self.compare = compare
        self.model = Model(Hosting(origin))
        self.trace: list[Step] = []
        self.handles: dict[str, Handle] = {}
        self.calls: Counter[str] = Counter()
        self.cells: Counter[tuple[str, str, str]] = Counter()
        self.explained: Counter[str] = Counter()
        self.steps = self.judged = 0
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
        releases = dict.fromkeys([version, *(plan.version or version for plan in plans.values())])
        self.judges = tuple(View.of("", release, fixed=True) for release in releases)
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
        changing = verb not in _LOOKING and (not seen.errno or any(one.operation in WRITES for one in seen.records))
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
                    "mounts-live", f"{as_text(step)}: {_name(code)}", self._again(step, {"errno": "ENOTCONN"})
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
            about_rights = bool({code, *reasons.must} & set(PERMISSION))
            name = "rights-equal-table" if about_rights else "answers-have-reasons"
            if verb == "link" and not code:
                name = "link-never-succeeds"
            raise violation(name, f"{as_text(step)}: {_name(code)}, not {' or '.join(told)}", self._again(step, expect))
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
            text = f"{as_text(step)}: {size} bytes, of which requests brought, or programs wrote, {known}"
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
        return stored is not None and stored.storage_class not in READABLE

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

    def _rewritten(self, mount: str, path: str, body: bytes, meta: Mapping[str, str], content_type: str = "") -> Object:
        """What a mount makes of an object that is there. meta: what it would be with an up-to-date view; content_type:
        "" for what the name says."""
        vague = self.model.doubtful(mount, path, self.now())
        return Object(body, content_type or Object().content_type, meta=meta, vague=vague)

    def _uploaded_type(self, mount: str, stored: Object) -> str:
        """The Content-Type with which a mount uploads an object that is there."""
        by_name = self.model.mounts[mount].view.release.upload_content_type_from_name
        return Object().content_type if by_name else stored.content_type

    def _when(self) -> float | None:
        """When the last step was done, None when time has passed meanwhile: between two attempts of an upload."""
        return self._now if self._now == self._began or self.slack else None


def _given(key: str, one: Object) -> Step:
    told: Step = {"key": key, "body": one.body.decode(), "content_type": one.content_type}
    return {**told, "meta": dict(one.meta)} if one.meta else told


def _name(code: int) -> str:
    return errno_name(code) if code else "success"


def as_text(step: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in step.items() if key != "expect")
