"""oss2, the vendor's older Python SDK, against the cloud over HTTP: signatures V1 and V4."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

with warnings.catch_warnings():
    # Escape sequences and pkg_resources in the SDK's own source.
    warnings.simplefilter("ignore")
    import oss2
    import oss2.models

# The SDK leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

KEY_ID, SECRET = "LTAI5tOss2", "a-secret"


@pytest.fixture(scope="module", autouse=True)
def _collect_connections() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    with HttpServer(service) as running:
        yield running


def auth(version: str, secret: str = SECRET, key_id: str = KEY_ID) -> Any:
    return oss2.make_auth(key_id, secret, version)


@pytest.fixture(params=["v1", "v4"])
def bucket(request: pytest.FixtureRequest, server: HttpServer) -> Iterator[Any]:
    session = oss2.Session()
    found = oss2.Bucket(auth(request.param), server.endpoint, "demo", session=session, region="cn-hangzhou")
    found.create_bucket()
    yield found
    session.session.close()


def test_an_object_is_put_read_and_described(bucket: Any) -> None:
    put = bucket.put_object(
        "dir/文 件+.txt", b"hello world", headers={"x-oss-meta-owner": "me", "Content-Type": "text/x"}
    )
    assert put.etag == "5EB63BBBE01EEED093CB22BB8F5ACDC3"
    got = bucket.get_object("dir/文 件+.txt")
    assert got.read() == b"hello world"
    assert got.headers["x-oss-meta-owner"] == "me"
    head = bucket.head_object("dir/文 件+.txt")
    assert (head.content_length, head.content_type, head.object_type) == (11, "text/x", "Normal")
    assert bucket.get_object_meta("dir/文 件+.txt").content_length == 11


def test_ranges_are_read(bucket: Any) -> None:
    bucket.put_object("k", b"0123456789")
    assert bucket.get_object("k", byte_range=(2, 4)).read() == b"234"
    assert bucket.get_object("k", byte_range=(7, None)).read() == b"789"
    assert bucket.get_object("k", byte_range=(None, 3)).read() == b"789"


def test_an_upload_of_unknown_length_arrives_chunked(bucket: Any) -> None:
    bucket.put_object("k", iter([b"abc"] * 5_000))
    assert bucket.get_object("k").read() == b"abc" * 5_000


def test_listings_page_in_both_versions(bucket: Any) -> None:
    keys = [f"a/{n:02}" for n in range(7)] + ["b+ c", "文"]
    for key in keys:
        bucket.put_object(key, b"x")
    assert [entry.key for entry in oss2.ObjectIterator(bucket, max_keys=3)] == keys
    assert [entry.key for entry in oss2.ObjectIteratorV2(bucket, max_keys=3)] == keys
    page = bucket.list_objects(delimiter="/")
    assert page.prefix_list == ["a/"]
    assert [entry.key for entry in page.object_list] == ["b+ c", "文"]
    page2 = bucket.list_objects_v2(prefix="a/", start_after="a/04", fetch_owner=True)
    assert [(entry.key, entry.type, entry.storage_class) for entry in page2.object_list] == [
        ("a/05", "Normal", "Standard"),
        ("a/06", "Normal", "Standard"),
    ]


def test_a_copy_keeps_or_replaces_metadata(bucket: Any) -> None:
    bucket.put_object("from", b"data", headers={"x-oss-meta-a": "1"})
    bucket.copy_object("demo", "from", "to")
    assert bucket.head_object("to").headers["x-oss-meta-a"] == "1"
    bucket.copy_object("demo", "from", "to", headers={"x-oss-metadata-directive": "REPLACE", "x-oss-meta-b": "2"})
    head = bucket.head_object("to")
    assert head.headers["x-oss-meta-b"] == "2"
    assert "x-oss-meta-a" not in head.headers


def test_three_parts_become_one_object(bucket: Any) -> None:
    upload = bucket.init_multipart_upload("big").upload_id
    bodies = [b"a" * 102_400, b"b" * 102_400, b"c"]
    parts = [
        oss2.models.PartInfo(number, bucket.upload_part("big", upload, number, body).etag)
        for number, body in enumerate(bodies, 1)
    ]
    assert [part.part_number for part in bucket.list_parts("big", upload).parts] == [1, 2, 3]
    result = bucket.complete_multipart_upload("big", upload, parts)
    assert result.etag.endswith("-3")
    assert bucket.get_object("big").read() == b"".join(bodies)
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.list_parts("big", upload)


def test_appends_grow_an_object(bucket: Any) -> None:
    position = bucket.append_object("log", 0, b"one").next_position
    assert bucket.append_object("log", position, b"two").next_position == 6
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as caught:
        bucket.append_object("log", 1, b"x")
    assert caught.value.next_position == 6
    assert bucket.get_object("log").read() == b"onetwo"


def test_versions_survive_a_delete_and_come_back(bucket: Any) -> None:
    bucket.put_bucket_versioning(oss2.models.BucketVersioningConfig(oss2.BUCKET_VERSIONING_ENABLE))
    assert bucket.get_bucket_versioning().status == "Enabled"
    first = bucket.put_object("k", b"one").versionid
    second = bucket.put_object("k", b"two").versionid
    gone = bucket.delete_object("k")
    assert gone.delete_marker
    with pytest.raises(oss2.exceptions.NoSuchKey) as caught:
        bucket.get_object("k")
    assert caught.value.headers["x-oss-delete-marker"] == "true"
    listed = bucket.list_object_versions()
    assert [(entry.versionid, entry.is_latest) for entry in listed.versions] == [(second, False), (first, False)]
    assert [(marker.versionid, marker.is_latest) for marker in listed.delete_marker] == [(gone.versionid, True)]
    assert bucket.get_object("k", params={"versionId": first}).read() == b"one"
    bucket.delete_object("k", params={"versionId": gone.versionid})
    assert bucket.get_object("k").read() == b"two"
    bucket.copy_object("demo", "k", "k", params={"versionId": first})
    assert bucket.get_object("k").read() == b"one"


def test_many_objects_are_deleted_at_once(bucket: Any) -> None:
    names = ["a", "b&<", "文"]
    for name in names:
        bucket.put_object(name, b"")
    assert sorted(bucket.batch_delete_objects([*names, "missing"]).deleted_keys) == ["a", "b&<", "missing", "文"]
    assert list(islice(oss2.ObjectIterator(bucket), 1)) == []


def test_a_signed_url_works_without_a_key(bucket: Any) -> None:
    bucket.put_object("dir/k", b"shared")
    url = bucket.sign_url("GET", "dir/k", 60, slash_safe=True)
    assert bucket.get_object_with_url(url).read() == b"shared"
    put = bucket.sign_url("PUT", "new", 60, headers={"Content-Type": "text/plain"})
    bucket.put_object_with_url(put, b"x", headers={"Content-Type": "text/plain"})
    assert bucket.head_object("new").content_type == "text/plain"
    spoiled = bucket.sign_url("GET", "dir/k", 60).replace("dir", "did")
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        bucket.get_object_with_url(spoiled)


def test_buckets_are_listed_and_described(bucket: Any, server: HttpServer) -> None:
    service = oss2.Service(bucket.auth, server.endpoint, region="cn-hangzhou")
    assert [entry.name for entry in service.list_buckets().buckets] == ["demo"]
    info = bucket.get_bucket_info()
    assert (info.name, info.location) == ("demo", "oss-cn-hangzhou")
    assert server.endpoint.endswith(info.extranet_endpoint)
    bucket.put_object("k", b"12345")
    assert bucket.get_bucket_stat().object_count == 1
    with pytest.raises(oss2.exceptions.BucketNotEmpty):
        bucket.delete_bucket()
    bucket.delete_object("k")
    bucket.delete_bucket()
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        bucket.get_bucket_info()


@pytest.mark.parametrize(
    ("version", "secret", "key_id", "code", "ec"),
    [
        ("v1", "wrong", KEY_ID, "SignatureDoesNotMatch", "0002-00000040"),
        ("v4", "wrong", KEY_ID, "SignatureDoesNotMatch", "0002-00000201"),
        ("v1", SECRET, "nobody", "InvalidAccessKeyId", "0002-00000902"),
        ("v4", SECRET, "nobody", "InvalidAccessKeyId", "0002-00000902"),
    ],
)
@pytest.mark.parametrize("call", ["get_object", "head_object"])
def test_wrong_keys_have_names_that_the_sdk_knows(
    server: HttpServer, *, version: str, secret: str, key_id: str, code: str, ec: str, call: str
) -> None:
    bucket = oss2.Bucket(auth(version, secret, key_id), server.endpoint, "demo", region="cn-hangzhou")
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        getattr(bucket, call)("k")
    assert (caught.value.status, caught.value.code, caught.value.ec) == (403, code, ec)
    assert len(caught.value.request_id) == 24
    bucket.session.session.close()


def test_a_missing_object_is_named_even_for_head(bucket: Any) -> None:
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.get_object("missing")
    with pytest.raises(oss2.exceptions.NotFound) as caught:
        bucket.head_object("missing")
    assert (caught.value.code, caught.value.ec) == ("NoSuchKey", "0026-00000001")


def test_a_wrong_region_is_refused(server: HttpServer) -> None:
    bucket = oss2.Bucket(auth("v4"), server.endpoint, "demo", region="cn-beijing")
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        bucket.get_object("k")
    assert (caught.value.status, caught.value.ec) == (400, "0002-00000226")
    bucket.session.session.close()
