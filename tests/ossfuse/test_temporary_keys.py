"""Keys that expire: a metadata service on the loopback interface and a program that prints keys, on a mount's clock."""

from __future__ import annotations

import io
import json
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import pytest

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.message import Request, Response
from osscloud.service import OssService
from ossfuse.filesystem import Context
from ossfuse.mount import Mount
from ossfuse.passwd import Credentials
from ossfuse.profile import find
from ossfuse.signature import sign_v1

ROOT = Context(uid=0, gid=0, pid=1, umask=0o022, command="sh")
HOUR = 3600.0


class Bench:
    """A cloud in this process, whose keys come and go."""

    concurrent = False

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.service = OssService(clock=self.clock, rng=random.Random(1))
        self.service.admin.create_bucket("bkt")
        self.service.admin.put("bkt", "a", b"hello")
        self.seen: list[str] = []
        self.made = 0
        self.broken = False

    def send(self, request: Request) -> Response:
        """STS in front of the cloud: who comes with the token of an active key is let in, without the token."""
        used = request.headers.get("authorization", "").partition(":")[0].removeprefix("OSS ")
        self.seen.append(used)
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        known = self.service.accounts.find(used)
        if headers.pop("x-oss-security-token", "") == "T" and known is not None and known.status == "Active":
            path, _, query = request.target.partition("?")
            params = dict(parse_qsl(query, keep_blank_values=True))
            key = unquote(path).removeprefix("/bkt/")
            headers["authorization"] = sign_v1(request.method, "bkt", key, params, headers, Credentials(used, "SK"))
        return self.service.handle(Request(request.method, request.target, headers, request.body))

    def answer(self) -> str:
        """What the metadata service says: a new key for an hour, the one before is gone."""
        if self.made:
            self.service.accounts.disable(f"STS{self.made}")
        self.made += 1
        self.service.accounts.create_key(id=f"STS{self.made}", secret="SK")
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock.now() + HOUR))
        fields = {"AccessKeyId": f"STS{self.made}", "AccessKeySecret": "SK", "Expiration": expires}
        return json.dumps({**fields, "SecurityToken": "T", "Code": "Success"}, indent=1)

    def mount(self, version: str, *options: str) -> tuple[Mount, int | None, str]:
        err = io.StringIO()
        mount = Mount(
            ["bkt", str(self.mountpoint), "-ourl=http://oss", "-ouse_path_request_style", *options],
            profile=find(version),
            environment={"PATH": "/usr/bin:/bin"},
            clock=AdjustableClock(self.clock),
            transport=self,
            stdout=io.StringIO(),
            stderr=err,
        )
        return mount, mount.prepare(), err.getvalue()

    mountpoint = Path()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench()
    made.mountpoint = tmp_path / "m"
    made.mountpoint.mkdir()
    return made


@pytest.fixture
def metadata(bench: Bench) -> Iterator[str]:
    """URL of a metadata service that gives `bench`'s keys; 500 while `bench.broken`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500 if bench.broken else 200)
            self.end_headers()
            if not bench.broken:
                self.wfile.write(bench.answer().encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/role"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("version", ["1.80.6", "1.91.3", "1.91.6"])
def test_a_role_gets_a_new_key_twenty_minutes_before_the_old_one_ends(
    bench: Bench, metadata: str, version: str
) -> None:
    mount, code, err = bench.mount(version, f"-oram_role={metadata}", "-omax_stat_cache_size=0")
    assert (code, err) == (None, "")
    mount.fs.getattr(ROOT, "/a")
    bench.clock.advance(40 * 60)
    mount.fs.getattr(ROOT, "/a")
    assert set(bench.seen) == {"STS1"}
    bench.clock.advance(1)
    mount.fs.getattr(ROOT, "/a")
    assert bench.seen[-1] == "STS2"
    assert bench.made == 2


def test_while_the_metadata_service_fails_requests_go_unsigned_and_are_refused(bench: Bench, metadata: str) -> None:
    mount, _, _ = bench.mount("1.91.6", f"-oram_role={metadata}", "-omax_stat_cache_size=0")
    bench.clock.advance(HOUR)
    bench.broken = True
    with pytest.raises(PermissionError):
        mount.fs.getattr(ROOT, "/a")
    assert bench.seen[-1] == ""
    bench.broken = False
    assert mount.fs.getattr(ROOT, "/a").size == 5


def test_a_mount_without_its_first_key_fails(bench: Bench, metadata: str) -> None:
    bench.broken = True
    _, code, err = bench.mount("1.91.8", f"-oram_role={metadata}", "-odisable_imdsv2")
    assert (code, err) == (1, "ossfs: Failed to initialize RAM credential.\n")
    assert bench.seen == []


def test_a_program_is_asked_again_before_its_key_ends(bench: Bench, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    program = tmp_path / "print-keys"
    program.write_text(f"#!/bin/sh\nprintf x >> {tmp_path}/asked\ncat {keys}\n")
    program.chmod(0o700)
    keys.write_text(bench.answer())
    mount, code, err = bench.mount("1.91.10", f"-ocredential_process={program} --now", "-omax_stat_cache_size=0")
    assert (code, err) == (None, "")
    keys.write_text(bench.answer())
    with pytest.raises(PermissionError):
        mount.fs.getattr(ROOT, "/a")
    bench.clock.advance(40 * 60 + 1)
    assert mount.fs.getattr(ROOT, "/a").size == 5
    assert (tmp_path / "asked").read_text() == "xx"
    assert bench.seen[-1] == "STS2"


def test_an_external_library_is_refused_with_the_way_out(bench: Bench) -> None:
    _, code, err = bench.mount("1.91.10", "-ocredlib=/usr/lib/libkeys.so")
    assert code == 1
    assert "give credential_process= a script" in err
