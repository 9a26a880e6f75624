"""How long all FAQ scenarios take, direct and on kernel mounts, interleaved in one run.

Prints the median of each and the limits of the project: direct 5 s, kernel 45 s on 2 cores.
Usage: python benchmarks/scenarios.py [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMITS = {"direct": 5.0, "kernel": 45.0}
SCENARIOS = Path(__file__).parent.parent / "scenarios" / "faq"


def measure(via: str) -> tuple[float, dict[str, object]]:
    """Wall seconds of one `ossvol run`, start-up included, and its summary."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ossvol", "run", "--via", via, "--json", str(SCENARIOS)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"ossvol run --via {via} ended with {done.returncode}")
    return time.perf_counter() - started, json.loads(done.stdout)["summary"]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds: dict[str, list[float]] = {via: [] for via in LIMITS}
    for number in range(rounds):
        for via in LIMITS:
            took, summary = measure(via)
            seconds[via].append(took)
            print(f"round {number + 1}  {via:7} {took:6.2f} s  {summary}", flush=True)
    for via, limit in LIMITS.items():
        median = statistics.median(seconds[via])
        print(f"{via:7} median {median:6.2f} s  limit {limit:.0f} s  {median / limit:.2f} of it")


if __name__ == "__main__":
    main()
