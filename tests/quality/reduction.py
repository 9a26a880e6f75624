"""Whether steps show a planted bug: the last one breaks its expectation with the bug, and all hold without it.

One thread.
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

__all__ = ["breaks", "shows"]

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
