"""What can go wrong before a scenario runs, as exceptions that know what to tell the user.

A failed expectation is no exception: it is a `Failure` in a `Result`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osscluster.marks import Problem

__all__ = ["ScenarioErrors", "StepImpossible", "UsageError"]


class ScenarioErrors(Exception):
    """Scenario files are not valid: correct each place that `problems` names."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(Exception):
    """The command cannot be carried out as it was given: the text says what to write instead."""


class StepImpossible(Exception):
    """The step makes no sense where the scenario has come to (a mount that is mounted already). The text says why."""
