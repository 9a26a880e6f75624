"""Runs with the defects left in: what a listed one explains is told, what none explains is a failure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis.stateful import rule

from ossfuse.profile import DEFECTS
from ossfuse.statcache import StatCache
from ossvol.fuzz import Plan, VolumeMachine, run
from ossvol.fuzz.attribution import WatchedWorld
from ossvol.fuzz.judging import MountPlan
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.violation import Violation, violation

PLAN = Plan(version="1.91.1", fixed=False, explain=True)
NAMES = {defect.name for defect in DEFECTS}


@pytest.fixture
def laboratory() -> Iterator[Laboratory]:
    with Laboratory("direct") as made:
        yield made


def watched(laboratory: Laboratory, *, version: str = "1.91.1", options: str = "-o allow_other") -> WatchedWorld:
    return WatchedWorld(laboratory, {"one": MountPlan(options), "two": MountPlan()}, version=version)


def verbs(world: WatchedWorld) -> list[str]:
    return [next(iter(step)) for step in world.met[0].steps]


def test_a_run_meets_defects_and_names_each():
    result = run(Plan(version="1.80.6", fixed=False, explain=True), seed=1, examples=30)
    assert not result.failures
    met = result.tally.met
    assert len({name for names in met for name in names}) >= 3, met
    assert all(set(names) <= NAMES for names in met)
    assert all(result.tally.first[names].defects == names for names in met)


def test_the_same_seed_meets_the_same_defects_by_the_same_steps():
    one, two = (run(PLAN, seed=5, examples=5).tally for _ in range(2))
    assert one.met == two.met
    assert one.first == two.first


def test_a_bug_that_is_not_listed_is_reported_shrunk_and_said_to_be_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(StatCache, "drop", lambda self, path: None)
    result = run(PLAN, seed=2, max_steps=4000)
    (failure,) = result.failures
    assert "[without any listed defect: " in failure.text
    assert result.shrunk_steps <= 8, failure.steps
    assert not failure.fixed


def test_one_defect_explains_what_does_not_break_without_it(laboratory: Laboratory):
    world = watched(laboratory)
    world.mkdir("two", "root", "nothing-to-do-with-it")
    world.write("one", "root", "a", "hello")
    world.truncate("one", "root", "a", 2)
    (met,) = world.met
    assert met.defects == ("truncate-ignored",)
    assert met.property == "acknowledged-is-kept"
    assert verbs(world) == ["write", "truncate", "list"]
    assert met.steps[-1]["expect"] == {"object": {"a": {"size": 2, "body": "\0\0", "meta": _META}}}


_META = {"mode": "33188", "uid": "0", "gid": "0"}


def test_two_defects_explain_together_what_each_alone_breaks(laboratory: Laboratory):
    world = WatchedWorld(laboratory, {"one": MountPlan()}, version="1.91.1", compare=False)
    world.put("a", "0123456789", "text/plain", _META, "Standard")
    handle = world.open("one", "root", "a", "r+")
    world.truncate_handle(handle, 4)
    world.read("one", "root", "a")
    world.close(handle)
    world.finish()
    (met,) = world.met
    assert met.defects == ("shrink-lost-by-read", "shortened-grows-back")


def test_after_a_listed_defect_the_rest_of_an_example_does_nothing(laboratory: Laboratory):
    world = watched(laboratory)
    world.write("one", "root", "a", "hello")
    world.truncate("one", "root", "a", 2)
    steps = world.steps
    world.write("one", "root", "b", "hello")
    assert world.open("one", "root", "a", "r") == ""
    assert world.rename("one", "root", "a", "c") is False
    world.finish()
    world.blame(violation("nothing-leaks", "a socket"))
    assert world.steps == steps
    assert len(world.met) == 1


def test_a_mount_that_a_defect_ends_is_explained(laboratory: Laboratory):
    world = watched(laboratory)
    world.put("d", "", "application/x-directory", {}, "Standard")
    world.chmod("one", "root", "d", 0o755)
    (met,) = world.met
    assert (met.defects, met.property) == (("old-directory-crash",), "mounts-live")


def test_defects_that_are_left_out_from_the_beginning_explain_nothing(laboratory: Laboratory):
    plans = {"one": MountPlan()}
    world = WatchedWorld(laboratory, plans, version="1.91.1", fixed=("truncate-ignored",))
    world.write("one", "root", "a", "hello")
    world.truncate("one", "root", "a", 2)
    assert not world.met
    assert world.given["volumes"]["one"]["fixed"] == ["truncate-ignored"]


def test_what_breaks_on_a_real_mount_is_asked_again_as_it_was_mounted_there(laboratory: Laboratory):
    laboratory.waits = laboratory.real_time = True
    world = watched(laboratory)
    world.write("one", "root", "a", "hello")
    world.advance(1000.0)
    world.truncate("one", "root", "a", 0)
    (met,) = world.met
    assert met.defects == ("truncate-ignored",)
    assert verbs(world) == ["write", "truncate", "list"]
    assert met.given["volumes"]["one"]["options"].endswith("-s -o attr_timeout=0,entry_timeout=0")


def test_what_the_simulation_does_not_show_is_no_listed_defect(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch):
    # As a real binary that does what its simulation does not.
    world = watched(laboratory)
    monkeypatch.setattr(WatchedWorld, "census", lambda self: {})
    with pytest.raises(Violation, match="the simulation with its defects: no property"):
        world.write("one", "root", "a", "hello")
    assert world.unlisted


_AT_THE_END = Plan(version="1.91.1", fixed=False, explain=True, compare=False)


class _Shortening(VolumeMachine):
    """An application that shortens its file by name. shown: whether its invariant comes with a step."""

    shown = True

    @rule()
    def shorten(self) -> None:
        world = self.world
        world.write("one", "root", "app.log", "hello")
        world.truncate("one", "root", "app.log", 0)
        step = {"lstat": "app.log", "in": "one", "as": "root", "expect": {"size": 0}}
        self.require(
            world.met or world.process("one", "root").lstat("app.log").size == 0,
            "the log is empty",
            step if self.shown else None,
        )


class _Unshown(_Shortening):
    shown = False


def test_an_applications_own_invariant_is_explained_by_its_step():
    result = run(_AT_THE_END, seed=0, max_steps=120, machine=_Shortening)
    assert not result.failures
    assert ("truncate-ignored",) in result.tally.met
    assert result.tally.first["truncate-ignored",].property == "application-invariant"


def test_an_applications_own_invariant_without_a_step_is_explained_by_nothing():
    (failure,) = run(_AT_THE_END, seed=0, max_steps=120, machine=_Unshown).failures
    assert "no step shows it" in failure.text


def test_the_command_tells_what_it_met_and_is_content():
    words = ["fuzz", "--defects", "--ossfs-version", "1.91.1", "--examples", "8", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "ossvol", *words, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["failures"] == []
    assert report["defects"]
    assert all(set(met["names"]) <= NAMES and met["count"] and met["steps"] for met in report["defects"])
