"""Buckets: create, list, delete, information, ACL; configurations that are unset; what is not implemented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client


def create(client: Client, name: str, body: bytes = b"", **headers: str) -> Answer:
    return client.send("PUT", "", None, headers, body, bucket=name)


def list_buckets(client: Client, **params: str) -> Answer:
    return client.send("GET", "", {n.replace("_", "-"): v for n, v in params.items()}, bucket="")


def configuration(**elements: str) -> bytes:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    return f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode()


def test_a_bucket_is_created_listed_and_deleted(client: Client, clock: VirtualClock) -> None:
    clock.advance(5)
    answer = create(client, "second")
    assert (answer.status, answer.header("Location"), answer.body) == (200, "/second", b"")
    listed = list_buckets(client)
    assert listed.texts("Buckets/Bucket/Name") == ["demo", "second"]
    assert listed.texts("Buckets/Bucket/CreationDate") == ["2024-09-03T00:00:00.000Z", "2024-09-03T00:00:05.000Z"]
    assert listed.text("Owner/ID") == client.key.account
    assert listed.xml.find("IsTruncated") is None
    assert client.send("DELETE", "", bucket="second").status == 204
    assert list_buckets(client).texts("Buckets/Bucket/Name") == ["demo"]
    assert client.send("DELETE", "", bucket="second").code == "NoSuchBucket"


def test_a_listed_bucket_names_endpoints_that_can_be_reached(client: Client, oss: OssService) -> None:
    oss.config = replace(oss.config, endpoint="127.0.0.1:4711")
    answer = list_buckets(client)
    for name in ("ExtranetEndpoint", "IntranetEndpoint"):
        assert answer.text(f"Buckets/Bucket/{name}") == "127.0.0.1:4711"
    assert answer.text("Buckets/Bucket/Location") == "oss-cn-hangzhou"
    assert answer.text("Buckets/Bucket/Region") == "cn-hangzhou"


def test_buckets_are_listed_in_pages(client: Client) -> None:
    for name in ("abc", "abd", "xyz"):
        create(client, name)
    first = list_buckets(client, max_keys="2")
    assert first.texts("Buckets/Bucket/Name") == ["abc", "abd"]
    assert (first.text("IsTruncated"), first.text("NextMarker"), first.text("MaxKeys")) == ("true", "abd", "2")
    assert list_buckets(client, marker="abd").texts("Buckets/Bucket/Name") == ["demo", "xyz"]
    assert list_buckets(client, prefix="ab").texts("Buckets/Bucket/Name") == ["abc", "abd"]


def test_each_account_lists_its_own_buckets(client: Client, client_of: Callable[..., Client]) -> None:
    stranger = client_of(account="42")
    create(stranger, "theirs")
    assert list_buckets(stranger).texts("Buckets/Bucket/Name") == ["theirs"]
    assert list_buckets(client).texts("Buckets/Bucket/Name") == ["demo"]


@pytest.mark.parametrize("name", ["ab", "Abc", "a_b", "-abc", "abc-", "a" * 64])
def test_bad_bucket_names_are_refused(client: Client, name: str) -> None:
    answer = create(client, name)
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


def test_the_owner_may_repeat_a_creation_with_the_same_settings_only(
    client: Client, client_of: Callable[..., Client], oss: OssService
) -> None:
    client.put("k")
    assert create(client, "demo").status == 200
    assert oss.admin.keys("demo") == ["k"]
    answer = create(client, "demo", configuration(StorageClass="IA"))
    assert (answer.status, answer.code, answer.text("EC")) == (409, "BucketAlreadyExists", "0015-00000104")
    assert create(client, "demo", configuration(DataRedundancyType="ZRS")).code == "BucketAlreadyExists"
    assert create(client_of(account="42"), "demo").code == "BucketAlreadyExists"


def test_objects_take_the_class_of_their_bucket(client: Client) -> None:
    create(client, "cold", configuration(StorageClass="IA", DataRedundancyType="ZRS"))
    client.bucket = "cold"
    client.put("k")
    client.send("POST", "log", {"append": "", "position": "0"}, body=b"x")
    assert client.head("k").header("x-oss-storage-class") == client.head("log").header("x-oss-storage-class") == "IA"
    assert client.send("GET", "", {"bucketInfo": ""}).text("Bucket/DataRedundancyType") == "ZRS"


@pytest.mark.parametrize(
    "body", [configuration(StorageClass="Warm"), configuration(DataRedundancyType="RAID"), b"<x/>", b"nonsense"]
)
def test_bad_creation_documents_are_malformed(client: Client, body: bytes) -> None:
    assert create(client, "second", body).code == "MalformedXML"


def test_an_account_has_a_limited_number_of_buckets(
    client: Client, client_of: Callable[..., Client], oss: OssService
) -> None:
    oss.config = replace(oss.config, max_buckets=2)
    assert create(client, "second").status == 200
    answer = create(client, "third")
    assert (answer.status, answer.code) == (400, "TooManyBuckets")
    assert create(client_of(account="42"), "third").status == 200


def test_a_bucket_with_content_is_not_deleted(client: Client) -> None:
    client.put("k")
    answer = client.send("DELETE", "")
    assert (answer.status, answer.code, answer.text("BucketName")) == (409, "BucketNotEmpty", "demo")
    client.delete("k")
    upload = client.send("POST", "k", {"uploads": ""}).text("UploadId")
    assert client.send("DELETE", "").code == "BucketNotEmpty"
    client.delete("k", uploadId=upload)
    assert client.send("DELETE", "").status == 204


def test_everything_in_a_missing_bucket_is_no_such_bucket(client: Client) -> None:
    client.bucket = "missing"
    for method, key, params in [
        ("GET", "", {}),
        ("GET", "k", {}),
        ("PUT", "k", {}),
        ("DELETE", "k", {}),
        ("GET", "", {"bucketInfo": ""}),
        ("POST", "k", {"uploads": ""}),
    ]:
        answer = client.send(method, key, params)
        assert (answer.status, answer.code, answer.text("BucketName")) == (404, "NoSuchBucket", "missing")
        assert answer.text("EC") == "0015-00000101"
    assert client.send("HEAD", "").status == 404


def test_bucket_info_has_what_clients_read(client: Client) -> None:
    answer = client.send("GET", "", {"bucketInfo": ""})
    assert {e.tag: e.text for e in answer.xml[0] if not len(e)} == {
        "AccessMonitor": "Disabled",
        "CrossRegionReplication": "Disabled",
        "DataRedundancyType": "LRS",
        "CreationDate": "2024-09-03T00:00:00.000Z",
        "ExtranetEndpoint": "oss-cn-hangzhou.aliyuncs.com",
        "IntranetEndpoint": "oss-cn-hangzhou.aliyuncs.com",
        "Location": "oss-cn-hangzhou",
        "Name": "demo",
        "Region": "cn-hangzhou",
        "StorageClass": "Standard",
        "TransferAcceleration": "Disabled",
        "BlockPublicAccess": "false",
        "ResourceGroupId": "rg-default",
    }
    assert answer.text("Bucket/ServerSideEncryptionRule/SSEAlgorithm") == "None"
    assert answer.text("Bucket/AccessControlList/Grant") == "private"
    assert answer.text("Bucket/Owner/ID") == client.key.account


def test_bucket_stat_counts_by_class(client: Client) -> None:
    client.versioning("Enabled")
    client.put("a", b"xxx")
    client.put("a", b"x")
    client.put("b", b"yy", {"x-oss-storage-class": "IA"})
    client.delete("b")
    upload = client.send("POST", "c", {"uploads": ""}).text("UploadId")
    client.send("PUT", "c", {"partNumber": "1", "uploadId": upload}, body=b"12345")
    answer = client.send("GET", "", {"stat": ""})
    numbers = {element.tag: int(element.text or "") for element in answer.xml}
    assert numbers["Storage"] == 11
    assert (numbers["ObjectCount"], numbers["StandardObjectCount"], numbers["StandardStorage"]) == (3, 2, 4)
    # A small object of a colder class is billed as 64 KB.
    assert (numbers["InfrequentAccessObjectCount"], numbers["InfrequentAccessStorage"]) == (1, 65_536)
    assert numbers["InfrequentAccessRealStorage"] == 2
    assert (numbers["MultipartUploadCount"], numbers["MultipartPartCount"], numbers["DeleteMarkerCount"]) == (1, 1, 1)
    assert numbers["ArchiveStorage"] == numbers["DeepColdArchiveObjectCount"] == numbers["LiveChannelCount"] == 0


def test_location_is_one_element(client: Client) -> None:
    assert client.send("GET", "", {"location": ""}).body.endswith(
        b"<LocationConstraint>oss-cn-hangzhou</LocationConstraint>"
    )


def test_head_of_a_bucket_says_that_it_is_there(client: Client) -> None:
    assert client.send("HEAD", "").status == 200


def test_the_acl_of_a_bucket_is_set_and_read(client: Client) -> None:
    assert client.send("GET", "", {"acl": ""}).text("AccessControlList/Grant") == "private"
    assert client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"}).status == 200
    assert client.send("GET", "", {"acl": ""}).text("AccessControlList/Grant") == "public-read"
    create(client, "demo", **{"x-oss-acl": "public-read-write"})
    assert client.send("GET", "", {"acl": ""}).text("AccessControlList/Grant") == "public-read-write"
    create(client, "demo")
    assert client.send("GET", "", {"acl": ""}).text("AccessControlList/Grant") == "public-read-write"


def test_a_bad_bucket_acl_is_named(client: Client) -> None:
    for answer in (
        client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "secret"}),
        create(client, "second", **{"x-oss-acl": "secret"}),
    ):
        assert (answer.status, answer.code, answer.text("ArgumentValue")) == (400, "InvalidArgument", "secret")
        assert answer.text("Message") == "no such bucket access control exists"
    assert client.send("PUT", "", {"acl": ""}).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("website", "NoSuchWebsiteConfiguration"),
        ("lifecycle", "NoSuchLifecycle"),
        ("cors", "NoSuchCORSConfiguration"),
        ("policy", "NoSuchBucketPolicy"),
        ("encryption", "NoSuchServerSideEncryptionRule"),
        ("worm", "NoSuchWORMConfiguration"),
    ],
)
def test_configurations_that_are_unset_and_missing(client: Client, name: str, code: str) -> None:
    answer = client.send("GET", "", {name: ""})
    assert (answer.status, answer.code) == (404, code)


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("logging", ".", ""),
        ("referer", "AllowEmptyReferer", "true"),
        ("tagging", "TagSet", ""),
        ("requestPayment", "Payer", "BucketOwner"),
        ("bucketArchiveDirectRead", "Enabled", "false"),
        ("policyStatus", "IsPublic", "false"),
        ("live", "IsTruncated", "false"),
        ("live", "MaxKeys", "100"),
    ],
)
def test_configurations_that_are_unset_and_have_a_document(client: Client, name: str, path: str, text: str) -> None:
    answer = client.send("GET", "", {name: ""})
    assert (answer.status, (answer.text(path) or "").strip()) == (200, text)


@pytest.mark.parametrize("name", ["logging", "website", "lifecycle", "cors", "policy", "tagging", "encryption"])
def test_an_unset_configuration_can_be_deleted(client: Client, name: str) -> None:
    assert client.send("DELETE", "", {name: ""}).status == 204


@pytest.mark.parametrize(
    "case",
    [
        ("POST", "", "website", "PostBucketWebsite"),
        ("PUT", "", "worm", "PutBucketWorm"),
        ("GET", "", "metaQuery", "GetMetaQuery"),
        ("POST", "", "replication", "PostBucketReplication"),
        ("PUT", "", "objectWorm", "PutBucketObjectWormConfiguration"),
        ("POST", "k", "x-oss-process", "ProcessObject"),
        ("PUT", "k", "live", "LiveChannel"),
        ("POST", "k", "", "PostObject"),
    ],
)
def test_what_is_out_of_scope_says_so(client: Client, oss: OssService, case: tuple[str, str, str, str]) -> None:
    method, key, param, operation = case
    client.put("k")
    answer = client.send(method, key, {param: ""} if param else None, body=b"<x/>")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert oss.access_log.records[-1].operation == operation


@pytest.mark.parametrize(
    ("process", "operation"),
    [
        ("image/resize,w_100", "ProcessImage"),
        ("style/small", "ProcessImage"),
        ("csv/select", "SelectObject"),
        ("json/meta", "SelectObject"),
        ("video/snapshot", "ProcessObject"),
    ],
)
def test_what_would_process_content_is_refused_by_name(
    client: Client, oss: OssService, process: str, operation: str
) -> None:
    client.put("k", b"content")
    for method in ("GET", "POST"):
        answer = client.send(method, "k", {"x-oss-process": process})
        assert (answer.status, answer.code) == (501, "NotImplemented")
        assert oss.access_log.records[-1].operation == operation


@pytest.mark.parametrize("param", ["qosInfo", "accessPoint", "cloudboxes", "publicAccessBlock"])
def test_what_the_service_has_not_is_no_list_of_buckets(client: Client, param: str) -> None:
    assert client.send("GET", "", {param: ""}, bucket="").code == "NotImplemented"


def test_regions_are_described(client: Client, oss: OssService) -> None:
    oss.config = replace(oss.config, endpoint="127.0.0.1:4711", regions=("cn-hangzhou", "eu-central-1"))
    answer = client.send("GET", "", {"regions": ""}, bucket="")
    assert answer.texts("RegionInfo/Region") == ["oss-cn-hangzhou", "oss-eu-central-1"]
    assert answer.texts("RegionInfo/InternetEndpoint") == ["127.0.0.1:4711", "oss-eu-central-1.aliyuncs.com"]
    assert answer.texts("RegionInfo/InternalEndpoint") == ["127.0.0.1:4711", "oss-eu-central-1-internal.aliyuncs.com"]
    one = client.send("GET", "", {"regions": "oss-eu-central-1"}, bucket="")
    assert one.texts("RegionInfo/Region") == ["oss-eu-central-1"]
    assert client.send("GET", "", {"regions": "oss-mars"}, bucket="").code == "InvalidArgument"


@pytest.mark.parametrize(("method", "bucket", "kind"), [("PATCH", "demo", "Bucket"), ("DELETE", "", "Service")])
def test_other_methods_are_not_allowed(client: Client, method: str, bucket: str, kind: str) -> None:
    answer = client.send(method, "", bucket=bucket)
    assert (answer.status, answer.code, answer.text("ResourceType")) == (405, "MethodNotAllowed", kind)
