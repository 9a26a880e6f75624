"""The known differences between the real releases and the simulation, as checked-in data (`differences.yaml`).

An entry explains a difference when its versions hold and every pattern that it has is found in the difference. An entry
that nothing needed in a full run is stale: the difference is gone, and the entry should be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ossvol.parity.comparison import Difference
from ossvol.scenario.vocabulary import VersionRange

__all__ = ["FILE", "Known", "explanation", "load", "runs"]

FILE = Path(__file__).with_name("differences.yaml")
_PATTERNS = ("kind", "step", "options", "real", "simulated")


@dataclass(frozen=True, slots=True)
class Known:
    """One listed difference.

    versions: a range of releases. patterns: regular expressions by what they are searched in: kind and step of the
    difference, the mount options, what the real one and what the simulation showed. ends: what comes after it in the
    same sequence follows from it and is not compared. rare: a full run of the usual seed need not meet it. example:
    steps in the scenario language that bring it about, where the file has them.
    """

    id: str
    versions: VersionRange
    patterns: dict[str, re.Pattern[str]]
    title: str
    reason: str
    source: str
    ends: bool = False
    rare: bool = False
    example: tuple[dict[str, Any], ...] = ()

    def explains(self, difference: Difference, *, version: str, options: str) -> bool:
        """Whether this is it."""
        if not self.versions.holds(version):
            return False
        seen = {
            "kind": difference.kind,
            "step": difference.step,
            "options": options,
            "real": difference.real,
            "simulated": difference.simulated,
        }
        return all(pattern.search(seen[name]) for name, pattern in self.patterns.items())


@cache
def load(file: Path = FILE) -> tuple[Known, ...]:
    """Every entry, in the order of the file. Raises ValueError for a file that is not well-formed."""
    return tuple(_known(entry, file.name) for entry in _data(file)["differences"])


def runs() -> list[dict[str, object]]:
    """The last full run of each release: release, date, commits of this repository, the figures of its report, and a
    note where the run needs one."""
    return [dict(run) for run in _data(FILE)["runs"]]


@cache
def _data(file: Path) -> dict[str, list[dict[str, Any]]]:
    data: dict[str, list[dict[str, Any]]] = yaml.safe_load(file.read_text("utf-8"))
    return data


def _known(entry: dict[str, Any], name: str) -> Known:
    needed = {"id", "versions", "title", "reason", "source"}
    unknown = entry.keys() - needed - set(_PATTERNS) - {"ends", "rare", "example"}
    if unknown or needed - entry.keys():
        raise ValueError(f"{name}: {entry.get('id')}: unknown {sorted(unknown)}, missing {needed - entry.keys()}")
    patterns = {name: re.compile(str(entry[name]), re.MULTILINE) for name in _PATTERNS if name in entry}
    if not patterns:
        raise ValueError(f"{name}: {entry['id']}: without a pattern it would explain everything")
    return Known(
        str(entry["id"]),
        VersionRange.parse(str(entry["versions"])),
        patterns,
        str(entry["title"]),
        str(entry["reason"]),
        str(entry["source"]),
        bool(entry.get("ends", False)),
        bool(entry.get("rare", False)),
        tuple(entry.get("example", ())),
    )


def explanation(difference: Difference, known: Sequence[Known], *, version: str, options: str) -> Known | None:
    """The first entry that explains the difference."""
    return next((one for one in known if one.explains(difference, version=version, options=options)), None)
