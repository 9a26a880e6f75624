"""Content in pieces, combined checksums, and what a stored object costs."""

from __future__ import annotations

import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from fastcrc import crc64
from hypothesis import given
from hypothesis import strategies as st

from osscloud.blob import Pieces, combine_crc64, content_md5, crc64_of, cut, etag_of, join, read_all
from osscloud.errors import OssError
from osscloud.service import OssService
from osscloud.store import Bucket, Version

if TYPE_CHECKING:
    from conftest import Client


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_crcs_of_two_contents_combine(first: bytes, second: bytes) -> None:
    combined = combine_crc64(crc64_of(first), crc64_of(second), len(second))
    assert combined == (crc64.xz(first + second) if first + second else 0)


def test_crcs_combine_over_long_contents() -> None:
    first, second = random.Random(1).randbytes(1_000_003), random.Random(2).randbytes(2_000_001)
    assert combine_crc64(crc64.xz(first), crc64.xz(second), len(second)) == crc64.xz(first + second)


@given(st.lists(st.binary(max_size=9), max_size=6), st.data())
def test_pieces_are_cut_like_bytes(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    content = Pieces(pieces)
    assert len(content) == len(whole)
    assert read_all(content) == whole
    part = cut(content, start, stop)
    assert isinstance(part, Pieces)
    assert (read_all(part), len(part)) == (whole[start:stop], stop - start)
    assert crc64_of(content) == (crc64.xz(whole) if whole else 0)
    assert etag_of(content) == etag_of(whole)
    assert read_all(join([content, b"x", part])) == whole + b"x" + whole[start:stop]


def test_cutting_shares_memory() -> None:
    piece = b"x" * 1000
    part = cut(piece, 10, 20)
    assert isinstance(part, memoryview)
    assert part.obj is piece
    assert join([piece]) is piece


def test_content_md5_belongs_to_the_etag() -> None:
    assert content_md5(etag_of(b"")) == "1B2M2Y8AsgTpgAmY7PhCfg=="


def test_an_empty_object_costs_less_than_a_kilobyte(client: Client) -> None:
    client.put("warm-up")
    count = 3000
    tracemalloc.start()
    try:
        bucket = client.service._store.buckets["demo"]
        before, _ = tracemalloc.get_traced_memory()
        for n in range(count):
            client.service.admin.put("demo", f"directory/file-{n:08}.bin", meta={"mode": "33188", "uid": "0"})
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(bucket) == count + 1
    assert (after - before) / count < 800


def test_the_same_headers_are_stored_once(client: Client) -> None:
    for key in ("a", "b"):
        client.put(key, b"", {"x-oss-meta-m": "1"})
    objects = client.service._store.buckets["demo"].objects
    assert objects["a"].headers is objects["b"].headers
    for n in range(5000):
        client.service._store.share({"x-oss-meta-n": str(n)})
    assert len(client.service._store._headers) <= 4096
    assert client.head("a").header("x-oss-meta-m") == "1"


def test_a_superseded_version_must_be_there() -> None:
    bucket = Bucket("demo", owner="1", created=0)
    bucket.versioning = "Enabled"
    old, new = (Version("k", version_id="CAEQ1", type="Appendable", modified=0) for _ in range(2))
    with pytest.raises(LookupError):
        bucket.supersede(old, new)
    bucket.publish(old)
    bucket.publish(Version("k", version_id="CAEQ2", type="Normal", modified=0))
    bucket.supersede(old, new)
    assert bucket.find("k", "CAEQ1") is new


def test_an_unknown_error_code_needs_a_status() -> None:
    with pytest.raises(KeyError):
        OssError("Unheard")
    assert OssError("Unheard", status=418).message == "Unheard"


def test_many_threads_at_once_lose_nothing(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")

    def work(thread: int) -> None:
        for n in range(60):
            client.put(f"{thread}/{n}", b"x")
            client.put("shared", bytes([thread]))
            assert client.send("GET", "", {"prefix": f"{thread}/", "max-keys": "1000"}).status == 200
            client.delete(f"{thread}/{n}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert oss.admin.keys("demo") == ["shared"]
    assert len(oss.admin.versions("demo", "shared")) == 360
    assert len(oss.admin.versions("demo")) == 360 + 6 * 60 * 2
    assert len(oss.access_log.records) == 6 * 60 * 4
