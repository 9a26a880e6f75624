"""Users, roles and policies: what is attached decides, from the next request on."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from osscloud.accounts import DEFAULT_ACCOUNT, Accounts
from osscloud.ram.directory import Ram
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client

TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": ["acs:ram::1:root"]}}]}


def key_of(oss: OssService, client: Client, name: str) -> Client:
    client.key = oss.accounts.create_key(user=name)
    return client


def test_a_user_may_do_what_is_attached_to_him(
    oss: OssService, client: Client, client_of: Callable[..., Client]
) -> None:
    client.put("k", b"x")
    user = oss.accounts.ram.create_user("reader")
    reader = key_of(oss, client_of(), "reader")
    answer = reader.get("k")
    assert (answer.status, answer.text("EC")) == (403, "0003-00000001")
    assert answer.text("AccessDeniedDetail/AuthPrincipalType") == "SubUser"
    assert answer.text("AccessDeniedDetail/AuthPrincipalDisplayName") == user.id
    assert answer.text("AccessDeniedDetail/AuthPrincipalOwnerId") == DEFAULT_ACCOUNT
    diagnostic = json.loads(base64.b64decode(answer.text("AccessDeniedDetail/EncodedDiagnosticMessage")))
    assert diagnostic["AuthAction"] == "oss:GetObject"
    oss.accounts.ram.set_user_policies("reader", ["AliyunOSSReadOnlyAccess"])
    assert reader.get("k").body == b"x"
    assert reader.send("GET", "").status == 200
    assert reader.send("GET", "", bucket="").status == 200
    assert reader.send("GET", "", {"bucketInfo": ""}).status == 200
    assert reader.send("PUT", "k").status == 403
    oss.accounts.ram.set_user_policies("reader", [])
    assert reader.get("k").status == 403


def test_full_access_is_access_to_what_the_account_owns(
    oss: OssService, client: Client, client_of: Callable[..., Client]
) -> None:
    oss.admin.create_bucket("foreign", owner="42")
    oss.admin.put("foreign", "k", b"x")
    oss.accounts.ram.create_user("admin", policies=["AliyunOSSFullAccess"])
    admin = key_of(oss, client_of(), "admin")
    assert admin.send("PUT", "", bucket="mine").status == 200
    assert admin.send("PUT", "k", bucket="mine").status == 200
    assert admin.send("GET", "k", bucket="foreign").status == 403


def test_custom_policies_are_attached_by_name_and_combine(
    oss: OssService, client: Client, client_of: Callable[..., Client]
) -> None:
    ram = oss.accounts.ram
    ram.create_policy("no-delete", {"Statement": {"Effect": "Deny", "Action": "oss:Delete*", "Resource": "*"}})
    ram.create_user("writer", policies=["AliyunOSSFullAccess", "no-delete"])
    writer = key_of(oss, client_of(), "writer")
    assert writer.send("PUT", "k").status == 200
    answer = writer.delete("k")
    assert (answer.status, answer.text("EC")) == (403, "0003-00000201")
    assert answer.text("Message") == "Access denied by bucket policy."


def test_creating_a_bucket_without_permission_has_its_own_ec(
    oss: OssService, client: Client, client_of: Callable[..., Client]
) -> None:
    oss.accounts.ram.create_user("nobody")
    answer = key_of(oss, client_of(), "nobody").send("PUT", "", bucket="mine")
    assert (answer.status, answer.text("EC")) == (403, "0003-00000202")
    denied = {"Statement": {"Effect": "Deny", "Action": "oss:PutBucket", "Resource": "*"}}
    oss.accounts.ram.set_user_policies("nobody", ["AliyunOSSFullAccess", denied])
    assert key_of(oss, client_of(), "nobody").send("PUT", "", bucket="mine").text("EC") == "0003-00000201"


def test_missing_permission_for_tags_has_its_own_ec(
    oss: OssService, client: Client, client_of: Callable[..., Client]
) -> None:
    allowed = {"Statement": {"Effect": "Allow", "Action": "oss:PutObject", "Resource": "*"}}
    oss.accounts.ram.create_user("writer", policies=[allowed])
    writer = key_of(oss, client_of(), "writer")
    assert writer.send("PUT", "k", headers={"x-oss-tagging": "a=1"}).text("EC") == "0003-00000905"


def test_the_owner_and_region_of_a_resource_are_those_of_the_bucket(
    oss: OssService, client: Client, client_of: Callable[..., Client]
) -> None:
    client.put("k", b"x")
    ram = oss.accounts.ram
    ram.create_user("u")
    user = key_of(oss, client_of(), "u")
    for resource, status in [
        (f"acs:oss:*:{DEFAULT_ACCOUNT}:demo/*", 200),
        ("acs:oss:*:42:demo/*", 403),
        ("acs:oss:oss-cn-hangzhou:*:demo/k", 200),
        ("acs:oss:cn-hangzhou:*:demo/k", 200),
        ("acs:oss:oss-cn-beijing:*:demo/k", 403),
        ("acs:oss:*:*:DEMO/k", 403),
    ]:
        ram.set_user_policies(
            "u", [{"Statement": {"Effect": "Allow", "Action": "oss:GetObject", "Resource": resource}}]
        )
        assert user.get("k").status == status, resource


def test_public_acls_mean_nothing_while_public_access_is_blocked(client: Client) -> None:
    client.put("k", b"x", {"x-oss-object-acl": "public-read"})
    assert client.send("GET", "k", anonymous=True).status == 200
    body = (
        b"<PublicAccessBlockConfiguration><BlockPublicAccess>true</BlockPublicAccess></PublicAccessBlockConfiguration>"
    )
    assert client.send("PUT", "", {"publicAccessBlock": ""}, body=body).status == 200
    assert client.send("GET", "k", anonymous=True).status == 403
    assert client.get("k").status == 200


def test_the_keys_of_a_deleted_user_are_unknown(
    oss: OssService, client: Client, client_of: Callable[..., Client]
) -> None:
    oss.accounts.ram.create_user("u", policies=["AliyunOSSFullAccess"])
    user = key_of(oss, client_of(), "u")
    assert user.send("PUT", "k").status == 200
    oss.accounts.ram.delete_user("u")
    assert user.get("k").code == "InvalidAccessKeyId"


def test_a_limited_key_belongs_to_a_user_of_its_own() -> None:
    from osscloud.accounts import Policy

    accounts = Accounts(random.Random(1))
    accounts.create_key(id="a")
    policy = Policy.parse({"Statement": {"Effect": "Allow", "Action": "oss:GetObject", "Resource": "*"}})
    accounts.set_policy("a", policy)
    key = accounts.find("a")
    assert key is not None
    user = accounts.user_of(key)
    assert user is not None
    assert accounts.ram.attached(user) == [policy]
    with pytest.raises(KeyError):
        accounts.set_policy("b", policy)
    with pytest.raises(KeyError):
        accounts.create_key(user="nobody")


def test_names_and_policies_that_are_not_possible_are_refused() -> None:
    ram = Ram(random.Random(1))
    ram.create_user("u")
    ram.create_role("r", TRUST)
    for attempt in (
        lambda: ram.create_user("u"),
        lambda: ram.create_user("a b"),
        lambda: ram.create_user("v", policies=["NoSuchPolicy"]),
        lambda: ram.create_user("v", policies=[{"Statement": []}]),
        lambda: ram.create_role("r", TRUST),
        lambda: ram.create_role("s", {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}),
        lambda: ram.create_role(
            "s", {"Statement": [{"Effect": "Allow", "Action": "*", "Principal": {"Planet": "Mars"}}]}
        ),
        lambda: ram.create_role("s", TRUST, max_session_seconds=60),
        lambda: ram.create_policy("AliyunOSSFullAccess", {"Statement": [{}]}),
        lambda: ram.create_oidc_provider("p", issuer="http://x", client_ids=["c"], jwks={"keys": []}),
        lambda: ram.create_oidc_provider("p", issuer="https://x", client_ids=[], jwks={"keys": []}),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            attempt()
    assert ram.user("v") is None


def test_a_role_is_found_by_its_arn_in_any_case() -> None:
    ram = Ram(random.Random(1))
    role = ram.create_role("MyRole", TRUST, account="7")
    assert ram.role_by_arn("acs:ram::7:role/MyRole") == role
    assert ram.role_by_arn("acs:ram::7:role/myrole") == role
    assert ram.role_by_arn("acs:ram::8:role/MyRole") is None
    assert ram.role_by_arn("acs:ram::7:user/MyRole") is None
