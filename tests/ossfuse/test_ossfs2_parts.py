"""The parts of ossfs2's core, without a cloud: types, missing names, pages, keys, requests."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable

import pytest

from osscloud.clock import VirtualClock
from osscloud.message import Request, Response
from ossfuse.errors import RequestFailed
from ossfuse.ossfs2.client import Ossfs2Client
from ossfuse.ossfs2.content_type import content_type
from ossfuse.ossfs2.credentials import CredentialsMissing, Program, load
from ossfuse.ossfs2.inode import Tree
from ossfuse.ossfs2.negatives import Negatives
from ossfuse.ossfs2.options import MountOptions, parse
from ossfuse.ossfs2.pages import BLOCK, Pages
from ossfuse.ossfs2.profile import find
from ossfuse.passwd import Credentials

PROFILE = find("2.0.7")


def options(*words: str) -> MountOptions:
    given = ["mount", "/mnt", "--oss_bucket=demo", "--oss_endpoint=http://oss.example"]
    return parse([*given, *words], PROFILE, directory_exists=lambda path: True)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("a/b.TXT", "text/plain"),
        ("pdf", "application/pdf"),
        ("a.tar.gz", ""),
        ("x.appcache", ""),
        ("photo.jpeg", "image/jpeg"),
        ("noext", ""),
    ],
)
def test_the_content_type_is_that_of_a_fixed_table(key: str, wanted: str) -> None:
    assert content_type(key) == wanted


def test_a_missing_name_is_remembered_for_its_time_and_the_oldest_makes_room() -> None:
    missing = Negatives(10.0, 2)
    missing.insert("/a", 0.0)
    assert missing.has("/a", 9.9)
    assert not missing.has("/a", 10.0)
    missing.insert("/b", 0.0)
    missing.insert("/c", 0.0)
    assert [missing.has(name, 1.0) for name in ("/a", "/b", "/c")] == [False, True, True]
    missing.insert("/c/d", 0.0)
    missing.erase("/c", below=True)
    assert not missing.has("/c/d", 1.0)


def test_without_a_time_nothing_is_remembered() -> None:
    missing = Negatives(0.0, 2)
    missing.insert("/a", 0.0)
    assert not missing.has("/a", 0.0)


def test_pages_are_bounded_and_a_changed_file_loses_its_own() -> None:
    tree = Tree(uid=0, gid=0, file_mode=0o644, dir_mode=0o755, now=0.0)
    one, two = (tree.add(tree.root, name, 0o100000, now=0.0) for name in "ab")
    pages = Pages(2 * BLOCK)
    pages.store(one, 0, b"1" * BLOCK + b"2" * 10)
    assert pages.read(one, BLOCK - 1, 3) == b"122"
    pages.store(two, 0, b"3" * BLOCK)
    assert pages.read(one, 0, 1) is None
    assert pages.has(two, 0, BLOCK)
    pages.drop(two)
    assert not pages.has(two, 0, 1)


def test_keys_come_from_the_options_or_both_from_the_environment() -> None:
    environment = {"OSS_ACCESS_KEY_ID": "E", "OSS_ACCESS_KEY_SECRET": "F"}
    both = options("--oss_access_key_id=A", "--oss_access_key_secret=B")
    assert load(both, environment).current(0.0) == Credentials("A", "B")
    assert load(options("--oss_access_key_id=A"), environment).current(0.0) == Credentials("E", "F")
    with pytest.raises(CredentialsMissing, match="empty credential"):
        load(options("--oss_access_key_id=A"), {})


def test_a_programs_key_is_renewed_before_it_expires_and_kept_when_the_program_fails() -> None:
    answers = ["1970-01-01T01:00:00Z", "broken", "1970-01-01T09:00:00Z"]
    runs = 0

    def run() -> str:
        nonlocal runs
        runs += 1
        expiry = answers[runs - 1]
        key = {"AccessKeyId": f"K{runs}", "AccessKeySecret": "S", "SecurityToken": "T", "Expiration": expiry}
        return "no JSON" if expiry == "broken" else json.dumps(key)

    program = Program(run)

    def key_at(now: float) -> str:
        found = program.current(now)
        assert found is not None
        return found.access_key_id

    assert [key_at(0.0), key_at(2399.0), runs] == ["K1", "K1", 1]
    assert [key_at(2400.0), key_at(2414.0), runs] == ["K1", "K1", 2]
    assert [key_at(2415.0), runs] == ["K3", 3]


class Canned:
    """Answers with what it is given, and keeps what was asked."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.asked: list[Request] = []

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        return self.answer(request)


def client(transport: Canned, clock: VirtualClock, *words: str) -> Ossfs2Client:
    source = Credentials("AK", "SK")
    return Ossfs2Client(transport, options=options(*words), profile=PROFILE, credentials=source, clock=clock)


def test_a_request_names_the_bucket_in_its_host_and_the_release_in_its_agent() -> None:
    canned = Canned(lambda request: Response(200, {}, b""))
    client(canned, VirtualClock(), "--oss_bucket_prefix=team").put("/a b.txt", b"1")
    (request,) = canned.asked
    assert (request.method, request.target) == ("PUT", "/team%2Fa%20b.txt")
    assert request.headers["host"] == "demo.oss.example"
    assert request.headers["user-agent"] == "ossfs2-2.0.7"
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["authorization"].startswith("OSS AK:")


def test_a_region_makes_the_signature_one_of_v4() -> None:
    canned = Canned(lambda request: Response(200, {}, b""))
    client(canned, VirtualClock(), "--oss_region=cn-hangzhou").put("/a", b"1")
    headers = canned.asked[0].headers
    assert headers["authorization"].startswith("OSS4-HMAC-SHA256 Credential=AK/")
    assert "date" not in headers


def test_a_server_error_is_tried_three_times_with_short_waits() -> None:
    clock = VirtualClock()
    began = clock.now()
    canned = Canned(lambda request: Response(503, {}, b"<Error><Code>ServiceUnavailable</Code></Error>"))
    with pytest.raises(RequestFailed) as caught:
        client(canned, clock).put("/a")
    assert (caught.value.errno, len(canned.asked)) == (errno.ENXIO, 3)
    assert clock.now() - began == pytest.approx(0.3)


def test_too_many_requests_per_second_are_waited_for_as_long_as_a_request_may_take() -> None:
    clock = VirtualClock()
    began = clock.now()
    canned = Canned(lambda request: Response(503, {}, b"<Error><Code>QpsLimitExceeded</Code></Error>"))
    with pytest.raises(RequestFailed):
        client(canned, clock, "--oss_request_timeout_ms=10000").put("/a")
    assert clock.now() - began >= 10.0
    assert len(canned.asked) == 5


def test_an_endpoint_that_refuses_is_eio_and_one_that_is_silent_etimedout() -> None:
    def refuse(request: Request) -> Response:
        raise ConnectionRefusedError

    def silent(request: Request) -> Response:
        raise TimeoutError

    for answer, code in ((refuse, errno.EIO), (silent, errno.ETIMEDOUT)):
        canned = Canned(answer)
        with pytest.raises(RequestFailed) as caught:
            client(canned, VirtualClock()).object_meta("/a")
        assert (caught.value.errno, len(canned.asked)) == (code, 3)


def test_a_refused_read_is_asked_for_once_more() -> None:
    canned = Canned(lambda request: Response(403, {}, b"<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(RequestFailed):
        client(canned, VirtualClock()).read("/a", 0, 5)
    assert len(canned.asked) == 2
