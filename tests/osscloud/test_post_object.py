"""PostObject: forms signed with V1 and V4, their policies, and what a browser gets for them."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

from osscloud.clock import VirtualClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

BOUNDARY = "9431149156168"


def encode(fields: Mapping[str, str], body: bytes | None, *, filename: str = "a.txt", file_type: str = "") -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if body is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        head += f"Content-Type: {file_type}\r\n" if file_type else ""
        parts.append(head.encode() + b"\r\n" + body + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@dataclass
class Form:
    """A form that a client signs."""

    client: Client
    conditions: list[object] = field(default_factory=lambda: [["content-length-range", 0, 1000]])
    seconds: float = 60

    def policy(self) -> str:
        expiration = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.client.clock.now() + self.seconds))
        return b64encode(json.dumps({"expiration": expiration, "conditions": self.conditions}).encode()).decode()

    def v1(self, policy: str | None = None) -> dict[str, str]:
        policy = policy or self.policy()
        key = self.client.key
        signature = b64encode(hmac.digest(key.secret.encode(), policy.encode(), "sha1")).decode()
        return {"OSSAccessKeyId": key.id, "policy": policy, "Signature": signature}

    def v4(self) -> dict[str, str]:
        policy = self.policy()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.client.clock.now()))
        scope = [stamp[:8], "cn-hangzhou", "oss", "aliyun_v4_request"]
        key = ("aliyun_v4" + self.client.key.secret).encode()
        for part in scope:
            key = hmac.digest(key, part.encode(), "sha256")
        return {
            "policy": policy,
            "x-oss-signature-version": "OSS4-HMAC-SHA256",
            "x-oss-credential": "/".join([self.client.key.id, *scope]),
            "x-oss-date": stamp,
            "x-oss-signature": hmac.new(key, policy.encode(), hashlib.sha256).hexdigest(),
        }


def post(client: Client, fields: Mapping[str, str], body: bytes | None = b"content", **more: str) -> Answer:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return client.send("POST", "", None, headers, encode(fields, body, **more), anonymous=True)


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_signed_form_writes_an_object(client: Client, oss: OssService, version: str) -> None:
    fields = {"key": "dir/文 件", **getattr(Form(client), version)(), "x-oss-meta-owner": "me"}
    answer = post(client, fields, file_type="text/plain")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("ETag") == '"9A0364B9E99BB480DD25E1F0284C8555"'
    head = client.head("dir/文 件")
    assert (head.header("Content-Type"), head.header("x-oss-meta-owner")) == ("text/plain", "me")
    assert client.get("dir/文 件").body == b"content"
    record = next(r for r in oss.access_log.records if r.http_method == "POST")
    assert (record.operation, record.object, record.access_key_id) == ("PostObject", "dir/文 件", client.key.id)


def test_the_file_name_can_be_part_of_the_key(client: Client) -> None:
    post(client, {"key": "up/${filename}", **Form(client).v1()}, filename="photo.jpg")
    assert client.head("up/photo.jpg").status == 200


def test_the_form_says_how_success_is_answered(client: Client) -> None:
    signed = Form(client).v1()
    ok = post(client, {"key": "k", **signed, "success_action_status": "200"})
    assert (ok.status, ok.body) == (200, b"")
    created = post(client, {"key": "k", **signed, "success_action_status": "201"})
    assert created.status == 201
    assert [created.text(n) for n in ("Bucket", "Key", "Location")] == ["demo", "k", "http://127.0.0.1/k"]
    assert post(client, {"key": "k", **signed, "success_action_status": "302"}).status == 204
    sent = post(client, {"key": "k", **signed, "success_action_redirect": "http://a.com/done?x=1"})
    assert sent.status == 303
    assert (sent.header("Location") or "").startswith("http://a.com/done?x=1&bucket=demo&key=k&etag=%22")


def test_form_fields_are_headers_of_the_object(client: Client) -> None:
    fields = {
        "key": "k",
        **Form(client).v1(),
        "Content-Type": "image/png",
        "Cache-Control": "no-cache",
        "x-oss-object-acl": "public-read",
        "x-oss-storage-class": "IA",
        "x-oss-server-side-encryption": "AES256",
    }
    assert post(client, fields, file_type="text/plain").header("x-oss-server-side-encryption") == "AES256"
    head = client.head("k")
    assert (head.header("Content-Type"), head.header("Cache-Control")) == ("image/png", "no-cache")
    assert head.header("x-oss-storage-class") == "IA"
    assert client.send("GET", "k", anonymous=True).status == 200
    assert post(client, fields | {"x-oss-forbid-overwrite": "true"}).code == "FileAlreadyExists"


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ({"bucket": "demo"}, ""),
        ({"bucket": "other"}, "AccessDenied"),
        ({"key": "user/1"}, ""),
        (["eq", "$key", "user/2"], "AccessDenied"),
        (["starts-with", "$key", "user/"], ""),
        (["starts-with", "$key", "admin/"], "AccessDenied"),
        (["in", "$content-type", ["text/x", "text/y"]], ""),
        (["in", "$content-type", ["text/y"]], "AccessDenied"),
        (["not-in", "$cache-control", ["no-cache"]], ""),
        (["not-in", "$content-type", ["text/x"]], "AccessDenied"),
        (["content-length-range", 7, 7], ""),
        (["content-length-range", 8, 9], "EntityTooSmall"),
        (["content-length-range", 0, 6], "EntityTooLarge"),
        (["starts-with", "$key", "a", "b"], "InvalidPolicyDocument"),
        (["starts-with", "key", "a"], "InvalidPolicyDocument"),
        (["$key"], "InvalidPolicyDocument"),
        ({"a": "1", "b": "2"}, "InvalidPolicyDocument"),
        (17, "InvalidPolicyDocument"),
    ],
)
def test_the_policy_decides(client: Client, condition: object, code: str) -> None:
    fields = {"key": "user/1", **Form(client, [condition]).v1(), "Content-Type": "text/x"}
    answer = post(client, fields)
    assert answer.status == 204 if not code else answer.code == code
    assert (client.head("user/1").status == 200) is not bool(code)


def test_a_policy_expires(client: Client, clock: VirtualClock) -> None:
    fields = {"key": "k", **Form(client, seconds=60).v1()}
    clock.advance(60)
    answer = post(client, fields)
    assert (answer.status, answer.text("Message")) == (403, "Invalid according to Policy: Policy expired.")


@pytest.mark.parametrize("text", ["nonsense", "[]", "{}", '{"expiration": "soon", "conditions": []}', "[" * 5000])
def test_what_is_no_policy_is_refused(client: Client, text: str) -> None:
    signed = Form(client).v1(b64encode(text.encode()).decode())
    assert post(client, {"key": "k", **signed}).code == "InvalidPolicyDocument"


@pytest.mark.parametrize(
    ("version", "changes", "code"),
    [
        ("v1", {"Signature": "AAAA"}, "SignatureDoesNotMatch"),
        ("v1", {"OSSAccessKeyId": "nobody"}, "InvalidAccessKeyId"),
        ("v1", {"policy": ""}, "InvalidArgument"),
        ("v4", {"x-oss-signature": "00"}, "SignatureDoesNotMatch"),
        ("v4", {"x-oss-credential": "x"}, "InvalidArgument"),
        ("v4", {"x-oss-date": "20010101T000000Z"}, "InvalidArgument"),
    ],
)
def test_wrong_signatures_are_named(client: Client, version: str, changes: dict[str, str], code: str) -> None:
    answer = post(client, {"key": "k", **getattr(Form(client), version)(), **changes})
    assert answer.code == code
    assert client.head("k").status == 404


def test_an_unsigned_form_needs_a_bucket_that_anyone_writes(client: Client) -> None:
    assert post(client, {"key": "k"}).code == "AccessDenied"
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read-write"})
    assert post(client, {"key": "k"}).status == 204


def test_a_stranger_signs_for_himself_only(client: Client, client_of: Callable[..., Client]) -> None:
    stranger = client_of(account="42")
    assert post(client, {"key": "k", **Form(stranger).v1()}).code == "AccessDenied"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        f"--{BOUNDARY}\r\n\r\nno name\r\n--{BOUNDARY}--".encode(),
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="key"\r\n\r\nno end'.encode(),
    ],
)
def test_what_is_no_form_is_malformed(client: Client, body: bytes) -> None:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    assert client.send("POST", "", None, headers, body, anonymous=True).code == "MalformedPOSTRequest"


def test_a_form_has_a_key_and_a_file(client: Client) -> None:
    assert post(client, {"key": "k", **Form(client).v1()}, None).code == "IncorrectNumberOfFilesInPOSTRequest"
    assert post(client, Form(client).v1()).code == "InvalidArgument"
    assert post(client, {"key": "/bad", **Form(client).v1()}).code == "InvalidObjectName"
    assert post(client, {"key": "k", **Form(client).v1(), "callback": "e30="}).code == "NotImplemented"


def test_a_form_arrives_over_http(client: Client, oss: OssService) -> None:
    fields = {"key": "k", **Form(client).v4(), "success_action_status": "201"}
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    with (
        HttpServer(oss) as server,
        urlopen(
            Request(f"{server.endpoint}/demo", encode(fields, b"over http"), headers, method="POST"), timeout=10
        ) as answer,
    ):
        assert answer.status == 201
    assert client.get("k").body == b"over http"
