"""A sequence of steps made as short as it can be: steps are left out, the rest is replayed with the bug and without.

What is left breaks its last expectation with the bug planted, and shows all that it should without. It needs far fewer
runs than shrinking the choices that led to the steps, but leaves the arguments of a step alone. One thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.quality.planting import Bug

from osscluster.errors import ClusterError
from osscluster.volume import MountFailed
from ossvol.actions import observe
from ossvol.errors import StepImpossible
from ossvol.fuzz.laboratory import Laboratory
from ossvol.observation import compare
from ossvol.scenario.model import STEP_MODELS

__all__ = ["breaks", "reduced", "shows"]

Step = Mapping[str, Any]


def breaks(laboratory: Laboratory, given: Mapping[str, Any], steps: Sequence[Step], version: str) -> int | None:
    """Index of the first step that shows other than it should, None when there is none."""
    environment = laboratory.begin(given, version=version, fixed=True)
    for index, step in enumerate(steps):
        model = STEP_MODELS[next(iter(step))].model_validate(step)
        try:
            seen = observe(environment, model)
        except (StepImpossible, ClusterError, MountFailed):
            return index
        if compare(model.expect, seen):
            return index
    # What should be gone afterwards is the last step's expectation where that has none.
    return len(steps) - 1 if laboratory.end() else None


def shows(laboratory: Laboratory, bug: Bug, given: Mapping[str, Any], steps: Sequence[Step], version: str) -> bool:
    """Whether the last step, and no other, shows the bug, and nothing does without it."""
    with bug.planted():
        if breaks(laboratory, given, steps, version) != len(steps) - 1:
            return False
    with bug.surroundings():
        return breaks(laboratory, given, steps, version) is None


def _outcome(
    laboratory: Laboratory, given: Mapping[str, Any], steps: Sequence[Step], version: str
) -> tuple[list[str], bool] | None:
    """The errno of each step but the last, whatever it expects, and whether the last shows what it should; None when a
    step is impossible."""
    environment = laboratory.begin(given, version=version, fixed=True)
    met: list[str] = []
    for step in steps:
        model = STEP_MODELS[next(iter(step))].model_validate(step)
        try:
            seen = observe(environment, model)
        except (StepImpossible, ClusterError, MountFailed):
            return None
        met.append(seen.errno)
    return met[:-1], not compare(model.expect, seen) and not laboratory.end()


def _told_apart(
    laboratory: Laboratory, bug: Bug, given: Mapping[str, Any], steps: Sequence[Step], version: str
) -> list[str] | None:
    """The errnos without the bug, where only the bug breaks the last step."""
    with bug.planted():
        planted = _outcome(laboratory, given, steps, version)
    if planted is None or planted[1]:
        return None
    with bug.surroundings():
        healthy = _outcome(laboratory, given, steps, version)
    return healthy[0] if healthy is not None and healthy[1] else None


def reduced(bug: Bug, given: Mapping[str, Any], steps: Sequence[Step], version: str) -> list[Step] | None:
    """The steps that it takes, with what they show without the bug, which breaks the last one; None when not even all
    of them tell the two apart."""
    with Laboratory("direct") as laboratory:
        kept = list(steps)
        if _told_apart(laboratory, bug, given, kept, version) is None:
            return None
        size = max(1, len(kept) // 2)
        while size:
            before = len(kept)
            start = 0
            while start < len(kept) - 1:
                shorter = [*kept[:start], *kept[min(start + size, len(kept) - 1) :]]
                if _told_apart(laboratory, bug, given, shorter, version) is not None:
                    kept = shorter
                else:
                    start += size
            if size > 1 or len(kept) == before:
                size //= 2
        met = _told_apart(laboratory, bug, given, kept, version) or []
        expected = [_expecting(step, code) for step, code in zip(kept, met, strict=False)] + kept[-1:]
        with bug.planted():
            broken = breaks(laboratory, given, expected, version)
        # With the bug an earlier step may have gone wrong already.
        return expected if broken is None else expected[: broken + 1]


def _expecting(step: Step, code: str) -> Step:
    plain = {name: value for name, value in step.items() if name != "expect"}
    return {**plain, "expect": {"errno": code}} if code else plain
