"""From what a user names - ids, prefixes of ids, files, directories - to scenario files.

Reads files and directories; any thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ossvol.config import own_scenarios
from ossvol.errors import ScenarioErrors, UsageError

if TYPE_CHECKING:
    from ossvol.scenario import LoadedScenario

__all__ = ["find_files", "looks_like_scenario", "select", "shard"]

_SUFFIXES = (".yaml", ".yml")


def find_files(directory: Path) -> Iterator[Path]:
    """Every YAML file below a directory, sorted, hidden directories left out."""
    for parent, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(_SUFFIXES):
                yield Path(parent, name)


def looks_like_scenario(path: Path) -> bool:
    """Whether a YAML file has a top-level key `scenario`, without parsing it."""
    try:
        with path.open("rb") as file:
            return any(line.startswith((b"scenario:", b'"scenario":')) for line in file)
    except OSError:
        return False


def select(names: Sequence[str]) -> list[LoadedScenario]:
    """The scenarios that `names` mean, each once, in the order they are named; without names all that ship.

    A name is a file, a directory, or the id of one of ossvol's own scenarios or a prefix of such ids ("permission").
    Raises UsageError for a name that means nothing, ScenarioErrors for files that are not valid."""
    from ossvol.scenario import load_all

    own: list[LoadedScenario] | None = None
    chosen: dict[str, LoadedScenario] = {}
    files: list[Path] = []
    wanted: list[tuple[str, list[Path]]] = []
    for name in names or [str(own_scenarios())]:
        path = Path(name)
        if path.is_dir():
            found = list(find_files(path))
            if not found:
                raise UsageError(f"{name}: no scenario files below this directory")
        elif path.is_file() or name.endswith(_SUFFIXES):
            found = [path]
        else:
            found = []
        wanted.append((name, found))
        files += found
    loaded = {one.file: one for one in load_all(dict.fromkeys(files))}
    for name, found in wanted:
        if found:
            chosen.update((str(path), loaded[str(path)]) for path in found)
            continue
        if own is None:
            own = load_all(find_files(own_scenarios()))
        matching = [one for one in own if _means(name, one)]
        if not matching:
            raise UsageError(_unknown(name, [one.id for one in own]))
        chosen.update((one.file, one) for one in matching)
    return _unique_ids(chosen.values())


def _unique_ids(scenarios: Iterable[LoadedScenario]) -> list[LoadedScenario]:
    """The same file may have been named twice, in two spellings; two files with one id are an error."""
    result: dict[str, LoadedScenario] = {}
    for one in scenarios:
        other = result.setdefault(one.id, one)
        if other is not one and Path(other.file).resolve() != Path(one.file).resolve():
            message = f'scenario id "{one.id}" is taken by {other.file}'
            raise ScenarioErrors([one.document.problem(("scenario",), "E118", message)])
    return list(result.values())


def _means(name: str, one: LoadedScenario) -> bool:
    """An id, a whole cause ("permission/hard-link" with its files by version), or the beginning of ids."""
    return name in (one.id, one.scenario.cause_id) or one.id.startswith(name.rstrip("/") + "/")


def _unknown(name: str, ids: Sequence[str]) -> str:
    from ossvol.scenario.lint import nearest

    hint = nearest(name, [*ids, *{one.split("/")[0] for one in ids}])
    text = f'"{name}" is no scenario id, file or directory'
    return f'{text}; did you mean "{hint}"?' if hint else f"{text}; `ossvol list` shows the ids"


def shard(scenarios: Sequence[LoadedScenario], spec: str) -> list[LoadedScenario]:
    """Every n-th scenario from the i-th on, for `spec` "i/n" with 1 <= i <= n. Raises UsageError."""
    index, _, count = spec.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UsageError(f'--shard {spec}: wanted is "i/n" with 1 <= i <= n, for example 1/4')
    return list(scenarios[int(index) - 1 :: int(count)])
