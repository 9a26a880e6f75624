"""`ossvol parity`: the real binary against the simulation of its release, from the command line to an exit code.

Five parts: random sequences, the permissions matrix, the errno table, the scenarios, and the list of known differences
that they are matched against. Called from the main thread.
"""

from __future__ import annotations

import json as json_module
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from pathlib import Path

from ossvol.errors import UsageError
from ossvol.exit_codes import ExitCode
from ossvol.parity.comparison import Difference
from ossvol.parity.differences import Known, load
from ossvol.parity.generator import PER_MOUNT, generate
from ossvol.parity.matrix import check_matrix
from ossvol.parity.outcomes import check_outcomes
from ossvol.parity.pair import Pair, Verdict, shrink
from ossvol.parity.scenario_runs import compare_scenarios
from ossvol.parity.steps import Sequence

__all__ = ["FULL_SEQUENCES", "PARTS", "Finding", "Report", "compare_binary"]

FULL_SEQUENCES = 2000
PARTS = ("sequences", "permissions", "errno", "scenarios")


@dataclass(frozen=True, slots=True)
class Finding:
    """An unexplained difference. sequence: the smallest that shows it, as text, "" where it is none; reproduce: a
    command line."""

    difference: Difference
    where: str
    sequence: str
    reproduce: str

    def text(self) -> str:
        """Several lines."""
        lines = [f"{self.where}", f"    {self.difference.text()}"]
        if self.sequence:
            lines += [f"      {part.strip()}" for part in self.sequence.split(";")]
        lines.append(f"    reproduce: {self.reproduce}")
        return "\n".join(lines)


@dataclass(slots=True)
class Report:
    """What a run found. once: differences that did not show again; stale: ids of entries that nothing needed."""

    ossfs: str
    version: str
    sequences: int = 0
    steps: int = 0
    requests: int = 0
    cells: int = 0
    errnos: int = 0
    scenarios: int = 0
    skipped: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    once: list[Finding] = field(default_factory=list)
    explained: Counter[str] = field(default_factory=Counter)
    stale: list[str] = field(default_factory=list)

    def exit_code(self, *, strict: bool) -> ExitCode:
        """Failures: an unexplained difference; with strict also a stale entry."""
        return ExitCode.FAILURES if self.findings or (strict and self.stale) else ExitCode.OK

    def as_json(self) -> str:
        """One object."""

        def entry(finding: Finding) -> dict[str, str]:
            difference = finding.difference
            return {
                "where": finding.where,
                "kind": difference.kind,
                "step": difference.step,
                "real": difference.real,
                "simulated": difference.simulated,
                "sequence": finding.sequence,
                "reproduce": finding.reproduce,
            }

        return json_module.dumps(
            {
                "version": 1,
                "ossfs": self.ossfs,
                "release": self.version,
                "summary": {
                    "sequences": self.sequences,
                    "steps": self.steps,
                    "requests": self.requests,
                    "cells": self.cells,
                    "errnos": self.errnos,
                    "scenarios": self.scenarios,
                    "scenarios_skipped": self.skipped,
                    "unexplained": len(self.findings),
                    "seconds": round(self.seconds, 1),
                },
                "differences": [entry(finding) for finding in self.findings],
                "seen_once": [entry(finding) for finding in self.once],
                "explained": dict(sorted(self.explained.items())),
                "stale": self.stale,
            },
            ensure_ascii=False,
        )

    def as_text(self) -> str:
        """For a terminal."""
        lines = [finding.text() for finding in self.findings]
        if self.once:
            lines.append(f"{len(self.once)} difference(s) did not show again (the machine's speed):")
            lines += [f"  {finding.where}: {finding.difference.text()}" for finding in self.once]
        lines += [f"explained {count:5} x {entry}" for entry, count in sorted(self.explained.items())]
        lines += [f"stale: {entry} explains nothing any more; remove it from differences.yaml" for entry in self.stale]
        lines.append(
            f"ossfs {self.version}: {self.sequences} sequences ({self.steps} steps, {self.requests} requests), "
            f"{self.cells} permission cells, {self.errnos} errno cells, "
            f"{self.scenarios} scenarios ({self.skipped} skipped): "
            f"{len(self.findings)} unexplained, {sum(self.explained.values())} explained differences "
            f"in {self.seconds:.0f} s"
        )
        return "\n".join(lines)


class _Run:
    """One run of the command."""

    def __init__(self, ossfs: str, version: str, *, steps: int, known: Seq[Known]) -> None:
        from ossfuse import profile

        self.report = Report(ossfs, version)
        self.known = known
        self._steps = steps
        self._profile = profile.find(version)
        self._seen: set[tuple[str, ...]] = set()

    def sequences(self, pair: Pair, first: int, count: int) -> None:
        """The sequences of `count` seeds from `first` on."""
        for seed in range(first, first + count):
            sequence = generate(seed, self._profile, steps=self._steps)
            verdict = pair.run(sequence, fresh=seed == first)
            self._add(verdict)
            if verdict.unexplained:
                self._settle(pair, sequence, verdict.unexplained[0])
            if sys.stderr.isatty():
                print(f"\r{seed - first + 1}/{count} sequences", end="", file=sys.stderr)
        if sys.stderr.isatty():
            print("\r" + " " * 40 + "\r", end="", file=sys.stderr)

    def replay(self, pair: Pair, sequence: Sequence) -> None:
        """One given sequence; nothing is left out of it."""
        verdict = pair.run(sequence, fresh=True)
        self._add(verdict)
        for difference in verdict.unexplained:
            self._found(difference, "replay", sequence)

    def _add(self, verdict: Verdict) -> None:
        report = self.report
        report.sequences += 1
        report.steps += verdict.steps
        report.requests += verdict.requests
        report.explained += verdict.explained

    def _settle(self, pair: Pair, sequence: Sequence, first: Difference) -> None:
        """Confirms a difference on new mounts and looks for the smallest sequence that shows it."""
        wanted = _signature(first)
        if wanted in self._seen:
            return

        def fails(candidate: Sequence) -> bool:
            verdict = pair.run(candidate, fresh=True)
            return any(_signature(one) == wanted for one in verdict.unexplained)

        where = f"sequence {sequence.seed}"
        if not any(fails(sequence) for _ in range(2)):
            if not self._again(pair, sequence, wanted):
                self.report.once.append(Finding(first, where, "", self._command(sequence.seed, 1)))
                return
            self._seen.add(wanted)
            start = sequence.seed - sequence.seed % PER_MOUNT
            command = self._command(start, sequence.seed - start + 1)
            self.report.findings.append(Finding(first, where, sequence.text(), command))
            return
        self._seen.add(wanted)
        small = shrink(sequence, fails)
        verdict = pair.run(small, fresh=True)
        shown = next((one for one in verdict.unexplained if _signature(one) == wanted), first)
        self._found(shown, where, small)

    def _again(self, pair: Pair, sequence: Sequence, wanted: tuple[str, ...]) -> bool:
        """Whether it shows when everything that was on the mount before is done again."""
        start = sequence.seed - sequence.seed % PER_MOUNT
        found: list[Difference] = []
        for seed in range(start, sequence.seed + 1):
            one = generate(seed, self._profile, steps=self._steps)
            found = pair.run(one, fresh=seed == start).unexplained
        return any(_signature(one) == wanted for one in found)

    def _command(self, seed: int, count: int) -> str:
        words = ["ossvol", "parity", "--ossfs", self.report.ossfs, "--seed", str(seed), "--sequences", str(count)]
        return shlex.join([*words, "--steps", str(self._steps), "--only", "sequences"])

    def _found(self, difference: Difference, where: str, sequence: Sequence) -> None:
        text = sequence.text()
        command = shlex.join(["ossvol", "parity", "--ossfs", self.report.ossfs, "--replay", text])
        self.report.findings.append(Finding(difference, where, text, command))


def _signature(difference: Difference) -> tuple[str, ...]:
    """What two occurrences of one difference have in common."""
    verb = " ".join(difference.step.split(" ")[1:2]) or difference.kind
    if difference.kind != "requests":
        return (difference.kind, verb, difference.real if difference.kind == "result" else "", "")
    shape = [
        " ".join(sorted(line.split(" ")[0] for line in text.splitlines()))
        for text in (difference.real, difference.simulated)
    ]
    return (difference.kind, verb, *shape)


def compare_binary(
    *,
    ossfs: str,
    version: str = "",
    sequences: int = FULL_SEQUENCES,
    seed: int = 0,
    steps: int = 20,
    only: Seq[str] = (),
    replay: str = "",
    scenarios: Seq[str] = (),
) -> Report:
    """Runs everything, or the parts that `only` names, or the one sequence `replay`. scenarios: which, all when empty.

    Raises UsageError, EnvironmentMissing before anything has run."""
    from osscluster.engine import kernel_unavailable
    from ossfuse import profile
    from ossvol.runner import version_of_binary
    from ossvol.scenario.vocabulary import known_versions

    if not os.access(ossfs, os.X_OK):
        raise UsageError(f"--ossfs {ossfs}: not an executable file")
    if missing := kernel_unavailable():
        raise missing
    if unknown := set(only) - set(PARTS):
        raise UsageError(f"--only {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    path = str(Path(ossfs).resolve())
    version = version or version_of_binary(path)
    if version not in known_versions():
        raise UsageError(f"no simulated ossfs is {version}; --ossfs-version names one of {', '.join(known_versions())}")
    if version not in profile.PROFILES:
        raise UsageError(f"the sequences are ossfs 1.x's, for {version} parity is not modelled: docs/ossfs2.md")
    parts = set(only or PARTS)
    run = _Run(path, version, steps=steps, known=load())
    report = run.report
    started = time.perf_counter()
    with Pair.of_binary(path, version, run.known) as pair:
        if replay:
            run.replay(pair, Sequence.parse(replay))
            parts = set()
        if "sequences" in parts:
            run.sequences(pair, seed, sequences)
        if "permissions" in parts:
            report.cells, differences = check_matrix(pair.real, version)
            again = shlex.join(["ossvol", "parity", "--ossfs", path, "--only", "permissions"])
            report.findings += [Finding(one, "permissions matrix", "", again) for one in differences]
    if "errno" in parts:
        report.errnos, differences = check_outcomes(path, version)
        again = shlex.join(["ossvol", "parity", "--ossfs", path, "--only", "errno"])
        report.findings += [Finding(one, "errno table", "", again) for one in differences]
    if "scenarios" in parts:
        compared = compare_scenarios(path, version, run.known, scenarios)
        report.scenarios, report.skipped = compared.compared, compared.skipped
        report.explained += compared.explained
        for name, difference in compared.unexplained:
            again = shlex.join(["ossvol", "parity", "--ossfs", path, "--only", "scenarios", "--scenario", name])
            report.findings.append(Finding(difference, f"scenario {name}", "", again))
    if parts == set(PARTS) and sequences >= FULL_SEQUENCES and not scenarios:
        report.stale = [
            one.id for one in run.known if one.versions.holds(version) and not one.rare and not report.explained[one.id]
        ]
    report.seconds = time.perf_counter() - started
    return report
