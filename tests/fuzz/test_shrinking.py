"""A failure becomes small by asking its calls again, and what the bucket's headers and times must be is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ossfuse.client import ObjectClient
from ossfuse.content import Content
from ossfuse.metadata import Metadata
from ossvol.fuzz.judging import Beginning, MountPlan
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.model import Object
from ossvol.fuzz.shrinking import Example, replay, shrunk
from ossvol.fuzz.violation import Violation
from ossvol.fuzz.world import World

_OBJECTS = {
    "a": Object(b"hello", meta={"mode": "33206", "uid": "0", "gid": "0", "note": "kept"}),
    "b": Object(b"0123456789", meta={"mode": "33188", "uid": "0", "gid": "0"}),
}
_PLANS = {"one": MountPlan("-o allow_other -o umask=022"), "two": MountPlan("-o allow_other")}


def _example(laboratory: Laboratory, act: Callable[[World], Any]) -> tuple[Example, Violation]:
    world = World(laboratory, _PLANS, version="1.91.10", beginning=Beginning(_OBJECTS))
    with pytest.raises(Violation) as found:
        act(world)
    laboratory.end()
    return Example.of(world), found.value


def _small(act: Callable[[World], Any]) -> Violation:
    with Laboratory("direct") as laboratory:
        example, broken = _example(laboratory, act)
        small = shrunk(laboratory, example, broken, spent=lambda steps: None)
    assert small is not None
    assert small.property == broken.property
    return small


def _verbs(found: Violation) -> list[str]:
    return [next(iter(step)) for step in found.steps]


def test_calls_objects_options_and_users_that_do_not_matter_are_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Metadata, "utimens", lambda *arguments: None)

    def act(world: World) -> None:
        world.write("one", "app", "a", "x")
        world.mkdir("two", "root", "d")
        world.chmod("two", "root", "b", 0o666)
        world.utime("two", "app", "b", 1_500_000_000)

    small = _small(act)
    assert _verbs(small) == ["utime", "list"]
    assert small.steps[0] == {"utime": "b", "mtime": 1_500_000_000, "in": "one", "as": "root"}
    assert [one["key"] for one in small.given["objects"]] == ["b"]
    assert {volume["options"] for volume in small.given["volumes"].values()} == {"-o allow_other"}


def test_a_handle_keeps_its_calls_when_an_earlier_one_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Content, "fsync", lambda *arguments: None)

    def act(world: World) -> None:
        world.open("one", "root", "b", "r")
        handle = world.open("one", "root", "a", "r+")
        world.read_handle(handle)
        world.write_handle(handle, "HE", 0)
        world.fsync(handle)

    small = _small(act)
    assert _verbs(small) == ["open", "write", "fsync", "list"]
    assert [step.get("handle", step.get("write", step.get("fsync"))) for step in small.steps[:3]] == [
        "h1",
        "@h1",
        "@h1",
    ]


def test_what_does_not_break_again_is_not_shrunk(monkeypatch: pytest.MonkeyPatch):
    with Laboratory("direct") as laboratory:
        with monkeypatch.context() as broken:
            broken.setattr(Metadata, "utimens", lambda *arguments: None)
            example, found = _example(laboratory, lambda world: world.utime("one", "root", "a", 5))
        assert replay(laboratory, example)[1] is None
        assert shrunk(laboratory, example, found, spent=lambda steps: None) is None


def test_the_model_knows_type_and_other_metadata_of_a_copy(monkeypatch: pytest.MonkeyPatch):
    copy = ObjectClient.copy

    def retyped(self: ObjectClient, path: str, meta: Any, *, content_type: str = "") -> None:
        copy(self, path, meta, content_type="text/html")

    def noteless(self: ObjectClient, path: str, meta: Any, *, content_type: str = "") -> None:
        copy(self, path, {key: value for key, value in meta.items() if "note" not in key}, content_type=content_type)

    for bug, expected in ((retyped, {"content_type": "application/octet-stream"}), (noteless, {"note": "kept"})):
        monkeypatch.setattr(ObjectClient, "copy", bug)
        small = _small(lambda world: world.rename("two", "root", "a", "c"))
        told = small.steps[-1]["expect"]["object"]["c"]
        assert expected.items() <= {**told, **told["meta"]}.items()
