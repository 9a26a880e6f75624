"""How well the fuzzer finds the planted bugs: `python -m tests.quality.measure [--seeds 3] [--jobs 2] [NAME ...]`.

Each bug is searched for with each seed, and what was found is shrunk as `ossvol fuzz` does it. Writes `found.json`,
from which the suite takes its seeds and steps, and docs/fuzzing-quality.md; of bugs that are not named it keeps what is
there. Takes some ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.quality.bugs import BUGS
from tests.quality.finding import MOST_STEPS, PLAN, search
from tests.quality.reduction import shows

from ossvol.fuzz.laboratory import Laboratory

__all__ = ["FOUND", "load"]

FOUND = Path(__file__).with_name("found.json")
PAGE = Path(__file__).parents[2] / "docs" / "fuzzing-quality.md"

_HEAD = f"""# How well the fuzzer finds bugs

`tests/quality/bugs.py` plants bugs in the simulation, one at a time, while the fuzzer runs (direct engine, ossfs
{PLAN.version}, without its defects). {{bugs}} were searched for, with as many seeds as "found" says and {MOST_STEPS:,}
steps at most.

- found: with how many of the seeds it was;
- steps: made until the bug showed, the median over the seeds;
- shrunk: steps that were left of what was found, the median.

With the bug the last step breaks its expectation, and without it all hold, but for: {{untold}}.
There the comparison, which looks at everything after each step, takes part, or a step before was answered otherwise.

Found within {MOST_STEPS:,} steps by most seeds: {{found}} of {{bugs}}; median of the medians: {{median}} steps;
shrunk to at most 8 steps: {{short}}. Nothing is planted in uploads in parts: the machine's files are too small.

`python -m tests.quality.measure` measures anew and writes this page.

| bug | what is wrong | seen by | found | steps | shrunk |
|---|---|---|---|---|---|
"""


def load() -> dict[str, Any]:
    """Name to what was measured: per seed `steps`, `property`, `shrunk`; `seed`, `given`, `when` of the best."""
    found: dict[str, Any] = json.loads(FOUND.read_text("utf-8")) if FOUND.exists() else {}
    return {name: found[name] for name in sorted(BUGS) if name in found}


def measured(name: str, seed: int) -> dict[str, Any]:
    """One search. Without "steps" where nothing was found, without "when" where the steps tell nothing."""
    bug = BUGS[name]
    done = search(seed, bug.planted(), shrink=True)
    if done.failure is None:
        return {"seed": seed}
    given, steps = done.failure.whole_given(), list(done.failure.steps)
    found = {"seed": seed, "steps": done.steps, "property": done.failure.property, "shrunk": len(steps)}
    with Laboratory("direct") as laboratory:
        if not shows(laboratory, bug, given, steps, PLAN.version):
            return found
    return {**found, "given": given, "when": steps}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of the runs of a bug."""
    runs = sorted(runs, key=lambda one: int(one["seed"]))
    kept = {key: [run.get(key) for run in runs] for key in ("seed", "steps", "property")}
    lengths = [run.get("shrunk") for run in runs]
    whole = [run for run in runs if "when" in run]
    # The suite searches with the seed that takes least, and replays the shortest steps.
    quickest = min((run for run in runs if "steps" in run), key=lambda one: int(one["steps"]), default=None)
    shortest = min(whole, key=lambda one: len(one["when"]), default=None)
    return {
        "seeds": kept["seed"],
        "steps": kept["steps"],
        "properties": kept["property"],
        "shrunk": lengths,
        "seed": quickest["seed"] if quickest else None,
        "given": shortest["given"] if shortest else None,
        "when": shortest["when"] if shortest else None,
    }


def median(counts: list[int | None]) -> float:
    """Infinity for what most seeds have not."""
    return statistics.median(math.inf if count is None else count for count in counts)


def page(found: dict[str, Any]) -> str:
    """docs/fuzzing-quality.md."""
    rows, medians, short = [], [], 0
    for name, one in found.items():
        steps, length = median(one["steps"]), median(one["shrunk"])
        seen = sorted({property for property in one["properties"] if property})
        medians.append(steps)
        short += length <= 8
        cells = [
            name,
            BUGS[name].breaks,
            ", ".join(seen) or "-",
            f"{sum(count is not None for count in one['steps'])} of {len(one['seeds'])}",
            f"{steps:.0f}" if steps < math.inf else "-",
            f"{length:.0f}" if length < math.inf else "-",
        ]
        rows.append("| " + " | ".join(cells) + " |\n")
    reached = sum(steps < math.inf for steps in medians)
    middle = f"{statistics.median(medians):.0f}" if medians else "-"
    untold = ", ".join(name for name, one in found.items() if one["when"] is None) or "none"
    head = _HEAD.format(bugs=len(found), found=reached, median=middle, short=short, untold=untold)
    missing = sorted(BUGS.keys() - found.keys())
    rare = [f"- `{name}`: {bug.rare}\n" for name, bug in sorted(BUGS.items()) if bug.rare]
    if rare:
        rows += ["\nWhat most seeds miss, or more than eight steps are left of:\n\n", *rare]
    return head + "".join(rows) + (f"\nNot measured yet: {', '.join(missing)}.\n" if missing else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - BUGS.keys())
    if unknown:
        parser.error(f"no such bug: {', '.join(unknown)}")
    names = given.names or sorted(BUGS)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    found = load()
    with ProcessPoolExecutor(given.jobs) as pool:
        waiting = {pool.submit(measured, name, seed): (name, seed) for seed in range(given.seeds) for name in names}
        for done in as_completed(waiting):
            name, seed = waiting[done]
            if (tripped := done.exception()) is not None:
                # A harness that trips over a bug has not found it.
                print(f"{name}, seed {seed}: {tripped!r}", file=sys.stderr, flush=True)
            runs[name].append({"seed": seed} if tripped is not None else done.result())
            found[name] = summary(runs[name])
            print(name, found[name]["steps"], found[name]["shrunk"], file=sys.stderr, flush=True)
            keep(found)


def keep(found: dict[str, Any]) -> None:
    """Writes what is known so far, so that a run that is broken off has been of use."""
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    FOUND.write_text(f"{{\n{rows}\n}}\n", "utf-8")
    PAGE.write_text(page(load()), "utf-8")


if __name__ == "__main__":
    main()
