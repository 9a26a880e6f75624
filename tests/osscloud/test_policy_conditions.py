"""Conditions of policies: each operator, each key that a request offers, and what a missing key means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from osscloud.accounts import Policy
from osscloud.clock import VirtualClock
from osscloud.message import Request
from osscloud.ram.condition import MappingContext, parse_conditions
from osscloud.service import OssService, ServiceConfig

if TYPE_CHECKING:
    from conftest import Client


def holds(operator: str, values: object, given: str | None) -> bool:
    (condition,) = parse_conditions({operator: {"acs:Key": values}})
    return condition.holds(MappingContext({} if given is None else {"acs:key": given}))


@pytest.mark.parametrize(
    ("operator", "values", "yes", "no"),
    [
        ("StringEquals", ["a", "b"], "b", "B"),
        ("StringNotEquals", ["a", "b"], "c", "a"),
        ("StringEqualsIgnoreCase", "Abc", "aBC", "ab"),
        ("StringNotEqualsIgnoreCase", "Abc", "ab", "ABC"),
        ("StringLike", ["x", "dir/*/?.txt"], "dir/a/b/c.txt", "dir/a/bc.TXT"),
        ("StringNotLike", "curl*", "wget", "curl/8.0"),
        ("NumericEquals", "10", "10.0", "11"),
        ("NumericNotEquals", 10, "11", "10"),
        ("NumericLessThan", "10", "9", "10"),
        ("NumericLessThanEquals", "10", "10", "10.5"),
        ("NumericGreaterThan", "10", "11", "10"),
        ("NumericGreaterThanEquals", "10", "10", "9"),
        ("DateEquals", "2024-09-03T08:00:00+08:00", "2024-09-03T00:00:00.000Z", "2024-09-03T00:00:01.000Z"),
        ("DateNotEquals", "2024-09-03T00:00:00Z", "2024-09-04T00:00:00Z", "2024-09-03T00:00:00Z"),
        ("DateLessThan", "2024-09-03T00:00:00Z", "2024-09-02T23:59:59Z", "2024-09-03T00:00:00Z"),
        ("DateLessThanEquals", "2024-09-03T00:00:00Z", "2024-09-03T00:00:00Z", "2024-09-03T00:00:01Z"),
        ("DateGreaterThan", "2024-09-03T00:00:00Z", "2024-09-03T00:00:01Z", "2024-09-03T00:00:00Z"),
        ("DateGreaterThanEquals", "2024-09-03T00:00:00Z", "2024-09-03T00:00:00Z", "2024-09-02T00:00:00Z"),
        ("Bool", "true", "true", "false"),
        ("Bool", False, "false", "true"),
        ("IpAddress", ["192.168.0.0/16", "10.1.2.3", "fd00::/8"], "fd12::1", "192.169.0.1"),
        ("IpAddress", "127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", "10.255.0.1"),
    ],
)
def test_each_operator_tells_what_it_means(operator: str, values: object, yes: str, no: str) -> None:
    assert holds(operator, values, yes)
    assert not holds(operator, values, no)
    # What the request does not have, or has in another form, only negative operators are content with.
    assert holds(operator, values, None) is ("Not" in operator)
    if not operator.startswith("String"):
        assert holds(operator, values, "?!") is ("Not" in operator)


def test_wildcards_in_a_policy_take_no_time_to_fail() -> None:
    assert not holds("StringLike", "*" * 500 + "b", "a" * 5000)
    assert not holds("StringLike", "*a" * 200 + "*b", "a" * 2000)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("**", "a/b", True),
        ("a*", "a", True),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
        ("*ab*b", "ababb", True),
        ("a*b?c*d", "a_b_c_b_cd", True),
        ("a*b?c*d", "a_bc_d", False),
        ("*.t?t", "x.tat.txt", True),
        ("a.c", "abc", False),
        ("a\nb*", "a\nb\n", True),
    ],
)
def test_wildcards_stand_for_runs_and_for_single_characters(pattern: str, text: str, matches: bool) -> None:
    assert holds("StringLike", pattern, text) is matches


@pytest.fixture
def reader(client: Client, client_of: Callable[..., Client], oss: OssService) -> Callable[..., Client]:
    """A client that may do everything with "demo" under one condition."""

    def make(condition: Mapping[str, object]) -> Client:
        limited = client_of()
        statement = {
            "Effect": "Allow",
            "Action": "oss:*",
            "Resource": ["acs:oss:*:*:demo", "acs:oss:*:*:demo/*"],
            "Condition": condition,
        }
        oss.accounts.set_policy(limited.key.id, Policy.parse({"Version": "1", "Statement": [statement]}))
        return limited

    return make


def test_a_listing_is_allowed_by_its_prefix_and_delimiter(reader: Callable[..., Client]) -> None:
    limited = reader({"StringLike": {"oss:Prefix": ["home/*", ""], "oss:Delimiter": "/"}})
    assert limited.send("GET", "", {"prefix": "home/a", "delimiter": "/"}).status == 200
    assert limited.send("GET", "", {"delimiter": "/"}).status == 200
    assert limited.send("GET", "", {"prefix": "home/a"}).status == 403
    assert limited.send("GET", "", {"prefix": "away/", "delimiter": "/"}).status == 403
    # The keys belong to listings: an object request has no prefix.
    assert limited.get("k", prefix="home/", delimiter="/").status == 403


def test_the_address_of_the_client_counts(client: Client, reader: Callable[..., Client], oss: OssService) -> None:
    client.put("k", b"x")
    limited = reader({"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}})
    assert from_address(limited, "10.1.1.1") == 200
    assert from_address(limited, "192.168.1.1") == 403
    oss.config = ServiceConfig(vpcs=(("172.16.0.0/12", "vpc-1"), ("10.0.0.0/8", "vpc-2")))
    limited = reader({"StringEquals": {"acs:SourceVpc": "vpc-1"}})
    assert from_address(limited, "172.16.3.4") == 200
    assert from_address(limited, "10.1.1.1") == 403
    assert from_address(limited, "8.8.8.8") == 403


def from_address(client: Client, address: str, *, secure: bool = False) -> int:
    signed: list[Request] = []
    handle, client.service.handle = client.service.handle, lambda request: signed.append(request) or handle(request)  # type: ignore[method-assign,assignment,func-returns-value]
    client.get("k")
    client.service.handle = handle  # type: ignore[method-assign]
    request = signed[0]
    return handle(Request(request.method, request.target, request.headers, b"", address, secure)).status


def test_transport_agent_time_and_key_count(client: Client, reader: Callable[..., Client], clock: VirtualClock) -> None:
    client.put("k", b"x")
    limited = reader({"Bool": {"acs:SecureTransport": "true"}})
    assert from_address(limited, "127.0.0.1") == 403
    assert from_address(limited, "127.0.0.1", secure=True) == 200
    limited = reader({"StringLike": {"ACS:useragent": "aliyun-sdk-http/*ossfs*"}})
    assert limited.get("k", {"user-agent": "aliyun-sdk-http/1.0()/ossfs/1.91.3"}).status == 200
    assert limited.get("k", {"user-agent": "curl"}).status == 403
    limited = reader({"DateLessThan": {"acs:CurrentTime": "2024-09-03T01:00:00Z"}})
    assert limited.get("k").status == 200
    clock.advance(3600)
    assert limited.get("k").status == 403
    limited = reader({"StringEquals": {"acs:AccessId": "somebody"}, "Bool": {"acs:MFAPresent": "false"}})
    assert limited.get("k").status == 403
    assert reader({"Bool": {"acs:MFAPresent": "false"}}).get("k").status == 200


def test_tags_of_the_object_of_the_request_and_of_the_bucket_count(
    client: Client, reader: Callable[..., Client]
) -> None:
    client.put("k", b"x", {"x-oss-tagging": "Status=ok&team=a"})
    client.put("l", b"x", {"x-oss-tagging": "Status=bad"})
    limited = reader({"StringEquals": {"oss:ExistingObjectTag/Status": ["ok", "fine"]}})
    assert (limited.get("k").status, limited.get("l").status, limited.get("missing").status) == (200, 403, 403)
    # The name of a tag has its case.
    assert reader({"StringEquals": {"oss:ExistingObjectTag/status": "ok"}}).get("k").status == 403
    limited = reader({"StringEquals": {"oss:RequestObjectTag/team": "a"}})
    assert limited.send("PUT", "m", headers={"x-oss-tagging": "team=a"}).status == 200
    assert limited.send("PUT", "m", headers={"x-oss-tagging": "team=b"}).status == 403
    assert limited.send("PUT", "m").status == 403
    body = b"<Tagging><TagSet><Tag><Key>team</Key><Value>%b</Value></Tag></TagSet></Tagging>"
    assert limited.send("PUT", "k", {"tagging": ""}, body=body % b"a").status == 200
    assert limited.send("PUT", "k", {"tagging": ""}, body=body % b"b").status == 403
    assert limited.send("PUT", "k", {"tagging": ""}, body=b"no XML").status == 403
    limited = reader({"StringEquals": {"oss:BucketTag/team": "a"}})
    assert limited.get("k").status == 403
    assert client.send("PUT", "", {"tagging": ""}, body=body % b"a").status == 200
    assert limited.get("k").status == 200


def test_the_tags_of_the_version_asked_for_count(client: Client, reader: Callable[..., Client]) -> None:
    client.versioning("Enabled")
    old = client.put("k", b"x", {"x-oss-tagging": "Status=ok"}).header("x-oss-version-id") or ""
    new = client.put("k", b"y").header("x-oss-version-id") or ""
    limited = reader({"StringEquals": {"oss:ExistingObjectTag/Status": "ok"}})
    assert limited.get("k", versionId=old).status == 200
    assert limited.get("k", versionId=new).status == 403
    assert limited.get("k").status == 403


def test_an_unknown_key_is_a_missing_one(client: Client, reader: Callable[..., Client]) -> None:
    client.put("k", b"x")
    assert reader({"StringEquals": {"acs:Weather": "fine"}}).get("k").status == 403
    assert reader({"StringNotEquals": {"acs:Weather": "fine"}}).get("k").status == 200
