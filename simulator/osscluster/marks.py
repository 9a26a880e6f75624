"""Where every key and value of a YAML document stands, for messages that name file, line and column.

Below both readers of users' YAML: scenarios (`ossvol.scenario.document`) and manifests (`api.manifests`). Decides
nothing about what the text means. Pure; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

__all__ = ["Marks", "Path", "Problem", "compose"]

Path = tuple[str | int, ...]

MAX_DEPTH = 100
"""Levels of mappings and sequences in a file; manifests of Pods have a dozen."""

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


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


@dataclass(slots=True)
class Marks:
    """The places of one document."""

    file: str
    # Path of a value to (line, column) of its key (of itself inside a sequence) and of the value; both from 0.
    _keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _values: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def note(self, path: Path, value: yaml.Node, key: yaml.Node | None = None) -> None:
        """What stands at `path`."""
        self._values[path] = (value.start_mark.line, value.start_mark.column)
        if key is not None:
            self._keys[path] = (key.start_mark.line, key.start_mark.column)
        else:
            self._keys.setdefault(path, self._values[path])

    def line(self, path: Path) -> int:
        """Line, from 1, of what stands at `path`, or of the nearest thing around it."""
        return self._at(path, self._keys)[0] + 1

    def problem(self, path: Path, code: str, message: str, *, hint: str = "", key: bool = False) -> Problem:
        """A problem at the value of `path`, or at its key."""
        line, column = self._at(path, self._keys if key else self._values)
        return Problem(self.file, line + 1, column + 1, code, message, hint)

    def _at(self, path: Path, marks: Mapping[Path, tuple[int, int]]) -> tuple[int, int]:
        for length in range(len(path), -1, -1):
            if (mark := marks.get(path[:length])) is not None:
                return mark
        return (0, 0)


def compose(text: str, file: str, code: str) -> list[yaml.Node] | Problem:
    """The documents of a YAML text, or why it is none. Aliases are the nodes that they name."""
    try:
        deep = _too_deep(text)
        if deep is not None:
            return Problem(file, deep[0] + 1, deep[1] + 1, code, f"nested more than {MAX_DEPTH} levels deep")
        loader = yaml.CSafeLoader(text)
        try:
            nodes: list[yaml.Node] = []
            while loader.check_node():
                if (node := loader.get_node()) is not None:
                    nodes.append(node)
            return nodes
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = _inside(text, mark) if mark else (0, 0)
        words = " ".join(part for part in (error.problem, error.context) if part)
        return Problem(file, line + 1, column + 1, code, f"not valid YAML: {words}")
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n")
        column = len(before) - (before.rfind("\n") + 1)
        return Problem(file, line + 1, column + 1, code, f"not valid YAML: {error.reason}")


def _too_deep(text: str) -> tuple[int, int] | None:
    """Line and column, from 0, where a text nests more than `MAX_DEPTH` levels.

    Events come without recursion; nodes are made with it, in C, where nothing ends it but the end of the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                return (mark.line, mark.column) if mark else (0, 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _inside(text: str, mark: yaml.Mark) -> tuple[int, int]:
    """A mark's line and column; the last line's end for one behind the end of the text."""
    lines = _LINE_END.split(text)
    if mark.line < len(lines):
        return mark.line, mark.column
    return len(lines) - 1, len(lines[-1])
