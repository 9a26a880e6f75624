"""Host and raw target to bucket, key and parameters."""

from __future__ import annotations

import dataclasses

import pytest

from osscloud.addressing import Address, resolve, valid_bucket_name
from osscloud.errors import OssError
from osscloud.message import Request


@dataclasses.dataclass(frozen=True)
class Config:
    region: str = "cn-hangzhou"
    domains: tuple[str, ...] = ("localhost", "aliyuncs.com")


def address(host: str, target: str, cnames: dict[str, str] | None = None) -> Address:
    return resolve(Request("GET", target, {"host": host}), Config(), cnames or {})


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("127.0.0.1:9000", "/", "", ""),
        ("127.0.0.1:9000", "/bkt", "bkt", ""),
        ("127.0.0.1", "/bkt/", "bkt", ""),
        ("127.0.0.1", "/bkt/a/b", "bkt", "a/b"),
        ("[::1]:9000", "/bkt/a", "bkt", "a"),
        ("localhost:80", "/bkt/a", "bkt", "a"),
        ("", "/bkt/a", "bkt", "a"),
        ("cloud.default.svc", "/bkt/a", "bkt", "a"),
        ("bkt.localhost:80", "/a/b", "bkt", "a/b"),
        ("BKT.localhost", "/", "bkt", ""),
        ("bkt.oss-cn-hangzhou.localhost", "/a", "bkt", "a"),
        ("oss-cn-hangzhou.localhost", "/", "", ""),
        ("bkt.oss-cn-hangzhou.aliyuncs.com", "/a", "bkt", "a"),
        ("bkt.oss-cn-hangzhou-internal.aliyuncs.com", "/a", "bkt", "a"),
        ("oss-cn-hangzhou.aliyuncs.com", "/", "", ""),
        ("bkt.s3.oss-cn-hangzhou.aliyuncs.com", "/a", "bkt", "a"),
        ("s3.oss-cn-hangzhou.aliyuncs.com", "/", "", ""),
        ("127.0.0.1", "http://127.0.0.1/bkt/a", "bkt", "a"),
    ],
)
def test_bucket_and_key_come_from_host_and_path(host: str, target: str, bucket: str, key: str) -> None:
    found = address(host, target)
    assert (found.bucket, found.key) == (bucket, key)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a//b", "a//b"),
        ("a/../b/./c", "a/../b/./c"),
        ("/a", "/a"),
        ("a+b%20c", "a+b c"),
        ("a%2Fb%252F", "a/b%2F"),
        ("%E6%96%87", "文"),
        ("%ff", "\udcff"),
        ("100%", "100%"),
        ("a%3Fb", "a?b"),
        ("a/", "a/"),
    ],
)
def test_a_key_is_decoded_once_and_never_normalised(path: str, key: str) -> None:
    assert address("127.0.0.1", "/bkt/" + path).key == key
    assert address("bkt.localhost", "/" + path).key == key


def test_parameters_are_decoded_and_the_first_of_a_name_counts() -> None:
    params = address("127.0.0.1", "/bkt?prefix=a%2Fb+c&acl&x=1&x=2&empty=&%E6%96%87=%2B").params
    assert params == {"prefix": "a/b c", "acl": "", "x": "1", "empty": "", "文": "+"}


def test_a_public_endpoint_refuses_path_style() -> None:
    with pytest.raises(OssError) as caught:
        address("oss-cn-hangzhou.aliyuncs.com", "/bkt/a")
    assert (caught.value.status, caught.value.code) == (403, "SecondLevelDomainForbidden")


def test_a_custom_domain_is_its_bucket_and_the_whole_path_is_the_key() -> None:
    found = address("img.example.com", "/bkt/a", {"img.example.com": "pics"})
    assert found == Address("pics", "bkt/a", {}, False, custom=True)


@pytest.mark.parametrize("target", ["/Bad_Name/a", "/ab", "/-/log", "/a" + "b" * 63, "/bkt-"])
def test_a_bad_bucket_name_is_refused_before_anything_else(target: str) -> None:
    with pytest.raises(OssError) as caught:
        address("127.0.0.1", target)
    assert (caught.value.status, caught.value.code) == (400, "InvalidBucketName")


def test_bucket_names_follow_the_documented_rule() -> None:
    assert all(map(valid_bucket_name, ["abc", "0-9", "a" * 63]))
    assert not any(map(valid_bucket_name, ["ab", "a" * 64, "-ab", "ab-", "a.b", "a_b", "Abc", "abc\n"]))


def test_the_style_of_addressing_is_reported() -> None:
    assert address("127.0.0.1", "/bkt/a").path_style
    assert not address("bkt.localhost", "/a").path_style
