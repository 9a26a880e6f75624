"""A bucket, its mounts and the model of both, with every call that a fuzz run may make.

Each method carries out one step of the scenario language on the real thing, judges the answer by the model, and tells
the model what is so now. The steps are kept: `trace` is a scenario. No choice is made here; one thread, the runner's.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osscluster.errors import ClusterError
from ossvol.actions import observe
from ossvol.errors import StepImpossible
from ossvol.fuzz.calls import recorded
from ossvol.fuzz.judging import (
    READABLE,
    UMASK,
    Reasons,
    Step,
    as_text,
)
from ossvol.fuzz.model import Object, View
from ossvol.fuzz.name_calls import NameCalls
from ossvol.fuzz.violation import Violation, violation
from ossvol.observation import compare
from ossvol.scenario.model import STEP_MODELS

if TYPE_CHECKING:
    from ossvol.observation import Observation

__all__ = ["World"]


class World(NameCalls):
    """All of it: the calls of programs, another client, time, mounts, and the end of an example."""

    # --- the server, and time ---

    @recorded
    def put(self, key: str, body: str, content_type: str, meta: Mapping[str, str], storage_class: str) -> None:
        """Another client uploads, but no object whose name is a directory's already, nor the other way round."""
        model, name = self.model, key.rstrip("/")
        if (name if name != key else name + "/") in model.objects or (name == key and any(model.below(name))):
            return
        if self.laboratory.waits and storage_class not in READABLE:
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
        if spec is not None and self.beginning.origin is None:
            return
        refused = spec is not None and self._was_versioned
        self._answers({"mirror": None if spec is None else dict(spec)}, {"EIO"} if refused else set())
        if not refused:
            self.model.hosting.mirror = spec
        self.settle()

    @recorded
    def origin_put(self, key: str, body: str, acl: str) -> None:
        """Somebody uploads to the origin."""
        if self.beginning.origin is None:
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
        if self.beginning.origin is None:
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
            text = f"{as_text(step)}: {seen.errno or 'success'}, not {' or '.join(wanted) or 'success'}"
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
            meta = self._new_meta("root", stat.S_IFREG | (0o666 & ~UMASK))
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
            raise violation("mounts-live", f"{as_text(step)}: {seen.errno or seen.message}", self._again(step))
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
