"""Two sides that do the same steps: a kernel mount and the direct engine, or two engines of which one was tampered
with. What differs is found, shrunk, and either listed with its reason or a failure that a scenario repeats."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osscluster.engine import kernel_unavailable
from osscluster.mounttable import mounts
from ossvol.errors import UsageError
from ossvol.exit_codes import ExitCode
from ossvol.fuzz import Plan, run
from ossvol.fuzz import differential as module
from ossvol.fuzz.against import plan_against
from ossvol.fuzz.differential import FILE, compare_steps, machine_for
from ossvol.fuzz.export import save
from ossvol.fuzz.sides import Side, Sides, step_text
from ossvol.fuzz.violation import Violation
from ossvol.fuzz_command import fuzz
from ossvol.parity.differences import Known, load
from ossvol.scenario.vocabulary import VersionRange

Steps = list[dict[str, Any]]

# What runs have found, and what has been mended since: mounts "one" and "two", options of theirs, steps.
FOUND: dict[str, tuple[tuple[str, ...], Steps]] = {
    "a directory is removed in which a new file is open": (
        ("-o allow_other",),
        [
            {"mkdir": "d", "in": "one"},
            {"open": "d/f", "flags": "w", "handle": "h", "in": "one"},
            {"rmdir": "d", "in": "one"},
            {"write": "@h", "body": "lost"},
            {"truncate": "@h", "size": 2},
            {"mkdir": "d", "in": "one"},
            {"fsync": "@h"},
            {"close": "@h"},
            {"ls": "d", "in": "one"},
            {"lstat": "d/f", "in": "one"},
        ],
    ),
    "a directory takes the place of one in which a new file is open": (
        ("-o allow_other",),
        [
            {"mkdir": "d", "in": "one"},
            {"mkdir": "e", "in": "one"},
            {"open": "e/f", "flags": "w+", "handle": "h", "in": "one"},
            {"rename": "d", "to": "e", "in": "one"},
            {"write": "@h", "body": "lost"},
            {"close": "@h"},
            {"ls": "e", "in": "one"},
        ],
    ),
    "a file is shorter than the kernel remembers": (
        ("-o allow_other -o attr_timeout=3600,entry_timeout=3600", "-o allow_other"),
        [
            {"write": "a", "body": "0123456789", "in": "one"},
            {"lstat": "a", "in": "one"},
            {"write": "a", "body": "012", "in": "two"},
            {"lstat": "a", "in": "one"},
            {"read": "a", "in": "one"},
            {"lstat": "a", "in": "one"},
            {"append": "a", "body": "x", "in": "one"},
        ],
    ),
}


@pytest.fixture(scope="module")
def sides() -> Iterator[Sides]:
    """The direct engine, held against kernel mounts."""
    missing = kernel_unavailable()
    if missing is not None:
        pytest.skip(f"needs a kernel mount: {missing.reason}; fix: {missing.remedy}")
    with Sides("kernel", "direct") as made:
        yield made


@pytest.fixture
def alike() -> Iterator[Sides]:
    """Twice the direct engine."""
    with Sides("direct", "direct") as made:
        yield made


# --- finding --------------------------------------------------------------------------------------------------------


def test_one_engine_twice_shows_no_difference(alike: Sides) -> None:
    result = run(Plan(against="direct", fixed=False), seed=4, max_steps=200, laboratory=alike)
    assert not result.failures, result.failures
    assert result.steps >= 200
    assert result.tally.judged == result.steps


@pytest.mark.kernel
def test_the_direct_engine_does_what_kernel_mounts_do(sides: Sides) -> None:
    result = run(Plan(against="kernel", fixed=False), seed=2, max_steps=120, laboratory=sides)
    assert not result.failures, result.failures[0].text
    assert result.steps >= 120


@pytest.mark.kernel
@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_is_no_difference_any_more(sides: Sides, name: str) -> None:
    options, steps = FOUND[name]
    for version in ("1.91.3", "1.91.10"):
        assert not compare_steps(sides, steps, version=version, options=options)


def test_a_planted_difference_is_found_shrunk_and_told(alike: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    _tamper(alike, monkeypatch)
    result = run(Plan(against="direct", fixed=False), seed=1, max_steps=2000, laboratory=alike)
    (failure,) = result.failures
    assert failure.property == "sides-agree"
    assert re.search(r"lstat .*: size\n  direct: +\d+\n  direct: +\d+1", failure.text)
    assert result.shrunk_steps <= 3, failure.steps
    assert failure.steps[-1]["expect"].keys() == {"size"}
    assert failure.replays


def _tamper(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """lstat of a file that holds something is answered with another size by the subject."""
    do = Side.do

    def lying(self: Side, step: Any) -> Any:
        seen = do(self, step)
        (shown,) = seen.trace.shown
        if self is sides.subject and "lstat" in step and shown.fields.get("size", "0") not in ("0", "4096"):
            monkeypatch.setitem(shown.fields, "size", shown.fields["size"] + "1")  # type: ignore[arg-type]
        return seen

    monkeypatch.setattr(Side, "do", lying)


@pytest.mark.kernel
def test_a_bug_of_one_engine_becomes_a_scenario_that_only_this_engine_fails(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ossfuse.content import Content
    from ossvol.runner import Runner, RunOptions
    from ossvol.scenario import load_all

    # The mounts are processes that have begun already; in this one truncate(2) cuts a byte less.
    truncate = Content.truncate
    monkeypatch.setattr(
        Content, "truncate", lambda self, ctx, path, size, *more: truncate(self, ctx, path, size + (size > 2), *more)
    )
    result = run(Plan(against="kernel", fixed=False), seed=1, max_steps=1500, steps=25, laboratory=sides)
    (failure,) = result.failures
    assert result.shrunk_steps <= 4, failure.steps
    (loaded,) = load_all([save(failure, tmp_path)])
    with Runner(RunOptions("direct")) as runner:
        assert runner.run(loaded).status == "failed"
    with Runner(RunOptions("kernel")) as runner:
        assert runner.run(loaded).status == "passed"


def test_the_same_seed_draws_the_same_steps_on_both_sides(alike: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    do = Side.do

    def kept(self: Side, step: Any) -> Any:
        done.append(f"{self is alike.subject} {step_text(step)}")
        return do(self, step)

    monkeypatch.setattr(Side, "do", kept)
    traces = []
    for _ in range(2):
        done.clear()
        run(Plan(against="direct", fixed=False), seed=9, max_steps=60, laboratory=alike)
        traces.append(list(done))
    assert traces[0] == traces[1]
    reference = [line[6:] for line in traces[0] if line.startswith("False")]
    assert reference == [line[5:] for line in traces[0] if line.startswith("True")]


# --- the list -------------------------------------------------------------------------------------------------------


def test_every_listed_difference_has_its_reason_and_an_example() -> None:
    ids = [one.id for one in load(FILE)]
    assert len(ids) == len(set(ids))
    for one in load(FILE):
        assert one.reason
        assert one.source
        assert one.example, f"{one.id}: without steps nobody finds out when the difference is gone"


@pytest.mark.kernel
def test_no_listed_difference_is_stale(sides: Sides) -> None:
    for one in load(FILE):
        assert compare_steps(sides, one.example, version="1.91.10")[one.id], f"stale: {one.id}"


def _known(**more: Any) -> Known:
    patterns = {"kind": re.compile("^size$"), "step": re.compile("lstat")}
    return Known("it", VersionRange.parse(">=1.80"), patterns, "a title", "a reason", "a source", **more)


@pytest.mark.parametrize("ends", [False, True])
def test_a_listed_difference_is_counted_and_nothing_else_is_let_through(
    alike: Sides, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    _tamper(alike, monkeypatch)
    monkeypatch.setattr(module, "known_differences", lambda *names: (_known(ends=ends),))
    steps: Steps = [{"write": "a", "body": "x", "in": "one"}, {"lstat": "a", "in": "one"}, {"lstat": "a", "in": "one"}]
    assert compare_steps(alike, steps, version="1.91.10") == {"it": 1 if ends else 2}
    monkeypatch.setattr(module, "known_differences", lambda *names: ())
    with pytest.raises(Violation, match="lstat a"):
        compare_steps(alike, steps, version="1.91.10")


def test_only_options_that_the_release_has_are_drawn() -> None:
    old, new = (" ".join(machine_for(version).mount_options) for version in ("1.80.6", "1.91.10"))
    assert "noxattr" in old
    assert "use_xattr" not in old
    assert "use_xattr" in new


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("against", "given", "message"),
    [
        ("nowhere", {}, "no executable file; there are direct, kernel, moto"),
        ("direct", {"via": "direct"}, "one engine twice"),
        ("kernel", {"ossfs": "/bin/true"}, "a real binary is compared by --against /bin/true alone"),
        ("kernel", {"version": "0.1"}, "no row for ossfs 0.1"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(against: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_against(against, **{"via": None, "version": "", "ossfs": "", **given})


def test_a_mistake_ends_the_command_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ossvol", "fuzz", "--against", "nowhere"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--against nowhere: no executable file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.kernel
def test_the_command_compares_and_says_with_what(tmp_path: Path) -> None:
    report = fuzz(
        via=None,
        ossfs="",
        ossfs_version="1.91.3",
        profile="quick",
        examples=2,
        steps=8,
        seed=3,
        shard="",
        save=tmp_path,
        database="",
        against="kernel",
    )
    assert report.exit_code() is ExitCode.OK
    assert "no property broke" in report.as_text()
    assert "--via direct --against kernel --ossfs-version 1.91.3 --profile quick --seed 3" in report.command


@pytest.mark.kernel
def test_an_interrupt_leaves_no_mounts() -> None:
    before = _mountpoints()
    process = subprocess.Popen(
        [sys.executable, "-m", "ossvol", "fuzz", "--against", "kernel", "--examples", "500"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    mine: set[str] = set()
    while not mine and time.monotonic() < deadline:
        assert process.poll() is None
        # Other tests mount too: a run's directory is named by its process.
        mine = {
            place for place in _mountpoints() - before if f"-{process.pid}-" in place or f"/{process.pid}-" in place
        }
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert mine
    assert not mine & _mountpoints()


def _mountpoints() -> set[str]:
    return {mount.mountpoint for mount in mounts()}
