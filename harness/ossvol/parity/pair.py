"""The real ossfs and the simulation side by side: one sequence on both, and the smallest one that tells them apart.

One thread, the runner's. Each has its own cloud with equal content, its own mount and its own processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from osscluster.engine import KernelEngine, make_engine
from ossvol.parity.comparison import Difference, compare, compare_step
from ossvol.parity.differences import Known, explanation
from ossvol.parity.replay import Bench
from ossvol.parity.steps import Sequence

__all__ = ["Pair", "Verdict", "shrink"]

_CALL_SECONDS = 20.0


@dataclass(slots=True)
class Verdict:
    """What a sequence showed. unexplained: differences that no entry explains; explained: entry id to how often; steps,
    requests: how many were compared."""

    unexplained: list[Difference] = field(default_factory=list)
    explained: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    requests: int = 0


class Pair:
    """known: what explains a difference. Closes both benches; close it, or use it as a context manager."""

    def __init__(self, real: Bench, simulated: Bench, known: Seq[Known]) -> None:
        self.real = real
        self.simulated = simulated
        self._known = known
        self._options: str | None = None
        self._count = 0

    @classmethod
    def of_binary(cls, ossfs: str, version: str, known: Seq[Known]) -> Pair:
        """A real binary and the simulation of `version`, both on kernel mounts. Raises EnvironmentMissing."""
        return cls(_bench(ossfs, version), _bench(None, version), known)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def _benches(self) -> tuple[Bench, Bench]:
        return self.real, self.simulated

    def close(self) -> None:
        """Ends both."""
        for bench in self._benches:
            bench.close()

    def run(self, sequence: Sequence, *, fresh: bool = False) -> Verdict:
        """Runs the sequence on both. fresh: on new mounts; otherwise those of the last sequence go on where the
        options are the same and the sequence works in a directory."""
        verdict = Verdict()
        usable = self._options == sequence.options and all(bench.usable() for bench in self._benches)
        if fresh or not usable or not sequence.inside:
            mounts = [bench.mount(sequence.options) for bench in self._benches]
            self._options = sequence.options
            if not self._judge(verdict, sequence, compare_step(*mounts)) or mounts[0].fields["result"] != "ok":
                return verdict
        base = ""
        if sequence.inside:
            self._count += 1
            base = f"w{self._count}"
            for bench in self._benches:
                bench.put_directory(base)
        traces = [bench.run(sequence, base) for bench in self._benches]
        verdict.steps = len(traces[0].shown)
        verdict.requests = sum(len(shown.requests) for shown in traces[0].shown)
        self._judge(verdict, sequence, compare(*traces))
        return verdict

    def _judge(self, verdict: Verdict, sequence: Sequence, differences: Iterable[Difference]) -> bool:
        """False when what follows does not count."""
        for difference in differences:
            entry = explanation(difference, self._known, version=self.real.version, options=sequence.options)
            if entry is None:
                verdict.unexplained.append(difference)
                continue
            verdict.explained[entry.id] += 1
            if entry.ends:
                return False
        return True


def _bench(ossfs: str | None, version: str) -> Bench:
    engine = make_engine("kernel", ossfs=ossfs)
    if isinstance(engine, KernelEngine):
        engine.call_timeout = _CALL_SECONDS
    return Bench(engine, version)


def shrink(sequence: Sequence, fails: Callable[[Sequence], bool], *, budget: int = 120) -> Sequence:
    """The smallest sequence found that still fails, by leaving out ever smaller groups of steps; `fails` is asked at
    most `budget` times."""
    size = max(1, len(sequence.steps) // 2)
    while budget > 0:
        start = 0
        shorter = False
        while start < len(sequence.steps) and budget > 0:
            candidate = sequence.without(frozenset(range(start, start + size)))
            budget -= 1
            if candidate.steps and fails(candidate):
                sequence = candidate
                shorter = True
            else:
                start += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    return sequence
