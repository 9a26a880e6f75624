"""Requests: headers, signatures, retries on the clock, and the table of status to errno."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import xml.etree.ElementTree as ET

import pytest

from osscloud.message import Caller, Request, Response
from ossfuse.client import calling, encode
from ossfuse.errors import RequestFailed
from ossfuse.filesystem import Context

ROOT = Context(0, 0, 77, 0o022, "cat")
ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'


def failing(volume, status: int, code: str = "Whatever") -> list[Request]:
    """Answers everything with `status`; returns the list that the requests go to."""
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        body = b"" if request.method == "HEAD" else ERROR.format(code).encode()
        return Response(status, {"Content-Length": str(len(body))}, body)

    volume.transport.answer = answer
    return seen


def errno_of(action) -> str:
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the errno is what the test looks at
        action()
    return errno.errorcode[raised.value.errno]


@pytest.mark.parametrize(
    ("status", "code", "old", "new"),
    [
        (400, "X", "EIO", "EIO"),
        (403, "AccessDenied", "EPERM", "EPERM"),
        (403, "InvalidObjectState", "EPERM", "EREMOTE"),
        (404, "NoSuchKey", "ENOENT", "ENOENT"),
        (405, "X", "EIO", "EIO"),
        (409, "X", "EIO", "EIO"),
        (411, "X", "EIO", "EIO"),
        (412, "X", "EIO", "EIO"),
        (416, "X", "EIO", "EIO"),
        (429, "X", "EIO", "EIO"),
        (400, "EntityTooLarge", "EIO", "EFBIG"),
        (400, "KeyTooLongError", "EIO", "ENAMETOOLONG"),
        (501, "X", "EIO", "ENOTSUP"),
        (500, "X", "EIO", "EIO"),
        (503, "X", "EIO", "EIO"),
        (502, "X", "EIO", "EIO"),
        (301, "X", "", "EIO"),
    ],
)
def test_a_status_becomes_the_errno_of_the_release(ossfs, status, code, old, new) -> None:
    for version, expected in (("1.80.6", old), ("1.91.10", new)):
        volume = ossfs(version)
        failing(volume, status, code)
        if expected:
            assert errno_of(lambda volume=volume: volume.client.put("/f", {})) == expected
        else:
            volume.client.put("/f", {})


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(400, "EntityTooLarge", "EIO"), (400, "KeyTooLongError", "EIO"), (403, "InvalidObjectState", "EPERM")],
)
def test_what_the_answer_to_a_delete_says_is_not_read(ossfs, status, code, expected) -> None:
    volume = ossfs("1.91.10")
    failing(volume, status, code)
    assert errno_of(lambda: volume.client.delete("/f")) == expected


def test_head_400_is_eperm_in_1_91_and_enametoolong_for_long_keys(ossfs) -> None:
    for version, short, long in (("1.80.6", "EIO", "EIO"), ("1.91.10", "EPERM", "ENAMETOOLONG")):
        volume = ossfs(version)
        failing(volume, 400)
        assert errno_of(lambda volume=volume: volume.client.head("/f")) == short
        assert errno_of(lambda volume=volume: volume.client.head("/" + "x" * 1025)) == long


@pytest.mark.parametrize(
    ("version", "status", "attempts", "shortest", "longest"),
    [
        ("1.80.6", 500, 3, 12, 12),
        ("1.80.6", 504, 3, 12, 12),
        # 2 + 4 + 8 + 16 + 32, and up to the same again.
        ("1.91.10", 500, 5, 62, 124),
        ("1.91.10", 503, 5, 62, 124),
        ("1.91.10", 502, 1, 0, 0),
        ("1.91.10", 403, 1, 0, 0),
    ],
)
def test_server_errors_are_tried_again_with_the_waits_of_the_release(  # noqa: PLR0917
    ossfs, version, status, attempts, shortest, longest
) -> None:
    volume = ossfs(version)
    seen = failing(volume, status)
    start = volume.clock.now()
    errno_of(lambda: volume.client.delete("/f"))
    assert len(seen) == attempts
    assert shortest <= volume.clock.now() - start <= longest


def test_a_missing_name_behind_a_broken_server_takes_minutes(ossfs) -> None:
    volume = ossfs("1.91.10")
    seen = failing(volume, 500)
    start = volume.clock.now()
    assert errno_of(lambda: volume.fs.getattr(ROOT, "/nope")) == "EIO"
    heads = [request for request in seen if request.method == "HEAD"]
    assert len(heads) == 15
    assert volume.clock.now() - start > 3 * 62


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 4),
        (ConnectionAbortedError(errno.ECONNABORTED, "aborted"), 4),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 2),
        (TimeoutError(errno.ETIMEDOUT, "timeout"), 2),
        (socket.gaierror(-2, "unknown host"), 2),
        (ssl.SSLError(1, "handshake"), 2),
    ],
)
def test_no_answer_is_tried_again_after_a_pause(ossfs, error, wait) -> None:
    volume = ossfs("1.91.10")

    def answer(request: Request) -> Response:
        raise error

    volume.transport.answer = answer
    start = volume.clock.now()
    assert errno_of(lambda: volume.client.delete("/f")) == "EIO"
    assert volume.clock.now() - start == 5 * wait


def test_a_request_that_fails_once_succeeds_in_the_end(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("f", b"x")
    answers = iter([Response(503, {"Content-Length": "0"}), None])
    volume.transport.answer = lambda request: next(answers)
    assert volume.fs.getattr(ROOT, "/f").size == 1


@pytest.mark.parametrize(("version", "ends"), [("1.80.6", 1), ("1.91.10", 0)])
def test_a_bad_certificate_ends_the_process_of_1_80(ossfs, version, ends) -> None:
    volume = ossfs(version)
    fatal: list[bool] = []
    volume.client._on_fatal = lambda: fatal.append(True)

    def answer(request: Request) -> Response:
        raise ssl.SSLCertVerificationError(1, "self-signed")

    volume.transport.answer = answer
    assert errno_of(lambda: volume.client.delete("/f")) == "EIO"
    assert len(fatal) == ends


def test_an_error_document_in_a_200_answer_to_put_is_an_error_in_1_91(ossfs) -> None:
    for version, fails in (("1.80.6", False), ("1.91.10", True)):
        volume = ossfs(version)
        failing(volume, 200, "InternalError")
        if fails:
            assert errno_of(lambda volume=volume: volume.client.put("/f", {})) == "EIO"
        else:
            volume.client.put("/f", {})


def test_an_answer_that_does_not_fit_the_range_is_a_write_error(ossfs) -> None:
    volume = ossfs("1.91.10")
    seen = failing(volume, 403)
    start = volume.clock.now()
    assert errno_of(lambda: volume.client.get("/f", 0, 5)) == "EIO"
    assert (len(seen), volume.clock.now() - start) == (5, 10)
    assert errno_of(lambda: volume.client.get("/f", 0, 4096)) == "EPERM"


# --- headers ----------------------------------------------------------------------------------------------------------


def sent(volume, action) -> dict[str, str]:
    volume.transport.log.clear()
    action()
    return dict(volume.transport.log[0][0].headers)


@pytest.mark.parametrize(
    ("version", "agent"),
    [
        ("1.80.6", "aliyun-sdk-http/1.0()/ossfs1.80.6"),
        ("1.91.10", "aliyun-sdk-http/1.0()/ossfs/1.91.10 (commit hash 95e3f05; OpenSSL)"),
    ],
)
def test_requests_carry_the_headers_of_the_release(ossfs, version, agent) -> None:
    volume = ossfs(version)
    volume.put("f", b"x")
    headers = sent(volume, lambda: volume.client.head("/f"))
    assert headers.pop("authorization").startswith("OSS AK:")
    assert headers == {
        "accept": "*/*",
        "date": "Tue, 03 Sep 2024 00:00:00 GMT",
        "host": "bkt.oss-cn-hangzhou.aliyuncs.com",
        "user-agent": agent,
    }


def test_options_change_the_headers(ossfs) -> None:
    volume = ossfs(
        "1.91.10",
        "-onoua -orequester_pays -odefault_acl=public-read -ostorage_class=ia -ouse_sse -oenable_content_md5 "
        "-oupload_traffic_limit=819200 -odownload_traffic_limit=900000",
    )
    volume.put("f", b"x")
    headers = sent(volume, lambda: volume.client.put("/f", {}, b"x", content_type="text/plain"))
    assert "user-agent" not in headers
    assert headers["x-oss-request-payer"] == "requester"
    assert headers["x-oss-object-acl"] == "public-read"
    assert headers["x-oss-storage-class"] == "IA"
    assert headers["x-oss-server-side-encryption"] == "AES256"
    assert headers["content-md5"] == "nd1OaWhuRXvP6F8mhSWAfQ==" or len(headers["content-md5"]) == 24
    assert headers["x-oss-traffic-limit"] == "819200"
    assert sent(volume, lambda: volume.client.get("/f", 0, 1))["x-oss-traffic-limit"] == "900000"


def test_an_instance_name_ends_the_user_agent(ossfs) -> None:
    volume = ossfs("1.91.10", "-oinstance_name=node-7")
    volume.put("f", b"x")
    assert sent(volume, lambda: volume.client.head("/f"))["user-agent"].endswith("OpenSSL)[node-7]")


def test_path_style_names_the_bucket_in_the_target(ossfs) -> None:
    volume = ossfs("1.91.10", "-ouse_path_request_style", prefix="/p")
    failing(volume, 200)
    volume.client.head("/a b+ü")
    request, _ = volume.transport.log[-1]
    assert (request.target, request.headers["host"]) == ("/bkt/p/a%20b%2B%C3%BC", "oss-cn-hangzhou.aliyuncs.com")


def test_version_4_signatures_are_accepted_by_the_cloud(ossfs) -> None:
    volume = ossfs("1.91.10", "-osigv4 -oregion=cn-hangzhou -olistobjectsv2")
    volume.put("d/f ü", b"hello")
    assert volume.names("/d") == ["f ü"]
    assert volume.read("/d/f ü") == b"hello"
    volume.write("/d/new", b"data")
    assert all(200 <= response.status < 300 or response.status == 404 for _, response in volume.transport.log)
    assert all("date" not in headers for headers in volume.headers())


def test_a_wrong_secret_is_eperm(ossfs) -> None:
    volume = ossfs("1.91.10", secret="wrong")
    assert errno_of(lambda: volume.fs.readdir(ROOT, "/")) == "EPERM"


def test_a_security_token_travels_as_a_signed_header(ossfs) -> None:
    from ossfuse.passwd import Credentials

    volume = ossfs("1.91.10")
    volume.client._credentials = Credentials("AK", "SK", "token")
    failing(volume, 404)
    errno_of(lambda: volume.client.head("/f"))
    assert volume.headers()[-1]["x-oss-security-token"] == "token"


def test_every_request_says_which_operation_of_which_process_caused_it(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("f", b"x")
    volume.read("/f", ROOT)
    callers = {request.caller for request, _ in volume.transport.log}
    mount = volume.options.mountpoint
    assert callers == {Caller(mount, name, 77, 0, "cat") for name in ("open", "read")}
    record = volume.service.access_log.records[-1]
    assert record.caller == Caller(mount, "read", 77, 0, "cat")


def test_callers_do_not_leak_out_of_their_operation(ossfs) -> None:
    volume = ossfs("1.91.10")
    with calling(Caller("/m", "x", 1, 2, "y")):
        volume.requests(lambda: errno_of(lambda: volume.client.head("/f")))
    errno_of(lambda: volume.client.head("/f"))
    assert volume.transport.log[-1][0].caller is None


def test_redirects_are_followed_without_the_signature_for_another_host(ossfs) -> None:
    volume = ossfs("1.91.10")
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        if len(seen) == 1:
            return Response(307, {"Location": "http://other.example/x?y=1", "Content-Length": "0"})
        return Response(200, {"Content-Length": "0"})

    volume.transport.answer = answer
    volume.client.head("/f")
    assert (seen[1].target, seen[1].headers["host"]) == ("/x?y=1", "other.example")
    assert "authorization" not in seen[1].headers


def test_encoding_keeps_what_ossfs_keeps() -> None:
    assert encode("/a b&c=d?e~f_g-h.i%\udcff") == "/a%20b%26c%3Dd%3Fe~f_g-h.i%25%FF"


# --- several at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "tries"), [("1.80.6", 4), ("1.91.10", 6)])
def test_a_part_that_keeps_failing_is_sent_retries_plus_one_times(ossfs, version, tries) -> None:
    volume = ossfs(version, "-omultipart_size=5")
    seen: list[str] = []

    def answer(request: Request) -> Response | None:
        seen.append(request.method + " " + request.target)
        if "partNumber=2" in request.target:
            return Response(403, {"Content-Length": "0"})
        return None

    volume.transport.answer = answer
    fh = volume.fs.create(ROOT, "/b", 0o100644, os.O_WRONLY)
    volume.fs.write(ROOT, "/b", fh, bytes(16 << 20), 0)
    code = errno_of(lambda: volume.fs.flush(ROOT, "/b", fh))
    volume.fs.release(ROOT, "/b", fh)
    assert len([line for line in seen if "partNumber=2" in line]) == tries
    aborted = [line for line in seen if line.startswith("DELETE")]
    assert (code, len(aborted)) == (("EPERM", 0) if version == "1.80.6" else ("EIO", 1))


def test_other_xml_in_the_place_of_a_listing_is_an_empty_one(ossfs) -> None:
    volume = ossfs("1.91.10")
    body = b"<Error><Code>InternalError</Code></Error>"
    volume.transport.answer = lambda request: Response(200, {"Content-Length": str(len(body))}, body)
    assert volume.fs.readdir(ROOT, "/") == [(".", None), ("..", None)]


def test_listings_that_are_no_xml_are_eio(ossfs) -> None:
    volume = ossfs("1.91.10")
    for body in (b"not xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"):
        volume.transport.answer = lambda request, body=body: Response(200, {"Content-Length": str(len(body))}, body)
        assert errno_of(lambda: volume.fs.readdir(ROOT, "/")) == "EIO"


def test_the_document_that_completes_an_upload_is_well_formed(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.write("/b", bytes(21 << 20))
    request = volume.transport.log[-1][0]
    parts = ET.fromstring(bytes(request.body))
    assert [part.findtext("PartNumber") for part in parts] == ["1", "2"]
    assert len(volume.body("b")) == 21 << 20


def test_a_failure_tells_status_body_and_path(ossfs) -> None:
    volume = ossfs("1.91.10")
    failing(volume, 409, "Conflict")
    with pytest.raises(RequestFailed) as raised:
        volume.client.delete("/f")
    assert (raised.value.status, raised.value.filename) == (409, "/f")
    assert b"Conflict" in raised.value.body
