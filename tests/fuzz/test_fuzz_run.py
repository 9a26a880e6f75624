"""Runs of the machine: they hold, they find, they shrink, and what they find is a scenario."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis.stateful import rule

from osscluster.direct import DirectEngine
from ossfuse.statcache import StatCache
from ossvol.fuzz import Plan, VolumeMachine, run
from ossvol.fuzz.export import save
from ossvol.fuzz.judging import MountPlan
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.world import World


def _ossvol(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ossvol", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("version", ["1.80.6", "1.88", "1.91.1", "1.91.10"])
def test_no_property_breaks_on_a_release_without_its_defects(version: str):
    result = run(Plan(version=version), seed=0, max_steps=440)
    assert not result.failures, result.failures
    assert result.steps >= 400
    assert result.tally.live_share >= 0.8


@pytest.mark.parametrize(("one", "two"), [("1.80.6", "1.91.5"), ("1.91.10", "1.88")])
def test_no_property_breaks_on_mounts_of_two_releases(one: str, two: str):
    result = run(Plan(version=one, other_version=two), seed=1, max_steps=800)
    assert not result.failures, result.failures


def test_a_planted_bug_is_found_shrunk_and_replayed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(StatCache, "drop", lambda self, path: None)
    result = run(seed=1, max_steps=4000)
    (failure,) = result.failures
    assert result.shrunk_steps <= 8, failure.steps
    file = save(failure, tmp_path)
    monkeypatch.undo()
    healthy = _ossvol("run", str(file), "--via", "direct", "--json")
    assert healthy.returncode == 0, healthy.stdout + healthy.stderr
    monkeypatch.setattr(StatCache, "drop", lambda self, path: None)
    from ossvol.runner import Runner, RunOptions
    from ossvol.scenario import load_all

    (loaded,) = load_all([file])
    with Runner(RunOptions("direct")) as runner:
        broken = runner.run(loaded)
    assert broken.status == "failed", broken
    assert broken.failures[0].line == _line_of_the_last_step(file)


def test_what_is_found_once_and_does_not_show_again_is_told_with_its_steps():
    class Once(VolumeMachine):
        shown: list[str] = []  # noqa: RUF012 - of the class, so that the repetition sees it

        @rule()
        def odd(self) -> None:
            if not self.shown:
                self.shown.append("odd")
                self.require(False, "odd", {"lstat": "", "in": "one", "as": "root"})

    (failure,) = run(machine=Once, seed=0, max_steps=200).failures
    assert failure.property == "application-invariant"
    assert "did not show it again" in failure.text
    assert failure.steps[-1]["lstat"] == ""


def _line_of_the_last_step(file: Path) -> int:
    lines = file.read_text("utf-8").splitlines()
    return max(number for number, line in enumerate(lines, 1) if line.startswith("  - {"))


def test_the_same_seed_gives_the_same_steps_whatever_the_hash_seed():
    code = (
        "from ossvol.fuzz import run, VolumeMachine\n"
        "import hashlib, json\n"
        "from ossvol.fuzz.world import World\n"
        "digest = hashlib.sha256()\n"
        "perform = World.perform\n"
        "def recorded(self, step):\n"
        "    digest.update(json.dumps(step).encode())\n"
        "    return perform(self, step)\n"
        "World.perform = recorded\n"
        "result = run(seed=7, max_steps=200)\n"
        "print(result.steps, digest.hexdigest())\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": value},
        ).stdout
        for value in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert int(outputs[0].split()[0]) >= 200


def test_an_example_leaves_nothing_to_the_next():
    with Laboratory("direct") as laboratory:
        for _ in range(2):
            world = World(laboratory, {"one": MountPlan(), "two": MountPlan()}, version="1.91.10")
            assert world.census() == {}
            assert world.process("one", "root").listdir("") == []
            world.write("one", "root", "a", "hello")
            world.open("two", "root", "a", "r+")
            world.kill("one")
            assert laboratory.end() == []
        assert isinstance(laboratory.engine, DirectEngine)
        assert laboratory.engine.volumes == []


def test_a_leaked_descriptor_is_a_violation():
    with Laboratory("direct") as laboratory:
        World(laboratory, {"one": MountPlan()}, version="1.91.10")
        kept = os.open("/dev/null", os.O_RDONLY)
        try:
            assert laboratory.end() == ["1 file descriptors"]
        finally:
            os.close(kept)


class _Picky(VolumeMachine):
    """An application that wants hard links."""

    @rule()
    def rotate(self) -> None:
        world = self.world
        world.write("one", "root", "log", "x")
        world.link("one", "root", "log", "log.1")
        self.require(
            world.exists("log.1"), "log.1 is there", {"lstat": "log.1", "in": "one", "expect": {"type": "file"}}
        )


def test_an_applications_own_invariant_is_shrunk_too():
    (failure,) = run(seed=0, max_steps=500, machine=_Picky).failures
    assert failure.property == "application-invariant"
    assert [next(iter(step)) for step in failure.steps] == ["write", "link", "lstat"]


def test_the_command_reports_as_json():
    done = _ossvol("fuzz", "--examples", "2", "--steps", "10", "--seed", "3", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["version"] == 1
    assert report["failures"] == []
    assert report["steps"] >= 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--profile", "slow"), "there are quick, ci, nightly"),
        (("--shard", "3/2"), "write I/N"),
        (("--ossfs-version", "0.1"), "no row for ossfs 0.1"),
        (("--other-version", "0.1"), "--other-version names one of"),
        (("--other-version", "1.88", "--defects"), "--other-version is for"),
        (("--ossfs-version", "2.0.7"), "no row for ossfs 2.0.7"),
        (("--ossfs", "/nowhere"), "not an executable file"),
        (("--save", "/proc/found"), "name a directory that can be written to"),
        (("--database", "/proc/found"), "name a directory that can be written to"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(words: tuple[str, ...], message: str):
    done = _ossvol("fuzz", *words)
    assert done.returncode == 2
    assert message in done.stderr
