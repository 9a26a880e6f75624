"""Scenario files as `LoadedScenario` values, or every mistake in them at once.

Reads files; nothing else. Any thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath

from osscluster.marks import Problem
from ossvol.errors import ScenarioErrors
from ossvol.scenario.document import Document, Path, parse
from ossvol.scenario.lint import as_written, check, check_given
from ossvol.scenario.model import Given, Scenario

__all__ = ["LoadedScenario", "load", "load_all", "load_given", "loads"]


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A valid scenario and where each part of it stands in its file."""

    scenario: Scenario
    file: str
    document: Document
    short_controls: frozenset[int] = frozenset()

    @property
    def id(self) -> str:
        return self.scenario.scenario

    def line(self, path: Path) -> int:
        """Line, from 1, of the step at `path`: ("when", 0), ("remedies", 1, "do", 0), ("control", 0, "then", 2)."""
        return self.document.line(as_written(path, self.short_controls))


def loads(text: str, file: str = "<text>") -> LoadedScenario:
    """A scenario from text. Raises ScenarioErrors."""
    document = parse(text, file)
    scenario, short, problems = check(document)
    if scenario is None:
        raise ScenarioErrors(problems)
    return LoadedScenario(scenario, file, document, short)


def load(file: str | FilePath) -> LoadedScenario:
    """A scenario from a file. Raises ScenarioErrors, also when the file cannot be read."""
    return loads(_text(file), str(file))


def load_given(file: str | FilePath) -> Given:
    """A file that holds only what a scenario has under `given`. Raises ScenarioErrors."""
    given, problems = check_given(parse(_text(file), str(file)))
    if given is None:
        raise ScenarioErrors(problems)
    return given


def _text(file: str | FilePath) -> str:
    try:
        return FilePath(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ScenarioErrors([Problem(str(file), 1, 1, "E119", f"cannot read the file: {reason}")]) from error


def load_all(files: Iterable[str | FilePath]) -> list[LoadedScenario]:
    """Every file. Raises one ScenarioErrors for all mistakes in all of them, ids used twice included."""
    problems: list[Problem] = []
    loaded: list[LoadedScenario] = []
    first: dict[str, str] = {}
    for file in files:
        try:
            one = load(file)
        except ScenarioErrors as errors:
            problems += errors.problems
            continue
        loaded.append(one)
        if one.id in first:
            message = f'scenario id "{one.id}" is taken by {first[one.id]}'
            problems.append(one.document.problem(("scenario",), "E118", message))
        first.setdefault(one.id, one.file)
    if problems:
        raise ScenarioErrors(problems)
    return loaded
