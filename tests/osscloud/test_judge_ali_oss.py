"""ali-oss, the vendor's SDK for node: signatures V1 and V4, and the clock that its browser client sets by the server's.

Needs node and npm. The SDK is installed once into a cache directory (by name, from npm's registry) and found there
afterwards.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from osscloud.clock import AdjustableClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

VERSION = "6.23.0"
KEY_ID, SECRET = "LTAI5tAliOss", "a-secret"
SCRIPT = Path(__file__).with_name("judge_ali_oss.js")

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None,
    reason="node or npm is missing: apt-get install -y nodejs npm",
)


def installed() -> Path:
    """The directory whose node_modules holds the SDK."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "ossvol-tests" / f"ali-oss-{VERSION}"
    if not (home / "node_modules" / "ali-oss" / "package.json").exists():
        making = home.with_name(f"{home.name}.{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        (making / "package.json").write_text('{"private": true}')
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"ali-oss@{VERSION}"],
            cwd=making,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            shutil.rmtree(making)
            pytest.skip(f"npm could not install ali-oss: {done.stderr.strip()[-300:]}")
        try:
            making.rename(home)
        except OSError:  # another worker was first
            shutil.rmtree(making)
    return home


def cloud(*, hours_ahead: float) -> OssService:
    service = OssService(clock=AdjustableClock(offset=hours_ahead * 3600), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    return service


@pytest.fixture(scope="module", params=["v1", "v4"])
def seen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What each step of the script saw."""
    home = installed()
    with ExitStack() as stack:
        server = stack.enter_context(HttpServer(cloud(hours_ahead=0)))
        later = cloud(hours_ahead=1)
        later.admin.create_bucket("demo")
        later.admin.put("demo", "streamed", b"an hour later")
        hour_later = stack.enter_context(HttpServer(later))
        done = subprocess.run(
            ["node", SCRIPT, home, server.endpoint, hour_later.endpoint, KEY_ID, SECRET, request.param],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_objects_are_put_read_and_described(seen: dict[str, Any]) -> None:
    assert seen["put"] == {"status": 200, "etag": '"5EB63BBBE01EEED093CB22BB8F5ACDC3"'}
    assert seen["get"] == {"content": "hello world", "type": "text/x"}
    assert seen["range"] == "llo"
    assert seen["head"] == {"status": 200, "meta": {"owner": "me"}, "size": "11"}
    assert (seen["stream"], seen["streamed"]) == ("hello world", "in pieces")
    assert seen["meta"] == 200


def test_errors_have_codes_that_the_sdk_reads(seen: dict[str, Any]) -> None:
    missing = {"status": 404, "code": "NoSuchKey", "requestId": True}
    assert {**missing, "ec": "0026-00000001"} == seen["missing"]
    assert seen["missingHead"].items() >= {"status": 404, "code": "NoSuchKey"}.items()
    assert seen["noBucket"].items() >= {"status": 404, "code": "NoSuchBucket"}.items()
    assert seen["aborted"].items() >= {"status": 404, "code": "NoSuchUpload"}.items()
    assert seen["wrongPosition"].items() >= {"status": 409, "code": "PositionNotEqualToLength"}.items()
    assert seen["deleted"].items() >= {"status": 404, "code": "NoSuchKey"}.items()


def test_listings_page_and_group(seen: dict[str, Any]) -> None:
    everything = ["a/1", "a/2", "b c", "b+d", "dir/文 件+.txt", "streamed", "文"]
    assert seen["list"] == {"names": everything[:3], "truncated": True, "marker": "b c"}
    assert seen["all"] == everything
    assert seen["grouped"] == {"prefixes": ["a/", "dir/"], "count": 6}


def test_copies_and_metadata(seen: dict[str, Any]) -> None:
    assert seen["copied"] == {"status": 200, "meta": {"b": "2"}}
    assert seen["putMeta"] == {"changed": "yes"}
    assert seen["acl"] == "public-read"
    assert (seen["tags"], seen["noTags"]) == ({"a": "1", "b": "2"}, {})


def test_uploads_in_parts(seen: dict[str, Any]) -> None:
    assert (seen["listParts"], seen["uploads"]) == (3, ["parts"])
    assert seen["complete"]["etag"].endswith('-3"')
    assert seen["complete"]["size"] == str(3 * 102400)
    assert seen["big"]["etag"].endswith('-5"')
    assert seen["big"]["size"] == str(1024 * 1024 + 5)


def test_appends_symlinks_and_signed_urls(seen: dict[str, Any]) -> None:
    assert seen["append"] == {"appended": ["3", "6"], "content": "onetwo"}
    assert seen["symlink"] == {"target": "streamed", "content": "in pieces"}
    assert (seen["url"], seen["urlV4"]) == ("hello world", "hello world")


def test_deleting_and_versions(seen: dict[str, Any]) -> None:
    assert (seen["deleteMulti"], seen["quiet"], seen["versioning"]) == (3, 200, "Enabled")
    assert seen["old"] == "1"
    assert seen["versions"] == {"objects": [2, 1], "markers": 1}
    assert seen["restored"] == "2"


def test_buckets_are_listed_and_described(seen: dict[str, Any]) -> None:
    assert (seen["buckets"], seen["info"], seen["location"]) == (["demo"], "demo", "oss-cn-hangzhou")


def test_a_wrong_clock_is_set_by_the_server_s(seen: dict[str, Any]) -> None:
    assert seen["skewed"] == "an hour later"
    assert abs(seen["skewSeconds"] - 3600) <= 5
    assert seen["skewedNode"].items() >= {"status": 403, "code": "RequestTimeTooSkewed"}.items()
