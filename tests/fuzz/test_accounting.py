"""The request log explains every byte, and what it does not explain is a violation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from osscloud.accesslog import AccessLog, LogRecord
from osscloud.operations import copy as copying
from osscloud.store import Bucket
from ossfuse.entity import Entity
from ossvol.fuzz.accounting import Account
from ossvol.fuzz.judging import BUCKET, MountPlan
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.violation import Violation
from ossvol.fuzz.world import World


@pytest.fixture
def world() -> Iterator[World]:
    with Laboratory("direct") as laboratory:
        yield World(laboratory, {"one": MountPlan(), "two": MountPlan()}, version="1.91.10")


def logging(monkeypatch: pytest.MonkeyPatch, change: Callable[[LogRecord], LogRecord | None]) -> None:
    """Records are changed on their way into the log; None leaves one out."""
    append = AccessLog.append

    def changed(log: AccessLog, record: LogRecord) -> None:
        told = change(record)
        if told is not None:
            append(log, told)

    monkeypatch.setattr(AccessLog, "append", changed)


def unexplained(step: Callable[..., Any], *arguments: Any, **named: Any) -> Violation:
    with pytest.raises(Violation) as broken:
        step(*arguments, **named)
    assert broken.value.property == "log-explains-bytes", broken.value
    return broken.value


def test_what_mounts_and_other_clients_do_is_explained(world: World):
    world.versioning("Enabled")
    world.write("one", "root", "a", "hello")
    world.rename("one", "root", "a", "b")
    world.put("b", "other", "text/plain", {}, "Standard")
    world.delete("b")
    world.versioning("Suspended")
    world.advance(2000)
    world.write("two", "root", "b", "again")
    world.chmod("two", "root", "b", 0o600)
    handle = world.open("two", "root", "b", "r+")
    world.write_handle(handle, "x", 17)
    world.read_handle(handle)
    world.read("two", "root", "b")
    world.unlink("two", "root", "b")
    world.read_handle(handle)
    world.finish()


def test_an_object_that_changes_without_a_request_is_found(world: World):
    world.write("one", "root", "a", "hello")
    admin = world.env.cloud.admin
    admin.put(BUCKET, "b", b"123")
    sizes = {"a": 5, "b": 3}
    assert not world.account.agrees(sizes)
    found = unexplained(world.account.require, sizes, "write")
    assert found.text == "the log makes b absent, the bucket has 3 bytes"
    assert found.step is not None
    wanted = {"operation": "PutObject", "object": "b", "object_size": 3}
    assert found.step == {"log": {"object": "b"}, "expect": {"records": [wanted]}}


def test_a_write_that_was_answered_with_success_has_to_show(world: World):
    world.write("one", "root", "a", "hello")
    found = unexplained(world.account.require, {}, "write")
    assert found.text == "the log makes a 5 bytes, the bucket has absent"


def test_a_record_that_is_left_out_is_missed(world: World, monkeypatch: pytest.MonkeyPatch):
    logging(monkeypatch, lambda record: None if record.operation == "CopyObject" else record)
    world.write("one", "root", "a", "hello")
    found = unexplained(world.rename, "one", "root", "a", "b")
    assert found.step is not None
    assert found.step["expect"]["records"] == [{"operation": "CopyObject", "object": "b", "object_size": 5}]


@pytest.mark.parametrize("field", ["object_size", "delta_data_size", "bytes_in"])
def test_a_record_that_tells_another_size_is_found(world: World, monkeypatch: pytest.MonkeyPatch, field: str):
    def wrong(record: LogRecord) -> LogRecord:
        return replace(record, **{field: 4}) if record.bytes_in else record

    logging(monkeypatch, wrong)
    unexplained(world.write, "one", "root", "a", "hello")


def test_a_read_of_another_size_than_there_is_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    world.write("one", "root", "a", "hello")
    logging(monkeypatch, lambda one: replace(one, object_size=3) if one.operation == "GetObject" else one)
    unexplained(world.read, "two", "root", "a")


def test_a_version_that_is_lost_is_found_in_the_end(world: World, monkeypatch: pytest.MonkeyPatch):
    publish = Bucket.publish

    def forgetful(bucket: Bucket, version: Any) -> None:
        publish(bucket, version)
        version.older = None

    monkeypatch.setattr(Bucket, "publish", forgetful)
    world.versioning("Enabled")
    world.write("one", "root", "a", "hello")
    world.write("one", "root", "a", "x")
    found = unexplained(world.finish)
    assert found.step is not None
    assert found.step["list"] == "a"


def test_a_copy_of_another_size_than_the_log_says_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copying.Call, "note_size", lambda call, new, old: None)
    unexplained(world.write, "one", "root", "a", "hello")


def test_bytes_that_no_request_brought_are_found(world: World, monkeypatch: pytest.MonkeyPatch):
    world.write("one", "root", "a", "hello")
    kept: dict[str, bytes] = {}
    answer = Entity._answer

    def remembering(entity: Entity, start: int, size: int) -> bytes | None:
        if entity.path not in kept:
            answer(entity, 0, entity.size)
            kept[entity.path] = os.pread(entity._local(), entity.size, 0)
        return kept[entity.path][start : start + size]

    monkeypatch.setattr(Entity, "_answer", remembering)
    world.read("one", "root", "a")
    found = unexplained(world.read, "one", "root", "a")
    assert found.step is not None
    assert found.step["expect"] == {"requests": {"GetObject": ">=1"}}


def test_parts_are_added_up():
    log = AccessLog()
    account = Account("demo", log)
    line = LogRecord(
        0.0, "", "UploadPart", "demo", "k", "PUT", "/demo/k?partNumber=1&uploadId=U", 200, "", "", 3, 0, "", "", "", 0,
        0, 0.0, False, None, object_size=3, delta_data_size=3,
    )  # fmt: skip
    second = "/demo/k?partNumber=2&uploadId=U"
    log.append(line)
    log.append(replace(line, request_uri=second, bytes_in=2, object_size=2, delta_data_size=2))
    done = replace(line, operation="CompleteUpload", request_uri="/demo/k?uploadId=U", object_size=5, delta_data_size=5)
    log.append(done)
    assert account.agrees({"k": 5})
    log.append(done)
    unexplained(account.agrees, {"k": 5})
