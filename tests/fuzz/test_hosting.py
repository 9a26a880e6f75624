"""Websites and mirrors in the model: what they may change, what they may not, and what is left of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import pytest

from osscloud import mirror, website
from osscloud.store import Bucket
from ossvol.fuzz import Plan, run
from ossvol.fuzz.hosting import Hosting
from ossvol.fuzz.judging import Beginning, MountPlan
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.model import Object
from ossvol.fuzz.violation import Violation
from ossvol.fuzz.world import World

_META = {"mode": "33188", "uid": "0", "gid": "0"}
_OBJECTS = MappingProxyType({"a": Object(b"hello", meta=_META), "c/a": Object(b"x", meta=_META)})
_ORIGIN = MappingProxyType({"b": Object(b"theirs", "text/plain"), "c/c": Object(b"theirs", "text/plain")})
_PAGES = [
    {"index": "a"},
    {"index": "a", "support_sub_dir": True, "type": 2},
    {"error": "a", "error_status": 200},
    {"rules": [{"error_code": 404, "redirect": "Internal", "replace_key_with": "a"}]},
]


@pytest.fixture
def world() -> Iterator[World]:
    with Laboratory("direct") as laboratory:
        plans = {"one": MountPlan(), "two": MountPlan()}
        yield World(laboratory, plans, version="1.91.10", beginning=Beginning(_OBJECTS, origin=_ORIGIN))
        assert laboratory.end() == []


def broken(name: str, step: Callable[..., Any], *arguments: Any) -> Violation:
    with pytest.raises(Violation) as found:
        step(*arguments)
    assert found.value.property == name, found.value
    return found.value


def test_an_error_page_with_its_own_status_changes_nothing_for_a_mount(world: World):
    world.website({"error": "a", "error_status": 404})
    world.lstat("one", "root", "missing")
    world.mkdir("one", "root", "d")
    world.write("one", "root", "d/new", "hello")
    assert world.judged == 3


@pytest.mark.parametrize("pages", _PAGES)
def test_a_website_leaves_objects_alone_and_is_forgotten(world: World, pages: dict[str, Any]):
    world.website(pages)
    world.read("one", "root", "a")
    world.chmod("two", "root", "a", 0o600)
    world.ls("one", "root", "")
    assert world.judged == 3
    world.lstat("one", "root", "c")
    world.lstat("one", "root", "missing")
    world.write("two", "root", "missing", "hello")
    assert world.judged == 3
    world.website(None)
    world.finish()
    assert all(seen.hosted < world.now() and not seen.wild for seen in world.model.mounts.values())
    world.lstat("one", "root", "c")
    assert world.judged > 3


def test_what_is_mirrored_is_in_the_bucket_after_the_first_get(world: World):
    world.mirror({})
    world.lstat("one", "root", "b")
    assert world.last.errno == "ENOENT"
    world.get("b")
    assert world.model.objects["b"].body == b"theirs"
    world.advance(1000)
    world.read("one", "root", "b")
    assert world.last.body == b"theirs"
    world.get("nowhere")
    world.finish()


def test_a_mount_that_sees_what_is_mirrored_puts_it_into_the_bucket_by_reading(world: World):
    world.mirror({"allow_head": True})
    world.read("one", "root", "b")
    assert "b" in world.model.objects
    world.finish()


def test_what_the_origin_refuses_or_only_passes_on_stays_out(world: World):
    world.origin_put("b", "secret", "private")
    world.mirror({"allow_head": True})
    world.get("b")
    world.mirror({"proxy_pass": True, "prefix": "x/", "replace_prefix_with": "c/"})
    world.get("x/c")
    assert world.model.objects.keys() == _OBJECTS.keys()
    world.finish()


def test_a_bucket_that_was_versioned_is_refused_a_mirror(world: World):
    world.versioning("Enabled")
    world.mirror({})
    assert world.model.hosting.mirror is None
    world.website({"index": "a"})
    world.finish()


def test_a_mirror_that_keeps_nothing_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mirror, "_store", lambda call, rule, answer: None)
    world.mirror({})
    broken("acknowledged-is-kept", world.get, "b")


def test_a_mirror_that_keeps_something_else_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    store = mirror._store
    other = mirror.OriginResponse(200, {}, b"other")
    monkeypatch.setattr(mirror, "_store", lambda call, rule, answer: store(call, rule, other))
    world.mirror({})
    broken("acknowledged-is-kept", world.get, "b")


def test_a_website_that_answers_for_objects_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(website, "_attempt", lambda step: website._no_such_key("a"))
    broken("names-are-found", world.website, {"index": "a"})


def test_a_website_that_stays_on_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    world.website({"index": "a"})
    monkeypatch.setattr(Bucket, "configure", lambda bucket, name, document: None)
    with pytest.raises(Violation) as found:
        world.finish()
    assert found.value.property in ("names-are-found", "listing-equals-server", "caches-converge")


def test_names_at_an_origin_are_those_that_the_rule_leads_to():
    hosting = Hosting(_ORIGIN)
    hosting.mirror = {"allow_head": True, "prefix": "x/", "replace_prefix_with": "c/"}
    assert hosting.names() == {"x/c"}
    assert hosting.fetched("x/c") == _ORIGIN["c/c"]
    assert hosting.fetched("c/c") is None


def test_runs_have_websites_and_mirrors():
    result = run(Plan(), seed=2, max_steps=1200)
    assert not result.failures, result.failures
    assert result.tally.verbs["website"]
    assert result.tally.verbs["mirror"]
    assert result.tally.verbs["get"]
