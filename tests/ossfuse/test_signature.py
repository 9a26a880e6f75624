from __future__ import annotations

import warnings

import pytest

from ossfuse.passwd import Credentials
from ossfuse.signature import UNSIGNED_PAYLOAD, sign_v1, sign_v4

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # escapes in the vendor's docstrings
    import oss2
    from oss2.http import Request as VendorRequest

KEY = Credentials("AKID", "SECRET")

CASES = [
    ("GET", "", {}, {}),
    ("GET", "", {"max-keys": "2", "prefix": "a/", "delimiter": "/"}, {}),
    ("GET", "", {"list-type": "2", "continuation-token": "Ci+/=="}, {}),
    ("HEAD", "dir/文件 +.txt", {}, {}),
    (
        "PUT",
        "a/b",
        {},
        {"content-type": "text/plain", "content-md5": "XrY7u+Ae7tCTyyK7j1rNww==", "x-oss-meta-uid": "0"},
    ),
    ("POST", "a/b", {"uploads": ""}, {"content-type": "text/plain"}),
    ("PUT", "a/b", {"partNumber": "3", "uploadId": "0004B9"}, {}),
]


@pytest.mark.parametrize(("method", "key", "params", "headers"), CASES)
@pytest.mark.parametrize("token", ["", "TOKEN"])
def test_version_1_is_what_the_vendors_sdk_computes(
    method: str, key: str, params: dict[str, str], headers: dict[str, str], token: str
) -> None:
    theirs = VendorRequest(method, "http://h/", params=params, headers=dict(headers))
    auth = oss2.StsAuth("AKID", "SECRET", token) if token else oss2.Auth("AKID", "SECRET")
    auth._sign_request(theirs, "bkt", key)
    sent = {name.lower(): value for name, value in theirs.headers.items()}
    assert sign_v1(method, "bkt", key, params, sent, KEY) == sent["authorization"]


@pytest.mark.parametrize(("method", "key", "params", "headers"), CASES)
def test_version_4_is_what_the_vendors_sdk_computes(
    method: str, key: str, params: dict[str, str], headers: dict[str, str]
) -> None:
    theirs = VendorRequest(
        method, "http://h/", params=params, headers=dict(headers), region="cn-hangzhou", product="oss"
    )
    oss2.AuthV4("AKID", "SECRET")._sign_request(theirs, "bkt", key)
    sent = {name.lower(): value for name, value in theirs.headers.items()}
    assert sent["x-oss-content-sha256"] == UNSIGNED_PAYLOAD
    mine = sign_v4(method, "bkt", key, params, sent, KEY, region="cn-hangzhou")
    assert mine.replace(", ", ",") == sent["authorization"].replace(", ", ",")


def test_a_cloud_box_has_a_product_of_its_own() -> None:
    headers = {"x-oss-date": "20261123T093000Z", "x-oss-content-sha256": UNSIGNED_PAYLOAD}
    signature = sign_v4("GET", "bkt", "k", {}, headers, KEY, region="cb-1", product="oss-cloudbox")
    assert "/20261123/cb-1/oss-cloudbox/aliyun_v4_request," in signature
