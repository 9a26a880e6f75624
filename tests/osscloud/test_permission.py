"""Who may do what: policies, ACLs, other accounts, anonymous requests, and the order of the checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from osscloud.accounts import Policy
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client


def limit(client: Client, *statements: tuple[str, str | list[str], str]) -> Client:
    """statements: (effect, action, resource below "acs:oss:*:*:")."""
    parsed = [{"Effect": e, "Action": a, "Resource": f"acs:oss:*:*:{r}"} for e, a, r in statements]
    client.service.accounts.set_policy(client.key.id, Policy.parse({"Version": "1", "Statement": parsed}))
    return client


READ_ONLY = (("Allow", ["oss:GetObject"], "demo/*"), ("Allow", ["oss:ListObjects"], "demo"))


def test_a_read_only_key_reads_and_lists_and_nothing_else(client: Client, client_of: Callable[..., Client]) -> None:
    client.put("k", b"x")
    reader = limit(client_of(), *READ_ONLY)
    assert reader.get("k").body == b"x"
    assert reader.head("k").status == 200
    assert reader.send("GET", "").texts("Contents/Key") == ["k"]
    refusals = [
        reader.send("PUT", "k"),
        reader.delete("k"),
        reader.copy("/demo/k", "l"),
        reader.send("POST", "k", {"uploads": ""}),
        reader.send("POST", "k", {"append": "", "position": "0"}),
        reader.send("GET", "", {"versions": ""}),
        reader.send("GET", "", {"acl": ""}),
        reader.send("DELETE", ""),
        reader.send("PUT", "", bucket="other"),
        reader.send("GET", "", bucket=""),
    ]
    assert {(answer.status, answer.code) for answer in refusals} == {(403, "AccessDenied")}
    assert client.get("k").body == b"x"


def test_a_refusal_by_policy_says_which_action_and_how(client: Client, client_of: Callable[..., Client]) -> None:
    reader = limit(client_of(), *READ_ONLY)
    silent = reader.send("PUT", "k")
    assert silent.text("AccessDeniedDetail/AuthAction") == "oss:PutObject"
    assert silent.text("AccessDeniedDetail/NoPermissionType") == "ImplicitDeny"
    assert silent.text("Message") == "You have no right to access this object because of bucket acl."
    denied = limit(client_of(), ("Allow", "oss:*", "*"), ("Deny", "oss:PutObject", "demo/*")).send("PUT", "k")
    assert denied.text("AccessDeniedDetail/NoPermissionType") == "ExplicitDeny"
    assert denied.text("EC") == "0003-00000201"


def test_head_without_permission_is_forbidden_whether_the_key_exists_or_not(
    client: Client, client_of: Callable[..., Client]
) -> None:
    client.put("k")
    nobody = limit(client_of(), ("Allow", "oss:ListObjects", "demo"))
    assert nobody.head("k").status == nobody.head("missing").status == 403


def test_versions_need_actions_of_their_own(client: Client, client_of: Callable[..., Client]) -> None:
    client.versioning("Enabled")
    version = client.put("k", b"x").header("x-oss-version-id") or ""
    reader = limit(client_of(), *READ_ONLY)
    assert reader.get("k").status == 200
    assert reader.get("k", versionId=version).status == 403
    remover = limit(client_of(), ("Allow", "oss:DeleteObjectVersion", "demo/*"))
    assert remover.delete("k").status == 403
    assert remover.delete("k", versionId=version).status == 204


def test_reading_an_acl_needs_permission_even_of_a_missing_key(
    client: Client, client_of: Callable[..., Client]
) -> None:
    reader = limit(client_of(), *READ_ONLY)
    answer = reader.get("missing", acl="")
    assert (answer.status, answer.text("Message")) == (403, "You do not have read acl permission on this object.")
    answer = reader.send("PUT", "k", {"acl": ""}, {"x-oss-object-acl": "private"})
    assert answer.text("Message") == "You do not have write acl permission on this object."
    answer = client.get("missing", acl="")
    assert (answer.status, answer.code) == (404, "NoSuchKey")


def test_tagging_at_a_put_needs_its_own_permission(client: Client, client_of: Callable[..., Client]) -> None:
    writer = limit(client_of(), ("Allow", "oss:PutObject", "demo/*"))
    assert writer.send("PUT", "k").status == 200
    assert writer.send("PUT", "k", headers={"x-oss-tagging": "a=1"}).status == 403


def test_listing_buckets_can_be_forbidden(client: Client, client_of: Callable[..., Client]) -> None:
    answer = limit(client_of(), *READ_ONLY).send("GET", "", bucket="")
    assert answer.text("Message") == "You are forbidden to list buckets."


def test_another_account_sees_what_acls_let_it_see(client: Client, client_of: Callable[..., Client]) -> None:
    client.put("private", b"1")
    client.put("public", b"2", {"x-oss-object-acl": "public-read"})
    stranger = client_of(account="42")
    assert stranger.get("private").status == 403
    assert stranger.get("public").body == b"2"
    assert stranger.send("PUT", "public").status == 403
    answer = stranger.send("GET", "")
    assert (answer.status, answer.text("Message")) == (403, "The bucket you access does not belong to you.")


def test_an_object_acl_beats_the_bucket_acl(client: Client) -> None:
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"})
    client.put("open", b"1")
    client.put("closed", b"2", {"x-oss-object-acl": "private"})
    assert client.send("GET", "open", anonymous=True).body == b"1"
    answer = client.send("GET", "closed", anonymous=True)
    assert (answer.status, answer.code, answer.text("EC")) == (403, "AccessDenied", "0003-00000001")
    assert client.send("GET", "missing", anonymous=True).status == 404


def test_public_read_write_lets_anyone_write_and_delete(client: Client) -> None:
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read-write"})
    assert client.send("PUT", "k", body=b"x", anonymous=True).status == 200
    assert client.send("GET", "k", anonymous=True).body == b"x"
    assert client.send("DELETE", "k", anonymous=True).status == 204


def test_a_public_bucket_is_not_listed_for_anyone(client: Client) -> None:
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read-write"})
    answer = client.send("GET", "", anonymous=True)
    assert (answer.status, answer.text("Message")) == (403, "Anonymous user has no right to access this bucket.")


@pytest.mark.parametrize(
    ("method", "key", "params", "bucket"),
    [
        ("GET", "", {}, ""),
        ("PUT", "", {}, "other"),
        ("GET", "k", {"acl": ""}, "demo"),
        ("DELETE", "k", {"tagging": ""}, "demo"),
    ],
)
def test_some_operations_never_serve_anyone_anonymous(
    client: Client, method: str, key: str, params: dict[str, str], bucket: str
) -> None:
    answer = client.send(method, key, params, bucket=bucket, anonymous=True)
    assert (answer.status, answer.text("EC")) == (403, "0003-00001201")


def test_signatures_are_checked_before_buckets_and_buckets_before_permissions(
    client: Client, client_of: Callable[..., Client], oss: OssService
) -> None:
    stranger = limit(client_of(account="42"), ("Deny", "oss:*", "*"))
    stranger.bucket = "missing"
    assert stranger.get("k").code == "NoSuchBucket"
    oss.accounts.delete(stranger.key.id)
    assert stranger.get("k").code == "InvalidAccessKeyId"
    stranger.bucket = "No_Name"
    assert stranger.get("k").code == "InvalidBucketName"


def test_a_disabled_key_is_refused_from_the_next_request_on(client: Client, oss: OssService) -> None:
    client.put("k")
    oss.accounts.disable(client.key.id)
    assert client.get("k").code == "InvalidAccessKeyId"
    oss.accounts.enable(client.key.id)
    assert client.get("k").status == 200
