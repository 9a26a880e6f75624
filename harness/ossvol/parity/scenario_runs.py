"""Every scenario on the real binary and on the simulation: verdicts of the phases, and the requests behind them.

A scenario mounts as its file says, so the kernel keeps names for a second and requests run in parallel: requests are
compared as a bag for each environment that the runner makes, and a difference counts when it shows three times.
One thread, the runner's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ossvol.parity.comparison import Difference
from ossvol.parity.differences import Known, explanation
from ossvol.parity.recorder import Recorder
from ossvol.result import Phase, Result, Status
from ossvol.runner import Runner, RunOptions

if TYPE_CHECKING:
    from ossvol.environment import Environment
    from ossvol.scenario import LoadedScenario

__all__ = ["Compared", "compare_scenarios"]

_ATTEMPTS = 3


@dataclass(slots=True)
class Compared:
    """unexplained: scenario id and difference."""

    compared: int = 0
    skipped: int = 0
    unexplained: list[tuple[str, Difference]] = field(default_factory=list)
    explained: Counter[str] = field(default_factory=Counter)


class _RecordingRunner(Runner):
    """Keeps the requests of each environment."""

    def __init__(self, options: RunOptions) -> None:
        super().__init__(options)
        self._requests: list[list[str]] = []

    def _environment(self, loaded: LoadedScenario, version: str) -> Environment:
        made = super()._environment(loaded, version)
        recorder = made.cloud.install(Recorder)
        # A recorder is beside the service, and ends with it.
        self._open.callback(lambda: self._requests.append(sorted(recorder.take())))
        return made

    def seen(self, loaded: LoadedScenario) -> tuple[Result, list[list[str]]]:
        """The result, and the requests of each environment, sorted."""
        self._requests.clear()
        result = self.run(loaded)
        self.close()
        return result, list(self._requests)


def compare_scenarios(ossfs: str, version: str, known: Seq[Known], names: Seq[str] = ()) -> Compared:
    """Runs what the range of each scenario allows. names: as `ossvol run` takes them, all when empty."""
    from ossvol.discovery import select

    found = Compared()
    with (
        _RecordingRunner(RunOptions("kernel", ossfs)) as real,
        _RecordingRunner(RunOptions("kernel", "", version)) as simulated,
    ):
        for loaded in select(list(names)):
            first, requests = real.seen(loaded)
            if first.status is Status.SKIPPED:
                found.skipped += 1
                continue
            found.compared += 1
            differences = list(_compare(first, requests, *simulated.seen(loaded)))
            for _ in range(_ATTEMPTS - 1):
                if not differences:
                    break
                again = list(_compare(*real.seen(loaded), *simulated.seen(loaded)))
                differences = [one for one in differences if any(one.kind == other.kind for other in again)]
            for one in differences:
                entry = explanation(one, known, version=version, options="")
                if entry is None:
                    found.unexplained.append((loaded.id, one))
                else:
                    found.explained[entry.id] += 1
                    if entry.ends:
                        break
    return found


def _compare(
    real: Result, requests: list[list[str]], simulated: Result, simulated_requests: list[list[str]]
) -> list[Difference]:
    name = f"scenario {real.id}"
    found = []
    # A branch that a real binary cannot do (time that must be moved, another release) says nothing of the others.
    judged = [phase for phase in Phase if Status.SKIPPED not in (real.phase(phase), simulated.phase(phase))]
    verdicts = [_verdict(result, judged) for result in (real, simulated)]
    if verdicts[0] != verdicts[1]:
        found.append(Difference("scenario", name, *verdicts))
    if real.reason or simulated.reason or len(requests) != len(simulated_requests):
        return found
    missing, surplus = [], []
    for one, other in zip(requests, simulated_requests, strict=True):
        missing += list((Counter(one) - Counter(other)).elements())
        surplus += list((Counter(other) - Counter(one)).elements())
    if missing or surplus:
        found.append(Difference("requests", name, "\n".join(missing), "\n".join(surplus)))
    return found


def _verdict(result: Result, phases_judged: Seq[Phase]) -> str:
    phases = ", ".join(f"{name} {result.phase(name)}" for name in phases_judged)
    seen = "; ".join(f"line {failure.line}: {failure.seen}" for failure in result.failures)
    return phases + (f" ({seen})" if seen else "") + (f" ({result.error.splitlines()[-1]})" if result.error else "")
