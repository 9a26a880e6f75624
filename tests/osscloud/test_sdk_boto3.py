"""boto3 against the S3-compatible face over HTTP: AWS signatures V4 (header and presigned) and V2."""

from __future__ import annotations

import random
import socket
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import md5
from http.client import HTTPConnection
from typing import Any

import boto3
import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

KEY_ID, SECRET = "LTAI5tBoto3", "a-secret"


@pytest.fixture
def service() -> OssService:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    return service


@pytest.fixture
def server(service: OssService) -> Iterator[HttpServer]:
    with HttpServer(service) as running:
        yield running


def make_client(
    server: HttpServer,
    *,
    secret: str = SECRET,
    key_id: str = KEY_ID,
    signature: str = "s3v4",
    endpoint: str = "",
    **more: Any,
) -> Any:
    options: dict[str, Any] = {"request_checksum_calculation": "when_required", "retries": {"max_attempts": 0}}
    return boto3.client(
        "s3",
        endpoint_url=endpoint or server.endpoint,
        region_name="cn-hangzhou",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(signature_version=signature, **(options | more)),
    )


@pytest.fixture(params=["s3v4", "s3"])
def s3(request: pytest.FixtureRequest, server: HttpServer) -> Iterator[Any]:
    client = make_client(server, signature=request.param)
    client.create_bucket(Bucket="demo", CreateBucketConfiguration={"LocationConstraint": "oss-cn-hangzhou"})
    yield client
    client.close()


def read(s3: Any, key: str, **more: Any) -> bytes:
    with s3.get_object(Bucket="demo", Key=key, **more)["Body"] as body:
        data: bytes = body.read()
    return data


def error_of(call: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_an_object_is_put_read_and_described(s3: Any) -> None:
    put = s3.put_object(
        Bucket="demo", Key="dir/文 件+.txt", Body=b"hello world", Metadata={"owner": "me"}, ContentType="text/x"
    )
    assert put["ETag"] == '"5EB63BBBE01EEED093CB22BB8F5ACDC3"'
    assert len(put["ResponseMetadata"]["RequestId"]) == 24
    assert read(s3, "dir/文 件+.txt") == b"hello world"
    head = s3.head_object(Bucket="demo", Key="dir/文 件+.txt")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (11, "text/x", {"owner": "me"})


def test_ranges_and_conditions_are_honoured(s3: Any) -> None:
    etag = s3.put_object(Bucket="demo", Key="k", Body=b"0123456789")["ETag"]
    assert read(s3, "k", Range="bytes=2-4") == b"234"
    assert read(s3, "k", Range="bytes=-3") == b"789"
    assert read(s3, "k", IfMatch=etag) == b"0123456789"
    assert error_of(lambda: read(s3, "k", IfMatch='"x"')) == (412, "PreconditionFailed")
    assert error_of(lambda: read(s3, "k", IfNoneMatch=etag))[0] == 304


def test_listings_page_in_both_versions(s3: Any) -> None:
    keys = [f"a/{n:02}" for n in range(7)] + ["b+ c", "文"]
    for key in keys:
        s3.put_object(Bucket="demo", Key=key, Body=b"x")
    for name in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(name).paginate(Bucket="demo", PaginationConfig={"PageSize": 3})
        assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
    page = s3.list_objects_v2(Bucket="demo", Delimiter="/")
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/"]
    assert page["KeyCount"] == 3
    assert {entry["StorageClass"] for entry in page["Contents"]} == {"STANDARD"}


def test_a_copy_keeps_or_replaces_metadata(s3: Any) -> None:
    s3.put_object(Bucket="demo", Key="from", Body=b"data", Metadata={"a": "1"})
    copied = s3.copy_object(Bucket="demo", Key="to", CopySource={"Bucket": "demo", "Key": "from"})
    assert copied["CopyObjectResult"]["ETag"] == '"8D777F385D3DFEC8815D20F7496026DC"'
    assert s3.head_object(Bucket="demo", Key="to")["Metadata"] == {"a": "1"}
    s3.copy_object(Bucket="demo", Key="to", CopySource="demo/from", MetadataDirective="REPLACE", Metadata={"b": "2"})
    assert s3.head_object(Bucket="demo", Key="to")["Metadata"] == {"b": "2"}


def test_three_parts_become_one_object(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="demo", Key="big")["UploadId"]
    bodies = [b"a" * 102_400, b"b" * 102_400, b"c"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket="demo", Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    listed = s3.list_parts(Bucket="demo", Key="big", UploadId=upload)
    assert [part["Size"] for part in listed["Parts"]] == [102_400, 102_400, 1]
    assert [entry["Key"] for entry in s3.list_multipart_uploads(Bucket="demo")["Uploads"]] == ["big"]
    done = s3.complete_multipart_upload(Bucket="demo", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    assert read(s3, "big") == b"".join(bodies)


def test_versions_survive_a_delete_and_come_back(s3: Any) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket="demo")
    s3.put_bucket_versioning(Bucket="demo", VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket="demo")["Status"] == "Enabled"
    first = s3.put_object(Bucket="demo", Key="k", Body=b"one")["VersionId"]
    second = s3.put_object(Bucket="demo", Key="k", Body=b"two")["VersionId"]
    gone = s3.delete_object(Bucket="demo", Key="k")
    assert gone["DeleteMarker"]
    assert error_of(lambda: read(s3, "k")) == (404, "NoSuchKey")
    assert error_of(lambda: s3.head_object(Bucket="demo", Key="k")) == (404, "404")
    listed = s3.list_object_versions(Bucket="demo")
    assert [(entry["VersionId"], entry["IsLatest"]) for entry in listed["Versions"]] == [
        (second, False),
        (first, False),
    ]
    assert [(entry["VersionId"], entry["IsLatest"]) for entry in listed["DeleteMarkers"]] == [(gone["VersionId"], True)]
    assert read(s3, "k", VersionId=first) == b"one"
    s3.delete_object(Bucket="demo", Key="k", VersionId=gone["VersionId"])
    assert read(s3, "k") == b"two"
    s3.copy_object(Bucket="demo", Key="k", CopySource={"Bucket": "demo", "Key": "k", "VersionId": first})
    assert read(s3, "k") == b"one"


def test_many_objects_are_deleted_at_once(s3: Any) -> None:
    names = ["a", "b&<", "文"]
    for name in names:
        s3.put_object(Bucket="demo", Key=name, Body=b"")
    result = s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": name} for name in names]})
    assert sorted(entry["Key"] for entry in result["Deleted"]) == names
    assert "Contents" not in s3.list_objects_v2(Bucket="demo")


def test_buckets_are_listed_found_and_deleted(s3: Any) -> None:
    assert [entry["Name"] for entry in s3.list_buckets()["Buckets"]] == ["demo"]
    assert s3.head_bucket(Bucket="demo")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert error_of(lambda: s3.head_bucket(Bucket="nowhere")) == (404, "404")
    assert s3.get_bucket_location(Bucket="demo")["LocationConstraint"] == "oss-cn-hangzhou"
    s3.delete_bucket(Bucket="demo")
    assert error_of(lambda: s3.list_objects_v2(Bucket="demo")) == (404, "NoSuchBucket")


def test_canned_acls_are_shown_as_grants(s3: Any) -> None:
    s3.put_object(Bucket="demo", Key="k", Body=b"x", ACL="public-read")
    grants = s3.get_object_acl(Bucket="demo", Key="k")["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL", "READ"]
    assert grants[1]["Grantee"]["URI"].endswith("/AllUsers")
    s3.put_bucket_acl(Bucket="demo", ACL="public-read-write")
    assert [grant["Permission"] for grant in s3.get_bucket_acl(Bucket="demo")["Grants"]] == [
        "FULL_CONTROL",
        "READ",
        "WRITE",
    ]


@pytest.mark.parametrize(
    ("name", "native"), [("STANDARD_IA", "IA"), ("GLACIER", "Archive"), ("DEEP_ARCHIVE", "ColdArchive")]
)
def test_storage_classes_have_their_s3_names(s3: Any, server: HttpServer, name: str, native: str) -> None:
    s3.put_object(Bucket="demo", Key="k", Body=b"x", StorageClass=name)
    head = s3.head_object(Bucket="demo", Key="k")
    assert head["StorageClass"] == name
    assert s3.list_objects_v2(Bucket="demo")["Contents"][0]["StorageClass"] == name
    s3.put_object_acl(Bucket="demo", Key="k", ACL="public-read")
    anonymous = urllib.request.Request(f"{server.endpoint}/demo/k", method="HEAD")
    with urllib.request.urlopen(anonymous, timeout=10) as answer:
        assert answer.headers["x-oss-storage-class"] == native


RULES: list[dict[str, Any]] = [
    {
        "ID": "logs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 3},
        "Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}, {"Days": 2, "StorageClass": "GLACIER"}],
        "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
        "NoncurrentVersionTransitions": [{"NoncurrentDays": 2, "StorageClass": "STANDARD_IA"}],
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    },
    {
        "ID": "large",
        "Status": "Enabled",
        "Filter": {
            "And": {"Prefix": "x/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 10},
        },
        "Expiration": {"Days": 3},
    },
    {
        "ID": "tagged",
        "Status": "Disabled",
        "Filter": {"Tag": {"Key": "q", "Value": "w"}},
        "Expiration": {"Date": datetime(2030, 1, 1, tzinfo=UTC)},
    },
    {"ID": "all", "Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
]


def test_lifecycle_rules_come_back_as_s3_spells_them(s3: Any, service: OssService) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket="demo", LifecycleConfiguration={"Rules": RULES})
    assert s3.get_bucket_lifecycle_configuration(Bucket="demo")["Rules"] == RULES
    native = service.store.buckets["demo"].configs["lifecycle"]
    for spelled in (b"<Prefix>logs/</Prefix>", b"<StorageClass>IA</StorageClass>", b"<AbortMultipartUpload><Days>7"):
        assert spelled in native
    s3.delete_bucket_lifecycle(Bucket="demo")
    assert error_of(lambda: s3.get_bucket_lifecycle_configuration(Bucket="demo")) == (404, "NoSuchLifecycle")


def test_a_rule_with_its_prefix_outside_of_a_filter_is_taken_too(s3: Any) -> None:
    rule = {"ID": "a", "Status": "Enabled", "Prefix": "logs/", "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket="demo", LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket="demo")["Rules"][0]["Filter"] == {"Prefix": "logs/"}


def test_the_digest_of_a_document_is_that_of_what_the_client_sent(server: HttpServer) -> None:
    s3 = make_client(server)
    s3.create_bucket(Bucket="demo")
    s3.close()
    body = (
        b"<LifecycleConfiguration><Rule><Filter><Prefix>a</Prefix></Filter><Status>Enabled</Status>"
        b"<Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
    )
    for sent, status in ((body, 200), (b"another", 400)):
        digest = b64encode(md5(sent, usedforsecurity=False).digest()).decode()
        request = AWSRequest("PUT", f"{server.endpoint}/demo?lifecycle", data=body, headers={"Content-MD5": digest})
        S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "cn-hangzhou").add_auth(request)
        answer = requests.put(request.url, data=body, headers=dict(request.headers), timeout=10)
        assert (answer.status_code, "InvalidDigest" in answer.text) == (status, status == 400)


def test_a_website_has_rules_without_numbers_and_types(s3: Any, server: HttpServer) -> None:
    redirect = {"HostName": "example.com", "Protocol": "http", "ReplaceKeyPrefixWith": "b/", "HttpRedirectCode": "302"}
    website = {
        "IndexDocument": {"Suffix": "index.html"},
        "ErrorDocument": {"Key": "e.html"},
        "RoutingRules": [{"Condition": {"KeyPrefixEquals": "a/"}, "Redirect": redirect}],
    }
    s3.put_bucket_website(Bucket="demo", WebsiteConfiguration=website)
    found = s3.get_bucket_website(Bucket="demo")
    assert {name: found[name] for name in website} == website
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/demo/a/1")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (302, "http://example.com/b/1")
    connection.close()
    s3.delete_bucket_website(Bucket="demo")
    assert error_of(lambda: s3.get_bucket_website(Bucket="demo")) == (404, "NoSuchWebsiteConfiguration")


def test_a_rule_with_a_number_is_refused(server: HttpServer) -> None:
    s3 = make_client(server)
    s3.create_bucket(Bucket="demo")
    s3.close()
    body = (
        b"<WebsiteConfiguration><RoutingRules><RoutingRule><RuleNumber>1</RuleNumber><Redirect><HostName>e.com"
        b"</HostName></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>"
    )
    request = AWSRequest("PUT", f"{server.endpoint}/demo?website", data=body)
    S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "cn-hangzhou").add_auth(request)
    answer = requests.put(request.url, data=body, headers=dict(request.headers), timeout=10)
    assert (answer.status_code, answer.headers["x-oss-ec"]) == (400, "0019-00000010")


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_a_restore_is_for_a_day_whatever_it_asks_for(s3: Any, service: OssService, storage_class: str) -> None:
    s3.put_object(Bucket="demo", Key="k", Body=b"x", StorageClass=storage_class)
    assert error_of(lambda: read(s3, "k")) == (403, "InvalidObjectState")
    wanted = {"Days": 30, "GlacierJobParameters": {"Tier": "Bulk"}}
    done = s3.restore_object(Bucket="demo", Key="k", RestoreRequest=wanted)
    assert done["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert s3.head_object(Bucket="demo", Key="k")["Restore"] == 'ongoing-request="true"'
    tiering = service.store.buckets["demo"].objects["k"].tiering
    assert tiering is not None
    assert tiering.frozen - tiering.thawed == 86_400


def test_logging_is_configured(s3: Any) -> None:
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="demo")
    wanted = {"LoggingEnabled": {"TargetBucket": "demo", "TargetPrefix": "log/"}}
    s3.put_bucket_logging(Bucket="demo", BucketLoggingStatus=wanted)
    assert s3.get_bucket_logging(Bucket="demo")["LoggingEnabled"] == wanted["LoggingEnabled"]


@pytest.mark.parametrize("source", ["demo/a%20%25b", "/demo/a%20%25b", "demo%2Fa%20%25b", "%2Fdemo%2Fa%20%25b"])
def test_a_copy_source_has_several_spellings(s3: Any, source: str) -> None:
    s3.put_object(Bucket="demo", Key="a %b", Body=b"data")
    # boto3 would encode a text once more.
    s3.meta.events.register(
        "before-sign.s3.CopyObject", lambda request, **_: _replace(request.headers, "x-amz-copy-source", source)
    )
    s3.copy_object(Bucket="demo", Key="to", CopySource="demo/whatever")
    assert read(s3, "to") == b"data"


def _replace(headers: Any, name: str, value: str) -> None:
    del headers[name]
    headers[name] = value


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_a_form_is_posted(server: HttpServer, signature: str) -> None:
    s3 = make_client(server, signature=signature)
    s3.create_bucket(Bucket="demo")
    fields = {
        "acl": "public-read",
        "success_action_status": "201",
        "x-amz-meta-a": "1",
        "x-amz-storage-class": "GLACIER",
    }
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    form = s3.generate_presigned_post("demo", "form/${filename}", fields, [*conditions, ["content-length-range", 0, 9]])
    answer = requests.post(form["url"], data=form["fields"], files={"file": ("n.txt", b"hello")}, timeout=10)
    assert (answer.status_code, "<Key>form/n.txt</Key>" in answer.text) == (201, True)
    head = s3.head_object(Bucket="demo", Key="form/n.txt")
    assert (head["Metadata"], head["StorageClass"]) == ({"a": "1"}, "GLACIER")
    assert len(s3.get_object_acl(Bucket="demo", Key="form/n.txt")["Grants"]) == 2
    large = requests.post(form["url"], data=form["fields"], files={"file": ("n.txt", b"0123456789")}, timeout=10)
    assert (large.status_code, "EntityTooLarge" in large.text) == (400, True)
    forged = {**form["fields"], "policy": form["fields"]["policy"][:-4] + "fQ=="}
    refused = requests.post(form["url"], data=forged, files={"file": ("n.txt", b"hello")}, timeout=10)
    assert (refused.status_code, "SignatureDoesNotMatch" in refused.text) == (403, True)
    s3.close()


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_bucket_accelerate_configuration", {}),
        ("list_bucket_metrics_configurations", {}),
        ("get_bucket_notification_configuration", {}),
        ("get_bucket_ownership_controls", {}),
        ("get_bucket_replication", {}),
        ("get_object_attributes", {"Key": "k", "ObjectAttributes": ["ETag"]}),
        ("get_object_legal_hold", {"Key": "k"}),
        ("get_object_lock_configuration", {}),
        ("get_object_retention", {"Key": "k"}),
        ("get_object_torrent", {"Key": "k"}),
        ("delete_bucket_ownership_controls", {}),
        ("put_bucket_notification_configuration", {"NotificationConfiguration": {}}),
        ("put_object", {"Key": "k", "GrantRead": "id=1"}),
        ("put_object", {"Key": "k", "WebsiteRedirectLocation": "/l"}),
        ("put_bucket_acl", {"GrantRead": "id=1"}),
    ],
)
def test_what_oss_has_not_for_s3_clients_is_not_implemented(
    s3: Any, service: OssService, operation: str, arguments: dict[str, Any]
) -> None:
    s3.put_object(Bucket="demo", Key="k", Body=b"x")
    assert error_of(lambda: getattr(s3, operation)(Bucket="demo", **arguments)) == (501, "NotImplemented")
    assert service.access_log.records[-1].error_code == "NotImplemented"
    assert read(s3, "k") == b"x"


def test_only_three_canned_acls_are_known(s3: Any) -> None:
    for acl in ("authenticated-read", "bucket-owner-full-control"):
        assert error_of(lambda acl=acl: s3.put_object(Bucket="demo", Key="k", ACL=acl)) == (400, "InvalidArgument")


def test_tags_and_encryption_are_translated(s3: Any) -> None:
    s3.put_object(Bucket="demo", Key="k", Body=b"x", Tagging="a=1&b=2", ServerSideEncryption="AES256")
    assert s3.head_object(Bucket="demo", Key="k")["ServerSideEncryption"] == "AES256"
    s3.copy_object(Bucket="demo", Key="l", CopySource="demo/k", TaggingDirective="REPLACE", Tagging="c=3")
    assert s3.get_object_tagging(Bucket="demo", Key="k")["TagSet"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "2"},
    ]
    assert s3.get_object_tagging(Bucket="demo", Key="l")["TagSet"] == [{"Key": "c", "Value": "3"}]


def test_content_that_looks_like_a_document_is_not_touched(s3: Any) -> None:
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n<A><StorageClass>Standard</StorageClass></A>'
    s3.put_object(Bucket="demo", Key="k.xml", Body=body, ContentType="application/xml")
    assert read(s3, "k.xml") == body


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_a_presigned_url_works_without_a_key(server: HttpServer, signature: str) -> None:
    s3 = make_client(server, signature=signature)
    s3.create_bucket(Bucket="demo")
    s3.put_object(Bucket="demo", Key="dir/k 文", Body=b"shared")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "demo", "Key": "dir/k 文"}, ExpiresIn=60)
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"shared"
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(url.replace("/k", "/l"), timeout=10):
        pass
    with caught.value as error:
        assert (error.code, b"SignatureDoesNotMatch" in error.read()) == (403, True)
    s3.close()


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_wrong_keys_have_their_own_errors(server: HttpServer, signature: str) -> None:
    wrong = make_client(server, secret="wrong", signature=signature)
    assert error_of(wrong.list_buckets) == (403, "SignatureDoesNotMatch")
    nobody = make_client(server, key_id="nobody", signature=signature)
    assert error_of(nobody.list_buckets) == (403, "InvalidAccessKeyId")
    wrong.close()
    nobody.close()


def test_chunked_uploads_with_trailing_checksums_are_refused_as_oss_refuses_them(server: HttpServer) -> None:
    s3 = make_client(server)
    s3.create_bucket(Bucket="demo")
    s3.close()
    url = f"{server.endpoint}/demo/k"
    # botocore itself sends this form over TLS only; its signer makes it for any address.
    upload = AWSRequest("PUT", url, data=b"0\r\n\r\n", headers={"Content-Encoding": "aws-chunked"})
    upload.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "cn-hangzhou").add_auth(upload)
    assert upload.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    request = urllib.request.Request(url, data=upload.data, method="PUT", headers=dict(upload.headers))
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request, timeout=10):
        pass
    with caught.value as error:
        body = error.read()
    assert caught.value.code == 400
    assert b"<Code>InvalidArgument</Code>" in body
    assert b"<ArgumentName>Content-Encoding</ArgumentName><ArgumentValue>aws-chunked</ArgumentValue>" in body


def test_virtual_host_style_names_the_bucket_in_the_host(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def resolve_localhost(host: Any, *args: Any, **more: Any) -> Any:
        # RFC 6761 says so, but not every resolver knows.
        return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_localhost)
    endpoint = f"http://oss-cn-hangzhou.localhost:{server.port}"
    s3 = make_client(server, endpoint=endpoint, s3={"addressing_style": "virtual"})
    s3.create_bucket(Bucket="demo")
    s3.put_object(Bucket="demo", Key="a/b", Body=b"x")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="demo")["Contents"]] == ["a/b"]
    assert [entry["Name"] for entry in s3.list_buckets()["Buckets"]] == ["demo"]
    s3.close()
