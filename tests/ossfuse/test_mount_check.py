"""The mount-time check by release: which request is sent, what passes, which words come out."""

from __future__ import annotations

import errno
import re
from dataclasses import replace

import pytest

from osscloud.message import Response
from ossfuse.filesystem import MountCheckFailed

PREFIXED = {"prefix": "/p"}


def outcome(volume) -> str:
    """ "" when the check passes, else its message."""
    try:
        volume.fs.check_mount()
    except MountCheckFailed as failed:
        return failed.message or "(silent)"
    return ""


@pytest.mark.parametrize(
    ("version", "options", "prefix", "expected"),
    [
        ("1.80.6", "", "", ["GET "]),
        ("1.80.6", "", "/p", ["GET p/"]),
        ("1.88", "", "/p", ["GET p/"]),
        ("1.91.1", "", "/p", ["GET "]),
        ("1.91.1", "-olistobjectsv2", "/p", ["GET ?list-type=2"]),
        ("1.91.3", "", "/p", ["GET "]),
        ("1.91.5", "", "/p", ["GET p/"]),
        ("1.91.9", "", "/p", ["GET p/?max-keys=2"]),
        ("1.91.10", "", "", ["GET ?max-keys=2"]),
        ("1.91.10", "", "/p/q", ["GET ?max-keys=2&prefix=p/q/"]),
        ("1.91.10", "-olistobjectsv2", "/p", ["GET ?list-type=2&max-keys=2&prefix=p/"]),
    ],
)
def test_each_release_asks_its_question(ossfs, version, options, prefix, expected) -> None:
    volume = ossfs(version, options, prefix=prefix)
    volume.put("p/")
    volume.put("p/q/")
    assert outcome(volume) == ""
    assert volume.requests() == expected


@pytest.mark.parametrize(
    ("version", "passes"),
    [("1.80.6", False), ("1.88", False), ("1.91.1", True), ("1.91.3", True), ("1.91.5", True), ("1.91.10", True)],
)
def test_a_missing_directory_object_stops_the_old_releases_only(ossfs, version, passes) -> None:
    volume = ossfs(version, prefix="/a/b")
    volume.put("a/b/c/")
    volume.put("a/")  # the parent does not help
    message = outcome(volume)
    assert (message == "") is passes
    if not passes:
        assert message.startswith("bucket 'bkt' does not exist\n\n<?xml")
        assert "NoSuchKey" in message
        volume.put("a/b/")
        assert outcome(volume) == ""


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.80.6", r"bucket 'bkt' does not exist\n\n<\?xml.*NoSuchBucket"),
        (
            "1.91.1",
            r"bucket or key not found\(host=http://oss-cn-hangzhou\.aliyuncs\.com\) - result of checking service\.",
        ),
        (
            "1.91.3",
            r"Failed to check bucket : Bucket not found\(host=http://.*, message=The specified bucket does not exist",
        ),
        (
            "1.91.10",
            r"Failed to check bucket : Bucket not found\(host=http://.*, message=The specified bucket does not exist",
        ),
    ],
)
def test_a_missing_bucket_stops_every_release(ossfs, version, message) -> None:
    volume = ossfs(version)
    volume.admin.delete_bucket("bkt", force=True)
    assert re.match(message, outcome(volume), re.DOTALL)


@pytest.mark.parametrize(
    ("version", "message", "requests"),
    [
        ("1.80.6", "invalid credentials\n\n<?xml", 2),
        ("1.91.1", "invalid credentials(host=", 1),
        ("1.91.5", "Failed to check bucket and directory for mount point : Invalid Credentials(host=", 1),
        ("1.91.10", "Failed to check bucket and directory for mount point : Invalid Credentials(host=", 1),
    ],
)
def test_a_wrong_key_stops_every_release(ossfs, version, message, requests) -> None:
    volume = ossfs(version, secret="wrong")
    assert outcome(volume).startswith(message)
    assert len(volume.requests()) == requests


@pytest.mark.parametrize(
    ("version", "status", "message"),
    [
        ("1.80.6", 400, "bad request\n\n"),
        ("1.91.1", 400, "Bad Request(host=http://oss-cn-hangzhou.aliyuncs.com) - result of checking service."),
        ("1.91.10", 400, "Failed to check bucket and directory for mount point : Bad Request("),
        ("1.80.6", 500, "unable to connect url 'http://oss-cn-hangzhou.aliyuncs.com'"),
        ("1.91.1", 500, "unable to connect(host="),
        ("1.91.10", 500, "Failed to check bucket and directory for mount point : Unable to connect("),
        ("1.91.10", 424, "Failed to check bucket and directory for mount point : Unable to connect("),
        ("1.80.6", 301, ""),
        ("1.91.10", 301, ""),
        ("1.91.10", 404, "(silent)"),
        ("1.91.10", 200, ""),
    ],
)
def test_other_answers_have_their_own_words(ossfs, version, status, message) -> None:
    volume = ossfs(version)
    body = b"<html>whatever</html>"
    volume.transport.answer = lambda request: Response(status, {"Content-Length": str(len(body))}, body)
    said = outcome(volume)
    assert said.startswith(message)
    assert bool(said) is bool(message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "unable to connect url '"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "connection timeout: "),
    ],
)
def test_an_unreachable_endpoint_is_tried_and_told(ossfs, error, message) -> None:
    volume = ossfs("1.80.6")

    def answer(request):
        raise error

    volume.transport.answer = answer
    start = volume.clock.now()
    assert outcome(volume).startswith(message)
    assert volume.clock.now() - start in (6, 12)


def test_a_name_that_does_not_resolve_has_a_hint_with_the_original_typing_error(ossfs) -> None:
    import socket

    volume = ossfs("1.80.6")

    def answer(request):
        raise socket.gaierror(-2, "unknown")

    volume.transport.answer = answer
    assert "use_path_reqeust_style" in outcome(volume)


def test_a_denied_bucket_makes_1_91_3_ask_for_the_prefix_object(ossfs) -> None:
    volume = ossfs("1.91.3", prefix="/p")
    denied = b"<Error><Code>AccessDenied</Code></Error>"
    volume.transport.answer = lambda request: (
        Response(403, {"Content-Length": str(len(denied))}, denied) if request.target == "/" else None
    )
    assert "Not Found" not in outcome(volume)
    assert volume.requests() == ["GET ", "GET p/"]
    volume.put("p/")
    assert outcome(volume) == ""


def test_another_endpoint_in_the_answer_is_used_from_then_on(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("f", b"x")
    volume.service.config = replace(volume.service.config, region="cn-beijing", endpoint="oss-cn-beijing.aliyuncs.com")
    assert outcome(volume) == ""
    volume.client.head("/f")
    assert volume.headers()[-1]["host"] == "bkt.oss-cn-beijing.aliyuncs.com"


def test_1_80_does_not_check_a_public_bucket(ossfs) -> None:
    volume = ossfs("1.80.6", "-opublic_bucket=1")
    assert outcome(volume) == ""
    assert volume.requests() == []


def test_a_failed_check_is_exit_code_1(ossfs) -> None:
    with pytest.raises(MountCheckFailed) as failed:
        ossfs("1.91.10", secret="wrong").fs.check_mount()
    assert failed.value.exit_code == 1
