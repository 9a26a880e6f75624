"""`ossvol fuzz`: from the words of the command line to a report and an exit code. Called from the main thread."""

from __future__ import annotations

import functools
import importlib.util
import json as json_module
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from osscluster.errors import EnvironmentMissing
from ossvol.errors import UsageError
from ossvol.exit_codes import ExitCode

if TYPE_CHECKING:
    from ossvol.fuzz.plan import Plan, Tally
    from ossvol.fuzz.running import Failure, FuzzResult

__all__ = ["Report", "fuzz", "open_database", "parse_shard"]

_EXTRA = ("hypothesis", "ruamel.yaml")


@dataclass(slots=True)
class Report:
    """What a run found. files: of the failures, as far as they were saved; command: how to run it again."""

    result: FuzzResult
    command: str
    files: list[str] = field(default_factory=list)
    rules: tuple[str, ...] = ()

    def exit_code(self) -> ExitCode:
        """Failures: a property does not hold."""
        return ExitCode.FAILURES if self.result.failures else ExitCode.OK

    def as_json(self) -> str:
        """One object."""
        result, tally = self.result, self.result.tally
        failures = [
            {
                "property": failure.property,
                "seed": failure.seed,
                "scenario_file": self.files[index] if index < len(self.files) else "",
                "text": failure.text,
                "steps": len(failure.steps),
                "reproduce": self.reproduce(index),
            }
            for index, failure in enumerate(result.failures)
        ]
        body: dict[str, Any] = {
            "version": 1,
            "steps": tally.steps,
            "seconds": round(result.seconds, 2),
            "steps_per_second": round(tally.steps / result.seconds, 1) if result.seconds else 0.0,
            "live_share": round(tally.live_share, 4),
            "examples": tally.examples,
            "judged_share": round(tally.judged / tally.steps, 4) if tally.steps else 0.0,
            "verbs": dict(sorted(tally.verbs.items())),
            "cells": len(tally.cells),
            "seed": result.seed,
            "against": result.plan.against,
            "explained": dict(sorted(tally.explained.items())),
            "defects": [
                {
                    "names": list(names),
                    "count": count,
                    "property": tally.first[names].property,
                    "text": tally.first[names].text,
                    "steps": list(tally.first[names].steps),
                }
                for names, count in tally.met.most_common()
            ],
            "failures": failures,
        }
        return json_module.dumps(body, ensure_ascii=False)

    def reproduce(self, index: int) -> str:
        """One line."""
        if index < len(self.files) and self.result.failures[index].replays:
            plan = self.result.plan
            words = ["ossvol", "run", self.files[index], "--via", plan.via]
            return shlex.join([*words, *(["--ossfs", plan.ossfs] if plan.ossfs else [])])
        return self.command

    def as_text(self) -> str:
        """For a terminal."""
        result, tally = self.result, self.result.tally
        lines = []
        for index, failure in enumerate(result.failures):
            lines += _failure_lines(failure)
            lines.append(f"  reproduce  {self.reproduce(index)}")
        lines += _met_lines(tally)
        rate = tally.steps / result.seconds if result.seconds else 0.0
        lines += [f"explained {count:5} x {entry}" for entry, count in sorted(tally.explained.items())]
        lines += [
            f"{tally.examples} examples, {tally.steps} steps in {result.seconds:.1f} s ({rate:.0f} a second), "
            f"{_percent(tally.judged, tally.steps)} judged, {_percent(tally.live, tally.aimed)} on live objects",
            f"coverage: {_coverage(tally)}",
            "no property broke" if not result.failures else f"{len(result.failures)} property broke",
        ]
        return "\n".join(lines)


def _failure_lines(failure: Failure) -> list[str]:
    lines = [f"{failure.property}: {failure.text}", f"  after {len(failure.steps)} steps, the last one fails:"]
    return lines + [f"    {json_module.dumps(step, ensure_ascii=False)}" for step in failure.steps]


def _met_lines(tally: Tally) -> list[str]:
    lines = []
    for names, count in tally.met.most_common():
        first = tally.first[names]
        lines.append(f"listed defect {' with '.join(names)}, met {count} times; {first.property}: {first.text}")
        lines += [f"    {json_module.dumps(step, ensure_ascii=False)}" for step in first.steps]
    return lines


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _coverage(tally: Tally) -> str:
    return f"{len(tally.verbs)} verbs, {len(tally.cells)} cells of verb, user and answer"


def fuzz(
    *,
    via: Literal["kernel", "direct"] | None,
    ossfs: str,
    ossfs_version: str,
    profile: str,
    examples: int,
    steps: int,
    seed: int,
    shard: str,
    save: Path | None,
    database: str,
    defects: bool = False,
    jobs: int = 1,
    against: str = "",
    other_version: str = "",
) -> Report:
    """Raises UsageError, EnvironmentMissing before anything has run."""
    _need_extra()
    from ossvol.fuzz.against import plan_against
    from ossvol.fuzz.parts import Work, parts_of, run_parts
    from ossvol.fuzz.plan import PROFILES

    if profile not in PROFILES:
        raise UsageError(f"--profile {profile}: there are {', '.join(PROFILES)}")
    if against and defects:
        raise UsageError("--defects is for a run against the model; with --against both sides have their defects")
    if other_version and (ossfs or against or defects):
        raise UsageError("--other-version is for a run of the simulation without defects, against the model")
    if against:
        plan = plan_against(against, via=via, ossfs=ossfs, version=ossfs_version)
    else:
        plan = _plan(via, ossfs, ossfs_version, other_version, defects=defects)
    many, long = PROFILES[profile]
    many, long = examples or many, steps or long
    parts = parts_of(seed, many)
    index, shards = parse_shard(shard)
    if index >= len(parts):
        raise UsageError(f"--shard {shard}: {many} examples are {len(parts)} parts, there is nothing for this one")
    open_database(database)
    if save is not None:
        _need_directory("--save", save)
    work = Work(plan, long, functools.partial(open_database, database))
    started = time.perf_counter()
    result = run_parts(work, parts[index::shards], jobs=jobs, progress=_progress(started))
    result.seed, result.seconds = seed, time.perf_counter() - started
    failed = [part.number for part in parts for failure in result.failures if failure.seed == part.seed]
    shard = f"{failed[0] + 1}/{len(parts)}" if failed else shard
    words = ["ossvol", "fuzz", *_side_words(plan), "--profile", profile, "--seed", str(seed)]
    words += ["--other-version", other_version] if other_version else []
    words += ["--defects"] if defects else []
    words += ["--examples", str(examples)] if examples else []
    words += ["--steps", str(steps)] if steps else []
    words += ["--shard", shard] if shard else []
    report = Report(result, shlex.join(words))
    if save is not None:
        from ossvol.fuzz.export import save as write

        report.files = [str(write(failure, save)) for failure in result.failures]
    return report


def _side_words(plan: Plan) -> list[str]:
    from ossvol.fuzz.plan import MOTO

    if plan.against == MOTO:
        return ["--against", MOTO]
    against = ["--against", plan.against] if plan.against else []
    which = ["--ossfs", plan.ossfs] if plan.ossfs else ["--ossfs-version", plan.version]
    return ["--via", plan.via, *against, *which]


def _plan(via: Literal["kernel", "direct"] | None, ossfs: str, version: str, other: str, *, defects: bool) -> Plan:
    from ossvol.fuzz.against import DEFAULT_VERSION, known_release
    from ossvol.fuzz.plan import Plan
    from ossvol.run_command import choose_via
    from ossvol.runner import version_of_binary

    if ossfs and not os.access(ossfs, os.X_OK):
        raise UsageError(f"--ossfs {ossfs}: not an executable file")
    version = version or (version_of_binary(ossfs) if ossfs else DEFAULT_VERSION)
    known_release(version)
    if other:
        known_release(other, "--other-version")
    engine = choose_via(via or ("kernel" if ossfs else "direct"), ossfs=ossfs)
    binary = str(Path(ossfs).resolve()) if ossfs else ""
    return Plan(engine, binary, version, other, fixed=not (ossfs or defects), explain=defects)


def _need_extra() -> None:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name.partition(".")[0]) is None]
    if missing:
        raise EnvironmentMissing(f"ossvol fuzz needs {' and '.join(missing)}", "pip install 'ossvol[fuzz]'")


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/4" as (1, 4). Raises UsageError."""
    if not text:
        return 0, 1
    index, _, parts = text.partition("/")
    if not (index.isdecimal() and parts.isdecimal() and 1 <= int(index) <= int(parts)):
        raise UsageError(f"--shard {text}: write I/N with I from 1 to N")
    return int(index) - 1, int(parts)


def open_database(text: str) -> Any:
    """A Hypothesis database: a directory, or redis://HOST:PORT/N; none for "". Raises UsageError."""
    if not text:
        return None
    if text.startswith("redis://"):
        if importlib.util.find_spec("redis") is None:
            raise UsageError("--database redis://... needs the package redis: pip install 'ossvol[fuzz]'")
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis, RedisError

        try:
            client = Redis.from_url(text)
            client.ping()
        except (RedisError, ValueError) as error:
            raise UsageError(f"--database {text}: {error}") from error
        return RedisExampleDatabase(client)
    from hypothesis.database import DirectoryBasedExampleDatabase

    _need_directory("--database", Path(text))
    return DirectoryBasedExampleDatabase(text)


def _need_directory(option: str, path: Path) -> None:
    """Makes it where it is missing: what a run of hours has found must have a place. Raises UsageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}; name a directory that can be written to") from error


def _progress(started: float) -> Callable[[int, int], None] | None:
    from ossvol.config import in_ci

    if not sys.stderr.isatty() or in_ci():
        return None

    def show(examples: int, steps: int) -> None:
        seconds = time.perf_counter() - started
        rate = steps / seconds if seconds else 0.0
        print(f"\r{examples} examples, {steps} steps, {rate:.0f} a second ", end="", file=sys.stderr, flush=True)

    return show
