"""Snapshots: the whole state in one file and back."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.persistence.directory import DataDirectory
from osscloud.persistence.errors import StateError
from osscloud.persistence.snapshot import Summary, load, save
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client

WEBSITE = b"<WebsiteConfiguration><IndexDocument><Suffix>i.html</Suffix></IndexDocument></WebsiteConfiguration>"


def new(seed: int = 1) -> OssService:
    return OssService(clock=AdjustableClock(VirtualClock()), rng=random.Random(seed))


def saved(service: OssService) -> bytes:
    file = BytesIO()
    save(service, file)
    return file.getvalue()


@pytest.fixture
def lived_in(client: Client, oss: OssService) -> OssService:
    """A cloud in which something of everything happened."""
    client.put("plain", b"x" * 100_000, {"x-oss-meta-mode": "33188", "content-type": "text/plain"})
    client.send(
        "PUT",
        "plain",
        {"tagging": ""},
        body=b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    )
    client.send("PUT", "plain", {"acl": ""}, {"x-oss-object-acl": "public-read"})
    client.send("PUT", "link", {"symlink": ""}, {"x-oss-symlink-target": "plain"})
    client.send("POST", "log", {"append": "", "position": "0"}, body=b"one ")
    client.send("POST", "log", {"append": "", "position": "4"}, body=b"two")
    client.put("cold", b"frozen", {"x-oss-storage-class": "Archive"})
    client.send("POST", "cold", {"restore": ""})
    client.versioning("Enabled")
    for number in range(3):
        client.put("many\u6587/\x01", b"%d" % number)
    client.delete("many\u6587/\x01")
    client.versioning("Suspended")
    client.put("many\u6587/\x01", b"null")
    client.send("PUT", "", {"website": ""}, body=WEBSITE)
    upload = client.send("POST", "parts", {"uploads": ""}).text("UploadId")
    client.send("PUT", "parts", {"partNumber": "2", "uploadId": upload}, body=b"p" * 20_000)
    client.send("PUT", "parts", {"partNumber": "1", "uploadId": upload}, body=b"small")
    oss.accounts.create_key(id="OTHER", secret="S", account="2000000000000002")
    oss.accounts.disable("OTHER")
    oss.admin.create_bucket("other", versioning="Enabled", owner="2000000000000002")
    return oss


def test_saving_loading_and_saving_again_makes_the_same_file(lived_in: OssService, tmp_path: Path) -> None:
    first = saved(lived_in)
    again = new(2)
    summary = load(again, BytesIO(first))
    assert summary == Summary(buckets=2, versions=9, uploads=1, bytes=120_025)
    assert saved(again) == first
    kept = new(3)
    with DataDirectory(tmp_path / "data") as directory:
        directory.attach(kept)
        kept.admin.create_bucket("replaced")
        kept.admin.put("replaced", "k", b"x" * 100_000)
        load(kept, BytesIO(first))
        assert saved(kept) == first
    reopened = new(4)
    with DataDirectory(tmp_path / "data") as directory:
        directory.attach(reopened)
        assert saved(reopened) == first


def test_everything_goes_on_where_it_was(
    lived_in: OssService, client: Client, clock: VirtualClock, client_of: Callable[..., Client]
) -> None:
    again = OssService(clock=clock, rng=random.Random(9))
    load(again, BytesIO(saved(lived_in)))
    here = type(client)(again, client.key, clock, "demo")
    assert here.get("plain").body == b"x" * 100_000
    assert here.head("plain").header("x-oss-meta-mode") == "33188"
    assert here.get("link").body == b"x" * 100_000
    assert here.send("POST", "log", {"append": "", "position": "7"}, body=b"!").status == 200
    assert here.get("log").body == b"one two!"
    assert here.get("", website="").body.endswith(WEBSITE)
    assert [view.version_id for view in again.admin.versions("demo")] == [
        view.version_id for view in lived_in.admin.versions("demo")
    ]
    upload = here.send("GET", "", {"uploads": ""}).text("Upload/UploadId")
    assert here.send("POST", "parts", {"uploadId": upload}, {"x-oss-complete-all": "yes"}).code == "EntityTooSmall"
    here.versioning("Enabled")
    newest = here.put("many\u6587/\x01").header("x-oss-version-id")
    assert newest is not None
    assert newest > max(v.version_id for v in lived_in.admin.versions("demo") if v.version_id != "null")


def test_moved_time_moves_on_only() -> None:
    ahead, here = new(), new()
    for service, seconds in ((ahead, 500.0), (here, 20.0)):
        assert isinstance(service.clock, AdjustableClock)
        service.clock.advance(seconds)
    file = saved(ahead)
    load(here, BytesIO(file))
    assert here.clock.now() == ahead.clock.now()
    assert saved(here) == file
    load(ahead, BytesIO(saved(new())))
    assert ahead.clock.now() == here.clock.now()


def refused(file: bytes, match: str) -> None:
    """Loading fails and leaves what is there."""
    service = new(5)
    service.accounts.create_key(id="AK", secret="SK")
    service.admin.create_bucket("mine")
    service.admin.put("mine", "k", b"body")
    before = saved(service)
    with pytest.raises(StateError, match=match):
        load(service, BytesIO(file), "state.zip")
    assert saved(service) == before


def test_every_truncated_file_is_refused(lived_in: OssService) -> None:
    file = saved(lived_in)
    for size in {0, 1, 4, 30, len(file) // 2, len(file) - 300, *range(len(file) - 30, len(file))}:
        refused(file[:size], r"state.zip is (damaged|no snapshot)")


def test_a_damaged_file_is_refused_or_means_the_same(lived_in: OssService) -> None:
    file = saved(lived_in)
    good = new()
    load(good, BytesIO(file))
    rng = random.Random(3)
    found = 0
    for _ in range(300):
        damaged = bytearray(file)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        service = new()
        try:
            load(service, BytesIO(damaged))
        except StateError:
            found += 1
            assert saved(service) == saved(new())
        else:
            assert saved(service) == saved(good)
    assert found > 200


def archive(**members: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as found:
        for name, content in members.items():
            found.writestr(name.replace("_", "."), content)
    return file.getvalue()


def test_foreign_and_newer_files_are_refused_by_name() -> None:
    refused(b"%PDF-1.7 whatever", "state.zip is no snapshot of ossvol: it is no ZIP archive")
    refused(archive(word_xml=b"<x/>"), "state.zip is no snapshot of ossvol: it has other members")
    header = {"kind": "ossvol snapshot", "format": 2, "clock": 0.0, "store": {}}
    members = {"accounts_jsonl": b"", "buckets_jsonl": b"", "bodies": b""}
    refused(archive(header_json=json.dumps(header).encode(), **members), "has format 2, which a newer release wrote")
    header["kind"] = "something"
    refused(archive(header_json=json.dumps(header).encode(), **members), "is no snapshot of ossvol: its header")


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"nonsense",
        b'["version","k","null",{},0]',
        b'["bucket","b",{"owner":1}]',
        b'["bucket","b",{"lock":1}]',
        b'["bucket","b",{"configs":{"$":"Popen"}}]',
        b'["bucket","b",{}]\n["bucket","b",{}]',
        b'["bucket","b",{}]\n["version","k","null",{},5]',
        b'["bucket","b",{}]\n["version","\\ud800","null",{},0]',
        b'["bucket","b",{}]\n["part",1,{},0]',
        b"[" * 100_000,
    ],
)
def test_records_that_ossvol_never_wrote_are_refused(line: bytes) -> None:
    header = {"kind": "ossvol snapshot", "format": 1, "clock": 0.0, "store": {}}
    members = {"accounts_jsonl": b"", "buckets_jsonl": line, "bodies": b""}
    refused(archive(header_json=json.dumps(header).encode(), **members), "state.zip is damaged")


def test_files_of_a_load_that_failed_do_not_stay(lived_in: OssService, tmp_path: Path) -> None:
    file = bytearray(saved(lived_in))
    service = new()
    with DataDirectory(tmp_path / "data") as directory:
        directory.attach(service)
        # The last byte of the bodies' data: all of them have been read and kept by then.
        with zipfile.ZipFile(BytesIO(file)) as found:
            info = found.getinfo("bodies")
            position = found.infolist()[-1].header_offset
        file[position + 30 + len(info.filename) + info.compress_size] ^= 0xFF
        with pytest.raises(StateError):
            load(service, BytesIO(file))
        service.admin.create_bucket("next")
        assert list((tmp_path / "data" / "blobs").glob("*/*")) == []
