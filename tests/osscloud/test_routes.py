"""Which operation a request is: every sub-resource that OSS knows, with every method, at every place."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import TYPE_CHECKING

import pytest
from defusedxml.ElementTree import fromstring

from osscloud.message import Request, Response
from osscloud.service import OssService
from osscloud.signing import v4

if TYPE_CHECKING:
    from conftest import Client

# What clients and documents sign as a sub-resource, without those that only modify another one.
NAMES = """
    accessPoint accessPointPolicy accessmonitor acl append asyncFetch bucketArchiveDirectRead bucketInfo callback-policy
    cleanRestoredObject cloudboxes cname cors delete encryption httpsConfig img inventory lifecycle live location
    logging metaQuery objectInfo objectMeta policy policyStatus publicAccessBlock qos qosInfo redundancyTransition
    referer regions replication replicationLocation replicationProgress requestPayment requesterQosInfo resourceGroup
    resourcePool restore rtc stat style symlink tagging transferAcceleration uploadId uploads versioning versions vod
    website worm wormExtend wormId x-oss-async-process x-oss-process x-oss-write-get-object-response
"""
SUBRESOURCES = NAMES.split()

# What a request without a sub-resource does: whoever names one never asks for that.
PLAIN = {
    "service": {"GetService"},
    "bucket": {"GetBucket", "HeadBucket", "PutBucket", "DeleteBucket", "PostObject"},
    "object": {"PutObject", "DeleteObject"},
}


@pytest.mark.parametrize("param", SUBRESOURCES)
def test_a_sub_resource_never_stands_for_nothing(client: Client, oss: OssService, param: str) -> None:
    client.put("k", b"content")
    for place, (bucket, key) in {"service": ("", ""), "bucket": ("demo", ""), "object": ("demo", "k")}.items():
        for method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
            answer = client.send(method, key, {param: ""}, bucket=bucket)
            record = oss.access_log.records[-1]
            assert record.operation not in PLAIN[place] or answer.status == 405, (method, place)
            if answer.status == 501:
                assert record.error_code == "NotImplemented"
                assert record.operation != "-"
    assert client.get("k").body == b"content"


def test_a_hierarchical_namespace_is_not_promised(client: Client, oss: OssService) -> None:
    client.put("k", b"content")
    refused = [
        client.send("PUT", "", headers={"x-oss-hns-status": "enabled"}, bucket="tree"),
        client.send("PUT", "new", headers={"x-oss-rename-source": "k"}),
        client.send("POST", "new", {"x-oss-rename": ""}, {"x-oss-rename-source": "k"}),
        client.send("POST", "dir", {"x-oss-dir": ""}),
        client.send("DELETE", "k", {"x-oss-delete": ""}),
    ]
    assert {(answer.status, answer.code) for answer in refused} == {(501, "NotImplemented")}
    assert list(oss.store.buckets) == ["demo"]
    assert list(oss.store.buckets["demo"].objects) == ["k"]


def test_pages_have_parameters_of_any_name(client: Client) -> None:
    client.put("k", b"content")
    for param in ("style", "lifecycle", "location", "stat", "whatever"):
        assert client.send("GET", "k", {param: "1"}).body == b"content"


def test_an_operation_at_the_wrong_place_is_told_so(client: Client) -> None:
    answer = client.send("DELETE", "k", {"lifecycle": ""})
    assert answer.text("Message") == "DeleteBucketLifecycle is no operation of the resource that is addressed."
    assert client.send("DELETE", "", {"stat": ""}).text("Message").endswith("is not implemented by this service.")


def at(client: Client, host: str, method: str = "GET", key: str = "k", **headers: str) -> Response:
    """A request in virtual-host style for the bucket "demo"; anonymous unless a header signs it."""
    return client.service.handle(Request(method, f"/{key}", {"host": host, **headers}))


def signed(client: Client, method: str, key: str, region: str) -> dict[str, str]:
    """Headers of a V4 signature for a region."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(client.clock.now()))
    scope = f"{stamp[:8]}/{region}/oss/aliyun_v4_request"
    canonical = (
        f"{method}\n/demo/{key}\n\nx-oss-content-sha256:UNSIGNED-PAYLOAD\nx-oss-date:{stamp}\n\n\nUNSIGNED-PAYLOAD"
    )
    text = v4.string_to_sign(stamp, scope, canonical.encode())
    signature = v4.sign(v4.signing_key(client.key.secret, stamp[:8], region, "oss"), text)
    authorization = f"OSS4-HMAC-SHA256 Credential={client.key.id}/{scope},Signature={signature}"
    return {"x-oss-date": stamp, "x-oss-content-sha256": "UNSIGNED-PAYLOAD", "authorization": authorization}


@pytest.mark.parametrize("host", ["demo.oss-cn-shanghai.aliyuncs.com", "demo.oss-cn-shanghai-internal.aliyuncs.com"])
def test_the_endpoint_of_another_region_names_the_right_one(client: Client, host: str) -> None:
    client.put("k", b"x")
    for headers in ({}, signed(client, "GET", "k", "cn-shanghai")):
        answer = at(client, host, **headers)
        document = fromstring(answer.read())
        assert (answer.status, document.findtext("Code")) == (403, "AccessDenied")
        assert (document.findtext("Bucket"), document.findtext("Endpoint")) == ("demo", "oss-cn-hangzhou.aliyuncs.com")
        assert answer.header("x-oss-ec") == "0003-00001403"
    assert b"Invalid signing region" in at(client, host, **signed(client, "GET", "k", "cn-hangzhou")).read()
    assert b"NoSuchBucket" in at(client, host.replace("demo", "nobody")).read()


def test_the_acceleration_endpoint_is_of_every_region(client: Client) -> None:
    client.send("PUT", "k", headers={"x-oss-object-acl": "public-read"}, body=b"x")
    for host in ("demo.oss-accelerate.aliyuncs.com", "demo.oss-cn-hangzhou-internal.aliyuncs.com", "demo.localhost"):
        assert at(client, host).read() == b"x"


def test_a_bucket_is_not_created_through_a_domain_of_its_own(client: Client, oss: OssService) -> None:
    oss.store.cnames["img.example.com"] = "demo"
    answer = at(client, "img.example.com", "PUT", "", **signed(client, "PUT", "", "cn-hangzhou"))
    assert (answer.status, fromstring(answer.read()).findtext("Code")) == (400, "InvalidHostPutBucket")
    oss.store.cnames.clear()


def test_the_error_of_a_delete_marker_names_the_method(client: Client) -> None:
    client.versioning("Enabled")
    client.put("k")
    marker = client.delete("k").header("x-oss-version-id") or ""
    answer = client.head("k", versionId=marker)
    assert answer.status == 405
    assert b"<Method>HEAD</Method>" in b64decode(answer.header("x-oss-err") or "")
