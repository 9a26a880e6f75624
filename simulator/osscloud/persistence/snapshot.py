"""Snapshots: the whole state of a cloud in one compressed file.

A ZIP archive of four members, written so that equal states make equal files (on the same release of zlib):

    header.json     what it is, its format, how far the clock was moved, what the store knows beside its buckets
    accounts.jsonl  [table, key, value]
    buckets.jsonl   ["bucket", name, ...] followed by its ["version", ...], ["upload", ...] and their ["part", ...]
    bodies          the content of versions and parts, in that order, without anything between them

A file is read to its end, with every checksum, before anything is changed. `save` and `load` take the store's lock for
as long as they look at it; any thread.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO

from osscloud.accounts import Accounts
from osscloud.blob import Content
from osscloud.clock import AdjustableClock
from osscloud.persistence.codec import CodecError, decode, encode
from osscloud.persistence.directory import Cloud
from osscloud.persistence.errors import StateError
from osscloud.persistence.state import (
    KINDS,
    account_tables,
    bucket_text,
    fill_bucket,
    make_bucket,
    make_part,
    make_upload,
    make_version,
    oldest_first,
    part_text,
    read_store,
    resumed_from,
    store_text,
    upload_text,
    version_text,
)
from osscloud.store import Bucket, Store, Upload, Version

__all__ = ["Summary", "load", "save"]

_KIND = "ossvol snapshot"
_FORMAT = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER, _ACCOUNTS, _BUCKETS, _BODIES = "header.json", "accounts.jsonl", "buckets.jsonl", "bodies"


@dataclass(slots=True)
class Summary:
    """How much a snapshot holds. versions: with delete markers; bytes: of content."""

    buckets: int = 0
    versions: int = 0
    uploads: int = 0
    bytes: int = 0


def save(cloud: Cloud, file: BinaryIO) -> Summary:
    """Writes the state to a file, which must be seekable."""
    summary = Summary()
    bodies: list[Content] = []
    with cloud.store.lock:
        header = _header(cloud)
        accounts = [
            _line(table, encode(key), encode(value))
            for table, rows in account_tables(cloud.accounts).items()
            for key, value in list(rows.items())
        ]
        lines = list(_bucket_lines(cloud.store, bodies, summary))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in ((_HEADER, [header]), (_ACCOUNTS, accounts), (_BUCKETS, lines)):
            with _member(archive, name) as member:
                for line in content:
                    member.write(line.encode() + b"\n")
        with _member(archive, _BODIES) as member:
            for body in bodies:
                for chunk in (body,) if isinstance(body, bytes) else body.chunks():
                    member.write(chunk)
                    summary.bytes += len(chunk)
    return summary


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(name)  # dated 1980, as no time is given
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    info.create_system = 3
    return archive.open(info, "w", force_zip64=True)


def _line(*values: object) -> str:
    return json.dumps(values, separators=(",", ":"))


def _header(cloud: Cloud) -> str:
    clock = cloud.clock
    facts = {
        "kind": _KIND,
        "format": _FORMAT,
        "clock": clock.offset if isinstance(clock, AdjustableClock) else 0.0,
        "store": json.loads(store_text(cloud.store)),
    }
    return json.dumps(facts, separators=(",", ":"))


def _bucket_lines(store: Store, bodies: list[Content], summary: Summary) -> Iterator[str]:
    # Texts that are JSON already are joined, not parsed and written again.
    for bucket in store.buckets.values():
        summary.buckets += 1
        yield f'["bucket",{json.dumps(bucket.name)},{bucket_text(bucket)}]'
        for version in oldest_first(bucket):
            summary.versions += 1
            bodies.append(version.content)
            names = f"{json.dumps(version.key)},{json.dumps(version.version_id)}"
            yield f'["version",{names},{version_text(version)},{version.size}]'
        for upload in bucket.uploads.values():
            summary.uploads += 1
            yield f'["upload",{json.dumps(upload.key)},{json.dumps(upload.id)},{upload_text(upload)}]'
            for number, part in sorted(upload.parts.items()):
                bodies.append(part.content)
                yield f'["part",{number},{part_text(part)},{len(part.content)}]'


@dataclass(slots=True)
class _Loaded:
    """What a file holds, in memory and apart from the store."""

    store_facts: dict[str, object] = field(default_factory=dict)
    offset: float = 0.0
    tables: dict[str, dict[object, object]] = field(default_factory=dict)
    buckets: list[Bucket] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)


# What zipfile raises for a damaged archive, and the records for what they cannot hold.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, TypeError)


def load(cloud: Cloud, file: BinaryIO, name: str = "the snapshot") -> Summary:
    """Puts the state that a file holds in the place of the cloud's. An `AdjustableClock` is moved ahead to where it was
    when the snapshot was made; time never goes back. name: of the file, for errors.

    Raises StateError when the file is no snapshot or is damaged; nothing was changed then."""
    try:
        loaded = _read(cloud.store, cloud.accounts, file)
    except _Foreign as error:
        raise StateError(f"{name} is no snapshot of ossvol: {error}") from error
    except _Newer as error:
        raise StateError(
            f"{name} has format {error}, which a newer release wrote; this one reads up to {_FORMAT}: upgrade"
        ) from error
    except _DAMAGE as error:
        raise StateError(f"{name} is damaged ({error}): use another copy; nothing was changed") from error
    store = cloud.store
    with store.lock:
        for bucket in list(store.buckets.values()):
            store.remove(bucket)
        for bucket in loaded.buckets:
            store.add(bucket)
        read_store(store, loaded.store_facts)
        for kind, rows in account_tables(cloud.accounts).items():
            rows.clear()
            rows.update(loaded.tables.get(kind, {}))
        if isinstance(cloud.clock, AdjustableClock) and loaded.offset > cloud.clock.offset:
            cloud.clock.advance(loaded.offset - cloud.clock.offset)
        cloud.resume_ids(resumed_from(loaded.buckets))
    return loaded.summary


class _Foreign(Exception):
    """The file is something else."""


class _Newer(Exception):
    """The file has a format that this release does not know."""


def _read(store: Store, accounts: Accounts, file: BinaryIO) -> _Loaded:
    if not zipfile.is_zipfile(file):
        file.seek(0)
        start = file.read(4)
        raise zipfile.BadZipFile("it is cut off") if start == b"PK\3\4" else _Foreign("it is no ZIP archive")
    with zipfile.ZipFile(file) as archive:
        if archive.namelist() != [_HEADER, _ACCOUNTS, _BUCKETS, _BODIES]:
            raise _Foreign("it has other members than a snapshot")
        if any(member.compress_type not in _METHODS for member in archive.infolist()):
            raise CodecError("its members are compressed in another way")
        loaded = _Loaded()
        _read_header(loaded, archive.read(_HEADER))
        known = account_tables(accounts).keys()
        for table, key, value in _records(archive, _ACCOUNTS):
            if table not in known:
                raise CodecError(f"accounts have no {table}")
            loaded.tables.setdefault(table, {})[decode(key, KINDS)] = decode(value, KINDS)
        with archive.open(_BODIES) as bodies:
            _read_buckets(store, loaded, _records(archive, _BUCKETS), bodies)
            # Reading to the end is what checks the checksum.
            if bodies.read(1):
                raise CodecError("bodies are left over")
    return loaded


def _read_header(loaded: _Loaded, raw: bytes) -> None:
    header = _json(raw)
    if not isinstance(header, dict) or header.get("kind") != _KIND:
        raise _Foreign("its header does not say that it is one")
    if not isinstance(header.get("format"), int) or header["format"] > _FORMAT:
        raise _Newer(header.get("format"))
    offset = header.get("clock")
    if not isinstance(offset, float) or not 0 <= offset < 1e12:
        raise CodecError(f"the clock cannot be {offset!r} s ahead")
    loaded.offset = offset
    loaded.store_facts = header.get("store", {})
    read_store(Store(), loaded.store_facts)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CodecError(str(error)) from error


def _records(archive: zipfile.ZipFile, name: str) -> Iterator[list[Any]]:
    with archive.open(name) as lines:
        for line in lines:
            record = _json(line)
            if not isinstance(record, list):
                raise CodecError(f"{name} holds something else than records")
            yield record


def _read_buckets(store: Store, loaded: _Loaded, records: Iterator[list[Any]], bodies: IO[bytes]) -> None:
    summary = loaded.summary
    versions: list[Version] = []
    upload: Upload | None = None
    for record in records:
        match record:
            case ["bucket", str(name), dict(known)]:
                if loaded.buckets:
                    fill_bucket(loaded.buckets[-1], versions)
                loaded.buckets.append(make_bucket(name, known))
                versions, upload = [], None
                summary.buckets += 1
            case ["version", str(key), str(version_id), dict(known), int(size)] if loaded.buckets:
                key.encode()
                versions.append(make_version(store, key, version_id, known, _content(store, bodies, size)))
                summary.versions += 1
                summary.bytes += size
            case ["upload", str(key), str(upload_id), dict(known)] if loaded.buckets:
                key.encode()
                upload = make_upload(store, key, upload_id, known)
                loaded.buckets[-1].uploads[key, upload_id] = upload
                summary.uploads += 1
            case ["part", int(number), dict(known), int(size)] if upload is not None:
                upload.parts[number] = make_part(number, known, _content(store, bodies, size))
                summary.bytes += size
            case _:
                raise CodecError(f"{_BUCKETS} holds what is no record: {str(record)[:80]}")
    if loaded.buckets:
        fill_bucket(loaded.buckets[-1], versions)
    if len({bucket.name for bucket in loaded.buckets}) != len(loaded.buckets):
        raise CodecError("a bucket is there twice")


def _content(store: Store, bodies: IO[bytes], size: int) -> Content:
    body = bodies.read(size) if size > 0 else b""
    if len(body) != size:
        raise CodecError("a body is not there")
    return store.keep(body)
