"""DeleteObject and DeleteMultipleObjects in a bucket that was never versioned; versions have tests of their own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import md5
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pytest

from osscloud.accounts import Policy
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client


def delete_many(client: Client, keys: list[str], quiet: str = "", params: dict[str, str] | None = None) -> Answer:
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    body = f"<Delete>{quiet and f'<Quiet>{quiet}</Quiet>'}{objects}</Delete>".encode()
    digest = b64encode(md5(body).digest()).decode()
    return client.send("POST", "", {"delete": "", **(params or {})}, {"Content-MD5": digest}, body)


def test_a_deleted_object_is_gone_and_deleting_it_again_is_fine(client: Client) -> None:
    client.put("k")
    for _ in range(2):
        answer = client.delete("k")
        assert (answer.status, answer.body) == (204, b"")
        assert not answer.has("x-oss-delete-marker")
        assert not answer.has("x-oss-version-id")
    assert client.head("k").status == 404


def test_deleting_a_directory_object_leaves_what_is_under_it(client: Client, oss: OssService) -> None:
    client.put("d/")
    client.put("d/x")
    client.delete("d/")
    assert oss.admin.keys("demo") == ["d/x"]


def test_the_null_version_of_an_unversioned_bucket_is_the_object(client: Client) -> None:
    client.put("k")
    assert client.delete("k", versionId="CAEQ" + "0" * 56).status == 204
    assert client.head("k").status == 200
    assert client.delete("k", versionId="null").status == 204
    assert client.head("k").status == 404


def test_many_are_deleted_at_once_and_missing_ones_count_as_deleted(client: Client, oss: OssService) -> None:
    for key in ("a", "b&<c>", "d"):
        client.put(key)
    answer = delete_many(client, ["a", "b&<c>", "missing"])
    assert answer.status == 200
    assert answer.texts("Deleted/Key") == ["a", "b&<c>", "missing"]
    assert oss.admin.keys("demo") == ["d"]


def test_quiet_answers_nothing(client: Client, oss: OssService) -> None:
    client.put("a")
    answer = delete_many(client, ["a"], "true")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", "0")
    assert oss.admin.keys("demo") == []
    assert delete_many(client, ["a"], "false").texts("Deleted/Key") == ["a"]


def test_deleted_names_are_encoded_on_demand(client: Client) -> None:
    answer = delete_many(client, ["a b/ü"], params={"encoding-type": "url"})
    assert (answer.text("EncodingType"), answer.text("Deleted/Key")) == ("url", "a%20b%2F%C3%BC")
    assert delete_many(client, ["a"], params={"encoding-type": "base64"}).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<Delete></Delete>", "MalformedXML"),
        (b"<Delete><Object></Object></Delete>", "MalformedXML"),
        (b"<Delete><Object><Key></Key></Object></Delete>", "InvalidObjectName"),
        (b"<Delete><Object><Key>k</Key><VersionId>bad</VersionId></Object></Delete>", "InvalidArgument"),
        (b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>", "MalformedXML"),
        (b"<Delete>" + b" " * 2 * 1024 * 1024 + b"</Delete>", "MalformedXML"),
    ],
)
def test_a_bad_list_deletes_nothing(client: Client, body: bytes, code: str) -> None:
    client.put("k")
    answer = client.send("POST", "", {"delete": ""}, body=body)
    assert (answer.status, answer.code) == (400, code)
    assert client.head("k").status == 200


def test_a_wrong_md5_of_the_list_is_refused(client: Client) -> None:
    headers = {"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    assert client.send("POST", "", {"delete": ""}, headers, body).code == "InvalidDigest"


def test_one_key_that_must_not_be_deleted_stops_the_whole_call(
    client: Client, client_of: Callable[..., Client], oss: OssService
) -> None:
    client.put("free")
    client.put("kept")
    limited = client_of()
    statements = [
        {"Effect": "Allow", "Action": "oss:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "oss:DeleteObject", "Resource": "acs:oss:*:*:demo/kept"},
    ]
    oss.accounts.set_policy(limited.key.id, Policy.parse({"Version": "1", "Statement": statements}))
    answer = delete_many(limited, ["free", "kept"])
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert oss.admin.keys("demo") == ["free", "kept"]
    assert delete_many(limited, ["free"]).status == 200


def test_permission_is_asked_for_each_key(client: Client, client_of: Callable[..., Client], oss: OssService) -> None:
    client.put("k")
    nobody = client_of(account="42")
    assert delete_many(nobody, ["k"]).status == 403
    remover = client_of()
    statement = {"Effect": "Allow", "Action": "oss:DeleteObject", "Resource": "acs:oss:*:*:demo/*"}
    oss.accounts.set_policy(remover.key.id, Policy.parse({"Version": "1", "Statement": [statement]}))
    assert delete_many(remover, ["k"]).status == 200
    client.put("open", b"", {"x-oss-object-acl": "public-read-write"})
    assert delete_many(nobody, ["open"]).status == 200
    assert oss.admin.keys("demo") == []


def test_a_plain_post_is_an_upload_without_a_form(client: Client) -> None:
    assert client.send("POST", "", body=b"x").code == "MalformedPOSTRequest"
