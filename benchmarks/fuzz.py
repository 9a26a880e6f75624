"""How many steps a second `ossvol fuzz` does, beside Hypothesis with the same rules and nothing behind them.

The runs take turns, pinned to one core; the figure is the median of the rounds, in steps per second of processor time
of this process (with --kernel: of wall time, since mounts, cloud and callers are processes of their own). "whole"
compares the server and every mount's tree after each step that may have changed something, "end" only after an example.
The last line says what the clean-up between examples costs: two fresh mounts on the engine in use, or on a new one.

Usage: python benchmarks/fuzz.py [--rounds N] [--steps N] [--kernel] [--profile]       (about a minute)
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from ossvol.fuzz import Plan, VolumeMachine, run
from ossvol.fuzz.judging import MountPlan
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.world import World

TARGETS = {"direct": 1500.0, "kernel": 400.0}


class Bare(VolumeMachine):
    """The same choices; every call succeeds at once and nothing is compared."""

    counted = 0

    def teardown(self) -> None:
        type(self).counted += self.world.steps


class _Nothing:
    """A world in which all names exist."""

    def __init__(self, *_: object, **__: object) -> None:
        self.steps = 0
        self.handles: dict[str, Any] = {}
        self.model = mock.Mock(objects={}, paths=lambda: [], below=lambda path: iter(()))
        self.plans = {"one": MountPlan(), "two": MountPlan()}
        self.exists = lambda path: True

    def __getattr__(self, name: str) -> Callable[..., str]:
        def call(*_: object, **__: object) -> str:
            self.steps += 1
            return ""

        return call


def bare(seed: int, steps: int) -> int:
    """Steps done."""
    made: type[Bare] = type("Counting", (Bare,), {"counted": 0})
    counter = [0]

    def teardown(self: Bare) -> None:
        counter[0] += self.world.steps

    made.teardown = teardown  # type: ignore[method-assign]
    with mock.patch("ossvol.fuzz.machine.World", _Nothing):
        run(seed=seed, max_steps=steps, machine=made)
    return counter[0]


def rate(clock: Callable[[], float], work: Callable[[], int]) -> float:
    start = clock()
    return work() / (clock() - start)


def cleaning(rounds: int) -> tuple[float, float]:
    """Milliseconds for two fresh mounts on the engine in use, and on a new one."""
    plans = {"one": MountPlan(), "two": MountPlan()}
    again, anew = [], []
    with Laboratory("direct") as kept:
        for _ in range(rounds * 5):
            start = time.process_time()
            World(kept, plans, version="1.91.10")
            kept.end()
            again.append(time.process_time() - start)
            start = time.process_time()
            with Laboratory("direct") as fresh:
                World(fresh, plans, version="1.91.10")
                fresh.end()
            anew.append(time.process_time() - start)
    return statistics.median(again) * 1e3, statistics.median(anew) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--kernel", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    steps = options.steps
    run(max_steps=50)
    rows: dict[str, Callable[[int], float]] = {
        "Hypothesis alone": lambda seed: rate(time.process_time, lambda: bare(seed, steps)),
        "direct, whole": lambda seed: rate(time.process_time, lambda: run(seed=seed, max_steps=steps).steps),
        "direct, end": lambda seed: rate(
            time.process_time, lambda: run(Plan(compare=False), seed=seed, max_steps=steps).steps
        ),
    }
    if options.kernel:
        rows["kernel, whole"] = lambda seed: rate(
            time.perf_counter, lambda: run("kernel", seed=seed, max_steps=steps // 4).steps
        )
    seen: dict[str, list[float]] = {name: [] for name in rows}
    for round_ in range(options.rounds):
        for name, work in rows.items():
            seen[name].append(work(round_))
    alone = statistics.median(seen["Hypothesis alone"])
    for name, rates in seen.items():
        median = statistics.median(rates)
        target = TARGETS.get(name.partition(",")[0]) if name.endswith("whole") else None
        told = f", goal {target:.0f}: {'reached' if median >= target else 'missed'}" if target else ""
        print(f"{name:18} {median:7.0f} steps/s  {median / alone:5.2f} of Hypothesis alone{told}")
    again, anew = cleaning(options.rounds)
    print(f"clean-up and two fresh mounts: {again:.1f} ms on the engine in use, {anew:.1f} ms with a new engine")
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(run, seed=1, max_steps=steps)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(40)


if __name__ == "__main__":
    main()
