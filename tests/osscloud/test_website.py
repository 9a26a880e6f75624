"""Static website hosting: which page answers which request, and which requests it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

INDEX = b"<p>welcome</p>"
ERROR = b"<p>not here</p>"


def document(body: str) -> bytes:
    return f"<WebsiteConfiguration>{body}</WebsiteConfiguration>".encode()


def index(*, sub: bool = False, type: int | None = None) -> str:
    kind = "" if type is None else f"<Type>{type}</Type>"
    flag = str(sub).lower()
    return f"<IndexDocument><Suffix>index.html</Suffix><SupportSubDir>{flag}</SupportSubDir>{kind}</IndexDocument>"


def error(status: int = 404) -> str:
    return f"<ErrorDocument><Key>error.html</Key><HttpStatus>{status}</HttpStatus></ErrorDocument>"


def put(client: Client, body: str) -> Answer:
    return client.send("PUT", "", {"website": ""}, body=document(body))


@pytest.fixture
def host(client: Client) -> Callable[[str], None]:
    """Configures the website of "demo", which has the pages."""
    html = {"content-type": "text/html"}
    client.put("index.html", INDEX, html)
    client.put("error.html", ERROR, html)
    client.put("abc", b"object")

    def configure(body: str) -> None:
        answer = put(client, body)
        assert answer.status == 200, answer.body

    return configure


def seen(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


# The table of the vendor's documents, row by row


def test_the_root_is_the_index_page_for_who_does_not_sign_and_a_listing_for_who_does(
    client: Client, host: Callable[[str], None]
) -> None:
    host(index())
    client.send("PUT", "index.html", {"acl": ""}, {"x-oss-object-acl": "public-read"})
    assert seen(client.send("GET", anonymous=True)) == (200, INDEX)
    assert client.send("GET").text("Name") == "demo"
    assert client.send("HEAD", anonymous=True).header("Content-Length") == str(len(INDEX))
    # Whoever asks for a listing gets what a listing without a signature gets.
    assert client.send("GET", "", {"max-keys": "2"}, anonymous=True).code == "AccessDenied"


@pytest.mark.parametrize(("sub", "page"), [(False, INDEX), (True, b"own page")])
def test_a_key_with_a_trailing_slash_is_the_index_page_of_the_root_or_of_the_directory(
    client: Client, host: Callable[[str], None], sub: bool, page: bytes
) -> None:
    client.put("sub/index.html", b"own page", {"content-type": "text/html"})
    client.put("sub/", b"the object itself")
    host(index(sub=sub))
    answer = client.get("sub/")
    assert seen(answer) == (200, page)
    assert answer.header("Content-Type") == "text/html"
    # Parameters of a listing mean nothing on a key: this is how ossfs 1.91.9 checks its directory.
    assert seen(client.send("GET", "sub/", {"max-keys": "2", "list-type": "2"})) == (200, page)
    assert seen(client.get("abc")) == (200, b"object")


def test_a_missing_key_with_type_0_leads_to_its_directory(client: Client, host: Callable[[str], None]) -> None:
    client.put("d/ü/index.html", b"page")
    host(index(sub=True) + error())
    answer = client.get("d/ü")
    assert (answer.status, answer.header("Location")) == (302, "/demo/d/%C3%BC/")
    assert seen(client.get("nothing")) == (404, ERROR)


def test_the_redirect_to_a_directory_names_no_bucket_where_the_host_does(
    client: Client, oss: OssService, host: Callable[[str], None]
) -> None:
    from osscloud.message import Request

    client.put("d/index.html", b"page", {"x-oss-object-acl": "public-read"})
    host(index(sub=True))
    oss.admin.put("demo", "unused")
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"})
    answer = oss.handle(Request("GET", "/d", {"host": "demo.localhost:8080"}))
    assert (answer.status, answer.header("Location")) == (302, "/d/")


def test_a_missing_key_with_type_1_is_missing(client: Client, host: Callable[[str], None]) -> None:
    client.put("d/index.html", b"page")
    host(index(sub=True, type=1) + error())
    assert seen(client.get("d")) == (404, ERROR)


def test_a_missing_key_with_type_2_is_the_page_of_its_directory(client: Client, host: Callable[[str], None]) -> None:
    client.put("d/index.html", b"page")
    host(index(sub=True, type=2) + error())
    assert seen(client.get("d")) == (200, b"page")
    assert seen(client.get("e")) == (404, ERROR)


def test_the_type_means_nothing_without_pages_of_directories(client: Client, host: Callable[[str], None]) -> None:
    client.put("d/index.html", b"page")
    host(index(sub=False, type=2))
    assert client.get("d").code == "NoSuchKey"


def test_a_missing_index_page_is_the_error_page_and_a_missing_error_page_is_no_such_key(
    client: Client, host: Callable[[str], None]
) -> None:
    host(index() + error())
    client.delete("index.html")
    assert seen(client.get("sub/")) == (404, ERROR)
    client.delete("error.html")
    answer = client.get("sub/")
    assert (answer.status, answer.code, answer.text("Key")) == (404, "NoSuchKey", "sub/")


def test_with_status_200_every_missing_key_is_there(client: Client, host: Callable[[str], None]) -> None:
    host(error(200))
    for key in ("nothing", "nothing/"):
        assert seen(client.get(key)) == (200, ERROR)
        assert client.head(key).header("Content-Length") == str(len(ERROR))


def test_the_error_page_comes_whole_whatever_was_asked_of_the_missing_object(
    client: Client, host: Callable[[str], None]
) -> None:
    host(error())
    answer = client.send(
        "GET", "nothing", {"response-content-type": "text/plain"}, {"range": "bytes=1-2", "if-none-match": "*"}
    )
    assert seen(answer) == (404, ERROR)
    assert answer.header("Content-Type") == "text/html"
    assert answer.header("Content-Length") == str(len(ERROR))


def test_ranges_and_conditions_apply_to_the_index_page(client: Client, host: Callable[[str], None]) -> None:
    host(index())
    assert seen(client.get("sub/", {"range": "bytes=3-9"})) == (206, INDEX[3:10])
    etag = client.head("index.html").header("ETag") or ""
    assert client.get("sub/", {"if-none-match": etag}).status == 304


def test_the_log_tells_the_error_behind_a_page(client: Client, oss: OssService, host: Callable[[str], None]) -> None:
    host(error())
    mark = oss.access_log.mark()
    client.get("nothing")
    client.get("abc")
    first, second = oss.access_log.since(mark)
    assert (first.operation, first.object, first.http_status, first.error_code, first.ec) == (
        "GetObject",
        "nothing",
        404,
        "NoSuchKey",
        "0026-00000001",
    )
    assert (second.http_status, second.error_code) == (200, "")


def test_a_page_that_the_visitor_may_not_read_is_refused(client: Client, host: Callable[[str], None]) -> None:
    host(index() + error())
    assert client.send("GET", anonymous=True).code == "AccessDenied"
    assert client.send("GET", "sub/", anonymous=True).code == "AccessDenied"
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"})
    client.send("PUT", "error.html", {"acl": ""}, {"x-oss-object-acl": "private"})
    assert seen(client.send("GET", "sub/", anonymous=True)) == (200, INDEX)
    assert client.send("GET", "nothing", anonymous=True).code == "AccessDenied"


def test_a_frozen_index_page_is_not_read(client: Client, host: Callable[[str], None]) -> None:
    host(index())
    client.put("index.html", INDEX, {"x-oss-storage-class": "Archive"})
    assert client.get("sub/").code == "InvalidObjectState"


# What is left alone


def test_nothing_but_reading_an_object_is_routed(client: Client, host: Callable[[str], None]) -> None:
    host(index() + error(200))
    assert client.send("GET", "sub/", {"acl": ""}).code == "NoSuchKey"
    assert client.send("GET", "sub/", {"tagging": ""}).code == "NoSuchKey"
    assert client.send("HEAD", "sub/", {"objectMeta": ""}).status == 404
    assert client.send("GET", "abc", {"versionId": "CAEQ" + "0" * 20}).code == "NoSuchVersion"
    assert client.send("GET", "sub/", {"versionId": "null"}).code == "NoSuchVersion"
    assert client.send("HEAD", "sub/", {"versionId": "null"}).status == 404
    assert client.send("GET", "", {"prefix": "sub/"}).text("Prefix") == "sub/"
    assert client.copy("/demo/sub/", "copy").code == "NoSuchKey"
    assert client.send("DELETE", "sub/").status == 204
    client.put("sub/", b"")
    assert client.send("POST", "sub/", {"append": "", "position": "0"}, body=b"x").code == "ObjectNotAppendable"


def test_a_bucket_beside_it_is_not_concerned(client: Client, oss: OssService, host: Callable[[str], None]) -> None:
    host(index() + error(200))
    oss.admin.create_bucket("other")
    assert client.send("GET", "sub/", bucket="other").code == "NoSuchKey"


# Switches


def test_index_pages_may_be_for_missing_objects_only(
    client: Client, oss: OssService, host: Callable[[str], None]
) -> None:
    oss.config = replace(oss.config, index_page="missing")
    host(index())
    client.put("sub/", b"the object itself")
    assert seen(client.get("sub/")) == (200, b"the object itself")
    assert seen(client.get("none/")) == (200, INDEX)


def test_head_is_answered_like_get_unless_switched_off(
    client: Client, oss: OssService, host: Callable[[str], None]
) -> None:
    host(index() + error(200))
    answer = client.head("sub/")
    assert (answer.status, answer.body, answer.header("Content-Type")) == (200, b"", "text/html")
    assert answer.header("Content-Length") == str(len(INDEX))
    oss.config = replace(oss.config, website_head=False)
    assert client.head("sub/").status == 404
    assert client.head("nothing").status == 404
    assert client.send("HEAD", anonymous=True).status == 403


def test_html_at_the_default_domain_is_a_download_and_not_at_a_domain_of_its_own(
    client: Client, oss: OssService, host: Callable[[str], None]
) -> None:
    from osscloud.message import Request

    host(index())
    client.send("PUT", "", {"acl": ""}, {"x-oss-acl": "public-read"})
    oss.cnames["www.shop.example"] = "demo"

    def disposition(name: str, target: str = "/") -> str:
        answer = oss.handle(Request("GET", target, {"host": name}))
        assert answer.status == 200
        assert (answer.header("x-oss-force-download") == "true") == (answer.header("Content-Disposition") != "")
        return answer.header("Content-Disposition")

    assert disposition("demo.oss-cn-hangzhou.aliyuncs.com") == "attachment"
    assert disposition("127.0.0.1", "/demo/sub/") == "attachment"
    assert disposition("127.0.0.1", "/demo/abc") == ""
    assert disposition("www.shop.example") == ""
    oss.config = replace(oss.config, force_download=False)
    assert disposition("demo.oss-cn-hangzhou.aliyuncs.com") == ""


# The configuration


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "MalformedXML"),
        ("<IndexDocument/>", "MalformedXML"),
        ("<IndexDocument><Suffix/></IndexDocument>", "InvalidArgument"),
        ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", "InvalidArgument"),
        ("<IndexDocument><Suffix>i</Suffix><Type>3</Type></IndexDocument>", "MalformedXML"),
        ("<IndexDocument><Suffix>i</Suffix><SupportSubDir>maybe</SupportSubDir></IndexDocument>", "MalformedXML"),
        ("<ErrorDocument><HttpStatus>404</HttpStatus></ErrorDocument>", "MalformedXML"),
        ("<ErrorDocument><Key/></ErrorDocument>", "InvalidArgument"),
        ("<ErrorDocument><Key>e</Key><HttpStatus>403</HttpStatus></ErrorDocument>", "MalformedXML"),
        ("<Nonsense/>", "MalformedXML"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(client: Client, body: str, code: str) -> None:
    answer = put(client, body)
    assert (answer.status, answer.code) == (400, code)
    assert client.send("GET", "", {"website": ""}).code == "NoSuchWebsiteConfiguration"
