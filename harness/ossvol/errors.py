"""What can go wrong before a scenario runs, as exceptions that know what to tell the user.

A failed expectation is no exception: it is a `Failure` in a `Result`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Problem", "ScenarioErrors", "UsageError"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a user's file. line and column count from 1; code is stable ("E101"); hint is the nearest valid
    word, "" when there is none."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f'; did you mean "{self.hint}"?' if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}{hint}"


class ScenarioErrors(Exception):
    """Scenario files are not valid: correct each place that `problems` names."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(Exception):
    """The command cannot be carried out as it was given: the text says what to write instead."""
