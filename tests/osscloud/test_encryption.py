"""Default encryption: the rule, and the headers that it gives to new objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer, Client

ALGORITHM = "x-oss-server-side-encryption"
KEY_ID = "x-oss-server-side-encryption-key-id"


def put_rule(client: Client, algorithm: str, key_id: str = "", data: str = "") -> Answer:
    inner = f"<SSEAlgorithm>{algorithm}</SSEAlgorithm>"
    inner += f"<KMSMasterKeyID>{key_id}</KMSMasterKeyID>" if key_id else ""
    inner += f"<KMSDataEncryption>{data}</KMSDataEncryption>" if data else ""
    name = "ApplyServerSideEncryptionByDefault"
    body = f"<ServerSideEncryptionRule><{name}>{inner}</{name}></ServerSideEncryptionRule>"
    return client.send("PUT", "", {"encryption": ""}, body=body.encode())


def test_every_way_of_writing_takes_the_default(client: Client) -> None:
    client.put("before")
    assert put_rule(client, "KMS", "a-key", "SM4").status == 200
    upload = client.send("POST", "parts", {"uploads": ""}).text("UploadId")
    client.send("PUT", "parts", {"partNumber": "1", "uploadId": upload}, body=b"x")
    client.send("POST", "parts", {"uploadId": upload}, {"x-oss-complete-all": "yes"})
    client.send("POST", "log", {"append": "", "position": "0"}, body=b"x")
    client.put("put")
    client.copy("/demo/before", "copy")
    for key in ("put", "parts", "log", "copy"):
        answer = client.head(key)
        assert (answer.header(ALGORITHM), answer.header(KEY_ID)) == ("KMS", "a-key"), key
    assert not client.head("before").has(ALGORITHM)


def test_a_request_beats_the_default(client: Client) -> None:
    put_rule(client, "KMS", "a-key")
    assert client.put("k", b"", {ALGORITHM: "AES256"}).header(ALGORITHM) == "AES256"
    assert not client.head("k").has(KEY_ID)


def test_a_copy_is_encrypted_as_its_own_request_says(client: Client) -> None:
    client.put("k", b"x", {ALGORITHM: "KMS", KEY_ID: "a-key", "x-oss-meta-a": "1"})
    client.copy("/demo/k", "plain")
    assert not client.head("plain").has(ALGORITHM)
    assert client.head("plain").header("x-oss-meta-a") == "1"
    client.copy("/demo/k", "sm4", {ALGORITHM: "SM4"})
    assert client.head("sm4").header(ALGORITHM) == "SM4"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (("DES",), "InvalidEncryptionAlgorithmError"),
        (("AES256", "a-key"), "InvalidArgument"),
        (("KMS", "a-key", "AES256"), "InvalidArgument"),
        (("SM4", "", "SM4"), "InvalidArgument"),
    ],
)
def test_rules_that_make_no_sense_are_refused(client: Client, rule: tuple[str, ...], code: str) -> None:
    answer = put_rule(client, *rule)
    assert (answer.status, answer.code) == (400, code)
    assert client.send("GET", "", {"encryption": ""}).code == "NoSuchServerSideEncryptionRule"
