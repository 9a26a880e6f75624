"""Options that show in requests: additional headers, encryption, names that are no UTF-8, nanoseconds from CRC-64."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from ossfuse import wtf8
from ossfuse.additional_headers import AdditionalHeaders, BadHeaderFile
from ossfuse.filesystem import Context
from ossfuse.options import MountOptions, UsageError, parse
from ossfuse.profile import find

ROOT = Context(uid=0, gid=0, pid=1, umask=0o022, command="sh")
MIB = 1024 * 1024
SSE = "x-oss-server-side-encryption"


# --- ahbe_conf ------------------------------------------------------------------------------------------------------


def headers_of(text: str, path: str, *, regex: bool = True) -> dict[str, str]:
    return AdditionalHeaders.parse(text.split("\n"), regex=regex).of(path)


def test_a_suffix_picks_the_objects_that_get_a_header() -> None:
    text = ".txt x-oss-storage-class IA\n# no\n\n.gz Content-Encoding gzip"
    assert headers_of(text, "/a.txt") == {"x-oss-storage-class": "IA"}
    assert headers_of(text, "/a.gz") == {"content-encoding": "gzip"}
    assert headers_of(text, "/a") == {}


def test_a_line_that_begins_with_a_blank_counts_for_every_object() -> None:
    assert headers_of(" Cache-Control max-age=3600, public", "/x") == {"cache-control": "max-age=3600, public"}


def test_the_last_rule_for_a_header_wins() -> None:
    assert headers_of(" Cache-Control no\n.txt Cache-Control yes", "/a.txt") == {"cache-control": "yes"}


def test_regular_expressions_are_posix_ones_and_new_in_1_91() -> None:
    text = "reg:^/logs/[[:digit:]]+$ Cache-Control no-store"
    assert headers_of(text, "/logs/2026") == {"cache-control": "no-store"}
    assert headers_of(text, "/logs/x") == {}
    assert headers_of(text, "/logs/2026", regex=False) == {}


def test_a_wrong_regular_expression_is_left_out() -> None:
    assert headers_of("reg:[ Cache-Control no-store\nreg: A b\n.t B c", "/x.t") == {"b": "c"}


def test_a_suffix_as_long_as_the_path_fits_in_1_80_alone() -> None:
    assert headers_of("/a A b", "/a") == {}
    assert headers_of("/a A b", "/a", regex=False) == {"a": "b"}


def test_a_line_without_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadHeaderFile):
        headers_of(".txt", "/a.txt")


@pytest.mark.parametrize("version", ["1.80.6", "1.91.3", "1.91.10"])
def test_uploads_copies_and_multipart_uploads_carry_additional_headers(ossfs, tmp_path: Path, version: str) -> None:
    conf = tmp_path / "ahbe"
    conf.write_text(".bin x-oss-tagging a=b\n.bin Content-Type application/x-own\n")
    volume = ossfs(version, f"-oahbe_conf={conf}")
    volume.write("/a.bin", b"x" * MIB)
    volume.fs.chmod(ROOT, "/a.bin", 0o600)
    volume.write("/big.bin", b"y" * (21 * MIB))
    tagged = [request.method for request in volume.sent() if request.headers.get("x-oss-tagging") == "a=b"]
    assert set(tagged) == {"PUT", "POST"}
    assert volume.object("a.bin").content_type == "application/x-own"
    # Where an upload begins the type by the name is set last, in every release.
    assert volume.object("big.bin").content_type == "application/octet-stream"


def test_a_missing_file_of_headers_is_refused(ossfs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ossfs: failed to load ahbe_conf file\(.*/none\)\."):
        ossfs("1.91.3", f"-oahbe_conf={tmp_path}/none")


# --- encryption -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "option", "expected"),
    [
        ("1.80.6", "use_sse", {SSE: "AES256"}),
        ("1.91.3", "use_sse=1", {SSE: "AES256"}),
        ("1.91.3", "use_sse=kms", {SSE: "KMS"}),
        ("1.91.3", "use_sse=kmsid:key-1", {SSE: "KMS", f"{SSE}-key-id": "key-1"}),
        ("1.80.6", "use_sse=k:key-1", {SSE: "KMS", f"{SSE}-key-id": "key-1"}),
    ],
)
def test_new_objects_are_encrypted_as_use_sse_says(ossfs, version: str, option: str, expected: dict[str, str]) -> None:
    volume = ossfs(version, f"-o{option}")
    volume.write("/a", b"x")
    puts = [request.headers for request in volume.sent() if request.method == "PUT"]
    assert {name: value for name, value in puts[-1].items() if name.startswith(SSE)} == expected


def test_a_copy_keeps_the_encryption_of_its_source(ossfs) -> None:
    volume = ossfs("1.91.3", "-ouse_sse")
    volume.write("/a", b"x")
    other = ossfs("1.91.3", service=volume.service)
    other.fs.chmod(ROOT, "/a", 0o600)
    puts = [request.headers for request in other.sent() if request.method == "PUT"]
    assert [put.get(SSE) for put in puts] == ["AES256"]


def test_1_80_hands_the_customers_key_over_and_finds_its_own_objects_with_it(ossfs, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# keys\nsecret-key-of-mine\n")
    keys.chmod(0o600)
    volume = ossfs("1.80.6", f"-ouse_sse=custom:{keys}")
    volume.write("/a", b"x")
    put = [request.headers for request in volume.sent() if request.method == "PUT"][-1]
    assert put[f"{SSE}-customer-algorithm"] == "AES256"
    assert base64.b64decode(put[f"{SSE}-customer-key"]) == b"secret-key-of-mine"
    digest = base64.b64encode(hashlib.md5(b"secret-key-of-mine").digest()).decode()
    assert put[f"{SSE}-customer-key-md5"] == digest
    with pytest.raises(FileNotFoundError):
        volume.fs.getattr(ROOT, "/missing")
    heads = [request.headers.get(f"{SSE}-customer-key-md5") for request in volume.sent()][-7:-1]
    assert heads == [None, digest, None, digest, None, digest]


def parsed(version: str, option: str) -> MountOptions:
    return parse(["bkt", option], find(version), look_at_mountpoint=False)


def test_customer_keys_need_a_private_file_and_are_gone_in_1_91(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    keys.chmod(0o644)
    with pytest.raises(UsageError, match="failed to load use_sse custom key file"):
        parsed("1.80.6", f"-ouse_sse=c:{keys}")
    with pytest.raises(UsageError, match="something wrong use_sse option"):
        parsed("1.91.3", f"-ouse_sse=c:{keys}")


# --- names that are no UTF-8 ----------------------------------------------------------------------------------------


def test_wrong_bytes_become_private_characters_and_back() -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9")
    assert wtf8.encode(name) == "caf\ue0e9 é"
    assert wtf8.decode(wtf8.encode(name)) == name
    assert wtf8.decode("\ue041") == "A"


def test_use_wtf8_stores_any_name_as_utf8(ossfs) -> None:
    volume = ossfs("1.91.3", "-ouse_wtf8")
    name = os.fsdecode(b"/caf\xe9")
    volume.write(name, b"hello")
    volume.fs.symlink(ROOT, os.fsdecode(b"to\xff"), "/link")
    assert volume.keys() == ["caf\ue0e9", "link"]
    assert volume.body("link") == "to\ue0ff".encode()
    assert volume.names("/") == [name[1:], "link"]
    again = ossfs("1.91.3", "-ouse_wtf8", service=volume.service)
    assert again.read(name) == b"hello"
    assert again.fs.readlink(ROOT, "/link") == os.fsdecode(b"to\xff")


# --- nanoseconds ----------------------------------------------------------------------------------------------------


def test_simulated_nanoseconds_change_with_the_content(ossfs) -> None:
    volume = ossfs("1.91.10", "-osimulate_mtime_ns_with_crc64,stat_cache_expire=0")
    volume.put("a", b"one", meta={"mtime": "1700000000"})
    first = volume.fs.getattr(ROOT, "/a").mtime
    crc = volume.object("a").crc64
    assert first == pytest.approx(1700000000 + crc % 1_000_000_000 / 1e9, abs=1e-6)
    volume.put("a", b"two", meta={"mtime": "1700000000"})
    volume.clock.advance(1)
    assert volume.fs.getattr(ROOT, "/a").mtime != first


def test_a_fraction_that_is_stored_stays(ossfs) -> None:
    volume = ossfs("1.91.10", "-osimulate_mtime_ns_with_crc64")
    volume.put("a", b"one", meta={"mtime": "1700000000.500000000"})
    assert volume.fs.getattr(ROOT, "/a").mtime == 1700000000.5


# --- Content-MD5 ----------------------------------------------------------------------------------------------------


def test_a_part_whose_etag_is_not_its_md5_fails_the_upload(ossfs) -> None:
    volume = ossfs("1.91.3", "-oenable_content_md5")
    fh = volume.fs.create(ROOT, "/big", 0o644, os.O_WRONLY)
    volume.fs.write(ROOT, "/big", fh, b"x" * (11 * MIB), 0)

    def answer(request):
        if "partNumber" not in request.target:
            return None
        response = volume.service.handle(request)
        response.headers["ETag"] = '"00"'
        return response

    volume.transport.answer = answer
    with pytest.raises(OSError, match="Input/output error"):
        volume.fs.flush(ROOT, "/big", fh)
    assert volume.object("big") is None
    volume.fs.release(ROOT, "/big", fh)
