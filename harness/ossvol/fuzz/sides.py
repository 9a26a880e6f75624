"""The two sides of a differential run: each with an engine, a bucket and mounts of its own; what a step shows there.

What is seen of a side is a `Shown` and a `Trace`, as `ossvol parity` has them, so that its comparison and its list of
known differences serve here too. One thread, the runner's; `Witness` lives beside the side's service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from osscloud.service import OssService
from osscluster.errors import CallTimeout, ProcessDied
from osscluster.kernel import KernelEngine
from ossfuse.profile import Fixed
from ossvol.actions import observe
from ossvol.environment import Environment
from ossvol.errors import StepImpossible
from ossvol.fuzz.laboratory import Laboratory
from ossvol.observation import Observation
from ossvol.parity.recorder import Recorder, Times, describe, in_order, masked
from ossvol.parity.replay import Shown, Trace, data_fields, stat_fields
from ossvol.scenario.model import STEP_MODELS

__all__ = ["Side", "Sides", "Witness", "step_text"]

_CALL_SECONDS = 20.0
_FRACTION = re.compile(r"\bnow\+")
Step = Mapping[str, Any]


class Witness:
    """Sees every request to a service, and what a bucket of it holds."""

    def __init__(self, service: OssService) -> None:
        self._admin = service.admin
        self._times = Times(service.clock)
        self._recorder = Recorder(service, self._times)

    def take(self, bucket: str) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
        """Requests since the last call, objects by key, keys of unfinished uploads."""
        objects = {}
        for key in self._admin.keys(bucket):
            view = self._admin.object(bucket, key)
            if view is not None:
                objects[masked(key)] = describe(view, self._times)
        uploads = tuple(sorted({masked(key) for key, _ in self._admin.uploads(bucket)}))
        return self._recorder.take(), objects, uploads

    def forget(self) -> None:
        """Requests up to now are nobody's."""
        self._recorder.take()


@dataclass(frozen=True, slots=True)
class _Seen:
    """observation: for who goes on from there; trace: for the comparison; usable: whether there is a going on."""

    observation: Observation
    trace: Trace
    usable: bool = True


class Side:
    """name: what reports call it. whole_seconds: times are compared without their fraction."""

    def __init__(self, name: str, laboratory: Laboratory, *, whole_seconds: bool = False) -> None:
        self.name = name
        self.laboratory = laboratory
        self._whole_seconds = whole_seconds
        engine = laboratory.engine
        if isinstance(engine, KernelEngine):
            engine.call_timeout = _CALL_SECONDS
        self._witness = engine.cloud.install(Witness)
        self._times = Times(engine.cloud.clock)

    @property
    def environment(self) -> Environment:
        """The one in use."""
        assert self.laboratory.environment is not None, "a step belongs to an example"
        return self.laboratory.environment

    def forget(self) -> None:
        """What the end of the last example has asked for."""
        self._witness.forget()

    def look(self) -> Trace:
        """What has happened since the last step."""
        lines, objects, uploads = self._witness.take(self.environment.bucket)
        return self._trace("mount", {"result": "ok"}, lines, objects, uploads)

    def do(self, step: Step) -> _Seen:
        """Carries a step of the scenario language out."""
        environment, usable, mount = self.environment, True, self._mount_of(step)
        try:
            seen = observe(environment, STEP_MODELS[next(iter(step))].model_validate(step))
            fields = _fields(seen, self._times)
        except (CallTimeout, ProcessDied, StepImpossible) as error:
            usable = False
            names: dict[type[Exception], str] = {CallTimeout: "hang", ProcessDied: "died"}
            seen, fields = Observation(errno="EIO"), {"result": names.get(type(error), str(error))}
        if usable:
            self._settle(mount)
        lines, objects, uploads = self._witness.take(environment.bucket)
        return _Seen(seen, self._trace(step_text(step), fields, lines, objects, uploads), usable)

    def _mount_of(self, step: Step) -> str | None:
        target = next(iter(step.values()))
        if isinstance(target, str) and target.startswith("@"):
            handle = self.environment.handles.get(target[1:])
            return handle.volume if handle is not None else None
        found: str | None = step.get("in")
        return found

    def _settle(self, mount: str | None) -> None:
        """Waits until the mount has done what came before: with -s, libfuse answers in order."""
        if mount is None or self.laboratory.via != "kernel" or self.environment.pick(mount).volume is None:
            return
        with suppress(OSError, CallTimeout, ProcessDied):
            self.environment.syscalls(mount, "root").statvfs("")

    def _trace(
        self,
        step: str,
        fields: Mapping[str, str],
        lines: list[str],
        objects: Mapping[str, str],
        uploads: tuple[str, ...],
    ) -> Trace:
        if self._whole_seconds:
            fields = {name: _FRACTION.sub("now", value) for name, value in fields.items()}
            lines = [_FRACTION.sub("now", line) for line in lines]
            objects = {key: _FRACTION.sub("now", told) for key, told in objects.items()}
        return Trace((Shown(step, fields, tuple(in_order(lines))),), objects, uploads)


class Sides(Laboratory):
    """The laboratory of the reference, and within it that of the subject, which is held against it.

    reference: an engine, or the path of a real binary, which is mounted by the kernel. Raises EnvironmentMissing."""

    def __init__(self, reference: str, subject: Literal["direct", "kernel"]) -> None:
        via: Literal["direct", "kernel"] = "direct" if reference == "direct" else "kernel"
        ossfs = "" if reference in ("direct", "kernel") else reference
        self.other = Laboratory(subject)
        try:
            super().__init__(via, ossfs=ossfs)
            # In process time stands still, between whole seconds too.
            whole = "direct" in (via, subject)
            self.reference = Side(reference, self, whole_seconds=whole)
            self.subject = Side(subject, self.other, whole_seconds=whole)
        except BaseException:
            self.other.close()
            raise

    @property
    def kernel(self) -> bool:
        """Whether one of them mounts for real."""
        return "kernel" in (self.via, self.other.via)

    def begin(self, given: Mapping[str, Any], *, version: str, fixed: Fixed) -> Environment:
        self.end()
        for side in (self.reference, self.subject):
            side.forget()
        environment = super().begin(given, version=version, fixed=fixed)
        self.other.begin(given, version=version, fixed=fixed)
        return environment

    def remember(self) -> None:
        super().remember()
        self.other.remember()

    def end(self) -> list[str]:
        left = super().end() + self.other.end()
        # The engines of both sides share a process: whose descriptor it is, a run on one of them tells.
        return [text for text in left if not text.endswith("file descriptors")]

    def close(self) -> None:
        super().close()
        self.other.close()


def step_text(step: Step) -> str:
    """On one line, who does it first: "root write a hello (one)"."""
    verb, target = next(iter(step.items()))
    rest = [str(value) for key, value in step.items() if key not in (verb, "in", "as", "expect")]
    actor = step.get("as") or ("volume" if "in" in step else "cloud")
    place = [f"({step['in']})"] if "in" in step else []
    shown = "" if isinstance(target, dict) or target is None else str(target)
    return " ".join(word for word in [actor, verb, shown, *rest, *place] if word)


def _fields(seen: Observation, times: Times) -> dict[str, str]:
    """What a call returned, as parity has it."""
    if seen.errno:
        return {"result": seen.errno}
    if seen.message or seen.returncode:
        return {"result": f"exit code {seen.returncode}"}
    fields = {"result": "ok"}
    if seen.stat is not None:
        fields |= stat_fields(seen.stat, times)
    if seen.body is not None:
        fields |= data_fields(seen.body)
    if seen.target is not None:
        fields["target"] = seen.target
    if seen.entries is not None:
        fields["entries"] = " ".join(sorted(f"{masked(name)}:{kind}" for name, kind in seen.entries.items()))
    return fields
