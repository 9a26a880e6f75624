"""A planted bug and a seed in, how many steps it took to find it out. The caller's thread, one at a time."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ossvol.fuzz import Failure, Plan, Violation, VolumeMachine, run

__all__ = ["MOST_STEPS", "Search", "search"]

MOST_STEPS = 2000
PLAN = Plan(version="1.91.10")


class _Enough(BaseException):
    """As many steps as wanted were done. Hypothesis lets what is no Exception through."""


@dataclass(frozen=True, slots=True)
class Search:
    """steps: until the bug showed for the first time, or all when it did not. failure: None when nothing was found."""

    steps: int
    failure: Failure | None


def search(seed: int, planted: AbstractContextManager[None], *, shrink: bool = False) -> Search:
    """At most `MOST_STEPS` steps until a failure, which is as it was found, or shrunk. The engine is made inside
    `planted`."""
    first: list[int] = []

    class Watched(VolumeMachine):
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
            result = run(PLAN, seed, examples=MOST_STEPS, machine=Watched, shrink=shrink)
        except _Enough:
            return Search(MOST_STEPS, None)
    (failure,) = result.failures
    return Search(first[0], failure) if first[0] <= MOST_STEPS else Search(MOST_STEPS, None)
