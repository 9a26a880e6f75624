"""A cloud in a data directory: what it keeps, what it refuses to read. That each operation reaches the directory is
asserted after every test that uses the `oss` fixture."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from osscloud.blob import Pieces
from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.errors import OssError
from osscloud.message import Request
from osscloud.persistence.blobs import FileExtent
from osscloud.persistence.directory import DataDirectory
from osscloud.persistence.errors import DirectoryInUse, StateError
from osscloud.persistence.journal import INLINE_LIMIT
from osscloud.persistence.snapshot import save
from osscloud.ram.policy import Policy
from osscloud.service import OssService

LARGE = bytes(range(256)) * 1024  # 256 KiB


@contextmanager
def cloud(root: Path, *, seed: int = 1, synced: bool = False) -> Iterator[OssService]:
    service = OssService(clock=AdjustableClock(VirtualClock()), rng=random.Random(seed))
    with DataDirectory(root, synced=synced) as directory:
        directory.attach(service)
        yield service


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def blobs(root: Path) -> list[Path]:
    return sorted((root / "blobs").glob("*/*"))


def fill(service: OssService) -> None:
    """Something of everything."""
    service.accounts.create_key(id="AK", secret="SK")
    service.admin.create_bucket("plain")
    service.admin.create_bucket("ver", versioning="Enabled")
    for number in range(8):
        service.admin.put("plain", f"k{number}", b"x" * number * 5000)
        service.admin.put("ver", f"k{number % 3}", b"%d" % number)
    service.admin.delete("ver", "k1")


def content_of(service: OssService, key: str) -> object:
    return service.store.buckets["plain"].objects[key].content


def test_a_large_body_is_a_file_and_read_when_it_is_wanted(root: Path) -> None:
    with cloud(root) as service:
        service.admin.create_bucket("plain", acl="public-read")
        service.admin.put("plain", "large", LARGE)
        service.admin.put("plain", "small", LARGE[:INLINE_LIMIT])
        (file,) = blobs(root)
        assert file.read_bytes() == LARGE
    with cloud(root) as service:
        held = content_of(service, "large")
        assert isinstance(held, Pieces)
        assert [type(piece) for piece in held.pieces] == [FileExtent]
        assert content_of(service, "small") == LARGE[:INLINE_LIMIT]
        ranged = Request("GET", "/plain/large", {"host": "127.0.0.1", "range": "bytes=1000-200000"})
        assert service.handle(ranged).read() == LARGE[1000:200001]


def test_a_file_goes_with_the_last_that_refers_to_it(root: Path) -> None:
    with cloud(root) as service:
        service.admin.create_bucket("plain", acl="public-read-write")
        service.admin.put("plain", "a", LARGE)
        copied = Request("PUT", "/plain/b", {"host": "127.0.0.1", "x-oss-copy-source": "/plain/a"})
        assert service.handle(copied).status == 200
        assert len(blobs(root)) == 1
        service.admin.put("plain", "a", b"")
        assert len(blobs(root)) == 1
        answer = service.handle(Request("GET", "/plain/b", {"host": "127.0.0.1"}))
        service.admin.delete("plain", "b")
        assert answer.read() == LARGE
        del answer
        service.admin.put("plain", "a", b"")
        assert blobs(root) == []


def test_what_a_killed_process_left_is_removed_at_start(root: Path) -> None:
    with cloud(root) as service:
        service.admin.create_bucket("plain")
        service.admin.put("plain", "k", LARGE)
    (kept,) = blobs(root)
    orphan = kept.with_name("0000000000000f00")
    orphan.write_bytes(b"left")
    stranger = kept.with_name("notes.txt")
    stranger.write_bytes(b"mine")
    with cloud(root) as service:
        assert set(blobs(root)) == {kept, stranger}
        service.admin.put("plain", "k2", LARGE)
        assert content_of(service, "k") is not content_of(service, "k2")


def test_an_object_that_grows_by_appending_is_not_written_again(root: Path) -> None:
    with cloud(root) as service:
        service.admin.create_bucket("plain", acl="public-read-write")
        for number in range(40):
            target = f"/plain/log?append&position={number * 1000}"
            sent = Request("POST", target, {"host": "127.0.0.1"}, b"%d" % (number % 10) * 1000)
            assert service.handle(sent).status == 200
    with cloud(root) as service:
        view = service.admin.object("plain", "log")
        assert view is not None
        assert view.read() == b"".join(b"%d" % (n % 10) * 1000 for n in range(40))
    with closing(sqlite3.connect(root / "state.sqlite")) as database:
        ((pieces, size),) = database.execute("SELECT count(*), sum(length(body)) FROM piece")
        assert (pieces, size) == (40, 40_000)


def test_accounts_and_moved_time_are_kept(root: Path) -> None:
    with cloud(root) as service:
        accounts = service.accounts
        accounts.create_key(id="ROOT", secret="S")
        accounts.create_key(id="OFF", secret="S")
        accounts.disable("OFF")
        accounts.create_key(id="GONE", secret="S")
        accounts.delete("GONE")
        accounts.create_key(id="READER", secret="S")
        statement = {"Effect": "Allow", "Action": "oss:Get*", "Resource": "*"}
        accounts.set_policy("READER", Policy.parse({"Statement": statement}))
        assert isinstance(service.clock, AdjustableClock)
        service.clock.advance(86_400.5)
        service.store.settle()
        before = service.accounts.keys, service.accounts.ram.directory
    with cloud(root) as service:
        assert (service.accounts.keys, service.accounts.ram.directory) == before
        assert [key.status for key in service.accounts.keys.values()] == ["Active", "Disabled", "Active"]
        assert service.accounts.allows("READER", "oss:GetObject", "acs:oss:*:*:b/k")
        assert not service.accounts.allows("READER", "oss:PutObject", "acs:oss:*:*:b/k")
        assert isinstance(service.clock, AdjustableClock)
        assert service.clock.offset == 86_400.5


def test_version_ids_go_on_growing(root: Path) -> None:
    with cloud(root) as service:
        service.admin.create_bucket("ver", versioning="Enabled")
        first = [service.admin.put("ver", "k") for _ in range(20)]
    with cloud(root, seed=2) as service:
        assert service.admin.put("ver", "k") > max(first)


def test_a_synced_directory_is_the_same(root: Path) -> None:
    with cloud(root, synced=True) as service:
        fill(service)
        service.admin.put("plain", "large", LARGE)
        before = service.admin.versions("ver"), service.admin.versions("plain")
    with cloud(root) as service:
        assert (service.admin.versions("ver"), service.admin.versions("plain")) == before


def test_one_process_serves_from_a_directory(root: Path) -> None:
    code = (
        "import sys, pathlib; from osscloud.persistence.directory import DataDirectory\n"
        "with DataDirectory(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DirectoryInUse, match=f"is served by process {other.pid} already") as caught:
            DataDirectory(root)
        assert caught.value.pid == other.pid
        other.kill()
        other.communicate()
    with DataDirectory(root):
        pass


def refused(root: Path, match: str) -> None:
    service = OssService(clock=AdjustableClock(VirtualClock()), rng=random.Random(1))
    with pytest.raises(StateError, match=match), DataDirectory(root) as directory:
        directory.attach(service)
    assert not service.store.buckets
    assert not service.accounts.keys


def test_what_is_no_data_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    refused(tmp_path, r"is no data directory of ossvol: .* name a directory that is empty or not there yet")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    file = tmp_path / "thesis.tex"
    refused(file, "cannot use .*thesis.tex as data directory")


def test_a_database_that_went_missing_is_not_taken_for_a_new_one(root: Path) -> None:
    with cloud(root) as service:
        fill(service)
    (root / "state.sqlite").rename(root.parent / "elsewhere")
    refused(root, r"state.sqlite is missing: put it back from a copy")
    assert blobs(root)


def test_other_databases_and_newer_formats_are_refused(root: Path) -> None:
    with cloud(root) as service:
        fill(service)
    with closing(sqlite3.connect(root / "state.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA user_version = 2")
    refused(root, r"has format 2, which a newer release wrote; this one reads up to 1: upgrade")
    (root / "state.sqlite").unlink()
    with closing(sqlite3.connect(root / "state.sqlite", isolation_level=None)) as database:
        database.execute("CREATE TABLE bucket (x)")
    refused(root, "is no database of ossvol")


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_lost_file_is_named(root: Path, damage: str) -> None:
    with cloud(root) as service:
        fill(service)
    file = blobs(root)[0]
    if damage == "missing":
        file.unlink()
    else:
        os.truncate(file, 5)
    refused(root, f"{file} is (missing|damaged).*put the whole directory back from a copy")


def test_damage_anywhere_in_the_database_is_found_or_does_no_harm(root: Path, tmp_path: Path) -> None:
    with cloud(root) as service:
        fill(service)
        with (tmp_path / "before").open("w+b") as file:
            save(service, file)
    good = (root / "state.sqlite").read_bytes()
    rng = random.Random(11)
    found = 0
    for _ in range(120):
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 1, 16))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (root / "state.sqlite").write_bytes(damaged)
        try:
            with cloud(root) as service, (tmp_path / "after").open("w+b") as file:
                save(service, file)
        except StateError:
            found += 1
            continue
        finally:
            for left in root.glob("state.sqlite-*"):
                left.unlink()
        assert (tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes()
    assert found > 40


@pytest.mark.parametrize("size", [0, 50, 100, 8192, 12_000, 40_000])
def test_a_database_that_is_cut_off_is_refused(root: Path, size: int) -> None:
    with cloud(root) as service:
        fill(service)
    os.truncate(root / "state.sqlite", size)
    refused(root, "state.sqlite")
    assert blobs(root)


def test_a_damaged_write_ahead_log_of_a_killed_process_is_found(root: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    with cloud(root) as service:
        fill(service)
        # As a killed process leaves it: the log has not been written back.
        shutil.copytree(root, killed)
    with cloud(killed) as service:
        assert len(service.admin.versions("ver")) == 9
    shutil.rmtree(killed)
    with cloud(root) as service:
        service.admin.put("plain", "more", b"more")
        shutil.copytree(root, killed)
    log = killed / "state.sqlite-wal"
    raw = bytearray(log.read_bytes())
    raw[32 + 24 + 100] ^= 1
    log.write_bytes(raw)
    refused(killed, r"its write-ahead log has \d+ readable pages of \d+")


def test_a_full_disk_is_an_error_of_the_request_and_made_up_for_later(root: Path) -> None:
    service = OssService(clock=AdjustableClock(VirtualClock()), rng=random.Random(1))
    with DataDirectory(root) as directory:
        directory.attach(service)
        service.admin.create_bucket("plain", acl="public-read-write")
        service.admin.put("plain", "before", b"1")
        database = directory._database
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages + 1}")
        sent = Request("PUT", "/plain/k", {"host": "127.0.0.1"}, b"x" * INLINE_LIMIT)
        for _ in range(2):
            answer = service.handle(sent)
            assert (answer.status, b"<Code>InternalError</Code>" in answer.read()) == (500, True)
        assert service.handle(Request("GET", "/plain/before", {"host": "127.0.0.1"})).read() == b"1"
        with pytest.raises(OssError, match=r"cannot be written to the data directory: .*full"):
            service.admin.create_bucket("other")
        database.execute("PRAGMA max_page_count = 100000")
        service.admin.put("plain", "after", b"2")
        before = service.admin.buckets(), service.admin.versions("plain")
    with cloud(root) as again:
        assert (again.admin.buckets(), again.admin.versions("plain")) == before


def test_without_a_directory_nothing_is_written() -> None:
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    service.admin.create_bucket("plain")
    service.admin.put("plain", "large", LARGE)
    assert service.store.journal is None
    assert content_of(service, "large") == LARGE
