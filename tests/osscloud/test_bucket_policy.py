"""Bucket policies: whom they speak of, how they meet RAM policies and ACLs, and what may be put."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from osscloud.accounts import DEFAULT_ACCOUNT
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client


def statement(effect: str, action: object, resource: str = "demo/*", **elements: object) -> dict[str, object]:
    return {"Effect": effect, "Action": action, "Resource": [f"acs:oss:*:*:{resource}"], **elements}


def put_policy(client: Client, *statements: dict[str, object]) -> Answer:
    body = json.dumps({"Version": "1", "Statement": list(statements)}).encode()
    return client.send("PUT", "", {"policy": ""}, body=body)


@pytest.fixture
def user_of(oss: OssService, client: Client, client_of: Callable[..., Client]) -> Callable[..., Client]:
    """A client with the key of a new RAM user."""

    def make(name: str, *policies: object, account: str = "") -> Client:
        oss.accounts.ram.create_user(name, account=account, policies=policies)  # type: ignore[arg-type]
        made = client_of()
        made.key = oss.accounts.create_key(account=account, user=name)
        return made

    return make


def uid(oss: OssService, name: str, account: str = "") -> str:
    user = oss.accounts.ram.user(name, account=account)
    assert user is not None
    return user.id


def test_a_policy_comes_back_as_it_was_put_and_goes(client: Client) -> None:
    assert client.send("GET", "", {"policy": ""}).code == "NoSuchBucketPolicy"
    answer = put_policy(client, statement("Allow", "oss:GetObject", Principal=["*"]))
    assert (answer.status, answer.body) == (200, b"")
    answer = client.send("GET", "", {"policy": ""})
    assert json.loads(answer.body)["Statement"][0]["Principal"] == ["*"]
    assert client.send("DELETE", "", {"policy": ""}).status == 204
    assert client.send("DELETE", "", {"policy": ""}).status == 204
    assert client.send("GET", "", {"policy": ""}).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"Version": "1"}',
        b'{"Version": "3", "Statement": [{}]}',
        b'{"Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*"}]}',
        b'{"Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*", "Principal": {"RAM": "*"}}]}',
        b'{"Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "demo/*", "Principal": "*"}]}',
        b'{"Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*", "Principal": "*", "Id": "1"}]}',
        b'{"Statement": ' + b"[" * 100_000,
        b'{"Statement": [{"Effect": "Allow", "Action": ["oss:' + b"a" * 20_000 + b'"], "Resource": "*"}]}',
    ],
)
def test_what_is_no_policy_is_refused(client: Client, body: bytes) -> None:
    answer = client.send("PUT", "", {"policy": ""}, body=body)
    assert (answer.status, answer.code) == (400, "InvalidPolicyDocument")
    assert client.send("GET", "", {"policy": ""}).status == 404


def test_a_user_without_policies_may_do_what_the_bucket_allows_him(
    oss: OssService, client: Client, user_of: Callable[..., Client]
) -> None:
    client.put("a/k", b"x")
    user, other = user_of("u1"), user_of("u2")
    put_policy(
        client,
        statement("Allow", "oss:GetObject", "demo/a/*", Principal=[uid(oss, "u1")]),
        statement("Allow", "oss:ListObjects", "demo", Principal=uid(oss, "u1")),
    )
    assert user.get("a/k").body == b"x"
    assert user.send("GET", "").status == 200
    assert user.get("b").status == 403
    assert user.send("PUT", "a/k").status == 403
    assert other.get("a/k").status == 403


def test_principals_are_accounts_users_of_other_accounts_and_arns(
    oss: OssService, client: Client, client_of: Callable[..., Client], user_of: Callable[..., Client]
) -> None:
    client.put("k", b"x")
    stranger, foreign, mine = client_of(account="42"), user_of("f", account="42"), user_of("u1")
    put_policy(client, statement("Allow", "oss:GetObject", Principal=["42"]))
    assert (stranger.get("k").status, foreign.get("k").status) == (200, 403)
    put_policy(client, statement("Allow", "oss:GetObject", Principal=[uid(oss, "f", "42")]))
    assert (stranger.get("k").status, foreign.get("k").status) == (403, 200)
    put_policy(client, statement("Allow", "oss:GetObject", Principal=[f"acs:ram::{DEFAULT_ACCOUNT}:user/u*"]))
    assert (mine.get("k").status, foreign.get("k").status) == (200, 403)


def test_an_empty_principal_is_everybody_with_and_without_a_signature(
    client: Client, client_of: Callable[..., Client]
) -> None:
    client.put("k", b"x")
    assert client.send("GET", "k", anonymous=True).status == 403
    put_policy(client, statement("Allow", ["oss:GetObject", "oss:ListObjects"], "*", Principal=[]))
    assert client.send("GET", "k", anonymous=True).body == b"x"
    assert client.send("GET", "", anonymous=True).status == 200
    assert client_of(account="42").get("k").body == b"x"
    assert client.send("PUT", "k", anonymous=True).status == 403


def test_everybody_without_a_condition_does_not_mean_the_owner(client: Client, user_of: Callable[..., Client]) -> None:
    client.put("k", b"x")
    user = user_of("u1", "AliyunOSSFullAccess")
    put_policy(client, statement("Deny", "oss:GetObject", Principal=["*"]))
    assert client.get("k").status == 200
    assert user.get("k").status == 403
    condition = {"IpAddress": {"acs:SourceIp": ["127.0.0.0/8"]}}
    put_policy(client, statement("Deny", "oss:GetObject", Principal=["*"], Condition=condition))
    answer = client.get("k")
    assert (answer.status, answer.text("Message")) == (403, "Access denied by bucket policy.")
    assert answer.text("AccessDeniedDetail/PolicyType") == "ResourceBasedPolicy"
    assert answer.text("AccessDeniedDetail/AuthPrincipalType") == "Account"
    put_policy(client, statement("Deny", "oss:GetObject", Principal=[DEFAULT_ACCOUNT]))
    assert client.get("k").status == 403
    # He can still take it away.
    assert client.send("DELETE", "", {"policy": ""}).status == 204
    assert client.get("k").status == 200


def test_a_deny_of_the_bucket_beats_every_allow(client: Client, user_of: Callable[..., Client]) -> None:
    client.put("k", b"x", {"x-oss-object-acl": "public-read"})
    user = user_of("u1", "AliyunOSSFullAccess")
    put_policy(client, statement("Deny", "oss:Get*", Principal=["*"]), statement("Allow", "oss:*", Principal=["*"]))
    assert user.get("k").text("AccessDeniedDetail/PolicyType") == "ResourceBasedPolicy"
    answer = client.send("GET", "k", anonymous=True)
    assert (answer.status, answer.text("Message")) == (403, "Access denied by bucket policy.")
    assert user.send("PUT", "l").status == 200


def test_each_pair_of_denials_has_its_own_ec(client: Client, user_of: Callable[..., Client]) -> None:
    denied = {"Statement": [statement("Deny", "oss:DeleteObject"), statement("Allow", "oss:*", "*")]}
    user = user_of("u1", denied)
    answer = user.delete("k")
    assert (answer.text("EC"), answer.text("AccessDeniedDetail/NoPermissionType")) == ("0003-00000201", "ExplicitDeny")
    assert answer.text("AccessDeniedDetail/PolicyType") == "AccountLevelIdentityBasedPolicy"
    assert answer.text("Bucket") == "demo"
    put_policy(client, statement("Deny", "oss:DeleteObject", Principal=["*"]))
    assert user.delete("k").text("EC") == "0003-00000203"
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    assert user.send("POST", "", {"delete": ""}, body=body).text("EC") == "0003-00000204"


def test_bucket_policy_allows_what_ram_is_silent_about_and_management_too(
    oss: OssService, client: Client, user_of: Callable[..., Client]
) -> None:
    user = user_of("u1")
    answer = user.send("GET", "", {"bucketInfo": ""})
    assert (answer.status, answer.text("Message")) == (403, "The bucket you access does not belong to you.")
    put_policy(client, statement("Allow", "oss:GetBucketInfo", "demo", Principal=[uid(oss, "u1")]))
    assert user.send("GET", "", {"bucketInfo": ""}).status == 200


@pytest.mark.parametrize(
    ("elements", "public"),
    [
        ({"Principal": ["*"]}, "true"),
        ({"Principal": []}, "true"),
        ({"Principal": ["1234"]}, "false"),
        ({"Principal": ["*"], "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}}, "false"),
        ({"Principal": ["*"], "Condition": {"NotIpAddress": {"acs:SourceIp": "10.0.0.0/8"}}}, "true"),
        ({"Principal": ["*"], "Condition": {"StringLike": {"acs:UserAgent": "x*"}}}, "true"),
    ],
)
def test_the_status_of_a_policy_says_whether_it_is_public(
    client: Client, elements: dict[str, object], public: str
) -> None:
    assert client.send("GET", "", {"policyStatus": ""}).text("IsPublic") == "false"
    assert put_policy(client, statement("Allow", "oss:GetObject", **elements)).status == 200
    assert client.send("GET", "", {"policyStatus": ""}).text("IsPublic") == public


def test_copying_needs_both_ends(oss: OssService, client: Client, user_of: Callable[..., Client]) -> None:
    oss.admin.create_bucket("other")
    oss.admin.put("other", "source", b"x")
    user = user_of("u1", {"Statement": [statement("Allow", "oss:PutObject")]})
    assert user.copy("/other/source", "k").status == 403
    body = json.dumps({"Statement": [statement("Allow", "oss:GetObject", "other/*", Principal=[uid(oss, "u1")])]})
    assert client.send("PUT", "", {"policy": ""}, body=body.encode(), bucket="other").status == 200
    assert user.copy("/other/source", "k").status == 200
