"""Keys that need care, stored and listed byte for byte through every client that can say them."""

from __future__ import annotations

import gc
import random
import re
import warnings
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import unescape

import boto3
import pytest
from alibabacloud_oss_v2 import Client, DeleteObjectRequest, GetObjectRequest, ListObjectsV2Request, PutObjectRequest
from alibabacloud_oss_v2 import config as v2_config
from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from botocore.config import Config

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import oss2

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

KEY_ID, SECRET = "LTAI5tKeys", "a-secret"

KEYS = [
    "a" * 1023,
    "文" * 341,
    "😀" * 255 + "abc",
    "a//b",
    "a///",
    "dir/",
    "./a",
    "../a",
    "a/./b",
    "a/../b",
    "..",
    ".",
    "a b",
    "a+b",
    " leading and trailing ",
    "100%",
    "%41",
    "%2F",
    "a?b",
    "a#b",
    "a&b=c",
    "a;b,c:d@e!f$g'(h)*i~j",
    '<key attribute="1">&amp;</key>',
    "]]>",
    "\\back\\slash"[1:],
    "tab\tnew\nline\rreturn",
    "".join(map(chr, range(1, 32))),
    "\x7f\x80\x9f",
    "\u200b\ufeff\u202e",
    "é and e\u0301",
    "👩‍👩‍👧‍👦",
    "\U0010ffff",
    "\ue000 private",
    "ﬁ ﬀ",
]


@pytest.fixture(scope="module")
def service() -> OssService:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    return service


@pytest.fixture(scope="module")
def server(service: OssService) -> Iterator[HttpServer]:
    with HttpServer(service) as running:
        yield running
    gc.collect()


# urllib3 resolves the dot segments of a path, as browsers do, before it sends the request: with boto3, which talks to
# it in another way, they arrive.
DOTS = frozenset({"./a", "../a", "a/./b", "a/../b", "..", "."})


class Oss2:
    unable = frozenset({"..", "."})  # it writes "/" as %2F, so that only whole names are segments

    def __init__(self, endpoint: str, version: str) -> None:
        self.session = oss2.Session()
        auth = oss2.make_auth(KEY_ID, SECRET, version)
        self.bucket: Any = oss2.Bucket(auth, endpoint, "keys", session=self.session, region="cn-hangzhou")

    def put(self, key: str, body: bytes) -> None:
        self.bucket.put_object(key, body)

    def get(self, key: str) -> bytes:
        data: bytes = self.bucket.get_object(key).read()
        return data

    def keys(self) -> list[str]:
        return [found.key for found in oss2.ObjectIteratorV2(self.bucket, max_keys=5)]

    def delete(self, keys: list[str]) -> None:
        # Its batches put control characters into XML as they are, which no XML parser takes.
        sayable = [key for key in keys if min(key) >= " "]
        self.bucket.batch_delete_objects(sayable)
        for key in set(keys) - set(sayable):
            self.bucket.delete_object(key)

    def close(self) -> None:
        self.session.session.close()


class V2:
    unable = DOTS

    def __init__(self, endpoint: str) -> None:
        config = v2_config.load_default()
        config.credentials_provider = StaticCredentialsProvider(KEY_ID, SECRET)
        config.region, config.endpoint = "cn-hangzhou", endpoint
        self.client = Client(config)

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(PutObjectRequest(bucket="keys", key=key, body=body))

    def get(self, key: str) -> bytes:
        answer = self.client.get_object(GetObjectRequest(bucket="keys", key=key))
        data: bytes = answer.body.read()
        answer.body.close()
        return data

    def keys(self) -> list[str]:
        pages = self.client.list_objects_v2_paginator().iter_page(ListObjectsV2Request(bucket="keys", max_keys=5))
        return [found.key for page in pages for found in page.contents or []]

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            self.client.delete_object(DeleteObjectRequest(bucket="keys", key=key))

    def close(self) -> None:
        pass


class Boto3:
    unable: frozenset[str] = frozenset()

    def __init__(self, endpoint: str, signature: str) -> None:
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="cn-hangzhou",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(signature_version=signature, request_checksum_calculation="when_required"),
        )

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket="keys", Key=key, Body=body)

    def get(self, key: str) -> bytes:
        with self.s3.get_object(Bucket="keys", Key=key)["Body"] as body:
            data: bytes = body.read()
        return data

    def keys(self) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="keys", PaginationConfig={"PageSize": 5})
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            self.s3.delete_object(Bucket="keys", Key=key)

    def close(self) -> None:
        self.s3.close()


@pytest.fixture(params=["oss2 v1", "oss2 v4", "v2", "boto3 s3v4", "boto3 s3"])
def client(request: pytest.FixtureRequest, server: HttpServer, service: OssService) -> Iterator[Any]:
    service.admin.create_bucket("keys")
    name, _, variant = request.param.partition(" ")
    made = {"oss2": Oss2, "v2": V2, "boto3": Boto3}[name](*[server.endpoint, *filter(None, [variant])])
    yield made
    made.close()
    service.admin.delete_bucket("keys", force=True)


def test_strange_keys_are_stored_listed_read_and_deleted(client: Any, service: OssService) -> None:
    keys = [key for key in KEYS if key not in client.unable]
    for number, key in enumerate(keys):
        client.put(key, str(number).encode())
    stored = service.admin.keys("keys")
    assert stored == sorted(keys, key=lambda key: key.encode())
    assert client.keys() == stored
    for number, key in enumerate(keys):
        assert client.get(key) == str(number).encode(), key
    client.delete(keys)
    assert service.admin.keys("keys") == []


def test_keys_that_a_client_cannot_say_are_listed_to_it_all_the_same(client: Any, service: OssService) -> None:
    for key in KEYS:
        service.admin.put("keys", key, b"")
    assert client.keys() == sorted(KEYS, key=lambda key: key.encode())


@pytest.mark.parametrize("params", [{}, {"list-type": "2"}, {"versions": ""}])
def test_without_an_encoding_keys_are_listed_in_their_own_bytes(
    server: HttpServer, service: OssService, params: dict[str, str]
) -> None:
    service.admin.create_bucket("keys")
    for key in KEYS:
        service.admin.put("keys", key, b"")
    session = oss2.Session()
    bucket = oss2.Bucket(oss2.make_auth(KEY_ID, SECRET, "v1"), server.endpoint, "keys", session=session)
    # As ossfs lists. Control characters are references, which no parser of XML 1.0 takes.
    listed = bucket._do("GET", "keys", "", params={"max-keys": "1000", **params}).read().decode()
    session.session.close()
    found = re.findall("<Key>(.*?)</Key>", listed, re.DOTALL)
    plain = [unescape(re.sub("&#([0-9]+);", lambda match: chr(int(match[1])), key)) for key in found]
    assert plain == sorted(KEYS, key=lambda key: key.encode())
    service.admin.delete_bucket("keys", force=True)


@pytest.mark.parametrize("key", ["a" * 1024, "文" * 342, "/a", "\\a"])
def test_keys_that_oss_refuses_are_refused(client: Any, service: OssService, key: str) -> None:
    with pytest.raises(Exception, match=r"InvalidObjectName|invalid"):
        client.put(key, b"x")
    assert service.admin.keys("keys") == []


def test_references_to_control_characters_in_a_batch_are_those_characters(
    server: HttpServer, service: OssService
) -> None:
    service.admin.create_bucket("keys")
    key = "a\x01b\x1fc"
    service.admin.put("keys", key, b"")
    session = oss2.Session()
    bucket = oss2.Bucket(oss2.make_auth(KEY_ID, SECRET, "v1"), server.endpoint, "keys", session=session)
    # As the vendor's SDK for Go writes them.
    body = "<Delete><Quiet>true</Quiet><Object><Key>a&#01;b&#x1F;c</Key></Object></Delete>"
    bucket._do("POST", "keys", "", data=body, params={"delete": ""}).read()
    session.session.close()
    assert service.admin.keys("keys") == []
    service.admin.delete_bucket("keys", force=True)
