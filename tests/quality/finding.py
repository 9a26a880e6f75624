"""A planted bug and a seed in, how many steps it took to find it out. The caller's thread, one at a time."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, precondition, rule

from ossvol.fuzz import Failure, Plan, Violation, VolumeMachine, run
from ossvol.fuzz.machine import _MODES, _MOUNTS, _OWNERS, _USERS, MOUNT_OPTIONS

__all__ = ["MOST_STEPS", "Search", "search"]

MOST_STEPS = 2000
PLAN = Plan(version="1.91.10")
_ITEMS = st.one_of(VolumeMachine.files, VolumeMachine.directories)
_FIRST = {
    "a": {"mode": "33206", "uid": "1000", "gid": "1001"},
    "b": {"mode": "33188", "uid": "0", "gid": "0"},
}


class _Enough(BaseException):
    """As many steps as wanted were done. Hypothesis lets what is no Exception through."""


@dataclass(frozen=True, slots=True)
class Search:
    """steps: until the bug showed for the first time, or all when it did not. failure: as it was found, None when
    nothing was."""

    steps: int
    failure: Failure | None


class Populated(VolumeMachine):
    """Most examples begin with files: what is done to files needs some, and many examples would never make one. Fewer
    steps go to switching versioning and to the attributes of the mount point, which nobody can change. Not in
    `VolumeMachine`, because what it finds shrinks badly then."""

    populated = False
    switched = 0
    tried_root = 0

    @initialize(
        target=VolumeMachine.directories,
        one=st.integers(0, len(MOUNT_OPTIONS) - 1),
        two=st.integers(0, len(MOUNT_OPTIONS) - 1),
    )
    def start(self, one: int, two: int) -> int:
        root: int = super().start(one, two)
        self._put_first()
        return root

    @initialize(target=VolumeMachine.files, populated=st.sampled_from((False, True, True, True)))
    def populate(self, populated: bool) -> MultipleResults[int]:
        if not populated:
            return multiple()
        for identity, path in enumerate(_FIRST, 1):
            self._paths[identity] = path
            self._ids[path] = identity
        self.populated = True
        self._put_first()
        return multiple(*range(1, 1 + len(_FIRST)))

    def _put_first(self) -> None:
        # Hypothesis chooses which of the two begins.
        if self.started and self.populated:
            for path, meta in _FIRST.items():
                self.world.put(path, "hello", "application/octet-stream", meta, "Standard")

    @precondition(lambda self: self.started and self.switched < 3 and self.world.model.objects)
    @rule(state=st.sampled_from(("Enabled", "Suspended")))
    def versioning(self, state: str) -> None:
        self.switched += 1
        super().versioning(state)

    @rule(seconds=st.sampled_from((0.5, 3.0, 8.0, 600.0, 1000.0)))
    def advance(self, seconds: float) -> None:
        super().advance(seconds)

    def _wanted(self, item: int) -> bool:
        at_root = not self._paths[item]
        self.tried_root += at_root
        return not at_root or self.tried_root == 1

    @rule(mount=_MOUNTS, user=_USERS, item=_ITEMS, mode=_MODES)
    def chmod(self, mount: str, user: str, item: int, mode: int) -> None:
        if self._wanted(item):
            super().chmod(mount, user, item, mode)

    @rule(mount=_MOUNTS, user=_USERS, item=_ITEMS, owner=_OWNERS)
    def chown(self, mount: str, user: str, item: int, owner: tuple[int, int]) -> None:
        if self._wanted(item):
            super().chown(mount, user, item, owner)

    @rule(mount=_MOUNTS, user=_USERS, item=_ITEMS)
    def utime(self, mount: str, user: str, item: int) -> None:
        if self._wanted(item):
            super().utime(mount, user, item)


def search(seed: int, planted: AbstractContextManager[None]) -> Search:
    """At most `MOST_STEPS` steps until a failure. The engine is made inside `planted`."""
    first: list[int] = []

    class Watched(Populated):
        def teardown(self) -> None:
            failing = isinstance(sys.exc_info()[1], Violation)
            try:
                super().teardown()
            except Violation:
                failing = True
                raise
            finally:
                if failing and not first:
                    first.append(self.tally.steps)
            if not first and self.tally.steps >= MOST_STEPS:
                raise _Enough

    with planted:
        try:
            result = run(PLAN, seed, examples=MOST_STEPS, machine=Watched, shrink=False)
        except _Enough:
            return Search(MOST_STEPS, None)
    (failure,) = result.failures
    return Search(first[0], failure) if first[0] <= MOST_STEPS else Search(MOST_STEPS, None)
