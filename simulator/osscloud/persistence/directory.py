"""A data directory: where a cloud is read from at start, and where its `Journal` writes.

    DIR/state.sqlite   one row a bucket, version, upload, part, access key, ...; small bodies in their row
    DIR/blobs/xx/      larger bodies, one file each (`blobs`)
    DIR/lock           held while a process serves from here

Reading makes sure of what it reads: SQLite checks its own structure, every row has a checksum, every file must be there
in its size, and a write-ahead log that a killed process left must be whole. Used by one thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from osscloud.accounts import Accounts
from osscloud.blob import Content, Piece, Pieces
from osscloud.clock import AdjustableClock, Clock
from osscloud.persistence.blobs import BlobDirectory, BlobFile, FileExtent
from osscloud.persistence.codec import CodecError, loads
from osscloud.persistence.errors import StateError
from osscloud.persistence.journal import Journal
from osscloud.persistence.lockfile import LockFile
from osscloud.persistence.schema import APPLICATION, FORMAT, SCHEMA, checksum
from osscloud.persistence.state import (
    KINDS,
    account_tables,
    fill_bucket,
    make_bucket,
    make_part,
    make_upload,
    make_version,
    read_store,
    resumed_from,
    set_account_table,
)
from osscloud.store import Bucket, Store, Upload, Version

__all__ = ["Cloud", "DataDirectory"]

_DATABASE = "state.sqlite"
_UNFINISHED = "state.sqlite.new"
_LOCK = "lock"


class Cloud(Protocol):
    """What there is of `OssService` to keep."""

    @property
    def store(self) -> Store: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def clock(self) -> Clock: ...
    def resume_ids(self, number: int) -> None:
        """The latest number of a version id that is in the store."""


@dataclass
class _Found:
    """What was read, before anything is done with it."""

    buckets: dict[int, Bucket] = field(default_factory=dict)
    store_text: str = ""
    offset: float = 0.0
    tables: dict[str, dict[object, object]] = field(default_factory=dict)
    files: dict[int, BlobFile] = field(default_factory=dict)
    last_place: int = 0

    @property
    def bucket_ids(self) -> dict[str, int]:
        return {bucket.name: identity for identity, bucket in self.buckets.items()}


class DataDirectory:
    """Opens a directory, making it when there is nothing. To be closed; a context manager.

    synced: every change is on the disk itself before it is answered, so that it survives the machine as well.

    Raises StateError when it cannot be used (DirectoryInUse while another process does) and leaves it as it was."""

    def __init__(self, root: Path, *, synced: bool = False) -> None:
        self.root = root
        self._path = root / _DATABASE
        self._synced = synced
        self._blobs = BlobDirectory(root / "blobs", synced=synced)
        self._journal: Journal | None = None
        self._check_names()
        self._lock = LockFile(root / _LOCK)
        try:
            if not self._path.exists():
                self._create()
            self._database = self._open()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> DataDirectory:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Writes what is left and lets the directory go; the cloud goes on in memory. Raises OssError InternalError
        when the disk refuses. Not while other threads use the cloud."""
        journal, self._journal = self._journal, None
        try:
            if journal is not None:
                journal.detach()
        finally:
            self._database.close()
            self._lock.close()

    def _check_names(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in self.root.iterdir()}
        except OSError as error:
            why = "it is no directory" if self.root.exists() and not self.root.is_dir() else error.strerror
            raise StateError(f"cannot use {self.root} as data directory: {why}") from error
        if _DATABASE in names or not names - {_LOCK, _UNFINISHED, _UNFINISHED + "-journal"}:
            return
        what = f"{self._path} is missing" if "blobs" in names else f"{self.root} is no data directory of ossvol"
        raise StateError(f"{what}: put it back from a copy, or name a directory that is empty or not there yet")

    def _create(self) -> None:
        """The database gets its name when it is complete: what a killed process leaves is no damaged one."""
        unfinished = self.root / _UNFINISHED
        try:
            unfinished.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as database:
                database.execute("PRAGMA page_size = 8192")
                database.execute(f"PRAGMA synchronous = {'FULL' if self._synced else 'OFF'}")
                database.execute("BEGIN IMMEDIATE")
                for statement in SCHEMA:
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {APPLICATION}")
                database.execute(f"PRAGMA user_version = {FORMAT}")
                database.execute("COMMIT")
            unfinished.rename(self._path)
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"cannot make {self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        committed = _committed_frames(self.root / (_DATABASE + "-wal")) if self._lock.same_boot else 0
        try:
            database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=64)
        except sqlite3.Error as error:
            raise StateError(f"cannot open {self._path}: {error}") from error
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA recursive_triggers = ON")
            database.execute(f"PRAGMA synchronous = {'FULL' if self._synced else 'OFF'}")
            (application,) = database.execute("PRAGMA application_id").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION:
                raise StateError(f"{self._path} is no database of ossvol: name another directory")
            if version > FORMAT:
                raise StateError(
                    f"{self._path} has format {version}, which a newer release wrote; this one reads up to {FORMAT}: "
                    "upgrade, or name another directory"
                )
            database.execute("PRAGMA journal_mode = WAL")
            _, recovered, _ = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if recovered < committed:
                raise self._damaged(f"its write-ahead log has {recovered} readable pages of {committed}")
            made = tuple(sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
            if made != SCHEMA:
                raise self._damaged("its tables are not as they were made")
            for (problem,) in database.execute("PRAGMA integrity_check(1)"):
                if problem != "ok":
                    raise self._damaged(problem)
            database.execute("PRAGMA wal_autocheckpoint = 2000")
        except sqlite3.OperationalError as error:
            database.close()
            raise StateError(f"cannot use {self._path}: {error}") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            database.close()
            raise self._damaged(error) from error
        except BaseException:
            database.close()
            raise
        return database

    def _damaged(self, what: object) -> StateError:
        return StateError(
            f"{self._path} is damaged ({what}): put the whole directory back from a copy, or move it away and start "
            "with an empty one"
        )

    # Reading

    def attach(self, cloud: Cloud) -> None:
        """Puts what the directory holds into a new cloud, moves its clock, if that is an `AdjustableClock`, as far
        ahead as it was, and follows all changes from then on.

        Raises StateError; nothing was changed then."""
        store, accounts, clock = cloud.store, cloud.accounts, cloud.clock
        try:
            found = self._read(store, accounts)
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:  # CodecError and UnicodeDecodeError among them
            raise self._damaged(error) from error
        self._blobs.sweep(found.files)
        with store.lock:
            for kind, table in found.tables.items():
                set_account_table(accounts, kind, table)
            if found.store_text:
                read_store(store, found.store_text)
            for bucket in found.buckets.values():
                store.add(bucket)
        movable = clock if isinstance(clock, AdjustableClock) else None
        if movable is not None:
            movable.advance(found.offset)
        self._journal = Journal(self._database, self._blobs, store=store, accounts=accounts, clock=movable, known=found)
        cloud.resume_ids(resumed_from(store.buckets.values()))

    def _read(self, store: Store, accounts: Accounts) -> _Found:
        found = _Found()
        facts: dict[str, str] = dict(self._rows("SELECT name, text, sum FROM fact"))
        for kind, name, text in self._rows("SELECT kind, name, text, sum FROM account ORDER BY place"):
            found.tables.setdefault(kind, {})[loads(name, KINDS)] = loads(text, KINDS)
        if unknown := found.tables.keys() - account_tables(accounts).keys():
            raise CodecError(f"accounts have no {', '.join(unknown)}")
        if "store" in facts:
            found.store_text = facts["store"]
            read_store(Store(), found.store_text)
        offset = loads(facts.get("clock", "0.0"), KINDS)
        if not isinstance(offset, float) or not 0 <= offset < 1e12:
            raise CodecError(f"the clock cannot be {offset!r} s ahead")
        found.offset = offset
        for identity, name, text in self._rows("SELECT id, name, text, sum FROM bucket"):
            found.buckets[identity] = make_bucket(name, text)
            found.last_place = max(found.last_place, identity)
        contents = self._read_contents(found)
        self._read_versions(store, found, contents)
        self._read_uploads(store, found, contents)
        if contents:
            raise CodecError(f"{len(contents)} contents belong to nothing")
        return found

    def _rows(self, query: str, *, unchecked: int = 0) -> Iterator[tuple[Any, ...]]:
        """The rows without their last column, which is the checksum of all but the first `unchecked`."""
        for *columns, total in self._database.execute(query):
            if checksum(*columns[unchecked:]) != total:
                raise CodecError(f"a row has a wrong checksum: {query}")
            yield tuple(columns)

    def _read_contents(self, found: _Found) -> dict[int, Pieces]:
        sizes = dict(self._database.execute("SELECT DISTINCT file, size FROM piece WHERE file IS NOT NULL"))
        found.files = self._blobs.adopt(sizes)
        pieces: defaultdict[int, list[Piece]] = defaultdict(list)
        query = "SELECT content, number, body, file, size, start, stop, sum FROM piece ORDER BY content, number"
        for content, number, body, file, _, start, stop in self._rows(query):
            if number != len(pieces[content]):
                raise CodecError(f"content {content} lacks a piece")
            pieces[content].append(body if file is None else FileExtent(found.files[file], start, stop))
            found.last_place = max(found.last_place, content)
        return {content: Pieces(whole) for content, whole in pieces.items()}

    def _read_versions(self, store: Store, found: _Found, contents: dict[int, Pieces]) -> None:
        versions: dict[int, list[Version]] = {identity: [] for identity in found.buckets}
        query = "SELECT place, bucket, key, id, text, body, content, sum FROM version ORDER BY place"
        for place, identity, raw, version_id, text, body, content in self._rows(query, unchecked=1):
            held: Content = body if content is None else contents.pop(content, Pieces(()))
            if identity not in versions:
                raise CodecError(f"version {version_id} belongs to no bucket")
            versions[identity].append(make_version(store, raw.decode(), version_id, text, held))
            found.last_place = max(found.last_place, place)
        for identity, bucket in found.buckets.items():
            fill_bucket(bucket, versions[identity])

    def _read_uploads(self, store: Store, found: _Found, contents: dict[int, Pieces]) -> None:
        uploads: dict[int, Upload] = {}
        query = "SELECT place, bucket, key, id, text, sum FROM upload"
        for place, identity, raw, upload_id, text in self._rows(query, unchecked=1):
            upload = uploads[place] = make_upload(store, raw.decode(), upload_id, text)
            if identity not in found.buckets:
                raise CodecError(f"upload {upload_id} belongs to no bucket")
            found.buckets[identity].uploads[upload.key, upload.id] = upload
            found.last_place = max(found.last_place, place)
        query = "SELECT upload, number, text, body, content, sum FROM part ORDER BY upload, number"
        for place, number, text, body, content in self._rows(query, unchecked=1):
            held: Content = body if content is None else contents.pop(content, Pieces(()))
            if place not in uploads:
                raise CodecError(f"part {number} belongs to no upload")
            uploads[place].parts[number] = make_part(number, text, held)


def _committed_frames(log: Path) -> int:
    """How many pages of a write-ahead log its writer had committed, by their headers alone: what SQLite cannot read of
    them it would leave out without a word. Format: sqlite.org/fileformat2.html, section 4."""
    committed = 0
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        header = file.read(32)
        if len(header) < 32:
            return 0
        (page_size,) = struct.unpack(">8xI20x", header)
        salt = header[16:24]
        number = 0
        while len(frame := file.read(24)) == 24:
            number += 1
            file.seek(page_size, 1)
            if frame[8:16] == salt and frame[4:8] != bytes(4) and file.tell() <= log.stat().st_size:
                committed = number
    return committed
