"""AppendObject."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from fastcrc import crc64

from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client


def append(client: Client, key: str, position: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    return client.send("POST", key, {"append": "", "position": str(position)}, headers, body)


def test_appends_grow_an_object(client: Client) -> None:
    pieces = [random.Random(n).randbytes(1000 + n) for n in range(5)]
    position = 0
    for n, piece in enumerate(pieces):
        answer = append(client, "log", position, piece, {"x-oss-meta-m": str(n)})
        position += len(piece)
        assert answer.status == 200
        assert answer.header("x-oss-next-append-position") == str(position)
        assert answer.header("x-oss-hash-crc64ecma") == str(crc64.xz(b"".join(pieces[: n + 1])))
    whole = client.get("log")
    assert whole.body == b"".join(pieces)
    assert whole.header("x-oss-object-type") == "Appendable"
    assert whole.header("x-oss-next-append-position") == str(position)
    assert whole.header("x-oss-meta-m") == "0"
    assert not whole.has("Content-MD5")
    assert client.get("log", {"Range": "bytes=900-2500"}).body == b"".join(pieces)[900:2501]


def test_every_append_changes_the_etag(client: Client) -> None:
    tags = {append(client, "log", n, b"x").header("ETag") for n in range(3)}
    assert len(tags) == 3


@pytest.mark.parametrize(("existing", "position"), [(0, 1), (5, 0), (5, 4), (5, 6)])
def test_a_wrong_position_is_refused_with_the_right_one(client: Client, existing: int, position: int) -> None:
    if existing:
        append(client, "log", 0, b"x" * existing)
    answer = append(client, "log", position, b"y")
    assert (answer.status, answer.code) == (409, "PositionNotEqualToLength")
    assert answer.header("x-oss-next-append-position") == str(existing)


@pytest.mark.parametrize("position", ["", "-1", "x", "1.5"])
def test_a_position_must_be_a_number(client: Client, position: str) -> None:
    assert client.send("POST", "log", {"append": "", "position": position}).code == "InvalidArgument"


def test_other_objects_are_not_appendable(client: Client) -> None:
    client.put("k", b"x")
    assert append(client, "k", 1, b"y").code == "ObjectNotAppendable"


def test_a_put_over_an_appendable_object_makes_it_normal(client: Client) -> None:
    append(client, "k", 0, b"x")
    client.put("k", b"y")
    assert client.head("k").header("x-oss-object-type") == "Normal"


def test_nothing_appended_changes_nothing(client: Client) -> None:
    first = append(client, "k", 0, b"x").header("ETag")
    answer = append(client, "k", 1, b"")
    assert (answer.status, answer.header("ETag"), answer.header("x-oss-next-append-position")) == (200, first, "1")


def test_an_empty_appendable_object_can_be_made_and_grown(client: Client) -> None:
    assert append(client, "k", 0, b"").status == 200
    assert append(client, "k", 0, b"xyz").status == 200
    assert client.get("k").body == b"xyz"


def test_an_appended_version_grows_under_its_id(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    first = append(client, "k", 0, b"x").header("x-oss-version-id")
    second = append(client, "k", 1, b"y").header("x-oss-version-id")
    assert first == second != "null"
    assert [(v.version_id, v.size) for v in oss.admin.versions("demo")] == [(first, 2)]


def test_an_append_over_a_delete_marker_starts_a_new_version(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    append(client, "k", 0, b"xx")
    client.delete("k")
    assert append(client, "k", 2, b"y").code == "PositionNotEqualToLength"
    assert append(client, "k", 0, b"y").status == 200
    assert [(v.delete_marker, v.size) for v in oss.admin.versions("demo")] == [(False, 1), (True, 0), (False, 2)]


def test_an_appended_version_keeps_its_place_and_what_is_below(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    client.put("k", b"old")
    client.delete("k")
    append(client, "k", 0, b"x")
    append(client, "k", 1, b"y")
    assert [v.size for v in oss.admin.versions("demo")] == [2, 0, 3]
