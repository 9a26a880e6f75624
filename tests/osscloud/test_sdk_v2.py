"""alibabacloud-oss-v2, the vendor's current Python SDK, against the cloud over HTTP: signatures V1 and V4, path style
and virtual-host style."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

with warnings.catch_warnings():
    # Escape sequences in the SDK's own source.
    warnings.simplefilter("ignore")
    import alibabacloud_oss_v2 as oss

# The SDK leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

KEY_ID, SECRET = "LTAI5tV2", "a-secret"


@pytest.fixture(scope="module", autouse=True)
def _collect_connections() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    service.admin.create_bucket("demo")
    with HttpServer(service) as running:
        yield running


def make_client(server: HttpServer, *, version: str = "v4", secret: str = SECRET, key_id: str = KEY_ID) -> Any:
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(key_id, secret)
    config.region = "cn-hangzhou"
    config.endpoint = server.endpoint
    config.signature_version = version
    config.retry_max_attempts = 1
    return oss.Client(config)


@pytest.fixture(params=["v1", "v4"])
def client(request: pytest.FixtureRequest, server: HttpServer) -> Any:
    return make_client(server, version=request.param)


def put(client: Any, key: str, body: bytes, **more: Any) -> Any:
    return client.put_object(oss.PutObjectRequest(bucket="demo", key=key, body=body, **more))


def read(client: Any, key: str, **more: Any) -> bytes:
    result = client.get_object(oss.GetObjectRequest(bucket="demo", key=key, **more))
    with result.body as stream:
        body: bytes = stream.read()
    return body


def test_an_object_is_put_read_and_described(client: Any) -> None:
    result = put(client, "dir/文 件+.txt", b"hello world", metadata={"owner": "me"}, content_type="text/x")
    assert (result.status_code, result.etag) == (200, '"5EB63BBBE01EEED093CB22BB8F5ACDC3"')
    assert read(client, "dir/文 件+.txt") == b"hello world"
    head = client.head_object(oss.HeadObjectRequest(bucket="demo", key="dir/文 件+.txt"))
    assert (head.content_length, head.content_type, head.object_type) == (11, "text/x", "Normal")
    assert head.metadata["owner"] == "me"


def test_ranges_are_read(client: Any) -> None:
    put(client, "k", b"0123456789")
    assert read(client, "k", range_header="bytes=2-4") == b"234"
    assert read(client, "k", range_header="bytes=-3") == b"789"
    assert read(client, "k", range_header="bytes=8-100", range_behavior="standard") == b"89"


def test_listings_page_in_both_versions(client: Any) -> None:
    keys = [f"a/{n:02}" for n in range(7)] + ["b+ c", "文"]
    for key in keys:
        put(client, key, b"x")
    pages = client.list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket="demo", max_keys=3))
    assert [entry.key for page in pages for entry in page.contents] == keys
    pages = client.list_objects_paginator().iter_page(oss.ListObjectsRequest(bucket="demo", max_keys=3))
    assert [entry.key for page in pages for entry in page.contents] == keys
    page = client.list_objects_v2(oss.ListObjectsV2Request(bucket="demo", delimiter="/"))
    assert [entry.prefix for entry in page.common_prefixes] == ["a/"]
    assert page.key_count == 3


def test_a_copy_keeps_or_replaces_metadata(client: Any) -> None:
    put(client, "from", b"data", metadata={"a": "1"})
    client.copy_object(oss.CopyObjectRequest(bucket="demo", key="to", source_bucket="demo", source_key="from"))
    assert client.head_object(oss.HeadObjectRequest(bucket="demo", key="to")).metadata["a"] == "1"
    client.copy_object(
        oss.CopyObjectRequest(
            bucket="demo", key="to", source_key="from", metadata_directive="REPLACE", metadata={"b": "2"}
        )
    )
    assert dict(client.head_object(oss.HeadObjectRequest(bucket="demo", key="to")).metadata) == {"b": "2"}


def test_three_parts_become_one_object(client: Any) -> None:
    upload = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(bucket="demo", key="big")).upload_id
    bodies = [b"a" * 102_400, b"b" * 102_400, b"c"]
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = client.upload_part(
            oss.UploadPartRequest(bucket="demo", key="big", upload_id=upload, part_number=number, body=body)
        )
        parts.append(oss.UploadPart(part_number=number, etag=sent.etag))
    done = client.complete_multipart_upload(
        oss.CompleteMultipartUploadRequest(
            bucket="demo",
            key="big",
            upload_id=upload,
            complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts),
        )
    )
    assert done.etag.strip('"').endswith("-3")
    assert read(client, "big") == b"".join(bodies)


def test_versions_survive_a_delete_and_come_back(client: Any) -> None:
    client.put_bucket_versioning(
        oss.PutBucketVersioningRequest(
            bucket="demo", versioning_configuration=oss.VersioningConfiguration(status="Enabled")
        )
    )
    status = client.get_bucket_versioning(oss.GetBucketVersioningRequest(bucket="demo"))
    assert status.version_status == "Enabled"
    first = put(client, "k", b"one").version_id
    second = put(client, "k", b"two").version_id
    gone = client.delete_object(oss.DeleteObjectRequest(bucket="demo", key="k"))
    assert gone.delete_marker
    assert service_error(lambda: read(client, "k")).code == "NoSuchKey"
    listed = client.list_object_versions(oss.ListObjectVersionsRequest(bucket="demo"))
    assert [(entry.version_id, entry.is_latest) for entry in listed.version] == [(second, False), (first, False)]
    assert [(entry.version_id, entry.is_latest) for entry in listed.delete_marker] == [(gone.version_id, True)]
    marker = service_error(lambda: read(client, "k", version_id=gone.version_id))
    assert (marker.status_code, marker.code) == (405, "MethodNotAllowed")
    client.delete_object(oss.DeleteObjectRequest(bucket="demo", key="k", version_id=gone.version_id))
    assert read(client, "k") == b"two"
    client.copy_object(oss.CopyObjectRequest(bucket="demo", key="k", source_key="k", source_version_id=first))
    assert read(client, "k") == b"one"


def test_many_objects_are_deleted_at_once(client: Any) -> None:
    names = ["a", "b&<", "文"]
    for name in names:
        put(client, name, b"")
    result = client.delete_multiple_objects(
        oss.DeleteMultipleObjectsRequest(bucket="demo", objects=[oss.DeleteObject(key=name) for name in names])
    )
    assert sorted(entry.key for entry in result.deleted_objects) == names
    assert client.list_objects_v2(oss.ListObjectsV2Request(bucket="demo")).key_count == 0


def test_a_presigned_url_works_without_a_key(client: Any) -> None:
    import urllib.request

    put(client, "dir/k", b"shared")
    signed = client.presign(oss.GetObjectRequest(bucket="demo", key="dir/k"))
    with urllib.request.urlopen(signed.url, timeout=10) as answer:
        assert answer.read() == b"shared"


def service_error(call: Any) -> Any:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        call()
    return caught.value.unwrap()


@pytest.mark.parametrize(
    ("version", "secret", "key_id", "code", "ec"),
    [
        ("v1", "wrong", KEY_ID, "SignatureDoesNotMatch", "0002-00000040"),
        ("v4", "wrong", KEY_ID, "SignatureDoesNotMatch", "0002-00000201"),
        ("v1", SECRET, "nobody", "InvalidAccessKeyId", "0002-00000902"),
        ("v4", SECRET, "nobody", "InvalidAccessKeyId", "0002-00000902"),
    ],
)
def test_wrong_keys_have_names_that_the_sdk_knows(
    server: HttpServer, *, version: str, secret: str, key_id: str, code: str, ec: str
) -> None:
    client = make_client(server, version=version, secret=secret, key_id=key_id)
    for call in (
        lambda: read(client, "k"),
        lambda: client.head_object(oss.HeadObjectRequest(bucket="demo", key="k")),
    ):
        error = service_error(call)
        assert (error.status_code, error.code, error.ec) == (403, code, ec)


def test_a_missing_object_is_named_even_for_head(client: Any) -> None:
    error = service_error(lambda: client.head_object(oss.HeadObjectRequest(bucket="demo", key="missing")))
    assert (error.status_code, error.code, error.ec) == (404, "NoSuchKey", "0026-00000001")


def test_buckets_are_made_listed_and_described(client: Any) -> None:
    client.put_bucket(oss.PutBucketRequest(bucket="other"))
    assert [entry.name for entry in client.list_buckets(oss.ListBucketsRequest()).buckets] == ["demo", "other"]
    info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket="other")).bucket_info
    assert (info.name, info.location, info.storage_class) == ("other", "oss-cn-hangzhou", "Standard")
    assert client.is_bucket_exist("other")
    assert not client.is_object_exist("other", "k")
    client.delete_bucket(oss.DeleteBucketRequest(bucket="other"))
    assert not client.is_bucket_exist("other")
