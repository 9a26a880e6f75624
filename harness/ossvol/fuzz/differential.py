"""The differential mode: the steps of `VolumeMachine` on two sides at once, each difference explained or a violation.

Nobody judges here: the model only follows the reference, so that the rules find objects to choose. Compared are what
every call returned, every request that it caused, and what the bucket holds afterwards. One thread, the runner's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from ossfuse.profile import find
from ossvol.fuzz.calls import recorded
from ossvol.fuzz.judging import EMPTY, ON_KERNEL, Beginning, MountPlan, Reasons, Step
from ossvol.fuzz.machine import Ids, VolumeMachine
from ossvol.fuzz.model import HIDDEN
from ossvol.fuzz.sides import Side, Sides
from ossvol.fuzz.violation import violation
from ossvol.fuzz.world import World
from ossvol.parity.comparison import Difference, compare
from ossvol.parity.differences import Known, explanation, load
from ossvol.parity.generator import option_sets

if TYPE_CHECKING:
    from osscluster.volume import Stat
    from ossvol.fuzz.laboratory import Laboratory
    from ossvol.observation import Observation
    from ossvol.parity.replay import Trace

__all__ = ["FILE", "DifferentialMachine", "TwinWorld", "compare_steps", "known_differences", "machine_for"]

FILE = Path(__file__).with_name("differences.yaml")
_ONE_THREAD = " -s"
# What the kernel knows it knows for the whole example, or until much time passes; otherwise it is asked each time.
_FORGOTTEN = 4000.0
# In process time stands still, with real mounts some passes between two steps: no sum of these comes near a lifetime of
# a cache (5, 900, 1000 s).
_AT_ONCE, _A_WHILE = 0.01, 21.0
_REMEMBERING = "-o attr_timeout=3600,entry_timeout=3600"
# What would make a run depend on the machine's speed, needs big files or a directory, or is refused by old releases.
_NOT_HERE = ("use_cache", "_expire=2", "max_stat_cache_size=3", "multipart_size", "storage_class")


def known_differences(reference: str, subject: str) -> tuple[Known, ...]:
    """Those of the engines, where the two differ, and those of the real releases, where one is real."""
    real = reference not in ("direct", "kernel")
    engines = {"kernel" if real else reference, subject}
    return (load(FILE) if len(engines) == 2 else ()) + (load() if real else ())


class TwinWorld(World):
    """A world that carries every step out on both sides. laboratory: `Sides`. over: the sides are not the same any
    more, for a listed reason: the reference goes on alone. explained: entry id to how often."""

    def __init__(
        self,
        laboratory: Laboratory,
        plans: Mapping[str, MountPlan],
        *,
        version: str,
        fixed: bool = False,
        compare: bool = False,
        beginning: Beginning = EMPTY,
    ) -> None:
        self.sides = cast(Sides, laboratory)
        self.known = known_differences(self.sides.reference.name, self.sides.subject.name)
        self.over = False
        super().__init__(
            laboratory,
            plans,
            version=version,
            fixed=fixed,
            compare=False,
            beginning=beginning,
        )
        self._mounts_compared = False

    def options(self, text: str) -> str:
        if not self.sides.kernel:
            return text
        if "attr_timeout" in text:
            return text if text.endswith(_ONE_THREAD) else text + _ONE_THREAD
        return f"{text} {ON_KERNEL}".strip()

    def _volume(self, plan: MountPlan) -> Step:
        volume = super()._volume(plan)
        if self.laboratory.ossfs:
            # Releases without mime= have the machine's own table, so the simulation has it too.
            del volume["mime_types"]
        return volume

    # --- one step ---

    def _compare_mounts(self) -> None:
        """What mounting asked for."""
        options = " ".join(mounted.spec.options for mounted in self.env.volumes.values())
        found = self._unexplained(self.sides.reference.look(), self.sides.subject.look(), options)
        if found:
            raise violation("sides-agree", self._told(found[0]))

    def perform(self, step: Step) -> Observation:
        if not self._mounts_compared:
            self._mounts_compared = True
            self._compare_mounts()
        self.steps += 1
        verb = next(iter(step))
        self.calls[verb] += 1
        mount = step.get("in")
        options = self.env.pick(mount).spec.options if mount else ""
        reference = self.sides.reference.do(step)
        seen = reference.observation
        self._now = self.env.cloud.clock.now()
        self.trace.append({**step, "expect": {"errno": seen.errno}} if seen.errno else dict(step))
        if self.over:
            return seen
        subject = self.sides.subject.do(step)
        self.judged += 1
        self.cells[verb, step.get("as", ""), seen.errno or "success"] += 1
        found = self._unexplained(reference.trace, subject.trace, options)
        if found:
            # Of several things that tell the two apart in one step, one that a scenario can say.
            expected = [(one, _expectation(one, seen, subject.observation, self.sides)) for one in found]
            difference, expect = next((pair for pair in expected if pair[1] is not None), expected[0])
            told = self._told(difference)
            raise violation("sides-agree", told, None if expect is None else self._again(step, expect))
        self.over = self.over or not (reference.usable and subject.usable)
        return seen

    def _unexplained(self, reference: Trace, subject: Trace, options: str) -> list[Difference]:
        """The differences that no entry explains."""
        # The list says what the kernel shows first, whichever side that is.
        turned = self.sides.subject.name == "kernel" and self.sides.reference.name == "direct"
        found = []
        for one in compare(subject, reference) if turned else compare(reference, subject):
            entry = explanation(one, self.known, version=self.version, options=options)
            if entry is None:
                found.append(Difference(one.kind, one.step, one.simulated, one.real) if turned else one)
                continue
            self.explained[entry.id] += 1
            if entry.ends:
                self.over = True
                break
        return found

    def _told(self, difference: Difference) -> str:
        names = self.sides.reference.name, self.sides.subject.name
        width = max(map(len, names)) + 1
        shown = [difference.real or "nothing", difference.simulated or "nothing"]
        lines = [
            f"  {name + ':':{width}} " + text.replace("\n", f"\n  {'':{width}} ")
            for name, text in zip(names, shown, strict=True)
        ]
        return "\n".join([f"{difference.step or 'the bucket'}: {difference.kind}", *lines])

    def _call(self, step: Step, reasons: Reasons, mount: str, user: str, own: Sequence[str]) -> bool | None:
        alive = self.model.mounts[mount].alive
        self.last = self.perform(step)
        if not alive:
            return False
        self.adopt(own, mount)
        return None

    def settle(self, mount: str = "", own: Iterable[str] = (), *, deep: bool = False) -> None:
        self.model.advance(self.now(), by=mount, own=own, deep=deep)

    def check(self) -> None:
        """Every name of every mount, as root sees it."""
        paths = [path for path in self.model.paths() if HIDDEN not in path]
        for mount, seen in self.model.mounts.items():
            if not seen.alive:
                continue
            self.perform({"ls": "", "in": mount, "as": "root"})
            for path in paths:
                found = self.perform({"lstat": path, "in": mount, "as": "root"})
                if found.stat is not None and _is_directory(found.stat):
                    self.perform({"ls": path, "in": mount, "as": "root"})

    # --- steps that the model would have to foresee ---

    @recorded
    def advance(self, seconds: float) -> None:
        """Time passes on both sides, by one of three steps."""
        if any("attr_timeout=3600" in mounted.spec.options for mounted in self.env.volumes.values()):
            seconds = _FORGOTTEN
        super().advance(_AT_ONCE if seconds < 1 else _A_WHILE if seconds < 100 else _FORGOTTEN)

    @recorded
    def refused_write(self, mount: str, path: str, body: str, status: int, *, append: bool = False) -> None:
        """The next upload of a name is refused; where one side mounts for real only by 403, which nobody repeats."""
        status = 403 if self.sides.kernel else status
        code = "AccessDenied" if status == 403 else "ServiceUnavailable"
        self.perform({"fault": {"operation": "PutObject", "key": path, "status": status, "code": code}})
        self.write(mount, "root", path, body, append=append)

    def finish(self) -> None:
        """Closes what is open and looks at everything, while caches hold and after they have expired."""
        for mount in self.model.mounts:
            self.close_all(mount)
        self.check()
        if not self.laboratory.ossfs:
            self.perform({"advance": _FORGOTTEN})
            self.check()


def _is_directory(found: Stat) -> bool:
    return found.mode >> 12 == 4


def _expectation(difference: Difference, seen: Observation, other: Observation, sides: Sides) -> Step | None:
    """What the reference showed, in the words of the scenario language; None where they can't tell the two apart."""
    match difference.kind:
        case "result":
            return {"errno": seen.errno} if seen.errno else {}
        case "mode" if seen.stat is not None:
            return {"mode": f"{seen.stat.mode & 0o7777:04o}"}
        case "uid" | "gid" | "size" if seen.stat is not None:
            return {difference.kind: getattr(seen.stat, difference.kind)}
        case "data" if seen.body is not None:
            return {"sha256": hashlib.sha256(seen.body).hexdigest()}
        case "target":
            return {"target": seen.target}
        case "entries" if seen.entries is not None and other.entries is not None:
            if seen.entries.keys() != other.entries.keys():
                return {"entries": sorted(seen.entries)}
            return {"entries": {name: {"type": kind} for name, kind in seen.entries.items() if kind}}
        case "requests":
            wanted, had = (Counter(record.operation for record in one.records) for one in (seen, other))
            return {"requests": {name: wanted[name] for name in sorted(wanted | had)}} if wanted != had else None
        case "object":
            key = difference.real.partition(": ")[0]
            told, other_told = (_object(side, key) for side in (sides.reference, sides.subject))
            return {"object": {key: told}} if told != other_told else None
        case _:
            return None


def _object(side: Side, key: str) -> Step:
    environment = side.environment
    view = environment.cloud.admin.object(environment.bucket, key)
    if view is None:
        return {"absent": True}
    meta = {name: value for name, value in view.meta.items() if not name.endswith("time")}
    told: Step = {"size": view.size, "content_type": view.content_type, "storage_class": view.storage_class}
    told |= {"meta": meta} if meta else {}
    with suppress(UnicodeDecodeError):
        told["body"] = view.read().decode()
    return told


class DifferentialMachine(VolumeMachine):
    """The rules of `VolumeMachine` on two sides, with more mount options, and without websites and mirrors: the model
    would have to tell what they make of names."""

    hosts = False

    @initialize(target=VolumeMachine.directories, one=st.integers(0, 999), two=st.integers(0, 999))
    def start(self, one: int, two: int) -> Ids:
        """Two mounts on each side."""
        return self.begin(one, two)

    def make_world(self, plans: Mapping[str, MountPlan], beginning: Beginning) -> World:
        return TwinWorld(self.laboratory, plans, version=self.plan.version, beginning=beginning)


def machine_for(version: str, *, remembering: bool = True) -> type[DifferentialMachine]:
    """With the mount options that the release has. remembering: also mounts of which the kernel remembers everything;
    what it knows of a real one it can't be told to forget when its process dies."""
    sets = [one for one in dict.fromkeys(option_sets(find(version))) if not any(word in one for word in _NOT_HERE)]
    options = [*VolumeMachine.mount_options, *(f"-o allow_other -o {one}" for one in sets if one)]
    kept = ("", _REMEMBERING) if remembering else ("",)
    made = tuple(f"{text} -o retries=1 {one}".strip() for text in options for one in kept)
    return type("DifferentialMachine", (DifferentialMachine,), {"mount_options": made})


def compare_steps(
    sides: Sides, steps: Iterable[Step], *, version: str, options: Sequence[str] = ("-o allow_other",)
) -> Counter[str]:
    """Does given steps on both sides; how often each entry of the list explained a difference. options: of the mounts
    "one" and, where there are two, "two". Raises Violation for what nothing explains."""
    plans = {name: MountPlan(text) for name, text in zip(("one", "two"), options, strict=False)}
    world = TwinWorld(sides, plans, version=version)
    try:
        for step in steps:
            world.perform(step)
    finally:
        sides.end()
    return world.explained
