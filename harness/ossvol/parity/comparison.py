"""Two traces of one sequence to a list of differences. Pure functions: any thread."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ossvol.parity.replay import Shown, Trace

__all__ = ["Difference", "compare", "compare_step"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the real ossfs and the simulation do not have in common.

    kind: the field ("result", "mode", "data", ...), "requests", "object" or "uploads". step: its text, "" behind the
    last one. real, simulated: what each showed; of requests only the lines that the other lacks, of objects the
    description behind the key.
    """

    kind: str
    step: str
    real: str
    simulated: str

    def text(self) -> str:
        """For a report."""
        place = f"{self.step}: " if self.step else ""
        if "\n" not in self.real + self.simulated:
            return f"{place}{self.kind}\n      real:      {self.real}\n      simulated: {self.simulated}"
        real, simulated = _shown(self.real, "-"), _shown(self.simulated, "+")
        return "\n".join(part for part in (f"{place}{self.kind} (- real, + simulated)", real, simulated) if part)


_LINES_SHOWN = 15


def _shown(text: str, sign: str) -> str:
    lines = [f"      {sign} {line}" for line in text.splitlines()]
    if len(lines) > _LINES_SHOWN:
        lines[_LINES_SHOWN:] = [f"      {sign} ... and {len(lines) - _LINES_SHOWN} more"]
    return "\n".join(lines)


def compare(real: Trace, simulated: Trace) -> Iterator[Difference]:
    """Every difference in the order of the steps, then those of the bucket."""
    for one, other in zip(real.shown, simulated.shown, strict=False):
        if one.step != other.step:
            yield Difference("steps", one.step, one.step, other.step)
            return
        yield from compare_step(one, other)
    if len(real.shown) != len(simulated.shown):
        yield Difference("steps", "", str(len(real.shown)), str(len(simulated.shown)))
    for key in sorted(real.objects.keys() | simulated.objects.keys()):
        seen, made = real.objects.get(key, "none"), simulated.objects.get(key, "none")
        if seen != made:
            yield Difference("object", "", f"{key}: {seen}", f"{key}: {made}")
    if real.uploads != simulated.uploads:
        yield Difference("uploads", "", " ".join(real.uploads) or "none", " ".join(simulated.uploads) or "none")


def compare_step(real: Shown, simulated: Shown) -> Iterator[Difference]:
    """The differences of one step."""
    yield from _fields(real.step, real.fields, simulated.fields)
    if real.requests != simulated.requests:
        missing, surplus = _lines(real.requests, simulated.requests)
        yield Difference("requests", real.step, missing, surplus)


def _fields(step: str, real: Mapping[str, str], simulated: Mapping[str, str]) -> Iterator[Difference]:
    if real["result"] != simulated["result"]:
        yield Difference("result", step, real["result"], simulated["result"])
        return
    for name in real:
        if real[name] != simulated[name]:
            yield Difference(name, step, real[name], simulated[name])


def _lines(real: tuple[str, ...], simulated: tuple[str, ...]) -> tuple[str, str]:
    missing: list[str] = []
    surplus: list[str] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, real, simulated, autojunk=False).get_opcodes():
        if tag != "equal":
            missing += real[i:j]
            surplus += simulated[k:m]
    return "\n".join(missing), "\n".join(surplus)
