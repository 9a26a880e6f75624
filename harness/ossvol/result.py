"""What came out of a scenario: values, no behaviour beyond describing themselves.

Picklable, because workers send them; frozen; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Failure", "Phase", "PhaseStatus", "Result", "Status", "Summary"]


class Status(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Phase(StrEnum):
    """The three questions that a scenario answers."""

    SYMPTOM = "symptom"
    REMEDY = "remedy"
    CONTROL = "control"


PhaseStatus = Status | None  # None: the scenario has no such phase


def _indented(text: str) -> str:
    """What a mount command printed has several lines."""
    return "\n             ".join(line for line in text.splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class Failure:
    """One step that did not show what it should. branch: title of the remedy or control it belongs to, "" for the
    symptom. requests: one line for each request that the step caused. reproduce: a command line."""

    file: str
    line: int
    phase: Phase
    branch: str
    step: str
    expected: str
    seen: str
    requests: tuple[str, ...]
    reproduce: str

    def text(self) -> str:
        """The failure in full, several lines."""
        where = f"{self.phase}, {self.branch}" if self.branch else str(self.phase)
        lines = [
            f"{self.file}:{self.line}: {where}",
            f"  step       {self.step}",
            f"  expected   {_indented(self.expected)}",
            f"  seen       {_indented(self.seen)}",
        ]
        if self.requests:
            lines += [f"  {'requests' if not index else '':10} {line}" for index, line in enumerate(self.requests)]
        else:
            lines.append("  requests   none")
        lines.append(f"  reproduce  {self.reproduce}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario on one engine. seconds: wall time. reason: why it was skipped, or which branches were."""

    id: str
    title: str
    faq: str
    cause: str
    file: str
    status: Status
    via: str
    ossfs: str
    seconds: float = 0.0
    symptom: PhaseStatus = None
    remedy: PhaseStatus = None
    control: PhaseStatus = None
    reason: str = ""
    failures: tuple[Failure, ...] = field(default=())
    csi: str = ""
    error: str = ""  # a traceback: the tool itself went wrong, not the scenario

    def phase(self, phase: Phase) -> PhaseStatus:
        return {Phase.SYMPTOM: self.symptom, Phase.REMEDY: self.remedy, Phase.CONTROL: self.control}[phase]


@dataclass(frozen=True, slots=True)
class Summary:
    """How many of a run passed, failed and were skipped; wall seconds of the whole run."""

    passed: int
    failed: int
    skipped: int
    seconds: float

    @classmethod
    def of(cls, results: list[Result], seconds: float) -> Summary:
        count = {status: sum(result.status is status for result in results) for status in Status}
        return cls(count[Status.PASSED], count[Status.FAILED], count[Status.SKIPPED], seconds)
