"""What every bucket configuration has in common: put, read back, delete, digest, malformed documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from osscloud.errors import OssError
from osscloud.operations.config import Schema, boolean, document, number, one_of, text

if TYPE_CHECKING:
    from conftest import Client

XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<WebsiteConfiguration xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com">
  <IndexDocument>
    <Suffix>index &amp; more.html</Suffix>
  </IndexDocument>
</WebsiteConfiguration>
"""


def test_a_document_comes_back_without_namespace_and_white_space(client: Client) -> None:
    answer = client.send("PUT", "", {"website": ""}, body=XML)
    assert (answer.status, answer.body) == (200, b"")
    assert client.send("GET", "", {"website": ""}).body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<WebsiteConfiguration><IndexDocument>'
        b"<Suffix>index &amp; more.html</Suffix></IndexDocument></WebsiteConfiguration>"
    )


def test_a_deleted_configuration_is_unset_again(client: Client) -> None:
    client.send("PUT", "", {"website": ""}, body=XML)
    for _ in range(2):
        assert client.send("DELETE", "", {"website": ""}).status == 204
    assert client.send("GET", "", {"website": ""}).code == "NoSuchWebsiteConfiguration"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"<CORSConfiguration/>",
        b'<!DOCTYPE x [<!ENTITY e "e">]><WebsiteConfiguration>&e;</WebsiteConfiguration>',
        b"<WebsiteConfiguration>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</WebsiteConfiguration>",
    ],
)
def test_what_is_no_document_of_its_kind_is_malformed(client: Client, body: bytes) -> None:
    answer = client.send("PUT", "", {"website": ""}, body=body)
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert client.send("GET", "", {"website": ""}).status == 404


def test_a_wrong_digest_is_refused(client: Client) -> None:
    headers = {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    assert client.send("PUT", "", {"website": ""}, headers, XML).code == "InvalidDigest"
    assert client.send("GET", "", {"website": ""}).status == 404


SCHEMA: Schema = {"One": text, "Maybe?": boolean, "Some+": {"Class": one_of("a", "b")}, "Any*": number(1, 5)}


@pytest.mark.parametrize(
    "inner",
    [
        "<One>x</One><Some><Class>a</Class></Some>",
        "<Any>5</Any><Some><Class>a</Class></Some><Maybe>True</Maybe><One/><Any>1</Any><Some><Class>b</Class></Some>",
    ],
)
def test_a_schema_takes_what_it_names(inner: str) -> None:
    assert document("D", SCHEMA, f"<D>{inner}</D>".encode()).tag == "D"


@pytest.mark.parametrize(
    "inner",
    [
        "<One>x</One>",
        "<Some><Class>a</Class></Some>",
        "<One>x</One><One>x</One><Some><Class>a</Class></Some>",
        "<One>x</One><Some><Class>c</Class></Some>",
        "<One>x</One><Some><Class>a</Class></Some><Maybe>yes</Maybe>",
        "<One>x</One><Some><Class>a</Class></Some><Any>6</Any>",
        "<One>x</One><Some><Class>a</Class></Some><Any>many</Any>",
        "<One>x</One><Some><Class>a</Class></Some><Any>0_1</Any>",
        "<One>x</One><Some><Class>a</Class></Some><Any>\u0661</Any>",
        "<One>x</One><Some><Class>a</Class></Some><Other/>",
        "<One><Deep/></One><Some><Class>a</Class></Some>",
    ],
)
def test_a_schema_refuses_everything_else(inner: str) -> None:
    with pytest.raises(OssError) as refused:
        document("D", SCHEMA, f"<D>{inner}</D>".encode())
    assert refused.value.code == "MalformedXML"
