"""Debian's s3fs mounted on the S3-compatible face: what other S3 clients do to a bucket, by real system calls."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService
from osscluster.engine import kernel_unavailable

KEY_ID, SECRET = "LTAI5tS3fs", "a-secret"


def _obstacle() -> str:
    if shutil.which("s3fs") is None:
        return "s3fs is missing: apt-get install -y s3fs"
    missing = kernel_unavailable()
    return "" if missing is None else str(missing)


pytestmark = pytest.mark.skipif(bool(_obstacle()), reason=_obstacle() or "-")


@pytest.fixture
def service() -> OssService:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    service.admin.create_bucket("demo")
    return service


@pytest.fixture(params=["sigv4", "sigv2"])
def mount(request: pytest.FixtureRequest, service: OssService, tmp_path: Path) -> Iterator[Path]:
    """A mount point; s3fs runs in the foreground as a child and is gone afterwards."""
    passwd, place, log = tmp_path / "passwd", tmp_path / "mnt", tmp_path / "log"
    passwd.write_text(f"{KEY_ID}:{SECRET}\n")
    passwd.chmod(0o600)
    place.mkdir()
    cache = tmp_path / "tmp"
    cache.mkdir()
    with HttpServer(service) as server, log.open("wb") as output:
        options = f"url={server.endpoint},use_path_request_style,passwd_file={passwd},endpoint=cn-hangzhou"
        options += f",tmpdir={cache},multipart_size=5,retries=1,{request.param}"
        process = subprocess.Popen(["s3fs", "demo", place, "-f", "-o", options], stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 20
            while not os.path.ismount(place):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.01)
            yield place
        finally:
            subprocess.run(["umount", "-l", place], capture_output=True, check=False)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_files_are_written_read_renamed_listed_and_removed(mount: Path, service: OssService) -> None:
    body = b"hello s3fs\n" * 1000
    (mount / "a b+文").write_bytes(body)
    assert (mount / "a b+文").read_bytes() == body
    stored = service.admin.object("demo", "a b+文")
    assert stored is not None
    assert stored.read() == body

    (mount / "dir").mkdir()
    (mount / "dir" / "inner").write_bytes(b"1")
    (mount / "a b+文").rename(mount / "dir" / "moved")
    assert sorted(os.listdir(mount)) == ["dir"]
    assert sorted(os.listdir(mount / "dir")) == ["inner", "moved"]
    assert (mount / "dir" / "moved").read_bytes() == body
    assert service.admin.keys("demo") == ["dir/", "dir/inner", "dir/moved"]

    (mount / "dir").rename(mount / "renamed")
    assert (mount / "renamed" / "moved").read_bytes() == body
    shutil.rmtree(mount / "renamed")
    assert service.admin.keys("demo") == []


def test_attributes_are_kept_as_metadata(mount: Path, service: OssService) -> None:
    path = mount / "k"
    path.write_bytes(b"x")
    path.chmod(0o640)
    os.utime(path, (1_700_000_000, 1_600_000_000))
    seen = path.stat()
    assert (seen.st_mode & 0o777, int(seen.st_mtime), seen.st_size) == (0o640, 1_600_000_000, 1)
    stored = service.admin.object("demo", "k")
    assert stored is not None
    assert int(stored.meta["mode"]) & 0o777 == 0o640
    os.symlink("k", mount / "link")
    assert os.readlink(mount / "link") == "k"
    assert (mount / "link").read_bytes() == b"x"


def test_objects_of_other_clients_are_seen(mount: Path, service: OssService) -> None:
    for number in range(1200):
        service.admin.put("demo", f"many/{number:04}", b"x")
    assert sorted(os.listdir(mount / "many")) == [f"{number:04}" for number in range(1200)]
    assert (mount / "many" / "0700").read_bytes() == b"x"


def test_a_large_file_goes_in_parts_and_comes_back_by_ranges(mount: Path, service: OssService) -> None:
    body = random.Random(5).randbytes(23 * 1024 * 1024)
    mark = service.access_log.mark()
    (mount / "big").write_bytes(body)
    assert [record.operation for record in service.access_log.since(mark)].count("UploadPart") >= 4
    stored = service.admin.object("demo", "big")
    assert stored is not None
    assert stored.read() == body
    assert (mount / "big").read_bytes() == body
    with (mount / "big").open("r+b") as file:
        file.seek(11 * 1024 * 1024)
        file.write(b"patched")
    expected = bytearray(body)
    expected[11 * 1024 * 1024 : 11 * 1024 * 1024 + 7] = b"patched"
    stored = service.admin.object("demo", "big")
    assert stored is not None
    assert stored.read() == bytes(expected)
