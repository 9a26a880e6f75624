"""The journal: writes every change of a store and its accounts to a database and a directory of blobs.

The store tells it of each change under its lock, and leaving that lock commits them: what a request changed is written
in one transaction, complete or not at all, before anybody is answered. Accounts name the rows that change (`watch`);
those are written at the next commit, for which `Store.settle` asks at the end of each request.

When the disk refuses a transaction, memory is ahead of it: the request ends with InternalError, and the next commit
writes everything anew.

Methods are called under the store's lock, but for `keep`.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import NoReturn, Protocol

from osscloud.accounts import Accounts
from osscloud.blob import Content, Piece, Pieces
from osscloud.errors import OssError
from osscloud.persistence.blobs import BlobDirectory, FileExtent
from osscloud.persistence.codec import dumps
from osscloud.persistence.schema import TABLES, checksum
from osscloud.persistence.state import (
    account_tables,
    bucket_text,
    oldest_first,
    part_text,
    set_account_table,
    store_facts,
    store_text,
    upload_text,
    version_text,
)
from osscloud.persistence.watch import CommittingLock, WatchedTable
from osscloud.store import UNVERSIONED, Bucket, Part, Store, Upload, Version

__all__ = ["INLINE_LIMIT", "Journal", "Known"]

INLINE_LIMIT = 16 * 1024
"""Bytes of a body up to which it is kept in the database, and in memory like everything else there."""

logger = logging.getLogger(__name__)

_PUT_FACT = "INSERT OR REPLACE INTO fact VALUES (?, ?, ?)"
_PUT_ACCOUNT = (
    "INSERT INTO account (kind, name, text, sum) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (kind, name) DO UPDATE SET text = excluded.text, sum = excluded.sum"
)
_DROP_ACCOUNT = "DELETE FROM account WHERE kind = ? AND name = ?"
_PUT_BUCKET = (
    "INSERT INTO bucket VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET text = excluded.text, sum = excluded.sum"
)
_DROP_BUCKET = "DELETE FROM bucket WHERE id = ?"
_PUT_VERSION = "INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FIND_VERSION = "SELECT content FROM version WHERE bucket = ? AND key = ? AND id = ?"
_SET_VERSION = "UPDATE version SET text = ?, body = ?, content = ?, sum = ? WHERE bucket = ? AND key = ? AND id = ?"
# For a key that has one version at most, which place it has is of no matter.
_ONLY_VERSION = (
    "INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bucket, key, id) "
    "DO UPDATE SET text = excluded.text, body = excluded.body, content = excluded.content, sum = excluded.sum"
)
_DROP_VERSION = "DELETE FROM version WHERE bucket = ? AND key = ? AND id = ?"
_PUT_UPLOAD = "INSERT INTO upload VALUES (?, ?, ?, ?, ?, ?)"
_DROP_UPLOAD = "DELETE FROM upload WHERE bucket = ? AND key = ? AND id = ?"
_PUT_PART = (
    "INSERT OR REPLACE INTO part SELECT place, ?, ?, ?, ?, ? FROM upload WHERE bucket = ? AND key = ? AND id = ?"
)
_PUT_PIECE = "INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LAST_PIECE = "SELECT max(number) FROM piece WHERE content = ?"


class Movable(Protocol):
    """A clock that tells how far it was moved."""

    @property
    def offset(self) -> float: ...


class Known(Protocol):
    """What a database holds already."""

    @property
    def bucket_ids(self) -> Mapping[str, int]: ...
    @property
    def last_place(self) -> int:
        """The greatest number in use for versions, uploads and contents."""
        ...


class Journal:
    """Implements `store.Journal`. Follows a store, its accounts and its clock from creation on; they are what
    `database` and `blobs` hold. clock: None for one that cannot be moved."""

    def __init__(
        self,
        database: sqlite3.Connection,
        blobs: BlobDirectory,
        *,
        store: Store,
        accounts: Accounts,
        clock: Movable | None,
        known: Known,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._bucket_ids = dict(known.bucket_ids)
        self._last = known.last_place
        self._failure: Exception | None = None
        self._missed = False
        self._changed: deque[tuple[str, object]] = deque()
        self._facts: dict[str, object] = {}
        self._fact_names = tuple(name for name, _ in store_facts(store))
        with store.lock:
            self._facts = self._current_facts()
            self._watch()
            store.journal = self
            for bucket in store.buckets.values():
                bucket.journal = self
        store.lock = CommittingLock(self.commit)

    def _watch(self) -> None:
        for kind, table in account_tables(self._accounts).items():
            watched = WatchedTable(table, partial(self._account_changed, kind))
            set_account_table(self._accounts, kind, watched)

    def detach(self) -> None:
        """Commits, and lets the store go on in memory alone. Not while other threads use it. Raises OssError
        InternalError."""
        self._missed = self._failure is not None
        self.commit()
        self._store.journal = None
        for bucket in self._store.buckets.values():
            bucket.journal = None
        for kind, table in account_tables(self._accounts).items():
            set_account_table(self._accounts, kind, dict(table))
        self._store.lock = threading.RLock()

    def _account_changed(self, kind: str, name: object) -> None:
        self._changed.append((kind, name))

    def _current_facts(self) -> dict[str, object]:
        facts = {name: copy(value) for name, value in store_facts(self._store)}
        if self._clock is not None:
            facts["clock offset"] = self._clock.offset
        return facts

    def _facts_changed(self) -> bool:
        known, store = self._facts, self._store
        if self._clock is not None and self._clock.offset != known["clock offset"]:
            return True
        for name in self._fact_names:  # noqa: SIM110 - at the end of each request: any() costs more than the loop
            if getattr(store, name) != known[name]:
                return True
        return False

    # What happened

    def bucket_changed(self, bucket: Bucket) -> None:
        identity = self._bucket_ids.get(bucket.name)
        if identity is None:
            self._last += 1
            identity = self._bucket_ids[bucket.name] = self._last
        text = bucket_text(bucket)
        self._do(_PUT_BUCKET, identity, bucket.name, text, checksum(identity, bucket.name, text))

    def bucket_added(self, bucket: Bucket) -> None:
        self.bucket_changed(bucket)
        for version in oldest_first(bucket):
            self.version_added(bucket, version)
        for upload in bucket.uploads.values():
            self.upload_added(bucket, upload)
            for part in upload.parts.values():
                self.part_added(bucket, upload, part)

    def bucket_removed(self, bucket: Bucket) -> None:
        self._do(_DROP_BUCKET, self._bucket_ids.pop(bucket.name))

    def version_added(self, bucket: Bucket, version: Version) -> None:
        identity, key = self._bucket_ids[bucket.name], version.key.encode()
        body, content = self._keep_content(version)
        text = version_text(version)
        self._last += 1
        total = checksum(identity, key, version.version_id, text, body, content)
        statement = _ONLY_VERSION if bucket.versioning == UNVERSIONED else _PUT_VERSION
        self._do(statement, self._last, identity, key, version.version_id, text, body, content, total)

    def version_changed(self, bucket: Bucket, version: Version) -> None:
        place = self._bucket_ids[bucket.name], version.key.encode(), version.version_id
        row = self._ask(_FIND_VERSION, *place)
        if row is None:
            return
        body, content = self._keep_content(version, row[0])
        text = version_text(version)
        self._do(_SET_VERSION, text, body, content, checksum(*place, text, body, content), *place)

    def version_removed(self, bucket: Bucket, version: Version) -> None:
        self._do(_DROP_VERSION, self._bucket_ids[bucket.name], version.key.encode(), version.version_id)

    def upload_added(self, bucket: Bucket, upload: Upload) -> None:
        place = self._bucket_ids[bucket.name], upload.key.encode(), upload.id
        text = upload_text(upload)
        self._last += 1
        self._do(_PUT_UPLOAD, self._last, *place, text, checksum(*place, text))

    def upload_removed(self, bucket: Bucket, upload: Upload) -> None:
        self._do(_DROP_UPLOAD, self._bucket_ids[bucket.name], upload.key.encode(), upload.id)

    def part_added(self, bucket: Bucket, upload: Upload, part: Part) -> None:
        body, content = self._keep_content(part)
        text = part_text(part)
        total = checksum(part.number, text, body, content)
        place = self._bucket_ids[bucket.name], upload.key.encode(), upload.id
        self._do(_PUT_PART, part.number, text, body, content, total, *place)

    # Content

    def keep(self, body: bytes) -> Content:
        if len(body) <= INLINE_LIMIT:
            return body
        try:
            return Pieces([self._blobs.write(body)])
        except OSError as error:
            raise OssError("InternalError", f"The body cannot be written to the data directory: {error}") from error

    def _keep_content(self, holder: Version | Part, known: int | None = None) -> tuple[bytes | None, int | None]:
        """Writes what of a content is not written yet. The columns body and content; known: the latter so far."""
        content = holder.content
        if isinstance(content, bytes) and len(content) <= INLINE_LIMIT:
            return content, None
        try:
            pieces = [
                self._keep_piece(piece) for piece in ((content,) if isinstance(content, bytes) else content.pieces)
            ]
        except OSError as error:
            self._fail(error)
            return None, None
        holder.content = Pieces(pieces)
        first = 0
        if known is None:
            self._last += 1
            known = self._last
        else:
            # Content only ever grows at its end.
            row = self._ask(_LAST_PIECE, known)
            first = row[0] + 1 if row is not None and row[0] is not None else 0
        for number in range(first, len(pieces)):
            piece = pieces[number]
            columns: tuple[bytes | None, int | None, int | None, int | None, int | None]
            if isinstance(piece, FileExtent):
                columns = None, piece.file.number, piece.file.size, piece.start, piece.stop
            else:
                columns = bytes(piece), None, None, None, None
            self._do(_PUT_PIECE, known, number, *columns, checksum(known, number, *columns))
        return None, known

    def _keep_piece(self, piece: Piece) -> bytes | FileExtent:
        if isinstance(piece, FileExtent):
            return piece
        body = (
            piece
            if isinstance(piece, bytes)
            else b"".join((piece,) if isinstance(piece, memoryview) else piece.chunks())
        )
        return body if len(body) <= INLINE_LIMIT else self._blobs.write(body)

    # Transactions

    def commit(self) -> None:
        """Makes everything so far durable. Raises OssError InternalError."""
        if self._changed:
            self._write_accounts()
        if self._facts_changed():
            self._write_facts()
        if self._missed:
            self._start_anew()
        if self._database.in_transaction:
            # What nobody referred to before the commit, the database does not refer to after it.
            released = self._blobs.released()
            self._attempt("COMMIT")
            if self._failure is not None:
                self._give_up(self._failure)
            self._blobs.forget(released)

    def _give_up(self, error: Exception) -> NoReturn:
        """Until the next change, which tries again."""
        self._missed = False
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        raise OssError("InternalError", f"The change cannot be written to the data directory: {error}")

    def _write_accounts(self) -> None:
        tables = account_tables(self._accounts)
        while self._changed:
            kind, key = self._changed.popleft()
            name = dumps(key)
            if key in tables[kind]:
                text = dumps(tables[kind][key])
                self._do(_PUT_ACCOUNT, kind, name, text, checksum(kind, name, text))
            else:
                self._do(_DROP_ACCOUNT, kind, name)

    def _write_facts(self) -> None:
        self._facts = self._current_facts()
        self._put_fact("store", store_text(self._store))
        if self._clock is not None:
            self._put_fact("clock", dumps(self._clock.offset))

    def _put_fact(self, name: str, text: str) -> None:
        self._do(_PUT_FACT, name, text, checksum(name, text))

    def _do(self, statement: str, *values: object) -> None:
        if self._failure is not None:
            self._missed = True
        else:
            if not self._database.in_transaction:
                self._attempt("BEGIN IMMEDIATE")
            self._attempt(statement, *values)

    def _ask(self, statement: str, *values: object) -> tuple[int | None, ...] | None:
        if self._failure is not None:
            return None
        try:
            found: tuple[int | None, ...] | None = self._database.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
            return None
        return found

    def _attempt(self, statement: str, *values: object) -> None:
        if self._failure is None:
            try:
                self._database.execute(statement, values)
            except sqlite3.Error as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        logger.error("the data directory cannot be written: %s", error)
        self._failure = error
        self._missed = True

    def _start_anew(self) -> None:
        """Writes the whole state in the place of what is there."""
        self._failure, self._missed = None, False
        if self._database.in_transaction:
            self._attempt("ROLLBACK")
        for table in TABLES:
            self._do(f"DELETE FROM {table}")
        self._bucket_ids.clear()
        for bucket in self._store.buckets.values():
            self.bucket_added(bucket)
        for kind, rows in account_tables(self._accounts).items():
            self._changed.extend((kind, key) for key in rows)
        self._write_accounts()
        self._write_facts()
        if self._failure is not None:
            self._give_up(self._failure)
